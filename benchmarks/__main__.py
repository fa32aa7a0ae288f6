"""The command: ``python -m benchmarks [SECTION...] [--quick] [--large] [--record]``, and ``... flame [--to FILE]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import bulk, events, flame, imports, ipam, machine, page, reconcile, replica, scaling
from benchmarks.measure import QUICK, Block, Effort, table

SECTIONS: Mapping[str, Callable[[Effort], Iterator[Block]]] = {
    "bulk": bulk.blocks,
    "reconcile": reconcile.blocks,
    "events": events.blocks,
    "replica": replica.blocks,
    "scaling": scaling.blocks,
    "imports": imports.blocks,
    "ipam": ipam.blocks,
}
"""A new section is a module with such a function, one entry here, and a few words in `page.PROSE`."""

FLAME = "flame"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables of the sections asked for; return 1 if a target was missed, else 0."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.sections) - {*SECTIONS, FLAME}):
        parser.error(f"no such section: {', '.join(unknown)}")
    if given.quick and given.record:
        parser.error("--quick has no figures to record")
    if FLAME in given.sections:
        flame.draw(given.to, quick=given.quick)
        return 0
    effort = QUICK if given.quick else Effort(large=given.large)
    measured = {name: _shown(name, effort) for name in given.sections or SECTIONS}
    if given.record:
        here = machine.description()
        page.write(page.read_record() | {name: page.Measured(here, blocks) for name, blocks in measured.items()})
    verdicts = [line.verdict for blocks in measured.values() for block in blocks for line in block.lines]
    return 0 if given.quick or "MISSED" not in verdicts else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure how fast it is.")
    sections = f"{', '.join(SECTIONS)}; all unless told. Or {FLAME}: a picture of where the time goes"
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=sections)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, and nothing else")
    parser.add_argument("--large", action="store_true", help="also the sizes that take very long")
    parser.add_argument("--record", action="store_true", help="write these sections to docs/performance.md")
    parser.add_argument("--to", type=Path, default=Path("flame.svg"), metavar="FILE", help=f"{FLAME}: where to")
    return parser


def _shown(name: str, effort: Effort) -> tuple[Block, ...]:
    blocks = []
    for block in SECTIONS[name](effort):
        print(f"{name}: {block.title}\n\n{table(block.lines)}\n", flush=True)
        blocks.append(block)
    return tuple(blocks)


if __name__ == "__main__":
    sys.exit(main())
