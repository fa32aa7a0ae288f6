"""Which rows an operation means: the <condition>s of RFC 7047 section 5.1, with ovsdb-server's laxness.

Law: a row matches when every clause holds; rows asked for by `_uuid` are found without a scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from ovnk8s_topo.backends.catalog import TableSchema
from ovnk8s_topo.backends.datum import (
    UNLIMITED,
    Datum,
    Names,
    OpError,
    Type,
    excludes,
    includes,
    parse,
    relaxed,
)
from ovnk8s_topo.backends.draft import StoredRow


def matching(
    schema: TableSchema, rows: Mapping[str, StoredRow], where: Sequence[object], names: Names
) -> list[tuple[str, StoredRow]]:
    """Return uuid and content of the rows that fulfil every condition.

    OpError  a condition is malformed, names an unknown column or function, or holds a value of another type
    """
    clauses = list(_clauses(schema, where, names))
    if None in clauses:
        return []
    tests = cast(list[Clause], clauses)
    return [(uuid, rows[uuid]) for uuid in _candidates(rows, tests) if all(t.holds(uuid, rows[uuid]) for t in tests)]


def column_type(schema: TableSchema, name: str) -> Type:
    """Return a column's type.

    OpError  `unknown column`
    """
    if name not in schema.columns:
        raise OpError("unknown column", f"No column {name} in table {schema.name}.")
    return schema.columns[name]


def triple(json: object, what: str) -> tuple[str, str, object]:
    """Take a condition or mutation apart.

    OpError  `syntax error`
    """
    if not isinstance(json, list) or len(json) != 3 or not all(isinstance(part, str) for part in json[:2]):
        raise OpError("syntax error", f"Parse error in {what}.")
    return json[0], json[1], json[2]


class Clause(NamedTuple):
    """One condition."""

    column: str
    function: str
    argument: Datum

    def holds(self, uuid: str, row: StoredRow) -> bool:
        """Tell whether a row fulfils it."""
        datum: Datum = {uuid} if self.column == "_uuid" else row[self.column]
        return _FUNCTIONS[self.function](datum, self.argument)


def _less(datum: Datum, argument: Datum) -> bool:
    return bool(datum) and cast(int, next(iter(datum))) < cast(int, next(iter(argument)))


def _greater(datum: Datum, argument: Datum) -> bool:
    return bool(datum) and cast(int, next(iter(datum))) > cast(int, next(iter(argument)))


# RFC 7047 section 5.1, <function>. An absent optional value is neither less nor greater, nor equal.
_FUNCTIONS: Mapping[str, Callable[[Datum, Datum], bool]] = {
    "==": lambda datum, argument: datum == argument,
    "!=": lambda datum, argument: datum != argument,
    "includes": includes,
    "excludes": excludes,
    "<": _less,
    "<=": lambda datum, argument: bool(datum) and not _greater(datum, argument),
    ">": _greater,
    ">=": lambda datum, argument: bool(datum) and not _less(datum, argument),
}


def _clauses(schema: TableSchema, where: Sequence[object], names: Names) -> Iterator[Clause | None]:
    for json in where:
        if json is False:
            yield None
        elif json is not True:
            column, function, value = triple(json, "condition")
            kind = _operand(column, column_type(schema, column), function)
            yield Clause(column, function, parse(kind, value, names))


def _candidates(rows: Mapping[str, StoredRow], tests: Sequence[Clause]) -> list[str]:
    for test in tests:
        if test.column == "_uuid" and test.function in ("==", "includes"):
            return [uuid for uuid in cast(set[str], test.argument) if uuid in rows]
    return list(rows)


def _operand(column: str, kind: Type, function: str) -> Type:
    """Return the type of a condition's value, with ovsdb-server's laxness (ovsdb/condition.c)."""
    if function not in _FUNCTIONS:
        raise OpError("unknown function", f"No function named {function}.")
    if function in ("<", "<=", ">", ">="):
        if kind.base != "integer" or kind.is_map or kind.most != 1:
            raise OpError("syntax error", f'Type mismatch: "{function}" may not be applied to column {column}.')
        return relaxed(kind, 1, 1)
    if kind.is_scalar or function in ("==", "!="):
        return kind
    return relaxed(kind, 0, kind.most if function == "includes" else UNLIMITED)
