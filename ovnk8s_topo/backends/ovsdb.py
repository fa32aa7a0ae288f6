"""A live Northbound database, through python-ovs and ovsdbapp.

Law: one object, one connection, one thread. The thread alone talks to the network; callers hold the lock only for
what takes no waiting, so that nobody waits for anybody else's server, and every call ends by its own deadline.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from ovsdbapp.backend.ovs_idl.command import BaseCommand

from ovnk8s_topo.backends.contract import Committed, Decide, Level
from ovnk8s_topo.backends.ops import Operation, Schema, confirmation, encode
from ovnk8s_topo.backends.ovsdb_link import Session, Tls, is_open_tcp, new_poller, split_remotes
from ovnk8s_topo.backends.ovsdb_replica import Base, Pending, Refusal, Replica, read_snapshot, refusal_of, schema_of
from ovnk8s_topo.diff import ChangeSet, Delete, Insert, Update
from ovnk8s_topo.errors import BackendError, BackendUnavailable, ConflictError, NotReached, OutcomeUnknown
from ovnk8s_topo.nb.rowset import Snapshot

LOG = logging.getLogger(__name__)
# A library is silent until its user configures logging.
logging.getLogger("ovnk8s_topo").addHandler(logging.NullHandler())

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.5
"""Pauses after a conflict: they grow from the first to the longest."""

_STALE_ATTEMPTS = 3
"""Conflicts in a row, without any change arriving, after which the replica is taken for stale and fetched anew."""


_LEAST_ROUND_TRIP_S = 0.02
"""What a transaction takes at the least, for the question whether there is time for one more."""

_LOCK_GRACE_S = 0.1
"""How long a call without time left still waits for the lock: the thread holds it for moments only."""


class ReconcileCommand(BaseCommand):  # type: ignore[misc]
    """An ovsdbapp command that makes the changes `decide` asks for, computed anew in every attempt.

    api      the ovsdbapp API (or anything with its IDL as `.idl`); see `run_idl`
    decide   computes the changes from the database as it is in this very attempt
    result   the ChangeSet of the last attempt, once the transaction is through
    attempts how often `decide` was asked

    Add it to a transaction of your own: ``with nb.transaction(check_error=True) as txn: txn.add(command)``. ovsdbapp
    repeats the transaction when a guard fails; a uuid or a name that somebody else took first is a RuntimeError there,
    and says so in its text.
    """

    def __init__(self, api: Any, decide: Decide) -> None:
        super().__init__(api)
        self.decide = decide
        self.attempts = 0

    def run_idl(self, txn: Any) -> None:
        """Read, decide, and add the operations to the transaction.

        Rows that other commands of this transaction have made or changed are not seen yet.
        """
        idl = self.api.idl
        for operation in self.operations(read_snapshot(idl.tables), schema_of(idl)):
            txn.add_op(operation)

    def operations(self, actual: Snapshot, schema: Schema) -> list[Operation]:
        """Ask for the changes and return them as operations; see `ops.encode` for what it raises."""
        self.attempts += 1
        self.result = self.decide(actual)
        return encode(self.result, actual, schema)


class _Deadline:
    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def at_most(self, seconds: float) -> _Deadline:
        return _Deadline(min(seconds, self.left()))


class OvsdbNb:
    """A Northbound database on a live ovsdb-server; see `contract.NbBackend` for what its methods promise.

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
        remotes = split_remotes(connection)
        for remote in filter(is_open_tcp, remotes):
            LOG.warning("%s: plain TCP to another machine is neither encrypted nor authenticated; use ssl:", remote)
        tls = _tls(ca_cert, certificate, private_key) if any(r.startswith("ssl:") for r in remotes) else None
        self.connection = connection
        self._replica = Replica(
            Session(remotes, tls.context() if tls else None, probe_interval_s), leader_only=leader_only
        )
        self._lock = threading.RLock()
        self._ticked = threading.Condition()
        self._ticks = 0
        self._closed = False
        self._orders: list[Callable[[], None]] = []
        self._random = random.Random()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._thread = threading.Thread(target=self._work, name=f"OvsdbNb {connection}", daemon=True)
        self._thread.start()

    # What the contract promises ----------------------------------------------------------------------------------

    def snapshot(self, *, timeout_s: float) -> Snapshot:
        """Return all rows of our tables; see `contract.NbBackend.snapshot`."""
        base = self._when(self._replica.base, _Deadline(timeout_s))
        if base is None:
            raise self._unavailable(timeout_s)
        return base.snapshot

    def commit(self, decide: Decide, *, timeout_s: float, confirm: bool = False) -> Committed:
        """Write what `decide` returns; see `contract.NbBackend.commit`."""
        started = time.monotonic()
        committed = _Commit(self, decide, confirm, _Deadline(timeout_s)).run()
        if not committed.changes.is_empty:
            inserts, updates, deletes = (len(committed.changes.of(kind)) for kind in (Insert, Update, Delete))
            took_ms = (time.monotonic() - started) * 1000
            what = (inserts, updates, deletes, committed.attempts, took_ms)
            LOG.info("commit: +%d ~%d -%d, %d attempts, %.0f ms", *what)
        return committed

    def wait(self, level: Level, nb_cfg: int, *, timeout_s: float) -> None:
        """Wait for northd or the chassis; see `contract.NbBackend.wait`."""
        known = 0

        def reached() -> bool | None:
            nonlocal known
            known = self._replica.numbers().get(f"{level}_cfg", 0)
            return True if self._replica.complete and known >= nb_cfg else None

        if self._when(reached, _Deadline(timeout_s)) is None:
            who = "northd has" if level == "sb" else "all chassis have"
            raise NotReached(f"{who} confirmed {known}, not {nb_cfg}, within {timeout_s:g} s")

    def close(self) -> None:
        """Close the connection and end the thread. Calling it again is no error."""
        if not self._closed:
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

    @contextlib.contextmanager
    def _held(self, deadline: _Deadline) -> Iterator[bool]:
        """Hold the lock if it can be had by the deadline; yields whether."""
        held = self._lock.acquire(timeout=max(deadline.left(), _LOCK_GRACE_S))
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    def _when(self, look: Callable[[], T | None], deadline: _Deadline) -> T | None:
        """Return what `look` finds, as soon as it finds something; None at the deadline. It runs under the lock."""
        while True:
            seen = self._ticks
            if self._closed:
                raise BackendUnavailable(f"the connection to {self.connection} was closed")
            with self._held(deadline) as held:
                found = self._look(look) if held else None
            if found is not None or not held or not deadline.left():
                return found
            with self._ticked:
                self._ticked.wait_for(lambda seen=seen: self._ticks != seen, deadline.left())  # type: ignore[misc]

    def _look(self, look: Callable[[], T | None]) -> T | None:
        self._obey()
        return look()

    def _send(self, operations: list[Operation], deadline: _Deadline) -> Pending | None:
        with self._held(deadline) as held:
            pending = self._replica.send(operations) if held and deadline.left() else None
        self._wake()
        return pending

    def _unavailable(self, timeout_s: float) -> BackendUnavailable:
        why = self._replica.session.why
        if self._replica.session.is_connected():
            why = f"connected, but the rows are not complete yet (last fault: {why})"
        return BackendUnavailable(f"no complete copy of {self.connection} within {timeout_s:g} s: {why}")


