"""Who gets which slice, address and MAC: claims first, then the pools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ovnk8s_topo.addresses import Address, Subnet, mac_from_address, mac_from_identity
from ovnk8s_topo.errors import AllocationError, Problem
from ovnk8s_topo.ipam import assign, assign_slices, withheld_on_node
from ovnk8s_topo.planner.claims import Held, HeldSlices
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Gaps, Layer3, Network, Node, Style


@dataclass(frozen=True, slots=True)
class Grant:
    """What an attachment gets: its MAC and its addresses, in the order in which they are written."""

    mac: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """Who got what, and who did not.

    grants  port name -> what it gets
    faults  why the others got nothing, with whom to leave alone
    """

    grants: Mapping[str, Grant]
    faults: tuple[tuple[Problem, Gaps], ...] = ()


@dataclass(frozen=True, slots=True)
class Sliced:
    """Which node has which slices of a layer3 network."""

    slices: Mapping[str, tuple[Subnet, ...]]
    faults: tuple[tuple[Problem, Gaps], ...] = ()


def slice_nodes(network: Layer3, nodes: Sequence[Node], held: Mapping[str, HeldSlices]) -> Sliced:
    """Give every node its slices of a network.

    held  slices in the database of nodes whose rows stay, described or not

    A node's own annotation goes before what the database says.
    """
    claims = {node: found.slices for node, found in held.items()}
    claims |= {node.name: found for node in nodes if (found := node.slices(network.name))}
    ranges = [(entry.subnet, entry.host_len) for entry in network.subnets]
    wanted = sorted(node.name for node in nodes)
    assigned = assign_slices(ranges, claims, wanted)
    faults = tuple(
        (Problem("subnets", why, subject=f"network {network.name}, Node {node}"), Gaps(nodes={node}))
        for node, why in assigned.problems.items()
    )
    return Sliced(assigned.given, faults)


def grant_node(network: Network, slices: Sequence[Subnet], wanted: Sequence[Wanted], held: Iterable[Held]) -> Granted:
    """Give the attachments on one node's switch their addresses out of the node's slices."""
    withheld = [address for subnet in slices for address in withheld_on_node(subnet)]
    return _grant(network, slices, (), withheld, wanted, held)


def grant_network(network: Network, wanted: Sequence[Wanted], held: Iterable[Held]) -> Granted:
    """Give the attachments of a network with a single switch their addresses."""
    return _grant(network, network.ranges, network.excluded, (), wanted, held)


def refuse_requests(wanted: Iterable[Wanted], style: Style) -> Iterator[tuple[Problem, Wanted]]:
    """Yield the attachments that ask for addresses on a network that hands out its own.

    The 2023 releases ignored the wish, those of 2024 refuse the pod.
    """
    for item in wanted:
        if item.attachment.ips and item.network.ranges and style != "2023":
            why = "cannot ask for addresses on a network that has subnets: custom network configuration disabled"
            yield item.problem(why, "ips"), item


def _grant(
    network: Network,
    subnets: Sequence[Subnet],
    excluded: Sequence[Subnet],
    withheld: Sequence[Address],
    wanted: Sequence[Wanted],
    held: Iterable[Held],
) -> Granted:
    known = {item.port: item for item in held}
    if not subnets:
        return Granted(dict(_bring_own(wanted, known)))
    labels = {item.port: item.label for item in wanted}
    claims = {labels.get(port, f"port {port}"): item.addresses for port, item in known.items()}
    claims |= {item.label: item.given.addresses for item in wanted if item.given and item.given.ips}
    try:
        assigned = assign(subnets, excluded, withheld, claims, list(labels.values()), name=f"network {network.name}")
    except AllocationError as error:
        return Granted({}, tuple(_refused(error, wanted)))
    grants = {
        item.port: Grant(_mac(item, assigned.given[item.label]), assigned.given[item.label])
        for item in wanted
        if item.label in assigned.given
    }
    faults = [(item.problem(assigned.problems[item.label]), item) for item in wanted if item.label in assigned.problems]
    return Granted(grants, tuple((problem, gap_of(item)) for problem, item in faults))


def gap_of(item: Wanted) -> Gaps:
    """Return the gap that an attachment without addresses leaves."""
    return Gaps(pods={f"{item.pod.namespace}/{item.pod.name}"})


def _refused(error: AllocationError, wanted: Sequence[Wanted]) -> Iterator[tuple[Problem, Gaps]]:
    gaps = Gaps(networks={item.network.name for item in wanted})
    yield from ((problem, gaps) for problem in error.problems)


def _mac(item: Wanted, addresses: Sequence[Address]) -> str:
    """Return the requested MAC, else the one the pod was told, else the one made from its first address."""
    told = item.given.mac if item.given and item.given.addresses == addresses else ""
    return item.attachment.mac or told or mac_from_address(addresses[0])


@dataclass(slots=True)
class _Macs:
    """Hands out MACs of attachments without addresses: the same ones whenever the same attachments ask."""

    taken: set[str] = field(default_factory=set)

    def keep(self, mac: str) -> str:
        self.taken.add(mac)
        return mac

    def make(self, port: str) -> str:
        attempt = 0
        while (mac := mac_from_identity(f"{port}#{attempt}" if attempt else port)) in self.taken:
            attempt += 1
        return self.keep(mac)


def _bring_own(wanted: Sequence[Wanted], known: Mapping[str, Held]) -> Iterator[tuple[str, Grant]]:
    """Grant MACs where pods bring their addresses, or none, along."""
    macs = _Macs({item.mac for item in known.values()})
    fixed = {item.port: _fixed_mac(item, known) for item in wanted}
    macs.taken.update(mac for mac in fixed.values() if mac)
    for item in wanted:
        own = item.attachment.addresses or (item.given.addresses if item.given else ())
        yield item.port, Grant(fixed[item.port] or macs.make(item.port), own)


def _fixed_mac(item: Wanted, known: Mapping[str, Held]) -> str:
    own = item.attachment.addresses or (item.given.addresses if item.given else ())
    told = item.given.mac if item.given else ""
    made = mac_from_address(own[0]) if own else ""
    return item.attachment.mac or told or made or (known[item.port].mac if item.port in known else "")
