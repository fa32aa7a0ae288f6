"""A relay between client and server that misbehaves on demand, and counts how often it did."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self


class FaultyLink:
    """Relays TCP connections to a server's unix socket.

    cuts      how many more transactions lose their reply: the server gets them, the connection breaks at the reply
    halves    how many more transactions are cut off in the middle, in what the first read gives
    late_cuts the same as `cuts`, for transactions that take more than one read (on a lane)
    is_open   False: connections are closed at once
    swallows  connections are accepted and nothing goes through
    splits    what the server sends comes in pieces that end inside every UTF-8 character
    fired     how many times a fault has happened
    """

    def __init__(self, connection: str) -> None:
        self._target = connection.removeprefix("unix:")
        self.cuts = self.halves = self.late_cuts = self.fired = 0
        self.is_open, self.swallows, self.splits = True, False, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def connection(self) -> str:
        return f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Break all connections and take no new ones."""
        self.is_open = False
        self.drop()

    def drop(self) -> None:
        """Break all connections."""
        for pair in self._pairs:
            _end(*pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self.is_open:
                client.close()
                self.fired += 1
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._pairs.append((client, server))
            for relay in (self._requests, self._replies):
                thread = threading.Thread(target=relay, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := client.recv(1 << 16):
                if self.swallows:
                    self.fired += 1
                elif b'"transact"' in received and self.cuts > 0:
                    self.cuts -= 1
                    self._cut(client, server, received)
                elif b'"transact"' in received and self.halves > 0:
                    self.halves -= 1
                    self._cut(client, server, received[: len(received) // 2])
                elif self.late_cuts > 0 and received.endswith(b"]}"):
                    self.late_cuts -= 1
                    self._cut(client, server, received)
                else:
                    server.sendall(self.request(received))
        _end(client, server)

    def request(self, received: bytes) -> bytes:
        """What goes to the server of what the client has sent; for subclasses."""
        return received

    def _cut(self, client: socket.socket, server: socket.socket, request: bytes) -> None:
        self.fired += 1
        # Nothing of the reply may come through: half of the link goes first.
        client.shutdown(socket.SHUT_WR)
        server.sendall(request)
        time.sleep(0.05)  # the server is given time to apply it; it is not told that nobody listens any more
        _end(client, server)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := server.recv(1 << 16):
                for piece in self._pieces(received):
                    client.sendall(piece)
                    time.sleep(0.002 * self.splits)  # else the pieces would be read together
        _end(client, server)

    def _pieces(self, received: bytes) -> list[bytes]:
        if not self.splits:
            return [received]
        cuts = [position + 1 for position, byte in enumerate(received) if byte >= 0xC0]
        self.fired += len(cuts)
        return [received[a:b] for a, b in zip([0, *cuts], [*cuts, len(received)], strict=True)]


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
