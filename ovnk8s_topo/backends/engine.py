"""An OVSDB server's transactions, in memory: no socket, no clock, no threads.

Law: the same operations give the same replies and the same contents as ovsdb-server (RFC 7047 sections 4.1.3 and 5.2);
only the texts under `details` are its own, and uuids that the caller does not choose come from a sequence.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from ovnk8s_topo.backends.catalog import CATALOG, TableSchema
from ovnk8s_topo.backends.conditions import column_type, matching, triple
from ovnk8s_topo.backends.datum import (
    ARITHMETIC,
    UNLIMITED,
    Datum,
    OpError,
    Type,
    calculate,
    delete_from,
    insert_into,
    is_id,
    is_uuid,
    keys_only,
    parse,
    relaxed,
    render,
    unbounded,
)
from ovnk8s_topo.backends.draft import Change, Draft, Place, Store, StoredRow
from ovnk8s_topo.backends.integrity import settle

Operation = Mapping[str, Any]
"""One <operation> of RFC 7047 section 5.2."""

Listener = Callable[[Mapping[Place, Change]], None]
"""Told what a transaction changed, after it is committed."""

_SEQUENCE = uuids.UUID("0c5d4f0e-8a7e-5b1c-9d55-6f766e6b3873")


class Database:
    """A Northbound database. Not thread safe: its owner serialises calls.

    react      called at the end of every transaction that has not failed; it may change more in the same transaction
    journal    called when a change is complete and not yet told to anybody; if it raises, the change is undone
    store      the rows, for reading only
    listeners  told of every committed change
    """

    def __init__(
        self, *, react: Callable[[Draft], None] | None = None, journal: Callable[[], None] | None = None
    ) -> None:
        self.store = Store()
        self.listeners: list[Listener] = []
        self._react, self._journal = react, journal
        self._created = 0

    def transact(self, ops: Sequence[Operation]) -> list[dict[str, Any] | None]:
        """Run the operations, all or none.

        ops      operations of RFC 7047 section 5.2; `wait` never blocks, whatever its timeout: it holds now or fails
        returns  one result for each operation; after a failed one, which has `error` and `details`, null for the rest;
                 a fault that shows only at the end is one result more than there are operations
        """
        draft = Draft(self.store)
        results, failed = _Run(draft, self._new_uuid).results(ops)
        try:
            if not failed:
                self._commit(draft)
        except OpError as error:
            results.append(error.as_json())
            failed = True
        if failed:
            draft.undo()
        return results

    def _commit(self, draft: Draft) -> None:
        if self._react:
            self._react(draft)
        changes = settle(draft)
        if not changes:
            return
        try:
            if self._journal:
                self._journal()
        except BaseException:
            draft.undo()
            raise
        for listener in self.listeners:
            listener(changes)

    def _new_uuid(self) -> str:
        # The server draws at random; a sequence makes two runs of a test equal.
        while True:
            self._created += 1
            candidate = str(uuids.uuid5(_SEQUENCE, str(self._created)))
            if not any(candidate in rows for rows in self.store.rows.values()):
                return candidate

    def dump(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return everything as JSON: table -> uuid -> column -> value, sorted."""
        return {
            table: {uuid: _render_row(schema, rows[uuid]) for uuid in sorted(rows)}
            for table, schema in sorted(CATALOG.items())
            if (rows := self.store.rows[table])
        }


def _render_row(schema: TableSchema, row: StoredRow) -> dict[str, Any]:
    return {column: render(schema.columns[column], row[column]) for column in sorted(row)}


