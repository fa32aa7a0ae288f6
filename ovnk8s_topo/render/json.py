"""Values -> plain JSON-able dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovnk8s_topo.diff import Assign, Change, ChangeSet, Delete, Insert, Members, Move, Part, PutKeys, Update
from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nb.columns import Value
from ovnk8s_topo.nb.ownership import owned_by
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import Row


def json_from_changes(changes: ChangeSet) -> list[dict[str, Any]]:
    """Return one dictionary for each change: action, table, name, uuid and what changes."""
    return [_change(change) for change in changes]


def _change(change: Change) -> dict[str, Any]:
    head = {"table": change.key.table, "name": change.key.name}
    match change:
        case Insert(uuid, row, _):
            return {"action": "insert", **head, "uuid": uuid, "row": json_from_row(row)}
        case Delete(stored):
            return {"action": "delete", **head, "uuid": stored.uuid, "row": json_from_row(stored.row)}
        case Update(stored, parts):
            columns: dict[str, Any] = {}
            for part in parts:
                columns |= _part(part)
            return {"action": "update", **head, "uuid": stored.uuid, "columns": columns}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Assign(column, before, after):
            return {column: {"before": json_from_value(before), "after": json_from_value(after)}}
        case PutKeys(column, before_keys, after_keys):
            return {column: {"before": dict(before_keys), "after": dict(after_keys)}}
        case Members(column, removed, added):
            return {column: {"removed": sorted(removed), "added": sorted(added)}}
        case Move(before_holders, after_holders):
            return {"parent": {"before": list(before_holders), "after": list(after_holders)}}


def json_from_row(row: Row) -> dict[str, Any]:
    """Return the columns of a row that differ from the schema's defaults, and its parent's name."""
    columns = {column.name: json_from_value(value) for column, value in row.values() if value != column.default}
    parent = row.parent_key
    return columns | ({"parent": parent.name} if parent else {})


def json_from_snapshot(snapshot: Snapshot, owner: str | None = None) -> dict[str, Any]:
    """Return the rows of a database by table, each with its uuid and name.

    owner  only rows of this owner; None: all
    """
    found = (item for item in snapshot.rows.values() if owner is None or owned_by(item, owner))
    tables: dict[str, Any] = {}
    for stored in sorted(found, key=lambda stored: (stored.key, stored.uuid)):
        row = {"name": stored.key.name} | json_from_row(stored.row)
        tables.setdefault(stored.key.table, []).append({"uuid": stored.uuid, **row})
    return tables


def json_from_value(value: Value) -> Any:
    """Return a column's value: sets as sorted lists, maps sorted by key."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(sorted(value.items()))
    return value


def json_from_problem(problem: Problem) -> dict[str, Any]:
    """Return a problem with the fields that it has."""
    position = problem.position
    return {
        "subject": problem.subject,
        "path": problem.path,
        "why": problem.why,
        "given": problem.given,
        **({"file": position.file, "line": position.line, "column": position.column} if position else {}),
    }
