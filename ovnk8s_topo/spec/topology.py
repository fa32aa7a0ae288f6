"""Everything that is wanted, in one value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.spec.base import Spec
from ovnk8s_topo.spec.cluster import Cluster, check_overlaps
from ovnk8s_topo.spec.ipam_claim import IpamClaim
from ovnk8s_topo.spec.network import NETWORK_TYPES, AnyNetwork, Network
from ovnk8s_topo.spec.node import Node
from ovnk8s_topo.spec.pod import Pod

if TYPE_CHECKING:
    from os import PathLike

Style = Literal["2023", "2024"]
"""Whose rows: 2023, the releases around the spring of that year; 2024, the last one with one database for all nodes."""

H = TypeVar("H", bound=Hashable)


class Gaps(Spec):
    """What the description leaves open, so that nothing is concluded from its absence.

    networks, nodes, pods  names (pods as ``namespace/name``) of objects that could not be read or built: their rows
                           stay as they are
    complete               False: some object could not even be named, so nothing may be deleted at all
    """

    networks: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    pods: frozenset[str] = frozenset()
    complete: bool = True

    @classmethod
    def union(cls, gaps: Iterable[Gaps]) -> Gaps:
        """Return all of several gaps."""
        parts = tuple(gaps)
        return cls(
            networks=frozenset().union(*(part.networks for part in parts)),
            nodes=frozenset().union(*(part.nodes for part in parts)),
            pods=frozenset().union(*(part.pods for part in parts)),
            complete=all(part.complete for part in parts),
        )

    def __or__(self, other: Gaps) -> Gaps:
        return Gaps.union((self, other))


class Topology(Spec):
    """Networks, nodes and pods as they shall be.

    ipam_claims  addresses that outlive their pods
    cluster      what the networks share their address space with
    style        which release of OVN-Kubernetes the rows follow
    gaps         what could not be described

    SpecError  a fault of any part, or between parts: equal names, names that share an OVN name, overlapping subnets
    """

    union_tags: ClassVar[frozenset[str]] = frozenset(NETWORK_TYPES)

    networks: tuple[AnyNetwork, ...] = ()
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    ipam_claims: tuple[IpamClaim, ...] = ()
    cluster: Cluster = Field(default_factory=Cluster)
    style: Style = "2024"
    gaps: Gaps = Field(default_factory=Gaps)

    @classmethod
    def from_manifests(cls, *files: str | PathLike[str], style: Style = "2024", lenient: bool = False) -> Topology:
        """Read what `kubectl get -o yaml` prints: NetworkAttachmentDefinitions, Nodes and Pods.

        files    paths of YAML or JSON streams
        lenient  accept comments inside the JSON of `spec.config`

        SpecError  with every fault of every document: file, line, column, field path
        """
        from ovnk8s_topo.sources import read_manifests

        return read_manifests(files, style=style, lenient=lenient).topology

    @field_validator("networks", "nodes", "pods", "ipam_claims", mode="before")
    @classmethod
    def _any_iterable(cls, values: object) -> object:
        return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str | dict) else values

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        faults = [fault for fault, _ in faults_between(self.networks, self.nodes, self.pods, self.cluster)]
        faults += [fault for fault, _ in faults_between_claims(self.ipam_claims)]
        if faults:
            raise SpecError(faults)
        return self


def faults_between(
    networks: Sequence[Network], nodes: Sequence[Node], pods: Sequence[Pod], cluster: Cluster
) -> Iterator[tuple[Problem, Gaps]]:
    """Yield every fault between objects that are fine by themselves, with the objects at fault."""
    for name in _twice(network.name for network in networks):
        yield Problem("networks", "two networks have this name", subject=f"network {name}"), Gaps(networks={name})
    yield from _shared_prefixes(networks)
    yield from _shared_nads(networks)
    for network in networks:
        for why in check_overlaps(network, cluster):
            text = f"invalid subnet configuration: {why}"
            yield Problem("subnets", text, subject=f"network {network.name}"), Gaps(networks={network.name})
    for name in _twice(node.name for node in nodes):
        yield Problem("nodes", "two nodes have this name", subject=f"Node {name}"), Gaps(nodes={name})
    for name in _twice(f"{pod.namespace}/{pod.name}" for pod in pods):
        yield Problem("pods", "two pods have this name", subject=f"Pod {name}"), Gaps(pods={name})


def faults_between_claims(claims: Sequence[IpamClaim]) -> Iterator[tuple[Problem, Gaps]]:
    """Yield every fault between IPAMClaims; what they hold is uncertain, so their networks are left alone."""
    for key in _twice(claim.key for claim in claims):
        networks = {claim.network for claim in claims if claim.key == key}
        yield (
            Problem("ipam_claims", "two IPAMClaims have this name", subject=f"IPAMClaim {key}"),
            Gaps(networks=networks),
        )


def _twice(names: Iterable[H]) -> list[H]:
    return [name for name, count in Counter(names).items() if count > 1]


def _shared_prefixes(networks: Iterable[Network]) -> Iterator[tuple[Problem, Gaps]]:
    """Find networks whose names become one OVN name: `a-b` and `a.b` (OVN-Kubernetes does not notice)."""
    first: dict[str, str] = {}
    for network in networks:
        collapsed = network.name.replace("-", ".").replace("/", ".")
        other = first.setdefault(collapsed, network.name)
        if other != network.name:
            why = f"its OVN names would be those of network {other}: `-`, `/` and `.` are one there"
            yield Problem("name", why, subject=f"network {network.name}"), Gaps(networks={other, network.name})


def _shared_nads(networks: Iterable[Network]) -> Iterator[tuple[Problem, Gaps]]:
    first: dict[str, str] = {}
    for network in networks:
        for nad in network.nad_keys:
            other = first.setdefault(nad, network.name)
            if other != network.name:
                why = f"leads to network {other} already"
                subject = f"NetworkAttachmentDefinition {nad}"
                yield Problem("nads", why, subject=subject), Gaps(networks={other, network.name})