class _Run:
    """One transaction's operations in turn."""

    def __init__(self, draft: Draft, new_uuid: Callable[[], str]) -> None:
        self.draft, self.new_uuid = draft, new_uuid
        self.names: dict[str, str] = {}
        self.named: set[str] = set()

    def results(self, ops: Sequence[Operation]) -> tuple[list[dict[str, Any] | None], bool]:
        results: list[dict[str, Any] | None] = []
        for op in ops:
            try:
                results.append(self.execute(op))
            except OpError as error:
                results.append(error.as_json())
                return results + [None] * (len(ops) - len(results)), True
        return results, False

    def execute(self, op: object) -> dict[str, Any]:
        if not isinstance(op, Mapping):
            raise OpError("syntax error", "Object expected.")
        shape = _OPS.get(op.get("op", ""))
        if shape is None:
            raise OpError("syntax error", f'No operation "{op.get("op")}"')
        for member in shape.required:
            if member not in op:
                raise OpError("syntax error", f"Required '{member}' member is missing.")
        for member, value in op.items():
            if member != "op":
                _check_member(shape, member, value)
        return shape.run(self, op)

    def uuid_of(self, name: str) -> str:
        """Return what a `named-uuid` stands for; it may be used before the row is inserted."""
        if name not in self.names:
            self.names[name] = self.new_uuid()
        return self.names[name]

    def insert(self, op: Operation) -> dict[str, Any]:
        schema = CATALOG[op["table"]]
        uuid = self.uuid_for(op, schema)
        given = self.row(schema, op["row"])
        given.pop("_uuid", None)  # ovsdb-server takes it and ignores it
        for column, error in schema.unset.items():
            if column not in given:
                raise error
        self.draft.create(Place(schema.name, uuid), {**schema.defaults, **given})
        return {"uuid": ["uuid", uuid]}

    def uuid_for(self, op: Operation, schema: TableSchema) -> str:
        """Return the new row's uuid: chosen by the client, or by its `uuid-name`, or by nobody."""
        chosen, name = op.get("uuid"), op.get("uuid-name")
        if chosen is not None:
            if not is_uuid(chosen):
                raise OpError("syntax error", "bad uuid")
            chosen = cast(str, chosen.lower())
            if not self.draft.may_create(Place(schema.name, chosen)):
                raise OpError("duplicate uuid", "present within the table or deleted within the same transaction")
        if name is None:
            return chosen or self.new_uuid()
        if name in self.named:
            raise OpError("duplicate uuid-name", f'"{name}" appeared on an earlier "insert" operation')
        self.named.add(name)
        if chosen is not None:
            self.names[name] = chosen
        return self.uuid_of(name)

    def row(self, schema: TableSchema, json: object) -> dict[str, Datum]:
        if not isinstance(json, dict):
            raise OpError("syntax error", "row must be JSON object")
        return {name: parse(column_type(schema, name), value, self.uuid_of) for name, value in json.items()}

    def select(self, op: Operation) -> dict[str, Any]:
        schema = CATALOG[op["table"]]
        found = self.matching(schema, op["where"])
        columns = _columns(schema, op.get("columns"))
        rows = [self.project(schema, columns, uuid, row) for uuid, row in found]
        return {"rows": list(_distinct(rows).values())}

    def project(self, schema: TableSchema, columns: Sequence[str], uuid: str, row: StoredRow) -> dict[str, Any]:
        full: StoredRow = {**row, "_uuid": {uuid}}
        return {column: render(schema.columns[column], full[column]) for column in columns}

    def update(self, op: Operation) -> dict[str, Any]:
        schema = CATALOG[op["table"]]
        given = self.row(schema, op["row"])
        if "_uuid" in given:
            raise OpError("constraint violation", "Cannot update immutable column _uuid")
        found = self.matching(schema, op["where"])
        for uuid, _ in found:
            for column, datum in given.items():
                self.draft.assign(Place(schema.name, uuid), column, datum)
        return {"count": len(found)}

    def mutate(self, op: Operation) -> dict[str, Any]:
        schema = CATALOG[op["table"]]
        steps = [self.mutation(schema, json) for json in op["mutations"]]
        found = self.matching(schema, op["where"])
        for uuid, _ in found:
            for column, mutator, argument in steps:
                self.change(schema.columns[column], Place(schema.name, uuid), column, mutator, argument)
        return {"count": len(found)}

    def mutation(self, schema: TableSchema, json: object) -> tuple[str, str, Datum]:
        """Read one <mutation>, with ovsdb-server's laxness about the number of members (ovsdb/mutation.c)."""
        column, mutator, value = triple(json, "mutation")
        kind = column_type(schema, column)
        if column == "_uuid":
            raise OpError("constraint violation", "Cannot mutate immutable column _uuid")
        if mutator not in ARITHMETIC | {"insert", "delete"}:
            raise OpError("unknown mutator", f"No mutator named {mutator}.")
        if kind.is_scalar if mutator in ("insert", "delete") else (kind.base != "integer" or kind.is_map):
            raise OpError("syntax error", f'Type mismatch: "{mutator}" may not be applied to column {column}.')
        if mutator == "delete":
            return column, mutator, self.victims(relaxed(kind, 0, UNLIMITED), value)
        wanted = relaxed(kind, 0, kind.most) if mutator == "insert" else unbounded(kind)
        return column, mutator, parse(wanted, value, self.uuid_of)

    def victims(self, kind: Type, value: object) -> Datum:
        try:
            return parse(kind, value, self.uuid_of)
        except OpError:
            if not kind.is_map:
                raise
            return parse(keys_only(kind), value, self.uuid_of)

    def change(self, kind: Type, place: Place, column: str, mutator: str, argument: Datum) -> None:
        datum = self.draft.column(place, column)
        if mutator == "insert":
            insert_into(kind, datum, argument)
        elif mutator == "delete":
            delete_from(kind, datum, argument)
        else:
            self.draft.assign(place, column, calculate(kind, mutator, datum, cast(int, next(iter(argument)))))

    def delete(self, op: Operation) -> dict[str, Any]:
        found = self.matching(CATALOG[op["table"]], op["where"])
        for uuid, _ in found:
            self.draft.remove(Place(op["table"], uuid))
        return {"count": len(found)}

    def wait(self, op: Operation) -> dict[str, Any]:
        schema = CATALOG[op["table"]]
        if op.get("timeout", 0) < 0:
            raise OpError("syntax error", "timeout must be nonnegative")
        found = self.matching(schema, op["where"])
        columns = _columns(schema, op.get("columns"))
        if op["until"] not in ("==", "!="):
            raise OpError("syntax error", '"until" must be "==" or "!="')
        wanted = [{**schema.defaults, "_uuid": set[Any](), **self.row(schema, json)} for json in op["rows"]]
        expected = _distinct([{c: render(schema.columns[c], row[c]) for c in columns} for row in wanted])
        actual = _distinct([self.project(schema, columns, uuid, row) for uuid, row in found])
        if (expected.keys() == actual.keys()) != (op["until"] == "=="):
            raise OpError("timed out", '"where" clause test failed')
        return {}

    def nothing(self, _: Operation) -> dict[str, Any]:
        return {}

    def abort(self, _: Operation) -> dict[str, Any]:
        raise OpError("aborted", "aborted by request")

    def refuse_lock(self, op: Operation) -> dict[str, Any]:
        # Locks belong to connections, and here is none.
        raise OpError("not owner", f"Asserted lock {op['lock']} not held.")

    def matching(self, schema: TableSchema, where: list[object]) -> list[tuple[str, StoredRow]]:
        return matching(schema, self.draft.store.rows[schema.name], where, self.uuid_of)


