"""Change sets as guarded OVSDB operations.

Law: pure. ChangeSet x Snapshot x Schema -> the operations of one transaction (RFC 7047 section 5.2). Every change
carries the guards that make it fail, not go astray, when the database is no longer as it was read.

The order inside a transaction is: all guards, inserts, updates, mutations, deletes. Guards come first because a
`wait` sees what the operations before it did. References and unique indexes are checked by the server at the end,
so the order of the rest is for the reader only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, repeat
from typing import cast

from ovnk8s_topo.backends.new_rows import HINT, NewRows
from ovnk8s_topo.backends.operations import (
    Note,
    Operation,
    Operations,
    map_json,
    to_json,
    to_text,
    uuid_set,
    uuid_set_text,
    wait,
    where_uuid,
)
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.diff import Assign, ChangeSet, Delete, Insert, Members, Move, PutKeys, Update
from ovnk8s_topo.errors import Problem, RowError
from ovnk8s_topo.nb.check import check_rows, check_value
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.ownership import external_ids_of
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, Row, Table


@dataclass(slots=True)
class _Guard:
    """What must still be true of one existing row: it is there, and these columns are as read."""

    table: str
    columns: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class _Mutation:
    """All mutations of one existing row, so that a holder of many children gets one operation."""

    table: str
    changed: list[object] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=dict)
    gained: dict[str, list[str]] = field(default_factory=dict)

    def operation(self, uuid: str) -> Operation:
        # Children leave before others come: a child may go from one holder column to itself in odd change sets.
        lost = [[column, "delete", uuid_set(uuids)] for column, uuids in self.lost.items()]
        gained = [[column, "insert", uuid_set(uuids)] for column, uuids in self.gained.items()]
        mutations = [*self.changed, *lost, *gained]
        return {"op": "mutate", "table": self.table, "where": where_uuid(uuid), "mutations": mutations}


class _Transaction:
    def __init__(self, changes: ChangeSet, actual: Snapshot, schema: Schema, *, checked: bool = False) -> None:
        self.changes, self.actual, self.schema, self.checked = changes, actual, schema, checked
        self.problems: list[Problem] = []
        self.inserts = [change for change in changes if isinstance(change, Insert)]
        self.changed = [change for change in changes if not isinstance(change, Insert)]
        self.inserted = {uuid for uuid, _, _ in self.inserts}
        self.deleted = {change.stored.uuid for change in self.changed if isinstance(change, Delete)}
        self.children: dict[str, dict[str, list[str]]] = {}
        self.guarded: dict[str, _Guard] = {}
        self.updated: dict[str, dict[str, object]] = {}
        self.mutated: dict[str, _Mutation] = {}
        self.rows = NewRows(schema)
        self.collect()
        self.unindexed = [change for change in self.inserts if _has_no_index(change.row.TABLE)]

    def __len__(self) -> int:
        guards, inserts = len(self.unindexed) + len(self.guarded), len(self.inserts)
        return guards + inserts + len(self.updated) + len(self.mutated) + len(self.deleted)

    def __iter__(self) -> Iterator[Operation]:
        yield from self.name_guards()
        yield from self.guards()
        yield from map(self.insert_json, self.inserts)
        yield from self.writes()
        if self.problems:
            raise RowError(self.problems)

    def texts(self, note: Note | None = None) -> Iterator[str]:
        """Yield the same as JSON texts."""
        yield from map(to_text, chain(self.name_guards(), self.guards()))
        yield from map(self.insert_text, self.inserts, repeat(note))
        yield from map(to_text, self.writes())
        if self.problems:
            raise RowError(self.problems)

    def collect(self) -> None:
        """Find out what is to be done to every row that is there, and which new rows hold which."""
        updates = [change for change in self.changed if isinstance(change, Update)]
        if problems := [problem for change in updates for problem in _check_update(change)]:
            raise RowError([*check_rows(change.row for change in self.inserts), *problems])
        for uuid, row, holders in self.inserts:
            for holder in holders:
                self.gain(row.TABLE, holder, uuid)
        for change in self.changed:
            if isinstance(change, Update):
                self.update(change)
            else:
                self.delete(change.stored)

    # What is to be done, collected per row ---------------------------------------------------------------------

    def check_insert(self, change: Insert) -> None:
        """Refuse a new row: with all others that the schema does not allow, or for what the server lacks."""
        row, table = change.row, change.row.TABLE
        if not self.checked and check_rows([row]):
            raise RowError(check_rows(change.row for change in self.inserts))
        for column in self.rows.lacking(table):
            self.known(row, column, row.get(column.name))
        if table.name not in self.schema.tables:
            self.refuse(row, "", row.key.name, f"the server's schema {self.schema.version} has no such table")

    def update(self, change: Update) -> None:
        self.guard(change.stored)
        for part in change.parts:
            match part:
                case Assign():
                    self.assign(change.stored, part)
                case PutKeys():
                    self.put_keys(change.stored, part)
                case Members():
                    self.members(change.stored, part)
                case Move(before, after):
                    self.lose(change.stored, (holder for holder in before if holder not in after))
                    for holder in after:
                        self.gain(change.stored.row.TABLE, holder, change.stored.uuid)

    def delete(self, stored: Stored) -> None:
        self.guard(stored)
        self.lose(stored, stored.holders)

    def assign(self, stored: Stored, part: Assign) -> None:
        column = stored.row.TABLE.columns[part.column]
        if self.known(stored.row, column, part.after):
            self.updated.setdefault(stored.uuid, {})[part.column] = self.json(stored.row, column, part.after)
            if not self.ambiguous(column, part.before):
                self.guarded[stored.uuid].columns[part.column] = self.json(stored.row, column, part.before)

    def put_keys(self, stored: Stored, part: PutKeys) -> None:
        column = stored.row.TABLE.columns[part.column]
        put = {key: value for key, value in part.after.items() if value is not None}
        # RFC 7047 section 5.1: "insert" leaves an existing key as it is, so ours go first. In shared rows a key
        # that somebody else put there meanwhile stays: they are only completed.
        shared = stored.row.TABLE.mark == "shared"
        gone = sorted(key for key in part.after if part.before.get(key) is not None or not shared)
        if self.known(stored.row, column, put):
            self.mutate(stored, [part.column, "delete", ["set", gone]], gone)
            self.mutate(stored, [part.column, "insert", map_json(put)], put)

    def members(self, stored: Stored, part: Members) -> None:
        column = stored.row.TABLE.columns[part.column]
        if self.known(stored.row, column, part.added):
            self.mutate(stored, [part.column, "delete", self.json(stored.row, column, part.removed)], part.removed)
            self.mutate(stored, [part.column, "insert", self.json(stored.row, column, part.added)], part.added)

    def mutate(self, stored: Stored, mutation: object, operands: object) -> None:
        if operands:
            self.mutation(stored.key.table, stored.uuid).changed.append(mutation)

    def mutation(self, table: str, uuid: str) -> _Mutation:
        return self.mutated.setdefault(uuid, _Mutation(table))

    def gain(self, child: Table, holder: str, uuid: str) -> None:
        """Put a child into its holder: into the new row at once, which is much cheaper, or by mutation."""
        assert child.parent
        table, column = child.parent
        if holder in self.inserted:
            self.children.setdefault(holder, {}).setdefault(column, []).append(uuid)
            return
        self.mutation(table, holder).gained.setdefault(column, []).append(uuid)
        if holder in self.actual.rows:
            self.guard(self.actual.rows[holder])
        else:
            self.guarded.setdefault(holder, _Guard(table))

    def lose(self, stored: Stored, holders: Iterable[str]) -> None:
        """Take a child out of its holders. Deleting a row of a non-root table alone does nothing, or breaks them."""
        if not stored.row.TABLE.parent:
            return
        table, column = stored.row.TABLE.parent
        for holder in holders:
            if holder not in self.deleted:
                self.mutation(table, holder).lost.setdefault(column, []).append(stored.uuid)

    def guard(self, stored: Stored) -> None:
        """Rely on the row being there, with the owner that was read."""
        table = stored.row.TABLE
        guard = self.guarded.setdefault(stored.uuid, _Guard(table.name))
        if "external_ids" in table.columns and self.schema.has(table.name, "external_ids"):
            guard.columns.setdefault("external_ids", map_json(external_ids_of(stored.row)))

    # What the server must find ---------------------------------------------------------------------------------

    def name_guards(self) -> Iterator[Operation]:
        """One `wait` for each new row whose table has no unique index: nobody else bears its name.

        It compares `_uuid`, because a `wait` compares rows as sets and two rows of one name are one element when
        only names are compared (ground facts 2 and 4). Rows that go in this very transaction may still bear it.
        """
        for change in self.unindexed:
            leaving = [stored.uuid for stored in self.actual.named(change.key) if stored.uuid in self.deleted]
            rows: list[dict[str, object]] = [{"_uuid": ["uuid", uuid]} for uuid in leaving]
            yield wait(change.key.table, [["name", "==", change.key.name]], ["_uuid"], rows)

    def guards(self) -> Iterator[Operation]:
        """One `wait` for each existing row that is written, deleted, or gains a child; found by uuid, so O(1)."""
        for uuid, guard in self.guarded.items():
            columns = guard.columns or {"_uuid": ["uuid", uuid]}
            yield wait(guard.table, where_uuid(uuid), sorted(columns), [columns])

    def insert_json(self, change: Insert) -> Operation:
        self.check_insert(change)
        held = {column: uuid_set(uuids) for column, uuids in self.children.get(change.uuid, {}).items()}
        row = {**self.rows.json(change.row, self.json), **held}
        return {"op": "insert", "table": change.row.TABLE.name, "uuid": change.uuid, "row": row}

    def insert_text(self, change: Insert, note: Note | None = None) -> str:
        row, uuid = change.row, change.uuid
        members = self.rows.plain_members(row)
        text = "" if members is None else f"{{{','.join(members)}}}"
        if members is None or HINT in text:
            self.check_insert(change)
            text = self.text_with(self.rows.members(row, self.json), uuid)
        elif uuid in self.children:
            text = self.text_with(members, uuid)
        elif note is not None:
            # Of other rows servers do not tell just that, and a name in it may come to mean another row.
            note(uuid, text, row)
        return f'{{"op":"insert","table":"{row.TABLE.name}","uuid":"{uuid}","row":{text}}}'

    def text_with(self, members: list[str], uuid: str) -> str:
        """Return the text of a new row, with its children."""
        held = [f'"{column}":{uuid_set_text(uuids)}' for column, uuids in self.children.get(uuid, {}).items()]
        return f"{{{','.join([*members, *held])}}}"

    def writes(self) -> Iterator[Operation]:
        for uuid, row in self.updated.items():
            yield {"op": "update", "table": self.guarded[uuid].table, "where": where_uuid(uuid), "row": row}
        yield from (mutation.operation(uuid) for uuid, mutation in self.mutated.items())
        for change in self.changed:
            if isinstance(change, Delete):
                yield {"op": "delete", "table": change.stored.row.TABLE.name, "where": where_uuid(change.stored.uuid)}

    # Values ----------------------------------------------------------------------------------------------------

    def known(self, row: Row, column: Column, value: Value) -> bool:
        """Tell whether the server has the column; record a problem if it lacks one that is needed."""
        table = row.TABLE.name
        if self.schema.has(table, column.name):
            return True
        if table in self.schema.tables and value != column.default:
            why = f"the server's schema {self.schema.version} has no such column"
            self.refuse(row, column.name, repr(value), why)
        return False

    def json(self, row: Row, column: Column, value: Value) -> object:
        if column.shape == "map":
            return self.rows.maps.json(cast(Mapping[str, str], value))
        if not column.refers:
            return to_json(column, value)
        names = cast(frozenset[str], value) if column.shape == "set" else {cast(str, value)} - {None}
        uuids = {name: self.uuid(Key(column.refers, name)) for name in names}
        for name in sorted(name for name, uuid in uuids.items() if not uuid):
            self.refuse(row, column.name, name, f"must name a row of {column.refers}")
        return to_json(column, value, uuids)

    @cached_property
    def new_uuids(self) -> dict[Key, str]:
        return {change.key: change.uuid for change in self.changes if isinstance(change, Insert)}

    def uuid(self, key: Key) -> str:
        """Return the uuid of the row called `key`, "" if there is none."""
        found = self.changes.uuids.get(key) or self.new_uuids.get(key)
        return found or next((stored.uuid for stored in self.actual.named(key)), "")

    def ambiguous(self, column: Column, value: Value) -> bool:
        """Tell whether a reference that was read cannot be traced to one uuid, so that it cannot be a guard."""
        return bool(column.refers) and value is not None and len(self.actual.named(Key(column.refers, str(value)))) != 1

    def refuse(self, row: Row, column: str, given: str, why: str) -> None:
        path = f"{row.key.table}.{column}" if column else row.key.table
        self.problems.append(Problem(path, why, given=given, subject=str(row.key)))


def _has_no_index(table: Table) -> bool:
    return table.root and not table.indexed


def _check_update(change: Update) -> Iterator[Problem]:
    stored = change.stored
    for part in change.parts:
        if not isinstance(part, Move):
            column, value = stored.row.TABLE.columns[part.column], _after(stored, part)
            for why in check_value(column, value):
                yield Problem(f"{stored.key.table}.{column.name}", why, given=repr(value), subject=str(stored.key))


def _after(stored: Stored, part: Assign | PutKeys | Members) -> Value:
    match part:
        case Assign(_, _, after):
            return after
        case PutKeys(_, _, put):
            return {key: value for key, value in put.items() if value is not None}
        case Members(column, removed, added):
            return cast(frozenset[str], stored.row.get(column)) - removed | added


def operations(changes: ChangeSet, actual: Snapshot, schema: Schema, *, checked: bool = False) -> Operations:
    """Return the operations that make `changes`, with all guards, made as they are asked for.

    actual   the database as the one who decided on the changes saw it
    schema   columns that the server lacks are left out while they hold their default
    checked  the values of new rows are known to be right (`nb.check.check_rows`)
    returns  none for an empty change set

    RowError  a value breaks the schema's types or ranges, a reference has no target, or the server lacks a column
              (or table) that a row needs: raised here or while the operations are made, the last one included. Nobody
              may send the end of a transaction before that. Checked here because python-ovs would drop a bad value
              without a word.

    Guards, every one a `wait` with timeout 0 (without it the server holds the transaction back for ever,
    ovn-kubernetes#2764): see `_Transaction.guards` and `_Transaction.name_guards`.
    """
    return _Transaction(changes, actual, schema, checked=checked)


def encode(changes: ChangeSet, actual: Snapshot, schema: Schema, *, checked: bool = False) -> list[Operation]:
    """Return the same all at once: whatever is wrong is raised here."""
    return list(_Transaction(changes, actual, schema, checked=checked))