class _Commit:
    """One call of `commit`: attempts, until one is through or the deadline has come."""

    def __init__(self, nb: OvsdbNb, decide: Decide, confirm: bool, deadline: _Deadline) -> None:
        self.nb, self.confirm, self.deadline = nb, confirm, deadline
        self.command = ReconcileCommand(None, decide)
        self.lost: ChangeSet | None = None
        self.refusal: Refusal | None = None
        self.integrity = self.still = 0
        self.round_trip_s = 0.0

    def run(self) -> Committed:
        while True:
            base = self.nb._when(self.nb._replica.base, self.deadline)
            if base is None or not self.has_time():
                raise self.failure()
            committed = self.attempt(base)
            if committed is not None:
                return committed
            self.settle(base)

    def has_time(self) -> bool:
        """Tell whether another attempt is likely to be answered in time.

        A refused transaction is known not to be applied; to send it once more and not hear of it would lose that.
        """
        needed = max(_LEAST_ROUND_TRIP_S, 2 * self.round_trip_s) if self.refusal is not None else 0.0
        return self.command.attempts == 0 or self.deadline.left() > needed

    def attempt(self, base: Base) -> Committed | None:
        """Try once; None if it must be tried again."""
        operations = self.command.operations(base.snapshot, base.schema)
        changes: ChangeSet = self.command.result
        if not operations:
            return self.nothing_to_do(changes, base)
        if self.confirm:
            operations += confirmation(exists=base.has_global)
        pending = self.nb._send(operations, self.deadline)
        if pending is None:
            return None
        reply = self.reply(pending, changes)
        refusal = refusal_of(reply)
        if reply and refusal is None:
            nb_cfg = reply[len(operations) - 1]["rows"][0]["nb_cfg"] if self.confirm else 0
            return Committed(changes, self.command.attempts, nb_cfg)
        if refusal is not None:
            self.refused(refusal, changes)
        return None

    def nothing_to_do(self, changes: ChangeSet, base: Base) -> Committed:
        # An attempt whose reply was lost has done it: what is wanted is there, and something was sent.
        written = changes if self.lost is None else self.lost
        nb_cfg = base.snapshot.nb_cfg if self.lost is not None and self.confirm else 0
        return Committed(written, self.command.attempts, nb_cfg)

    def reply(self, pending: Pending, changes: ChangeSet) -> list[Any]:
        """Wait for the server's results; [] if the connection broke before they came."""
        replica = self.nb._replica

        def results() -> list[Any] | None:
            return pending.reply or ([] if replica.lost(pending) else None)

        sent = time.monotonic()
        self.lost, before = changes, self.lost
        try:
            found = self.nb._when(results, self.deadline)
        except BackendUnavailable as closed:
            raise self.failure() from closed
        self.round_trip_s = time.monotonic() - sent
        if found:
            self.lost = before
        if found is None:
            # ground facts 7, 10: probes alone do not help against a server that is stuck; only a new connection does.
            self.nb._order(lambda: None if replica.lost(pending) else replica.reconnect("a transaction got no answer"))
            raise self.failure()
        return found

    def refused(self, refusal: Refusal, changes: ChangeSet) -> None:
        """Remember why; raise if trying again cannot help."""
        self.refusal = refusal
        if refusal.lost:
            self.lost = changes
        self.integrity += bool(refusal.attempts)
        if refusal.attempts and self.integrity >= refusal.attempts:
            raise self.failure()

    def settle(self, base: Base) -> None:
        """Wait until the replica has moved on from what the attempt was based on, or for a pause, with jitter."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self.command.attempts, 10))
        replica = self.nb._replica
        moved = self.nb._when(lambda: replica.stamp != base.stamp or None, self.deadline.at_most(longest))
        self.still = 0 if moved else self.still + 1
        if self.still == _STALE_ATTEMPTS:
            self.nb._order(lambda: replica.resync("its rows did not fit the server's any more"))
        time.sleep(min(self.deadline.left(), self.nb._random.uniform(0, longest / 4)))

    def failure(self) -> BackendError:
        """Return the error that says what is known when the deadline has come."""
        within = f"within {self.deadline.timeout_s:g} s, {self.command.attempts} attempts"
        if self.lost is not None:
            return OutcomeUnknown(f"{self.nb.connection} gave no answer {within}; it may or may not have been applied")
        if self.refusal is not None:
            return ConflictError(f"{self.nb.connection} refused the transaction {within}: {self.refusal.text}")
        return self.nb._unavailable(self.deadline.timeout_s)


def _tls(ca_cert: str | None, certificate: str | None, private_key: str | None) -> Tls:
    if ca_cert is None or certificate is None or private_key is None:
        raise ValueError("ssl: needs ca_cert, certificate and private_key")
    return Tls(ca_cert, certificate, private_key)