def _columns(schema: TableSchema, json: object) -> list[str]:
    if json is None:
        return sorted(schema.columns)
    if not isinstance(json, list) or len(set(map(repr, json))) != len(json):
        raise OpError("syntax error", "array of distinct column names expected")
    for name in json:
        if name not in schema.columns:
            raise OpError("syntax error", f"{name} is not a valid column name")
    return json


def _distinct(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the different rows: results are sets of rows (RFC 7047 section 5.2.2)."""
    return {repr(sorted(row.items())): row for row in rows}


class _Shape(NamedTuple):
    run: Callable[[_Run, Operation], dict[str, Any]]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_OPS: Mapping[str, _Shape] = {
    "insert": _Shape(_Run.insert, ("table", "row"), ("uuid", "uuid-name")),
    "select": _Shape(_Run.select, ("table", "where"), ("columns",)),
    "update": _Shape(_Run.update, ("table", "where", "row")),
    "mutate": _Shape(_Run.mutate, ("table", "where", "mutations")),
    "delete": _Shape(_Run.delete, ("table", "where")),
    "wait": _Shape(_Run.wait, ("table", "where", "until", "rows"), ("timeout", "columns")),
    "commit": _Shape(_Run.nothing, ("durable",)),
    "abort": _Shape(_Run.abort),
    "comment": _Shape(_Run.nothing, ("comment",)),
    "assert": _Shape(_Run.refuse_lock, ("lock",)),
}

_MEMBER_TYPES: Mapping[str, type] = {
    "row": dict,
    "uuid": str,
    "uuid-name": str,
    "where": list,
    "columns": list,
    "mutations": list,
    "until": str,
    "rows": list,
    "timeout": int,
    "durable": bool,
    "comment": str,
    "lock": str,
}


def _check_member(shape: _Shape, member: str, value: object) -> None:
    if member not in (*shape.required, *shape.optional):
        raise OpError("syntax error", f"Member '{member}' is present but not allowed here.")
    if member == "table":
        if not isinstance(value, str) or value not in CATALOG:
            raise OpError("syntax error", f"No table named {value}.")
    elif not isinstance(value, _MEMBER_TYPES[member]) or (member == "uuid-name" and not is_id(value)):
        raise OpError("syntax error", f"Type mismatch for member '{member}'.")
