"""Which node gets which subnets: the pure function of the plan, and the step-by-step one of a running controller.

Law: a node keeps what it has while that fits; it gets a subnet of every family or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ovnk8s_topo.addresses import Subnet, Version
from ovnk8s_topo.ipam.refusals import Refused, SlicesExhausted, SliceTaken, SubnetsRefused, others_of
from ovnk8s_topo.ipam.slices import SliceAllocator

Slices = Mapping[str, tuple[Subnet, ...]]


@dataclass(frozen=True, slots=True)
class SliceAssignment:
    """The outcome of `assign_slices`.

    given     node -> its subnets, one per family, those it had first
    problems  node -> why it got none
    """

    given: Slices
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NodeSubnets:
    """The outcome of `allocate_node_subnets`: all subnets of the node, and those of them that are new."""

    subnets: tuple[Subnet, ...]
    new: tuple[Subnet, ...]


def assign_slices(ranges: Sequence[tuple[Subnet, int]], claims: Slices, wanted: Sequence[str]) -> SliceAssignment:
    """Give every wanted node one subnet per IP family of `ranges`.

    ranges   (cluster subnet, prefix length of one node's slice), in the order in which they are used up
    claims   node -> subnets in use. A wanted node keeps the first of each family that lies inside a range; the
             others it loses. What nodes that are not in `wanted` claim is blocked, whatever it overlaps, and so is
             all that a node claims that gets nothing for a clash
    wanted   nodes that lack a subnet are served in this order
    returns  who got what, and why the others got nothing. Nodes whose claims overlap each other are both a problem;
             neither moves and nobody else gets these subnets

    SubnetsRefused  as for SliceRange

    Follows OVN-Kubernetes go-controller/pkg/clustermanager/node/node_allocator.go allocateNodeSubnets; the clash rule
    is ours, there the order of events decides.
    """
    allocator = SliceAllocator(ranges)
    nodes = tuple(dict.fromkeys(wanted))
    kept = {node: tuple(_first_of_each_family(allocator, claims.get(node, ()))) for node in nodes}
    held = {node: claim for node, claim in claims.items() if node not in kept} | kept
    problems: dict[str, str] = {}
    while new := {node: why for node, why in _clashes(held).items() if node in kept and node not in problems}:
        problems |= new
        # Whoever gets nothing stays where it is, with all that it has: others may clash with that.
        held |= {node: claims[node] for node in new}
    for node in sorted(held):
        for subnet in held[node]:
            allocator.block(node, subnet)
    given: dict[str, tuple[Subnet, ...]] = {}
    for node in nodes:
        if node not in problems:
            _complete(allocator, node, kept[node], given, problems)
    return SliceAssignment(given, problems)


def allocate_node_subnets(
    allocator: SliceAllocator, node: str, existing: Sequence[Subnet], versions: Sequence[Version]
) -> NodeSubnets:
    """Bring one node's subnets in line with the families of the cluster, in a running allocator.

    existing  what the node has; the first of each family that it may have is kept, the others are released
    versions  the families that the cluster wants, 4, 6 or both
    returns   what the node has now: existing ones first, then new ones, IPv4 before IPv6

    SlicesExhausted  a family has no slice left; nothing new was taken
    SubnetsRefused   a family has no range at all

    Follows OVN-Kubernetes go-controller/pkg/clustermanager/node/node_allocator.go allocateNodeSubnets.
    """
    kept: list[Subnet] = []
    for subnet in existing:
        if subnet.version in versions and subnet.version not in _versions(kept) and _mark(allocator, node, subnet):
            kept.append(subnet)
        elif subnet not in kept and allocator.owner_of(subnet) == node:
            allocator.release(node, subnet)
    missing = [version for version in versions if version not in _versions(kept)]
    _check_ranges(allocator, node, missing, len(versions))
    new = allocator.allocate(node, missing)
    return NodeSubnets((*kept, *new), new)


def needs_allocation(ranges: Sequence[tuple[Subnet, int]], existing: Sequence[Subnet]) -> bool:
    """Tell whether a node's subnets are not one of each family of the ranges.

    Follows OVN-Kubernetes go-controller/pkg/clustermanager/node/node_allocator.go, NeedsNodeAllocation.
    """
    return sorted(subnet.version for subnet in existing) != sorted({subnet.version for subnet, _ in ranges})


def _complete(
    allocator: SliceAllocator,
    node: str,
    kept: tuple[Subnet, ...],
    given: dict[str, tuple[Subnet, ...]],
    problems: dict[str, str],
) -> None:
    missing = [version for version in allocator.versions if version not in _versions(kept)]
    try:
        _check_ranges(allocator, node, missing, 1)
        given[node] = (*kept, *allocator.allocate(node, missing))
    except (SlicesExhausted, SubnetsRefused) as error:
        problems[node] = _text(node, error)


def _text(node: str, error: Refused) -> str:
    if isinstance(error, SlicesExhausted):
        return f"error allocating network for node {node}: {error.upstream}: {error.detail}"
    return error.upstream


def _check_ranges(allocator: SliceAllocator, node: str, missing: Sequence[Version], expected: int) -> None:
    found = sum(version in allocator.versions for version in missing)
    if found < len(missing) or not allocator.versions:
        why = f"{expected} subnets expected only new {found} subnets allocated"
        raise SubnetsRefused(upstream=f"error allocating networks for node {node}: {why}")


def _first_of_each_family(allocator: SliceAllocator, claim: Sequence[Subnet]) -> Iterator[Subnet]:
    seen: set[Version] = set()
    for subnet in claim:
        if subnet.version not in seen and allocator.covers(subnet):
            seen.add(subnet.version)
            yield subnet


def _mark(allocator: SliceAllocator, node: str, subnet: Subnet) -> bool:
    try:
        allocator.mark(node, subnet)
    except (SliceTaken, SubnetsRefused):
        return False
    return True


def _versions(subnets: Sequence[Subnet]) -> set[Version]:
    return {subnet.version for subnet in subnets}


def _clashes(held: Slices) -> dict[str, str]:
    holders: dict[Subnet, list[str]] = {}
    for node in sorted(held):
        for subnet in dict.fromkeys(held[node]):
            holders.setdefault(subnet, []).append(node)
    found: dict[str, list[str]] = {}
    for subnet, other in _overlapping_pairs(sorted(holders)):
        for one, two in {(subnet, other), (other, subnet)}:
            for node in holders[one]:
                others = others_of(holders[two], node)
                if others:
                    found.setdefault(node, []).append(f"{_pair_text(one, two)} {others}")
    return {node: "; ".join(sorted(texts)) for node, texts in found.items()}


def _pair_text(subnet: Subnet, other: Subnet) -> str:
    overlap = "" if subnet == other else f" overlaps {other},"
    return f"network {subnet}{overlap} already owned by"


def _overlapping_pairs(subnets: Sequence[Subnet]) -> Iterator[tuple[Subnet, Subnet]]:
    """Yield each subnet with itself and with those around it; `subnets` is sorted and holds none twice."""
    around: list[Subnet] = []
    for subnet in subnets:
        while around and not around[-1].overlaps(subnet):
            around.pop()
        for outer in around:
            yield subnet, outer
        yield subnet, subnet
        around.append(subnet)
