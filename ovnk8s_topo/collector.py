"""A pause of Python's cyclic garbage collector, for work that makes many rows and hardly any cycles.

Law: at the end the collector is as it was, however many threads had it paused. A pause that a signal handler breaks off
may leave it at rest until that error is forgotten and the next pause has ended.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

_MANY = 100_000
"""New objects of a pause from which on it is worth it that nobody looks at them at once."""

_OF_PYTHON = 1000
"""Objects that Python itself may have frozen: 3.12 begins with some hundred. A program that does so has many more."""


class _Pause:
    """One block's. It is gone with the block, however that ended."""


_lock = threading.Lock()
_pauses: WeakSet[_Pause] = WeakSet()
_is_resting = False
"""Whether it was we who have disabled it."""


@contextmanager
def paused() -> Iterator[None]:
    """Pause the collector for a block; see docs/decisions/0012-the-collector-rests-while-we-plan.md.

    While 50,000 rows come into being it would look at all of them again and again, and take half of the time.
    """
    global _is_resting
    pause = _Pause()
    try:
        with _lock:
            _pauses.add(pause)
            if gc.isenabled():
                _is_resting = True
                gc.disable()
        yield
    finally:
        with _lock:
            _pauses.discard(pause)
            if not _pauses and _is_resting:
                if gc.get_count()[0] > _MANY:
                    _let_grow_old()
                gc.enable()
                _is_resting = False


def _let_grow_old() -> None:
    """Move all objects to the oldest generation, unless the program keeps some out of the collector's sight itself.

    Else the first look after a pause would be at all that the block has made, and find that it is in use.
    """
    if gc.get_freeze_count() < _OF_PYTHON:
        gc.freeze()
        gc.unfreeze()
