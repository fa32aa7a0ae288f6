"""Row against schema: the faults that ovsdb-server would find, and those that it would silently drop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import NoneType
from typing import Any

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.tables import TABLES, Row


def check_rows(rows: Iterable[Row]) -> list[Problem]:
    """Return every fault of every row: wrong type, out of range, not in the enumeration, too few members.

    The reason for checking before sending: python-ovs logs a bad value and drops it from the transaction.
    """
    return [problem for row in rows if not is_plain(row) for problem in _check_row(row)]


def _check_row(row: Row) -> Iterator[Problem]:
    for column, value in row.values():
        for why in check_value(column, value):
            yield Problem(f"{row.key.table}.{column.name}", why, given=repr(value), subject=str(row.key))


def is_plain(row: Row) -> bool:
    """Tell at a glance that a row is right, as nearly all are: its values are of the right kinds, all texts ASCII."""
    texts: list[str] = []
    values: tuple[Any, ...] = row.TABLE.content(row)
    for kind, value in zip(_plain_kinds(row.TABLE.name), values, strict=True):
        if type(value) is not kind:
            return False
        if kind is str:
            texts.append(value)
        elif kind is frozenset:
            texts += value
        elif kind is dict:
            texts += value
            texts += value.values()
    return _are_plain(texts)


def _are_plain(texts: Iterable[str]) -> bool:
    try:
        text = "".join(texts)
    except TypeError:  # not all of them are texts
        return False
    return text.isascii() and "\0" not in text


@cache
def _plain_kinds(table: str) -> tuple[Any, ...]:
    """Return the type of the values of each column that can be judged at a glance; None: none can."""
    return tuple(plain_kind(column) for column in TABLES[table].columns.values())


def plain_kind(column: Column) -> type | None:
    """Return the type of a column's values if they can be judged at a glance; else None."""
    match column.shape, column.base:
        case "map", _:
            return dict
        case "set", ("string" | "uuid") if not (column.at_least or column.enum):
            return frozenset
        case "scalar", "string" if not column.enum:
            return str
        case "optional", _:
            return NoneType
        case _:
            return None


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
