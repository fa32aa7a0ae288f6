"""Timing, and the lines of the table.

Law: what is compared is measured in turns within one run, so that a slow moment of the machine meets both sides.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Case = Callable[[], object]

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    rounds  how often every case is run
    scale   what the sizes are divided by
    large   also the sizes that take very long
    """

    rounds: int = 7
    scale: int = 1
    large: bool = False

    def of(self, size: int) -> int:
        """Return a size as it is measured."""
        return max(size // self.scale, 1)

    def turns(self, most: int) -> int:
        """Return how often to run what starts programs of its own: at most so often, and once where it is quick."""
        return 1 if self.quick else min(self.rounds, most)

    @property
    def quick(self) -> bool:
        """Whether it only has to run."""
        return self.scale > 1


QUICK = Effort(rounds=3, scale=100)
"""Shows that everything runs; its figures say nothing."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What one case took in each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """The distance between the quartiles, as a part of the median; 0 of a single value."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return (high - low) / self.median if self.median else 0.0

    def over(self, reference: Samples, factor: float = 1.0) -> Samples:
        """Return the ratios to `factor` times a reference, round by round."""
        pairs = zip(self.values, reference.values, strict=True)
        return Samples(tuple(value / (factor * other) for value, other in pairs))

    def each(self, count: int) -> Samples:
        """Return what one of `count` took."""
        return Samples(tuple(value / count for value in self.values))


def samples_of(taken: Sequence[Mapping[str, float]], name: str) -> Samples:
    """Return one of the figures of all rounds."""
    return Samples(tuple(figures[name] for figures in taken))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table, in texts. verdict: ``met``, ``MISSED``, or "" where nothing is asked for."""

    name: str
    median: str
    spread: str
    ratio: str = ""
    reference: str = ""
    target: str = ""
    verdict: str = ""
    client_cpu: str = ""
    server_cpu: str = ""
    memory: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A table and what it is of."""

    title: str
    lines: tuple[Line, ...]


def in_turns(
    cases: Mapping[str, Case], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, Samples]:
    """Run all cases one after the other, `rounds` times, and return what each took in seconds.

    clock  CPU time, which other programs disturb least; take `time.perf_counter` where something is waited for

    The first round warms up and does not count. Garbage is collected before each case, lest one pays for another's;
    during it the collector works as it does for users.
    """
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, case in cases.items():
            gc.collect()
            start = clock()
            case()
            taken[name].append(clock() - start)
    return {name: Samples(tuple(values[1:])) for name, values in taken.items()}


def peak_memory(case: Case) -> int:
    """Return the most bytes that Python holds at once for a case, beyond those before it."""
    gc.collect()
    tracemalloc.start()
    try:
        case()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def line(name: str, samples: Samples, *, at_most_s: float | None = None) -> Line:
    """Return the line of a case that may take so many seconds; without a limit it just informs."""
    target = "" if at_most_s is None else f"<= {seconds(at_most_s)}"
    verdict = "" if at_most_s is None else judged(samples.median <= at_most_s)
    return Line(name, seconds(samples.median), percent(samples.spread), target=target, verdict=verdict)


def ratio_line(
    name: str, samples: Samples, reference: Samples, of: str, *, at_most: float | None = None, factor: float = 1.0
) -> Line:
    """Return the line of a case that may take so many times what its reference takes.

    of      what the reference is called
    factor  how much more work the case does than its reference
    """
    ratios = samples.over(reference, factor)
    target = "" if at_most is None else f"<= {at_most:g}x"
    verdict = "" if at_most is None else judged(ratios.median <= at_most)
    spread = percent(ratios.spread)
    return Line(name, seconds(samples.median), spread, f"{ratios.median:.2f}x", of, target, verdict)


def memory_line(name: str, size: int, *, at_most: int) -> Line:
    """Return the line of a case that may hold so many bytes."""
    texts = (f"{value / MEBIBYTE:.2f} MiB" for value in (size, at_most))
    return Line(name, next(texts), "", target=f"<= {next(texts)}", verdict=judged(size <= at_most))


def size_line(name: str, sizes: Samples, *, at_most: int | None = None) -> Line:
    """Return the line of something that may hold so many bytes, measured several times."""
    target = "" if at_most is None else f"<= {at_most:,} bytes"
    verdict = "" if at_most is None else judged(sizes.median <= at_most)
    return Line(name, f"{sizes.median:,.0f} bytes", percent(sizes.spread), target=target, verdict=verdict)


TITLES = Line(
    "what", "median", "spread", "ratio", "to", "target", "verdict", "client CPU", "server CPU", "client memory"
)


def columns(lines: Sequence[Line]) -> list[list[str]]:
    """Return the cells of a table, the titles first; a column in which nobody has anything is left out."""
    cells = [[getattr(item, name) for name in Line.__slots__] for item in (TITLES, *lines)]
    used = [any(column[1:]) for column in zip(*cells, strict=True)]
    return [[text for text, kept in zip(row, used, strict=True) if kept] for row in cells]


def table(lines: Sequence[Line]) -> str:
    """Return the lines as text in columns, under their titles."""
    cells = columns(lines)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    padded = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(text.rstrip() for text in padded)


def seconds(value: float) -> str:
    """Return a time as text, in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def percent(value: float) -> str:
    """Return a part as text."""
    return f"{100 * value:.0f} %"


def judged(fulfilled: bool) -> str:
    """Return what a target's column says."""
    return "met" if fulfilled else "MISSED"
