"""The laws of events once more, on the databases that people use: in memory, and on a real server.

Each tells what has changed in its own way; here the second writer writes over a connection of his own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import cast

import pytest
import test_incremental_laws as laws
from hypothesis import settings
from snapshot_nb import check_whole
from tracked_nb import TrackedNb

from ovnk8s_topo import Reconciler
from ovnk8s_topo.backends import DirectNb, MemoryNb
from ovnk8s_topo.backends.contract import Committed, Cut, Decide, NbBackend, Work, idle
from ovnk8s_topo.changes import Assign, Change, ChangeSet, Delete, Insert, Part, PutKeys, Update
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, Row
from ovnk8s_topo.testing import LocalOvn

LIMIT_S = 30.0


class Watched(TrackedNb):
    """A backend, and the content of its database as somebody else reads and writes it."""

    def __init__(self, mine: NbBackend, theirs: NbBackend) -> None:
        self.mine, self.theirs = mine, theirs
        self.transactions = 0

    def snapshot(self, *, timeout_s: float) -> Snapshot:
        return self.mine.snapshot(timeout_s=timeout_s)

    def commit(
        self, decide: Decide, *, timeout_s: float, confirm: bool = False, cut: Cut | None = None, meanwhile: Work = idle
    ) -> Committed:
        done = self.mine.commit(decide, timeout_s=timeout_s, confirm=confirm, cut=cut, meanwhile=meanwhile)
        self.transactions += not done.changes.is_empty
        return done

    @property
    def content(self) -> Snapshot:
        catch_up(self.theirs)
        seen = self.theirs.snapshot(timeout_s=LIMIT_S)
        return Snapshot(dict(seen.rows), seen.nb_cfg)

    @content.setter
    def content(self, wanted: Snapshot) -> None:
        check_whole(wanted)
        changes = ChangeSet(tuple(difference(self.content, wanted)))
        self.theirs.commit(lambda _: changes, timeout_s=LIMIT_S)
        catch_up(self.mine)

    def put(self, row: Row, uuid: str | None = None, *, holder: Key | None = None) -> Stored:
        return super().put(row, uuid or uuid_of(row.key), holder=holder)


def catch_up(nb: NbBackend) -> None:
    """Let a live backend see what others have written until now: a server tells others after the one who wrote."""
    if isinstance(nb, DirectNb):
        with nb._line._lock:
            nb._line._follower.catch_up()


def uuid_of(key: Key) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(key)))


def difference(before: Snapshot, after: Snapshot) -> Iterator[Change]:
    """Yield what turns one content into another, whosever the rows are."""
    yield from (Insert(it.uuid, it.row, it.holders) for it in after.rows.values() if it.uuid not in before.rows)
    for stored in before.rows.values():
        if stored.uuid not in after.rows:
            yield Delete(stored)
        elif parts := tuple(parts_between(stored.row, after.rows[stored.uuid].row)):
            yield Update(stored, parts)


def parts_between(before: Row, after: Row) -> Iterator[Part]:
    for column, value in before.values():
        other = after.get(column.name)
        if value == other:
            continue
        if column.shape == "map":
            old, new = cast(Mapping[str, str], value), cast(Mapping[str, str], other)
            keys = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
            yield PutKeys(column.name, {key: old.get(key) for key in keys}, {key: new.get(key) for key in keys})
        else:
            yield Assign(column.name, value, other)


class InMemory(laws.Events):
    """Events on `MemoryNb`."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = MemoryNb()
        self.nb = Watched(self.backend, self.backend)
        self.me = Reconciler(self.nb, owner=laws.ME)

    def add_switch(self, name: str, subnet: str) -> None:
        # Our own transactions make no second switch of one name.
        row = {"name": name, "other_config": ["map", [["subnet", subnet]]]}
        self.backend.transact([{"op": "insert", "table": "Logical_Switch", "row": row}])


class OnAServer(laws.Events):
    """Events on `DirectNb`, with a server for each sequence of them."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.server = self.open.enter_context(LocalOvn(northd=False))
        mine, theirs = (self.open.enter_context(DirectNb(self.server.nb)) for _ in range(2))
        self.nb: Watched = Watched(mine, theirs)
        self.me = Reconciler(self.nb, owner=laws.ME)

    def add_switch(self, name: str, subnet: str) -> None:
        self.server.nbctl("create", "Logical_Switch", f"name={name}", f'other_config:subnet="{subnet}"')
        catch_up(self.nb.mine)

    def teardown(self) -> None:
        self.open.close()


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestOnAServer = pytest.mark.ovn(OnAServer.TestCase)
TestOnAServer.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
