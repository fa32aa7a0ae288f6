"""Changes in several transactions, one on the heels of the other.

Law: every batch is all or nothing and carries its own guards. One that is refused, or lost, is computed anew with what
is left; what is through stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

from ovnk8s_topo.backends.attempts import Attempts, Base, Carrier, Decision, Done, Pending, Refusal, Way, refusal_of
from ovnk8s_topo.backends.contract import Cut
from ovnk8s_topo.backends.operations import Joined, Operation
from ovnk8s_topo.backends.ops import encode, operations
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.changes import Change
from ovnk8s_topo.diff import ChangeSet, Insert, is_done
from ovnk8s_topo.errors import RowError, TopoError
from ovnk8s_topo.nb.check import check_rows
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import TABLES

_ON_THEIR_WAY = 8
"""Batches that are sent before the first of them must be answered: enough to keep the server busy."""


class _Sent(NamedTuple):
    """A batch on its way.

    operations  how many of the server's results are about the changes; those behind are about what was added
    """

    pending: Pending
    changes: ChangeSet
    operations: int


class BatchedAttempts(Attempts[Snapshot, ChangeSet]):
    """Attempts to make changes, cut into batches.

    cut   see `contract.Cut`
    also  operations to add to the last batch
    """

    def __init__(
        self,
        way: Way[Snapshot],
        decision: Decision[Snapshot, ChangeSet],
        timeout_s: float,
        also: Callable[[Base[Snapshot]], list[Operation]],
        cut: Cut,
    ) -> None:
        super().__init__(way, decision, timeout_s, also)
        self.cut = cut
        self.written: list[ChangeSet] = []
        self.unanswered: list[ChangeSet] = []
        self.refusals: list[tuple[Refusal, ChangeSet]] = []

    def run(self) -> Done[Snapshot, ChangeSet]:
        """Return what was done; an error says how much of it."""
        with told_with(self.written):
            return super().run()

    def attempt(self, base: Base[Snapshot]) -> Done[Snapshot, ChangeSet] | None:
        """Try once; None if some batches must be tried again."""
        self.find_late(base.snapshot)
        self.refusals.clear()
        parts = batches_of(self.decision.decided(base.snapshot), self.cut, base.snapshot, base.schema)
        if self.written and not parts:
            # Nothing is left, but the batch that was to ask for a confirmation may not have got through.
            parts = (ChangeSet(),)
        with self.way.carrier(sum(map(len, parts))) as carrier:
            answers = self.send(parts, base, carrier)
        if self.refusals:
            # The later ones may only be what the first has led to.
            self.refused(*self.refusals[0])
        return None if answers is None else Done(joined(self.written), self.decision.attempts, base, answers)

    def find_late(self, actual: Snapshot) -> None:
        """Note the batches without an answer that are through after all.

        A server may come to them long after their connection broke, so the others are looked for again in the next
        attempt. By then one may have been made anew: of each change only the first that is known to be made counts.
        """
        late, self.unanswered = self.unanswered, []
        known = {_place(change) for part in self.written for change in part} if late else set()
        for part in late:
            if not is_done(part, actual):
                self.unanswered.append(part)
                continue
            new = tuple(change for change in part if _place(change) not in known)
            known |= set(map(_place, new))
            self.written += [ChangeSet(new, part.uuids)] if new else []

    def send(self, parts: Sequence[ChangeSet], base: Base[Snapshot], carrier: Carrier) -> list[Any] | None:
        """Send one batch after the other; return the answers to what was added, None if one did not get through."""
        waiting: deque[_Sent] = deque()
        answers: list[Any] | None = []
        for part in parts:
            made = operations(part, base.snapshot, base.schema, checked=True)
            also = self.also(base) if part is parts[-1] else []
            if not (len(made) or also):
                continue  # nothing of it that this server knows
            pending = carrier.send(Joined(made, also), self.deadline)
            if pending is None:
                answers = None
                break
            waiting.append(_Sent(pending, part, len(made)))
            if len(waiting) == _ON_THEIR_WAY and self.collect(waiting.popleft(), carrier) is None:
                answers = None
                break
        for sent in waiting:
            found = self.collect(sent, carrier)
            answers = None if answers is None or found is None else found
        return answers

    def collect(self, sent: _Sent, carrier: Carrier) -> list[Any] | None:
        """Wait for one batch; return the answers to what was added to it, None if it did not get through."""
        reply = self.reply(sent.pending, sent.changes, carrier)
        refusal = refusal_of(reply)
        if refusal is not None:
            self.refusals.append((refusal, sent.changes))
        if not reply or (refusal is not None and refusal.lost):
            self.unanswered.append(sent.changes)
        if not reply or refusal is not None:
            return None
        self.written.append(sent.changes)
        return reply[sent.operations :]


def _place(change: Change) -> tuple[type[Change], str]:
    """Return what a change does to which row."""
    return type(change), change.uuid if isinstance(change, Insert) else change.stored.uuid


def attempts(
    way: Way[Snapshot],
    decision: Decision[Snapshot, ChangeSet],
    timeout_s: float,
    also: Callable[[Base[Snapshot]], list[Operation]],
    cut: Cut | None,
) -> Attempts[Snapshot, ChangeSet]:
    """Return attempts to make changes in one transaction or, cut, in several."""
    if cut is None:
        return Attempts(way, decision, timeout_s, also)
    return BatchedAttempts(way, decision, timeout_s, also, cut)


def whole(changes: ChangeSet) -> tuple[ChangeSet, ...]:
    """Cut nothing: one batch, none if there is nothing to do."""
    return () if changes.is_empty else (changes,)


def batches_of(changes: ChangeSet, cut: Cut, actual: Snapshot, schema: Schema) -> tuple[ChangeSet, ...]:
    """Return the batches, none if there is nothing to do.

    RowError  a row in any of them cannot be written; see `ops.encode`
    """
    if problems := check_rows(change.row for change in changes if isinstance(change, Insert)):
        raise RowError(problems)
    # To encode all of them beforehand, to see whether that works, would take as long as the encoding itself.
    looked_at = {table for table in TABLES if not _is_plain(table, schema)}
    some = ChangeSet(tuple(change for change in changes if change.key.table in looked_at), changes.uuids)
    encode(some, actual, schema, checked=True)
    return tuple(part for part in cut(changes) if not part.is_empty)


def _is_plain(name: str, schema: Schema) -> bool:
    """Tell whether a new row of a table can be judged by itself: the server has all columns, no names are looked up."""
    columns = TABLES[name].columns.values()
    referred = any(column.refers == name for table in TABLES.values() for column in table.columns.values())
    return not referred and all(schema.has(name, column.name) and not column.refers for column in columns)


@contextmanager
def told_with(written: Sequence[ChangeSet]) -> Iterator[None]:
    """Add to whatever is raised in a block how much is written by then, if anything is."""
    try:
        yield
    except Exception as fault:
        if written:
            changes = sum(map(len, written))
            fault.add_note(f"batches with {changes} changes are written")
            if isinstance(fault, TopoError):
                fault.written = changes
        raise


def joined(parts: Iterable[ChangeSet]) -> ChangeSet:
    """Return changes that were made one after the other as one."""
    found = tuple(parts)
    # The batches of one attempt share one mapping.
    distinct = {id(part.uuids): part.uuids for part in found}.values()
    uuids = {key: uuid for mapping in distinct for key, uuid in mapping.items()}
    return ChangeSet(tuple(chain.from_iterable(found)), uuids)
