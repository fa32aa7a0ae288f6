"""What pods and nodes are told, as shell commands for people and as JSON for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ovnk8s_topo.told import NETWORK_STATUS, Told


def json_from_told(told: Told) -> dict[str, Any]:
    """Return `pods` and `nodes` with their annotations as texts, the pods' CNI results, and what IPAMClaims hold."""
    cni = told.cni_results()
    return {
        "pods": {
            pod: {
                "annotations": annotations,
                "cni": {nad_key: result.as_json() for nad_key, result in cni[pod].items()},
            }
            for pod, annotations in told.pod_annotations().items()
        },
        "nodes": {node: {"annotations": annotations} for node, annotations in told.node_annotations().items()},
        "ipamClaims": {claim: {"status": {"ips": list(ips)}} for claim, ips in sorted(told.ipam_claims().items())},
    }


def text_from_told(told: Told) -> str:
    """Return `kubectl annotate` commands for nodes and pods, without network-status, which Multus writes.

    They replace an annotation as a whole: on a cluster whose default network is OVN-Kubernetes too, use the JSON and
    merge.
    """
    return "\n".join(_commands(told))


def _commands(told: Told) -> Iterator[str]:
    for node, texts in told.node_annotations().items():
        yield shlex.join(["kubectl", "annotate", "--overwrite", "node", node, *_pairs(texts)])
    for pod, texts in told.pod_annotations().items():
        namespace, name = pod.split("/")
        yield shlex.join(["kubectl", "annotate", "--overwrite", "-n", namespace, "pod", name, *_pairs(texts)])


def _pairs(annotations: Mapping[str, str]) -> Iterator[str]:
    return (f"{key}={text}" for key, text in annotations.items() if key != NETWORK_STATUS)
