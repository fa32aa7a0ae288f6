"""The front door: plan, apply, verify, destroy.

Law: the only place that puts planner, diff and backend together; what it does is a function of topology and database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

from ovnk8s_topo.backends.contract import Committed, NbBackend
from ovnk8s_topo.diff import ChangeSet, Delete, Rules, diff, fits, is_done
from ovnk8s_topo.errors import AllocationError, ConflictError, OwnershipError, Problem, PruneRefused, SpecError
from ovnk8s_topo.nb.ownership import external_ids_of, marked, owned_by
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import Key
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Desired, claims_from_snapshot, desired_from_topology, scope_from_gaps
from ovnk8s_topo.planner.names import load_balancer_groups, prefix
from ovnk8s_topo.spec import Gaps, Topology

DEFAULT_OWNER = "ovnk8s-topo"

FEW_DELETIONS, DELETED_SHARE = 10, 0.3
"""Pruning more rows than the larger of ten and three tenths of one's own asks for a permission of its own."""

Wait = Literal["nb", "sb", "hv"]
"""What `apply` waits for: the commit, northd, or every chassis."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to reconcile.

    prune              delete rows of the owner that the topology does not describe
    allow_mass_delete  also many of them at once
    adopt              take over rows that have the right name and no owner
    keep_going         leave out what cannot be had, and do the rest
    """

    prune: bool = False
    allow_mass_delete: bool = False
    adopt: bool = False
    keep_going: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What `apply` or `destroy` did.

    plan      what was planned in the attempt that succeeded
    attempts  how often the database was read and the plan computed
    """

    plan: Plan
    attempts: int

    @property
    def status(self) -> Literal["applied", "unchanged"]:
        """Whether anything was written; an unknown outcome is an exception, OutcomeUnknown."""
        return "unchanged" if self.plan.is_empty else "applied"


class Reconciler:
    """Keeps a Northbound database as a topology wants it.

    nb         the database
    owner      the name under which rows are marked; rows of other names are never touched
    timeout_s  deadline of each call in seconds, unless the call says otherwise
    """

    def __init__(self, nb: NbBackend, *, owner: str = DEFAULT_OWNER, timeout_s: float = 30.0) -> None:
        if not owner or not owner.isprintable():
            raise SpecError([Problem("owner", "must be a printable name", given=repr(owner))])
        self.nb, self.owner, self.timeout_s = nb, owner, timeout_s

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
        return plan_from_snapshot(topology, snapshot, self.owner, options)

    def apply(
        self,
        wanted: Plan | Topology,
        *,
        prune: bool = False,
        allow_mass_delete: bool = False,
        adopt: bool = False,
        keep_going: bool = False,
        wait: Wait = "nb",
        timeout_s: float | None = None,
    ) -> Result:
        """Make the database what is wanted, by one transaction.

        wanted  a plan: done exactly as it stands, or refused if a row that it touches has changed since.
                A topology: planned anew in each attempt, so that other writers merely cost another attempt.
                The options count only for a topology; a plan has its own.

        ConflictError   the plan no longer fits, or other writers were faster until the deadline
        OutcomeUnknown  the deadline passed after the transaction was sent: plan again to learn what happened
        NotReached      written, but `wait` was not confirmed by the deadline
        and whatever `plan` raises; then nothing was written
        """
        options = Options(prune, allow_mass_delete, adopt, keep_going)
        if isinstance(wanted, Plan):
            return self._commit(lambda snapshot: _pinned(wanted, snapshot), wait, timeout_s)
        return self._commit(lambda snapshot: plan_from_snapshot(wanted, snapshot, self.owner, options), wait, timeout_s)

    def verify(self, topology: Topology, *, timeout_s: float | None = None) -> Plan:
        """Compare the database with the topology: an empty plan means that it holds exactly what is wanted.

        Unlike `plan`, leftovers count: rows of the owner that the topology does not describe appear as deletions,
        however many they are.

        AllocationError, OwnershipError, BackendError  as for `plan`
        """
        snapshot = self.nb.snapshot(timeout_s=self._timeout(timeout_s))
        return _unguarded_plan(topology, snapshot, self.owner, Options(prune=True))

    def destroy(
        self, networks: Iterable[str] | None = None, *, wait: Wait = "nb", timeout_s: float | None = None
    ) -> Result:
        """Delete every row of the owner.

        networks  only rows of these networks; None: of all

        OwnershipError  a switch or router of ours holds something of somebody else
        """
        chosen = None if networks is None else frozenset(networks)
        return self._commit(lambda snapshot: plan_destruction(snapshot, self.owner, chosen), wait, timeout_s)

    def _timeout(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else timeout_s

    def _commit(self, plan_in: Callable[[Snapshot], Plan], wait: Wait, timeout_s: float | None) -> Result:
        deadline = time.monotonic() + self._timeout(timeout_s)
        last: list[Plan] = []

        def decide(snapshot: Snapshot) -> ChangeSet:
            last[:] = [plan_in(snapshot)]
            return last[0].changes

        done = self.nb.commit(decide, timeout_s=self._timeout(timeout_s), confirm=wait != "nb")
        self._wait(wait, done, deadline)
        # An attempt whose reply was lost has done it if the next one finds nothing to do.
        return Result(replace(last[0], changes=done.changes), done.attempts)

    def _wait(self, wait: Wait, done: Committed, deadline: float) -> None:
        if wait != "nb":
            left = max(deadline - time.monotonic(), 0.1)
            nb_cfg = done.nb_cfg or self.nb.snapshot(timeout_s=left).nb_cfg
            self.nb.wait(wait, nb_cfg, timeout_s=left)


def plan_from_snapshot(topology: Topology, snapshot: Snapshot, owner: str, options: Options) -> Plan:
    """Return what must change in a database of which this is the snapshot. Pure.

    The exceptions are those of `Reconciler.plan`, without BackendError.
    """
    plan = _unguarded_plan(topology, snapshot, owner, options)
    if options.prune:
        _check_prune(plan, snapshot, options)
    return plan


def _unguarded_plan(topology: Topology, snapshot: Snapshot, owner: str, options: Options) -> Plan:
    """Diff, and with keep_going leave out what belongs to others until the rest goes through."""
    claims = claims_from_snapshot(snapshot)
    blocked: frozenset[Key] = frozenset()
    problems: tuple[Problem, ...] = ()
    left_alone = topology.gaps
    released_by = owner if options.prune else None
    while True:
        desired = desired_from_topology(topology, claims, released_by=released_by, left_alone=left_alone)
        if desired.problems and not options.keep_going:
            raise AllocationError(desired.problems)
        desired = desired.without(blocked)
        covers = _unless(blocked, scope_from_gaps(desired.gaps, snapshot))
        try:
            changes = _changes(desired, snapshot, owner, options, covers)
        except OwnershipError as error:
            keys = frozenset(Key(*key) for key in error.keys)
            if not options.keep_going or keys <= blocked:
                raise
            blocked |= keys
            problems += error.problems
            stuck = _gaps_of_stuck(keys - desired.rows.keys(), topology, snapshot)
            left_alone = Gaps.union([desired.without(keys).gaps, *stuck])
            continue
        leftovers = 0 if options.prune else sum(1 for _ in _leftovers(snapshot, desired, owner, covers))
        desired = replace(desired, problems=desired.problems + problems)
        return Plan(owner, changes, desired, leftovers, topology)


def _changes(
    desired: Desired, snapshot: Snapshot, owner: str, options: Options, covers: Callable[[Stored], bool]
) -> ChangeSet:
    rows = RowSet(marked(row, owner) for row in desired.rows.values())
    return diff(rows, snapshot, Rules(owner=owner, adopt=options.adopt, prune=options.prune, covers=covers))


def _gaps_of_stuck(keys: Iterable[Key], topology: Topology, snapshot: Snapshot) -> Iterator[Gaps]:
    """Yield what to leave alone for rows that should go and cannot: what they hold is still in use."""
    described = {network.name for network in topology.networks}
    for stored in (stored for key in keys for stored in snapshot.named(key)):
        network = _network_of(stored, snapshot) or ""
        node = stored.key.name.partition(prefix(network))[2]
        if network and network not in described:
            yield Gaps(networks=frozenset({network}))
        elif node and "_" not in node:  # else it is the switch of all nodes, from when the network was of another kind
            yield Gaps(nodes=frozenset({node}))


def _unless(blocked: frozenset[Key], covers: Callable[[Stored], bool]) -> Callable[[Stored], bool]:
    return lambda stored: stored.key not in blocked and covers(stored)


def _leftovers(snapshot: Snapshot, desired: Desired, owner: str, covers: Callable[[Stored], bool]) -> Iterator[Stored]:
    for stored in snapshot.rows.values():
        if stored.key not in desired.rows and owned_by(stored, owner) and covers(stored):
            yield stored


def _check_prune(plan: Plan, snapshot: Snapshot, options: Options) -> None:
    deletions, desired, owner = len(plan.changes.of(Delete)), plan.desired, plan.owner
    if not deletions:
        return
    if not desired.rows and desired.gaps.complete:
        raise PruneRefused(f"nothing at all is described, and {deletions} rows would go: use destroy for that")
    owned = sum(1 for stored in snapshot.rows.values() if owned_by(stored, owner))
    limit = max(FEW_DELETIONS, int(owned * DELETED_SHARE))
    if deletions > limit and not options.allow_mass_delete:
        raise PruneRefused(
            f"prune would delete {deletions} of the {owned} rows of {owner!r}; more than {limit} at once need a "
            "permission of their own (allow_mass_delete)"
        )


def _pinned(plan: Plan, snapshot: Snapshot) -> Plan:
    if fits(plan.changes, snapshot):
        return plan
    if is_done(plan.changes, snapshot):
        return replace(plan, changes=ChangeSet())
    raise ConflictError("the database has changed since the plan was made; plan again")


def plan_destruction(snapshot: Snapshot, owner: str, networks: frozenset[str] | None) -> Plan:
    """Return the deletion of an owner's rows, of some networks or of all. Pure.

    OwnershipError  a switch or router holds something of somebody else
    """
    groups = {Key("Load_Balancer_Group", name) for net in networks or () for name in load_balancer_groups(net)}

    def covers(stored: Stored) -> bool:
        return networks is None or stored.key in groups or _network_of(stored, snapshot) in networks

    rules = Rules(owner=owner, prune=True, covers=covers)
    return Plan(owner, diff(RowSet(), snapshot, rules), Desired(RowSet()))


def _network_of(stored: Stored, snapshot: Snapshot) -> str | None:
    network = external_ids_of(stored.row).get("k8s.ovn.org/network")
    holders = (snapshot.rows[uuid] for uuid in stored.holders if uuid in snapshot.rows)
    return network or next((found for holder in holders if (found := _network_of(holder, snapshot))), None)
