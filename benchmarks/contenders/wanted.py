"""The same rows as plain values, for those who do not take operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.servers import operations_in
from ovnk8s_topo.nb.tables import TABLES


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to another of the rows."""

    uuid: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row: sets are lists, maps are dicts.

    holder  the row that holds it as a child, with the name of the column; None for rows on their own
    """

    table: str
    uuid: str
    columns: dict[str, Any]
    holder: tuple[Ref, str] | None = None

    @property
    def name(self) -> str:
        """Its name; "" in a table without names."""
        return str(self.columns.get("name", ""))

    def rest(self, *given: str) -> dict[str, Any]:
        """Return the columns but for those, and for its children, which say themselves where they belong."""
        return {column: value for column, value in self.columns.items() if column not in (*given, *CHILDREN)}


CHILDREN = ("ports", "gateway_chassis")
"""Columns that hold children, in the tables that we write."""


def wanted(file: str) -> dict[str, Wanted]:
    """Return the rows that the operations in a file insert, by uuid; whatever is referred to comes first."""
    inserts = [operation for operation in operations_in(file) if operation["op"] == "insert"]
    plain = {
        str(insert["uuid"]): (str(insert["table"]), _columns(str(insert["table"]), insert["row"])) for insert in inserts
    }
    holders = {
        child.uuid: (Ref(uuid), column)
        for uuid, (_, columns) in plain.items()
        for column in CHILDREN
        for child in columns.get(column, ())
    }
    return {uuid: Wanted(table, uuid, columns, holders.get(uuid)) for uuid, (table, columns) in plain.items()}


def _columns(table: str, row: Any) -> dict[str, Any]:
    # A set of one element is written as that element (RFC 7047 section 5.1).
    sets = {column.name for column in TABLES[table].columns.values() if column.shape == "set"}
    plain = {column: _plain(value) for column, value in row.items()}
    return {
        column: [value] if column in sets and not isinstance(value, list) else value for column, value in plain.items()
    }


def _plain(value: Any) -> Any:
    match value:
        case ["uuid", uuid]:
            return Ref(uuid)
        case ["set", members]:
            return [_plain(member) for member in members]
        case ["map", pairs]:
            return dict(pairs)
        case _:
            return value
