"""Rows that change, lent out as snapshots that do not.

Law: to lend costs the same at any size, and a change costs what it touches. A view that somebody still holds keeps
the rows that have changed since, as they were; all others it reads from the living rows.
"""

from __future__ import annotations

import abc
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any, Generic, TypeVar, overload

from ovnk8s_topo.backends.change_log import ChangeLog, different_rows
from ovnk8s_topo.backends.lookup import Lookup
from ovnk8s_topo.nb.rowset import IndexedRows, Snapshot, Stored, references
from ovnk8s_topo.nb.tables import TABLES, Key, Row

_LARGEST_FIRST = sorted(TABLES, key=lambda name: name != "Logical_Switch_Port")
"""Tables in the order in which a uuid is looked for: nearly all rows are ports."""

_AT_ONCE = 5000
"""Rows that are compared under one lock."""

T = TypeVar("T")
"""How the content of a row is kept."""

_REFERRING = tuple(
    table.name for table in TABLES.values() if any(column.refers and column.ours for column in table.columns.values())
)
"""Tables whose rows refer to others by name."""


class LiveRows(abc.ABC, Generic[T]):
    """The rows of a database as they are now. Whatever reads or changes them holds `lock`, for moments only.

    serial    counts the changes
    nb_cfg    value of NB_Global.nb_cfg
    contents  table -> uuid -> content
    names     table -> name -> uuid
    holders   uuid of a child -> uuid of the row that holds it
    held      uuid of a holder -> uuids of its children
    log       what has changed from state to state
    """

    def __init__(self, serial: int = 1) -> None:
        self.lock = threading.RLock()
        self.serial = serial
        self.nb_cfg = 0
        self.contents: dict[str, dict[str, T]] = {name: {} for name in _LARGEST_FIRST}
        self.names = {name: Lookup() for name in TABLES}
        self.holders = Lookup()
        self.held: dict[str, set[str]] = {}
        self._views: list[weakref.ref[_View]] = []
        self._latest: Callable[[], Snapshot | None] = lambda: None
        self.log = ChangeLog(serial)

    @abc.abstractmethod
    def _stored(self, table: str, uuid: str, content: T) -> Stored:
        """Return a row as it is now."""

    # Reading ------------------------------------------------------------------------------------------------------

    def get(self, uuid: str) -> Stored | None:
        """Return a row as it is now, None if there is none."""
        for table, rows in self.contents.items():
            content = rows.get(uuid)
            if content is not None:
                return self._stored(table, uuid, content)
        return None

    def shows(self, uuid: str, row: Row) -> bool:
        """Tell whether a row is as it is wanted; see `Snapshot.shows`."""
        stored = self.get(uuid)
        return stored is not None and (stored.row is row or stored.row == row) and len(stored.holders) < 2

    def unlike(self, rows: Iterable[tuple[str, Row]]) -> set[str]:
        """Return the uuids of rows that are not as they are wanted; see `Snapshot.unlike`."""
        return {uuid for uuid, row in rows if not self.shows(uuid, row)}

    def __len__(self) -> int:
        return sum(map(len, self.contents.values()))

    def __contains__(self, uuid: object) -> bool:
        for rows in self.contents.values():  # noqa: SIM110 - a generator takes three times as long
            if uuid in rows:
                return True
        return False

    def snapshot(self) -> Snapshot:
        """Return the rows as they are now, as they will stay for whoever holds the snapshot."""
        with self.lock:
            latest = self._latest()
            if latest is None or latest.serial != self.serial:
                view = _View(self, self.serial)
                self._views = [other for other in self._views if other() is not None]
                self._views.append(weakref.ref(view, self._returned))
                latest = Snapshot.over(view, self.nb_cfg)
                self._latest = weakref.ref(latest)
            return latest

    # Changing -----------------------------------------------------------------------------------------------------

    def about_to_change(self, uuids: Collection[str], before: Mapping[str, Stored | None] | None = None) -> None:
        """Begin a new state, in which these rows will be others: made, changed or gone.

        before  the rows as they are, if somebody knows
        """
        for reference in self._views:
            view = reference()
            if view is not None:
                view.keep(uuids, before)
        self.serial += 1
        self.log.add(self.serial, uuids)

    def succeed(self, before: LiveRows[T]) -> None:
        """Take the place of rows that nobody changes any more, as their last state or, if they differ, the next one."""
        changed = different_rows(before, self)
        self.log = before.log.copy()
        self.serial = before.serial
        if changed:
            self.serial += 1
            self.log.add(self.serial, changed)

    def hold(self, holder: str, children: Collection[str]) -> None:
        """Give a holder more children."""
        self.held.setdefault(holder, set()).update(children)
        self.holders.add_to_all(children, holder)

    def release(self, holder: str, children: Iterable[str]) -> None:
        """Take children from a holder."""
        held = self.held.get(holder, set())
        for child in children:
            held.discard(child)
            self.holders.discard(child, holder)
        if not held:
            self.held.pop(holder, None)

    def _returned(self, _: object) -> None:
        """Note that nobody holds a view any more. It may be called at any moment: no lock can be taken here."""


