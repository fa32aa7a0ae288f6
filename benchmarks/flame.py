"""Where the time of the largest bulk apply goes, as a flame graph: ``python -m benchmarks flame [--to FILE]``.

Needs py-spy (the extra ``bench``), and the right to trace one's own processes: root, or ptrace_scope 0 (ptrace(2)).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.backends import DEFAULT, MODES
from benchmarks.bulk import SHAPES, TINY
from benchmarks.child import Child, Job
from benchmarks.servers import empty

RATE = 250
"""Samples in a second: a round number of milliseconds, and the sampled program hardly notices."""


def draw(file: Path, *, quick: bool) -> None:
    """Write the picture of one apply to an empty database, as SVG.

    RuntimeError  py-spy is not installed, or may not look into a process
    """
    program = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if program is None:
        raise RuntimeError('py-spy not found: pip install "ovnk8s-topo[bench]"')
    shape = TINY[0] if quick else SHAPES[2]
    with empty() as ovn:
        job = Job("contenders.ours", ovn.nb, shape, backend=DEFAULT, mode=next(iter(MODES)))
        with Child(job) as child, _spy(program, child.pid, file, waiting=quick):
            child.round()


@contextmanager
def _spy(program: str, process: int, file: Path, *, waiting: bool) -> Iterator[None]:
    """Look into a process as long as the block lasts.

    waiting  also at threads that wait; else what is over in a moment may give no sample at all, which is an error
    """
    options = f"record --function --rate {RATE} --pid {process} --output".split()
    # Who waits does not hold the interpreter's lock.
    command = (program, *options, str(file), *(() if waiting else ("--gil",)))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as spy:
        assert spy.stdout is not None
        said = ""
        for line in spy.stdout:
            said += line
            if "Sampling process" in line:
                break
        try:
            yield
        finally:
            spy.send_signal(signal.SIGINT)
            said += spy.stdout.read()
    if spy.returncode or not file.exists():
        raise RuntimeError(said.strip())
