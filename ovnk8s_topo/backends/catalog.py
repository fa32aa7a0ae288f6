"""What the in-memory server knows of the Northbound schema: derived from `nb.tables`, nothing of its own but NB_Global.

Law: a table or column added to `nb.tables` appears here by itself. Columns that hang the uuids of tables which we do
not have on our rows (`acls`, `nat`, ...) take any uuid: nothing checks what they point to. `_version` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ovnk8s_topo.backends.datum import UNLIMITED, UUID_TYPE, Datum, OpError, Type, check_atom, default, type_of
from ovnk8s_topo.nb.tables import TABLES, Table, children_of


@dataclass(frozen=True, slots=True)
class Reference:
    """A column whose uuids name rows of `target` (RFC 7047 section 3.2, refTable and refType)."""

    table: str
    column: str
    target: str
    strong: bool


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A <table-schema> of RFC 7047 section 3.2.

    columns       by name, with `_uuid`
    defaults      what columns hold that an insert does not name; shared, never changed in place
    unset         columns whose default breaks a constraint, so that every insert must name them
    references    columns that name rows of other tables
    indexed       names are unique
    max_rows      most rows that the table may have
    """

    name: str
    columns: Mapping[str, Type]
    defaults: Mapping[str, Datum]
    unset: Mapping[str, OpError]
    references: tuple[Reference, ...]
    root: bool = True
    indexed: bool = False
    max_rows: int = UNLIMITED


def _schema(name: str, columns: dict[str, Type], references: tuple[Reference, ...], table: Table | None) -> TableSchema:
    defaults = {column: default(kind) for column, kind in columns.items()}
    return TableSchema(
        name,
        {"_uuid": UUID_TYPE, **columns},
        defaults,
        {column: error for column, kind in columns.items() if (error := _default_fault(kind, defaults[column]))},
        references,
        root=table is None or table.root,
        indexed=table is not None and table.indexed,
        max_rows=UNLIMITED if table else 1,
    )


def _default_fault(kind: Type, datum: Datum) -> OpError | None:
    try:
        for atom in datum:
            check_atom(kind, atom)
    except OpError as error:
        return error
    return None


def _from_table(table: Table) -> TableSchema:
    columns = {name: type_of(column) for name, column in table.columns.items()}
    found = [Reference(table.name, c.name, c.refers, c.strong) for c in table.columns.values() if c.refers]
    for child in children_of(table.name):
        _, column = child.parent or ("", "")
        columns[column] = Type("uuid", least=0, most=UNLIMITED)
        found.append(Reference(table.name, column, child.name, strong=True))
    return _schema(table.name, columns, tuple(found), table)


def _catalog() -> dict[str, TableSchema]:
    counters = {name: Type("integer") for name in ("nb_cfg", "sb_cfg", "hv_cfg")}
    return {
        "NB_Global": _schema("NB_Global", counters, (), None),
        **{name: _from_table(table) for name, table in TABLES.items()},
    }


CATALOG: Mapping[str, TableSchema] = _catalog()
"""Every table of the in-memory server, by name."""

REFERENCES: tuple[Reference, ...] = tuple(ref for schema in CATALOG.values() for ref in schema.references)
"""Every column that names rows of another table."""

POINTING_AT: Mapping[str, tuple[Reference, ...]] = {
    name: tuple(ref for ref in REFERENCES if ref.target == name) for name in CATALOG
}
"""Table -> the columns that may name its rows."""
