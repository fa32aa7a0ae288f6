"""A server's rows as text, as it has sent them: read when somebody asks, changed by what the server says.

Law: memory is that of the text; a change costs what it touches. What a row holds is kept apart from it, for a server
tells of a switch with 100,000 ports only which ports came and went (ovsdb-server(7), <table-updates2>).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ovnk8s_topo.backends.change_log import NAMING
from ovnk8s_topo.backends.live_rows import LiveRows
from ovnk8s_topo.backends.port_ops import Echo
from ovnk8s_topo.backends.schema import GLOBAL, GLOBAL_COLUMNS
from ovnk8s_topo.backends.told_rows import SentRows, ToldRows
from ovnk8s_topo.backends.told_values import READERS, Json, modified, uuids
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.rowset import Stored
from ovnk8s_topo.nb.tables import ROW_TYPES, TABLES, Row, Table, children_of, row_from_values

_REMEMBERED = 10_000
"""How many rows stay decoded when nobody holds a snapshot."""

_ZEROS = dict.fromkeys(GLOBAL_COLUMNS, 0)

_to_text = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_scan = json.JSONDecoder().raw_decode


def _from_text(text: str) -> Json:
    row: Json = _scan(text)[0]
    return row


HOLDING: Mapping[str, tuple[str, ...]] = {
    name: tuple(child.parent[1] for child in children_of(name) if child.parent) for name in TABLES
}
"""Table -> its columns that hold children."""


class Astray(Exception):
    """An update does not fit the rows that are there: some other one was missed."""


class RowChange(NamedTuple):
    """What the server says of one row.

    kind  insert: it is new; replace: it is there and this is all of it; modify: only what is different; delete
    text  the row as the server wrote it, "" if it is not at hand
    """

    table: str
    uuid: str
    kind: str
    row: Json
    text: str = ""


def row_change(table: str, uuid: str, update: Json, text: str = "") -> RowChange:
    """Read a <row-update> (RFC 7047 section 4.1.6) or a <row-update2> (ovsdb-server(7) section 4.1.14).

    Astray  it is neither
    """
    for kind in ("insert", "initial"):
        if kind in update:
            return RowChange(table, uuid, "insert", update[kind], text)
    if "modify" in update:
        return RowChange(table, uuid, "modify", update["modify"])
    if "new" in update:
        return RowChange(table, uuid, "replace" if "old" in update else "insert", update["new"], text)
    if "delete" in update or "old" in update:
        return RowChange(table, uuid, "delete", {})
    raise Astray(f"{table} {uuid}: {sorted(update)}")


_NOBODY: frozenset[str] = frozenset()


class Foreseen(NamedTuple):
    """What an echo comes to, if it comes to the rows of this state.

    name    of its row
    before  the row by its uuid, None if it comes
    after   the row, if it comes and is as it was sent
    """

    echo: Echo
    serial: int
    name: str
    before: Mapping[str, Stored | None]
    after: Stored | None


class _Step(NamedTuple):
    """What a change does to a row of ours.

    before, after  what the row is called, None where it is not there
    text           the row after it
    gained, lost   children
    is_other       False: only children come and go
    """

    table: str
    uuid: str
    before: str | None
    after: str | None
    text: str
    gained: frozenset[str]
    lost: frozenset[str]
    is_other: bool = True


class ReplicaRows(LiveRows[str]):
    """The rows that a server has told of.

    sent     new rows of ours of which it may tell

    numbers  uuid -> columns of the row of NB_Global
    """

    def __init__(self, serial: int = 1, sent: SentRows | None = None) -> None:
        super().__init__(serial)
        self._sent = sent or SentRows()
        self.numbers: dict[str, dict[str, int]] = {}
        self._decoded: dict[str, Stored] = {}
        self._told = ToldRows()

    def load(self, change: RowChange) -> None:
        """Add a row before anybody has seen the rows: no state begins."""
        if change.table == GLOBAL:
            self._count(change)
        else:
            self._take(self._step(change))

    def load_sent(self, table: str, uuid: str, text: str) -> None:
        """Do what `load` does, for a row that holds none and is as it was sent; see `SentRows.at`."""
        heard = self._sent.hear(uuid, text)
        assert heard
        uuid, row = heard
        self.contents[table][uuid] = text
        self.names[table].add(row.name, uuid)

    def apply(self, changes: Collection[RowChange]) -> None:
        """Make the changes of one message, all at once.

        Astray  they do not fit; then nothing was changed
        """
        with self.lock:
            counted = [change for change in changes if change.table == GLOBAL]
            steps = [self._step(change) for change in changes if change.table != GLOBAL]
            touched: set[str] = set()
            for step in steps:
                self._touch(step, touched)
            self.about_to_change(touched)
            for uuid in touched:
                self._decoded.pop(uuid, None)
            for change in counted:
                self._count(change)
            for step in steps:
                self._take(step)

    def foresee(self, echo: Echo) -> Foreseen | None:
        """Return what an echo will come to, None if it does not fit: then it is for `apply`."""
        table, uuid, holder, _, row, _ = echo
        with self.lock:
            is_coming = row is not None
            is_held = uuid in self.held.get(holder, _NOBODY)
            is_there = uuid in self.contents[table]
            if is_there == is_coming or is_held == is_coming or self.holders.get(uuid) != (holder,) * is_held:
                return None
            parent = self._name(holder)
            stored = self.get(uuid) if row is None else Stored(uuid, row, (holder,))
            if parent is None or stored is None:
                return None
            key = stored.row.parent_key
            after = stored if is_coming and key is not None and key.name == parent else None
            return Foreseen(echo, self.serial, stored.row.name, {uuid: None if is_coming else stored}, after)

    def apply_echo(self, foreseen: Foreseen) -> bool:
        """Make the change that an echo tells of, or return False if it does not fit any more."""
        with self.lock:
            found = foreseen if foreseen.serial == self.serial else self.foresee(foreseen.echo)
            if found is None:
                return False
            (table, uuid, holder, _, row, text), _, name, before, after = found
            self.about_to_change((uuid,), before)
            if row is not None:
                self.contents[table][uuid] = text
                self.names[table].add(name, uuid)
                self.hold(holder, (uuid,))
                if after is not None:
                    self._decoded[uuid] = after
            else:
                del self.contents[table][uuid]
                self._decoded.pop(uuid, None)
                self.names[table].discard(name, uuid)
                self.release(holder, (uuid,))
            return True

    # Rows as they are now --------------------------------------------------------------------------------------------

    def get(self, uuid: str) -> Stored | None:
        """Return a row as it is now, None if there is none."""
        return self._decoded.get(uuid) or super().get(uuid)

    def _stored(self, table: str, uuid: str, content: str) -> Stored:
        values = self._values(TABLES[table], _from_text(content))
        holders: tuple[str, ...] = ()
        if TABLES[table].parent:
            holders = tuple(sorted(self.holders.get(uuid)))
            values["parent"] = self._name(holders[0]) or "" if holders else ""
        stored = self._decoded[uuid] = Stored(uuid, row_from_values(ROW_TYPES[table], values), holders)
        return stored

    def shows(self, uuid: str, row: Row) -> bool:
        """Tell whether a row is there as it is wanted; see `Snapshot.shows`. It is not kept decoded for that."""
        content = None if uuid in self._decoded else self.contents[row.TABLE.name].get(uuid)
        holders = self.holders.get(uuid)
        if content is None or len(holders) > 1:
            return super().shows(uuid, row)
        table = row.TABLE
        if not self._sent.are_one(uuid, content, row) and content != self._told.text(row):
            values = self._values(table, _from_text(content))
            if tuple(values.values()) != table.content(row):
                return False
        if not table.parent:
            return True
        (holder,) = holders or ("",)
        parent: str = getattr(row, "parent")  # noqa: B009 - not in every row
        return (self._name(holder) or "") == parent

    def unlike(self, rows: Iterable[tuple[str, Row]]) -> set[str]:
        """Return the uuids of rows that are not as they are wanted; see `Snapshot.unlike`."""
        contents, names, found = self.contents, dict[str, str | None](), set[str]()
        for uuid, row in rows:
            content, holders = contents[row.TABLE.name].get(uuid), self.holders.get(uuid)
            # Most are as they were sent, and share their holder with others.
            if content is not None and len(holders) == 1 and self._sent.are_one(uuid, content, row):
                (holder,) = holders
                if holder not in names:
                    names[holder] = self._name(holder)
                if names[holder] == getattr(row, "parent"):  # noqa: B009 - not in every row
                    continue
            if not self.shows(uuid, row):
                found.add(uuid)
        return found

    def _values(self, table: Table, row: Json) -> dict[str, Any]:
        # What the server does not say holds its default.
        values, readers = dict(table.unset), READERS[table.name]
        for name, datum in row.items():
            read = readers[name]
            values[name] = self._names(table.columns[name], datum) if read is None else read(datum)
        return values

    def _names(self, column: Column, datum: Any) -> Value:
        names = [name for uuid in uuids(datum) if (name := self._name(uuid)) is not None]
        return frozenset(names) if column.shape == "set" else next(iter(names), None)

    def _name(self, uuid: str) -> str | None:
        stored = self.get(uuid)
        return None if stored is None else stored.row.name

    def _returned(self, _: object) -> None:
        if len(self._decoded) > _REMEMBERED:
            self._decoded = {}

    # Changes ---------------------------------------------------------------------------------------------------------

    def _step(self, change: RowChange) -> _Step:
        """Work out what a change does; nothing is changed yet."""
        table, uuid = change.table, change.uuid
        present = self.contents[table].get(uuid)
        if change.kind == "insert" and present is None:
            return self._put(change, None, _NOBODY)
        if present is None:
            raise Astray(f"{change.kind} of {table} {uuid}, which is not there")
        if change.kind == "modify":
            return self._modify(change, present)
        known = self._decoded.get(uuid)
        before = known.key.name if known else self._called(table, _from_text(present))
        held = frozenset(self.held.get(uuid, _NOBODY))
        if change.kind == "delete":
            return _Step(table, uuid, before, None, "", _NOBODY, held)
        return self._put(change, before, held)

    def _put(self, change: RowChange, before: str | None, held: frozenset[str]) -> _Step:
        row, members = _without_members(change.table, change.row)
        text = change.text if change.text and row is change.row else _to_text(row)
        after = self._called(change.table, row)
        heard = self._sent.hear(change.uuid, text) if before is None else None
        uuid = heard[0] if heard else change.uuid
        return _Step(change.table, uuid, before, after, text, members - held, held - members)

    def _modify(self, change: RowChange, present: str) -> _Step:
        difference, members = _without_members(change.table, change.row)
        lost = members & self.held.get(change.uuid, _NOBODY)
        if not difference:
            # A switch of 100,000 ports gained one: nothing of that size is looked at.
            return _Step(change.table, change.uuid, None, None, present, members - lost, lost, is_other=False)
        row = _from_text(present)
        before = self._called(change.table, row)
        row = modified(TABLES[change.table], row, difference)
        after = self._called(change.table, row)
        return _Step(change.table, change.uuid, before, after, _to_text(row), members - lost, lost)

    def _called(self, table: str, row: Json) -> str:
        if "name" in TABLES[table].columns:
            return str(row.get("name", ""))
        # Such a row is called by what it holds.
        return ROW_TYPES[table](**self._values(TABLES[table], row)).key.name

    def _touch(self, step: _Step, touched: set[str]) -> None:
        """Add the rows that are others after a step: it, children that come and go, and those that name it."""
        touched |= step.gained
        touched |= step.lost
        if step.is_other:
            touched.add(step.uuid)
            if step.before is not None and step.before != step.after:
                touched |= self.held.get(step.uuid, _NOBODY)
                for name in NAMING[step.table]:
                    touched.update(uuid for uuid, text in self.contents[name].items() if step.uuid in text)

    def _take(self, step: _Step) -> None:
        if step.is_other:
            self._rewrite(step)
        if step.lost:
            self.release(step.uuid, step.lost)
        if step.gained:
            self.hold(step.uuid, self._sent.own(step.gained))

    def _rewrite(self, step: _Step) -> None:
        names = self.names[step.table]
        if step.before is not None and step.before != step.after:
            names.discard(step.before, step.uuid)
        if step.after is None:
            del self.contents[step.table][step.uuid]
        else:
            self.contents[step.table][step.uuid] = step.text
            if step.before != step.after:
                names.add(step.after, step.uuid)

    def _count(self, change: RowChange) -> None:
        if change.kind == "delete":
            self.numbers.pop(change.uuid, None)
        else:
            before = self.numbers.get(change.uuid, _ZEROS) if change.kind == "modify" else _ZEROS
            self.numbers[change.uuid] = {**before, **change.row}
        self.nb_cfg = next((numbers.get("nb_cfg", 0) for numbers in self.numbers.values()), 0)


def _without_members(table: str, row: Json) -> tuple[Json, frozenset[str]]:
    """Split a row into what it says and the uuids of its children."""
    columns = HOLDING[table]
    if not columns:
        return row, _NOBODY
    members = frozenset(uuid for column in columns if column in row for uuid in uuids(row[column]))
    return {name: datum for name, datum in row.items() if name not in columns}, members
