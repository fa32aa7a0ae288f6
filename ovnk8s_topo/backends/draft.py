"""The rows of the in-memory server, and a transaction's changes to them until it is committed or undone.

Law: only touched rows and columns are copied; `undo` brings back exactly what was there before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ovnk8s_topo.backends.catalog import CATALOG, POINTING_AT, REFERENCES, Reference
from ovnk8s_topo.backends.datum import Datum

StoredRow = dict[str, Datum]
"""A row as the server holds it: every column but `_uuid`."""


class Place(NamedTuple):
    """Where a row is."""

    table: str
    uuid: str


class Change(NamedTuple):
    """A row before and after a transaction; None where it does not exist."""

    before: StoredRow | None
    after: StoredRow | None


@dataclass(slots=True)
class Store:
    """All rows, and what is derived from them.

    rows     table -> uuid -> row
    sources  reference -> uuid of a target -> uuids of the rows that name it
    names    indexed table -> name -> uuid
    """

    rows: dict[str, dict[str, StoredRow]] = field(default_factory=lambda: {name: {} for name in CATALOG})
    sources: dict[Reference, dict[str, set[str]]] = field(default_factory=lambda: {ref: {} for ref in REFERENCES})
    names: dict[str, dict[str, str]] = field(
        default_factory=lambda: {name: {} for name, schema in CATALOG.items() if schema.indexed}
    )

    def holders(self, place: Place, *, strong: bool) -> list[tuple[Reference, str]]:
        """Return who names a row: the column and the uuid of the naming row."""
        return [
            (ref, source)
            for ref in POINTING_AT[place.table]
            if ref.strong == strong
            for source in sorted(self.sources[ref].get(place.uuid, ()))
        ]


class Draft:
    """The changes of one transaction, already visible in the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.before: dict[Place, StoredRow | None] = {}
        self._own: set[tuple[str, str, str]] = set()
        self._undo: list[Callable[[], object]] = []

    def may_create(self, place: Place) -> bool:
        """Tell whether a uuid is free: not in use, and not of a row that this transaction deleted."""
        return place.uuid not in self.store.rows[place.table] and place not in self.before

    def create(self, place: Place, row: StoredRow) -> None:
        """Add a row."""
        self.before[place] = None
        self.store.rows[place.table][place.uuid] = row

    def assign(self, place: Place, column: str, datum: Datum) -> None:
        """Give a column another value; the datum may be shared with other rows."""
        self._writable(place)[column] = datum
        self._own.discard((*place, column))

    def column(self, place: Place, column: str) -> Datum:
        """Return a column's value for changing it in place."""
        row = self._writable(place)
        if (*place, column) not in self._own:
            row[column] = row[column].copy()
            self._own.add((*place, column))
        return row[column]

    def _writable(self, place: Place) -> StoredRow:
        rows = self.store.rows[place.table]
        if place not in self.before:
            self.before[place] = rows[place.uuid]
            rows[place.uuid] = dict(rows[place.uuid])
        return rows[place.uuid]

    def remove(self, place: Place) -> StoredRow:
        """Take a row away and return it. A row that this transaction made was never there."""
        row = self.store.rows[place.table].pop(place.uuid)
        if place in self.before and self.before[place] is None:
            del self.before[place]
        else:
            self.before.setdefault(place, row)
        for column in row:  # a row of the same uuid may come again, with columns that it shares with others
            self._own.discard((*place, column))
        return row

    def after(self, place: Place) -> StoredRow | None:
        """Return a row as it is now."""
        return self.store.rows[place.table].get(place.uuid)

    def changes(self) -> dict[Place, Change]:
        """Return every row that is not as it was."""
        found = {place: Change(before, self.after(place)) for place, before in self.before.items()}
        return {place: change for place, change in found.items() if change.before != change.after}

    def link(self, ref: Reference, source: str, target: str) -> None:
        """Record that a row names another."""
        sources = self.store.sources[ref].setdefault(target, set())
        if source not in sources:
            sources.add(source)
            self._undo.append(lambda: sources.discard(source))

    def unlink(self, ref: Reference, source: str, target: str) -> None:
        """Record that a row no longer names another."""
        sources = self.store.sources[ref].get(target, set())
        if source in sources:
            sources.discard(source)
            self._undo.append(lambda: sources.add(source))

    def bear(self, place: Place, name: str) -> None:
        """Record a unique name."""
        names = self.store.names[place.table]
        names[name] = place.uuid
        self._undo.append(lambda: names.pop(name))

    def free(self, place: Place, name: str) -> None:
        """Forget a unique name."""
        names = self.store.names[place.table]
        del names[name]
        self._undo.append(lambda: names.update({name: place.uuid}))

    def undo(self) -> None:
        """Bring back everything as it was before the transaction."""
        for step in reversed(self._undo):
            step()
        for place, before in self.before.items():
            if before is None:
                self.store.rows[place.table].pop(place.uuid, None)
            else:
                self.store.rows[place.table][place.uuid] = before
