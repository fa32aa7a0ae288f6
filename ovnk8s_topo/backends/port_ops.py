"""The operations of one row that comes into a holder or leaves it, such as a pod's port: what most transactions are.

Law: what `ops.encode` gives, in a fraction of the time, or nothing. A server writes a set of one element as that
element (RFC 7047 section 5.1), and so do we here, so that what it tells of the row can be compared with what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, overload

from ovnk8s_topo.backends.operations import Operation, map_json, to_json
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.changes import ChangeSet, Delete, Insert
from ovnk8s_topo.nb.check import check_rows
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.ownership import external_ids_of
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import TABLES, Row, children_of

_REMEMBERED = 1000
"""Maps whose text is remembered: ports of one network and namespace share what they say of themselves."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

_PLAIN = {
    name
    for name, table in TABLES.items()
    if table.parent and table.indexed and not table.references and not children_of(name)
    if all(column.ours for column in table.columns.values())
    if not any(column.refers == name for other in TABLES.values() for column in other.columns.values())
}
"""Tables whose rows have a holder and unique names, are all ours, and neither hold nor name others nor are named."""


class Echo(NamedTuple):
    """What a server tells of a row of ours that comes into its holder, or leaves it.

    told    as <table-updates2> (ovsdb-server(7) section 4.1.14), decoded
    row     None: it leaves
    text    of the row
    """

    told: Mapping[str, object]
    table: str
    uuid: str
    holder: str
    row: Row | None = None
    text: str = ""


class OneRow(Sequence[Operation]):
    """Operations as text, joined by commas, with what will be heard of them; they are only decoded for who looks."""

    def __init__(self, text: str, count: int, echo: Echo) -> None:
        self.text, self.echo, self._count = text, echo, count

    def __len__(self) -> int:
        return self._count

    def texts(self) -> Iterator[str]:
        """Yield the text."""
        yield self.text

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._decoded)

    @overload
    def __getitem__(self, index: int) -> Operation: ...

    @overload
    def __getitem__(self, index: slice) -> list[Operation]: ...

    def __getitem__(self, index: int | slice) -> Operation | list[Operation]:
        return self._decoded[index]

    @cached_property
    def _decoded(self) -> list[Operation]:
        decoded: list[Operation] = json.loads(f"[{self.text}]")
        return decoded


class PortEncoder:
    """Encodes changes of one row."""

    def __init__(self) -> None:
        self._maps: dict[int, tuple[Mapping[str, str], object, str]] = {}

    def encode(self, changes: ChangeSet, actual: Snapshot, schema: Schema) -> OneRow | None:
        """Return the operations that make `changes`, with all guards; see `ops.encode`.

        None  it is more than one row, a row that has to do with others than its holder, or one at fault
        """
        if len(changes.changes) != 1:
            return None
        [change] = changes.changes
        if isinstance(change, Insert):
            return self._comes(change, actual, schema) if change.row.TABLE.name in _PLAIN else None
        return self._goes(change.stored, schema) if isinstance(change, Delete) else None

    def _comes(self, change: Insert, actual: Snapshot, schema: Schema) -> OneRow | None:
        uuid, row = change.uuid, change.row
        if len(change.holders) != 1:
            return None
        [holder] = change.holders
        stored = actual.rows.get(holder)
        guard = self._guard(stored, schema) if stored else ""
        values = self._values(row, schema.tables.get(row.TABLE.name))
        if not guard or values is None or check_rows((row,)):
            return None
        table, text = row.TABLE.name, _encode(values)
        insert = f'{{"op":"insert","table":"{table}","uuid":"{uuid}","row":{text}}}'
        told = {table: {uuid: {"insert": values}}, **_membership(row, holder, uuid)}
        mutate = _mutate(row, holder, "insert", uuid)
        return OneRow(f"{guard},{insert},{mutate}", 3, Echo(told, table, uuid, holder, row, text))

    def _goes(self, stored: Stored, schema: Schema) -> OneRow | None:
        uuid, row, table = stored.uuid, stored.row, stored.row.TABLE.name
        guard = self._guard(stored, schema)
        if not guard or table not in _PLAIN or len(stored.holders) != 1:
            return None
        [holder] = stored.holders
        delete = f'{{"op":"delete","table":"{table}","where":{_where(uuid)}}}'
        told = {table: {uuid: {"delete": None}}, **_membership(row, holder, uuid)}
        return OneRow(f"{guard},{_mutate(row, holder, 'delete', uuid)},{delete}", 3, Echo(told, table, uuid, holder))

    def _guard(self, stored: Stored, schema: Schema) -> str:
        """Return what relies on a row being there, with the owner that was read; "" where rows do not say that."""
        table = stored.row.TABLE
        if "external_ids" not in table.columns or not schema.has(table.name, "external_ids"):
            return ""
        return (
            f'{{"op":"wait","table":"{table.name}","timeout":0,"where":{_where(stored.uuid)},'
            f'"columns":["external_ids"],"until":"==","rows":[{{"external_ids":{self._ids(stored.row)[1]}}}]}}'
        )

    def _values(self, row: Row, has: frozenset[str] | None) -> dict[str, object] | None:
        """Return a new row's columns as JSON, None if the server lacks one or the table."""
        if has is None:
            return None
        table, values = row.TABLE, dict[str, object]()
        for column, default, value in zip(table.columns.values(), table.defaults, table.content(row), strict=True):
            if value != default:
                name = column.name
                if name not in has:
                    return None
                values[name] = self._ids(row)[0] if name == "external_ids" else _bare(column, value)
        return values

    def _ids(self, row: Row) -> tuple[object, str]:
        """Return external_ids as JSON, and as its text."""
        ids = external_ids_of(row)
        known = self._maps.get(id(ids))
        if known is None or known[0] is not ids:
            if len(self._maps) >= _REMEMBERED:
                self._maps.clear()
            found = map_json(ids)
            known = self._maps[id(ids)] = ids, found, _encode(found)
        return known[1], known[2]


def _bare(column: Column, value: Value) -> object:
    if column.shape == "set" and isinstance(value, frozenset) and len(value) == 1:
        return next(iter(value))
    return to_json(column, value)


def _membership(child: Row, holder: str, uuid: str) -> Mapping[str, object]:
    """Return what is told of a holder that gains or loses a child: of sets, only what is different."""
    table, column = child.TABLE.parent or ("", "")
    return {table: {holder: {"modify": {column: ["uuid", uuid]}}}}


def _mutate(child: Row, holder: str, change: str, uuid: str) -> str:
    table, column = child.TABLE.parent or ("", "")
    return (
        f'{{"op":"mutate","table":"{table}","where":{_where(holder)},'
        f'"mutations":[["{column}","{change}",["set",[["uuid","{uuid}"]]]]]}}'
    )


def _where(uuid: str) -> str:
    return f'[["_uuid","==",["uuid","{uuid}"]]]'
