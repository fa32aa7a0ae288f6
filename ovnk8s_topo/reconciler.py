"""The front door: plan, apply, verify, destroy.

Law: the only place that puts planner, diff and backend together; what it does is a function of topology and database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple, Self

from ovnk8s_topo.backends.contract import Committed, Level, NbBackend
from ovnk8s_topo.batches import batches
from ovnk8s_topo.collector import paused
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.live import Draft, Engine, Event, Lone, Object, Outcome
from ovnk8s_topo.live.failure import Underway, doubt, inherit
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planning import Options, is_modest, pinned, plan_destruction, plan_from_snapshot, unguarded_plan
from ovnk8s_topo.spec import Topology

__all__ = ["DEFAULT_OWNER", "Atomic", "Batch", "Options", "Reconciler", "Result", "Wait", "plan_from_snapshot"]

DEFAULT_OWNER = "ovnk8s-topo"

Atomic = Literal["topology", "unit"]
"""What is all or nothing: the whole, or each network, each node of a network and each attachment by itself."""

Wait = Literal["nb", "sb", "hv"]
"""What `apply` waits for: the commit, northd, or every chassis."""


@dataclass(frozen=True)
class Result:
    """What `apply`, `destroy` or an event did.

    changes   what was written
    tell      returns what was planned for it, always the same
    attempts  how often the database was read and the plan computed
    """

    changes: ChangeSet
    tell: Callable[[], Plan] = field(repr=False, compare=False)
    attempts: int

    @cached_property
    def plan(self) -> Plan:
        """What was planned in the attempt that succeeded; worked out when somebody asks."""
        plan = self.tell()
        # An attempt whose reply was lost has done it if the next one finds nothing to do.
        return plan if self.changes is plan.changes else replace(plan, changes=self.changes)

    @property
    def status(self) -> Literal["applied", "unchanged"]:
        """Whether anything was written; an unknown outcome is an exception, OutcomeUnknown."""
        return "unchanged" if self.changes.is_empty else "applied"


class Batch:
    """What a `Reconciler.batch` collects.

    result  of its one transaction; None until the block has ended
    """

    def __init__(self) -> None:
        self.draft = Draft()
        self.result: Result | None = None

    def put(self, *objects: Object) -> None:
        """Want these objects, in the place of those of the same names."""
        self.draft.put(objects)

    def remove(
        self,
        *objects: Object,
        networks: Iterable[str] = (),
        nodes: Iterable[str] = (),
        pods: Iterable[str] = (),
        ipam_claims: Iterable[str] = (),
    ) -> None:
        """Want these objects no more; see `Reconciler.remove`."""
        self.draft.remove(objects, networks, nodes, pods, ipam_claims)


class Reconciler:
    """Keeps a Northbound database as a topology wants it.

    nb         the database
    owner      the name under which rows are marked; rows of other names are never touched
    timeout_s  deadline of each call in seconds, unless the call says otherwise

    `apply` takes the whole topology. From then on `put`, `remove` and `batch` change it object by object, at a cost
    that depends on what they concern and not on what there is. One thread at a time may use a reconciler.
    """

    def __init__(self, nb: NbBackend, *, owner: str = DEFAULT_OWNER, timeout_s: float = 30.0) -> None:
        if not owner or not owner.isprintable():
            raise SpecError([Problem("owner", "must be a printable name", given=repr(owner))])
        self.nb, self.owner, self.timeout_s = nb, owner, timeout_s
        self._engine: Engine | None = None
        self._underway: Underway | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.nb.close()

    def plan(
        self,
        topology: Topology,
        *,
        prune: bool = False,
        allow_mass_delete: bool = False,
        adopt: bool = False,
        keep_going: bool = False,
        timeout_s: float | None = None,
    ) -> Plan:
        """Return what must change; nothing is written. The options are those of `Options`.

        AllocationError  somebody gets no address or slice (unless keep_going)
        OwnershipError   a row belongs to somebody else (unless keep_going)
        PruneRefused     prune would delete too much
        BackendError     the database cannot be read
        """
        options = Options(prune, allow_mass_delete, adopt, keep_going)
        snapshot = self.nb.snapshot(timeout_s=self._timeout(timeout_s))
        with paused():
            return plan_from_snapshot(topology, snapshot, self.owner, options)

    def apply(
        self,
        wanted: Plan | Topology,
        *,
        prune: bool = False,
        allow_mass_delete: bool = False,
        adopt: bool = False,
        keep_going: bool = False,
        atomic: Atomic = "topology",
        wait: Wait = "nb",
        timeout_s: float | None = None,
    ) -> Result:
        """Make the database what is wanted, by one transaction unless told otherwise.

        The same topology again, or one that differs in little, is compared with the last one, and only what differs,
        or what others have changed meanwhile, is planned.

        wanted  a plan: done exactly as it stands, or refused if a row that it touches has changed since.
                A topology: planned anew in each attempt, so that other writers merely cost another attempt.
                The options count only for a topology; a plan has its own. Before `put` and `remove`, apply a topology.
        atomic  ``unit``: in several transactions, each of some whole units. Quicker, and kinder to other clients,
                where there are tens of thousands of new rows; an error may then leave some units written

        ConflictError   the plan no longer fits, or other writers were faster until the deadline
        OutcomeUnknown  the deadline passed after the transaction was sent: plan again to learn what happened
        NotReached      written, but `wait` was not confirmed by the deadline
        and whatever `plan` raises; then nothing was written
        """
        options = Options(prune, allow_mass_delete, adopt, keep_going)
        if isinstance(wanted, Plan):
            self._engine = self._underway = None
            return self._commit(lambda snapshot: pinned(wanted, snapshot), _How(wait, timeout_s, atomic))
        with paused():
            return self._apply(wanted, options, _How(wait, timeout_s, atomic))

    def put(self, *objects: Object, wait: Wait = "nb", timeout_s: float | None = None) -> Result:
        """Want these objects (networks, Nodes, Pods, IPAMClaims), in the place of those of the same names.

        One transaction, planned under the options of the last `apply`. A pod waits for its network or node if that
        has not been put yet. The result's plan is about the objects that the event concerns: those put, and pods
        whose ports changed for it; `plan.told` says what they are to be told.

        SpecError  nothing has been applied yet, or a network cannot be beside the others
        and whatever `apply` raises; then nothing has changed, neither in the database nor in what is wanted
        """
        engine, draft = self._known(), Draft()
        draft.put(objects)
        return self._happen(draft, engine, _How(wait, timeout_s))

    def remove(
        self,
        *objects: Object,
        networks: Iterable[str] = (),
        nodes: Iterable[str] = (),
        pods: Iterable[str] = (),
        ipam_claims: Iterable[str] = (),
        wait: Wait = "nb",
        timeout_s: float | None = None,
    ) -> Result:
        """Want these objects no more, given as values or by name, pods and IPAMClaims as ``namespace/name``.

        Exactly their rows are deleted; no `prune` is needed for that, and it does not matter how many they are.
        Removing what is not wanted anyway does nothing, so that a deletion may be told twice.

        SpecError  nothing has been applied yet
        and whatever `apply` raises, as for `put`
        """
        engine, draft = self._known(), Draft()
        draft.remove(objects, networks, nodes, pods, ipam_claims)
        return self._happen(draft, engine, _How(wait, timeout_s))

    @contextmanager
    def batch(self, *, wait: Wait = "nb", timeout_s: float | None = None) -> Iterator[Batch]:
        """Collect what is put and removed in a `with` block, and do it in one transaction at its end.

        Of several things that are said about one object the last one counts. If the block raises, nothing is done.
        The errors are those of `put`.
        """
        self._known()
        batch = Batch()
        yield batch
        batch.result = self._happen(batch.draft, self._known(), _How(wait, timeout_s))

    def verify(self, topology: Topology, *, timeout_s: float | None = None) -> Plan:
        """Compare the database with the topology: an empty plan means that it holds exactly what is wanted.

        Unlike `plan`, leftovers count: rows of the owner that the topology does not describe appear as deletions,
        however many they are.

        AllocationError, OwnershipError, BackendError  as for `plan`
        """
        snapshot = self.nb.snapshot(timeout_s=self._timeout(timeout_s))
        with paused():
            return unguarded_plan(topology, snapshot, self.owner, Options(prune=True))

    def destroy(
        self, networks: Iterable[str] | None = None, *, wait: Wait = "nb", timeout_s: float | None = None
    ) -> Result:
        """Delete every row of the owner.

        networks  only rows of these networks; None: of all

        OwnershipError  a switch or router of ours holds something of somebody else
        """
        chosen = None if networks is None else frozenset(networks)
        self._engine = self._underway = None
        with paused():
            return self._commit(lambda snapshot: plan_destruction(snapshot, self.owner, chosen), _How(wait, timeout_s))

    def _settle(self) -> None:
        """Take back an event where that was broken off itself, as by a second interrupt."""
        if self._underway is not None:
            self._underway.take_back(None)
            self._underway = None

    def _known(self) -> Engine:
        if self._underway is not None:
            self._settle()
        if self._engine is None:
            why = "nothing is known yet: apply the whole topology first, then put and remove"
            raise SpecError([Problem("topology", why)])
        return self._engine

    def _apply(self, topology: Topology, options: Options, how: _How) -> Result:
        self._settle()
        engine = self._engine
        if engine and engine.options == options and (event := engine.small_event(topology)) is not None:
            return self._follow(topology, event, engine, how)
        return self._apply_whole(topology, options, how)

    def _apply_whole(self, topology: Topology, options: Options, how: _How) -> Result:
        made: list[Engine] = []

        def plan_in(snapshot: Snapshot) -> Plan:
            plan = plan_from_snapshot(topology, snapshot, self.owner, options)
            made[:] = [Engine(plan, options, snapshot.serial)]
            return plan

        def learn() -> None:
            self._engine = inherit(made[0], known)

        known = self._engine
        try:
            return self._commit(plan_in, how, learn)
        except BaseException as fault:
            if known is not None and known is self._engine:
                doubt(known, made, fault)
            raise

    def _follow(self, topology: Topology, event: Event, engine: Engine, how: _How) -> Result:
        """Apply a topology that differs from the last one by an event."""
        found: list[Engine | Outcome] = []
        underway = Underway(event, engine, found)

        def plan_in(snapshot: Snapshot) -> Plan:
            undo = underway.enter()
            found.clear()
            if event.is_empty and event.gaps == undo.gaps and engine.is_undisturbed(snapshot):
                return engine.whole(ChangeSet())
            outcome = engine.plan(event, undo, snapshot)
            if engine.options.allow_mass_delete or is_modest(outcome.plan, topology):
                found.append(outcome)
                return outcome.plan
            plan = plan_from_snapshot(topology, snapshot, self.owner, engine.options)
            found.append(Engine(plan, engine.options, snapshot.serial))
            return plan

        def learn() -> None:
            for it in found:
                if isinstance(it, Engine):
                    self._engine = inherit(it, engine)
                else:
                    engine.accept(it)
            engine.topology = topology
            self._underway = None

        self._underway = underway
        try:
            result = self._commit(plan_in, how, learn)
        except BaseException as fault:
            if self._underway is not None:
                underway.take_back(fault)
                self._engine, self._underway = engine, None
            raise
        if self._engine is not engine:
            return result
        whole = engine.whole(result.changes)
        return Result(result.changes, lambda: whole, result.attempts)

    def _happen(self, draft: Draft, engine: Engine, how: _How) -> Result:
        """Do one transaction for what a draft changes, and know it if that has succeeded."""
        roll = engine.roll
        event, gaps = roll.event(draft), roll.gaps
        outcomes: list[Outcome | Lone] = []
        timeout_s = self._timeout(how.timeout_s)
        deadline = time.monotonic() + timeout_s

        def decide(snapshot: Snapshot) -> ChangeSet:
            engine.retract()
            outcome: Outcome | Lone | None = engine.plan_lone(event, gaps, snapshot)
            if outcome is None:
                undo = underway.enter()
                with paused():
                    outcome = engine.plan(event, undo, snapshot)
            outcomes.append(outcome)
            return outcome.changes

        def meanwhile() -> None:
            underway.enter()
            engine.expect(outcomes[-1])

        underway = self._underway = Underway(event, engine, outcomes)
        try:
            done = self.nb.commit(decide, timeout_s=timeout_s, confirm=how.wait != "nb", meanwhile=meanwhile)
            underway.enter()
            engine.accept(outcomes[-1], done.shown_at)
            self._underway = None
        except BaseException as fault:
            underway.take_back(fault)
            self._underway = None
            raise
        if how.wait != "nb":
            self._wait(how.wait, done, deadline)
        return Result(done.changes, outcomes[-1].tell, done.attempts)

    def _timeout(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else timeout_s

    def _commit(
        self, plan_in: Callable[[Snapshot], Plan], how: _How, learn: Callable[[], None] = lambda: None
    ) -> Result:
        timeout_s = self._timeout(how.timeout_s)
        deadline = time.monotonic() + timeout_s
        last: list[Plan] = []

        def decide(snapshot: Snapshot) -> ChangeSet:
            last[:] = [plan_in(snapshot)]
            return last[0].changes

        def cut(changes: ChangeSet) -> Iterable[ChangeSet]:
            return batches(changes, last[0].desired.units)

        done = self.nb.commit(
            decide, timeout_s=timeout_s, confirm=how.wait != "nb", cut=cut if how.atomic == "unit" else None
        )
        learn()
        if how.wait != "nb":
            self._wait(how.wait, done, deadline)
        [plan] = last
        return Result(done.changes, lambda: plan, done.attempts)

    def _wait(self, wait: Level, done: Committed, deadline: float) -> None:
        left = max(deadline - time.monotonic(), 0.1)
        nb_cfg = done.nb_cfg or self.nb.snapshot(timeout_s=left).nb_cfg
        self.nb.wait(wait, nb_cfg, timeout_s=left)


class _How(NamedTuple):
    """How a plan is carried out; see `Reconciler.apply`."""

    wait: Wait
    timeout_s: float | None
    atomic: Atomic = "topology"
