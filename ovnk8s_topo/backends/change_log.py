"""Which rows have changed from state to state, and which are others in rows that were fetched anew.

Law: whatever is another `Stored` is named; what is not may be, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol, Self

from ovnk8s_topo.backends.lookup import Lookup, different
from ovnk8s_topo.nb.tables import TABLES, children_of

_REMEMBERED = 200_000
"""How many uuids of changed rows are remembered."""

NAMING: Mapping[str, tuple[str, ...]] = {
    name: tuple(table.name for table in TABLES.values() if any(c.refers == name for c in table.columns.values()))
    for name in TABLES
}
"""Table -> the tables whose rows name rows of it."""


class ChangeLog:
    """What has changed, state by state, as far back as it is remembered.

    serial  of the state that it begins with
    """

    def __init__(self, serial: int) -> None:
        self._start, self._count = serial, 0
        self._states: deque[tuple[int, Collection[str]]] = deque()

    def copy(self) -> Self:
        """Return the same to go on with by itself."""
        made = type(self)(self._start)
        made._states, made._count = self._states.copy(), self._count
        return made

    def add(self, serial: int, uuids: Collection[str]) -> None:
        """Note the rows that are others in a state than in the one before it."""
        self._states.append((serial, uuids))
        self._count += len(uuids) + 1
        while self._count > _REMEMBERED:
            self._start, forgotten = self._states.popleft()
            self._count -= len(forgotten) + 1

    def between(self, before: int, now: int) -> frozenset[str] | None:
        """Return what has changed from one state to another, None if that is not remembered."""
        if not self._start <= before <= now:
            return None
        found: list[Collection[str]] = []
        for serial, uuids in reversed(self._states):
            if serial <= before:
                break
            if serial <= now:
                found.append(uuids)
        return frozenset().union(*found)


class Rows(Protocol):
    """What there is to compare of rows; see `live_rows.LiveRows`."""

    contents: dict[str, dict[str, Any]]
    names: dict[str, Lookup]
    holders: Lookup
    held: dict[str, set[str]]


def different_rows(before: Rows, after: Rows) -> frozenset[str]:
    """Return the uuids of rows that may be another `Stored` than they were: made, changed or gone."""
    found = after.holders.different(before.holders)
    for table, rows in after.contents.items():
        found |= different(rows, before.contents[table])
    for table in TABLES:
        if children_of(table) or NAMING[table]:
            for uuid in _renamed(table, before, after):
                found |= after.held.get(uuid, set())
                found.update(namer for name in NAMING[table] for namer in after.contents[name])
    return frozenset(found)


def _renamed(table: str, before: Rows, after: Rows) -> Iterator[str]:
    for name in after.names[table].different(before.names[table]):
        yield from (uuid for uuid in after.names[table].get(name) if uuid in before.contents[table])
