"""The operations of one row that comes into a holder or leaves it, such as a pod's port: what most transactions are.

Law: what `ops.encode` gives, in a fraction of the time, or nothing. A server writes a set of one element as that
element (RFC 7047 section 5.1), and so do we here, so that what it tells of the row can be compared with what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, overload

from ovnk8s_topo.backends.new_rows import HINT, NewRows
from ovnk8s_topo.backends.operations import Note, Operation
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.changes import ChangeSet, Delete, Insert
from ovnk8s_topo.nb.check import check_rows
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.ownership import external_ids_of
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import TABLES, Row, children_of

_REMEMBERED = 1000
"""Holders whose guards are remembered."""

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

    row   None: it leaves
    text  of the row
    link  table and column of the holder
    """

    table: str
    uuid: str
    holder: str
    link: tuple[str, str]
    row: Row | None = None
    text: str = ""

    def told(self) -> Mapping[str, object]:
        """Return it as <table-updates2> (ovsdb-server(7) section 4.1.14), decoded; of sets, only what is different."""
        update = {"delete": None} if self.row is None else {"insert": json.loads(self.text)}
        table, column = self.link
        return {self.table: {self.uuid: update}, table: {self.holder: {"modify": {column: ["uuid", self.uuid]}}}}


class OneRow(Sequence[Operation]):
    """Operations as text, joined by commas, with what will be heard of them; they are only decoded for who looks."""

    def __init__(self, text: str, count: int, echo: Echo) -> None:
        self.text, self.echo, self._count = text, echo, count

    def __len__(self) -> int:
        return self._count

    def texts(self, _: Note | None = None) -> Iterator[str]:
        """Yield the text; what is heard of the row is `echo`."""
        return iter((self.text,))

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
    """Encodes changes of one row for a server that has the columns of `schema`."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._rows = NewRows(schema)
        self._guards: dict[str, tuple[Stored, str]] = {}

    def encode(self, changes: ChangeSet, actual: Snapshot) -> OneRow | None:
        """Return the operations that make `changes`, with all guards; see `ops.encode`.

        None  it is more than one row, a row that has to do with others than its holder, or one at fault
        """
        if len(changes.changes) != 1:
            return None
        [change] = changes.changes
        if isinstance(change, Insert):
            return self._comes(change, actual) if change.row.TABLE.name in _PLAIN else None
        return self._goes(change.stored) if isinstance(change, Delete) else None

    def _comes(self, change: Insert, actual: Snapshot) -> OneRow | None:
        uuid, row, holders = change
        if len(holders) != 1:
            return None
        [holder] = holders
        stored = actual.rows.get(holder)
        guard = self._guard_of_holder(stored) if stored else ""
        text = self._text(row) if guard else ""
        if not text:
            return None
        table, link = row.TABLE.name, row.TABLE.parent
        assert link
        insert = f'{{"op":"insert","table":"{table}","uuid":"{uuid}","row":{text}}}'
        return OneRow(
            f"{guard},{insert},{_mutate(link, holder, 'insert', uuid)}", 3, Echo(table, uuid, holder, link, row, text)
        )

    def _goes(self, stored: Stored) -> OneRow | None:
        uuid, row, holders = stored
        table, link = row.TABLE.name, row.TABLE.parent
        guard = self._guard(stored)
        if not guard or not link or table not in _PLAIN or len(holders) != 1:
            return None
        [holder] = holders
        delete = f'{{"op":"delete","table":"{table}","where":{_where(uuid)}}}'
        return OneRow(f"{guard},{_mutate(link, holder, 'delete', uuid)},{delete}", 3, Echo(table, uuid, holder, link))

    def _guard_of_holder(self, stored: Stored) -> str:
        """Return its guard, made once for all that come."""
        known = self._guards.get(stored.uuid)
        if known is None or known[0] is not stored:
            if len(self._guards) >= _REMEMBERED:
                self._guards.clear()
            known = self._guards[stored.uuid] = stored, self._guard(stored)
        return known[1]

    def _guard(self, stored: Stored) -> str:
        """Return what relies on a row being there, with the owner that was read; "" where rows do not say that."""
        table = stored.row.TABLE
        if "external_ids" not in table.columns or not self.schema.has(table.name, "external_ids"):
            return ""
        external_ids = self._rows.maps.text(external_ids_of(stored.row))
        return (
            f'{{"op":"wait","table":"{table.name}","timeout":0,"where":{_where(stored.uuid)},'
            f'"columns":["external_ids"],"until":"==","rows":[{{"external_ids":{external_ids}}}]}}'
        )

    def _text(self, row: Row) -> str:
        """Return a new row as text, "" if it is at fault or the server lacks a column."""
        members = self._rows.plain_members(row)
        text = "" if members is None else ",".join(members)
        if members is None or HINT in text:
            if self._rows.lacking(row.TABLE) or check_rows((row,)):
                return ""
            text = ",".join(self._rows.members(row, _no_names))
        return f"{{{text}}}"


def _no_names(row: Row, column: Column, _: Value) -> object:
    raise AssertionError(f"{row.key} names other rows in {column.name}")


def _mutate(link: tuple[str, str], holder: str, change: str, uuid: str) -> str:
    table, column = link
    return (
        f'{{"op":"mutate","table":"{table}","where":[["_uuid","==",["uuid","{holder}"]]],'
        f'"mutations":[["{column}","{change}",["set",[["uuid","{uuid}"]]]]]}}'
    )


def _where(uuid: str) -> str:
    return f'[["_uuid","==",["uuid","{uuid}"]]]'