class _View(IndexedRows):
    """The rows as they were at one serial."""

    def __init__(self, live: LiveRows[Any], serial: int) -> None:
        self._live = live
        self.serial = serial
        self._before: dict[str, Stored | None] = {}

    def keep(self, uuids: Iterable[str], before: Mapping[str, Stored | None] | None) -> None:
        """Remember rows that are about to change."""
        for uuid in uuids:
            if uuid not in self._before:
                self._before[uuid] = self._live.get(uuid) if before is None else before[uuid]

    def __getitem__(self, uuid: str) -> Stored:
        stored = self._at(uuid)
        if stored is None:
            raise KeyError(uuid)
        return stored

    @overload
    def get(self, key: str, /) -> Stored | None: ...

    @overload
    def get(self, key: str, /, default: Stored | T) -> Stored | T: ...

    def get(self, key: str, /, default: Stored | T | None = None) -> Stored | T | None:
        # The one of `Mapping` raises, and catches, an error for each row that is not there.
        return self._at(key) or default

    def _at(self, uuid: str) -> Stored | None:
        with self._live.lock:
            return self._before[uuid] if uuid in self._before else self._live.get(uuid)

    def shows(self, uuid: str, row: Row) -> bool:
        with self._live.lock:
            return super().shows(uuid, row) if uuid in self._before else self._live.shows(uuid, row)

    def unlike(self, rows: Iterable[tuple[str, Row]]) -> set[str]:
        found: set[str] = set()
        rest = iter(rows)
        while some := list(islice(rest, _AT_ONCE)):
            with self._live.lock:
                found |= super().unlike(some) if self._before else self._live.unlike(some)
        return found

    def __contains__(self, uuid: object) -> bool:
        with self._live.lock:
            if uuid in self._before:
                return self._before[uuid] is not None
            return uuid in self._live

    def __iter__(self) -> Iterator[str]:
        return iter([uuid for name in TABLES for uuid in self._uuids(name)])

    def __len__(self) -> int:
        with self._live.lock:
            kept = sum((stored is not None) - (uuid in self._live) for uuid, stored in self._before.items())
            return sum(map(len, self._live.contents.values())) + kept

    def __repr__(self) -> str:
        return f"<{len(self)} rows, state {self.serial}>"

    def named(self, key: Key) -> tuple[Stored, ...]:
        # Nearly all names that somebody asks for are new. What changes is kept first: looked at in this order, no lock
        # is needed to tell.
        found = self._live.names[key.table].get(key.name)
        if not found and not self._before:
            return ()
        with self._live.lock:
            if self._before or len(found) > 1:
                return self._found(self._live.names[key.table].get(key.name), lambda kept: kept.key == key)
            (uuid,) = found
            stored = self._live.get(uuid)
            return () if stored is None else (stored,)

    def children(self, uuid: str) -> tuple[Stored, ...]:
        with self._live.lock:
            return self._found(self._live.held.get(uuid, ()), lambda kept: uuid in kept.holders)

    def table(self, name: str) -> Iterator[Stored]:
        return (self[uuid] for uuid in self._uuids(name))

    def users(self, key: Key) -> tuple[Stored, ...]:
        return tuple(self[uuid] for uuid in sorted(self._users.get(key, ())))

    def changed_since(self, serial: int) -> frozenset[str] | None:
        with self._live.lock:
            return self._live.log.between(serial, self.serial)

    @cached_property
    def _users(self) -> dict[Key, list[str]]:
        found: dict[Key, list[str]] = {}
        for name in _REFERRING:
            for stored in self.table(name):
                for target in references(stored.row):
                    found.setdefault(target, []).append(stored.uuid)
        return found

    def _uuids(self, table: str) -> list[str]:
        with self._live.lock:
            now = list(self._live.contents[table])
            if not self._before:
                return now
            kept = [uuid for uuid, stored in self._before.items() if stored and stored.key.table == table]
            return [uuid for uuid in now if uuid not in self._before] + kept

    def _found(self, uuids: Collection[str], is_meant: Callable[[Stored], bool]) -> tuple[Stored, ...]:
        """Return rows by uuid: those meant now, unless they have changed, and those that were meant before."""
        if not self._before and len(uuids) < 2:
            return tuple(stored for uuid in uuids if (stored := self._live.get(uuid)) is not None)
        if self._before:
            kept = [uuid for uuid, stored in self._before.items() if stored and is_meant(stored)]
            uuids = [uuid for uuid in uuids if uuid not in self._before] + kept
        # A column may name children that a server of another age does not tell of.
        return tuple(stored for uuid in sorted(uuids) if (stored := self._at(uuid)) is not None)
