"""One pod comes, one pod goes: beside the bare transaction, and in networks of every size.

Law: the bare transaction has the very operations of the library's, as bytes made before, in turns with it, on a twin
of the server: on the same one the library would have to look at what somebody else did to its rows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack

from benchmarks.backends import BACKENDS, DEFAULT
from benchmarks.child import Child, Job
from benchmarks.clusters import OWNER, Shape
from benchmarks.measure import Block, Effort, Line, judged, line, percent, ratio_line, samples_of, seconds
from benchmarks.servers import filled, guarded, load
from benchmarks.usage import Figures, apart, together
from benchmarks.wire import Wire, transaction
from ovnk8s_topo import Pod, Reconciler, Result

SIZES = {
    "layer3": (Shape("layer3", 10, 100), Shape("layer3", 100, 10_000), Shape("layer3", 1_000, 100_000)),
    "layer2": (Shape("layer2", 10, 100), Shape("layer2", 100, 10_000), Shape("layer2", 100, 100_000)),
}
"""On layer3 with room for all of `STREAM` on the smallest number of nodes: a node has 252 addresses."""

TINY = {
    "layer3": (Shape("layer3", 2, 6), Shape("layer3", 2, 12)),
    "layer2": (Shape("layer2", 2, 6), Shape("layer2", 2, 12)),
}
SLOW_MOST = 10_000
"""Ports above which waiting for an IDL is a waste."""

PAIRS = 100
"""Pods that come and go in one round; the round's latency is the median."""

REST_S = 0.002
"""As long as the server of one switch with 100,000 ports lets wait for an answer."""

CPU = {
    "client CPU": "cpu_s",
    "client CPU of the bare transaction": "bare_cpu_s",
    f"client CPU, each after {REST_S * 1e3:g} ms of rest": "rested_cpu_s",
}
"""What is told of the client's processor time, and the figure that it is."""

STREAM = 1_000
"""Pods that come one by one."""

FEW = "few"
"""The mode of a job with only some pods."""

Place = Callable[[int, Iterable[int]], None]
"""Puts a client and its servers, by their process ids, on processors."""

TO_BARE, TO_SMALL, RATE = 2.0, 2.0, 1_000
"""The issue's targets: latency to the bare transaction's, a large network to a small one, pods in a second."""


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    for backend in BACKENDS:
        for sizes in (TINY if effort.quick else SIZES).values():
            shapes = [shape for shape in sizes if backend == DEFAULT or shape.pods <= SLOW_MOST]
            target = backend == DEFAULT
            taken = _taken(effort, backend, shapes)
            small = next(iter(taken))
            title = f"{backend}, {shapes[0].kind}: one pod"
            yield Block(title, tuple(_lines(taken, small, target)))
            yield Block(f"{title} after the other", tuple(_stream_lines(taken, target)))
    small = next(iter((TINY if effort.quick else SIZES)["layer3"]))
    taken = _taken(effort, DEFAULT, [small], together)
    yield Block(f"{DEFAULT}, layer3: one pod, all on one processor", tuple(_lines(taken, small, target=False)))


def _taken(effort: Effort, backend: str, shapes: list[Shape], place: Place = apart) -> Mapping[Shape, list[Figures]]:
    """Let a child for each size have its round in turn.

    place  puts a child and its two servers on processors
    """
    with ExitStack() as stack:
        children = {}
        for shape in shapes:
            written = stack.enter_context(load(shape))
            ovn, twin = (stack.enter_context(filled(written)) for _ in range(2))
            # An IDL's snapshot is read anew, row by row, for every event: a few of them tell enough.
            mode = FEW if effort.quick or backend != DEFAULT else ""
            job = Job("events", ovn.nb, shape, backend=backend, mode=mode, twin=twin.nb)
            child = children[shape] = stack.enter_context(Child(job))
            place(child.pid, _servers_of(job))
        taken: dict[Shape, list[Figures]] = {shape: [] for shape in shapes}
        for _ in range(effort.turns(5)):
            for shape, child in children.items():
                taken[shape].append(child.round())
        return taken


def _servers_of(job: Job) -> list[int]:
    pids = []
    for connection in (job.connection, job.twin):
        with Wire(connection) as wire:
            pids.append(wire.server)
    return pids


def _lines(taken: Mapping[Shape, list[Figures]], small: Shape, target: bool) -> Iterator[Line]:
    for what in ("added", "removed"):
        for shape, figures in taken.items():
            ours, bare = samples_of(figures, f"{what}_s"), samples_of(figures, f"bare_{what}_s")
            name = f"{shape.pods:,} ports, {what}"
            yield line(f"{name}: bare transaction", bare)
            yield ratio_line(f"{name}: latency", ours, bare, "bare", at_most=TO_BARE if target else None)
            # In one large switch the server itself copies the whole set of ports: there, the bare ratio tells.
            if shape != small:
                at_most = TO_SMALL if target and shape.kind == "layer3" else None
                before = samples_of(taken[small], f"{what}_s")
                yield ratio_line(f"{name}: latency", ours, before, f"{small.pods:,} ports", at_most=at_most)
    for shape, figures in taken.items():
        for what, figure in CPU.items():
            cpu, before = samples_of(figures, figure), samples_of(taken[small], figure)
            name = f"{shape.pods:,} ports: {what}, mean of both"
            if shape == small:
                yield line(name, cpu)
            else:
                # Without a rest of its own the client of one large switch rests longer, for its server to answer.
                is_fair = "rested" in figure or shape.kind == "layer3"
                at_most = TO_SMALL if target and is_fair and "bare" not in figure else None
                yield ratio_line(name, cpu, before, f"{small.pods:,} ports", at_most=at_most)


