"""A full database reconciled again: in the same process, after a restart, and to verify."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from benchmarks.backends import BACKENDS, DEFAULT
from benchmarks.child import Job, once
from benchmarks.clusters import OWNER, Shape
from benchmarks.measure import Block, Effort, Line, line, samples_of
from benchmarks.servers import filled, load
from benchmarks.usage import Figures
from ovnk8s_topo import Plan, Reconciler, Result

SHAPES = (Shape("layer3", 500, 50_000), Shape("layer2", 100, 20_000))
TINY = (Shape("layer3", 2, 6), Shape("layer2", 2, 6))

TARGET_S = 10e-6
"""The issue's target for a row that is as it should be, the second time."""


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    for shape in TINY if effort.quick else SHAPES:
        with load(shape) as written, filled(written) as ovn:
            before = ovn.transaction_count()
            jobs = {backend: Job("reconcile", ovn.nb, shape, backend=backend) for backend in BACKENDS}
            taken: dict[str, list[Figures]] = {backend: [] for backend in BACKENDS}
            for _ in range(effort.turns(3)):
                for backend, job in jobs.items():
                    taken[backend].append(once(job))
            if (sent := ovn.transaction_count() - before) != 0:
                raise AssertionError(f"{sent} transactions where nothing was to be done")
            lines = [part for backend in BACKENDS for part in _lines(backend, taken[backend], written.rows)]
            yield Block(f"{written.title}, each row", tuple(lines))


def _lines(backend: str, taken: list[Figures], rows: int) -> Iterator[Line]:
    target = TARGET_S if backend == DEFAULT else None
    again, equal = (samples_of(taken, name).each(rows) for name in ("again_s", "equal_s"))
    yield line(f"{backend}: the same topology again, no transaction", again, at_most_s=target)
    yield line(f"{backend}: an equal one made anew, no transaction", equal, at_most_s=target)
    yield line(f"{backend}: verify", samples_of(taken, "verify_s").each(rows))
    yield line(f"{backend}: a new process, from connecting", samples_of(taken, "cold_s").each(rows))


def ready(job: Job) -> Callable[[], Figures]:
    """Describe; the round connects and reconciles what is there already."""
    topology, equal = job.shape.topology(), job.shape.topology()

    def one_round() -> Figures:
        start = time.perf_counter()
        with Reconciler(BACKENDS[job.backend](job.connection), owner=OWNER, timeout_s=600) as reconciler:
            reconciler.apply(topology)
            return {
                "cold_s": time.perf_counter() - start,
                "again_s": _timed(lambda: reconciler.apply(topology)),
                "equal_s": _timed(lambda: reconciler.apply(equal)),
                "verify_s": _timed(lambda: reconciler.verify(topology)),
            }

    return one_round


def _timed(work: Callable[[], Plan | Result]) -> float:
    start = time.perf_counter()
    done = work()
    taken = time.perf_counter() - start
    plan = done if isinstance(done, Plan) else done.plan
    if not plan.is_empty:
        raise AssertionError(f"something to do where all is done: {plan.counts}")
    return taken
