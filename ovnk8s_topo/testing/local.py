"""Real OVN servers as plain processes: no root, no container engine, no system service involved."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

from ovnk8s_topo.testing.processes import Playground, Server
from ovnk8s_topo.testing.tls import TlsFiles, make_certificates
from ovnk8s_topo.testing.tools import OvnToolError, environment, program, run, schema

ServerName = Literal["nb", "sb", "northd"]

# One line of a log file: vlog's default FILE pattern, ovs-appctl(8).
_LOG_LINE = re.compile(r"[^|]*\|\d+\|(?P<module>[^|(]+)[^|]*\|(?P<level>[A-Z]+)\|(?P<text>.*)")
_COMPLAINTS = frozenset({"WARN", "ERR", "EMER"})
# Modules that speak of connections and of a slow machine, not of what is in the database. They complain whenever a
# test kills or freezes a server.
_TRANSPORT = frozenset(
    {"reconnect", "jsonrpc", "stream", "stream_fd", "stream_ssl", "stream_tcp", "stream_unix", "socket_util", "timeval"}
    | {"poll_loop", "fatal_signal", "dns_resolve", "ovsdb_cs"}
)
# ovn-northd says of a malformed address or port_security no more than this, and at level INFO (northd/ovn-util.c).
_BAD_COLUMN = "invalid syntax"
# ovn-northd marks its own transactions so (seen in every record it writes, OVN 23.03).
_BY_NORTHD = b'"_comment":"ovn-northd"'
_TRANSACT = b'received request, method="transact"'


class LocalOvn:
    """An OVN of one's own, in a temporary directory, for as long as the ``with`` block lasts.

    northd          also run a Southbound database and ovn-northd
    tcp             also listen on a free TCP port of 127.0.0.1: `tcp`
    tls             also listen for TLS on a free port of 127.0.0.1: `ssl`, with the client's files in `client_tls`
    count_requests  have the NB server log what it receives, for `txn_requests`; costs speed with large transactions

    >>> with LocalOvn() as ovn:
    ...     _ = ovn.nbctl("ls-add", "blue")
    ...     ovn.nbctl("--bare", "--columns=name", "list", "Logical_Switch").strip()
    'blue'

    OvnNotInstalled  raised by `start` (and ``with``) if a program or schema is missing
    """

    def __init__(
        self, *, northd: bool = False, tcp: bool = False, tls: bool = False, count_requests: bool = False
    ) -> None:
        self._with_northd = northd
        self._count_requests = count_requests
        self._listeners = [kind for kind, wanted in (("tcp", tcp), ("ssl", tls)) if wanted]
        self._playground: Playground | None = None
        self._env: dict[str, str] = {}
        self._ports: dict[str, int] = {}
        self._servers: dict[ServerName, Server] = {}
        self._client_tls: TlsFiles | None = None
        self._database_inode = 0
        self._stack = ExitStack()

    # --- life ---

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the servers and return when they answer; after a failure nothing is left of them."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Kill the servers and remove their directory; may be called twice, and with servers frozen or dead."""
        self._stack.close()
        self._servers.clear()

    # --- where to connect to ---

    @property
    def directory(self) -> Path:
        """Directory of the databases (``nb.db``), sockets (``nb.sock``), control sockets (``nb.ctl``) and logs."""
        if self._playground is None:
            raise ValueError("not started")
        return self._playground.directory

    @property
    def nb(self) -> str:
        """Connection method of the Northbound database, ``unix:...``."""
        return f"unix:{self.directory}/nb.sock"

    @property
    def sb(self) -> str:
        """Connection method of the Southbound database; only with ``northd=True``."""
        self._server("sb")
        return f"unix:{self.directory}/sb.sock"

    @property
    def tcp(self) -> str:
        """Connection method of the Northbound database, ``tcp:127.0.0.1:...``; only with ``tcp=True``."""
        return f"tcp:127.0.0.1:{self._port('tcp')}"

    @property
    def ssl(self) -> str:
        """Connection method of the Northbound database, ``ssl:127.0.0.1:...``; only with ``tls=True``."""
        return f"ssl:127.0.0.1:{self._port('ssl')}"

    @property
    def client_tls(self) -> TlsFiles:
        """Files that a client of `ssl` needs; only with ``tls=True``."""
        if self._client_tls is None:
            raise ValueError("started without tls=True")
        return self._client_tls

    # --- looking and changing by OVN's own tools ---

    def nbctl(self, *arguments: str) -> str:
        """Run ovn-nbctl with these arguments (options first) and return what it prints.

        OvnToolError  it failed, or did not end in 10 s (pass ``--timeout`` for another limit)
        """
        return self._client("ovn-nbctl", self.nb, *arguments)

    def sbctl(self, *arguments: str) -> str:
        """Run ovn-sbctl with these arguments and return what it prints; errors as for `nbctl`."""
        return self._client("ovn-sbctl", self.sb, *arguments)

    def trace(self, datapath: str, microflow: str, *options: str) -> str:
        """Say what OVN would do with a packet: ovn-trace(8) after northd has caught up.

        datapath   name of the logical switch (or router) where the packet enters
        microflow  e.g. ``inport == "p1" && eth.src == ... && ip4.dst == ... && ip.ttl == 64``
        options    of ovn-trace; ``--summary`` if there are none
        """
        self.sync()
        return run(
            (program("ovn-trace"), f"--db={self.sb}", *(options or ("--summary",)), datapath, microflow), self._env
        )

    def sync(self) -> None:
        """Wait until northd has written what the Northbound database says; this is one transaction on it."""
        self.nbctl("--wait=sb", "sync")

    def appctl(self, server: ServerName, *arguments: str) -> str:
        """Run ovs-appctl on one of the servers and return what it prints."""
        return run((program("ovs-appctl"), "-t", str(self._file(server, "ctl")), *arguments), self._env)

    # --- measuring ---

    def northd_warnings(self) -> list[str]:
        """Return what northd has had to complain about the databases' contents, oldest first, as ``module: text``.

        Lines of level WARN and worse, without those about connections and slowness, and the INFO lines by which it
        rejects a malformed address. Waits for northd first (see `sync`).
        """
        self.sync()
        matches = map(_LOG_LINE.match, self._file("northd", "log").read_text(errors="replace").splitlines())
        return [f"{line['module']}: {line['text']}" for line in matches if line and _is_complaint(line)]

    def transaction_count(self) -> int:
        """Return how many transactions have changed the Northbound database since it was created, northd's apart.

        Exact: these are the records of the database file, and the server answers a transaction after writing its
        record. A transaction that reads, fails, or changes nothing leaves none.
        """
        path = self._file("nb", "db")
        # A file much grown is rewritten as one record, at the earliest 10 minutes after the start (ovsdb-server(1)).
        if path.stat().st_ino != self._database_inode:
            raise OvnToolError(self._server("nb").command, None, "the database was compacted, its history is gone")
        with path.open("rb") as log:
            _schema, *changes = _records(log)
        return sum(_BY_NORTHD not in change for change in changes)

    def txn_requests(self) -> int:
        """Return how many ``transact`` requests the NB server has received, changing or not, from anybody.

        Only with ``count_requests=True``. Counts on when the server is restarted.
        """
        if not self._count_requests:
            raise ValueError("started without count_requests=True")
        with self._file("nb", "log").open("rb") as log:
            return sum(_TRANSACT in line for line in log)

    # --- faults ---

    def freeze(self, server: ServerName = "nb") -> None:
        """Stop a server without ending it (SIGSTOP): it accepts connections and answers nothing."""
        self._server(server).freeze()

    def thaw(self, server: ServerName = "nb") -> None:
        """Let a frozen server go on: it now answers what it was sent meanwhile."""
        self._server(server).thaw()

    def kill(self, server: ServerName = "nb") -> None:
        """Kill a server as a crash would (SIGKILL); its database stays for `restart`."""
        self._server(server).kill()

    def restart(self, server: ServerName = "nb") -> None:
        """Kill a server if it runs, and start it again on the same database, sockets and ports."""
        self._server(server).kill()
        self._launch(server)

    # --- inside ---

    def _start(self) -> None:
        playground = self._playground = Playground()
        self._stack.callback(playground.close)
        self._group = playground.group
        self._env = environment(self.directory)
        self._ports = {kind: self._stack.enter_context(_reserved_port()).getsockname()[1] for kind in self._listeners}
        self._add_database("nb", *self._nb_options())
        self._database_inode = self._file("nb", "db").stat().st_ino
        if self._with_northd:
            self._add_database("sb")
            self._add("northd", "ovn-northd", f"--ovnnb-db={self.nb}", f"--ovnsb-db={self.sb}")
            self.sync()

    def _nb_options(self) -> list[str]:
        options = [f"--remote=p{kind}:{port}:127.0.0.1" for kind, port in self._ports.items()]
        if self._count_requests:
            options.append("-vjsonrpc:file:dbg")
        if "ssl" in self._ports:
            server, self._client_tls = make_certificates(self.directory)
            options += [f"--ca-cert={server.ca}", f"--certificate={server.certificate}", f"--private-key={server.key}"]
        return options

    def _add_database(self, name: Literal["nb", "sb"], *options: str) -> None:
        database, listen = str(self._file(name, "db")), f"--remote=punix:{self._file(name, 'sock')}"
        run((program("ovsdb-tool"), "create", database, str(schema(f"ovn-{name}"))), self._env)
        self._add(name, "ovsdb-server", database, listen, *options)

    def _add(self, name: ServerName, daemon: str, *arguments: str) -> None:
        log = self._file(name, "log")
        common = (f"--unixctl={self._file(name, 'ctl')}", f"--log-file={log}", "-vconsole:off")
        server = Server((program(daemon), *arguments, *common), group=self._group, env=self._env, log=log)
        self._servers[name] = server
        self._stack.callback(server.kill)
        self._launch(name)

    def _launch(self, name: ServerName) -> None:
        self._server(name).start(lambda: self._answers(name))

    def _answers(self, name: ServerName) -> bool:
        socket_name = "ctl" if name == "northd" else "sock"
        ports = self._ports.values() if name == "nb" else ()
        return _accepts(str(self._file(name, socket_name))) and all(_accepts(port) for port in ports)

    def _server(self, name: ServerName) -> Server:
        if name not in self._servers:
            raise ValueError(f"there is no {name} server: not started, or started without northd=True")
        return self._servers[name]

    def _port(self, kind: str) -> int:
        if kind not in self._ports:
            raise ValueError(f"not started, or started without {'tls' if kind == 'ssl' else kind}=True")
        return self._ports[kind]

    def _file(self, server: ServerName, suffix: str) -> Path:
        return self.directory / f"{server}.{suffix}"

    def _client(self, name: str, database: str, *arguments: str) -> str:
        return run((program(name), f"--db={database}", "--timeout=10", *arguments), self._env)


def _is_complaint(line: re.Match[str]) -> bool:
    serious = line["level"] in _COMPLAINTS and line["module"] not in _TRANSPORT
    return serious or _BAD_COLUMN in line["text"]


def _records(log: BinaryIO) -> Iterator[bytes]:
    """Yield the complete records of a standalone database file: the schema, then one for each change; ovsdb(5)."""
    while (header := log.readline()).endswith(b"\n"):
        length = int(header.split()[2])  # OVSDB JSON <length> <sha1>
        record = log.read(length)
        if len(record) < length:
            return
        yield record


def _reserved_port() -> socket.socket:
    """Bind a free port of 127.0.0.1 without listening.

    Nobody else is given the port while this socket is open, but a server that sets SO_REUSEADDR, as ovsdb-server
    does, may listen on it: also again after a restart. See socket(7), SO_REUSEADDR.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


def _accepts(address: str | int) -> bool:
    """Say whether someone listens on this unix socket (path) or on this port of 127.0.0.1."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        target = address if isinstance(address, str) else ("127.0.0.1", address)
        return probe.connect_ex(target) == 0
