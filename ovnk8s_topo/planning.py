"""Topology and snapshot to a plan: what `Reconciler.plan` computes.

Law: pure; equal topologies, snapshots and options give equal plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ovnk8s_topo.diff import ChangeSet, Delete, Rules, diff, fits, is_done
from ovnk8s_topo.errors import AllocationError, ConflictError, OwnershipError, Problem, PruneRefused
from ovnk8s_topo.nb.ownership import external_ids_of, owned_by
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import Key
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Claims, Desired, claims_from_snapshot, desired_from_topology, scope_from_gaps
from ovnk8s_topo.planner.names import load_balancer_groups, prefix
from ovnk8s_topo.spec import Gaps, Topology

FEW_DELETIONS, DELETED_SHARE = 10, 0.3
"""Pruning more rows than the larger of ten and three tenths of one's own asks for a permission of its own."""


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


def plan_from_snapshot(topology: Topology, snapshot: Snapshot, owner: str, options: Options) -> Plan:
    """Return what must change in a database of which this is the snapshot. Pure.

    The exceptions are those of `Reconciler.plan`, without BackendError.
    """
    plan = unguarded_plan(topology, snapshot, owner, options)
    if options.prune:
        _check_prune(plan, snapshot, options)
    return plan


def unguarded_plan(
    topology: Topology,
    snapshot: Snapshot,
    owner: str,
    options: Options,
    *,
    claims: Claims | None = None,
    among: Sequence[Stored] | None = None,
) -> Plan:
    """Return the plan, however much it deletes.

    claims  what is in use; None: what the snapshot says
    among   with `prune`: the only rows that may be deleted for not being described; None: any

    With keep_going, what belongs to others is left out until the rest goes through.
    """
    if claims is None:
        claims = claims_from_snapshot(snapshot, owner)
    blocked: frozenset[Key] = frozenset()
    problems: tuple[Problem, ...] = ()
    left_alone = topology.gaps
    released_by = owner if options.prune else None
    while True:
        desired = desired_from_topology(topology, claims, owner=owner, released_by=released_by, left_alone=left_alone)
        if desired.problems and not options.keep_going:
            raise AllocationError(desired.problems)
        desired = desired.without(blocked)
        covers = _unless(blocked, scope_from_gaps(desired.gaps, snapshot))
        rules = Rules(owner=owner, adopt=options.adopt, prune=options.prune, covers=covers, among=among)
        try:
            changes = diff(desired.rows, snapshot, rules)
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


def _gaps_of_stuck(keys: Iterable[Key], topology: Topology, snapshot: Snapshot) -> Iterator[Gaps]:
    """Yield what to leave alone for rows that should go and cannot: what they hold is still in use."""
    described = {network.name for network in topology.networks}
    for stored in (stored for key in keys for stored in snapshot.named(key)):
        network = network_of(stored, snapshot) or ""
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
    if deletions <= FEW_DELETIONS:
        return
    owned = sum(1 for stored in snapshot.rows.values() if owned_by(stored, owner))
    limit = max(FEW_DELETIONS, int(owned * DELETED_SHARE))
    if deletions > limit and not options.allow_mass_delete:
        raise PruneRefused(
            f"prune would delete {deletions} of the {owned} rows of {owner!r}; more than {limit} at once need a "
            "permission of their own (allow_mass_delete)"
        )


def plan_destruction(snapshot: Snapshot, owner: str, networks: frozenset[str] | None) -> Plan:
    """Return the deletion of an owner's rows, of some networks or of all. Pure.

    OwnershipError  a switch or router of ours holds something of somebody else
    """
    groups = {Key("Load_Balancer_Group", name) for net in networks or () for name in load_balancer_groups(net)}

    def covers(stored: Stored) -> bool:
        return networks is None or stored.key in groups or network_of(stored, snapshot) in networks

    rules = Rules(owner=owner, prune=True, covers=covers)
    return Plan(owner, diff(RowSet(), snapshot, rules), Desired(RowSet()))


def network_of(stored: Stored, snapshot: Snapshot) -> str | None:
    """Return the network that a row says it belongs to, else that of what holds it; None if neither says."""
    network = external_ids_of(stored.row).get("k8s.ovn.org/network")
    holders = (snapshot.rows[uuid] for uuid in stored.holders if uuid in snapshot.rows)
    return network or next((found for holder in holders if (found := network_of(holder, snapshot))), None)


def is_modest(plan: Plan, topology: Topology) -> bool:
    """Whether no guard of `prune` asks how much is deleted."""
    deletions = len(plan.changes.of(Delete))
    is_described = any(network.name not in plan.desired.gaps.networks for network in topology.networks)
    return not deletions or (is_described and deletions <= FEW_DELETIONS)


def pinned(plan: Plan, snapshot: Snapshot) -> Plan:
    """Return a plan as it stands, without changes where they are made already.

    ConflictError  a row that it touches has changed since
    """
    if fits(plan.changes, snapshot):
        return plan
    if is_done(plan.changes, snapshot):
        return replace(plan, changes=ChangeSet())
    raise ConflictError("the database has changed since the plan was made; plan again")
