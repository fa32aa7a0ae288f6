"""A second connection, for long transactions: nobody is told of changes on it, so no answer waits for our own echo.

Law: it lives for one commit, belongs to the thread that made it, and is never opened twice. What was not sent to its
last byte was not applied, for the server acts on whole messages only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from ovnk8s_topo.backends.attempts import Deadline
from ovnk8s_topo.backends.follower import Pending
from ovnk8s_topo.backends.json_stream import NOT_UNDERSTOOD
from ovnk8s_topo.backends.operations import Note, Operations, texts_of, to_text
from ovnk8s_topo.backends.ovsdb_wire import Wire, WireSession
from ovnk8s_topo.backends.schema import DATABASE
from ovnk8s_topo.errors import BackendUnavailable

_PIECE = 100
"""Operations that are encoded at a time: the server reads them while we encode the next."""

_MOST_UNSENT = 1 << 20
"""Encoded bytes that may wait for the server, so that memory does not grow with the transaction."""

_CONNECTING_S = 0.1
"""How long one look at a connection that is being made may take."""

_WAITING_S = 1.0
"""How long one look at a connection may take: poll(2) takes no more than some weeks."""


class NoRows:
    """Takes the rows of a connection on which nobody has asked for any; see `json_stream.Keeper`."""

    def keep(self, table: str, uuid: str, update: dict[str, Any], text: str) -> None:
        """Do nothing."""

    def known_at(self, table: str, uuid: str, text: str, at: int) -> str:
        """Know none."""
        return ""

    def keep_known(self, table: str, uuid: str, text: str) -> None:
        """Do nothing."""


class Lane:
    """Carries the transactions of one commit; see `attempts.Carrier`.

    was_answered  the server has answered one of them
    """

    def __init__(self, session: WireSession, note: Note) -> None:
        self._session, self._note = session, note
        # A second try might be another server.
        session.reconnect.set_max_tries(0)
        self._numbers = itertools.count(1)
        self._pending: dict[object, Pending] = {}
        self._wire: Wire | None = None
        self._abandoned = False
        self.was_answered = False

    def send(self, operations: Operations, deadline: Deadline) -> Pending | None:
        """Send one transaction, None if it could not be sent: then it was not applied.

        It is sent while it is made. What that raises ends the connection, and with it the transaction.
        """
        wire = self._connected(deadline)
        if wire is None:
            return None
        number, pending = next(self._numbers), Pending()
        self._pending[number] = pending
        try:
            for piece in _pieces(number, operations, self._note):
                wire.write(piece)
                if not self._sent_but(_MOST_UNSENT, wire, deadline):
                    break
            else:
                return pending
        except Exception:
            self._session.drop("a transaction cannot be written")
            raise
        self._session.drop("a transaction could not be sent in time")
        # After its last byte it may have been applied, whatever became of the connection.
        return pending if piece == _END and not wire.has_unsent else None

    def results(self, pending: Pending, deadline: Deadline) -> list[Any] | None:
        """Return the server's results, [] if the connection broke first, None at the deadline.

        BackendUnavailable  abandoned
        """
        while pending.results is None and self._wire is not None and deadline.left():
            self._exchange(self._wire, deadline)
        if self._abandoned and not pending.results:
            raise BackendUnavailable(f"the connection to {self._session.get_name()} was closed")
        return pending.results

    def give_up(self, pending: Pending) -> None:
        """Do nothing: the connection ends with the commit anyway."""

    def abandon(self) -> None:
        """Let the call end that uses the lane; unlike all else here this may come from another thread."""
        self._abandoned = True
        if self._wire is not None:
            self._session.drop("closed")

    def close(self) -> None:
        """End the connection."""
        self._session.close()
        self._end()

    def _connected(self, deadline: Deadline) -> Wire | None:
        while self._wire is None and deadline.left():
            self._session.run()
            self._wire = self._session.wire
            if self._abandoned or not self._session.is_alive():
                return None
            if self._wire is None:
                self._session.poll(min(_CONNECTING_S, deadline.left()))
        return self._wire if self._wire is not None and not self._wire.status else None

    def _sent_but(self, most: int, wire: Wire, deadline: Deadline) -> bool:
        """Send until no more than so many bytes are left; tell whether that came about."""
        while wire.get_backlog() > most and not wire.status and deadline.left():
            self._exchange(wire, deadline)
        return not wire.status and wire.get_backlog() <= most

    def _exchange(self, wire: Wire, deadline: Deadline) -> None:
        """Wait until something can be sent or read, and do both."""
        if wire.poll(min(deadline.left(), _WAITING_S)):
            wire.run()
            # A server whose answers nobody reads stops reading, too.
            try:
                for message in wire.read():
                    self._handle(wire, message)
            except NOT_UNDERSTOOD as fault:
                self._session.drop(f"a message was not understood: {fault}")
        if wire.status:
            self._end()

    def _handle(self, wire: Wire, message: Any) -> None:
        if message.get("method") == "echo":
            wire.write(to_text({"id": message.get("id"), "result": message.get("params"), "error": None}).encode())
        elif pending := self._pending.pop(message.get("id"), None):
            self.was_answered = True
            pending.answered(message.get("result"), message.get("error"))

    def _end(self) -> None:
        for pending in self._pending.values():
            pending.results = []
        self._pending.clear()


_END = b"]}"
"""What a request ends with, in a piece of its own."""


def _pieces(number: int, operations: Operations, note: Note) -> Iterator[bytes]:
    """Yield a request of RFC 7047 section 4.1.3, encoded some operations at a time."""
    yield f'{{"id":{number},"method":"transact","params":["{DATABASE}"'.encode()
    rest = texts_of(operations, note)
    while some := list(itertools.islice(rest, _PIECE)):
        yield f",{','.join(some)}".encode()
    yield _END
