"""What it costs to import the package, in fresh processes, beside what pydantic alone costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.backends import BACKENDS
from benchmarks.child import ROOT
from benchmarks.measure import Block, Effort, Line, Samples, line, ratio_line

PYDANTIC = "pydantic, and one model"
PACKAGE = "ovnk8s_topo, without a live backend"

CASES = {
    PYDANTIC: "import pydantic\nclass Model(pydantic.BaseModel):\n    name: str",
    PACKAGE: "import ovnk8s_topo",
    "ovnk8s_topo and MemoryNb": "import ovnk8s_topo\nfrom ovnk8s_topo.backends import MemoryNb",
    **{f"ovnk8s_topo and {name}": f"import ovnk8s_topo\nfrom ovnk8s_topo.backends import {name}" for name in BACKENDS},
    "the command": "import ovnk8s_topo.cli",
}

TARGET_S = 0.15


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    rounds = effort.turns(15)
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, code in CASES.items():
            taken[name].append(_taken(code))
    yield Block("import, in a fresh process", tuple(_lines({name: Samples(tuple(v)) for name, v in taken.items()})))


def _lines(taken: dict[str, Samples]) -> Iterator[Line]:
    yield line(PYDANTIC, taken[PYDANTIC])
    yield line(PACKAGE, taken[PACKAGE], at_most_s=TARGET_S)
    for name in (name for name in taken if name not in (PYDANTIC, PACKAGE)):
        yield ratio_line(name, taken[name], taken[PACKAGE], "the package alone")


def _taken(code: str) -> float:
    timed = f"import time\nstart = time.perf_counter()\n{code}\nprint(time.perf_counter() - start)"
    done = subprocess.run((sys.executable, "-c", timed), cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)
