"""The line to a server: who reads what comes, and how callers wait for it.

Law: whoever waits reads. No message changes threads on its way to the one who needs it, nobody holds the lock while
waiting, and a call ends by its own deadline. A thread of our own wakes about once a second and does what is due when
nobody else does: answers probes, takes in what others have changed, reconnects.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from ovnk8s_topo.backends.attempts import Base, Carrier, Deadline
from ovnk8s_topo.backends.follower import Follower, Pending
from ovnk8s_topo.backends.json_stream import NOT_UNDERSTOOD, Keeper
from ovnk8s_topo.backends.lane import Lane, NoRows
from ovnk8s_topo.backends.operations import Operations
from ovnk8s_topo.backends.ovsdb_wire import Wire, WireSession
from ovnk8s_topo.backends.port_ops import OneRow
from ovnk8s_topo.backends.replica_rows import Astray
from ovnk8s_topo.backends.service import Unfit
from ovnk8s_topo.collector import paused
from ovnk8s_topo.errors import BackendUnavailable
from ovnk8s_topo.nb.rowset import Snapshot

LOG = logging.getLogger(__name__)

T = TypeVar("T")

_IDLE_S = 1.0
"""How often the thread looks after a connection that is up, and how often a session's timers are looked at."""

_BUSY_S = 0.1
"""The same while there is no complete copy."""


_MUCH = 1 << 15
"""Bytes in one look from which on a server may have more for us than the kernel takes: some hundred kB, or less."""

_MANY = 500
"""Operations from which on a transaction gets a lane: with some hundred, waiting for our own echo takes longer."""


