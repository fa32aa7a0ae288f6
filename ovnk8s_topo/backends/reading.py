"""The in-memory server's rows as the rows of `nb.tables`: references by name, children with their holders.

Law: only what a transaction touched is read again; snapshots share the rows that did not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ovnk8s_topo.backends.catalog import CATALOG, REFERENCES, Reference
from ovnk8s_topo.backends.datum import Datum
from ovnk8s_topo.backends.draft import Change, Place, Store, StoredRow
from ovnk8s_topo.backends.live_rows import LiveRows
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import ROW_TYPES, TABLES

_HOLDING: Mapping[str, Reference] = {
    table.name: ref for table in TABLES.values() for ref in REFERENCES if (ref.table, ref.column) == table.parent
}
"""Table of children -> the column that holds them."""


class Reader(LiveRows[Stored]):
    """Turns a store into snapshots; told of every change by `changed`."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._stale: set[Place] = set()

    def changed(self, changes: Mapping[Place, Change]) -> None:
        """Note what has to be read again."""
        for place, change in changes.items():
            self._stale.add(place)
            renamed = change.before is None or change.after is None or _called(change.before) != _called(change.after)
            if renamed:
                self._stale.update(self._naming(place))
            self._stale.update(_children(place, change, renamed))

    def snapshot(self) -> Snapshot:
        """Return the rows as they are now, as they will stay for whoever holds the snapshot."""
        with self.lock:
            if self._stale:
                self._refresh()
            return super().snapshot()

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

    def _refresh(self) -> None:
        now = {place: self._read(place) for place in self._stale if place.table in TABLES}
        others = {place: now[place] for place in now if self.contents[place.table].get(place.uuid) != now[place]}
        self.about_to_change({place.uuid for place in others})
        for place, stored in others.items():
            self._put(place, stored)
        self._stale.clear()
        self.nb_cfg = self.counter("nb_cfg")

    def _put(self, place: Place, stored: Stored | None) -> None:
        rows, names = self.contents[place.table], self.names[place.table]
        before = rows.pop(place.uuid, None)
        if before is not None:
            names.discard(before.key.name, place.uuid)
            for holder in before.holders:
                self.release(holder, [place.uuid])
        if stored is not None:
            rows[place.uuid] = stored
            names.add(stored.key.name, place.uuid)
            for holder in stored.holders:
                self.hold(holder, [place.uuid])

    def _stored(self, table: str, uuid: str, content: Stored) -> Stored:
        return content

    def _read(self, place: Place) -> Stored | None:
        if place.uuid not in self._store.rows[place.table]:
            return None
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
        if "name" in row:
            return _text(row, "name")
        stored = self._read(place)
        return stored.key.name if stored else place.uuid


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
