"""The way to a server: streams, TLS and reconnecting, on the transport code of the `ovs` package.

Law: this module moves JSON-RPC messages. It mends what python-ovs 4.0.0 does wrong on the way and nothing else:
a character split over two reads ends the connection, TLS files are process-wide and host names are not checked,
host names in `tcp:` and `ssl:` need an extra package, and nobody learns why a connection failed.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

import ovs.jsonrpc
import ovs.poller
import ovs.reconnect
import ovs.socket_util
import ovs.stream
import ovs.timeval

LOG = logging.getLogger(__name__)
# A library is silent until its user configures logging.
logging.getLogger("ovnk8s_topo").addHandler(logging.NullHandler())

_CHUNK = 1 << 18
"""How much of a long message is encoded and offered to the socket at once, in characters or bytes."""

_MIN_BACKOFF_MS, _MAX_BACKOFF_MS = 100, 1000
"""Pauses between attempts to connect; python-ovs' own 1 to 8 s are longer than the deadline of many a call."""


class Tls(NamedTuple):
    """Files for one TLS connection, PEM: whom we trust, who we are."""

    ca_cert: str
    certificate: str
    private_key: str

    def context(self) -> ssl.SSLContext:
        """Return a context that verifies the server's certificate and its name.

        OSError, ssl.SSLError  a file is missing or not usable
        """
        # PROTOCOL_TLS_CLIENT means CERT_REQUIRED and check_hostname.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.ca_cert)
        context.load_cert_chain(self.certificate, self.private_key)
        return context


def tls_context(
    remotes: list[str], ca_cert: str | None, certificate: str | None, private_key: str | None
) -> ssl.SSLContext | None:
    """Return the context for the ``ssl:`` ones among some remotes, None if there are none.

    ValueError             they need files that are not given
    OSError, ssl.SSLError  a file is missing or not usable
    """
    if not any(remote.startswith("ssl:") for remote in remotes):
        return None
    if ca_cert is None or certificate is None or private_key is None:
        raise ValueError("ssl: needs ca_cert, certificate and private_key")
    return Tls(ca_cert, certificate, private_key).context()


def check_remotes(connection: str) -> list[str]:
    """Return the remotes of a connection string, and warn of plain TCP to other machines. See `split_remotes`."""
    remotes = split_remotes(connection)
    for remote in filter(is_open_tcp, remotes):
        LOG.warning("%s: plain TCP to another machine is neither encrypted nor authenticated; use ssl:", remote)
    return remotes


def split_remotes(connection: str) -> list[str]:
    """Return the remotes of a connection string, e.g. ``tcp:10.0.0.1:6641,tcp:10.0.0.2:6641``.

    ValueError  a remote is not ``unix:FILE``, ``tcp:HOST:PORT`` or ``ssl:HOST:PORT``
    """
    remotes = [remote.strip() for remote in connection.split(",")]
    for remote in remotes:
        method, _, rest = remote.partition(":")
        if method not in ("unix", "tcp", "ssl") or not rest or (method != "unix" and not _is_address(rest)):
            raise ValueError(f"connection: must be unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT (got {remote!r})")
    return remotes


def is_open_tcp(remote: str) -> bool:
    """Tell whether a remote is plain TCP to another machine: neither encrypted nor authenticated."""
    method, _, rest = remote.partition(":")
    host = _address(rest)[0]
    return method == "tcp" and host not in ("localhost", "::1") and not host.startswith("127.")


def _address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), port


def _is_address(text: str) -> bool:
    """Tell whether a text is ``HOST:PORT``, so that somebody may be asked for the host."""
    host, port = _address(text)
    try:
        host.encode("idna")
    except UnicodeError:  # a part of it is empty or has over 63 characters
        return False
    return bool(host) and port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) <= 0xFFFF


def _resolve(text: str) -> tuple[str, str, int]:
    """Return name, first numeric address and port of ``HOST:PORT``."""
    host, port = _address(text)
    found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    return host, str(found[0][4][0]), int(port)


