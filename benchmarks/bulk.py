"""An empty database made full: the library beside its floor and beside all the other ways to write the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.backends import BACKENDS, DEFAULT, MODES
from benchmarks.child import Job, once
from benchmarks.clusters import Shape
from benchmarks.contenders import nbctl
from benchmarks.contents import contents, difference
from benchmarks.measure import MEBIBYTE, Block, Effort, Line, judged, percent, samples_of, seconds
from benchmarks.servers import Load, empty, filled, load, operations_in
from benchmarks.usage import Figures


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who writes the rows.

    most  pods above which waiting for it is a waste
    """

    name: str
    task: str
    backend: str = ""
    mode: str = ""
    most: int = 1 << 30

    def job(self, connection: str, written: Load) -> Job:
        """Return the job of writing a load."""
        return Job(f"contenders.{self.task}", connection, written.shape, str(written.file), self.backend, self.mode)


FLOOR = Contender("floor: ready bytes, one transaction", "floor")
OURS = tuple(
    Contender(f"ours: {backend}, {mode}", "ours", backend, mode, most=1 << 30 if backend == "DirectNb" else 50_000)
    for backend in BACKENDS
    for mode in MODES
)
PEERS = (
    Contender("bare IDL rows, one transaction", "idl_rows", most=5_000),
    Contender("ovsdbapp commands, one transaction", "ovsdbapp_commands", most=5_000),
    Contender(f"ovn-nbctl, {nbctl.MODES[0]}", "nbctl", mode=nbctl.MODES[0], most=5_000),
    Contender(f"ovn-nbctl, {nbctl.MODES[1]}", "nbctl", mode=nbctl.MODES[1], most=1_000),
)

SHAPES = (
    Shape("layer3", 100, 1_000),
    Shape("layer3", 100, 5_000),
    Shape("layer3", 500, 50_000),
    Shape("layer2", 100, 20_000),
    Shape("localnet", 100, 20_000),
)
TINY = (Shape("layer3", 2, 6), Shape("layer2", 2, 6), Shape("localnet", 2, 6))
HUGE = Shape("layer3", 1_000, 100_000)

AT_MOST = {SHAPES[2]: 1.5, SHAPES[3]: 2.0}
"""The issue's targets, as times the floor."""


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    for shape in TINY if effort.quick else (*SHAPES, *((HUGE,) if effort.large else ())):
        with load(shape) as written:
            yield Block(written.title, tuple(_lines(written, effort)))


def _lines(written: Load, effort: Effort) -> Iterator[Line]:
    pods = written.shape.pods
    contenders = [one for one in (FLOOR, *OURS, *PEERS) if pods <= one.most]
    tables = sorted({str(operation["table"]) for operation in operations_in(written.file)})
    with filled(written) as ovn:
        expected = contents(ovn.nb, tables)
    taken: dict[Contender, list[Figures]] = {one: [] for one in contenders}
    different: dict[Contender, int] = {}
    for _ in range(effort.turns(3 if pods > 50_000 else 5)):
        for one in contenders:
            with empty() as ovn:
                taken[one].append(once(one.job(ovn.nb, written)))
                different[one] = difference(expected, contents(ovn.nb, tables))
    for one in contenders:
        yield _line(one, taken[one], taken[FLOOR], different[one], AT_MOST.get(written.shape))


def _line(one: Contender, taken: list[Figures], floor: list[Figures], different: int, at_most: float | None) -> Line:
    if different and one.task == "ours":
        raise AssertionError(f"{one.name}: {different} rows are not as they should be")
    wall = samples_of(taken, "wall_s")
    ratios = wall.over(samples_of(floor, "wall_s"))
    wanted = at_most if one.task == "ours" and one.backend == DEFAULT else None
    return Line(
        one.name + (f" ({different} rows are others)" if different else ""),
        seconds(wall.median),
        percent(wall.spread if one is FLOOR else ratios.spread),
        f"{ratios.median:.2f}x" if one is not FLOOR else "",
        "floor" if one is not FLOOR else "",
        f"<= {wanted:g}x" if wanted else "",
        judged(ratios.median <= wanted) if wanted else "",
        seconds(samples_of(taken, "cpu_s").median),
        seconds(samples_of(taken, "server_s").median),
        # ovn-nbctl is a process of its own, which is gone when it could be asked.
        f"{samples_of(taken, 'peak').median / MEBIBYTE:.0f} MiB" if one.task != "nbctl" else "",
    )
