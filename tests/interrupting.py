"""What a signal handler may do to a call: raise at any moment at which Python runs handlers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ovnk8s_topo import Reconciler


class Interrupt(BaseException):
    """As KeyboardInterrupt, which pytest takes for its own."""


class Alarm(Exception):
    """As callers raise who set an alarm."""


ERRORS: tuple[type[BaseException], ...] = (Interrupt, Alarm, TimeoutError)

_PACKAGE = str(sys.modules[Reconciler.__module__].__file__).removesuffix("reconciler.py")

_UNHEARD = ("_returned", "<genexpr>")
"""A weak reference's callback, and what may be a generator that is thrown away: what they raise Python keeps to itself.
"""


class _Moments:
    """Counts moments in our package: Python runs handlers when a function begins, and when a call into C has ended."""

    def __init__(self, point: int, error: type[BaseException]) -> None:
        self.left, self.error = point, error
        self.where = ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        is_ours = code.co_filename.startswith(_PACKAGE) and code.co_name not in _UNHEARD
        if event in ("call", "c_return") and is_ours:
            self.left -= 1
            if not self.left:
                sys.setprofile(None)
                self.where = f"{code.co_filename}:{frame.f_lineno}"
                raise self.error


def interrupted(call: Callable[[], object], point: int, error: type[BaseException] = Interrupt) -> str:
    """Call, and raise an error at a moment, the first one being 1; return where that was, "" if it came to an end.

    The error has to reach the caller.
    """
    moments = _Moments(point, error)
    before = sys.getprofile()
    sys.setprofile(moments)
    try:
        call()
    except error:
        assert moments.where
    else:
        assert not moments.where, f"swallowed at {moments.where}"
    finally:
        sys.setprofile(before)
    return moments.where


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let nothing be raised in a block."""
    before = sys.getprofile()
    sys.setprofile(None)
    try:
        yield
    finally:
        sys.setprofile(before)
