"""Tasks in processes of their own, so that processor, memory and garbage are theirs alone.

Law: a child gets ready (imports, topology, connection) and then does one round whenever it is told to. The parent
decides whose turn it is; when it closes the pipe, or dies, the child ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from benchmarks.clusters import Shape
from benchmarks.usage import Figures, have_memory_at_hand

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Job:
    """What a child does.

    task        module below `benchmarks` with a function ``ready(job)`` that returns the function for one round
    connection  the database, ``unix:FILE``
    shape       what is described
    operations  file with the operations that write it, see `servers.Load`; "" where they are not needed
    backend     a name of `backends.BACKENDS`, where the task wants one
    mode        a name of the task's own
    twin        another database with the same contents, where the task wants one
    """

    task: str
    connection: str
    shape: Shape
    operations: str = ""
    backend: str = ""
    mode: str = ""
    twin: str = ""


class Child:
    """A process that does one job, round by round."""

    def __init__(self, job: Job) -> None:
        command = (sys.executable, "-m", "benchmarks.child", json.dumps(asdict(job)))
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._answer()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def round(self) -> Figures:
        """Let it do one round and return what it measured.

        RuntimeError  it failed; its traceback is on stderr
        """
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        figures: Figures = self._answer()
        return figures

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with exit code {self._process.wait()}")
        return json.loads(line)


def once(job: Job) -> Figures:
    """Let a new process do one round of a job; see `Child.round`."""
    with Child(job) as child:
        # Here and not in the child, which is what is measured and drawn.
        have_memory_at_hand(job.shape.pods)
        return child.round()


def main(text: str) -> None:
    """Do the job that a text describes: a round for each byte of stdin, its figures as a line of stdout."""
    fields = json.loads(text)
    job = Job(**{**fields, "shape": Shape(**fields["shape"])})
    asked: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(asked,), daemon=True).start()
    one_round: Callable[[], Figures] = import_module(f"benchmarks.{job.task}").ready(job)
    print(json.dumps("ready"), flush=True)
    while asked.get():
        print(json.dumps(one_round()), flush=True)


def _listen(asked: SimpleQueue[bytes]) -> None:
    """Pass on what the parent asks for, and end with it, in the midst of a round too."""
    while said := os.read(0, 1):
        asked.put(said)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
