"""What every switch port of a database holds, kept current row by row."""

from __future__ import annotations

from collections.abc import Iterable

from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import OWNER_KEY, LogicalSwitchPort
from ovnk8s_topo.planner import Grant
from ovnk8s_topo.planner.claims import Held, held_by_port

Ports = dict[str, Held]
"""Port name -> what it holds."""


class Occupancy:
    """Who holds which addresses and MACs, whoever wrote the rows.

    ports       everybody
    by_network  network -> who says that it belongs there
    by_switch   name of a switch -> who is in it
    macs        network -> MAC -> how many bear it there
    """

    def __init__(self) -> None:
        self.ports: Ports = {}
        self.by_network: dict[str, Ports] = {}
        self.by_switch: dict[str, Ports] = {}
        self.macs: dict[str, dict[str, int]] = {}
        self._by_uuid: dict[str, Held] = {}

    def read(self, uuid: str, snapshot: Snapshot) -> tuple[Held | None, Held | None]:
        """Read a row of Logical_Switch_Port again; return what it held before and what it holds now."""
        stored = snapshot.rows.get(uuid)
        return self.note(uuid, held_by_port(stored, snapshot) if stored else None)

    def note(self, uuid: str, now: Held | None) -> tuple[Held | None, Held | None]:
        """Note what a row holds; return what it held before and what it holds now."""
        before = self._by_uuid.pop(uuid, None)
        if before:
            self._forget(before)
        if now:
            self._by_uuid[uuid] = now
            self._note(now)
        return before, now

    def knows(self, uuid: str) -> bool:
        """Whether a row is known to hold anything."""
        return uuid in self._by_uuid

    def has(self, uuid: str, held: Held) -> bool:
        """Whether this was noted of a row."""
        return self._by_uuid.get(uuid) is held

    def of(self, network: str, switches: Iterable[str]) -> Ports:
        """Return the ports of a network and of some switches."""
        found = dict(self.by_network.get(network, {}))
        for switch in switches:
            found |= self.by_switch.get(switch, {})
        return found

    def _note(self, held: Held) -> None:
        self.ports[held.port] = held
        self.by_network.setdefault(held.network, {})[held.port] = held
        self.by_switch.setdefault(held.switch, {})[held.port] = held
        macs, mac = self.macs.setdefault(held.network, {}), held.mac
        macs[mac] = macs.get(mac, 0) + 1

    def _forget(self, held: Held) -> None:
        _drop(self.by_network, held.network, held)
        _drop(self.by_switch, held.switch, held)
        if self.ports.get(held.port) is held:
            del self.ports[held.port]
        macs, mac = self.macs[held.network], held.mac
        macs[mac] -= 1
        if not macs[mac]:
            del macs[mac]


def held_as_planned(row: LogicalSwitchPort, grant: Grant) -> Held | None:
    """Return what `held_by_port` finds in a row that was made for a grant, None if that is not plain to see.

    row  with its owner's mark
    """
    network = row.external_ids.get("k8s.ovn.org/network")
    if not network or row.addresses != row.port_security:
        return None
    return Held(
        port=row.name,
        owner=row.external_ids.get(OWNER_KEY),
        network=network,
        switch=row.parent,
        is_pod=row.external_ids.get("pod") == "true",
        uid=row.options.get("iface-id-ver", ""),
        readings=((grant.mac, grant.addresses),),
    )


def _drop(index: dict[str, Ports], place: str, held: Held) -> None:
    ports = index[place]
    if ports.get(held.port) is held:
        del ports[held.port]
    if not ports:
        del index[place]
