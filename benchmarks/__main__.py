"""The command: ``python -m benchmarks [SECTION...] [--quick]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import ipam
from benchmarks.measure import QUICK, Effort, Line, table

SECTIONS: Mapping[str, Callable[[Effort], Iterator[Line]]] = {"ipam": ipam.lines}
"""A new section is a module with such a function, and one entry here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of every section asked for; return 1 if a target was missed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure how fast it is.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; all unless told")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, and nothing else")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.sections) - SECTIONS.keys()):
        parser.error(f"no such section: {', '.join(unknown)}")
    effort = QUICK if given.quick else Effort()
    missed = [_show(name, effort) for name in given.sections or SECTIONS]
    return 0 if given.quick or not any(missed) else 1


def _show(name: str, effort: Effort) -> int:
    lines = list(SECTIONS[name](effort))
    print(f"{name}\n\n{table(lines)}\n")
    return sum(line.verdict == "MISSED" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
