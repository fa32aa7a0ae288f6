"""The in-memory server's rows as the rows of `nb.tables`: references by name, children with their holders.

Law: only what a transaction touched is read again; snapshots share the rows that did not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ovnk8s_topo.backends.catalog import CATALOG, REFERENCES, Reference
from ovnk8s_topo.backends.datum import Datum
from ovnk8s_topo.backends.draft import Change, Place, Store, StoredRow
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import ROW_TYPES, TABLES

_HOLDING: Mapping[str, Reference] = {
    table.name: ref for table in TABLES.values() for ref in REFERENCES if (ref.table, ref.column) == table.parent
}
"""Table of children -> the column that holds them."""


class Reader:
    """Turns a store into snapshots; told of every change by `changed`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, Stored] = {}
        self._stale: set[Place] = set()
        self._snapshot = Snapshot({})

    def changed(self, changes: Mapping[Place, Change]) -> None:
        """Note what has to be read again."""
        for place, change in changes.items():
            self._stale.add(place)
            renamed = change.before is None or change.after is None or _called(change.before) != _called(change.after)
            if renamed:
                self._stale.update(self._naming(place))
            self._stale.update(_children(place, change, renamed))

    def snapshot(self) -> Snapshot:
        """Return the rows as they are; the same object as long as nothing changes."""
        if self._stale:
            for place in self._stale:
                self._refresh(place)
            self._stale.clear()
            self._snapshot = Snapshot(dict(self._rows), self.counter("nb_cfg"))
        return self._snapshot

    def counter(self, column: str) -> int:
        """Return a number of NB_Global, 0 if it has no row."""
        rows = list(self._store.rows["NB_Global"].values())
        return cast(int, next(iter(rows[0][column]))) if rows else 0

    def _naming(self, place: Place) -> list[Place]:
        return [
            Place(ref.table, source)
            for strong in (True, False)
            for ref, source in self._store.holders(place, strong=strong)
        ]

    def _refresh(self, place: Place) -> None:
        if place.table not in TABLES:
            return
        if place.uuid in self._store.rows[place.table]:
            self._rows[place.uuid] = self._stored(place)
        elif place.uuid in self._rows and self._rows[place.uuid].key.table == place.table:
            del self._rows[place.uuid]

    def _stored(self, place: Place) -> Stored:
        row, table = self._store.rows[place.table][place.uuid], TABLES[place.table]
        values: dict[str, Any] = {name: self._value(column, row[name]) for name, column in table.columns.items()}
        holders: tuple[str, ...] = ()
        if table.parent:
            ref = _HOLDING[table.name]
            holders = tuple(sorted(self._store.sources[ref].get(place.uuid, ())))
            values["parent"] = self._name(Place(ref.table, holders[0])) if holders else ""
        return Stored(place.uuid, ROW_TYPES[table.name](**values), holders)

    def _value(self, column: Column, datum: Datum) -> Value:
        if column.refers:
            datum = {self._name(Place(column.refers, cast(str, uuid))) for uuid in datum}
        match column.shape:
            case "map":
                return dict(cast(dict[str, str], datum))
            case "set":
                return cast(frozenset[str], frozenset(datum))
            case _:
                return cast(Value, next(iter(datum), None))

    def _name(self, place: Place) -> str:
        row = self._store.rows[place.table].get(place.uuid)
        if row is None:
            return place.uuid
        return _text(row, "name") if "name" in row else self._stored(place).key.name


def _called(row: StoredRow) -> object:
    return row.get("name", row)


def _text(row: StoredRow, column: str) -> str:
    return cast(str, next(iter(row[column])))


def _children(place: Place, change: Change, renamed: bool) -> set[Place]:
    found: set[Place] = set()
    for ref in CATALOG[place.table].references:
        if ref in _HOLDING.values():
            before = cast(set[str], change.before[ref.column] if change.before else set())
            after = cast(set[str], change.after[ref.column] if change.after else set())
            found |= {Place(ref.target, uuid) for uuid in (before | after if renamed else before ^ after)}
    return found
