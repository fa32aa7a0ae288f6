"""JSON-RPC messages as bytes: what python-ovs' `jsonrpc.Connection` does, without its parser and its copies.

Law: what is sent is encoded once; what comes is decoded once, as it comes.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import ovs.jsonrpc
import ovs.timeval

from ovnk8s_topo.backends.json_stream import Keeper, MessageStream
from ovnk8s_topo.backends.ovsdb_link import Session, new_poller

_PIECE = 1 << 16
"""Bytes asked for at once: more would make the allocator ask the kernel for the buffer, each time."""

_SHORT = 1 << 16
"""Bytes of a message that is offered to the socket at once."""

_PIECES = 16
"""How many pieces are read in a row, so that others get a chance."""


class Wire:
    """One connection, in the shape that `ovs.jsonrpc.Session` wants.

    stream  an open stream of `ovsdb_link`
    keeper  takes rows; what it raises, and what is wrong with the stream, goes to whoever reads

    status       an errno, or `ovs.jsonrpc.EOF`, once the connection has failed; 0 before
    messages     the stream of what comes
    has_more     there may be more to read at once
    received     how many bytes have come
    heard_at     when something came that the session has not been told of; it is told by its next `run`
    """

    def __init__(self, stream: Any, keeper: Keeper) -> None:
        self.name: str = stream.name
        self.stream = stream
        self.status = 0
        self.has_more = False
        self.heard_at: int | None = None
        self.received = 0
        self.messages = MessageStream(keeper)
        self._unsent: deque[memoryview] = deque()
        self._sending = threading.Lock()
        self._socket: socket.socket = stream.socket
        self._is_plain = not isinstance(self._socket, ssl.SSLSocket)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._poll, self._events = select.poll(), select.POLLIN
        self._poll.register(self._socket, self._events)
        self._glance = select.poll()
        self._glance.register(self._socket, select.POLLIN)

    def write(self, message: bytes) -> None:
        """Send a message, or as much of it as goes without waiting; `run` sends the rest."""
        with self._sending:
            try:
                sent = self._send(message) if len(message) <= _SHORT and not (self._unsent or self.status) else 0
                if sent != len(message):
                    self._unsent.append(memoryview(message)[max(sent, 0) :])
                    if len(self._unsent) == 1:
                        self._flush()
            except BaseException:
                self._interrupted()
                raise

    def run(self) -> None:
        """Send what has not gone yet, as far as it goes without waiting."""
        if self._unsent:
            with self._sending:
                try:
                    self._flush()
                except BaseException:
                    self._interrupted()
                    raise

    def _flush(self) -> None:
        while self._unsent and not self.status:
            sent = self._send(self._unsent[0])
            if sent == len(self._unsent[0]):
                self._unsent.popleft()
            elif sent >= 0:
                self._unsent[0] = self._unsent[0][sent:]
            elif sent == -errno.EAGAIN:
                return
            else:
                self.error(-sent)

    def _interrupted(self) -> None:
        # By a signal handler: nobody knows how much the socket took, and nothing may be sent twice.
        self.error(errno.EINTR)

    def _send(self, message: bytes | memoryview) -> int:
        """Offer a message to the socket; return how many bytes it took, or an errno below 0."""
        if not self._is_plain:
            count: int = self.stream.send(message)
            return count
        # Such a stream would only ask once more whether it is connected.
        try:
            return self._socket.send(message)
        except OSError as error:
            return -_number(error)

    def _receive(self) -> tuple[int, bytes]:
        """Return an errno, or 0 and what has come, nothing if the other side has closed."""
        if not self._is_plain:
            received: tuple[int, bytes] = self.stream.recv(_PIECE)
            return received
        try:
            return 0, self._socket.recv(_PIECE)
        except OSError as error:
            return _number(error), b""

    @property
    def has_unsent(self) -> bool:
        """Whether something is left to send."""
        return bool(self._unsent)

    def drain(self, timeout_s: float) -> None:
        """Send some more, when it goes; it may be called while another thread waits in `poll`."""
        poll = select.poll()
        with contextlib.suppress(ValueError):  # closed meanwhile
            poll.register(self._socket, select.POLLOUT)
            poll.poll(timeout_s * 1000)
        self.run()

    def read(self) -> Iterator[Any]:
        """Yield the messages that have come, without waiting; each is to be handled before the next is asked for."""
        self.has_more = False
        for _ in range(_PIECES):
            error, received = self._receive() if not self.status else (self.status, b"")
            if error or not received:
                if error != errno.EAGAIN:
                    self.error(error or ovs.jsonrpc.EOF)
                return
            self.received += len(received)
            self.heard_at = ovs.timeval.msec()
            yield from self.messages.feed(self._decode(received))
            if len(received) < _PIECE and (self._is_plain or not self._is_buffered()):
                return
        self.has_more = True

    def poll(self, timeout_s: float) -> bool:
        """Wait until something can be read or, if something is left to send, sent; tell whether it can."""
        if self.has_more or self.status:
            return True
        events = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        if events != self._events:
            self._events = events
            self._poll.modify(self._socket, events)
        return bool(self._poll.poll(timeout_s * 1000))

    def has_come(self) -> bool:
        """Whether there is something to read; one thread at a time may ask, also while another one waits in `poll`."""
        return self.has_more or bool(self.status or self._glance.poll(0))

    def _is_buffered(self) -> bool:
        # Decrypted bytes inside the TLS layer do not make the socket readable.
        return cast(ssl.SSLSocket, self._socket).pending() > 0

    # What ovs.jsonrpc.Session asks for --------------------------------------------------------------------------------

    def send(self, message: Any) -> int:
        """Send a probe of the session's."""
        self.write(json.dumps(message.to_json()).encode())
        return self.status

    def error(self, error: int) -> None:
        """Note that the connection has failed. Whoever polls it is woken; `close` comes later."""
        if not self.status:
            self.status = error
            with contextlib.suppress(OSError):  # it is not connected any more
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self.stream.close()

    def get_status(self) -> int:
        """Return `status`."""
        return self.status

    def get_backlog(self) -> int:
        """Return how many bytes are not sent yet."""
        return sum(map(len, self._unsent))

    def get_received_bytes(self) -> int:
        """Return `received`."""
        return self.received


