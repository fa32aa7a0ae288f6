"""Who gets which slice, address and MAC on one network or one node's switch: claims first, then the pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ovnk8s_topo.addresses import Address, Subnet, mac_from_address, mac_from_identity
from ovnk8s_topo.errors import AllocationError, Problem
from ovnk8s_topo.ipam import SubnetPools, assign, assign_slices, withheld_on_node
from ovnk8s_topo.planner.claims import Held, HeldSlices
from ovnk8s_topo.planner.faults import Fault
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Gaps, Layer3, Network, Node

SMALLEST_SLICE = 4
"""A slice holds a gateway and a management address (and network and broadcast address)."""


class Grant(NamedTuple):
    """What an attachment gets: its MAC and its addresses, in the order in which they are written."""

    mac: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """Who got what, and who did not.

    grants    port name -> what it gets
    problems  port name -> why it gets nothing
    """

    grants: Mapping[str, Grant]
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sliced:
    """Which node has which slices of a layer3 network."""

    slices: Mapping[str, tuple[Subnet, ...]]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """What the addresses of one switch are taken from.

    withheld  what the network keeps for itself
    """

    name: str
    subnets: Sequence[Subnet]
    excluded: Sequence[Subnet] = ()
    withheld: Sequence[Address] = ()


@dataclass(frozen=True, slots=True)
class InUse:
    """Addresses on a switch that belong to others than those who are to be served.

    claims   holder -> addresses; a second claim to one of them is a problem
    avoided  holder -> addresses that newcomers do not get, while who has one keeps it: those of ports that are no
             pod's, and those that pods without a port ask for
    """

    claims: Mapping[str, tuple[Address, ...]]
    avoided: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)


class Applicant(NamedTuple):
    """An attachment that may have addresses already, or may not get just any.

    held   what its port has in the database
    wish   addresses that it asks for, and that count
    bound  addresses of its IPAMClaim: it gets these and no others
    """

    item: Wanted
    held: Held | None = None
    wish: tuple[Address, ...] = ()
    bound: tuple[Address, ...] = ()


def pool_of_node(network: Layer3, slices: Sequence[Subnet]) -> Pool:
    """Return the pool of a node's switch."""
    withheld = [address for subnet in slices for address in withheld_on_node(subnet)]
    return Pool(f"network {network.name}", slices, withheld=withheld)


def pool_of_network(network: Network) -> Pool:
    """Return the pool of a network with a single switch."""
    return Pool(f"network {network.name}", network.ranges, network.excluded)


def slice_nodes(network: Layer3, nodes: Sequence[Node], held: Mapping[str, HeldSlices]) -> Sliced:
    """Give every node its slices of a network.

    held  node -> what its switch in the database has; of nodes whose rows stay, described or not

    A node's own annotation goes before what the database says; either counts only where it fits the network.
    """
    claims = {node: found.slices for node, found in held.items()}
    claims |= {node.name: (*node.slices(network.name), *claims.get(node.name, ())) for node in nodes}
    usable = {name: tuple(item for item in claim if item.size >= SMALLEST_SLICE) for name, claim in claims.items()}
    ranges = [(entry.subnet, entry.host_len) for entry in network.subnets]
    assigned = assign_slices(ranges, usable, sorted(node.name for node in nodes))
    faults = tuple(
        Fault(Gaps(nodes={node}), Problem("subnets", why, subject=f"network {network.name}, Node {node}"))
        for node, why in assigned.problems.items()
    )
    return Sliced(assigned.given, faults)


def grant_addresses(pool: Pool, items: Sequence[Wanted], applicants: Mapping[str, Applicant], in_use: InUse) -> Granted:
    """Give the attachments of one switch their addresses and MACs.

    items       by name; those without a claim are served in this order
    applicants  port name -> what more there is to know of those that are not plain, or whose port is there already
    in_use      by others

    AllocationError  the pool's own description is at fault
    """
    if not pool.subnets:
        return Granted(dict(_bring_own(items, applicants)))
    # Only who has or asks for an address is named in messages.
    by_owner = {item.label if item.port in applicants else item.port: item for item in items}
    by_label = {owner: applicants[item.port] for owner, item in by_owner.items() if item.port in applicants}
    assigned = assign(
        pool.subnets,
        pool.excluded,
        pool.withheld,
        _claims(pool, by_label, in_use),
        tuple(by_owner),
        requests={label: one.wish for label, one in by_label.items() if one.wish and not one.bound},
        exact={label: one.bound for label, one in by_label.items() if one.bound},
        name=pool.name,
    )
    served = ((by_owner[owner], given) for owner, given in assigned.given.items())
    return Granted(
        {item.port: tuple.__new__(Grant, (mac_of(item, given), given)) for item, given in served},
        {by_owner[owner].port: why for owner, why in assigned.problems.items()},
    )


