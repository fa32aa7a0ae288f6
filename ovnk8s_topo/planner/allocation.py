"""Who gets which addresses in a whole topology.

An attachment that gets nothing keeps its rows as they are, and so what those hold is in use: it is left out and the
rest is done again, until nobody else is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter

from ovnk8s_topo.addresses import Address, Subnet
from ovnk8s_topo.errors import AllocationError
from ovnk8s_topo.planner import names
from ovnk8s_topo.planner.addressing import (
    Applicant,
    Grant,
    InUse,
    Pool,
    grant_addresses,
    pool_of_network,
    pool_of_node,
    refused_network,
    slice_nodes,
)
from ovnk8s_topo.planner.claims import Claims, Held, HeldSlices
from ovnk8s_topo.planner.faults import Fault
from ovnk8s_topo.planner.losses import colliding, homeless, strange_wishes
from ovnk8s_topo.planner.macs import (
    Bearer,
    address_behind,
    bearer_of_grant,
    bearer_of_port,
    bearer_of_told,
    behind_chosen_macs,
    may_choose_mac,
    refused_macs,
)
from ovnk8s_topo.planner.persistent import Bindings, addresses_of_claims, bind_claims
from ovnk8s_topo.planner.topologies import BUILDERS
from ovnk8s_topo.planner.wanted import Wanted, wanted_ports
from ovnk8s_topo.spec import Gaps, IpamClaim, Layer3, Network, Topology


@dataclass(frozen=True, slots=True)
class Allocation:
    """Who got what.

    slices   layer3 network -> node -> its slices
    granted  every attachment that gets a port, with its grant; by port
    refused  networks that are at fault themselves
    faults   why the others got nothing
    claims   port name -> the IPAMClaim that its attachment refers to
    notices  what counts for nothing, and why
    """

    slices: Mapping[str, Mapping[str, tuple[Subnet, ...]]]
    granted: Sequence[tuple[Wanted, Grant]]
    refused: frozenset[str]
    faults: Sequence[Fault]
    claims: Mapping[str, IpamClaim] = field(default_factory=dict)
    notices: Sequence[str] = ()


def allocate(topology: Topology, claims: Claims, released_by: str | None, left_alone: Gaps) -> Allocation:
    """Give nodes their slices and attachments their addresses.

    claims       what is in use; it stays with whoever has it
    released_by  the owner whose rows go if nobody wants them any more, so that they claim nothing; None: all stay
    left_alone   whose rows stay in any case
    """
    return _Allocator(topology, claims, released_by, left_alone).run()


@dataclass(slots=True)
class _Index:
    """What ports hold, by the network that they are of and by the switch that they are in."""

    by_network: dict[str, list[Held]] = field(default_factory=dict)
    by_switch: dict[str, list[Held]] = field(default_factory=dict)

    def add(self, held: Held) -> None:
        self.by_network.setdefault(held.network, []).append(held)
        self.by_switch.setdefault(held.switch, []).append(held)


@dataclass(slots=True)
class _Part:
    """One pool of a network, the switch that it belongs to and the attachments there.

    is_stale  whether somebody who matters here has been lost since it was granted last
    grants    port name -> what it got then
    """

    pool: Pool
    switch: str
    items: Sequence[Wanted] = ()
    is_stale: bool = True
    grants: Mapping[str, Grant] = field(default_factory=dict)

    @property
    def granted(self) -> Iterator[tuple[Wanted, Grant]]:
        """Who got what."""
        return ((item, self.grants[item.port]) for item in self.items if item.port in self.grants)


class _Allocator:
    def __init__(self, topology: Topology, claims: Claims, released_by: str | None, left_alone: Gaps) -> None:
        self.topology, self.claims, self.released_by = topology, claims, released_by
        self.left_alone = left_alone
        self.suffixes_left_alone = {names.pod_suffix(*pod.split("/", 1)) for pod in left_alone.pods}
        self.networks = sorted(topology.networks, key=lambda network: network.name)
        self.nodes = sorted(topology.nodes, key=lambda node: node.name)
        # By network and switch.
        self.wanted: dict[str, dict[str, list[Wanted]]] = {network.name: {} for network in self.networks}
        self.wanted_ports: set[str] = set()
        self.with_wishes: set[str] = set()
        self.behind_chosen: dict[str, dict[str, tuple[Address, ...]]] = {net.name: {} for net in self.networks}
        self.staying = _Index()
        self.parts: dict[str, list[_Part]] = {}
        self.parts_by_switch: dict[str, list[_Part]] = {}
        self.networks_by_switch: dict[str, list[str]] = {}
        self.unsettled: set[str] = set()
        self.slices: dict[str, Mapping[str, tuple[Subnet, ...]]] = {}
        self.lost: set[str] = set()
        self.refused: set[str] = set()
        self.faults: list[Fault] = []
        self.bindings = Bindings()
        self.honours_wishes = topology.cluster.fixed_addresses == "honour"

    def run(self) -> Allocation:
        items = list(wanted_ports(self.topology))
        self.wanted_ports = {item.port for item in items}
        for item in items:
            self.wanted[item.network.name].setdefault(item.switch, []).append(item)
        special = [item for item in items if not item.is_plain]
        self.with_wishes = {item.network.name for item in special}
        for item in special:
            if behind := behind_chosen_macs(item, self.honours_wishes):
                self.behind_chosen[item.network.name][f"the MAC of {item.label}"] = behind
        if len(self.wanted_ports) < len(items):
            self.lose(colliding(items))
        self.bindings = bind_claims(special, self.topology.ipam_claims, {net.name: net for net in self.networks})
        self.lose(self.bindings.losses)
        self.faults += self.bindings.faults
        self.lose(self.requesting(special))
        for network in self.networks:
            if isinstance(network, Layer3):
                self.slice(network)
        for held in self.claims.ports.values():
            if held.port in self.lost if held.port in self.wanted_ports else self.stays_unwanted(held):
                self.staying.add(held)
        grants = self.grant_all()
        # Rows are made in this order and looked at in that of their names, again and again: where the two differ, each
        # look goes to another place in memory, and 50,000 rows take a tenth longer.
        in_order = sorted(items, key=attrgetter("port"))
        return Allocation(
            self.slices,
            [(item, grants[item.port]) for item in in_order if item.port in grants],
            frozenset(self.refused),
            self.faults,
            self.bindings.claims,
            self.bindings.notices,
        )

    def lose(self, losses: Iterable[tuple[Wanted, Fault]]) -> None:
        for item, fault in losses:
            self.lost.add(item.port)
            self.faults.append(fault)

    def requesting(self, items: Iterable[Wanted]) -> Iterator[tuple[Wanted, Fault]]:
        """Find attachments that ask for addresses and cannot, on networks that hand out their own.

        The 2023 releases ignored the wish, those of 2024 refuse the pod (allocator/pod/pod_annotation.go).
        """
        for item in items:
            if item.attachment.ips and item.network.ranges and (why := self.unwelcome(item)):
                yield item, item.fault(why, "ips")

    def unwelcome(self, item: Wanted) -> str:
        """Return why an attachment must not ask for addresses, "" if it may."""
        if not self.honours_wishes:
            refusal = "cannot ask for addresses on a network that has subnets: custom network configuration disabled"
            return "" if self.topology.style == "2023" else refusal
        return strange_wishes(item, self.bindings.claims.get(item.port))

    def applicants(self, network: Network, items: Iterable[Wanted]) -> dict[str, Applicant]:
        """Return what there is to know of attachments that are not plain, or whose port is there already."""
        known = self.claims.ports
        if not (known or network.name in self.with_wishes):
            return {}
        return {item.port: self.applicant(item) for item in items if not item.is_plain or item.port in known}

    def applicant(self, item: Wanted) -> Applicant:
        if item.is_plain:
            return Applicant(item, self.held_by(item))
        claim = self.bindings.claims.get(item.port)
        wish = item.attachment.addresses if self.honours_wishes else ()
        return Applicant(item, self.held_by(item), wish, claim.addresses if claim else ())

    def slice(self, network: Layer3) -> None:
        sliced = slice_nodes(network, self.nodes, self.staying_slices(network))
        self.slices[network.name] = sliced.slices
        self.faults += sliced.faults
        described = {node.name for node in self.nodes}
        switch_of = BUILDERS[network.topology].switch_of
        switches = {switch_of(network, node) for node in sliced.slices}
        groups = (items for switch, items in self.wanted[network.name].items() if switch not in switches)
        lost = sorted(chain.from_iterable(groups), key=attrgetter("pod.namespace", "pod.name"))
        self.lose((item, homeless(item, described, self.topology.gaps)) for item in lost)

    def staying_slices(self, network: Layer3) -> Mapping[str, HeldSlices]:
        """Return the slices in the database of nodes that are described, or whose rows stay."""
        known = {node.name for node in self.nodes} | self.left_alone.nodes
        before = names.prefix(network.name)
        found: dict[str, HeldSlices] = {}
        for switch, held in self.claims.slices.items():
            node = switch.removeprefix(before)
            if node != switch and (node in known or (held.network == network.name and not self.is_released(held))):
                found[node] = held
        return found

    def is_released(self, held: Held | HeldSlices) -> bool:
        """Whether a row goes if nobody wants it."""
        spoken_for = self.left_alone.complete and held.network not in self.left_alone.networks
        return spoken_for and self.released_by is not None and held.owner == self.released_by

    def grant_all(self) -> dict[str, Grant]:
        """Grant part by part, and again whatever those who got nothing matter to, until nobody else is lost."""
        for network in self.networks:
            self.parts[network.name] = list(self.parts_of(network))
            for part in self.parts[network.name]:
                self.parts_by_switch.setdefault(part.switch, []).append(part)
            switches = {part.switch for part in self.parts[network.name]}
            for switch in switches | self.wanted[network.name].keys():
                self.networks_by_switch.setdefault(switch, []).append(network.name)
        self.unsettled = set(self.parts)
        while self.unsettled:
            for network in self.networks:
                if network.name in self.unsettled:
                    self.unsettled.remove(network.name)
                    self.grant_network(network)
        grants: dict[str, Grant] = {}
        for name, parts in self.parts.items():
            if name not in self.refused:
                for part in parts:
                    grants |= part.grants
        return grants

    def grant_network(self, network: Network) -> None:
        try:
            for part in self.parts[network.name]:
                if part.is_stale:
                    self.grant_part(network, part)
        except AllocationError as error:
            self.refused.add(network.name)
            self.unsettled.discard(network.name)
            self.faults += refused_network(network, error)
        else:
            losses = [(item, item.fault(why, "mac")) for item, why in refused_macs(self.bearers(network))]
            self.lose(losses)
            self.make_way(item for item, _ in losses)

    def is_remembered(self, one: Applicant) -> bool:
        """Whether something is left of an attachment that gets nothing, so that it is in others' way."""
        return bool(one.item.given or one.wish or one.bound) or one.item.port in self.claims.ports

    def make_way(self, lost: Iterable[Wanted]) -> None:
        """Let all be granted again for whom lost attachments are in the way now, or no longer."""
        places: set[tuple[str, str]] = set()
        for item in lost:
            places.add((item.network.name, item.switch))
            if held := self.claims.ports.get(item.port):
                self.staying.add(held)
                places.add((held.network, held.switch))
        for network, switch in places:
            self.unsettle(network, switch)

    def unsettle(self, network: str, switch: str) -> None:
        flat = [] if network in self.slices else self.parts.get(network, [])
        for part in (*flat, *self.parts_by_switch.get(switch, ())):
            part.is_stale = True
        self.unsettled |= {network, *self.networks_by_switch.get(switch, ())} & self.parts.keys() - self.refused

    def bearers(self, network: Network) -> list[Bearer]:
        """Return the bearers of those MACs of a network that somebody has chosen; all others differ by themselves."""
        parts = self.parts[network.name]
        staying = [*self.bearers_that_stay(network)]
        if network.ranges and not (staying or network.name in self.with_wishes):
            return []
        unusual = (pair for part in parts for pair in part.granted if not (pair[0].is_plain and pair[1].addresses))
        choosing = (bearer_of_grant(*pair, self.held_by(pair[0])) for pair in unusual if may_choose_mac(*pair))
        chosen = {bearer.mac for bearer in (*choosing, *staying) if not bearer.is_made}
        if not chosen:
            return []
        sharing = (pair for part in parts for pair in part.granted if pair[1].mac in chosen)
        served = [bearer_of_grant(item, grant, self.held_by(item)) for item, grant in sharing]
        return served + [bearer for bearer in staying if bearer.mac in chosen]

    def bearers_that_stay(self, network: Network) -> Iterator[Bearer]:
        """Yield who cannot be served, and whose port stays."""
        wanted = self.wanted[network.name]
        for item in chain.from_iterable(wanted.values()) if self.lost else ():
            if item.port in self.lost and item.given and item.given.mac:
                yield bearer_of_told(item, item.given)
        switches = wanted if self.staying.by_switch else ()
        ports = {held.port: held for held in self.staying.by_network.get(network.name, ())}
        ports |= {held.port: held for switch in switches for held in self.staying.by_switch.get(switch, ())}
        yield from map(bearer_of_port, ports.values())

    def parts_of(self, network: Network) -> Iterator[_Part]:
        """Yield every pool of a network with the attachments that it serves."""
        switch_of, wanted = BUILDERS[network.topology].switch_of, self.wanted[network.name]
        if not isinstance(network, Layer3):
            switch = switch_of(network, "")
            yield _Part(pool_of_network(network), switch, wanted.get(switch, ()))
            return
        for node, slices in self.slices[network.name].items():
            switch = switch_of(network, node)
            yield _Part(pool_of_node(network, slices), switch, wanted.get(switch, ()))

    def grant_part(self, network: Network, part: _Part) -> None:
        wanted = [item for item in part.items if item.port not in self.lost] if self.lost else part.items
        applicants = self.applicants(network, wanted)
        granted = grant_addresses(part.pool, wanted, applicants, self.in_use(network, part))
        part.is_stale = False
        part.grants = granted.grants
        losing = [item for item in wanted if item.port in granted.problems] if granted.problems else []
        self.lose((item, item.fault(granted.problems[item.port])) for item in losing)
        self.make_way(item for item in losing if item.port in applicants and self.is_remembered(applicants[item.port]))

    def held_by(self, item: Wanted) -> Held | None:
        """Return what a wanted port has in this network, unless its pod has been replaced by another of its name."""
        held = self.claims.ports.get(item.port)
        return held if held and is_held_by(held, item, item.switch) else None

    def in_use(self, network: Network, part: _Part) -> InUse:
        """Return the addresses of a pool that are in use by others than those who are to be served."""
        ports = {held.port: held for held in self.staying.by_switch.get(part.switch, ())}
        if not isinstance(network, Layer3):
            ports |= {held.port: held for held in self.staying.by_network.get(network.name, ())}
        staying = ports.values()
        claims = {f"port {held.port}": held.addresses for held in staying if held.is_pod}
        lost = [item for item in part.items if item.port in self.lost] if self.lost else []
        claims |= {item.label: item.given.addresses for item in lost if item.given}
        avoided = {f"port {held.port}": held.addresses for held in staying if not held.is_pod}
        avoided |= {f"the MAC of port {held.port}": address_behind(held.mac) for held in staying}
        avoided |= self.behind_chosen[network.name]
        avoided |= {item.label: item.attachment.addresses for item in lost if self.honours_wishes}
        return InUse(claims | self.persistent(network, part.items), avoided)

    def persistent(self, network: Network, items: Sequence[Wanted]) -> dict[str, tuple[Address, ...]]:
        """Return what IPAMClaims hold, but for those whose pods are served."""
        held = addresses_of_claims(network, self.topology.ipam_claims)
        if not held:
            return held
        claims = self.bindings.claims
        served = {str(claims[item.port]) for item in items if item.port in claims and item.port not in self.lost}
        return {claim: addresses for claim, addresses in held.items() if claim not in served}

    def stays_unwanted(self, held: Held) -> bool:
        """Whether a port that nobody wants keeps its addresses from others."""
        # No namespace, pod or node has a `_` in its name.
        suffix, node = "_".join(held.port.rsplit("_", 2)[1:]), held.switch.rpartition("_")[2]
        left_alone = suffix in self.suffixes_left_alone or node in self.left_alone.nodes
        return left_alone or not self.is_released(held)


def is_held_by(held: Held, item: Wanted, switch: str) -> bool:
    """Whether what a port of its name holds is the attachment's, in this network and before it was another pod's."""
    if not (held.network == item.network.name or held.switch == switch):
        return False
    return not (held.uid and item.pod.uid and held.uid != item.pod.uid)
