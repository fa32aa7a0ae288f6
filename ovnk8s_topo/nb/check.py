"""Row against schema: the faults that ovsdb-server would find, and those that it would silently drop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from itertools import chain
from typing import cast

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.tables import TABLES, Row


def check_rows(rows: Iterable[Row]) -> list[Problem]:
    """Return every fault of every row: wrong type, out of range, not in the enumeration, too few members.

    The reason for checking before sending: python-ovs logs a bad value and drops it from the transaction.
    """
    return [
        problem
        for row in rows
        for column, is_plain, value in zip(*_quick_checks(row.TABLE.name), row.TABLE.content(row), strict=True)
        if not is_plain(value)
        for problem in _check_column(row, column, value)
    ]


def _check_column(row: Row, column: Column, value: Value) -> Iterator[Problem]:
    for why in check_value(column, value):
        yield Problem(f"{row.key.table}.{column.name}", why, given=repr(value), subject=str(row.key))


IsPlain = Callable[[Value], bool]
"""Tells at a glance that a value is right, as nearly all are; where it does not, `check_value` looks closer."""


@cache
def _quick_checks(table: str) -> tuple[tuple[Column, ...], tuple[IsPlain, ...]]:
    columns = tuple(TABLES[table].columns.values())
    return columns, tuple(_quick_check(column) for column in columns)


def _quick_check(column: Column) -> IsPlain:
    match column.shape, column.base:
        case "map", _:
            return _is_plain_map
        case "set", ("string" | "uuid") if not (column.at_least or column.enum):
            return _is_plain_set
        case "scalar", "string" if not column.enum:
            return _is_plain_text
        case "optional", _:
            return _is_absent
        case _:
            return _never


def _is_plain_map(value: Value) -> bool:
    return type(value) is dict and _are_plain(chain(value, value.values()))


def _is_plain_set(value: Value) -> bool:
    return type(value) is frozenset and _are_plain(value)


def _are_plain(texts: Iterable[object]) -> bool:
    try:
        return _is_plain_text("".join(cast(Iterable[str], texts)))
    except TypeError:
        return False


def _is_plain_text(value: Value) -> bool:
    return isinstance(value, str) and value.isascii() and "\0" not in value


def _is_absent(value: Value) -> bool:
    return value is None


def _never(_: Value) -> bool:
    return False


def check_value(column: Column, value: Value) -> Iterator[str]:
    """Yield what is wrong with one column's value."""
    match column.shape:
        case "map":
            yield from _check_map(value)
        case "set":
            yield from _check_set(column, value)
        case "optional" if value is None:
            return
        case _:
            yield from _check_atom(column, value)


def _check_map(value: Value) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield "must be a map of strings"
    elif not all(isinstance(text, str) for pair in value.items() for text in pair):
        yield "keys and values must be strings"
    else:
        yield from sorted({why for pair in value.items() for text in pair for why in check_characters(text)})


def _check_set(column: Column, value: Value) -> Iterator[str]:
    if not isinstance(value, frozenset):
        yield "must be a set"
        return
    if len(value) < column.at_least:
        yield f"must have at least {column.at_least} member"
    for member in sorted(value, key=repr):
        yield from _check_atom(column, member)


def _check_atom(column: Column, value: Value) -> Iterator[str]:
    match column.base:
        case "integer":
            yield from _check_integer(column, value)
        case "boolean":
            if not isinstance(value, bool):
                yield "must be true or false"
        case "string" | "uuid":
            yield from _check_text(column, value)


def _check_integer(column: Column, value: Value) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield "must be an integer"
    elif not (column.low is None or column.low <= value) or not (column.high is None or value <= column.high):
        yield f"must be {column.low}..{column.high}"


def _check_text(column: Column, value: Value) -> Iterator[str]:
    if not isinstance(value, str):
        yield "must be a string"
    elif column.enum and value not in column.enum:
        yield f"must be one of {', '.join(column.enum)}"
    else:
        yield from check_characters(value)


def check_characters(text: str) -> Iterator[str]:
    """Yield what JSON or ovsdb-server cannot carry."""
    if "\0" in text:
        yield "must not contain a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        yield "must be valid Unicode: it contains half a surrogate pair"
