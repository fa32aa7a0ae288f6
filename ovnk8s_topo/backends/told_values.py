"""The values of columns as servers write them (RFC 7047 section 5.1), and how they tell of another value.

Law: JSON in, values out; nothing is known of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ovnk8s_topo.backends.operations import to_json
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.tables import TABLES, Table

Json = dict[str, Any]
"""A <row> of RFC 7047 section 5.1; columns that hold their default may be missing."""


_EMPTY: list[Any] = ["set", []]


def modified(table: Table, row: Json, difference: Json) -> Json:
    """Return a row after a "modify": of sets and maps it carries only what is different, of others the new value."""
    for name, datum in difference.items():
        column = table.columns[name]
        if column.shape == "set":
            row[name] = to_json(column, _set(column, row.get(name, _EMPTY)) ^ _set(column, datum))
        elif column.shape == "map":
            row[name] = to_json(column, _map_modified(_map(row.get(name, _EMPTY)), _map(datum)))
        else:
            row[name] = datum
    return row


def _map_modified(before: dict[str, str], difference: dict[str, str]) -> dict[str, str]:
    """Take pairs out that are there; let any other come, or take its key's place."""
    gone = {key for key, text in difference.items() if before.get(key) == text}
    return {key: text for key, text in {**before, **difference}.items() if key not in gone}


def _members(datum: Any) -> list[Any]:
    # A set of one element comes as the bare element, which may be a <uuid>: a list, too.
    members: list[Any] = datum[1] if isinstance(datum, list) and datum[0] == "set" else [datum]
    return members


def uuids(datum: Any) -> list[str]:
    """Return the members of a set of uuids."""
    return [member[1] for member in _members(datum)]


def _set(column: Column, datum: Any) -> frozenset[str]:
    return frozenset(uuids(datum) if column.base == "uuid" else _members(datum))


def _map(datum: Any) -> dict[str, str]:
    return dict(datum[1])


def _texts(datum: Any) -> frozenset[str]:
    return frozenset((datum,) if isinstance(datum, str) else _members(datum))


def _optional(datum: Any) -> Value:
    return next(iter(_members(datum)), None)


def _itself(datum: Any) -> Value:
    value: Value = datum
    return value


def _reader_of(column: Column) -> Callable[[Any], Value] | None:
    if column.refers:
        return None
    if column.base == "uuid":
        return partial(_set, column)
    readers: Mapping[str, Callable[[Any], Value]] = {
        "map": _map,
        "set": _texts,
        "optional": _optional,
        "scalar": _itself,
    }
    return readers[column.shape]


READERS: Mapping[str, Mapping[str, Callable[[Any], Value] | None]] = {
    name: {column.name: _reader_of(column) for column in table.columns.values()} for name, table in TABLES.items()
}
"""Table -> column -> what reads its values; None where they are names of other rows."""
