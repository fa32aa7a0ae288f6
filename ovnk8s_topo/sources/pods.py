"""Pod -> its place, its attachments and what it was told already."""

from __future__ import annotations

from dataclasses import replace

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.documents import Path
from ovnk8s_topo.sources.found import Found, shown
from ovnk8s_topo.sources.multus import DEFAULT_NETWORK, NETWORKS, attachments_at
from ovnk8s_topo.sources.names import ANNOTATIONS, read_annotations, read_name, read_namespace
from ovnk8s_topo.sources.pod_networks import given_from_text
from ovnk8s_topo.spec import Attachment, Given, Pod
from ovnk8s_topo.spec.go_json import TextError

POD_NETWORKS = "k8s.ovn.org/pod-networks"
HOSTNAME = "kubernetes.io/hostname"
PHASES = ("", "Pending", "Running", "Succeeded", "Failed", "Unknown")


def pod_from_object(found: Found) -> tuple[str, Pod | None]:
    """Read one pod; returns ``namespace/name``, "" if that cannot be told, and None if anything is at fault.

    A pod that is being deleted has its ports until it is gone, so `deletionTimestamp` does not matter.
    """
    name, namespace = read_name(found), read_namespace(found)
    key = f"{namespace}/{name}" if name and namespace else ""
    if key:
        found.subject = f"Pod {key}"
    annotations, labels = read_annotations(found), found.texts("metadata", "labels")
    node, host_network, uid = _node(found), found.flag("spec", "hostNetwork"), found.text("metadata", "uid")
    networks = attachments_at(found, (*ANNOTATIONS, NETWORKS), annotations.get(NETWORKS, ""), namespace or "default")
    default_network = _default_network(found, annotations.get(DEFAULT_NETWORK, ""))
    given, phase = _given(found, annotations.get(POD_NETWORKS)), _phase(found)
    if found.problems:
        return key, None
    try:
        pod = Pod(
            namespace=namespace,
            name=name,
            uid=uid,
            node=node,
            labels=labels,
            networks=networks,
            default_network=default_network,
            given=given,
            host_network=host_network,
            phase=phase,
        )
    except SpecError as error:
        _refuse_spec(found, error)
        return key, None
    return key, pod


def _refuse_spec(found: Found, error: SpecError) -> None:
    """Note what only the pod as a whole shows; the node stands elsewhere than the rest."""
    for problem in error.problems:
        where, path = ("spec", "nodeName") if problem.path == "node" else ("metadata", problem.path)
        found.refuse_all((where,), [replace(problem, path=path)])


def _node(found: Found) -> str:
    """Return where the pod runs; manifests written by hand say so with a node selector."""
    found.mapping("spec")
    node = found.text("spec", "nodeName")
    if node:
        return node
    selector: Path = ("spec", "nodeSelector", HOSTNAME)
    found.mapping("spec", "nodeSelector")
    node = found.text(*selector)
    if node:
        found.notice(selector, f"taken as its node: {node} (it has no spec.nodeName)")
    return node


def _phase(found: Found) -> str:
    found.mapping("status")
    phase = found.text("status", "phase")
    if phase not in PHASES:
        found.refuse(("status", "phase"), f"must be one of {', '.join(PHASES[1:])}", shown(phase))
    return phase


def _default_network(found: Found, text: str) -> Attachment | None:
    """Read the selection of the default network; its namespace stays empty if the text names none."""
    path = (*ANNOTATIONS, DEFAULT_NETWORK)
    before = len(found.problems)
    attachments = attachments_at(found, path, text, "")
    if len(attachments) > 1:
        found.refuse(path, f"more than one default network is specified: {text}")
    elif text and not attachments and len(found.problems) == before:
        found.refuse(path, f"no default network is specified: {text} (Multus crashes on it)")
    return attachments[0] if attachments else None


def _given(found: Found, text: str | None) -> dict[str, Given]:
    if text is None:
        return {}
    try:
        return given_from_text(text)
    except TextError as error:
        found.refuse_text((*ANNOTATIONS, POD_NETWORKS), error)
        return {}
