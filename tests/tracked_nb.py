"""A database that is nothing but the meaning of change sets, and that knows what has changed since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from snapshot_nb import SnapshotNb

from ovnk8s_topo.backends.contract import Committed, Cut, Decide, Work, idle
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.nb.rowset import IndexedRows, Snapshot, Stored
from ovnk8s_topo.nb.tables import Key

Log = list[frozenset[str]]
"""What each change touched, the first one first."""


class TrackedRows(IndexedRows):
    """The rows of a plain snapshot, with a serial and a log; counts every row that somebody looks at."""

    def __init__(self, plain: Snapshot, log: Log, reads: Counter[str]) -> None:
        self.plain, self.log, self.reads = plain, log[:], reads
        self.serial = len(log) + 1

    def __getitem__(self, uuid: str) -> Stored:
        self.reads["row"] += 1
        return self.plain.rows[uuid]

    def __iter__(self) -> Iterator[str]:
        for uuid in self.plain.rows:
            self.reads["row"] += 1
            yield uuid

    def __len__(self) -> int:
        return len(self.plain.rows)

    def named(self, key: Key) -> tuple[Stored, ...]:
        return self.counted(self.plain.named(key))

    def children(self, uuid: str) -> tuple[Stored, ...]:
        return self.counted(self.plain.children(uuid))

    def users(self, key: Key) -> tuple[Stored, ...]:
        return self.counted(self.plain.users(key))

    def table(self, name: str) -> Iterator[Stored]:
        return iter(self.counted(tuple(self.plain.table(name))))

    def changed_since(self, serial: int) -> frozenset[str] | None:
        return frozenset().union(*self.log[serial - 1 :]) if serial else None

    def counted(self, found: tuple[Stored, ...]) -> tuple[Stored, ...]:
        self.reads["row"] += len(found)
        return found


class TrackedNb(SnapshotNb):
    """Every snapshot of it tells what has changed since an earlier one.

    looked_at  how many rows the last decision looked at
    """

    def __init__(self) -> None:
        self.log: Log = []
        self.reads: Counter[str] = Counter()
        self.looked_at = 0
        self._rows: Mapping[str, Stored] = {}
        self._content = Snapshot({})
        super().__init__()

    def commit(
        self, decide: Decide, *, timeout_s: float, confirm: bool = False, cut: Cut | None = None, meanwhile: Work = idle
    ) -> Committed:
        def counted(snapshot: Snapshot) -> ChangeSet:
            self.reads.clear()
            changes = decide(snapshot)
            self.looked_at = self.reads["row"]
            return changes

        return super().commit(counted, timeout_s=timeout_s, confirm=confirm, cut=cut, meanwhile=meanwhile)

    @property
    def content(self) -> Snapshot:
        return self._content

    @content.setter
    def content(self, wanted: Snapshot) -> None:
        rows: Mapping[str, Stored] = dict(wanted.rows)
        touched = {uuid for uuid in rows.keys() | self._rows.keys() if rows.get(uuid) != self._rows.get(uuid)}
        self.log.append(frozenset(touched))
        self._rows = rows
        self._content = Snapshot(TrackedRows(Snapshot(rows, wanted.nb_cfg), self.log, self.reads), wanted.nb_cfg)
