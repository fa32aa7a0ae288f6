"""The copy of the server's rows that the Python IDL keeps, and how rows are read out of it.

Law: nothing here blocks and nothing here locks; the caller holds the lock and decides when to wait.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

import ovs.db.error
import ovs.db.idl
import ovs.jsonrpc

from ovnk8s_topo.backends.attempts import Base, S
from ovnk8s_topo.backends.operations import Operations
from ovnk8s_topo.backends.ovsdb_link import Session
from ovnk8s_topo.backends.schema import DATABASE, GLOBAL, GLOBAL_COLUMNS, Schema, wanted_columns
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import ROW_TYPES, TABLES, Table, children_of

_MONITORING = ovs.db.idl.Idl.IDL_S_MONITORING


class Stamp(NamedTuple):
    """Tells two states of the replica apart: the IDL it belongs to, its change number, rows updated so far."""

    idl: int
    change: int
    updates: int


@dataclass(frozen=True, slots=True)
class Copied(Generic[S]):
    """Which part of which database is copied, and what is read out of it.

    columns  table -> columns, as far as the server has them
    read     from `Idl.tables`
    """

    database: str
    columns: Mapping[str, tuple[str, ...]]
    read: Callable[[Mapping[str, Any]], S]


class _Idl(ovs.db.idl.Idl):  # type: ignore[misc]
    """The IDL on a session of ours, that knows when it has gone astray."""

    def __init__(self, session: Session, helper: Any, leader_only: bool) -> None:
        super().__init__(session.remotes[0], helper, leader_only=leader_only)
        self._session = session
        self.updates = 0
        self.broken = False

    def cooperative_yield(self) -> None:
        # Called for every row update; `change_seqno` misses a new row that holds nothing but defaults.
        self.updates += 1

    def handle_monitor_canceled(self, message: Any) -> bool:
        # The database was converted to another schema: start over with that one.
        canceled = bool(super().handle_monitor_canceled(message))
        self.broken = self.broken or canceled
        return canceled

    # The base class logs an update that does not fit its rows, and goes on with a wrong replica (ovs-issues#298).
    def _Idl__do_parse_update(self, *arguments: Any) -> None:  # noqa: N802
        try:
            super()._Idl__do_parse_update(*arguments)
        except ovs.db.error.Error:
            self.broken = True
            raise


class _Transaction(ovs.db.idl.Transaction):  # type: ignore[misc]
    """A transaction that keeps the server's reply."""

    def __init__(self, idl: _Idl) -> None:
        super().__init__(idl)
        self.reply: Any = None

    def _process_reply(self, message: Any) -> None:
        self.reply = message
        super()._process_reply(message)


class Pending:
    """A transaction on its way.

    seqno  the connection that carries it: once that is gone, no reply can come
    """

    def __init__(self, transaction: _Transaction, seqno: int) -> None:
        self._transaction = transaction
        self.seqno = seqno
        self.shown_at = 0

    @property
    def reply(self) -> list[Any] | None:
        """The server's results, one for each operation and perhaps one for the commit; None while there are none."""
        message = self._transaction.reply
        if message is None:
            return None
        if message.type == ovs.jsonrpc.Message.T_ERROR or not isinstance(message.result, list):
            return [{"error": "transaction refused", "details": str(message.error)}]
        return list(message.result)


