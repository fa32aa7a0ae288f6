"""What must change so that a database holds what is wanted: the difference as a value.

Law: desired x actual -> change set. Printable, storable, invertible; equal inputs give equal change sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ovnk8s_topo.errors import OwnershipError, Problem
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.ownership import named_owner, owned_by, uuid_of
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import TABLES, Key, Row


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


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row. `holders` are uuids of the rows that get it as a child, empty in root tables."""

    uuid: str
    row: Row
    holders: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """How the new row is called."""
        return self.row.key


@dataclass(frozen=True, slots=True)
class Update:
    """Changes of one existing row; `stored` is the row as it was read."""

    stored: Stored
    parts: tuple[Part, ...]

    @property
    def key(self) -> Key:
        """How the row is called."""
        return self.stored.key


@dataclass(frozen=True, slots=True)
class Delete:
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


def _everything(_: Stored) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a difference may touch.

    owner    whose rows they are
    adopt    take over rows that have the right name and no owner's mark
    prune    delete rows of the owner that are not wanted and lie in scope
    covers   the scope: whether the desired rows speak for this stored row
    """

    owner: str
    adopt: bool = False
    prune: bool = False
    covers: Callable[[Stored], bool] = field(default=_everything, compare=False)


def diff(desired: RowSet, actual: Snapshot, rules: Rules) -> ChangeSet:
    """Return the changes that turn `actual` into `desired`, within `rules`.

    desired  rows as they shall be, carrying the owner's mark (`nb.ownership.marked`)
    actual   the database now
    returns  inserts, then updates, then deletes; tables in the order of `nb.tables.TABLES`, rows by name

    OwnershipError  a wanted name is taken by a row of somebody else, or a row to be deleted holds rows of others
    """
    return _Differ(desired, actual, rules).run()


class _Differ:
    def __init__(self, desired: RowSet, actual: Snapshot, rules: Rules) -> None:
        self.desired, self.actual, self.rules = desired, actual, rules
        self.problems: list[tuple[Problem, Key]] = []
        self.kept: dict[Key, Stored] = {}
        self.uuids: dict[Key, str] = {}

    def run(self) -> ChangeSet:
        for key in sorted(self.desired):
            self.choose(key)
        deletes = self.deletes() if self.rules.prune else self.duplicates()
        changes: list[Change] = [*self.inserts(), *self.updates(), *deletes]
        if self.problems:
            raise OwnershipError(*zip(*self.problems, strict=True))
        return ChangeSet(tuple(changes), self.uuids)

    def choose(self, key: Key) -> None:
        """Decide which stored row, if any, plays the part of the wanted one."""
        candidates = self.actual.named(key)
        shared = TABLES[key.table].mark == "shared"
        ours = [stored for stored in candidates if shared or owned_by(stored, self.rules.owner)]
        if not ours and candidates:
            ours = [stored for stored in candidates if self.adoptable(stored)]
            if not ours:
                self.problems.append((_taken(candidates[0], self.rules.owner), key))
        if ours:
            self.kept[key] = max(ours, key=lambda stored: (len(self.actual.children(stored.uuid)), stored.uuid))
        self.uuids[key] = self.kept[key].uuid if key in self.kept else uuid_of(self.rules.owner, key)

    def adoptable(self, stored: Stored) -> bool:
        # A table without external_ids cannot say whose a row is; the name is all there is.
        return TABLES[stored.key.table].mark == "uuid" or (self.rules.adopt and named_owner(stored) is None)

    def holders(self, row: Row) -> tuple[str, ...]:
        parent = row.parent_key
        if parent is None:
            return ()
        if parent not in self.uuids:
            raise ValueError(f"{row.key} wants to be in {parent}, which is not wanted")
        return (self.uuids[parent],)

    def inserts(self) -> Iterator[Insert]:
        missing = [key for key in sorted(self.desired) if key not in self.kept]
        named = {target for key in missing for target in _references(self.desired[key])}
        for table in TABLES.values():
            # Rows that live only while something names them would be collected at once without a name.
            lone = not table.root and not table.parent
            for key in missing:
                if key.table == table.name and (key in named or not lone):
                    row = self.desired[key]
                    yield Insert(self.uuids[key], row, self.holders(row))

    def updates(self) -> Iterator[Update]:
        for table in TABLES:
            for key in sorted(key for key in self.kept if key.table == table):
                parts = tuple(self.parts(self.desired[key], self.kept[key]))
                if parts:
                    yield Update(self.kept[key], parts)

    def parts(self, wanted: Row, stored: Stored) -> Iterator[Part]:
        completed_only = wanted.TABLE.mark == "shared"
        for column in wanted.TABLE.columns.values():
            if column.ours and not (completed_only and column.shape != "map"):
                yield from self.column_parts(column, wanted, stored)
        holders = self.holders(wanted)
        if holders != stored.holders:
            yield Move(stored.holders, holders)

    def column_parts(self, column: Column, wanted: Row, stored: Stored) -> Iterator[Part]:
        desired, actual = wanted.get(column.name), stored.row.get(column.name)
        if column.follows:
            yield from _follow(column, wanted, stored)
        elif column.shape == "map":
            shared = wanted.TABLE.mark == "shared"
            yield from _map_part(column, cast(Mapping[str, str], desired), cast(Mapping[str, str], actual), shared)
        elif column.refers and column.shape == "set":
            yield from self.member_part(column, cast(frozenset[str], desired), cast(frozenset[str], actual))
        elif desired != actual:
            yield Assign(column.name, actual, desired)

    def member_part(self, column: Column, desired: frozenset[str], actual: frozenset[str]) -> Iterator[Members]:
        removed = frozenset(name for name in actual - desired if self.ours(Key(column.refers, name)))
        if removed or desired - actual:
            yield Members(column.name, removed, desired - actual)
        for name in removed:
            key = Key(column.refers, name)
            self.uuids.setdefault(key, uuid_of(self.rules.owner, key))

    def ours(self, key: Key) -> bool:
        return any(owned_by(stored, self.rules.owner) for stored in self.actual.named(key))

    def deletes(self) -> Iterator[Delete]:
        gone = {stored.uuid for stored in self.actual.rows.values() if self.is_stale(stored)}
        for table in reversed(TABLES):
            for uuid in sorted(gone, key=lambda uuid: (self.actual.rows[uuid].key, uuid)):
                stored = self.actual.rows[uuid]
                if stored.key.table == table:
                    self.refuse_loss(stored, gone)
                    yield Delete(stored)

    def duplicates(self) -> Iterator[Delete]:
        """Rows of ours under a name that another row of ours bears already: faults, not leftovers."""
        chosen = {stored.uuid for stored in self.kept.values()}
        gone = {
            stored.uuid
            for key in self.kept
            for stored in self.actual.named(key)
            if stored.uuid not in chosen and owned_by(stored, self.rules.owner)
        }
        for uuid in sorted(gone):
            self.refuse_loss(self.actual.rows[uuid], gone)
            yield Delete(self.actual.rows[uuid])

    def is_kept(self, stored: Stored) -> bool:
        return stored.key in self.kept and self.kept[stored.key].uuid == stored.uuid

    def is_stale(self, stored: Stored) -> bool:
        if self.is_kept(stored) or not owned_by(stored, self.rules.owner):
            return False
        return stored.key in self.kept or self.rules.covers(stored)

    def refuse_loss(self, stored: Stored, gone: set[str]) -> None:
        """Record a problem for everything of others that would vanish with the row."""
        for child in self.actual.children(stored.uuid):
            if child.uuid not in gone and not self.is_kept(child):
                self.problems.append((_foreign_child(stored, child.key), stored.key))
        for column, value in stored.row.values():
            if not column.ours and value:
                count = Key(column.name, str(len(cast(frozenset[str], value))))
                self.problems.append((_foreign_child(stored, count), stored.key))


def _references(row: Row) -> Iterator[Key]:
    for column, value in row.values():
        if column.refers and column.ours and value:
            names = cast(frozenset[str], value) if column.shape == "set" else (cast(str, value),)
            yield from (Key(column.refers, name) for name in names)


def _follow(column: Column, wanted: Row, stored: Stored) -> Iterator[Assign]:
    desired, before = wanted.get(column.follows), stored.row.get(column.follows)
    actual = stored.row.get(column.name)
    if actual != desired and (desired != before or desired is None):
        yield Assign(column.name, actual, desired)


def _map_part(
    column: Column, desired: Mapping[str, str], actual: Mapping[str, str], add_only: bool
) -> Iterator[PutKeys]:
    keys = desired.keys() if add_only else desired.keys() | (actual.keys() & column.keys)
    changed = sorted(k for k in keys if desired.get(k) != actual.get(k) and not (add_only and k in actual))
    if changed:
        yield PutKeys(column.name, {k: actual.get(k) for k in changed}, {k: desired.get(k) for k in changed})


def _taken(stored: Stored, owner: str) -> Problem:
    other = named_owner(stored)
    why = f"belongs to {other!r}, not to {owner!r}" if other else f"carries no owner's mark, so it is not {owner!r}'s"
    hint = "" if other else "; adopt it to take it over"
    return Problem("external_ids", f"the row {stored.uuid} {why}{hint}", subject=str(stored.key))


def _foreign_child(stored: Stored, child: Key) -> Problem:
    return Problem(child.table, f"deleting it would take {child} of somebody else with it", subject=str(stored.key))


def fits(changes: ChangeSet, actual: Snapshot) -> bool:
    """Tell whether every row that the changes touch is still as it was when they were computed."""
    return all(_fits(change, actual) for change in changes)


def _fits(change: Change, actual: Snapshot) -> bool:
    if isinstance(change, Insert):
        return change.uuid not in actual.rows and not actual.named(change.key)
    return actual.rows.get(change.stored.uuid) == change.stored


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
            after = _updated(stored, parts, actual.rows)
            return stored.uuid in actual.rows and not any(_unlike(after.row, after.holders, actual.rows[stored.uuid]))


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
