"""What an engine keeps beside its last plan, from the first event on: indexes of the plan and of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.live.occupancy import Occupancy, held_as_planned
from ovnk8s_topo.live.parts import unsettled_networks
from ovnk8s_topo.live.roll import Roll
from ovnk8s_topo.live.shelves import Shelves
from ovnk8s_topo.live.standing import Open, Standing, Step
from ovnk8s_topo.live.watch import Findings, Watch
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import LogicalSwitchPort, Row
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Grant, Unit
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.planning import network_of


@dataclass(slots=True)
class Memory:
    """Four views of the same: what is planned, what ports hold, what is seen of others, what is free.

    plan  the last plan of everything
    """

    plan: Plan
    standing: Standing
    occupancy: Occupancy
    watch: Watch
    shelves: Shelves

    @classmethod
    def of(cls, plan: Plan, roll: Roll) -> Memory:
        """Return the views of a plan; nothing is known of the database yet."""
        standing, occupancy = Standing(plan, roll.networks), Occupancy()
        watch = Watch(standing, occupancy, plan.owner, roll.by_prefix)
        return cls(plan, standing, occupancy, watch, Shelves(roll, standing, occupancy))

    def read(self, still_open: Open, snapshot: Snapshot, known: Mapping[str, Row], *, prune: bool) -> Open:
        """Read the whole database; return what is still open, network by network.

        known  see `Watch.read_all`
        """
        unwanted = frozenset(self.watch.read_all(snapshot, known, self.plan.desired.grants))
        stale = unwanted if prune else unwanted & still_open.stale
        topology, desired = self.plan.topology, self.plan.desired
        nodes = [node.name for node in topology.nodes]
        items = (item for items in self.standing.items.values() for item in items)
        unsettled = unsettled_networks(desired, items, topology.networks, nodes, topology.gaps)
        unsettled |= {network_of(snapshot.rows[uuid], snapshot) or "" for uuid in stale}
        return replace(still_open, networks=unsettled, stale=stale)

    def look(self, uuids: Iterable[str], snapshot: Snapshot) -> Findings:
        """Take in rows that have changed."""
        findings = self.watch.look(uuids, snapshot)
        if findings.networks:
            self.shelves.drop(findings.networks)
        for before, now in findings.ports:
            self.shelves.follow(before, now)
        return findings

    def enter(self, step: Step, changes: ChangeSet, *, whole: bool) -> None:
        """Take in a step that has been carried out.

        whole  whether networks were planned, not single attachments
        """
        self.standing.enter(step)
        self.watch.expect(changes, step.desired.grants)
        if whole:
            # With its slices, those of nodes that have no pods now may be others than their shelves were made for.
            moved = (item.network.name for item in (*step.come, *step.items))
            self.shelves.drop({*step.gone, *step.desired.slices, *moved})

    def join(self, item: Wanted, unit: Unit, row: LogicalSwitchPort, grant: Grant, uuid: str) -> Callable[[], None]:
        """Take in that an attachment has come alone, as the row `uuid`; return what takes that back."""
        self.standing.join(item, unit, row, grant)
        held = held_as_planned(row, grant)
        self.watch.arrived.clear()
        self.watch.await_row(uuid, row, held)
        if held:
            # What the last event has done most events find: it is noted now, and only confirmed then.
            self.shelves.follow(*self.occupancy.note(uuid, held))

        def take_back() -> None:
            self.standing.leave(item, unit)
            self.watch.forget(uuid)
            self.shelves.follow(*self.occupancy.note(uuid, None))

        return take_back

    def leave(self, item: Wanted, unit: Unit, uuid: str) -> Callable[[], None]:
        """Take in that an attachment has gone alone, whose row was `uuid`; return what takes that back."""
        row, grant = self.standing.leave(item, unit)
        self.watch.arrived.clear()
        self.watch.departed.add(uuid)
        before, _ = self.occupancy.note(uuid, None)
        self.shelves.follow(before, None)

        def take_back() -> None:
            self.standing.join(item, unit, row, grant)
            self.watch.departed.discard(uuid)
            self.shelves.follow(*self.occupancy.note(uuid, before))

        return take_back
