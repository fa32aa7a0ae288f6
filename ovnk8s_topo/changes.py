"""A change set: what is to be done to a database, as a value.

Law: printable, storable, invertible; `apply_changes` is what it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

from ovnk8s_topo.nb.columns import Value
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, Row


@dataclass(frozen=True, slots=True)
class Assign:
    """A whole column gets another value."""

    column: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class PutKeys:
    """Some keys of a map change; None stands for an absent key. All other keys stay as they are."""

    column: str
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Members:
    """Some members of a set come or go; all others stay."""

    column: str
    removed: frozenset[str]
    added: frozenset[str]


@dataclass(frozen=True, slots=True)
class Move:
    """A child goes from its present holders to the row `after` (uuids)."""

    before: tuple[str, ...]
    after: tuple[str, ...]


Part = Assign | PutKeys | Members | Move


# Tuples, as there may be one for every row of a database: they are made in a third of the time.
class Insert(NamedTuple):
    """A new row. `holders` are uuids of the rows that get it as a child, empty in root tables."""

    uuid: str
    row: Row
    holders: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """How the new row is called."""
        return self.row.key


class Update(NamedTuple):
    """Changes of one existing row; `stored` is the row as it was read."""

    stored: Stored
    parts: tuple[Part, ...]

    @property
    def key(self) -> Key:
        """How the row is called."""
        return self.stored.key


class Delete(NamedTuple):
    """An existing row goes; `stored` is the row as it was read, so that the deletion can be undone."""

    stored: Stored

    @property
    def key(self) -> Key:
        """How the row is called."""
        return self.stored.key


Change = Insert | Update | Delete


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Changes in the order in which they are made.

    uuids  key -> uuid of every row that the changes refer to by name
    """

    changes: tuple[Change, ...] = ()
    uuids: Mapping[Key, str] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes

    def of(self, kind: type[Insert] | type[Update] | type[Delete]) -> tuple[Change, ...]:
        """Return the changes of one kind."""
        return tuple(change for change in self.changes if isinstance(change, kind))


def fits(changes: ChangeSet, actual: Snapshot) -> bool:
    """Tell whether every row that the changes touch is still as it was when they were computed.

    That includes the rows that are to hold new ones, and what hangs on those that go.
    """
    made = {change.uuid for change in changes if isinstance(change, Insert)}
    gone = {change.stored.uuid for change in changes if isinstance(change, Delete)}
    moved = {change.stored.uuid for change in changes if isinstance(change, Update) and _holders_after(change)}
    return all(_fits(change, actual, made, gone | moved) for change in changes)


def _holders_after(change: Insert | Update) -> tuple[str, ...]:
    if isinstance(change, Insert):
        return change.holders
    return next((part.after for part in change.parts if isinstance(part, Move)), ())


def _fits(change: Change, actual: Snapshot, made: set[str], leaving: set[str]) -> bool:
    match change:
        case Insert(uuid, _, _) if uuid in actual.rows or actual.named(change.key):
            return False
        case Update(stored, _) | Delete(stored) if actual.rows.get(stored.uuid) != stored:
            return False
        case Delete(stored):
            return all(child.uuid in leaving for child in actual.children(stored.uuid))
        case Insert() | Update():
            return all(holder in actual.rows or holder in made for holder in _holders_after(change))


def is_done(changes: ChangeSet, actual: Snapshot) -> bool:
    """Tell whether the changes have been made already, by us (and the reply was lost) or by somebody else."""
    return all(_is_done(change, actual) for change in changes)


def _is_done(change: Change, actual: Snapshot) -> bool:
    match change:
        case Insert(uuid, row, holders):
            return uuid in actual.rows and not any(_unlike(row, holders, actual.rows[uuid]))
        case Delete(stored):
            return stored.uuid not in actual.rows
        case Update(stored, parts):
            return stored.uuid in actual.rows and all(_is_made(part, actual.rows[stored.uuid]) for part in parts)


def _is_made(part: Part, stored: Stored) -> bool:
    match part:
        case Move(_, after):
            return stored.holders == after
        case Assign(column, _, after_value):
            return stored.row.get(column) == after_value
        case PutKeys(column, _, after_keys):
            actual = cast(Mapping[str, str], stored.row.get(column))
            return all(actual.get(key) == text for key, text in after_keys.items())
        case Members(column, removed, added):
            members = cast(frozenset[str], stored.row.get(column))
            return added <= members and not removed & members


def _unlike(row: Row, holders: tuple[str, ...], stored: Stored) -> Iterator[bool]:
    yield row.key != stored.key or holders != stored.holders
    for column, value in row.values():
        if column.shape == "map":
            yield any(
                cast(Mapping[str, str], stored.row.get(column.name)).get(key) != text
                for key, text in cast(Mapping[str, str], value).items()
            )
        elif column.ours and not column.follows:
            yield value != stored.row.get(column.name)


def apply_changes(actual: Snapshot, changes: Iterable[Change]) -> Snapshot:
    """Return the snapshot as it is after the changes: the meaning of a change set, without a database."""
    rows = dict(actual.rows)
    for change in changes:
        match change:
            case Insert(uuid, row, holders):
                rows[uuid] = Stored(uuid, row, holders)
            case Delete(stored):
                del rows[stored.uuid]
            case Update(stored, parts):
                rows[stored.uuid] = _updated(rows[stored.uuid], parts, rows)
    return Snapshot(rows, actual.nb_cfg)


def _updated(stored: Stored, parts: tuple[Part, ...], rows: Mapping[str, Stored]) -> Stored:
    holders, values = stored.holders, cast(dict[str, Any], {})
    for part in parts:
        match part:
            case Move(_, after):
                holders = after
                values["parent"] = rows[after[0]].key.name if after else ""
            case Assign(column, _, after_value):
                values[column] = after_value
            case PutKeys(column, _, after_keys):
                merged = {**cast(Mapping[str, str], stored.row.get(column)), **after_keys}
                values[column] = {key: value for key, value in merged.items() if value is not None}
            case Members(column, removed, added):
                values[column] = cast(frozenset[str], stored.row.get(column)) - removed | added
    return Stored(stored.uuid, replace(stored.row, **values), holders)


def invert(changes: ChangeSet) -> ChangeSet:
    """Return the change set that undoes `changes`.

    What it cannot bring back: columns that this library does not know, of rows that `changes` deleted.
    """
    return ChangeSet(tuple(_inverse(change) for change in reversed(changes.changes)), changes.uuids)


def _inverse(change: Change) -> Change:
    match change:
        case Insert(uuid, row, holders):
            return Delete(Stored(uuid, row, holders))
        case Delete(stored):
            return Insert(stored.uuid, stored.row, stored.holders)
        case Update(stored, parts):
            after = _updated(stored, tuple(part for part in parts if not isinstance(part, Move)), {})
            return Update(after, tuple(_inverse_part(part) for part in parts))


def _inverse_part(part: Part) -> Part:
    match part:
        case Assign(column, before, after):
            return Assign(column, after, before)
        case PutKeys(column, before_keys, after_keys):
            return PutKeys(column, after_keys, before_keys)
        case Members(column, removed, added):
            return Members(column, added, removed)
        case Move(before_holders, after_holders):
            return Move(after_holders, before_holders)
