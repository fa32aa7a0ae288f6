"""Changes of a node's Open_vSwitch database as guarded OVSDB operations.

Law: pure, as `ops`: WiringChanges x Schema -> the operations of one transaction, guards first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ovnk8s_topo.backends.operations import Operation, map_json, wait, where_uuid
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.errors import Problem, RowError
from ovnk8s_topo.nb.check import check_characters
from ovnk8s_topo.nodeside.rows import (
    Assign,
    Cell,
    Change,
    Insert,
    Members,
    NewRow,
    PutKeys,
    Reference,
    Relied,
    WiringChanges,
)

SHAPES: Mapping[str, Mapping[str, str]] = {
    "Open_vSwitch": {"external_ids": "map"},
    "Bridge": {"name": "scalar", "ports": "uuids"},
    "Port": {"name": "scalar", "interfaces": "uuids", "other_config": "map"},
    "Interface": {"name": "scalar", "type": "scalar", "mtu_request": "optional", "external_ids": "map"},
}
"""Table -> column that is read or written -> its shape."""

_ONLY_IF_WRITTEN = frozenset({("Interface", "mtu_request")})
"""Columns that nothing is decided on unless they are asked for."""


def encode_wiring(changes: WiringChanges, schema: Schema) -> list[Operation]:
    """Return the operations that make the changes, with all guards; nothing if there are none.

    RowError  the server lacks a table or column that was read or is to be written (also if there are no changes, since
              what is not seen cannot be missing), or a text holds what ovsdb-server cannot carry

    Guards: what was relied on; and for each row that changes, that it is there with the columns as they were read.
    """
    problems = [*_lacking(schema, changes), *(problem for change in changes.changes for problem in _bad_texts(change))]
    if problems:
        raise RowError(problems)
    if changes.is_empty:
        return []
    guards: list[Operation] = []
    for guard in (*map(_relied, changes.relied), *(guard for change in changes.changes for guard in _guard(change))):
        if guard not in guards:
            guards.append(guard)
    return [*guards, *(operation for change in changes.changes for operation in _operations(change))]


def _lacking(schema: Schema, changes: WiringChanges) -> Iterator[Problem]:
    unneeded = _ONLY_IF_WRITTEN.difference(*map(_written, changes.changes))
    for table, columns in SHAPES.items():
        for column in columns:
            if (table, column) not in unneeded and not schema.has(table, column):
                why = f"the server's schema {schema.version} has no such column, or it is not watched"
                yield Problem(f"{table}.{column}", why)


def _written(change: Change) -> set[tuple[str, str]]:
    if isinstance(change, Insert):
        return {(change.row.table, column) for column in change.columns}
    return {(change.table, change.column)}


def _bad_texts(change: Change) -> Iterator[Problem]:
    for table, column, text in _texts(change):
        for why in check_characters(text):
            yield Problem(f"{table}.{column}", why, given=repr(text))


def _texts(change: Change) -> Iterator[tuple[str, str, str]]:
    cells: list[tuple[str, str, object]] = []
    match change:
        case Insert(row, columns):
            cells = [(row.table, column, cell) for column, cell in columns.items()]
        case Assign() | PutKeys():
            cells = [(change.table, change.column, change.after)]
    for table, column, cell in cells:
        texts = [*cell.keys(), *cell.values()] if isinstance(cell, Mapping) else [cell]
        yield from ((table, column, text) for text in texts if isinstance(text, str))


def _relied(relied: Relied) -> Operation:
    function = "includes" if relied.includes else "=="
    where = [[relied.column, function, _json(relied.value)], *(where_uuid(relied.row) if relied.row else [])]
    return wait(relied.table, where, ["_uuid"], [{"_uuid": ["uuid", uuid]} for uuid in sorted(relied.uuids)])


def _guard(change: Change) -> Iterator[Operation]:
    match change:
        case Assign(table, uuid, column, before) | PutKeys(table, uuid, column, before):
            yield wait(table, where_uuid(uuid), [column], [{column: _json(before)}])
        case Members(table, uuid):
            yield wait(table, where_uuid(uuid), ["_uuid"], [{"_uuid": ["uuid", uuid]}])
        case Insert():
            pass  # names are unique: the server refuses a second row


def _operations(change: Change) -> Iterator[Operation]:
    match change:
        case Insert(row, columns):
            values = {column: _json(cell) for column, cell in columns.items()}
            yield {"op": "insert", "table": row.table, "uuid-name": _symbol(row), "row": values}
        case Assign(table, uuid, column, _, after):
            yield {"op": "update", "table": table, "where": where_uuid(uuid), "row": {column: _json(after)}}
        case PutKeys(table, uuid, column, _, after):
            # RFC 7047 section 5.1: "insert" leaves an existing key as it is, so it goes first.
            put = {key: value for key, value in after.items() if value is not None}
            mutations: list[object] = [[column, "delete", ["set", sorted(after)]]]
            mutations += [[column, "insert", map_json(put)]] if put else []
            yield {"op": "mutate", "table": table, "where": where_uuid(uuid), "mutations": mutations}
        case Members(table, uuid, column, removed, added):
            parts = (("delete", removed), ("insert", added))
            mutations = [[column, how, _json(references)] for how, references in parts if references]
            yield {"op": "mutate", "table": table, "where": where_uuid(uuid), "mutations": mutations}


def _json(cell: Cell) -> object:
    if cell is None:
        return ["set", []]
    if isinstance(cell, Mapping):
        return map_json(cell)
    if isinstance(cell, frozenset):
        return ["set", sorted(map(_reference, cell))]
    return cell


def _reference(reference: Reference) -> list[str]:
    return ["named-uuid", _symbol(reference)] if isinstance(reference, NewRow) else ["uuid", reference]


def _symbol(row: NewRow) -> str:
    # An <id> of RFC 7047 section 3.1, different from those that others give in the same transaction.
    return f"new_{row.table}_{row.name.encode().hex()}"