def _stream_lines(taken: Mapping[Shape, list[Figures]], target: bool) -> Iterator[Line]:
    for shape, figures in taken.items():
        each, bare = samples_of(figures, "stream_s"), samples_of(figures, "bare_stream_s")
        ratios = each.over(bare)
        fulfilled = each.median <= 1 / RATE or ratios.median <= TO_BARE
        yield Line(
            f"{shape.pods:,} ports before, {1 / each.median:,.0f} pods in a second, {1 / bare.median:,.0f} bare",
            seconds(each.median),
            percent(ratios.spread),
            f"{ratios.median:.2f}x",
            "bare",
            f"{RATE:,}/s or <= {TO_BARE:g}x" if target else "",
            judged(fulfilled) if target else "",
        )


# In the child -----------------------------------------------------------------------------------------------------


def ready(job: Job) -> Callable[[], Figures]:
    """Reconcile what is there, and make the bare transactions; the round lets pods come and go."""
    reconciler = Reconciler(BACKENDS[job.backend](job.connection), owner=OWNER, timeout_s=600)
    return _Coming(job, reconciler).round


class _Coming:
    """Pods that come and go in one network, by the library and by bytes."""

    def __init__(self, job: Job, reconciler: Reconciler) -> None:
        if not reconciler.apply(job.shape.topology()).plan.is_empty:
            raise AssertionError("the database is not as described")
        self.reconciler, self.wire = reconciler, Wire(job.twin)
        few = job.mode == FEW
        self.pairs = 2 if few else PAIRS
        self.pod, *others = (job.shape.newcomer(number) for number in range(STREAM + 1))
        self.stream = others[: 10 if few else STREAM]
        [self.bare_add] = self._sent(self.reconciler.put, [self.pod])
        [self.bare_remove] = self._sent(self.reconciler.remove, [self.pod])
        self.bare_stream = self._sent(self.reconciler.put, self.stream)
        self.bare_end = self._sent(self.reconciler.remove, self.stream)

    def round(self) -> Figures:
        """Measure all once."""
        added, removed, bare_added, bare_removed, cpu, bare_cpu = [], [], [], [], 0.0, 0.0
        # Event by event: a server that was asked a moment ago is quicker than one that has rested.
        for _ in range(self.pairs):
            before = time.process_time()
            added.append(_timed(lambda: self.reconciler.put(self.pod)))
            removed.append(_timed(lambda: self.reconciler.remove(self.pod)))
            between = time.process_time()
            bare_added.append(_timed(lambda: self.wire.transact(self.bare_add)))
            bare_removed.append(_timed(lambda: self.wire.transact(self.bare_remove)))
            cpu += between - before
            bare_cpu += time.process_time() - between
        return {
            "added_s": statistics.median(added),
            "removed_s": statistics.median(removed),
            "bare_added_s": statistics.median(bare_added),
            "bare_removed_s": statistics.median(bare_removed),
            "cpu_s": cpu / (2 * self.pairs),
            "bare_cpu_s": bare_cpu / (2 * self.pairs),
            "rested_cpu_s": self._rested_cpu_s(),
            **self._stream(),
        }

    def _rested_cpu_s(self) -> float:
        """Return the processor time of an event after a rest, in which caches go cold."""
        cpu = 0.0
        for change in (self.reconciler.put, self.reconciler.remove) * self.pairs:
            time.sleep(REST_S)
            before = time.process_time()
            change(self.pod)
            cpu += time.process_time() - before
        return cpu / (2 * self.pairs)

    def _stream(self) -> Figures:
        ours = _timed(lambda: [self.reconciler.put(pod) for pod in self.stream])
        for pod in self.stream:
            self.reconciler.remove(pod)
        bare = _timed(lambda: [self.wire.transact(sent) for sent in self.bare_stream])
        for sent in self.bare_end:
            self.wire.transact(sent)
        return {"stream_s": ours / len(self.stream), "bare_stream_s": bare / len(self.stream)}

    def _sent(self, change: Callable[[Pod], Result], pods: Iterable[Pod]) -> list[bytes]:
        """Make a change for pod after pod, and return what the library sends."""
        # Their ports have nothing in common but switches, which only gain or lose members: one snapshot is enough.
        before = self.reconciler.nb.snapshot(timeout_s=600)
        return [transaction(guarded(change(pod).plan.changes, before)) for pod in pods]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
