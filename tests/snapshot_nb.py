"""A backend that is nothing but the meaning of a change set: no operations, no guards, no schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, cast

from ovnk8s_topo.backends.batched import whole
from ovnk8s_topo.backends.contract import Committed, Cut, Decide, Level, Work, idle
from ovnk8s_topo.changes import ChangeSet
from ovnk8s_topo.diff import apply_changes
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import TABLES, Key, Row


class SnapshotNb:
    """Holds a snapshot. `meddle` is called once, after the next commit has decided, as a faster writer would."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.content = snapshot or Snapshot.of([])
        self.transactions = self.decided_on = 0
        self.waited: list[tuple[Level, int]] = []
        self.closed = False
        self.meddle: Callable[[], object] | None = None

    def snapshot(self, *, timeout_s: float) -> Snapshot:
        return self.content

    def commit(
        self, decide: Decide, *, timeout_s: float, confirm: bool = False, cut: Cut | None = None, meanwhile: Work = idle
    ) -> Committed:
        attempts = 1
        changes = self._sent(decide, meanwhile)
        if self.meddle:
            meddle, self.meddle = self.meddle, None
            meddle()
            attempts, changes = 2, self._sent(decide, meanwhile)
        for part in (cut or whole)(changes):
            self.transactions += 1
            self.content = apply_changes(self.content, part)
            check_whole(self.content)
        if confirm:
            self.content = Snapshot(self.content.rows, self.content.nb_cfg + 1)
        shown_at = self.content.serial if self.content.serial == self.decided_on + 1 else 0
        return Committed(changes, attempts, self.content.nb_cfg if confirm else 0, shown_at)

    def _sent(self, decide: Decide, meanwhile: Work) -> ChangeSet:
        self.decided_on = self.content.serial
        changes = decide(self.content)
        if not changes.is_empty:
            meanwhile()
        return changes

    def wait(self, level: Level, nb_cfg: int, *, timeout_s: float) -> None:
        self.waited.append((level, nb_cfg))

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What tests do to it --------------------------------------------------------------------------------------

    def row(self, table: str, name: str) -> Row:
        (stored,) = self.content.named(Key(table, name))
        return stored.row

    def names(self, table: str) -> set[str]:
        return {stored.key.name for stored in self.content.table(table)}

    def put(self, row: Row, uuid: str | None = None, *, holder: Key | None = None) -> Stored:
        """Add a row, or replace the one of its uuid."""
        holders = tuple(stored.uuid for stored in self.content.named(holder)) if holder else ()
        stored = Stored(uuid or f"uuid of {row.key}", row, holders)
        self.content = Snapshot({**self.content.rows, stored.uuid: stored}, self.content.nb_cfg)
        return stored

    def edit(self, table: str, name: str, **values: Any) -> None:
        """Write columns of a row, as somebody else would."""
        (stored,) = self.content.named(Key(table, name))
        changed = replace(stored.row, **values)
        self.content = Snapshot(
            {**self.content.rows, stored.uuid: Stored(stored.uuid, changed, stored.holders)}, self.content.nb_cfg
        )

    def remove(self, table: str, name: str) -> None:
        """Delete a row and what it holds, as the server would."""
        self.content = Snapshot.of(
            without(self.content, [stored.uuid for stored in self.content.named(Key(table, name))])
        )


def without(snapshot: Snapshot, uuids: Iterable[str]) -> list[Stored]:
    gone = set(uuids)
    while more := {
        stored.uuid
        for stored in snapshot.rows.values()
        if stored.holders and gone.issuperset(stored.holders) and stored.uuid not in gone
    }:
        gone |= more
    return [stored for stored in snapshot.rows.values() if stored.uuid not in gone]


def check_whole(snapshot: Snapshot) -> None:
    """What ovsdb-server would refuse: children without a holder, two rows of an indexed name, dangling references."""
    for stored in snapshot.rows.values():
        table = TABLES[stored.key.table]
        assert all(holder in snapshot.rows for holder in stored.holders), f"{stored.key} is held by nobody"
        assert bool(stored.holders) == bool(table.parent), stored.key
        assert not table.indexed or len(snapshot.named(stored.key)) == 1, f"two {stored.key}"
        for column, value in stored.row.values():
            if column.refers and column.ours and column.strong and value:
                for name in cast(frozenset[str], value):
                    assert snapshot.named(Key(column.refers, name)), f"{stored.key} refers to lost {name}"