class _WholeCharacters:
    """A stream whose reads never end inside a UTF-8 character, and which encodes long messages piecewise.

    `ovs.jsonrpc.Connection.recv` starts a new decoder for every call, so that the second half of a character that
    came in two reads ends the connection with EILSEQ. Half a character stays here until the rest has come.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def recv(self, n: int) -> tuple[int, bytes]:
        """Receive whole characters; see `ovs.stream.Stream.recv`."""
        error, received = self._stream.recv(n)
        if error or not received:
            return error, received
        received = self._held + received
        cut = whole_length(received)
        received, self._held = received[:cut], received[cut:]
        return (0, received) if received else (errno.EAGAIN, b"")

    def send(self, sent: str | memoryview) -> int:
        """Offer some of a message to the socket; see `ovs.stream.Stream.send`."""
        count: int = self._stream.send(sent[:_CHUNK])
        return count


def whole_length(received: bytes) -> int:
    """Return the length of `received` without a UTF-8 character that is cut off at its end."""
    for back in range(1, min(4, len(received)) + 1):
        byte = received[-back]
        if byte & 0xC0 != 0x80:
            needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return len(received) - back if needed > back else len(received)
    return len(received)


class _TlsStream(ovs.stream.SSLStream):  # type: ignore[misc]
    """TLS with a context of its own; python-ovs spins through the handshake and hides its errors, this does not."""

    def __init__(self, sock: ssl.SSLSocket, name: str, status: int, report: Callable[[str], None]) -> None:
        super().__init__(sock, name, status)
        self._report = report
        self._shaken = False
        self._wants = ovs.poller.POLLOUT

    def connect(self) -> int:
        if self._shaken:
            return 0
        error: int = ovs.stream.Stream.connect(self)
        return error or self._handshake()

    def _handshake(self) -> int:
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._wants = ovs.poller.POLLIN
            return errno.EAGAIN
        except ssl.SSLWantWriteError:
            self._wants = ovs.poller.POLLOUT
            return errno.EAGAIN
        except OSError as fault:
            self._report(f"TLS: {fault}")
            return errno.EPROTO
        self._shaken = True
        return 0

    def connect_wait(self, poller: Any) -> None:
        poller.fd_wait(self.socket, self._wants)

    def recv_wait(self, poller: Any) -> None:
        # Decrypted bytes inside the TLS layer do not make the socket readable.
        if self._shaken and self.socket.pending():
            poller.immediate_wake()
        else:
            super().recv_wait(poller)


def _open_tls(name: str, context: ssl.SSLContext, report: Callable[[str], None]) -> tuple[int, Any]:
    host, address, port = _resolve(name.partition(":")[2])
    family, plain = ovs.socket_util.inet_create_socket_active(socket.SOCK_STREAM, (address, port))
    if plain is None:
        return family, None
    sock = context.wrap_socket(plain, do_handshake_on_connect=False, server_hostname=host)
    error = ovs.socket_util.inet_connect_active(sock, (address, port), family, ovs.stream.Stream.DSCP_DEFAULT)
    if error:
        return error, None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return 0, _TlsStream(sock, name, errno.EAGAIN, report)


def _open(name: str, context: ssl.SSLContext | None, report: Callable[[str], None]) -> tuple[int, Any]:
    """Start to connect; returns (errno, stream) as `ovs.stream.Stream.open` does."""
    if name.startswith("ssl:") and context is not None:
        return _open_tls(name, context, report)
    if name.startswith("tcp:"):
        _, address, port = _resolve(name.partition(":")[2])
        name = f"tcp:[{address}]:{port}"
    opened: tuple[int, Any] = ovs.stream.Stream.open(name)
    return opened


class _Reconnect(ovs.reconnect.Reconnect):  # type: ignore[misc]
    """Remembers why the last connection ended or could not be made."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.min_backoff, self.max_backoff = _MIN_BACKOFF_MS, _MAX_BACKOFF_MS  # set_backoff() refuses less than 1 s
        self.why = "not connected yet"
        self.detail = ""

    def connected(self, now: int) -> None:
        self.detail = ""
        super().connected(now)

    def disconnected(self, now: int, error: int) -> None:
        if error:
            text = os.strerror(error) if error > 0 else "closed by the server"
            self.why, self.detail = f"{self.name}: {self.detail or text}", ""
        super().disconnected(now, error)


class Session(ovs.jsonrpc.Session):  # type: ignore[misc]
    """A JSON-RPC session that reconnects to one of several remotes.

    remotes           see `split_remotes`
    context           for ``ssl:`` remotes
    probe_interval_s  idle seconds after which the peer is probed (over TCP and TLS); 0 never
    """

    def __init__(self, remotes: list[str], context: ssl.SSLContext | None, probe_interval_s: float) -> None:
        reconnect = _Reconnect(ovs.timeval.msec())
        super().__init__(reconnect, None, list(remotes))
        self.context = context
        self.pick_remote()
        reconnect.set_backoff_free_tries(len(remotes))
        needs_probes = any(not remote.startswith("unix:") for remote in remotes)
        reconnect.set_probe_interval(round(probe_interval_s * 1000) if needs_probes else 0)
        reconnect.enable(ovs.timeval.msec())

    @property
    def why(self) -> str:
        """Why there is no connection, for messages."""
        return str(self.reconnect.why)

    def explain(self, why: str) -> None:
        """Give the reason for what goes wrong next."""
        self.reconnect.why = self.reconnect.detail = why

    # The base class calls its private `__connect`; this is that name, so that streams are ours.
    def _Session__connect(self) -> None:  # noqa: N802
        self._Session__disconnect()
        name = self.reconnect.get_name()
        try:
            error, stream = _open(name, self.context, self.explain)
        except (OSError, ValueError) as fault:
            if isinstance(fault, OSError) and fault.errno is None:
                raise  # a signal handler's, while a name was looked up
            self.explain(str(fault))
            error, stream = errno.EADDRNOTAVAIL, None
        except RecursionError:  # python-ovs shortens a path again and again
            self.explain(f"{name}: {os.strerror(errno.ENAMETOOLONG)}")
            error, stream = errno.ENAMETOOLONG, None
        if error:
            self.reconnect.connect_failed(ovs.timeval.msec(), error)
            self.pick_remote()
        else:
            self.stream = _WholeCharacters(stream)
            self.reconnect.connecting(ovs.timeval.msec())
        self.seqno += 1


class _Poll:
    """poll(2) in the shape that `ovs.poller.Poller` wants: its own (select) refuses file descriptors above 1023."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}

    def register(self, file: Any, events: int) -> None:
        number = file if isinstance(file, int) else file.fileno()
        if number >= 0:  # a closed socket has -1
            self._events[number] = self._events.get(number, 0) | events

    def poll(self, timeout_ms: int) -> list[tuple[int, int]]:
        poll = select.poll()
        for number, events in self._events.items():
            poll.register(number, events)
        return poll.poll(timeout_ms)


def new_poller() -> Any:
    """Return an empty poller, for one `block`."""
    poller = ovs.poller.Poller()
    poller.poll = _Poll()
    return poller
