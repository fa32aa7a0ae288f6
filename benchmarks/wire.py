"""A bare connection to ovsdb-server: bytes out, bytes in, nothing in between. It is what everything is compared with.

Law: nothing of `ovnk8s_topo.backends` is used on the way, so that its faults do not become the reference's.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

DATABASE = "OVN_Northbound"

_CHUNK = 1 << 18
_END = b"end of reply"


def transaction(operations: Iterable[Mapping[str, object]]) -> bytes:
    """Return the request that makes operations in one transaction (RFC 7047 section 4.1.3)."""
    return request("transact", [DATABASE, *operations])


def request(method: str, params: list[Any], number: object = 1) -> bytes:
    """Return a JSON-RPC request."""
    return json.dumps({"method": method, "params": params, "id": number}, separators=(",", ":")).encode()


class Wire:
    """A connection over a unix socket.

    connection  ``unix:FILE``
    """

    def __init__(self, connection: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(connection.removeprefix("unix:"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def server(self) -> int:
        """The server's process id (SO_PEERCRED, unix(7))."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", credentials)[0])

    def transact(self, sent: bytes) -> list[Any]:
        """Send a transaction and return its results.

        RuntimeError  the server refused an operation
        """
        self._socket.sendall(sent)
        reply = self._reply()
        results: list[Any] = reply["result"]
        refused = next((result for result in results if result and "error" in result), None)
        if refused is not None:
            raise RuntimeError(f"the server refused: {refused}")
        return results

    def read(self, sent: bytes) -> bytes:
        """Send a request and return the bytes of the answer, however many: an echo behind it tells where it ends."""
        self._socket.sendall(sent + request("echo", [], _END.decode()))
        received = bytearray()
        while not (received.endswith(b"}") and _END in received[-100:]):
            received += self._received()
        return bytes(received[: received.rindex(b"{", 0, received.rindex(_END))])

    def _reply(self) -> dict[str, Any]:
        received = self._received()
        while True:
            if received.endswith(b"}"):
                try:
                    reply: dict[str, Any] = json.loads(received)
                except ValueError:
                    pass  # a brace inside
                else:
                    return reply
            received += self._received()

    def _received(self) -> bytes:
        received = self._socket.recv(_CHUNK)
        if not received:
            raise RuntimeError("the server closed the connection")
        return received