def _claims(pool: Pool, by_label: Mapping[str, Applicant], in_use: InUse) -> dict[str, tuple[Address, ...]]:
    """Return what is in use by whomever."""
    claims = dict(in_use.claims)
    fitting = _fitting_in(pool)
    for label, one in by_label.items():
        if claim := one.bound or claim_of(one.item, one.held, fitting):
            claims[label] = claim
    if in_use.avoided:
        claimed = {address for claim in claims.values() for address in claim}
        for holder, addresses in in_use.avoided.items():
            claims.setdefault(holder, tuple(address for address in addresses if address not in claimed))
    return claims


def _fitting_in(pool: Pool) -> Callable[[Sequence[Address]], tuple[Address, ...]]:
    """Return a function that picks the addresses an attachment may have; the pools are built on first use."""
    pools: list[SubnetPools] = []

    def fitting(addresses: Sequence[Address]) -> tuple[Address, ...]:
        if not pools:
            pools.append(SubnetPools(pool.subnets, excluded=pool.excluded, withheld=pool.withheld, name=pool.name))
        return pools[0].fitting(addresses)

    return fitting


def claim_of(
    item: Wanted, held: Held | None, fitting: Callable[[Sequence[Address]], tuple[Address, ...]]
) -> tuple[Address, ...]:
    """Return what fits best of what the pod was told and what its port has; of equals, the first."""
    if item.is_plain and held and len(held.readings) == 1:
        return held.readings[0][1]
    told = [item.given.addresses] if item.given and item.given.ips else []
    read = [addresses for _, addresses in held.readings] if held else []
    claims = tuple(dict.fromkeys(claim for claim in (*told, *read) if claim))
    if len(claims) < 2:
        return claims[0] if claims else ()
    return max(claims, key=lambda claim: len(fitting(claim)))


def mac_of(item: Wanted, addresses: Sequence[Address]) -> str:
    """Return the MAC that the pod was told, else the requested one, else the one made from its first address.

    A pod keeps what it was told, whatever it asks for later (allocator/pod/pod_annotation.go).
    """
    if item.is_plain:
        return mac_from_address(addresses[0])
    known = item.given.addresses if item.given else ()
    told = item.given.mac if item.given and known and addresses[: len(known)] == known else ""
    return told or item.attachment.mac or mac_from_address(addresses[0])


@dataclass(slots=True)
class _Macs:
    """Hands out MACs of attachments without addresses: the same ones whenever the same attachments ask."""

    taken: set[str] = field(default_factory=set)

    def make(self, port: str) -> str:
        attempt = 0
        while (mac := mac_from_identity(f"{port}#{attempt}" if attempt else port)) in self.taken:
            attempt += 1
        self.taken.add(mac)
        return mac


def _bring_own(items: Sequence[Wanted], applicants: Mapping[str, Applicant]) -> Iterator[tuple[str, Grant]]:
    """Grant MACs where pods bring their addresses, or none, along."""
    held = {port: one.held for port, one in applicants.items()}
    fixed = {item.port: brought_along(item, held.get(item.port)) for item in items}
    macs = _Macs({mac for mac, _ in fixed.values() if mac})
    for port, (mac, addresses) in fixed.items():
        yield port, Grant(mac or macs.make(port), addresses)


def brought_along(item: Wanted, held: Held | None) -> tuple[str, tuple[Address, ...]]:
    """Return what an attachment brings along: what it was told, else what it asks for; the MAC "" if it is to be made.

    A MAC that the port has already stays, for OVN-Kubernetes drew it at random.
    """
    told, asked = item.given, item.attachment
    addresses = (told.addresses if told else ()) or asked.addresses
    told_mac = told.mac if told and told.addresses == addresses else ""
    made = mac_from_address(addresses[0]) if addresses else ""
    return told_mac or asked.mac or made or (held.mac if held else ""), addresses


def refused_network(network: Network, error: AllocationError) -> Iterator[Fault]:
    """Yield the faults of a network whose description cannot be a pool."""
    for problem in error.problems:
        yield Fault(
            Gaps(networks={network.name}), Problem(problem.path, problem.why, subject=f"network {network.name}")
        )
