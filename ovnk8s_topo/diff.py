"""What must change so that a database holds what is wanted: the difference as a value.

Law: desired x actual -> change set (`changes`); equal inputs give equal change sets.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ovnk8s_topo.changes import (
    Assign,
    Change,
    ChangeSet,
    Delete,
    Insert,
    Members,
    Move,
    Part,
    PutKeys,
    Update,
    apply_changes,
    fits,
    invert,
    is_done,
)
from ovnk8s_topo.errors import OwnershipError, Problem
from ovnk8s_topo.nb.columns import Column
from ovnk8s_topo.nb.ownership import named_owner, owned_by, uuid_of, uuids_of
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored, references
from ovnk8s_topo.nb.tables import TABLES, Key, Row

__all__ = [
    "Assign",
    "Change",
    "ChangeSet",
    "Delete",
    "Insert",
    "Members",
    "Move",
    "Part",
    "PutKeys",
    "Rules",
    "Update",
    "apply_changes",
    "diff",
    "fits",
    "invert",
    "is_done",
]


_REFERRED_TO = {column.refers for table in TABLES.values() for column in table.columns.values() if column.refers}
_PARENTS_OF_ONE = {table.parent[0] for table in TABLES.values() if table.sole and table.parent}


_RANKS = {table: rank for rank, table in enumerate(TABLES)}


def _in_order(keys: Iterable[Key]) -> dict[str, list[Key]]:
    """Sort keys: tables in the order in which rows are inserted, each by name."""
    by_table: dict[str, list[Key]] = {table: [] for table in TABLES}
    for key in keys:
        by_table[key.table].append(key)
    return {table: sorted(found) for table, found in by_table.items() if found}


def _everything(_: Stored) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a difference may touch.

    owner    whose rows they are
    adopt    take over rows that have the right name and no owner's mark
    prune    delete rows of the owner that are not wanted and lie in scope
    covers   the scope: whether the desired rows speak for this stored row
    among    with prune: the only rows that may go for not being wanted; None: any
    """

    owner: str
    adopt: bool = False
    prune: bool = False
    covers: Callable[[Stored], bool] = field(default=_everything, compare=False)
    among: Sequence[Stored] | None = field(default=None, compare=False)


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
        self.order = _in_order(desired)
        self.problems: list[tuple[Problem, Key]] = []
        self.kept: dict[Key, Stored] = {}
        self.crowded: list[Stored] = []
        self.uuids: dict[Key, str] = {}
        self.holding: dict[str, dict[str, tuple[str]]] = {table: {} for table in TABLES}
        # A view of living rows takes its time to tell whether it has one: whoever asks for all gets a list.
        self.taken: Container[str] = actual.rows if len(desired) < len(actual.rows) else frozenset(actual.rows)
        self.is_empty = not actual.rows

    def run(self) -> ChangeSet:
        for table, keys in self.order.items():
            self.choose(table, keys)
        self.problems.sort(key=lambda found: found[1])
        deletes = self.deletes() if self.rules.prune else self.duplicates()
        changes: list[Change] = [*self.inserts(), *self.updates(), *deletes]
        if self.problems:
            raise OwnershipError(*zip(*self.problems, strict=True))
        return ChangeSet(tuple(changes), self.uuids)

    def choose(self, table: str, keys: Iterable[Key]) -> None:
        """Decide which stored row, if any, plays the part of each wanted one of a table."""
        uuid_from_name = uuids_of(self.rules.owner, table)
        if self.is_empty:
            self.uuids |= {key: uuid_from_name(key.name) for key in keys}
            return
        named = self.actual.named
        for key in keys:
            if candidates := named(key):
                self.choose_among(candidates, key)
            elif (uuid := uuid_from_name(key.name)) in self.taken:
                self.uuids[key] = self.new_uuid(key)
            else:
                self.uuids[key] = uuid

    def choose_among(self, candidates: Sequence[Stored], key: Key) -> None:
        shared = TABLES[key.table].mark == "shared"
        ours = [stored for stored in candidates if shared or owned_by(stored, self.rules.owner)]
        if not ours:
            ours = [stored for stored in candidates if self.adoptable(stored)]
            if not ours:
                self.problems.append((_taken(candidates[0], self.rules.owner), key))
        if len(ours) == 1:
            [self.kept[key]] = ours
        elif ours:
            self.kept[key] = max(ours, key=lambda stored: (len(self.actual.children(stored.uuid)), stored.uuid))
        kept = self.kept.get(key)
        self.uuids[key] = kept.uuid if kept else self.new_uuid(key)
        # Of all others nothing can be in the way; to look at each once more took a tenth of a restart.
        if kept and (len(candidates) > 1 or key.table in _PARENTS_OF_ONE):
            self.crowded.append(kept)

    def new_uuid(self, key: Key) -> str:
        uuid = uuid_of(self.rules.owner, key)
        # A row that somebody has renamed still has the uuid of its old name.
        while uuid in self.taken:
            uuid = uuid_of(self.rules.owner, Key(key.table, uuid))
        return uuid

    def adoptable(self, stored: Stored) -> bool:
        # A table without external_ids cannot say whose a row is; the name is all there is.
        return TABLES[stored.key.table].mark == "uuid" or (self.rules.adopt and named_owner(stored) is None)

    def holders(self, row: Row) -> tuple[str, ...]:
        if not row.TABLE.parent:
            return ()
        name: str = getattr(row, "parent")  # noqa: B009 - not in every row
        # Most rows share their parent with many others.
        known = self.holding[row.TABLE.parent[0]]
        found = known.get(name)
        if found is None:
            parent = Key(row.TABLE.parent[0], name)
            if (uuid := self.uuids.get(parent)) is None:
                raise ValueError(f"{row.key} wants to be in {parent}, which is not wanted")
            found = known[name] = (uuid,)
        return found

    def inserts(self) -> Iterator[Insert]:
        missing = {table: [key for key in keys if key not in self.kept] for table, keys in self.order.items()}
        naming = (self.desired[key] for table, keys in missing.items() if TABLES[table].references for key in keys)
        named = {target for row in naming for target in references(row)}
        for table, keys in missing.items():
            # Rows that live only while something names them would be collected at once without a name.
            is_kept_alive = TABLES[table].root or bool(TABLES[table].parent)
            for key in keys if is_kept_alive else filter(named.__contains__, keys):
                row = self.desired[key]
                yield tuple.__new__(Insert, (self.uuids[key], row, self.holders(row)))

    def updates(self) -> Iterator[Update]:
        for key in self.kept:
            wanted, stored = self.desired[key], self.kept[key]
            holders = self.holders(wanted)
            is_same = wanted == stored.row and holders == stored.holders
            if parts := () if is_same else tuple(self.parts(wanted, stored, holders)):
                yield Update(stored, parts)

    def parts(self, wanted: Row, stored: Stored, holders: tuple[str, ...]) -> Iterator[Part]:
        completed_only = wanted.TABLE.mark == "shared"
        for column in wanted.TABLE.written:
            if not (completed_only and column.shape != "map"):
                yield from self.column_parts(column, wanted, stored)
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
        candidates = self.actual.rows.values() if self.rules.among is None else self.rules.among
        gone = {stored.uuid for stored in candidates if self.is_stale(stored)}
        if self.rules.among is not None:
            gone |= self.in_the_way()
        for stored in sorted((self.actual.rows[uuid] for uuid in gone), key=_last_first):
            self.refuse_loss(stored, gone)
            yield Delete(stored)

    def duplicates(self) -> Iterator[Delete]:
        """Delete what is a fault of the database rather than left over: no permission to prune is asked for that."""
        gone = self.in_the_way()
        for uuid in sorted(gone):
            self.refuse_loss(self.actual.rows[uuid], gone)
            yield Delete(self.actual.rows[uuid])

    def in_the_way(self) -> set[str]:
        """Return rows of ours under a name, or in a place, that another row of ours has: faults, not leftovers."""
        return {
            stored.uuid
            for rival in self.crowded
            for stored in self.neighbours(rival)
            if not self.is_kept(stored) and owned_by(stored, self.rules.owner) and self.is_in_the_way(stored)
        }

    def neighbours(self, kept: Stored) -> tuple[Stored, ...]:
        """Return the rows of the same name, and what the row holds where it may hold but one."""
        lone = kept.key.table in _PARENTS_OF_ONE
        return self.actual.named(kept.key) + (self.actual.children(kept.uuid) if lone else ())

    def is_in_the_way(self, stored: Stored) -> bool:
        return stored.key in self.kept or (stored.row.TABLE.sole and self.rules.covers(stored))

    def is_kept(self, stored: Stored) -> bool:
        return stored.key in self.kept and self.kept[stored.key].uuid == stored.uuid

    def is_stale(self, stored: Stored) -> bool:
        rival = self.kept.get(stored.key)
        if (rival and rival.uuid == stored.uuid) or not owned_by(stored, self.rules.owner):
            return False
        return rival is not None or self.rules.covers(stored)

    def refuse_loss(self, stored: Stored, gone: set[str]) -> None:
        """Record a problem for everything of others that would vanish with the row."""
        for child in self.actual.children(stored.uuid):
            if child.uuid not in gone and not self.is_kept(child):
                whose = "which stays" if owned_by(child, self.rules.owner) else "of somebody else"
                self.problems.append((_lost_child(stored, child.key, whose), stored.key))
        # The server refuses to delete what somebody refers to.
        for user in self.actual.users(stored.key) if stored.row.TABLE.name in _REFERRED_TO else ():
            if user.uuid not in gone and not self.is_kept(user):
                self.problems.append((_foreign_user(stored, user.key), stored.key))
        for column in stored.row.TABLE.observed:
            if value := stored.row.get(column.name):
                count = Key(column.name, str(len(cast(frozenset[str], value))))
                self.problems.append((_lost_child(stored, count, "of somebody else"), stored.key))


def _last_first(stored: Stored) -> tuple[int, str, str]:
    """Return by what rows are deleted: what hangs on others before them."""
    return -_RANKS[stored.row.TABLE.name], stored.row.name, stored.uuid


def _follow(column: Column, wanted: Row, stored: Stored) -> Iterator[Assign]:
    request, before = wanted.get(column.follows), stored.row.get(column.follows)
    # ovn-nb(5) tag_request: 0 asks northd to choose a tag, so none is ours to write.
    actual, desired = stored.row.get(column.name), request or None
    if actual != desired and (request != before or request is None):
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


def _lost_child(stored: Stored, child: Key, whose: str) -> Problem:
    return Problem(child.table, f"deleting it would take {child} {whose} with it", subject=str(stored.key))


def _foreign_user(stored: Stored, user: Key) -> Problem:
    return Problem(user.table, f"it cannot be deleted while {user} refers to it", subject=str(stored.key))
