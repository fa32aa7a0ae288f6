"""What can go wrong on the way to a database, on demand: by a plan, or by a seed.

Law: the same plan or seed gives the same faults, and every one that bit is counted in `fired`.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

Fault = Literal["unavailable", "delayed_update", "meddle", "request_lost", "reply_lost"]
"""One thing that goes wrong.

unavailable     the database cannot be reached; nothing is sent
delayed_update  what other writers did since this backend's last commit is not yet seen; the guards must catch it
meddle          another writer is faster: it writes after the changes were decided on and before they are sent
request_lost    sent, never applied, and no answer
reply_lost      applied, and no answer
"""

Transact = Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any] | None]]
"""Runs a raw transaction, as another writer would."""

_ON_READ: tuple[Fault, ...] = ("unavailable", "delayed_update")
_ON_COMMIT: tuple[Fault, ...] = (*_ON_READ, "request_lost", "reply_lost")


class Faults:
    """A schedule of faults for one `MemoryNb`.

    commits  for each attempt to commit, in turn, what goes wrong; None: nothing. After its end nothing does.
    reads    the same for each `snapshot()`: "unavailable" or "delayed_update"
    seed     instead of the two: draw at random, the same for the same seed
    rate     with a seed: the share of attempts and reads that go wrong, 0..1
    meddle   what the other writer does on "meddle"; it gets a function that runs raw transactions
    delay    how many reads or attempts one "delayed_update" lasts

    fired    how often each fault had an effect. A lost request of an empty change set, or a delay while nobody else
             wrote, has none.

    >>> faults = Faults(commits=["reply_lost"])
    >>> MemoryNb(faults=faults)                                                             # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        commits: Iterable[Fault | None] = (),
        reads: Iterable[Fault | None] = (),
        seed: int | None = None,
        rate: float = 0.2,
        meddle: Callable[[Transact], object] | None = None,
        delay: int = 1,
    ) -> None:
        self.fired: Counter[Fault] = Counter()
        self.meddle = meddle or _nobody
        self._delay, self._delayed = delay, 0
        self._lock = threading.Lock()  # a generator must not be asked by two threads at once
        if seed is None:
            self._commits, self._reads = iter(commits), iter(reads)
        else:
            # A draw for reads must not shift the draws for commits.
            kinds = (*_ON_COMMIT, "meddle") if meddle else _ON_COMMIT
            self._commits = _draws(random.Random(f"commits {seed}"), kinds, rate)
            self._reads = _draws(random.Random(f"reads {seed}"), _ON_READ, rate)

    def on_commit(self) -> Fault | None:
        """Return what goes wrong with the next attempt to commit."""
        with self._lock:
            return self._prolonged(next(self._commits, None))

    def on_read(self) -> Fault | None:
        """Return what goes wrong with the next read."""
        with self._lock:
            return self._prolonged(next(self._reads, None))

    def _prolonged(self, fault: Fault | None) -> Fault | None:
        if fault == "delayed_update":
            self._delayed = self._delay
        if self._delayed:
            self._delayed -= 1
            return fault or "delayed_update"
        return fault


def _nobody(_: Transact) -> None:
    raise ValueError('the fault "meddle" needs to be told what the other writer does: Faults(meddle=...)')


def _draws(source: random.Random, kinds: Sequence[Fault], rate: float) -> Iterator[Fault | None]:
    while True:
        yield source.choice(kinds) if source.random() < rate else None
