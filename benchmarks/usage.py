"""What a piece of work used: time, processor and memory of this process, processor of the server. Linux only."""

from __future__ import annotations

import gc
import mmap
import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

_MEMORY_OF_A_POD = 20 << 10
"""Bytes. At the worst moment writer and server were seen to take 12 kB together."""

Figures = Mapping[str, float]
"""What was measured, by name: `wall_s`, `cpu_s`, `server_s`, `peak` (bytes) and what a task adds."""


def metered(work: Callable[[], object], server: int) -> Figures:
    """Do some work and return what it took.

    server  process id of the server that it talks to

    peak: bytes of resident memory at the worst moment, beyond those before the work.
    cpu_s: of this process and of its children that have ended.
    """
    gc.collect()
    reset_peak()
    before, server_before, cpu = resident(), cpu_of(server), own_cpu()
    start = time.perf_counter()
    work()
    wall = time.perf_counter() - start
    return {
        "wall_s": wall,
        "cpu_s": own_cpu() - cpu,
        "server_s": cpu_of(server) - server_before,
        "peak": peak_resident() - before,
    }


def have_memory_at_hand(pods: int) -> None:
    """Touch more memory than work on so many pods takes, in a client and in a server, and give it back.

    Where the machine is a virtual one, its host may have taken back what nobody has used for two seconds
    (Documentation/mm/free_page_reporting.rst), and to find it again takes longer than many a phase. Whoever takes less
    than the one before finds all of it at hand, so that without this the order of the contenders is measured.

    What is at hand is taken back two seconds later. A floor that is done by then never waits for the host; a library
    that has its server work longer does, towards the end (of 50,000 pods: for 400 MiB). Between the two this favours
    the floor.
    """
    pages = pods * _MEMORY_OF_A_POD // mmap.PAGESIZE
    if pages:
        with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
            memory[:: mmap.PAGESIZE] = bytes(pages)


def apart(client: int, servers: Iterable[int]) -> None:
    """Keep a client on one processor and its servers on another, if there are two.

    Else the scheduler decides, anew every few rounds, and that is what is measured: see `together`.
    """
    processors = sorted(os.sched_getaffinity(0))
    _keep_on(processors[0], [client])
    _keep_on(processors[-1], servers)


def together(client: int, servers: Iterable[int]) -> None:
    """Keep a client and its servers on one processor: none is woken on another, and no two do anything at once."""
    _keep_on(min(os.sched_getaffinity(0)), [client, *servers])


def _keep_on(processor: int, processes: Iterable[int]) -> None:
    for process in processes:
        for thread in os.listdir(f"/proc/{process}/task"):
            os.sched_setaffinity(int(thread), {processor})


def own_cpu() -> float:
    """Return the seconds that this process and its ended children were on a processor."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def cpu_of(process: int) -> float:
    """Return the seconds that a process was on a processor, all threads (Documentation/scheduler/sched-stats.rst)."""
    threads = os.listdir(f"/proc/{process}/task")
    texts = (Path(f"/proc/{process}/task/{thread}/schedstat").read_text() for thread in threads)
    return sum(int(text.split()[0]) for text in texts) / 1e9


def reset_peak() -> None:
    """Let `peak_resident` start from now (proc_pid_clear_refs(5)); getrusage would also count before an exec."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_resident() -> int:
    """Return the most bytes that were in memory since `reset_peak`."""
    return _status("VmHWM")


def resident() -> int:
    """Return the bytes in memory."""
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
