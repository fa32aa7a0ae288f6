"""One connection to one database: the thread that keeps the copy, and transactions under a deadline.

Law: one object, one connection, one thread. The thread alone talks to the network; callers hold the lock only for
what takes no waiting, so that nobody waits for anybody else's server, and every call ends by its own deadline.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from ovnk8s_topo.backends.attempts import Attempts, Base, C, Carrier, Deadline, Decision, Done, Way, nothing_more
from ovnk8s_topo.backends.operations import Operation, Operations
from ovnk8s_topo.backends.ovsdb_link import Session, check_remotes, new_poller, tls_context
from ovnk8s_topo.backends.ovsdb_replica import Copied, Pending, Replica
from ovnk8s_topo.errors import BackendUnavailable, TopoError

LOG = logging.getLogger(__name__)

S = TypeVar("S")
"""What is read."""

T = TypeVar("T")

_LOCK_GRACE_S = 0.1
"""How long a call without time left still waits for the lock: the thread holds it for moments only."""


class OvsdbClient(Generic[S]):
    """A database on a live ovsdb-server, of which one part is copied.

    connection        ``unix:FILE``, ``tcp:HOST:PORT``, ``ssl:HOST:PORT``, or several of them joined by commas (a
                      cluster: they are tried in turn until one is the leader)
    ca_cert           PEM file with whom to trust, for ``ssl:``; the server's certificate must bear its host name
    certificate       PEM file with our certificate, for ``ssl:``
    private_key       PEM file with its key, for ``ssl:``
    leader_only       False: also talk to a cluster's followers, whose rows may be older
    probe_interval_s  idle seconds after which the server is probed, over TCP and TLS; 0 never

    ValueError        the connection is not written as above, or ``ssl:`` lacks a file
    OSError           a TLS file cannot be used

    It connects in the background; the first call that needs the database waits for it.
    """

    copied: ClassVar[Copied[Any]]

    def __init__(
        self,
        connection: str,
        *,
        ca_cert: str | None = None,
        certificate: str | None = None,
        private_key: str | None = None,
        leader_only: bool = True,
        probe_interval_s: float = 5.0,
    ) -> None:
        remotes = check_remotes(connection)
        context = tls_context(remotes, ca_cert, certificate, private_key)
        self.connection = connection
        session = Session(remotes, context, probe_interval_s)
        self._replica: Replica[S] = Replica(session, self.copied, leader_only=leader_only)
        self._lock = threading.RLock()
        self._ticked = threading.Condition()
        self._ticks = 0
        self._closed = False
        self._orders: list[Callable[[], None]] = []
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._thread = threading.Thread(target=self._work, name=f"{type(self).__name__} {connection}", daemon=True)
        self._thread.start()

    def _read(self, timeout_s: float) -> S:
        """Return what is read out of a complete copy. BackendUnavailable  there is none by the deadline."""
        base = self._when(self._replica.base, Deadline(timeout_s))
        if base is None:
            raise self._unavailable(timeout_s)
        return base.snapshot

    def _transact(
        self,
        decision: Decision[S, C],
        timeout_s: float,
        also: Callable[[Base[S]], list[Operation]] = nothing_more,
    ) -> Done[S, C]:
        """Write what is decided, and the operations to add; see `contract.NbBackend.commit` for what it raises."""
        return Attempts(self._way, decision, timeout_s, also).run()

    @property
    def _way(self) -> Way[S]:
        return _Way(self)

    def close(self) -> None:
        """Close the connection and end the thread. Calling it again is no error."""
        # Not only the first time: that may have been interrupted.
        self._closed = True
        self._wake()
        self._thread.join()
        self._wake_read.close()
        self._wake_write.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The thread --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closed:
            poller = new_poller()
            with self._lock:
                self._replica.wait(poller)
            poller.fd_wait(self._wake_read, 1)  # POLLIN
            poller.block()
            with contextlib.suppress(BlockingIOError):
                self._wake_read.recv(4096)
            with self._lock:
                self._step()
            self._tick()
        with self._lock:
            self._replica.close()
        self._tick()

    def _step(self) -> None:
        try:
            self._obey()
            self._replica.run()
        except Exception as fault:
            # A fault of python-ovs: after it nobody knows whether an update was missed.
            LOG.exception("the replica is fetched anew")
            self._replica.resync(f"python-ovs failed: {fault}")

    def _tick(self) -> None:
        """Tell all who wait that something may have changed."""
        with self._ticked:
            self._ticks += 1
            self._ticked.notify_all()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it wakes anyway; closed: there is nobody to wake
            self._wake_write.send(b"\0")

    def _order(self, order: Callable[[], None]) -> None:
        """Have something done to the replica before anybody looks at it again, without waiting for the lock."""
        self._orders.append(order)
        self._wake()

    def _obey(self) -> None:
        while self._orders:
            self._orders.pop()()

    # What the callers' threads do --------------------------------------------------------------------------------

    def _held(self, do: Callable[[], T | None], deadline: Deadline) -> T | None:
        """Do something under the lock; None if it cannot be had by the deadline."""
        try:
            return do() if self._lock.acquire(timeout=max(deadline.left(), _LOCK_GRACE_S)) else None
        finally:
            # A signal handler may have raised when the lock was had and nobody knew of it yet, and would again in a
            # call before this one.
            try:
                self._lock.release()
            except RuntimeError:  # it was not had
                LOG.debug("the lock was not to be had")

    def _when(self, look: Callable[[], T | None], deadline: Deadline) -> T | None:
        """Return what `look` finds, as soon as it finds something; None at the deadline. It runs under the lock."""
        while True:
            seen = self._ticks
            if self._closed:
                raise BackendUnavailable(f"the connection to {self.connection} was closed")
            found = self._held(lambda: self._look(look), deadline)
            if found is not None or not deadline.left():
                return found
            with self._ticked:
                self._ticked.wait_for(lambda seen=seen: self._ticks != seen, deadline.left())  # type: ignore[misc]

    def _look(self, look: Callable[[], T | None]) -> T | None:
        self._obey()
        return look()

    def _send(self, operations: Operations, deadline: Deadline) -> Pending | None:
        try:
            return self._held(lambda: self._replica.send(operations) if deadline.left() else None, deadline)
        except TopoError:
            raise
        except BaseException:
            # A signal handler's: nobody knows how much was sent, and nothing may be sent twice.
            self._order(lambda: self._replica.reconnect("interrupted"))
            raise
        finally:
            self._wake()

    def _unavailable(self, timeout_s: float) -> BackendUnavailable:
        why = self._replica.session.why
        if self._replica.session.is_connected():
            why = f"connected, but the rows are not complete yet (last fault: {why})"
        return BackendUnavailable(f"no complete copy of {self.connection} within {timeout_s:g} s: {why}")


class _Way(Generic[S]):
    """A client, as `Attempts` see it."""

    def __init__(self, client: OvsdbClient[S]) -> None:
        self._client, self._replica = client, client._replica
        self.connection = client.connection

    def base(self, deadline: Deadline) -> Base[S] | None:
        return self._client._when(self._replica.base, deadline)

    def send(self, operations: Operations, deadline: Deadline) -> Pending | None:
        return self._client._send(operations, deadline)

    def carrier(self, operations: int) -> AbstractContextManager[Carrier]:
        return contextlib.nullcontext(self)

    def results(self, pending: Pending, deadline: Deadline) -> list[Any] | None:
        def found() -> list[Any] | None:
            return pending.reply or ([] if self._replica.lost(pending) else None)

        return self._client._when(found, deadline)

    def moved(self, base: Base[S], deadline: Deadline) -> bool:
        return bool(self._client._when(lambda: self._replica.stamp != base.stamp or None, deadline))

    def give_up(self, pending: Pending) -> None:
        replica = self._replica
        self._client._order(lambda: None if replica.lost(pending) else replica.reconnect("a transaction got no answer"))

    def refetch(self, why: str) -> None:
        self._client._order(lambda: self._replica.resync(why))

    def unavailable(self, timeout_s: float) -> BackendUnavailable:
        return self._client._unavailable(timeout_s)