class Replica(Generic[S]):
    """A part of one server's database, kept up to date over one session.

    The schema is asked for on every connection before the IDL may use it: servers are upgraded under us, and a
    request to monitor a column that is gone would be refused for ever.
    """

    def __init__(self, session: Session, copied: Copied[S], *, leader_only: bool) -> None:
        self.session = session
        self._copied = copied
        self._leader_only = leader_only
        self._idl: _Idl | None = None
        self._document: object = None
        self._schema = Schema({}, "unknown")
        self._asked: tuple[int, object] = (-1, None)
        self._known_in = -1
        self._cached: tuple[Stamp, S] | None = None

    def run(self) -> None:
        """Process what has come from the server."""
        if self._known_in != self.session.get_seqno() or self._idl is None:
            self._learn_schema()
        if self._known_in == self.session.get_seqno() and self._idl is not None:
            self._idl.run()
            if self._idl.broken:
                self.resync("an update from the server did not fit, or the schema has changed")

    def wait(self, poller: Any) -> None:
        """Make `poller` wake up when there is something to do for `run`."""
        if self._idl is not None:
            self._idl.wait(poller)
        else:
            self.session.wait(poller)
            self.session.recv_wait(poller)

    def close(self) -> None:
        """Close the connection."""
        self.session.close()

    @property
    def stamp(self) -> Stamp:
        """The state that the replica is in."""
        return Stamp(id(self._idl), self._idl.change_seqno, self._idl.updates) if self._idl else Stamp(0, 0, 0)

    @property
    def complete(self) -> bool:
        """Whether all rows are there and the connection that keeps them so is up."""
        idl, session = self._idl, self.session
        if idl is None or not session.is_connected() or idl.state != _MONITORING:
            return False
        return bool(self._known_in == session.get_seqno() == idl._last_seqno)

    def base(self) -> Base[S] | None:
        """Return all rows, None while they are not complete. Unchanged rows give the same snapshot again."""
        if not self.complete or self._idl is None:
            return None
        if self._cached is None or self._cached[0] != self.stamp:
            self._cached = (self.stamp, self._copied.read(self._idl.tables))
        return Base(self._cached[1], self._schema, self.stamp, self.numbers())

    def numbers(self) -> Mapping[str, int]:
        """Return the columns of NB_Global that confirm changes, nothing while there is no such row."""
        rows = self._idl.tables[GLOBAL].rows.values() if self._idl and GLOBAL in self._idl.tables else ()
        return next((_numbers(row) for row in rows), {})

    def send(self, operations: Operations) -> Pending | None:
        """Send one transaction, None if it could not be sent."""
        if not self.complete or self._idl is None:
            return None
        transaction = _Transaction(self._idl)
        for operation in operations:
            transaction.add_op(operation)
        sent = transaction.commit() == _Transaction.INCOMPLETE
        return Pending(transaction, self.session.get_seqno()) if sent else None

    def lost(self, pending: Pending) -> bool:
        """Tell whether the connection that carries a transaction is gone."""
        return not self.session.is_connected() or self.session.get_seqno() != pending.seqno

    def reconnect(self, why: str) -> None:
        """Drop the connection and make a new one; from now on nothing is complete until that one has all rows."""
        self._known_in = -1
        self.session.explain(why)
        self.session.reset_backoff()
        self.session.force_reconnect()

    def resync(self, why: str) -> None:
        """Forget all rows, and fetch them again over a new connection."""
        self._idl, self._document, self._cached = None, None, None
        self.reconnect(why)

    def _learn_schema(self) -> None:
        session = self.session
        session.run()
        if not session.is_connected():
            return
        if self._asked[0] != session.get_seqno():
            request = ovs.jsonrpc.Message.create_request("get_schema", [self._copied.database])
            self._asked = (session.get_seqno(), request.id)
            session.send(request)
        while (message := session.recv()) is not None:
            if message.id == self._asked[1]:
                self._answered(message)
                break

    def _answered(self, message: Any) -> None:
        if message.type == ovs.jsonrpc.Message.T_REPLY:
            self._adopt(message.result)
        else:
            self.session.explain(f"{self.session.get_name()}: no database {self._copied.database}: {message.error}")
            self.session.force_reconnect()

    def _adopt(self, document: dict[str, Any]) -> None:
        if self._idl is None or document != self._document:
            self._document, self._schema = document, Schema.from_json(document)
            self._idl = _Idl(self.session, self._monitored(), self._leader_only)
        self._known_in = self.session.get_seqno()

    def _monitored(self) -> Any:
        """Return what the IDL shall watch: the tables and columns of ours that the server has."""
        # The helper takes the document apart, so it gets its own.
        helper = ovs.db.idl.SchemaHelper(None, copy.deepcopy(self._document))
        for table, wanted in self._copied.columns.items():
            columns = [column for column in wanted if self._schema.has(table, column)]
            if columns:
                helper.register_columns(table, columns)
        return helper


