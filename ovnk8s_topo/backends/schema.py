"""What a server can hold, and the names that are not in `nb.tables`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from ovnk8s_topo.nb.tables import TABLES, Table, children_of

DATABASE = "OVN_Northbound"
GLOBAL = "NB_Global"
GLOBAL_COLUMNS = ("nb_cfg", "sb_cfg", "hv_cfg")
"""The table that carries the numbers for confirmations, and these."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a server can hold.

    tables   table -> names of its columns
    version  the schema's version, for messages
    """

    tables: Mapping[str, frozenset[str]]
    version: str

    @classmethod
    def full(cls, version: str = "7.0.0") -> Schema:
        """Return the schema that has all that `nb.tables` knows: for backends without a server."""
        tables = {name: frozenset(wanted_columns(table)) for name, table in TABLES.items()}
        return cls({**tables, GLOBAL: frozenset(GLOBAL_COLUMNS)}, version)

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Schema:
        """Read a database schema as ovsdb-server sends it (RFC 7047 section 3.2)."""
        tables = cast(Mapping[str, Mapping[str, Mapping[str, object]]], document["tables"])
        columns = {name: frozenset(table["columns"]) for name, table in tables.items()}
        return cls(columns, str(document.get("version", "unknown")))

    def has(self, table: str, column: str) -> bool:
        """Tell whether the server has this column."""
        return column in self.tables.get(table, ())


def wanted_columns(table: Table) -> Iterator[str]:
    """Yield the columns of a table that this library reads: its own and those that hold children."""
    yield from table.columns
    yield from (child.parent[1] for child in children_of(table.name) if child.parent)
