"""Sets of rows: what is wanted (by key) and what a database holds (by uuid)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

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
            if self._rows.setdefault(row.key, row) != row:
                raise ValueError(f"two different rows are called {row.key}")

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


@dataclass(frozen=True, slots=True)
class Stored:
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of our tables in a database at one point in time.

    rows   uuid -> row
    nb_cfg value of NB_Global.nb_cfg, the number that northd and the chassis confirm
    """

    rows: Mapping[str, Stored]
    nb_cfg: int = 0
    _by_key: dict[Key, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)
    _children: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        by_key: dict[Key, list[str]] = {}
        children: dict[str, list[str]] = {}
        for uuid, stored in self.rows.items():
            by_key.setdefault(stored.key, []).append(uuid)
            for holder in stored.holders:
                children.setdefault(holder, []).append(uuid)
        self._by_key.update({key: tuple(sorted(uuids)) for key, uuids in by_key.items()})
        self._children.update({uuid: tuple(sorted(uuids)) for uuid, uuids in children.items()})

    @classmethod
    def of(cls, stored: Iterable[Stored], nb_cfg: int = 0) -> Snapshot:
        """Build a snapshot from rows."""
        return cls({item.uuid: item for item in stored}, nb_cfg)

    def named(self, key: Key) -> tuple[Stored, ...]:
        """Return every row called `key`, ordered by uuid: usually none or one."""
        return tuple(self.rows[uuid] for uuid in self._by_key.get(key, ()))

    def children(self, uuid: str) -> tuple[Stored, ...]:
        """Return the rows that the row `uuid` holds, ordered by uuid."""
        return tuple(self.rows[child] for child in self._children.get(uuid, ()))

    def table(self, name: str) -> Iterator[Stored]:
        """Yield the rows of one table."""
        return (stored for stored in self.rows.values() if stored.row.TABLE.name == name)
