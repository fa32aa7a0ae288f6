"""Sets of rows: what is wanted (by key) and what a database holds (by uuid)."""

from __future__ import annotations

import abc
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, cast

from ovnk8s_topo.nb.tables import Key, Row


class RowSet(Mapping[Key, Row]):
    """Wanted rows, one for each key; equal rows may be added twice, different ones under one key may not."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Collect `rows`.

        ValueError  two different rows have one key
        """
        self._rows: dict[Key, Row] = {}
        for row in rows:
            found = self._rows.setdefault(row.key, row)
            if found is not row and found != row:
                raise ValueError(f"two different rows are called {row.key}")

    @classmethod
    def by_key(cls, rows: dict[Key, Row]) -> RowSet:
        """Return the set of rows that are sorted by their own keys already; it takes the dictionary over."""
        made = cls()
        made._rows = rows
        return made

    def keys(self) -> KeysView[Key]:
        """Return the rows' keys."""
        return self._rows.keys()

    def values(self) -> ValuesView[Row]:
        """Return the rows."""
        return self._rows.values()

    def items(self) -> ItemsView[Key, Row]:
        """Return the rows with their keys."""
        return self._rows.items()

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __getitem__(self, key: Key) -> Row:
        return self._rows[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowSet) and self._rows == other._rows

    def __hash__(self) -> int:
        raise TypeError("a RowSet is not hashable")

    def __repr__(self) -> str:
        return f"RowSet({len(self)} rows)"


class Stored(NamedTuple):
    """A row in a database.

    uuid     its uuid, as text
    row      its content; references are keys (names), `parent` the name of the first holder ("" if nobody holds it)
    holders  uuids of all rows that hold it as a child, sorted; more than one is a fault that OVSDB does not catch
    """

    uuid: str
    row: Row
    holders: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """How the row is called."""
        return self.row.key

    def is_lone(self, row: Row) -> bool:
        """Tell whether it is this very row, and is not held twice."""
        return self.row == row and len(self.holders) < 2


def references(row: Row) -> Iterator[Key]:
    """Yield the rows that a row of ours refers to by name; its parent is not among them."""
    for column in row.TABLE.references:
        if value := row.get(column.name):
            names = cast(frozenset[str], value) if column.shape == "set" else (cast(str, value),)
            yield from (Key(column.refers, name) for name in names)


class IndexedRows(Mapping[str, Stored]):
    """Rows by uuid that can also be found in other ways; what a snapshot answers from."""

    serial: int = 0
    """See `Snapshot.serial`."""

    def shows(self, uuid: str, row: Row) -> bool:
        """See `Snapshot.shows`."""
        stored = self.get(uuid)
        return stored is not None and stored.is_lone(row)

    def unlike(self, rows: Iterable[tuple[str, Row]]) -> set[str]:
        """See `Snapshot.unlike`."""
        return {uuid for uuid, row in rows if not self.shows(uuid, row)}

    @abc.abstractmethod
    def named(self, key: Key) -> tuple[Stored, ...]:
        """See `Snapshot.named`."""

    @abc.abstractmethod
    def children(self, uuid: str) -> tuple[Stored, ...]:
        """See `Snapshot.children`."""

    @abc.abstractmethod
    def table(self, name: str) -> Iterator[Stored]:
        """See `Snapshot.table`."""

    @abc.abstractmethod
    def users(self, key: Key) -> tuple[Stored, ...]:
        """See `Snapshot.users`."""

    @abc.abstractmethod
    def changed_since(self, serial: int) -> frozenset[str] | None:
        """See `Snapshot.changed_since`."""


