"""One pod that comes or goes, with one attachment that has no wishes: most events are such.

Law: does what `attachments` and the diff would do, or nothing. What the caller is told is made when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from ovnk8s_topo.addresses import Address, Subnet, mac_from_address
from ovnk8s_topo.diff import ChangeSet, Delete, Insert
from ovnk8s_topo.live.memory import Memory
from ovnk8s_topo.live.roll import Roll
from ovnk8s_topo.live.watch import SWITCHES
from ovnk8s_topo.nb.ownership import owned_by, uuid_of
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, LogicalSwitchPort, Row
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Desired, Grant, Unit
from ovnk8s_topo.planner.common import pod_port_row
from ovnk8s_topo.planner.desired import PORTS
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import IpamClaim, Topology

_REMEMBERED = 10_000
"""Switches that are known to be as planned."""


class Lone(NamedTuple):
    """What an event does that is about one attachment.

    uuid    of its row
    plan    an empty one that says what is the same in all: owner, leftovers, topology without objects
    coming  its row, and what it gets; None: it goes
    claims, slices  what there is to tell of the network and the node
    """

    uuid: str
    item: Wanted
    changes: ChangeSet
    plan: Plan
    coming: tuple[LogicalSwitchPort, Grant] | None = None
    claims: tuple[IpamClaim, ...] = ()
    slices: tuple[Subnet, ...] | None = None

    def tell(self) -> Plan:
        """Return the plan of the event, as `telling.plan_to_tell` does."""
        if self.coming is None:
            return replace(self.plan, changes=self.changes)
        item, (row, grant) = self.item, self.coming
        desired = Desired(
            RowSet([row]),
            grants={item.port: grant},
            slices={} if self.slices is None else {item.network.name: {item.pod.node: self.slices}},
            units={row.key: _unit_of(item)},
        )
        parts = {"networks": (item.network,), "pods": (item.pod,), "ipam_claims": self.claims}
        topology = Topology.model_construct(**{**dict(self.plan.topology), **parts})
        return replace(self.plan, changes=self.changes, desired=desired, topology=topology)


class Loner:
    """Plans attachments that come or go alone.

    plan  the last one of everything
    """

    def __init__(self, plan: Plan, roll: Roll, memory: Memory) -> None:
        self.owner, self.leftovers, self.roll, self.memory = plan.owner, plan.leftovers, roll, memory
        self._empty = Plan(plan.owner, ChangeSet(), Desired(RowSet()), plan.leftovers, roll.part((), (), ()))
        self._homes: dict[str, tuple[Key, Row, Stored]] = {}

    def come(self, item: Wanted, snapshot: Snapshot) -> Lone | None:
        """Plan an attachment of a pod that has none yet."""
        key = Key(PORTS, item.port)
        grant = self._grant(item, key)
        home = self._home(item.switch, snapshot) if grant else None
        if grant is None or home is None or snapshot.named(key):
            return None
        switch, _, stored = home
        uuid = uuid_of(self.owner, key)
        if uuid in snapshot.rows:
            return None
        row = pod_port_row(item.network, item.switch, item.pod, item.nad_key, *grant, self.owner, item.port)
        insert = Insert(uuid, row, (stored.uuid,))
        claims = self.roll.claims_of(item.network.name)
        slices = self.memory.standing.slices.get(item.network.name, {}).get(item.pod.node)
        changes = ChangeSet((insert,), {switch: stored.uuid, key: uuid})
        return Lone(uuid, item, changes, self._plan, (row, grant), claims, slices)

    def go(self, item: Wanted, snapshot: Snapshot) -> Lone | None:
        """Plan that the only attachment of a pod goes."""
        found, memory = snapshot.named(Key(PORTS, item.port)), self.memory
        if len(found) != 1 or item.port not in memory.occupancy.ports or not owned_by(found[0], self.owner):
            return None
        if len(memory.standing.keys.get(_unit_of(item), ())) != 1:
            return None
        return Lone(found[0].uuid, item, ChangeSet((Delete(found[0]),)), self._plan)

    def accept(self, lone: Lone) -> Callable[[], None]:
        """Take it for done; return what takes that back."""
        unit = _unit_of(lone.item)
        if lone.coming is None:
            return self.memory.leave(lone.item, unit, lone.uuid)
        return self.memory.join(lone.item, unit, *lone.coming, lone.uuid)

    @property
    def _plan(self) -> Plan:
        """What all plans of lone attachments have in common."""
        if self._empty.topology.gaps is not self.roll.gaps:
            self._empty = replace(self._empty, topology=self.roll.part((), (), ()))
        return self._empty

    def _grant(self, item: Wanted, key: Key) -> Grant | None:
        """Return what a newcomer gets, None if it is not as simple as that."""
        network, port, standing, occupancy = item.network.name, item.port, self.memory.standing, self.memory.occupancy
        if not item.is_plain or key in standing.units or port in standing.ports or port in occupancy.ports:
            return None
        avoided = standing.avoided.get(network, ())
        found: list[Address] = []
        for pool in self.memory.shelves.of(item).pools.pools:
            address = pool.lowest_free(avoided)
            if address is None:
                return None
            found.append(address)
        mac = mac_from_address(found[0]) if found else ""
        return None if not mac or mac in occupancy.macs.get(network, ()) else Grant(mac, tuple(found))

    def _home(self, switch: str, snapshot: Snapshot) -> tuple[Key, Row, Stored] | None:
        """Return the row of a switch, planned and there, if both are the same and nobody else has its name."""
        known = self._homes.get(switch)
        key = known[0] if known else Key(SWITCHES, switch)
        row, found = self.memory.standing.rows.get(key), snapshot.named(key)
        if row is None or len(found) != 1:
            return None
        if known is None or known[1] is not row or known[2] is not found[0]:
            if found[0].row != row:
                return None
            if len(self._homes) >= _REMEMBERED:
                self._homes.clear()
            known = self._homes[switch] = key, row, found[0]
        return known


def _unit_of(item: Wanted) -> Unit:
    return Unit(item.network.name, pod=f"{item.pod.namespace}/{item.pod.name}", nad_key=item.nad_key)
