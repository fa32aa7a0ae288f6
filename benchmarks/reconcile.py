"""A full database reconciled again: in the process that filled it, in one that found it full, and to verify."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from benchmarks.backends import BACKENDS, DEFAULT, MODES
from benchmarks.child import Job, once
from benchmarks.clusters import OWNER, Shape
from benchmarks.measure import Block, Effort, Line, line, samples_of, seconds
from benchmarks.servers import Load, empty, filled, load
from benchmarks.usage import Figures, cpu_of, own_cpu
from benchmarks.wire import Wire
from ovnk8s_topo import Plan, Reconciler, Result

SHAPES = (Shape("layer3", 500, 50_000), Shape("layer2", 100, 20_000))
TINY = (Shape("layer3", 2, 6), Shape("layer2", 2, 6))

TARGET_S = 10e-6
"""The issue's target for a row that is as it should be, the second time."""

FILLED_BEFORE = {
    "again": "the same topology again",
    "equal": "an equal one made anew",
    "verify": "verify",
    "cold": "a new process, from connecting",
}
FILLED_ITSELF = {
    "told": "the server tells it of its own rows",
    "again": "the same topology again, told before",
    "both": "the same topology again, at once: both",
    "equal": "an equal one made anew, after that",
}
"""What is measured in a process that found the database full, and in one that has filled it."""

JUDGED = {"again", "equal"}


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    for shape in TINY if effort.quick else SHAPES:
        with load(shape) as written:
            title = f"{written.title}, each row"
            yield Block(f"{title}, found full", tuple(_found_full(written, effort)))
            yield Block(f"{title}, filled by itself", tuple(_filled_by_itself(written, effort)))


def _found_full(written: Load, effort: Effort) -> Iterator[Line]:
    with filled(written) as ovn:
        before = ovn.transaction_count()
        taken: dict[str, list[Figures]] = {backend: [] for backend in BACKENDS}
        for _ in range(effort.turns(3)):
            for backend, figures in taken.items():
                figures.append(once(Job("reconcile", ovn.nb, written.shape, backend=backend)))
        if (sent := ovn.transaction_count() - before) != 0:
            raise AssertionError(f"{sent} transactions where nothing was to be done")
    for backend, figures in taken.items():
        yield from _lines(backend, figures, FILLED_BEFORE, written.rows, judge=backend == DEFAULT)


def _filled_by_itself(written: Load, effort: Effort) -> Iterator[Line]:
    taken: dict[str, list[Figures]] = {mode: [] for mode in MODES}
    for _ in range(effort.turns(3)):
        for mode, figures in taken.items():
            with empty() as ovn:
                figures.append(once(Job("reconcile", ovn.nb, written.shape, backend=DEFAULT, mode=mode)))
    for mode, figures in taken.items():
        yield from _lines(f"{DEFAULT}, {mode}", figures, FILLED_ITSELF, written.rows, judge=True)


def _lines(who: str, taken: list[Figures], names: Mapping[str, str], rows: int, *, judge: bool) -> Iterator[Line]:
    for name, title in names.items():
        wall, cpu, server = (samples_of(taken, f"{name} {what}").each(rows) for what in ("wall_s", "cpu_s", "server_s"))
        at_most = TARGET_S if judge and name in JUDGED else None
        told = line(f"{who}: {title}", wall, at_most_s=at_most)
        yield replace(told, client_cpu=seconds(cpu.median), server_cpu=seconds(server.median))
        if name == "both":
            yield line(f"{who}: {title}, client CPU", cpu, at_most_s=TARGET_S if judge else None)


# In the child -----------------------------------------------------------------------------------------------------


def ready(job: Job) -> Callable[[], Figures]:
    """Describe; the round connects, reconciles what is there already or fills the database, and reconciles again."""
    topology, equal = job.shape.topology(), job.shape.topology()

    def one_round() -> Figures:
        watch = _Watch(Wire(job.connection).server)
        with Reconciler(BACKENDS[job.backend](job.connection), owner=OWNER, timeout_s=600) as reconciler:
            if job.mode:
                reconciler.apply(topology, **MODES[job.mode])
                watch("told", lambda: reconciler.nb.snapshot(timeout_s=600))
            else:
                watch("cold", lambda: reconciler.apply(topology))
            watch("again", lambda: reconciler.apply(topology))
            watch("equal", lambda: reconciler.apply(equal))
            watch("verify", lambda: reconciler.verify(topology))
        return watch.taken | (_sum(watch.taken, "told", "again") if job.mode else {})

    return one_round


class _Watch:
    """Does things of which none may change anything, and remembers what each took."""

    def __init__(self, server: int) -> None:
        self.server = server
        self.taken: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], object]) -> None:
        server, cpu, start = cpu_of(self.server), own_cpu(), time.perf_counter()
        done = work()
        self.taken |= {
            f"{name} wall_s": time.perf_counter() - start,
            f"{name} cpu_s": own_cpu() - cpu,
            f"{name} server_s": cpu_of(self.server) - server,
        }
        plan = done.plan if isinstance(done, Result) else done
        if isinstance(plan, Plan) and not plan.is_empty:
            raise AssertionError(f"something to do where all is done: {plan.counts}")


def _sum(taken: Mapping[str, float], *names: str) -> dict[str, float]:
    whats = ("wall_s", "cpu_s", "server_s")
    return {f"both {what}": sum(taken[f"{name} {what}"] for name in names) for what in whats}