class _AllRows(IndexedRows):
    """Rows that are all there, with indexes that are made when first asked for."""

    def __init__(self, rows: Mapping[str, Stored]) -> None:
        self._rows = rows

    def __getitem__(self, uuid: str) -> Stored:
        return self._rows[uuid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def named(self, key: Key) -> tuple[Stored, ...]:
        return self._found(self._by_key.get(key, ()))

    def children(self, uuid: str) -> tuple[Stored, ...]:
        return self._found(self._by_holder.get(uuid, ()))

    def table(self, name: str) -> Iterator[Stored]:
        return (stored for stored in self._rows.values() if stored.row.TABLE.name == name)

    def users(self, key: Key) -> tuple[Stored, ...]:
        return self._found(self._by_target.get(key, ()))

    def changed_since(self, serial: int) -> None:
        return None

    def _found(self, uuids: Iterable[str]) -> tuple[Stored, ...]:
        return tuple(self._rows[uuid] for uuid in sorted(uuids))

    @cached_property
    def _by_key(self) -> dict[Key, list[str]]:
        found: dict[Key, list[str]] = {}
        for uuid, stored in self._rows.items():
            found.setdefault(stored.key, []).append(uuid)
        return found

    @cached_property
    def _by_holder(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for uuid, stored in self._rows.items():
            for holder in stored.holders:
                found.setdefault(holder, []).append(uuid)
        return found

    @cached_property
    def _by_target(self) -> dict[Key, list[str]]:
        found: dict[Key, list[str]] = {}
        for uuid, stored in self._rows.items():
            for target in references(stored.row):
                found.setdefault(target, []).append(uuid)
        return found


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Snapshot:
    """All rows of our tables in a database at one point in time.

    rows   uuid -> row; it may be a view of a replica, which reads a row when it is asked for
    nb_cfg value of NB_Global.nb_cfg, the number that northd and the chassis confirm
    """

    rows: Mapping[str, Stored]
    nb_cfg: int = 0
    _index: IndexedRows = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        index = self.rows if isinstance(self.rows, IndexedRows) else _AllRows(self.rows)
        object.__setattr__(self, "_index", index)

    @classmethod
    def over(cls, rows: IndexedRows, nb_cfg: int) -> Snapshot:
        """Return the snapshot of such rows: one is made for every event, and their kind need not be found out."""
        made, put = object.__new__(cls), object.__setattr__
        put(made, "rows", rows)
        put(made, "nb_cfg", nb_cfg)
        put(made, "_index", rows)
        return made

    @classmethod
    def of(cls, stored: Iterable[Stored], nb_cfg: int = 0) -> Snapshot:
        """Build a snapshot from rows."""
        return cls({item.uuid: item for item in stored}, nb_cfg)

    @property
    def serial(self) -> int:
        """The number of the state that the snapshot shows: grows with every change that its backend saw; 0 unknown."""
        return self._index.serial

    def named(self, key: Key) -> tuple[Stored, ...]:
        """Return every row called `key`, ordered by uuid: usually none or one."""
        return self._index.named(key)

    def shows(self, uuid: str, row: Row) -> bool:
        """Tell whether the row `uuid` is there, is exactly `row`, and is not held twice; quicker than to ask for it."""
        return self._index.shows(uuid, row)

    def unlike(self, rows: Iterable[tuple[str, Row]]) -> set[str]:
        """Return the uuids of those rows that it does not show, see `shows`; quicker than to ask for each of many.

        rows  each with its uuid
        """
        return self._index.unlike(rows)

    def children(self, uuid: str) -> tuple[Stored, ...]:
        """Return the rows that the row `uuid` holds, ordered by uuid."""
        return self._index.children(uuid)

    def table(self, name: str) -> Iterator[Stored]:
        """Yield the rows of one table."""
        return self._index.table(name)

    def users(self, key: Key) -> tuple[Stored, ...]:
        """Return the rows that refer to the row called `key`, ordered by uuid; those that it holds are not meant."""
        return self._index.users(key)

    def changed_since(self, serial: int) -> frozenset[str] | None:
        """Return the uuids of all rows made, changed or deleted since the state `serial` of the same backend.

        A row has changed when its `Stored` is another one: a child also when it goes to another holder, or when its
        holder gets another name; a switch not because ports come and go.
        Where a replica was fetched anew in between, what has become again as it was need not be among them.
        None when that is not known: the state is too long ago, something was wrong, or the schema is another one now.
        """
        return self._index.changed_since(serial)
