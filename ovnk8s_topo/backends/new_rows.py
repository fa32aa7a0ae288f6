"""New rows as JSON: as values for whoever runs operations, as text for whoever sends them.

Law: the text is that of the values. Nearly all that a bulk apply sends are new rows, and to make values first and their
text then takes three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple, TypeVar

from ovnk8s_topo.backends.operations import map_json, to_text
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.nb.check import plain_kind
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.tables import Row, Table, reader_of

T = TypeVar("T")

_REMEMBERED = 1000
"""Maps that are remembered as they were written."""

HINT = "\\u"
"""What JSON begins characters with that need a second look: half a surrogate pair, NUL, and many that are right."""

Names = Callable[[Row, Column, Value], object]
"""Gives the uuids that stand for the names in a column of a row, as JSON."""


class _Column(NamedTuple):
    """How one column is written, unless it holds its default.

    label       its name as text, with the colon
    json, text  make them of a value; None where names of other rows stand for their uuids
    """

    column: Column
    label: str
    default: Value
    json: Callable[[Any], object] | None
    text: Callable[[Any], str] | None


_Plain = tuple[str, Callable[[Any], str]]
"""How a plain value of one column is written unless it is empty, as every default is: its label, and what makes text.

That raises TypeError if a value is wrong, or only the default is plain. A bare tuple is unpacked in half of the time.
"""


class _Writer(NamedTuple):
    """How a new row of one table is written.

    read      returns the values of the columns that are written
    read_all  returns the values of all columns, ordered by name as a server has them
    plain     how these are written if the row is plain
    kinds     their types then; None: no row is plain
    lacking   columns that the server does not have
    """

    read: Callable[[Row], tuple[Any, ...]]
    columns: tuple[_Column, ...]
    read_all: Callable[[Row], tuple[Any, ...]]
    plain: tuple[_Plain, ...]
    kinds: tuple[type | None, ...] | None
    lacking: tuple[Column, ...]


class Maps:
    """Writes maps, once for all rows that share one: ports of one network and namespace say the same of themselves."""

    def __init__(self) -> None:
        self._json: dict[int, tuple[Mapping[str, str], object]] = {}
        self._texts: dict[int, tuple[Mapping[str, str], str]] = {}

    def json(self, value: Mapping[str, str]) -> object:
        """Return a map as JSON."""
        known = self._json.get(id(value))
        if known is None or known[0] is not value:
            known = value, map_json(value)
            _remember(self._json, known)
        return known[1]

    def text(self, value: Mapping[str, str]) -> str:
        """Return a map as text."""
        known = self._texts.get(id(value))
        if known is None or known[0] is not value:
            known = value, _map_text(value)
            _remember(self._texts, known)
        return known[1]


def _remember(known: dict[int, tuple[Mapping[str, str], T]], pair: tuple[Mapping[str, str], T]) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[id(pair[0])] = pair


class NewRows:
    """Writes new rows for a server that has the columns of `schema`.

    It refers to nothing that refers to it, as a transaction does not: else it would wait for the garbage collector,
    with all its rows.
    """

    def __init__(self, schema: Schema) -> None:
        self.maps = Maps()
        self._schema = schema
        self._writers: dict[str, _Writer] = {}

    def json(self, row: Row, names: Names) -> dict[str, object]:
        """Return a row as JSON, without its children."""
        writer = self._writer(row.TABLE)
        return {
            column.name: json(value) if json else names(row, column, value)
            for (column, _, default, json, _), value in zip(writer.columns, writer.read(row), strict=True)
            if value != default
        }

    def members(self, row: Row, names: Names) -> list[str]:
        """Return the same as the texts of the object's members."""
        writer = self._writer(row.TABLE)
        return [
            label + (text(value) if text else to_text(names(row, column, value)))
            for (column, label, default, _, text), value in zip(writer.columns, writer.read(row), strict=True)
            if value != default
        ]

    def plain_members(self, row: Row) -> list[str] | None:
        """Return the same if the row is plainly right, as nearly all are, see `nb.check.is_plain`; else None.

        The server must have all of its columns. Where one of the texts has a `HINT`, a second look is needed.
        """
        table = row.TABLE
        writer = self._writers.get(table.name) or self._writer(table)
        values = writer.read_all(row)
        if tuple(map(type, values)) != writer.kinds:
            return None
        try:
            return [
                label + text(value)
                for (label, text), value in zip(writer.plain, values)  # noqa: B905 - to say it takes a tenth of all this
                if value  # being of the right kind it differs from the default then, in a third of the time
            ]
        except TypeError:  # a member is no text
            return None

    def lacking(self, table: Table) -> tuple[Column, ...]:
        """Return the columns that the server does not have."""
        return self._writer(table).lacking

    def _writer(self, table: Table) -> _Writer:
        """Return how new rows of a table are written, found out once."""
        writer = self._writers.get(table.name)
        if writer is None:
            written = [column for column in table.written if self._schema.has(table.name, column.name)]
            lacking = tuple(column for column in table.written if not self._schema.has(table.name, column.name))
            names = sorted(table.columns)
            writer = self._writers[table.name] = _Writer(
                reader_of(column.name for column in written),
                tuple(self._column(column) for column in written),
                reader_of(names),
                tuple(self._plain(table.columns[name]) for name in names),
                None if lacking else tuple(plain_kind(table.columns[name]) for name in names),
                lacking,
            )
        return writer

    def _column(self, column: Column) -> _Column:
        json, text = (None, None) if column.refers else (_json_of(column, self.maps), text_of(column, self.maps))
        return _Column(column, f'"{column.name}":', column.default, json, text)

    def _plain(self, column: Column) -> _Plain:
        text = self._column(column).text if column.ours else None
        return f'"{column.name}":', text or _not_plain


def _json_of(column: Column, maps: Maps) -> Callable[[Any], object]:
    match column.shape:
        case "map":
            return maps.json
        case "set":
            return _set_json
        case _:
            return _itself


def text_of(column: Column, maps: Maps) -> Callable[[Any], str]:
    """Return what writes the values of a column that names no other rows, but for its default."""
    match column.shape, column.base:
        case "map", _:
            # What rows say of themselves many say, too; what else they map is mostly their own.
            return maps.text if column.name == "external_ids" else _map_text
        case "set", _:
            return _set_text
        case "scalar", "string":
            return quoted
        case _:
            return to_text


def _not_plain(value: object) -> str:
    raise TypeError(f"{value!r} takes a closer look")


def _itself(value: object) -> object:
    return value


def _set_json(value: frozenset[str]) -> object:
    # One element stands for itself, as it does in what servers write (RFC 7047 section 5.1).
    return ["set", sorted(value)] if len(value) > 1 else next(iter(value))


def _map_text(value: Mapping[str, str]) -> str:
    pairs = ",".join([f"[{quoted(key)},{quoted(text)}]" for key, text in sorted(value.items())])
    return f'["map",[{pairs}]]'


def _set_text(value: frozenset[str]) -> str:
    if len(value) > 1:
        return f'["set",[{",".join(map(quoted, sorted(value)))}]]'
    (text,) = value
    return quoted(text)
