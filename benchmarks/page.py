"""docs/performance.md: prose from here, figures from the record. Nobody edits the page.

Law: the page is a function of the record, so that a test can tell whether somebody did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.child import ROOT
from benchmarks.measure import Block, Line, columns

RECORD = ROOT / "benchmarks" / "figures.json"
PAGE = ROOT / "docs" / "performance.md"


@dataclass(frozen=True, slots=True)
class Measured:
    """One section as it was measured.

    machine  see `machine.description`
    """

    machine: str
    blocks: tuple[Block, ...]


Record = dict[str, Measured]
"""The sections by name."""


def read_record() -> Record:
    """Return what was recorded so far."""
    sections = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return {name: Measured(found["machine"], tuple(map(_block, found["blocks"]))) for name, found in sections.items()}


def write(record: Record) -> None:
    """Write the record and the page."""
    RECORD.write_text(json.dumps({name: asdict(measured) for name, measured in record.items()}, indent=1) + "\n")
    PAGE.write_text(document(record))


def _block(fields: Mapping[str, list[Mapping[str, str]]]) -> Block:
    return Block(str(fields["title"]), tuple(Line(**line) for line in fields["lines"]))


def document(record: Record) -> str:
    """Return the page."""
    return "\n".join(_document(record))


def _document(record: Record) -> Iterator[str]:
    yield INTRODUCTION
    for machine in sorted({measured.machine for measured in record.values()}):
        sections = [name for name, measured in record.items() if measured.machine == machine]
        yield f"* {', '.join(name for name in PROSE if name in sections)}: {machine}"
    yield TARGETS
    yield from _markdown(["section", "what", "measured", "target", "verdict"], list(_targets(record)))
    yield BACKENDS
    yield from _backends(record)
    for name, prose in PROSE.items():
        if name in record:
            yield f"\n## {name}: {prose}"
            for block in record[name].blocks:
                titles, *rows = columns(block.lines)
                yield f"\n### {block.title}\n"
                yield from _markdown(titles, rows)
    yield ""


def _targets(record: Record) -> Iterator[list[str]]:
    for name in (name for name in PROSE if name in record):
        for block in record[name].blocks:
            for line in block.lines:
                if line.verdict:
                    measured = f"{line.ratio} {line.reference}" if line.ratio else line.median
                    yield [name, f"{block.title}: {line.name.strip()}", measured, line.target, line.verdict]


def _backends(record: Record) -> Iterator[str]:
    """Yield how the backends do at the sizes that have a target."""
    blocks = record["bulk"].blocks if "bulk" in record else ()
    for block in blocks:
        if any(line.verdict for line in block.lines):
            ours = (line for line in block.lines if line.name.startswith("ours: "))
            figures = (f"{line.name.removeprefix('ours: ')} {line.ratio} and {line.memory}" for line in ours)
            yield f"* {block.title}, times the floor and memory: {'; '.join(figures)}"


def _markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (titles, ["---"] * len(titles), *rows):
        yield f"| {' | '.join(cells)} |"


INTRODUCTION = """\
# Performance

Made by `python -m benchmarks --record`; nobody edits this page. How it is measured is told in
[benchmarks/README.md](../benchmarks/README.md).

Read the ratios: what a ratio compares was measured in turns within one run, on one machine, each contender in a
process of its own. Times are medians; the spread is the distance between the quartiles, in per cent of the median (in
a line with a ratio: of the ratio). The database is ovsdb-server's, in a file, on a unix socket; every process is
connected, and knows its rows or its topology, before the clock starts.
"""

TARGETS = """
## Targets

What this library has set itself.
"""

BACKENDS = """
## Which backend

`DirectNb` speaks OVSDB's protocol itself and keeps a lean copy; `OvsdbNb` goes through ovsdbapp and the IDL of
python-ovs, whose cost is that of the line "bare IDL rows". Where both are in a table, they have done the same work on
the same server. `DirectNb` is the default, for its time and its memory; `OvsdbNb` is for programs that have an ovsdbapp
API already and want one transaction for both.
"""

PROSE = {
    "bulk": """an empty database made full

The floor is the server's own time: the operations that the library sends, as bytes made before, on a bare socket.
"Ours" starts at a `Topology` and ends at the confirmed transaction: planning, comparing, checking, encoding, sending,
waiting. The peers have the same rows as plain values and make their commands of them within the clock; ovn-nbctl also
starts and connects within it. After each run the whole database is read and compared, row by row, with what the floor
wrote; where a peer wrote something else, its line says so. Slow peers take part at sizes that they get through.
Memory is resident, at the worst moment, beyond what the process had before.""",
    "reconcile": """nothing to do

The time for one row of the database when all of it is as it should be. No transaction is sent: where the database was
found full, the records of its file are counted. A process that has filled it is told of every row by the server once
more, which costs the server more than anything else here; whoever reconciles again at once waits for that first. To
tell of a row takes the server itself longer than the target, so that there the client's own time is what has one.""",
    "events": """one pod comes or goes

The bare transaction has the same operations as ready bytes, on a second server with the same contents; that one has no
client to tell of the change, ours has the library itself. The two take turns pod by pod, for a server that was asked a
moment ago is quicker than one that has rested; pods one after the other come in two rows, first ours, then bare.
Ovsdb-server copies the set of a switch's ports for each change to it, so one huge switch is slow for everybody: there,
the ratio to the bare transaction tells. Client CPU is that of the whole process, garbage collection included. Whoever
waits longer for the server pays more for being woken, with caches gone cold: how much more, the lines with 2 ms of rest
tell, which is what one switch with 100,000 ports makes a client wait. So there sizes are compared with that much rest
before each event; the ratio without it has no target.

The client has one processor and the servers another. Left to the scheduler, they share one for some rounds and not for
others. On one alone nobody has to be woken on another, from which the bare transaction gains most, and nothing is done
while the server works, as the library likes to: the last table shows how much that makes.""",
    "replica": """a new client's copy

Reading the bytes means: the same monitor request on a bare socket, and `json.loads` of the reply as a whole. Memory is
the resident peak beyond the interpreter's own, with the modules imported.""",
    "scaling": """ten times as much

Every phase with ten times the nodes and pods. A linear phase has 10x, one with a sort a little more; a quadratic one
would have 100x. Where the server has a part in it, the processor time of both is told: its own part grows, too, most of
all where rows are deleted. The last lines are that alone: the same operations as bytes made before, and the bytes of
the same copy, on a bare socket. No client can grow by less.""",
    "imports": """before anything happens

In fresh processes, with warm files and compiled modules, as pip leaves them. The package imports its names when they
are first asked for: whoever plans needs all of them, without a live backend, and that is the line to look at. Most of
it is pydantic.""",
    "ipam": """addresses

CPU time of allocation alone, without a server.""",
}
"""What a section is about and what its figures mean, in the order of the page."""
