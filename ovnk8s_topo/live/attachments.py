"""Pods that come, go and change where nothing is amiss: only their own ports are looked at.

Law: gives what the whole plan would give, or says that more than these pods are concerned (`Entangled`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import cast

from ovnk8s_topo.addresses import Address, mac_from_identity
from ovnk8s_topo.live.occupancy import Occupancy
from ovnk8s_topo.live.shelf import Draw, Shelf
from ovnk8s_topo.live.standing import Standing, Step, place_in_line, units_of
from ovnk8s_topo.nb.rowset import RowSet
from ovnk8s_topo.nb.tables import Key
from ovnk8s_topo.planner import Desired, Grant
from ovnk8s_topo.planner.addressing import brought_along, claim_of, mac_of
from ovnk8s_topo.planner.allocation import is_held_by
from ovnk8s_topo.planner.claims import Held
from ovnk8s_topo.planner.common import pod_port_row
from ovnk8s_topo.planner.macs import behind_chosen_macs
from ovnk8s_topo.planner.wanted import Wanted


class Entangled(Exception):
    """More than the pods themselves is concerned: plan their networks."""


ShelfOf = Callable[[Wanted], Shelf]
"""Finds the shelf of the pool that an attachment gets its addresses from."""


def plan_attachments(
    gone: Sequence[Wanted], come: Sequence[Wanted], standing: Standing, occupancy: Occupancy, shelf_of: ShelfOf
) -> Step:
    """Return the plan of some pods.

    gone  what they were attached to; it is released before anybody is served
    come  what they shall be attached to

    Entangled  others are concerned, or somebody gets nothing
    """
    return _Service(gone, come, standing, occupancy, shelf_of).run()


class _Service:
    def __init__(
        self,
        gone: Sequence[Wanted],
        come: Sequence[Wanted],
        standing: Standing,
        occupancy: Occupancy,
        shelf_of: ShelfOf,
    ) -> None:
        self.gone, self.come = gone, sorted(come, key=place_in_line) if len(come) > 1 else come
        self.standing, self.occupancy, self.shelf_of = standing, occupancy, shelf_of
        self.draws: dict[str, Draw] = {}
        self.avoided: dict[str, Counter[Address]] = {}
        self.released_macs: Counter[tuple[str, str]] = Counter()
        self.taken_macs: set[tuple[str, str]] = set()
        self.grants: dict[str, Grant] = {}

    def run(self) -> Step:
        self.check_names()
        self.change_avoided()
        for item in self.gone:
            self.release(item)
        with_pool = [item for item in self.come if item.network.ranges]
        self.serve(with_pool)
        for item in self.come:
            if not item.network.ranges:
                self.grants[item.port] = self.own(item)
        for item in self.come:
            self.take_mac(item)
        return Step(self.desired(), list(units_of(self.gone)), self.gone, self.come)

    def check_names(self) -> None:
        leaving = {id(item) for item in self.gone}
        ours = set(units_of(self.gone))
        ports, left = {item.port for item in self.come}, {item.port for item in self.gone}
        for item in self.come:
            unit = self.standing.units.get(Key("Logical_Switch_Port", item.port))
            rivals = [other for other in self.standing.ports.get(item.port, ()) if id(other) not in leaving]
            if rivals or (unit and unit not in ours) or item.attachment.ipam_claim_reference:
                raise Entangled
            if item.port in self.occupancy.ports and item.port not in left:
                raise Entangled
            if item.attachment.ips and item.network.ranges and not self.standing.honours_wishes:
                raise Entangled
        if len(ports) < len(self.come):
            raise Entangled

    def change_avoided(self) -> None:
        """Find the addresses behind chosen MACs as they are after the event."""
        for network in {item.network.name for item in (*self.gone, *self.come)}:
            self.avoided[network] = Counter()
        for items, sign in ((self.gone, -1), (self.come, 1)):
            for item in items:
                for address in behind_chosen_macs(item, self.standing.honours_wishes):
                    self.avoided[item.network.name][address] += sign

    def draw_of(self, item: Wanted) -> Draw:
        if item.switch not in self.draws:
            network = item.network.name
            avoided = _Sum(self.standing.avoided.get(network, {}), self.avoided[network])
            self.draws[item.switch] = Draw(self.shelf_of(item), avoided)
        return self.draws[item.switch]

    def release(self, item: Wanted) -> None:
        held = self.occupancy.ports.get(item.port)
        if held is None:
            raise Entangled
        self.released_macs[item.network.name, held.mac] += 1
        if item.network.ranges:
            self.draw_of(item).release(held.addresses)

    def serve(self, items: Sequence[Wanted]) -> None:
        """Whoever has addresses keeps them, then come those who ask for some, then all others."""
        newcomers = []
        for item in items:
            has = self.kept(item)
            if not has:
                newcomers.append(item)
            elif len(has) == len(self.draw_of(item).shelf.pools.pools) and self.draw_of(item).take(has):
                self.grants[item.port] = Grant(mac_of(item, has), has)
            else:
                raise Entangled
        # All wishes go before whatever is free: also before what is lacking to those who ask.
        wishes = {item.port: self.asked(item) for item in newcomers}
        for item in newcomers:
            addresses = self.completed(item, wishes[item.port])
            self.grants[item.port] = Grant(mac_of(item, addresses), addresses)

    def held(self, item: Wanted) -> Held | None:
        held = self.occupancy.ports.get(item.port)
        return held if held and is_held_by(held, item, item.switch) else None

    def kept(self, item: Wanted) -> tuple[Address, ...]:
        pools = self.draw_of(item).shelf.pools
        return pools.fitting(claim_of(item, self.held(item), pools.fitting))

    def asked(self, item: Wanted) -> tuple[Address, ...]:
        """Take what an attachment asks for."""
        draw, wish = self.draw_of(item), item.attachment.addresses
        wanted = tuple(dict.fromkeys(wish))
        if len(draw.shelf.pools.fitting(wanted)) < len(wish) or any(address in draw.avoided for address in wanted):
            raise Entangled
        if not draw.take(wanted):
            raise Entangled
        return wanted

    def completed(self, item: Wanted, wanted: tuple[Address, ...]) -> tuple[Address, ...]:
        """Take what is lacking to an attachment."""
        draw = self.draw_of(item)
        rest = draw.take_lowest(wanted)
        if rest is None:
            raise Entangled
        return draw.shelf.pools.in_order((*wanted, *rest))

    def own(self, item: Wanted) -> Grant:
        mac, addresses = brought_along(item, self.held(item))
        return Grant(mac or mac_from_identity(item.port), addresses)

    def take_mac(self, item: Wanted) -> None:
        place = item.network.name, self.grants[item.port].mac
        borne = self.occupancy.macs.get(item.network.name, {}).get(place[1], 0)
        if place in self.taken_macs or borne > self.released_macs[place]:
            raise Entangled
        self.taken_macs.add(place)

    def desired(self) -> Desired:
        pairs = [(item, self.grants[item.port]) for item in self.come]
        owner = self.standing.owner
        rows = [pod_port_row(i.network, i.switch, i.pod, i.nad_key, *got, owner, i.port) for i, got in pairs]
        units = dict(zip((row.key for row in rows), units_of(self.come), strict=True))
        return Desired(RowSet(rows), grants=dict(self.grants), units=units)


class _Sum(Container[Address]):
    """The addresses of which two counts together leave at least one."""

    def __init__(self, first: Mapping[Address, int], second: Mapping[Address, int]) -> None:
        self.first, self.second = first, second

    def __contains__(self, address: object) -> bool:
        key = cast(Address, address)
        return self.first.get(key, 0) + self.second.get(key, 0) > 0
