"""One pod that comes or goes, with one attachment that has no wishes: most events are such.

Law: gives the step and the changes that `attachments` and the diff would give, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ovnk8s_topo.addresses import Subnet, mac_from_address
from ovnk8s_topo.changes import ChangeSet, Delete, Insert
from ovnk8s_topo.live.memory import Memory
from ovnk8s_topo.live.roll import Roll, built
from ovnk8s_topo.live.standing import Step
from ovnk8s_topo.live.watch import PORTS, SWITCHES
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, Key, LogicalSwitchPort, Row
from ovnk8s_topo.nb.ownership import marked, owned_by, uuid_of
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Desired, Grant, Unit
from ovnk8s_topo.planner.common import pod_port_row
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Gaps, Layer3, Topology

_REMEMBERED = 10_000
"""Switches that are known to be as planned."""

_NO_GAPS = Gaps()
_NOTHING = Desired(RowSet())

Slices = Mapping[str, tuple[Subnet, ...]]
"""Node -> its slices."""


class Lone(NamedTuple):
    """What is done for one attachment."""

    step: Step
    changes: ChangeSet


class Loner:
    """Plans attachments that come or go alone."""

    def __init__(self, memory: Memory, owner: str) -> None:
        self.memory, self.owner = memory, owner
        self._homes: dict[Key, tuple[Row, Stored]] = {}
        self._marks: dict[int, tuple[Mapping[str, str], Mapping[str, str]]] = {}

    def come(self, item: Wanted, snapshot: Snapshot) -> Lone | None:
        """Plan an attachment of a pod that has none yet."""
        key = Key(PORTS, item.port)
        grant = self._grant(item, key)
        home = self._home(item.switch, snapshot)
        uuid = uuid_of(self.owner, key)
        if grant is None or home is None or snapshot.named(key) or uuid in snapshot.rows:
            return None
        row = pod_port_row(item.network, item.switch, item.pod, item.nad_key, grant.mac, grant.addresses)
        units = {key: _unit_of(item)}
        desired = Desired(RowSet.by_key({key: row}), (), _NO_GAPS, {item.port: grant}, units=units)
        insert = Insert(uuid, self._marked(row), (home.uuid,))
        return Lone(Step(desired, (), (), (item,)), ChangeSet((insert,), {home.key: home.uuid, key: uuid}))

    def go(self, item: Wanted, snapshot: Snapshot) -> Lone | None:
        """Plan that the only attachment of a pod goes."""
        key, unit = Key(PORTS, item.port), _unit_of(item)
        found = snapshot.named(key)
        if len(found) != 1 or item.port not in self.memory.occupancy.ports or not owned_by(found[0], self.owner):
            return None
        if self.memory.standing.keys.get(unit, {}).keys() != {key}:
            return None
        return Lone(Step(_NOTHING, (unit,), (item,), ()), ChangeSet((Delete(found[0]),)))

    def _grant(self, item: Wanted, key: Key) -> Grant | None:
        """Return what a newcomer gets, None if it is not as simple as that."""
        network, attachment = item.network, item.attachment
        standing, occupancy = self.memory.standing, self.memory.occupancy
        if attachment.ips or attachment.mac or attachment.ipam_claim_reference or item.pod.given or not network.ranges:
            return None
        if key in standing.units or item.port in standing.ports or item.port in occupancy.ports:
            return None
        avoided = standing.avoided.get(network.name, ())
        addresses = tuple(pool.lowest_free(avoided) for pool in self.memory.shelves.of(item).pools.pools)
        found = tuple(address for address in addresses if address is not None)
        if len(found) < len(addresses):
            return None
        mac = mac_from_address(found[0])
        return None if mac in occupancy.macs.get(network.name, ()) else Grant(mac, found)

    def _home(self, switch: str, snapshot: Snapshot) -> Stored | None:
        """Return the row of a switch if it is as it was planned and nobody else has its name."""
        key = Key(SWITCHES, switch)
        row, found = self.memory.standing.rows.get(key), snapshot.named(key)
        if row is None or len(found) != 1:
            return None
        known = self._homes.get(key)
        if known is None or known[0] is not row or known[1] is not found[0]:
            if found[0].row != marked(row, self.owner):
                return None
            if len(self._homes) >= _REMEMBERED:
                self._homes.clear()
            self._homes[key] = row, found[0]
        return found[0]

    def _marked(self, row: LogicalSwitchPort) -> LogicalSwitchPort:
        """Return the row as `marked` does; ports that say the same of themselves go on sharing it."""
        before = row.external_ids
        known = self._marks.get(id(before))
        if known is None or known[0] is not before:
            if len(self._marks) >= _REMEMBERED:
                self._marks.clear()
            known = self._marks[id(before)] = before, {**before, OWNER_KEY: self.owner}
        return replace(row, external_ids=known[1])


def telling(plan: Plan, item: Wanted, roll: Roll, slices: Mapping[str, Slices]) -> Callable[[], Plan]:
    """Return what makes the plan that the caller is told as `plan_to_tell` would now, whatever happens until then.

    slices  of all networks
    """
    if not plan.desired.grants:
        return partial(_told, plan, partial(built, (), (), (), (), roll.cluster, roll.style, roll.gaps), {})
    network, node = item.network, item.pod.node
    claims = tuple(claim for claim in roll.ipam_claims.values() if claim.network == network.name)
    topology = partial(built, (network,), (), (item.pod,), claims, roll.cluster, roll.style, roll.gaps)
    sliced = isinstance(network, Layer3)
    return partial(_told, plan, topology, {network.name: {node: slices[network.name][node]}} if sliced else {})


def _told(plan: Plan, topology: Callable[[], Topology], slices: Mapping[str, Slices]) -> Plan:
    return replace(plan, desired=replace(plan.desired, slices=slices), topology=topology())


def _unit_of(item: Wanted) -> Unit:
    return Unit(item.network.name, pod=f"{item.pod.namespace}/{item.pod.name}", nad_key=item.nad_key)
