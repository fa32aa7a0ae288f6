"""The kinds of columns, and how a dataclass field says which kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

Value = str | int | bool | None | frozenset[str] | Mapping[str, str]
"""A column's value: text, integer, boolean, absent, set of text or names, map of text."""

Base = Literal["string", "integer", "boolean", "uuid"]
Shape = Literal["scalar", "optional", "set", "map"]

_METADATA_KEY = "ovnk8s_topo.column"

_SCALAR_DEFAULTS: Mapping[Base, Value] = {"string": "", "integer": 0, "boolean": False, "uuid": ""}


@dataclass(frozen=True)
class Column:
    """What the Northbound schema says of one column, and how much of it is ours.

    base      type of the value (of a map: of its keys and values, always string here)
    shape     scalar (exactly one), optional (none or one), set, map
    at_least  least number of members of a set
    low, high bounds of an integer
    enum      the only texts allowed
    refers    the table that a uuid points to; rows name their target by its key, not by uuid
    strong    a strong reference keeps its target alive and must not dangle; a weak one is emptied
    keys      of a map: the keys that this library writes; all others belong to other writers
    ours      False: only observed, never written (what others hang on our rows)
    follows   written only when the column of this name changes (`tag` follows `tag_request`)
    """

    name: str
    base: Base
    shape: Shape
    at_least: int = 0
    low: int | None = None
    high: int | None = None
    enum: tuple[str, ...] = ()
    refers: str = ""
    strong: bool = True
    keys: frozenset[str] = frozenset()
    ours: bool = True
    follows: str = ""

    @cached_property
    def default(self) -> Value:
        """The value that OVSDB gives to a column nobody sets (RFC 7047 section 5.2.1)."""
        match self.shape:
            case "set":
                return frozenset()
            case "map":
                return {}
            case "optional":
                return None
            case "scalar":
                return _SCALAR_DEFAULTS[self.base]


def column_of(metadata: Mapping[str, Any], name: str) -> Column | None:
    """Return the column that a dataclass field stands for, None for fields that are no column."""
    make = metadata.get(_METADATA_KEY)
    return None if make is None else Column(name=name, **make)


def _column(shape: Shape, base: Base, **options: Any) -> dict[str, Any]:
    return {_METADATA_KEY: {"shape": shape, "base": base, **options}}


def text(*, enum: tuple[str, ...] = (), default: str = "") -> Any:
    """Declare one string."""
    return field(default=default, metadata=_column("scalar", "string", enum=enum))


def key_text() -> Any:
    """Declare the string that names the row; it has no default."""
    return field(metadata=_column("scalar", "string"))


def integer(low: int, high: int, *, default: int = 0) -> Any:
    """Declare one integer within bounds."""
    return field(default=default, metadata=_column("scalar", "integer", low=low, high=high))


def optional_integer(low: int, high: int, *, follows: str = "") -> Any:
    """Declare no integer, or one within bounds."""
    return field(default=None, metadata=_column("optional", "integer", low=low, high=high, follows=follows))


def optional_boolean() -> Any:
    """Declare no boolean, or one."""
    return field(default=None, metadata=_column("optional", "boolean"))


def texts(*, at_least: int = 0) -> Any:
    """Declare a set of strings."""
    return field(default=frozenset(), metadata=_column("set", "string", at_least=at_least))


def text_map(*keys: str) -> Any:
    """Declare a map of strings in which the named keys are ours."""
    return field(default_factory=dict, metadata=_column("map", "string", keys=frozenset(keys)))


def reference(table: str, *, strong: bool) -> Any:
    """Declare no row, or one row of another table, by its key."""
    return field(default=None, metadata=_column("optional", "uuid", refers=table, strong=strong))


def references(table: str, *, at_least: int = 0) -> Any:
    """Declare a set of rows of another table, by key; a strong reference."""
    return field(default=frozenset(), metadata=_column("set", "uuid", refers=table, at_least=at_least))


def observed() -> Any:
    """Declare a set of uuids that other writers hang on our row; read, never written."""
    return field(default=frozenset(), metadata=_column("set", "uuid", ours=False))
