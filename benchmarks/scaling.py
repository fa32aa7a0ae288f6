"""Ten times as many rows cost ten times as much, in every phase: a quadratic step would cost a hundred times."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Network, summarize_address_range
from typing import TypeVar

from benchmarks.backends import BACKENDS, DEFAULT
from benchmarks.child import Job, once
from benchmarks.clusters import OWNER, Shape, topology_of
from benchmarks.measure import Block, Effort, Line, judged, ratio_line, samples_of, seconds
from benchmarks.replica import bytes_of_copy
from benchmarks.servers import empty, guarded
from benchmarks.usage import Figures, have_memory_at_hand, metered
from benchmarks.wire import Wire, transaction
from ovnk8s_topo import Layer2, Plan, Reconciler, Topology
from ovnk8s_topo.collector import paused
from ovnk8s_topo.diff import Rules, diff
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.planner.desired import desired_from_topology
from ovnk8s_topo.planning import plan_destruction

PAIRS = (
    (Shape("layer3", 50, 2_000), Shape("layer3", 500, 20_000)),
    (Shape("layer2", 50, 2_000), Shape("layer2", 500, 20_000)),
)
TINY = ((Shape("layer3", 2, 6), Shape("layer3", 20, 60)), (Shape("layer2", 2, 6), Shape("layer2", 20, 60)))

TARGET = 12.0

APPLY, REPLICA, DESTROY = "apply to an empty database, and be told of it", "replica", "destroy after a restart"

BARE = {phase: f"{phase}: bytes on a bare socket" for phase in (APPLY, REPLICA, DESTROY)}
"""What the server takes for a phase by itself, which nobody can do anything about: the phase may grow as much."""

CLIENT, SERVER = "client", "server"

_LITTLE_S = 0.05
"""Processor time of which it does not matter how it has grown."""

T = TypeVar("T")


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    for few, many in TINY if effort.quick else PAIRS:
        taken: dict[Shape, list[Figures]] = {few: [], many: []}
        for _ in range(effort.turns(7)):
            # The few before and after the many: a machine that gets slower meanwhile is no growth.
            before, much, after = (_phases(shape) for shape in (few, many, few))
            taken[few].append({name: (before[name] + after[name]) / 2 for name in before})
            taken[many].append(much)
        lines = (_line(phase, taken[many], taken[few], few.title) for phase in taken[few][0] if "|" not in phase)
        yield Block(f"{many.title}, {DEFAULT}", tuple(lines))


def _phases(shape: Shape) -> Figures:
    with empty() as ovn:
        return once(Job("scaling", ovn.nb, shape, backend=DEFAULT))


def _line(phase: str, many: list[Figures], few: list[Figures], of: str) -> Line:
    at_most = None if phase in BARE.values() else TARGET
    wall = ratio_line(phase, samples_of(many, phase), samples_of(few, phase), of, at_most=at_most)
    if phase in BARE:
        ours, bare = (samples_of(many, name).over(samples_of(few, name)).median for name in (phase, BARE[phase]))
        wall = replace(wall, target=f"<= {TARGET:g}x or bare", verdict=judged(ours <= max(TARGET, bare)))
    if f"{phase}|{CLIENT}" not in few[0]:
        return wall
    client, server = (_growth(f"{phase}|{whose}", many, few) for whose in (CLIENT, SERVER))
    return replace(wall, client_cpu=client, server_cpu=server)


def _growth(name: str, many: list[Figures], few: list[Figures]) -> str:
    after, before = samples_of(many, name), samples_of(few, name)
    if after.median < _LITTLE_S:
        return seconds(after.median)
    return f"{seconds(after.median)}, {after.over(before).median:.1f}x"


def ready(job: Job) -> Callable[[], Figures]:
    """Import; the round goes through all phases, from the description to a pod more."""

    def one_round() -> Figures:
        # As `Reconciler` does: see docs/decisions/0012.
        with paused():
            pure = _pure_phases(job)
        return {**pure, **_live_phases(job)}

    return one_round


def _pure_phases(job: Job) -> Figures:
    """Time what knows no server."""
    watch, nothing = _Watch(), Snapshot.of([])
    topology = watch("validate the topology", job.shape.topology)
    desired = watch("plan: rows", lambda: desired_from_topology(topology, owner=OWNER))
    changes = watch("diff", lambda: diff(desired.rows, nothing, Rules(owner=OWNER)))
    operations = watch("encode: operations", lambda: guarded(changes, nothing))
    watch("encode: JSON", lambda: json.dumps(operations))
    plan = Plan(OWNER, changes, desired, topology=topology)
    watch("the plan as text", lambda: str(plan))
    watch("what pods are told", plan.told.pod_annotations)
    crowded = topology_of(_crowded(job.shape.pods), job.shape.pods, job.shape.nodes)
    watch("plan: a tenth get no address", lambda: _refused(crowded))
    return watch.taken


def _crowded(pods: int) -> Layer2:
    """Return a network with addresses for nine tenths of so many pods."""
    whole = IPv4Network("10.0.0.0/16")
    first = whole.network_address + pods * 9 // 10
    excluded = summarize_address_range(first, whole.broadcast_address)
    return Layer2(name="net", subnets=str(whole), exclude_subnets=[str(subnet) for subnet in excluded])


def _refused(topology: Topology) -> None:
    if not desired_from_topology(topology).problems:
        raise AssertionError("everybody got an address")


def _live_phases(job: Job) -> Figures:
    """Time what needs one: the database is empty before and after."""
    topology = job.shape.topology()
    with Wire(job.connection) as wire:
        watch = _Watch(wire.server)
    with _connected(job) as reconciler:
        watch(APPLY, lambda: _filled(reconciler, topology))
        watch("apply again", lambda: reconciler.apply(topology))
    with _connected(job) as reconciler:
        watch(REPLICA, lambda: _snapshot(reconciler))
        watch("apply after a restart", lambda: reconciler.apply(topology))
        pod = job.shape.newcomer()
        watch("one pod more", lambda: reconciler.put(pod))
    with _connected(job) as reconciler:
        _snapshot(reconciler)
        watch(DESTROY, reconciler.destroy)
    _bare_phases(job, topology, watch)
    return watch.taken


def _filled(reconciler: Reconciler, topology: Topology) -> None:
    """Apply, and wait for what the server tells of it: it begins with that at once, sooner than anybody asks."""
    reconciler.apply(topology)
    _snapshot(reconciler)


def _bare_phases(job: Job, topology: Topology, watch: _Watch) -> None:
    """Time what the server needs by itself, for the same bytes; the database is empty before and after."""
    making = _bytes_of(job, lambda reconciler: reconciler.plan(topology))
    with Wire(job.connection) as wire:
        watch(BARE[APPLY], lambda: (wire.transact(making), bytes_of_copy(wire)))
    with Wire(job.connection) as wire:
        watch(BARE[REPLICA], lambda: bytes_of_copy(wire))
    deleting = _bytes_of(job, lambda reconciler: plan_destruction(_snapshot(reconciler), OWNER, None))
    with Wire(job.connection) as wire:
        watch(BARE[DESTROY], lambda: wire.transact(deleting))


def _bytes_of(job: Job, planned: Callable[[Reconciler], Plan]) -> bytes:
    """Return the transaction that carries a plan out."""
    with _connected(job) as reconciler:
        return transaction(guarded(planned(reconciler).changes, _snapshot(reconciler)))


def _snapshot(reconciler: Reconciler) -> Snapshot:
    return reconciler.nb.snapshot(timeout_s=600)


def _connected(job: Job) -> Reconciler:
    have_memory_at_hand(job.shape.pods)
    return Reconciler(BACKENDS[job.backend](job.connection), owner=OWNER, timeout_s=600)


class _Watch:
    """Does things and remembers how long each took, and if a server has a part in it, whose processor did it."""

    def __init__(self, server: int = 0) -> None:
        self.taken: dict[str, float] = {}
        self._server = server

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        done: list[T] = []
        figures = metered(lambda: done.append(work()), self._server or os.getpid())
        self.taken[name] = figures["wall_s"]
        if self._server:
            self.taken |= {f"{name}|{CLIENT}": figures["cpu_s"], f"{name}|{SERVER}": figures["server_s"]}
        [result] = done
        return result