def _numbers(row: Any) -> dict[str, int]:
    return {name: _scalar(row._data[name]) for name in GLOBAL_COLUMNS if name in row._table.columns}


def read_snapshot(tables: Mapping[str, Any]) -> Snapshot:
    """Return the rows of our tables that an IDL holds (`Idl.tables`), one pass over each table.

    Tables and columns that it does not watch read as their defaults.
    """
    rows = tables[GLOBAL].rows.values() if GLOBAL in tables else ()
    nb_cfg = next((_scalar(row._data["nb_cfg"]) for row in rows if "nb_cfg" in row._table.columns), 0)
    return _Reader(tables).snapshot(nb_cfg)


Convert = Callable[[Any], Value]


class _Reader:
    def __init__(self, tables: Mapping[str, Any]) -> None:
        self.tables = tables
        self.stored: dict[str, Stored] = {}
        self.holders: dict[str, list[str]] = {}

    def snapshot(self, nb_cfg: int) -> Snapshot:
        # TABLES is in the order of insertion: holders and targets of references come before those that need them.
        for table in TABLES.values():
            if table.name in self.tables:
                self.read(table, self.tables[table.name])
        return Snapshot(self.stored, nb_cfg)

    def read(self, table: Table, source: Any) -> None:
        columns = [
            (column.name, self.converter(column)) for column in table.columns.values() if column.name in source.columns
        ]
        held = [child.parent[1] for child in children_of(table.name) if child.parent]
        held = [column for column in held if column in source.columns]
        for row in source.rows.values():
            if row._data is not None:  # None: made by the transaction that is being put together
                self.add(table, str(row.uuid), {name: convert(row._data[name]) for name, convert in columns})
                for column in held:
                    self.hold(str(row.uuid), row._data[column].values)

    def add(self, table: Table, uuid: str, values: dict[str, Any]) -> None:
        holders = tuple(sorted(self.holders.get(uuid, ())))
        if table.parent:
            values["parent"] = self.stored[holders[0]].key.name if holders else ""
        if "name" in table.columns:
            values.setdefault("name", "")
        self.stored[uuid] = Stored(uuid, ROW_TYPES[table.name](**values), holders)

    def hold(self, holder: str, atoms: Mapping[Any, Any]) -> None:
        for atom in atoms:
            self.holders.setdefault(str(atom.value), []).append(holder)

    def converter(self, column: Column) -> Convert:
        if column.refers:
            return self.one_name if column.shape == "optional" else self.names
        return CONVERTERS[column.shape if column.base != "uuid" else "uuids"]

    def targets(self, datum: Any) -> Iterator[str]:
        for atom in datum.values:
            target = self.stored.get(str(atom.value))
            if target is not None:
                yield target.key.name

    def names(self, datum: Any) -> Value:
        return frozenset(self.targets(datum))

    def one_name(self, datum: Any) -> Value:
        return next(self.targets(datum), None)


def _scalar(datum: Any) -> Any:
    return next(iter(datum.values)).value


def _optional(datum: Any) -> Value:
    return next((atom.value for atom in datum.values), None)


def _texts(datum: Any) -> Value:
    return frozenset([atom.value for atom in datum.values])


def _map(datum: Any) -> Value:
    return {key.value: value.value for key, value in datum.values.items()}


def _uuids(datum: Any) -> Value:
    return frozenset([str(atom.value) for atom in datum.values])


CONVERTERS: Mapping[str, Convert] = {
    "scalar": _scalar,
    "optional": _optional,
    "set": _texts,
    "map": _map,
    "uuids": _uuids,
}
"""What turns a datum of python-ovs into a value, by the column's shape; ``uuids`` for references."""

NORTHBOUND = Copied(
    DATABASE,
    {**{table.name: tuple(wanted_columns(table)) for table in TABLES.values()}, GLOBAL: GLOBAL_COLUMNS},
    read_snapshot,
)
