"""A live Northbound database, over a line of our own: python-ovs' transport without its replica and its parser."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from ovnk8s_topo.backends.attempts import Deadline, Decision
from ovnk8s_topo.backends.contract import Committed, Cut, Decide, Level, Work, idle
from ovnk8s_topo.backends.line import Line
from ovnk8s_topo.backends.nb_commit import commit, not_reached
from ovnk8s_topo.backends.operations import Operations
from ovnk8s_topo.backends.ops import operations
from ovnk8s_topo.backends.ovsdb_link import check_remotes, tls_context
from ovnk8s_topo.backends.ovsdb_wire import WireSession
from ovnk8s_topo.backends.port_ops import PortEncoder
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.nb.rowset import Snapshot


class _Decision(Decision[Snapshot, ChangeSet]):
    def __init__(self, decide: Decide, meanwhile: Work, ports_for: Callable[[Schema], PortEncoder]) -> None:
        self.decide, self.meanwhile, self.ports_for = decide, meanwhile, ports_for

    def encode(self, changes: ChangeSet, actual: Snapshot, schema: Schema) -> Operations:
        one_row = self.ports_for(schema).encode(changes, actual)
        return operations(changes, actual, schema) if one_row is None else one_row


class DirectNb:
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

    It connects in the background; the first call that needs the database waits for it. A snapshot costs the same at
    any size: it reads a row when the row is asked for. Objects may be used from several threads.
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
        remotes = check_remotes(connection)
        context = tls_context(remotes, ca_cert, certificate, private_key)
        self.connection = connection
        self._ports = PortEncoder(Schema({}, "unknown"))
        self._line = Line(
            connection,
            remotes,
            lambda some, keeper: WireSession(some, context, probe_interval_s, keeper),
            leader_only=leader_only,
        )

    def snapshot(self, *, timeout_s: float) -> Snapshot:
        """Return all rows of our tables; see `contract.NbBackend.snapshot`."""
        base = self._line.base(Deadline(timeout_s))
        if base is None:
            raise self._line.unavailable(timeout_s)
        return base.snapshot

    def commit(
        self, decide: Decide, *, timeout_s: float, confirm: bool = False, cut: Cut | None = None, meanwhile: Work = idle
    ) -> Committed:
        """Write what `decide` returns; see `contract.NbBackend.commit`."""
        decision = _Decision(decide, meanwhile, self._ports_for)
        return commit(self._line, decision, timeout_s, confirm=confirm, cut=cut)

    def wait(self, level: Level, nb_cfg: int, *, timeout_s: float) -> None:
        """Wait for northd or the chassis; see `contract.NbBackend.wait`."""
        known = 0

        def reached() -> bool | None:
            nonlocal known
            number = self._line.number(f"{level}_cfg")
            known = known if number is None else number
            return True if number is not None and number >= nb_cfg else None

        if self._line.when(reached, Deadline(timeout_s)) is None:
            raise not_reached(level, known, nb_cfg, timeout_s)

    def close(self) -> None:
        """Close the connection and end its thread. Calling it again is no error."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ports_for(self, schema: Schema) -> PortEncoder:
        """Return what encodes lone ports for a server, the same while the server has the same columns."""
        # Kept in one piece, for threads may ask about two servers at once.
        ports = self._ports
        if ports.schema is not schema:
            ports = self._ports = PortEncoder(schema)
        return ports
