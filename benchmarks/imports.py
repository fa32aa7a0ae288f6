"""What it costs to import the package, in fresh processes, beside what pydantic alone costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from tempfile import TemporaryDirectory

from benchmarks.backends import BACKENDS
from benchmarks.child import ROOT
from benchmarks.measure import Block, Effort, Line, Samples, line, ratio_line

PYDANTIC = "pydantic, and one model"
PACKAGE = "ovnk8s_topo, without a live backend"
NAMES = "ovnk8s_topo and all its names"

_ALL = "from ovnk8s_topo import *"

CASES = {
    PYDANTIC: "import pydantic\nclass Model(pydantic.BaseModel):\n    name: str",
    PACKAGE: "import ovnk8s_topo",
    "ovnk8s_topo and its errors": "from ovnk8s_topo import TopoError",
    "ovnk8s_topo and its values": "from ovnk8s_topo import Layer2, Node, Pod, Topology",
    NAMES: _ALL,
    **{f"all names and {name}": f"{_ALL}\nfrom ovnk8s_topo.backends import {name}" for name in ("MemoryNb", *BACKENDS)},
    "the command": "import ovnk8s_topo.cli",
}

TARGET_S = 0.15


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    rounds = effort.turns(15)
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    # Compiled, as pip leaves what it installs, whatever the environment says of compiling.
    with TemporaryDirectory() as compiled:
        for code in CASES.values():
            _taken(code, compiled)
        for _ in range(rounds):
            for name, code in CASES.items():
                taken[name].append(_taken(code, compiled))
    yield Block("import, in a fresh process", tuple(_lines({name: Samples(tuple(v)) for name, v in taken.items()})))


def _lines(taken: dict[str, Samples]) -> Iterator[Line]:
    yield line(PYDANTIC, taken[PYDANTIC])
    for name in (PACKAGE, NAMES):
        yield line(name, taken[name], at_most_s=TARGET_S)
    for name in (name for name in taken if name not in (PYDANTIC, PACKAGE, NAMES)):
        yield ratio_line(name, taken[name], taken[NAMES], "all its names")


def _taken(code: str, compiled: str) -> float:
    timed = f"import time\nstart = time.perf_counter()\n{code}\nprint(time.perf_counter() - start)"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    run = partial(subprocess.run, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(run((sys.executable, "-c", timed), env=environment).stdout)
