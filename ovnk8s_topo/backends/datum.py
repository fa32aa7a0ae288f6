"""Values of columns as ovsdb-server reads, compares, changes and writes them (RFC 7047 section 5.1).

Law: a datum is a set of atoms or a map of atoms, scalars being sets of one; JSON goes in and comes out here only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from ovnk8s_topo.nb.columns import Base, Column

Atom = str | int
"""One value: text, integer, boolean (an int to Python), or a uuid as lower-case text."""

Datum = set[Atom] | dict[Atom, Atom]
"""What a column holds. Shared between rows and versions of rows: copy before changing it."""

Names = Callable[[str], str]
"""Gives the uuid that a `named-uuid` stands for in one transaction."""

UNLIMITED = 0xFFFFFFFF
"""How ovsdb-server writes "no upper bound" for the size of a set."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INT64 = range(-(2**63), 2**63)


class OpError(Exception):
    """An operation, or the commit, is refused; `error` is the reason's name in RFC 7047 or ovsdb-server."""

    def __init__(self, error: str, details: str) -> None:
        super().__init__(f"{error}: {details}")
        self.error, self.details = error, details

    def as_json(self) -> dict[str, Any]:
        """Return the <error> object of RFC 7047 section 3.1."""
        return {"error": self.error, "details": self.details}


@dataclass(frozen=True, slots=True)
class Type:
    """The <type> of a column (RFC 7047 section 3.2); `least` and `most` bound the number of members."""

    base: Base
    is_map: bool = False
    least: int = 1
    most: int = 1
    low: int | None = None
    high: int | None = None
    enum: tuple[str, ...] = ()

    @property
    def is_scalar(self) -> bool:
        """Whether there is exactly one value."""
        return not self.is_map and (self.least, self.most) == (1, 1)

    def __str__(self) -> str:
        return f"{'map' if self.is_map else 'set'} of {self.least} to {self.most} {self.base}s"


UUID_TYPE = Type("uuid")
"""The type of `_uuid`."""


def type_of(column: Column) -> Type:
    """Return the type that a declared column has on the server."""
    least, most = {
        "scalar": (1, 1),
        "optional": (0, 1),
        "set": (column.at_least, UNLIMITED),
        "map": (0, UNLIMITED),
    }[column.shape]
    return Type(column.base, column.shape == "map", least, most, column.low, column.high, column.enum)


@lru_cache(maxsize=512)
def relaxed(kind: Type, least: int, most: int) -> Type:
    """Return the type with another number of members, as conditions and mutations allow it."""
    return replace(kind, least=least, most=most)


@lru_cache(maxsize=512)
def unbounded(kind: Type) -> Type:
    """Return the type of the operand of `+=` and its like: one value, out of whatever range."""
    return Type(kind.base)


@lru_cache(maxsize=512)
def keys_only(kind: Type) -> Type:
    """Return a map's type as a set of its keys, as mutator `delete` takes them."""
    return replace(kind, is_map=False)


_DEFAULT_ATOMS: dict[Base, Atom] = {
    "string": "",
    "integer": 0,
    "boolean": False,
    "uuid": "00000000-0000-0000-0000-000000000000",
}


def default(kind: Type) -> Datum:
    """Return what a column holds that nobody set (RFC 7047 section 5.2.1): one default atom where one must be."""
    if kind.is_map:
        return {}
    return {_DEFAULT_ATOMS[kind.base]} if kind.least else set()


def parse(kind: Type, json: object, names: Names) -> Datum:
    """Return the datum that a <value> stands for.

    OpError  `syntax error` for a wrong form or number of members, `constraint violation` for a range or enumeration,
             `ovsdb error` for members given twice
    """
    if kind.is_map:
        return _parse_map(kind, json, names)
    if isinstance(json, list) and json and json[0] == "set":
        return _parse_set(kind, _members(kind, json, "set"), names)
    return {_parse_atom(kind, json, names)}


def _members(kind: Type, json: object, word: str) -> list[object]:
    if not isinstance(json, list) or len(json) != 2 or json[0] != word or not isinstance(json[1], list):
        raise OpError("syntax error", f'expected ["{word}", <array>]')
    if not kind.least <= len(json[1]) <= kind.most:
        bounds = "exactly one member" if kind.is_scalar else f"{kind.least} to {kind.most} members"
        raise OpError("syntax error", f"{word} must have {bounds} but {len(json[1])} are present")
    return json[1]


def _parse_set(kind: Type, members: list[object], names: Names) -> set[Atom]:
    found = {_parse_atom(kind, member, names) for member in members}
    if len(found) != len(members):
        raise OpError("ovsdb error", "set contains duplicate")
    return found


def _parse_map(kind: Type, json: object, names: Names) -> dict[Atom, Atom]:
    pairs = _members(kind, json, "map")
    found: dict[Atom, Atom] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise OpError("syntax error", "expected 2-element array")
        found[_parse_atom(kind, pair[0], names)] = _parse_atom(kind, pair[1], names)
    if len(found) != len(pairs):
        raise OpError("ovsdb error", "map contains duplicate key")
    return found


def _parse_atom(kind: Type, json: object, names: Names) -> Atom:
    match kind.base:
        case "string":
            if not isinstance(json, str):
                raise OpError("syntax error", "expected string")
            atom: Atom = json
        case "integer":
            atom = _parse_integer(json)
        case "boolean":
            if not isinstance(json, bool):
                raise OpError("syntax error", "expected boolean")
            return json
        case "uuid":
            return _parse_uuid(json, names)
    check_atom(kind, atom)
    return atom