def _number(error: OSError) -> int:
    """Return the errno of a socket's error. One without is that of a signal handler, e.g. a bare TimeoutError."""
    if error.errno is None:
        raise error
    return error.errno


class WireSession(Session):
    """A session whose connections are `Wire`s."""

    def __init__(
        self, remotes: list[str], context: ssl.SSLContext | None, probe_interval_s: float, keeper: Keeper
    ) -> None:
        super().__init__(remotes, context, probe_interval_s)
        self.rpc: Any
        self._keeper = keeper

    @property
    def wire(self) -> Wire | None:
        """The connection, None while there is none."""
        wire: Wire | None = self.rpc
        return wire

    def run(self) -> None:
        """Connect, reconnect, probe: whatever is due. To be called when `poll` has found nothing to read."""
        self._adopt()
        self.reconnect.receive_attempted(ovs.timeval.msec())
        if self.wire is not None and self.wire.heard_at is not None:
            self.reconnect.activity(self.wire.heard_at)
            self.wire.heard_at = None
        super().run()
        self._adopt()

    def _adopt(self) -> None:
        made: Any = self.rpc
        if isinstance(made, ovs.jsonrpc.Connection):
            # By the base class, in this very call or in one that was interrupted: nothing was read from it yet.
            self.rpc = Wire(made.stream, self._keeper)

    def poll(self, timeout_s: float) -> bool:
        """Wait until there is something to read or to send; tell whether there is."""
        wire = self.wire
        if wire is not None:
            return wire.poll(timeout_s)
        poller = new_poller()
        self.wait(poller)
        poller.timer_wait(timeout_s * 1000)
        poller.block()
        return False

    def was_well(self) -> None:
        """Know that the connection was good until now, though nothing may have come on it for long."""
        if self.wire is not None:
            self.wire.heard_at = ovs.timeval.msec()

    def drop(self, why: str) -> None:
        """End the connection, for a reason; the next `run` goes to the next remote."""
        self.explain(why)
        # Beside `run` it may be one that is not ours yet.
        wire: object = self.rpc
        if isinstance(wire, Wire):
            wire.error(ovs.jsonrpc.EOF)
        else:
            self.force_reconnect()
