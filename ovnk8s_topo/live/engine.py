"""Events to plans: as little is planned as an event may concern.

Law: the plan of an event does to the database what the plan of the whole topology would do.

Three ways, each falling back to the next where its conditions do not hold:

attachments  pods on networks that nothing is amiss with: only their own ports are looked at
networks     what the event touches is planned anew; of layer3 networks that nothing is amiss with, the nodes concerned
everything   the plan of the whole topology
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ovnk8s_topo.diff import ChangeSet, Insert, Rules, diff
from ovnk8s_topo.errors import OwnershipError
from ovnk8s_topo.live.attachments import Entangled, plan_attachments
from ovnk8s_topo.live.doubts import Doubts
from ovnk8s_topo.live.last_plan import LastPlan
from ovnk8s_topo.live.lone import Lone, Loner
from ovnk8s_topo.live.memory import Memory
from ovnk8s_topo.live.outcome import Outcome, Way
from ovnk8s_topo.live.parts import Ground, given_up, left_standing, plan_among, plan_apart, plan_together, scope_of
from ovnk8s_topo.live.roll import Event, Roll
from ovnk8s_topo.live.standing import Open, Step, is_shared
from ovnk8s_topo.live.telling import plan_to_tell
from ovnk8s_topo.nb.rowset import RowSet, Snapshot
from ovnk8s_topo.nb.tables import Key, Row
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Desired, wanted_ports
from ovnk8s_topo.planner.desired import PORTS
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.planning import Options, unguarded_plan
from ovnk8s_topo.spec import Gaps, Layer3, Topology

FEW_OBJECTS, CHANGED_SHARE = 100, 0.1
"""A topology is planned by what differs from the last one up to the larger of so many objects and this share of all."""

FEW_ROWS = 100
"""Changed rows up to which an event is planned at once: more are looked at with the garbage collector at rest."""


class Engine:
    """Knows what is wanted (`roll`) and what was planned last, and plans what happens.

    plan      that was carried out, of a whole topology, made from the snapshot of this serial
    topology  what is wanted, if it is that of a plan or of the last `apply`
    doubts    rows that may have been made, or may yet be
    way       how the last event was planned

    An outcome becomes what is known by `accept`; until then nothing has changed but what was seen of the database.
    What is likely to be accepted may be expected, so that less is left to do then.
    """

    def __init__(self, plan: Plan, options: Options, serial: int) -> None:
        self.options, self.owner = options, plan.owner
        self.topology: Topology | None = plan.topology
        self.way: Way | None = None
        self._unexpect: Callable[[], None] | None = None
        self.doubts = Doubts()
        self._adrift: set[Key] = set()
        self._unseen: list[ChangeSet] = []
        self._unseen_alone: list[str] = []
        self._roll: Roll | None = None
        self._start(plan, frozenset(), serial)

    @property
    def roll(self) -> Roll:
        """What is wanted, by name; made when the first event asks for it."""
        if self._roll is None:
            self._roll = Roll(self.base.topology)
        return self._roll

    def undo_of(self, event: Event) -> Event:
        """Return the event that takes back another one."""
        return event if self._is_nothing(event) else self.roll.undo_of(event)

    def enter(self, event: Event) -> None:
        """Let the roll enter an event."""
        if not self._is_nothing(event):
            self.roll.enter(event)

    def _is_nothing(self, event: Event) -> bool:
        """Whether an event is told to be none before anybody has asked for the roll."""
        return self._roll is None and event.is_empty and event.gaps == self.base.topology.gaps

    def _start(self, plan: Plan, stale: frozenset[str], serial: int) -> None:
        self.base, self.serial = plan, serial
        self._unseen, self._unseen_alone = [plan.changes], []
        self.still_open = Open(frozenset(), stale, plan.problems, plan.desired.gaps)
        self.memory: Memory | None = None
        self.loner: Loner | None = None
        self._desired: Desired | None = None
        self._last = LastPlan(plan)
        self.dirty: set[str] = set()
        self.everything = False
        self._adrift = set()

    def small_event(self, topology: Topology) -> Event | None:
        """Return how a topology differs from the last one, None if it is better planned as a whole."""
        if topology is self.topology:
            return Event(gaps=topology.gaps)
        event = self.roll.event_of(topology)
        if event is None or event.size > max(FEW_OBJECTS, _size(topology) * CHANGED_SHARE):
            return None
        # Without `prune`, rows of what is described no more stay; an event would delete them.
        is_same = event.is_empty and event.gaps == self.roll.gaps
        return event if self.options.prune or is_same else None

    # What the reconciler asks ------------------------------------------------------------------------------------

    def is_undisturbed(self, snapshot: Snapshot) -> bool:
        """Whether every row is as it was planned, so that the same topology asks for no change."""
        if self.memory:
            return self._look(snapshot) and not (self.everything or self.dirty)
        changed = self._changed(snapshot)
        if changed is None or self._last.differing(changed, self._last.made(changed), snapshot):
            return False
        self._last.departed.clear()
        self._seen(snapshot)
        return True

    def _changed(self, snapshot: Snapshot) -> frozenset[str] | None:
        """Return the rows to look at: what is known to have changed, and what we have written ourselves.

        Of that a backend need not know: what is written and undone while a connection is broken is never told of.
        """
        changed = snapshot.changed_since(self.serial) if self.serial else None
        if changed is None or not (self._unseen or self._unseen_alone):
            return changed
        return changed.union(self._unseen_alone, *map(_uuids_of, self._unseen))

    def _seen(self, snapshot: Snapshot) -> None:
        self.serial = snapshot.serial
        self._unseen.clear()
        self._unseen_alone.clear()

    def plan_lone(self, event: Event, gaps: Gaps, snapshot: Snapshot) -> Lone | None:
        """Return what `plan` does if the event is about one pod of one attachment and plain to see, else None.

        gaps  what the description left open before the event, which may have been entered or not
        """
        loner = self.loner
        if loner is None or len(event.pods) != 1 or not event.is_about_pods_alone or event.gaps is not gaps:
            return None
        memory = loner.memory
        if not self._catch_up(memory, snapshot) or self.everything or self.dirty:
            return None
        [(name, pod)] = event.pods.items()
        gone = memory.standing.items.get(name, ())
        if len(gone) > 1 or (gone and pod is not None):
            return None
        item = gone[0] if gone else loner.roll.lone_attachment(pod) if pod is not None else None
        if item is None or not self._is_plain(item, memory):
            return None
        return loner.go(item, snapshot) if gone else loner.come(item, snapshot)

    def _catch_up(self, memory: Memory, snapshot: Snapshot) -> bool:
        """Take in what has changed; return False if that is not known or takes long."""
        if snapshot.serial == self.serial and not (self._unseen or self._unseen_alone):
            return True
        changed = self._changed(snapshot)
        if changed is None or len(changed) > FEW_ROWS:
            return False
        if len(changed) == 1 and memory.watch.confirms(next(iter(changed)), snapshot):
            self._seen(snapshot)
        else:
            self._take_in(changed, memory, snapshot)
        return True

    def _is_plain(self, item: Wanted, memory: Memory) -> bool:
        """Whether nothing is amiss with an attachment's network and node."""
        gaps, network = self.still_open.gaps, item.network
        if gaps.pods or gaps.nodes or not gaps.complete:
            return False
        if network.name in memory.watch.odd or network.name in self.still_open.networks:
            return False
        return not isinstance(network, Layer3) or item.pod.node in memory.standing.slices.get(network.name, ())

    def plan(self, event: Event, undo: Event, snapshot: Snapshot) -> Outcome:
        """Return the plan of an event that the roll has entered already.

        undo  the event that takes it back

        AllocationError, OwnershipError  as for `Reconciler.apply`
        """
        if not self._look(snapshot) or self.memory is None or self.everything or event.moves_a_prefix:
            return self._plan_everything(event, snapshot)
        memory = self.memory
        gone = [item for pod in event.pods for item in memory.standing.items.get(pod, ())]
        come = list(self.roll.attachments(event.pods))
        ground = Ground(
            self.roll,
            memory.standing,
            memory.occupancy,
            memory.watch.odd,
            snapshot,
            self.owner,
            self.options,
            self.still_open,
        )
        if not (self.dirty or self._is_entangled(event, undo, gone, come)):
            step, way = self._step(event, gone, come, ground)
            if step and (changes := self._changes(step, ground)) is not None:
                plan = Plan(self.owner, changes, step.desired, self.base.leftovers, self.base.topology)
                return self._outcome(plan, way, step, self.still_open, event, snapshot)
        scope = scope_of(event, gone, come, ground)
        # With what is amiss goes everything else that is.
        claims = (claim.network for side in (event, undo) for claim in side.ipam_claims.values() if claim)
        found = plan_together({*scope, *self.dirty, *claims}, ground)
        if found is None:
            return self._plan_everything(event, snapshot)
        step, plan, still_open = found
        return self._outcome(plan, "networks", step, still_open, event, snapshot)

    def expect(self, outcome: Outcome | Lone) -> None:
        """Prepare for the plan to be carried out, until it is accepted, or retracted before anything else is asked."""
        # Of one that is not plain more would have to be remembered.
        if isinstance(outcome, Lone) and outcome.item.is_plain and self.loner is not None:
            self._unexpect = self.loner.accept(outcome)

    def retract(self) -> None:
        """Expect nothing any more."""
        if self._unexpect is not None:
            self._unexpect()
            self._unexpect = None

    def accept(self, outcome: Outcome | Lone, shown_at: int = 0) -> None:
        """Know that the plan has been carried out.

        shown_at  see `contract.Committed`
        """
        self.doubts.recount(outcome.changes)
        if isinstance(outcome, Lone):
            assert self.loner is not None
            self.way, self.topology, self._desired = "attachments", None, None
            if self._unexpect is None:
                self.loner.accept(outcome)
            self._unexpect = None
            if shown_at:
                self.loner.memory.watch.saw(outcome.uuid)
                self.serial = shown_at
            else:
                self._unseen_alone.append(outcome.uuid)
            return
        self._unseen.append(outcome.changes)
        self.way = outcome.way
        if outcome.step is None or self.memory is None:
            self._start(outcome.plan, outcome.still_open.stale, outcome.serial)
            self.topology = outcome.plan.topology
            return
        self.topology, self._desired = None, None
        self.memory.enter(outcome.step, outcome.plan.changes, whole=outcome.way != "attachments")
        self.still_open = outcome.still_open
        self.dirty.clear()

    def start_over(self, undo: Event | None, planned: Iterable[Plan]) -> None:
        """Plan everything next time: an event was broken off, nobody knows where.

        undo     what takes it back, as far as it was entered; None: it was not
        planned  for it: what is known of their rows may have been half replaced
        """
        for plan in planned:
            self._adrift.update(plan.desired.rows)
            self._adrift.update(change.key for change in plan.changes)
        if undo is not None:
            self._roll = self.roll.restored(undo)
        self.serial = 0  # of a snapshot that nobody can say what has changed since
        self.topology = self._desired = self._unexpect = None

    def whole(self, changes: ChangeSet) -> Plan:
        """Return the plan of everything, as it stands."""
        if self.memory is None:
            return replace(self.base, changes=changes)
        if self._desired is None:
            self._desired = self.memory.standing.desired(self.still_open)
        return Plan(self.owner, changes, self._desired, self.base.leftovers, self.topology or self.roll.topology())

    # How ---------------------------------------------------------------------------------------------------------

    def _look(self, snapshot: Snapshot) -> bool:
        """Take in what has changed; return whether that is known."""
        changed = self._changed(snapshot)
        if changed is None:
            return False
        if self.memory is None:
            # What our own commit has written, or the plan has found as it shall be, need not be looked at twice.
            made = self._last.made(changed)
            differing = self._last.differing(changed, made, snapshot)
            known = {uuid: row for uuid, row in made if uuid not in differing}
            known.update(self._last.found(changed))
            changed = frozenset(differing)
            self.memory = Memory.of(self.base, self.roll)
            self.memory.watch.departed |= {uuid for uuid in self._last.departed if uuid in snapshot.rows}
            self.still_open = self.memory.read(self.still_open, snapshot, known, prune=self.options.prune)
            self.everything = self.memory.watch.misses_any
            self.loner = Loner(self.base, self.roll, self.memory)
        self._take_in(changed, self.memory, snapshot)
        return True

    def _take_in(self, changed: Iterable[str], memory: Memory, snapshot: Snapshot) -> None:
        findings = memory.look(changed, snapshot)
        if findings.networks:
            ours = self.roll.networks.keys() | memory.standing.of_network.keys() | self.still_open.networks
            self.dirty |= findings.networks & ours
        if findings.something and (self.still_open.networks or self.still_open.stale):
            self.dirty |= {*self.still_open.networks, ""}
        self.everything |= findings.everything or findings.stale
        self._seen(snapshot)

    def _is_entangled(self, event: Event, undo: Event, gone: Sequence[Wanted], come: Sequence[Wanted]) -> bool:
        """Whether an event has to do with what could not be had before, or with IPAMClaims."""
        gaps = self.still_open.gaps
        if event.ipam_claims or event.gaps != undo.gaps or not gaps.complete:
            return True
        if event.networks and (gaps.networks or gaps.nodes or gaps.pods):
            return True
        nodes = {item.pod.node for item in (*gone, *come)} | event.nodes.keys()
        touched = event.pods.keys() & gaps.pods or nodes & gaps.nodes
        return bool(touched)

    def _step(
        self, event: Event, gone: Sequence[Wanted], come: Sequence[Wanted], ground: Ground
    ) -> tuple[Step | None, Way]:
        assert self.memory is not None
        standing = ground.standing
        amiss = ground.odd | self.still_open.networks
        plain = event.is_about_pods_alone and all(
            item.network.name not in amiss
            and (not isinstance(item.network, Layer3) or item.pod.node in standing.slices.get(item.network.name, {}))
            for item in (*gone, *come)
        )
        if plain:
            try:
                step = plan_attachments(gone, come, standing, ground.occupancy, self.memory.shelves.of)
            except Entangled:
                pass
            else:
                return step, "attachments"
        scope = scope_of(event, gone, come, ground)
        return None if self.still_open.networks & scope.keys() else plan_apart(scope, event, ground), "networks"

    def _changes(self, step: Step, ground: Ground) -> ChangeSet | None:
        """Return what a step changes, None if it meets what it does not speak of."""
        units, standing = set(step.units), ground.standing
        rows: dict[Key, Row] = dict(step.desired.rows)
        for key, row in step.desired.rows.items():
            other = standing.units.get(key)
            if other not in (None, step.desired.units[key]) and other not in units and not is_shared(key):
                return None
            if row.parent_key and row.parent_key not in rows:
                rows |= standing.family(row.parent_key)
        among = given_up(step.units, step.items, ground)
        rules = Rules(owner=self.owner, adopt=self.options.adopt, prune=True, among=among)
        try:
            return diff(RowSet.by_key(rows), ground.snapshot, rules)
        except OwnershipError:
            if self.options.keep_going:
                return None
            raise

    def _plan_everything(self, event: Event, snapshot: Snapshot) -> Outcome:
        topology, stale = self.roll.topology(), frozenset[str]()
        options = replace(self.options, prune=True, allow_mass_delete=True)
        if self.options.prune:
            plan = unguarded_plan(topology, snapshot, self.owner, options)
        else:
            known = set(self.memory.standing.rows if self.memory else self.base.desired.rows)
            ports = self.memory.standing.ports if self.memory else map(_port_of, wanted_ports(self.base.topology))
            known |= {Key(PORTS, port) for port in ports} | self._adrift
            doomed = [snapshot.rows[uuid] for uuid in self.still_open.stale if uuid in snapshot.rows]
            try:
                plan, among = plan_among(known | self.doubts.keys, doomed, topology, snapshot, self.owner, options)
            except OwnershipError:
                # Perhaps somebody uses by now what is in doubt.
                plan, among = plan_among(known, doomed, topology, snapshot, self.owner, options)
            plan = replace(plan, leftovers=self.base.leftovers)
            stale = frozenset(stored.uuid for stored in left_standing(plan, among))
        still_open = Open(frozenset(), stale, plan.problems, plan.desired.gaps)
        told = plan_to_tell(plan, event, self.roll, None, ())
        return Outcome(plan, lambda: told, "everything", None, still_open, snapshot.serial)

    def _outcome(self, plan: Plan, way: Way, step: Step, still_open: Open, event: Event, snapshot: Snapshot) -> Outcome:
        assert self.memory is not None
        told = plan_to_tell(plan, event, self.roll, self.memory.standing, step.items)
        return Outcome(plan, lambda: told, way, step, still_open, snapshot.serial)


def _size(topology: Topology) -> int:
    return len(topology.networks) + len(topology.nodes) + len(topology.pods) + len(topology.ipam_claims)


def _port_of(item: Wanted) -> str:
    return item.port


def _uuids_of(changes: ChangeSet) -> list[str]:
    return [change.uuid if isinstance(change, Insert) else change.stored.uuid for change in changes.changes]