def _parse_integer(json: object) -> int:
    if isinstance(json, float) and json.is_integer():
        json = int(json)
    if isinstance(json, bool) or not isinstance(json, int) or json not in _INT64:
        raise OpError("syntax error", "expected integer")
    return json


def _parse_uuid(json: object, names: Names) -> str:
    if not isinstance(json, list) or len(json) != 2 or not isinstance(json[1], str):
        raise OpError("syntax error", 'expected ["uuid", <string>]')
    word, text = json
    if word == "named-uuid":
        if not is_id(text):
            raise OpError("syntax error", "named-uuid string is not a valid <id>")
        return names(text)
    if word != "uuid":
        raise OpError("syntax error", 'expected ["uuid", <string>]')
    if not is_uuid(text):
        raise OpError("syntax error", f'"{text}" is not a valid UUID')
    return cast(str, text.lower())


def is_uuid(text: str) -> bool:
    """Tell whether the text has the form of a uuid."""
    return _UUID.fullmatch(text) is not None


def is_id(text: object) -> bool:
    """Tell whether it is an <id> of RFC 7047 section 3.1, as a `uuid-name` must be."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def check_atom(kind: Type, atom: Atom) -> None:
    """Check range and enumeration.

    OpError  `constraint violation`
    """
    if kind.enum and atom not in kind.enum:
        raise OpError("constraint violation", f"{atom} is not one of the allowed values ({', '.join(kind.enum)})")
    too_low = kind.low is not None and cast(int, atom) < kind.low
    if too_low or (kind.high is not None and cast(int, atom) > kind.high):
        raise OpError("constraint violation", f"{atom} is not in the valid range {kind.low} to {kind.high} (inclusive)")


def render(kind: Type, datum: Datum) -> Any:
    """Return the <value> as the server writes it: sets and maps sorted, a set of one element as that element."""
    if isinstance(datum, dict):
        return ["map", [[_render_atom(kind, key), _render_atom(kind, datum[key])] for key in sorted(datum)]]
    if len(datum) == 1:
        return _render_atom(kind, next(iter(datum)))
    return ["set", [_render_atom(kind, atom) for atom in sorted(datum)]]


def _render_atom(kind: Type, atom: Atom) -> Any:
    return ["uuid", atom] if kind.base == "uuid" else atom


def includes(datum: Datum, other: Datum) -> bool:
    """Tell whether every member (of a map: every pair) of `other` is in `datum`."""
    if isinstance(datum, dict) and isinstance(other, dict):
        return other.items() <= datum.items()
    return cast(set[Atom], other) <= cast(set[Atom], datum)


def excludes(datum: Datum, other: Datum) -> bool:
    """Tell whether no member (of a map: no pair) of `other` is in `datum`."""
    if isinstance(datum, dict) and isinstance(other, dict):
        return datum.items().isdisjoint(other.items())
    return cast(set[Atom], datum).isdisjoint(cast(set[Atom], other))


def insert_into(kind: Type, datum: Datum, other: Datum) -> None:
    """Add members in place; a key that is there keeps its value (RFC 7047 section 5.1, mutator `insert`).

    OpError  `constraint violation`: too many members
    """
    if isinstance(datum, dict):
        for key, value in cast(dict[Atom, Atom], other).items():
            datum.setdefault(key, value)
    else:
        datum |= cast(set[Atom], other)
    check_count(kind, datum)


def delete_from(kind: Type, datum: Datum, other: Datum) -> None:
    """Remove members in place; of a map by key, or by key and value where `other` is a map.

    OpError  `constraint violation`: too few members are left
    """
    if not isinstance(datum, dict):
        datum -= cast(set[Atom], other)
    elif isinstance(other, dict):
        for key in [key for key, value in other.items() if datum.get(key) == value]:
            del datum[key]
    else:
        for key in other:
            datum.pop(key, None)
    check_count(kind, datum)


def check_count(kind: Type, datum: Datum) -> None:
    """Check the number of members.

    OpError  `constraint violation`
    """
    if not kind.least <= len(datum) <= kind.most:
        raise OpError("constraint violation", f"Attempted to store {len(datum)} elements in {kind}.")


def calculate(kind: Type, mutator: str, datum: Datum, operand: int) -> set[Atom]:
    """Return every member after `+=`, `-=`, `*=`, `/=` or `%=`; division goes towards zero as in C.

    OpError  `domain error` for a division by zero, `range error` beyond 64 bits, `constraint violation` for a range
    """
    results: set[Atom] = set()
    for atom in cast(set[int], datum):
        result = _ARITHMETIC[mutator](atom, operand)
        if result not in _INT64:
            raise OpError("range error", f'Result of "{mutator}" operation is out of range.')
        check_atom(kind, result)
        results.add(result)
    if len(results) != len(datum):
        raise OpError("constraint violation", "Result of mutation contains duplicates.")
    return results


def _divide(a: int, b: int) -> int:
    if b == 0:
        raise OpError("domain error", "Division by zero.")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+=": lambda a, b: a + b,
    "-=": lambda a, b: a - b,
    "*=": lambda a, b: a * b,
    "/=": _divide,
    "%=": lambda a, b: a - b * _divide(a, b),
}
ARITHMETIC = frozenset(_ARITHMETIC)
"""The mutators of integers."""