class Line:
    """A session and the copy that it keeps; what `attempts.Way` asks for."""

    def __init__(
        self,
        connection: str,
        remotes: list[str],
        make_session: Callable[[list[str], Keeper], WireSession],
        *,
        leader_only: bool,
    ) -> None:
        self.connection = connection
        self._follower = Follower(self._write, leader_only=leader_only)
        self._make_session = make_session
        self._session = make_session(remotes, self._follower)
        self._wire: Wire | None = None
        self._lanes: set[Lane] = set()
        self._takes_lanes = True
        self._itself = contextlib.nullcontext(self)
        self._closed = False
        self._lock = threading.RLock()
        """For session and follower; held for moments."""
        self._reader: object = None
        """What stands for the call that reads: it waits for the socket, and alone changes `_session.wire`.

        It is taken under the lock, and by what was made before: a signal handler may raise behind any call, and whoever
        had got something by then and not yet noted it could never give it back.
        """
        self._ticked = threading.Condition()
        self._numbers = itertools.count(1)
        self._ticks = self._sleepers = 0
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name=f"DirectNb {connection}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End everything. Calling it again is no error, and makes up for what an interrupt has left undone."""
        with self._lock:
            self._closed = True
            self._session.drop("closed")
            for lane in self._lanes:
                lane.abandon()
        self._wake.set()
        self._thread.join()
        while self._reader is not None:
            self._sleep(self._ticks, _BUSY_S)
        with self._lock:
            self._session.close()
        self._tick()

    # For attempts ----------------------------------------------------------------------------------------------------

    def base(self, deadline: Deadline) -> Base[Snapshot] | None:
        """Return the rows as soon as they are complete; see `attempts.Way.base`."""
        with self._lock:
            wire = self._wire
            # As a rule all that has come was taken in.
            if wire is not None and not (self._closed or wire.has_come()) and (found := self._base()) is not None:
                return found
        self._read_now(deadline)
        return self.when(self._base, deadline)

    def _base(self) -> Base[Snapshot] | None:
        if self._follower.is_away and not self._lanes:
            # An interrupt has kept a lane from its end.
            self._ask(self._follower.catch_up)
        return self._follower.base()

    def send(self, operations: Operations, deadline: Deadline) -> Pending | None:
        """Send one transaction; see `attempts.Way.send`."""
        number, message = self._follower.prepare(operations)
        with self._lock:
            if self._closed or not self._follower.complete or not deadline.left():
                return None
            echo = operations.echo if isinstance(operations, OneRow) else None
            wire, pending = self._wire, self._follower.start(number, message, echo)
        if wire is not None and wire.has_unsent:
            self._send_rest(wire, deadline)
        return pending

    def _send_rest(self, wire: Wire, deadline: Deadline) -> None:
        # A server stops reading from those who do not read what it sends, so somebody has to, meanwhile.
        while wire.has_unsent and not wire.status and deadline.left():
            if not self._read_if_none_does(min(_BUSY_S, deadline.left())):
                wire.drain(min(_BUSY_S, deadline.left()))

    def _ask(self, ask: Callable[[], None]) -> None:
        """Let the follower ask something of the server; under the lock."""
        try:
            ask()
        except BaseException:
            # A signal handler's: perhaps nobody was asked, and then nobody answers.
            self._drop("interrupted")
            raise

    def carrier(self, operations: int) -> AbstractContextManager[Carrier]:
        """Return what carries so many operations: this line or, if they are many, a lane of their own."""
        if operations >= _MANY and self._takes_lanes:
            return self._lane(operations)
        self._takes_lanes = True
        return self._itself

    @contextlib.contextmanager
    def _lane(self, operations: int) -> Iterator[Lane]:
        lane = Lane(self._make_session([self._session.get_name()], NoRows()), self._follower.sent.note)
        try:
            with self._lock:
                if not self._lanes:
                    self._follower.sent.clear()
                self._lanes.add(lane)
                if self._closed:
                    lane.abandon()
                self._ask(lambda: self._follower.stand_aside(operations, is_local=self._is_local))
                wire = self._wire
            if wire is not None:
                self._send_rest(wire, Deadline(_BUSY_S))
            yield lane
        finally:
            with self._lock:
                self._lanes.discard(lane)
                lane.close()
                # A server may take no second connection: after a lane that came to nothing it is this line's turn.
                self._takes_lanes = lane.was_answered
                self._ask(self._follower.catch_up)
            self._wake.set()

    def results(self, pending: Pending, deadline: Deadline) -> list[Any] | None:
        """Return the server's results; see `attempts.Way.results`."""
        return self.when(pending.seen, deadline)

    def moved(self, base: Base[Snapshot], deadline: Deadline) -> bool:
        """Tell whether the rows have changed; see `attempts.Way.moved`."""
        return bool(self.when(lambda: self._has_moved(base) or None, deadline))

    def _has_moved(self, base: Base[Snapshot]) -> bool:
        self._ask(self._follower.come_back)
        return self._follower.rows.serial != base.stamp

    def give_up(self, pending: Pending) -> None:
        """Make a new connection; see `attempts.Way.give_up`."""
        with self._lock:
            if pending.results is None:
                self._drop("a transaction got no answer")

    def refetch(self, why: str) -> None:
        """Forget the rows and fetch them again; see `attempts.Way.refetch`."""
        with self._lock:
            self._follower.forget()
            self._drop(why)

    def unavailable(self, timeout_s: float) -> BackendUnavailable:
        """Return the error that says why there is no complete copy."""
        why = self._session.why
        if self._follower.complete:
            why = "connected, but nothing gets through"
        elif self._session.is_connected():
            why = f"connected, but the rows are not complete yet (last fault: {why})"
        return BackendUnavailable(f"no complete copy of {self.connection} within {timeout_s:g} s: {why}")

    def number(self, column: str) -> int | None:
        """Return a number of NB_Global, 0 if it has no row, None while the rows are not complete; under the lock."""
        self._ask(self._follower.come_back)
        return self._follower.numbers().get(column, 0) if self._follower.complete else None

    # Waiting ---------------------------------------------------------------------------------------------------------

    def when(self, look: Callable[[], T | None], deadline: Deadline) -> T | None:
        """Return what `look` finds, as soon as it finds something; None at the deadline. It runs under the lock.

        BackendUnavailable  the line was closed
        """
        me = object()
        while True:
            seen = self._ticks
            try:
                with self._lock:
                    if self._closed:
                        raise BackendUnavailable(f"the connection to {self.connection} was closed")
                    found = look()
                    # Who reads takes in under the lock: what it has read by now was looked at.
                    if found is None and self._reader is None:
                        self._reader = me
                left = deadline.left() if found is None else 0
                if not left:
                    return found
                if self._reader is me:
                    self._read(left)
                else:
                    # The one who reads ticks after it has let go, so nobody sleeps while nobody reads.
                    self._sleep(seen, left)
            finally:
                if self._reader is me:
                    self._reader = None
                    self._tick()

    def _sleep(self, seen: int, seconds: float) -> None:
        """Wait for a tick after the one that was seen."""
        with self._ticked:
            self._sleepers += 1
            try:
                # A while that is longer than any lock may be waited for is an error of threading's.
                self._ticked.wait_for(lambda: self._ticks != seen, min(seconds, threading.TIMEOUT_MAX))
            finally:
                self._sleepers -= 1

    def _read_if_none_does(self, timeout_s: float, *, timers: bool = True) -> bool:
        """Do what `_read` does, unless another call does it; tell whether it was done."""
        me = object()
        try:
            with self._lock:
                if self._reader is not None or self._closed:
                    return False
                self._reader = me
            self._read(timeout_s, timers=timers)
            return True
        finally:
            if self._reader is me:
                self._reader = None
                self._tick()

    def _read_now(self, deadline: Deadline) -> None:
        """Take in what has come, so that a snapshot shows it."""
        wire = self._wire
        before = wire.received if wire is not None else 0
        if not self._read_if_none_does(0, timers=False) or wire is None:
            return
        if wire.received - before >= _MUCH and not self._lanes and deadline.left():
            # It may be the beginning of more that the server could not get rid of. While a lane is at work it is what
            # holds the server off, and nobody waits for a server that has its hands full.
            with self._lock:
                self._ask(self._follower.catch_up)

    @property
    def _is_local(self) -> bool:
        """Whether the server is on this machine: then it does not probe us, and a socket takes little at once."""
        return bool(self._session.get_name().startswith("unix:"))

    def _look_after(self) -> None:
        while not self._closed:
            try:
                self._look_once()
            except Exception:
                LOG.exception("the rows are fetched anew")
                self._pause(_BUSY_S)

    def _look_once(self) -> None:
        if self._lanes and self._is_local:
            self._pause(_BUSY_S)
        elif self._follower.complete and not self._follower.is_behind:
            self._pause(_IDLE_S)
            # Callers read for themselves: the thread must not be in their way for longer than it takes.
            self._read_if_none_does(0)
        elif not self._read_if_none_does(_BUSY_S):
            self._pause(_BUSY_S)

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    # Reading: for `_reader` alone -------------------------------------------------------------------------------------

    def _read(self, timeout_s: float, *, timers: bool = True) -> None:
        """Wait for the server, and do what is to be done.

        timers  look after the session's timers, too, if nothing comes
        """
        wire = self._wire
        if wire is not None:
            is_ready = wire.poll(min(timeout_s, _IDLE_S))
        else:
            is_ready = self._session.poll(min(timeout_s, _BUSY_S))
        try:
            if is_ready:
                with self._lock:
                    self._take_in()
            if wire is None or wire.status or (timers and not is_ready):
                self._run_session()
        except BaseException:
            # A signal handler's, in the midst of it: nobody knows how much of an update was taken in.
            self.refetch("interrupted")
            raise

    def _run_session(self) -> None:
        if self._follower.complete and self._wire is not None and self._wire.status:
            # It was quiet, not ill: no reason to wait longer each time before the next try.
            self._session.was_well()
        if not self._closed:
            # Not under the lock: it may look up the name of a host.
            self._session.run()
        with self._lock:
            if self._wire is not self._session.wire:
                self._wire = self._session.wire
                self._follower.end()
                if self._wire is not None:
                    self._follower.begin()
                self._wake.set()

    def _take_in(self) -> None:
        """Send what is left, read what has come, and do what it says."""
        wire = self._wire
        if wire is None or self._closed:
            return
        if wire.has_unsent:
            wire.run()
        try:
            # The rows of a long message are kept until its end, and the collector would look at them again and again.
            if wire.messages.is_amid:
                with paused():
                    self._handle(wire.read())
            else:
                self._handle(wire.read())
        except Unfit as unfit:
            self._drop(f"{self._session.get_name()}: {unfit}")
        except Astray as astray:
            LOG.warning("the rows are fetched anew: %s", astray)
            self.refetch(f"an update did not fit the rows: {astray}")
        except NOT_UNDERSTOOD as fault:
            # Not JSON, or not as the protocol has it: nobody knows whether an update was missed.
            LOG.exception("the rows are fetched anew")
            self.refetch(f"a message was not understood: {fault}")

    def _handle(self, messages: Iterable[Any]) -> None:
        for message in messages:
            self._follower.handle(message)

    def _drop(self, why: str) -> None:
        if self._follower.complete:
            # It is known to work: no reason to wait before the next try.
            self._session.reset_backoff()
        self._follower.stop()
        self._session.drop(why)
        self._wake.set()

    def _write(self, message: bytes) -> None:
        if self._wire is not None:
            self._wire.write(message)

    def _tick(self) -> None:
        """Tell all who wait that something may have changed."""
        # No two ticks have one number, whichever of two threads comes first.
        self._ticks = next(self._numbers)
        if self._sleepers:
            with self._ticked:
                self._ticked.notify_all()
