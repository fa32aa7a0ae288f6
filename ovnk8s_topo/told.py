"""What pods and nodes are to be told once a topology has been planned.

Law: a function of topology and desired rows; the texts are OVN-Kubernetes' and Multus' own (`results`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.planner import Desired, wanted_ports
from ovnk8s_topo.results import (
    AttachmentResult,
    CniResult,
    attachment_result,
    cni_result,
    given_from_result,
    network_status_of_attachments,
    node_subnets_text,
    pod_networks_of_attachments,
)
from ovnk8s_topo.spec import Given, Topology

POD_NETWORKS = "k8s.ovn.org/pod-networks"
NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"
NODE_SUBNETS = "k8s.ovn.org/node-subnets"


@dataclass(frozen=True)
class Told:
    """What comes out of a plan for Kubernetes.

    attachments  every attachment that has a port, by namespace, pod and order in the pod's annotation

    Attachments and nodes that got nothing, or are none of this topology's, are not mentioned.
    """

    topology: Topology = field(repr=False)
    desired: Desired = field(repr=False)

    @cached_property
    def attachments(self) -> tuple[AttachmentResult, ...]:
        """Every attachment with its interface, MAC, addresses, gateways, routes and MTU."""
        return tuple(self._attachments())

    def _attachments(self) -> Iterator[AttachmentResult]:
        for item in wanted_ports(self.topology):
            if grant := self.desired.grants.get(item.port):
                slices = self.desired.slices.get(item.network.name, {}).get(item.pod.node, ())
                yield attachment_result(
                    item.network,
                    item.pod,
                    item.nad_key,
                    item.attachment,
                    grant.mac,
                    grant.addresses,
                    slices,
                    self.topology.cluster,
                )

    def of_pod(self, namespace: str, name: str) -> tuple[AttachmentResult, ...]:
        """Return one pod's attachments, in the order of its annotation."""
        return self._by_pod.get(f"{namespace}/{name}", ())

    @cached_property
    def _by_pod(self) -> Mapping[str, tuple[AttachmentResult, ...]]:
        found: dict[str, list[AttachmentResult]] = {}
        for result in self.attachments:
            found.setdefault(result.pod, []).append(result)
        return {pod: tuple(results) for pod, results in found.items()}

    def pod_networks(self) -> dict[str, dict[str, Given]]:
        """Return ``namespace/name`` of pod -> NAD key -> entry of `k8s.ovn.org/pod-networks`."""
        told, style = self._told, self.topology.style
        return {
            pod: {r.nad_key: given_from_result(r, told.get(pod, {}).get(r.nad_key), style) for r in results}
            for pod, results in self._by_pod.items()
        }

    @property
    def _told(self) -> Mapping[str, Mapping[str, Given]]:
        """``namespace/name`` of pod -> NAD key -> what it was told already."""
        return {f"{pod.namespace}/{pod.name}": pod.given for pod in self.topology.pods if pod.given}

    def pod_annotations(self) -> dict[str, dict[str, str]]:
        """Return ``namespace/name`` of pod -> annotation -> text, with this topology's entries alone.

        Entries of other networks, such as ``default``, are in the pod's own annotation: put ours into it with
        `results.merged_pod_networks`. Multus writes network-status; this is what it will say of our attachments.

        SpecError  a pod with addresses of one family that asks for gateways of two
        """
        told, style = self._told, self.topology.style
        return {
            pod: {
                POD_NETWORKS: pod_networks_of_attachments(results, told.get(pod, {}), style),
                NETWORK_STATUS: network_status_of_attachments(results),
            }
            for pod, results in self._by_pod.items()
        }

    def node_subnets(self) -> dict[str, dict[str, tuple[Subnet, ...]]]:
        """Return node -> network -> its slices; only layer3 networks have any."""
        found: dict[str, dict[str, tuple[Subnet, ...]]] = {}
        for network, nodes in self.desired.slices.items():
            for node, slices in nodes.items():
                found.setdefault(node, {})[network] = slices
        return found

    def node_annotations(self) -> dict[str, dict[str, str]]:
        """Return node -> annotation -> text, with this topology's networks alone; see `results.merged_node_subnets`."""
        return {node: {NODE_SUBNETS: node_subnets_text(found)} for node, found in sorted(self.node_subnets().items())}

    def ipam_claims(self) -> Mapping[str, tuple[str, ...]]:
        """Return ``namespace/name`` of IPAMClaim -> addresses for its `status.ips`, of every claim that a pod uses."""
        return self.desired.ipam_claims

    def cni_results(self, *, sandbox: str = "", cni_version: str = "1.0.0") -> dict[str, dict[str, CniResult]]:
        """Return ``namespace/name`` of pod -> NAD key -> what a CNI plug-in answers to ADD.

        sandbox  path of the pod's network namespace
        """
        return {
            pod: {r.nad_key: cni_result(r, sandbox=sandbox, cni_version=cni_version) for r in results}
            for pod, results in self._by_pod.items()
        }
