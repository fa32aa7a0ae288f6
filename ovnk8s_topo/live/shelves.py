"""The shelves of all networks, each made when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable

from ovnk8s_topo.live.occupancy import Occupancy
from ovnk8s_topo.live.roll import Roll
from ovnk8s_topo.live.shelf import Shelf
from ovnk8s_topo.live.standing import Standing
from ovnk8s_topo.planner.addressing import pool_of_network, pool_of_node
from ovnk8s_topo.planner.claims import Held
from ovnk8s_topo.planner.macs import address_behind
from ovnk8s_topo.planner.persistent import addresses_of_claims
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Layer3


class Shelves:
    """Keeps a shelf for each switch of a network that nothing is amiss with."""

    def __init__(self, roll: Roll, standing: Standing, occupancy: Occupancy) -> None:
        self.roll, self.standing, self.occupancy = roll, standing, occupancy
        self._by_network: dict[str, dict[str, Shelf]] = {}

    def of(self, item: Wanted) -> Shelf:
        """Return the shelf of the pool that an attachment gets its addresses from."""
        shelves = self._by_network.setdefault(item.network.name, {})
        if item.switch not in shelves:
            shelves[item.switch] = self._made(item)
        return shelves[item.switch]

    def drop(self, networks: Iterable[str]) -> None:
        """Forget the shelves of networks that were planned as a whole, or that others meddle with."""
        for network in networks:
            self._by_network.pop(network, None)

    def follow(self, before: Held | None, now: Held | None) -> None:
        """Take in that a port, as it was planned, has become another one, as it is planned."""
        if before and (shelf := self._by_network.get(before.network, {}).get(before.switch)):
            shelf.release(before.addresses)
        if now and (shelf := self._by_network.get(now.network, {}).get(now.switch)):
            shelf.hold(now.addresses)

    def _made(self, item: Wanted) -> Shelf:
        network = item.network
        if isinstance(network, Layer3):
            shelf = Shelf(pool_of_node(network, self.standing.slices[network.name][item.pod.node]))
            ports = self.occupancy.by_switch.get(item.switch, {})
        else:
            shelf = Shelf(pool_of_network(network))
            ports = self.occupancy.of(network.name, [item.switch])
        for held in ports.values():
            shelf.hold(held.addresses)
            if held.port not in self.standing.ports:
                shelf.hold(address_behind(held.mac))
        for addresses in addresses_of_claims(network, self.roll.ipam_claims.values()).values():
            shelf.hold(addresses)
        return shelf
