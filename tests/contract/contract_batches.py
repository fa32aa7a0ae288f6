"""Promises about commits in batches: each is all or nothing, what is through stays, and the caller is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from contract_base import (
    LIMIT_S,
    OTHER_UUID,
    PORT_UUID,
    SHORT_S,
    ContractBase,
    Other,
    after,
    always,
    decide,
    insert,
    names,
    owned,
    port,
    wanted,
)

from ovnk8s_topo.backends.contract import Committed, Decide, NbBackend
from ovnk8s_topo.diff import ChangeSet, Insert, apply_changes
from ovnk8s_topo.errors import ConflictError, RowError
from ovnk8s_topo.nb.ownership import uuid_of
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import Key, LoadBalancerGroup, LogicalSwitch, Row

SWITCHES: list[Row] = [LogicalSwitch(name=f"s{number:02}") for number in range(12)]
TREE: list[Row] = [LogicalSwitch(name="s"), port("p1"), port("p2"), LogicalSwitch(name="t"), port("p3", "t")]


def one_by_one(changes: ChangeSet) -> Iterator[ChangeSet]:
    for change in changes:
        yield ChangeSet((change,), changes.uuids)


def with_empty_ones(changes: ChangeSet) -> Iterator[ChangeSet]:
    for part in one_by_one(changes):
        yield part
        yield ChangeSet()
    yield ChangeSet()


def keys(changes: ChangeSet) -> list[str]:
    return [change.key.name for change in changes]


def make_switch(name: str) -> list[dict[str, object]]:
    """Return what another program of the same owner would send."""
    return [insert("Logical_Switch", uuid_of("me", Key("Logical_Switch", name)), name=name, external_ids=owned())]


class Batches(ContractBase):
    """Commits that are cut."""

    def in_batches(self, nb: NbBackend, deciding: Decide, *, confirm: bool = False) -> Committed:
        return nb.commit(deciding, timeout_s=LIMIT_S, confirm=confirm, cut=one_by_one)

    def test_batches_make_the_whole_in_their_order(self, nb: NbBackend, sent: Callable[[], int]) -> None:
        before, said = self.read(nb), decide(TREE)(self.read(nb))
        count = sent()
        committed = self.in_batches(nb, decide(TREE))
        assert sent() == count + len(TREE)
        assert (committed.attempts, committed.changes) == (1, said)
        assert {stored.key: stored.row for stored in self.read(nb).rows.values()} == dict(wanted(TREE))
        assert dict(self.read(nb).rows) == dict(apply_changes(before, committed.changes).rows)

    def test_changes_and_deletions_in_batches(self, nb: NbBackend) -> None:
        self.reconcile(nb, TREE)
        before = self.read(nb)
        changed: list[Row] = [LogicalSwitch(name="s", other_config={"subnet": "10.0.0.0/8"}), port("p3", "s")]
        committed = self.in_batches(nb, decide(changed, prune=True))
        assert {stored.key: stored.row for stored in self.read(nb).rows.values()} == dict(wanted(changed))
        assert dict(self.read(nb).rows) == dict(apply_changes(before, committed.changes).rows)

    def test_the_second_apply_in_batches_sends_nothing(self, nb: NbBackend, sent: Callable[[], int]) -> None:
        self.in_batches(nb, decide(TREE))
        before = sent()
        committed = self.in_batches(nb, decide(TREE, prune=True), confirm=True)
        assert (committed.changes.is_empty, committed.attempts, committed.nb_cfg) == (True, 1, 0)
        assert sent() == before

    def test_empty_batches_are_not_sent(self, nb: NbBackend, other: Other, sent: Callable[[], int]) -> None:
        (before,) = self.select(other, "NB_Global", "nb_cfg") or [[0]]
        count = sent()
        nothing = nb.commit(always(), timeout_s=LIMIT_S, confirm=True, cut=with_empty_ones)
        assert (nothing.changes.is_empty, nothing.nb_cfg, sent()) == (True, 0, count)
        committed = nb.commit(decide(TREE), timeout_s=LIMIT_S, confirm=True, cut=with_empty_ones)
        assert sent() == count + len(TREE)
        assert self.select(other, "NB_Global", "nb_cfg") == [[committed.nb_cfg]] == [[before[0] + 1]]

    def test_batches_ask_once_for_a_confirmation(self, nb: NbBackend, other: Other) -> None:
        (before,) = self.select(other, "NB_Global", "nb_cfg") or [[0]]
        committed = self.in_batches(nb, decide(SWITCHES), confirm=True)
        assert self.select(other, "NB_Global", "nb_cfg") == [[committed.nb_cfg]] == [[before[0] + 1]]
        assert self.read(nb).nb_cfg == committed.nb_cfg

    @pytest.mark.parametrize("taken", [0, 5, 11])
    def test_a_batch_that_somebody_else_has_made(self, nb: NbBackend, other: Other, taken: int) -> None:
        """The others get through, and the result names those that we have made, each once."""
        name = f"s{taken:02}"
        deciding = after(lambda: self.do(other, *make_switch(name)), decide(SWITCHES))
        committed = self.in_batches(nb, deciding, confirm=True)
        assert committed.attempts == 2
        assert sorted(keys(committed.changes)) == [f"s{number:02}" for number in range(12) if number != taken]
        assert self.select(other, "Logical_Switch", "name") == [[f"s{number:02}"] for number in range(12)]
        # All that was written is written before this number.
        assert committed.nb_cfg > 0
        assert self.select(other, "NB_Global", "nb_cfg") == [[committed.nb_cfg]]

    def test_what_a_refused_batch_leads_to_is_no_refusal_of_its_own(self, nb: NbBackend, other: Other) -> None:
        """Rows that refer to one in a refused batch are refused, too; that is one race and not seven."""
        group = frozenset({"lbg"})
        rows: list[Row] = [LoadBalancerGroup(name="lbg"), LogicalSwitch(name="first")]
        rows += [LogicalSwitch(name=f"s{number}", load_balancer_group=group) for number in range(7)]

        def first_two_together(changes: ChangeSet) -> Iterator[ChangeSet]:
            needed = tuple(change for change in changes if change.key.name in ("lbg", "first"))
            if needed:
                yield ChangeSet(needed, changes.uuids)
            rest = tuple(change for change in changes if change not in needed)
            yield from one_by_one(ChangeSet(rest, changes.uuids))

        deciding = after(lambda: self.do(other, *make_switch("first")), decide(rows))
        committed = nb.commit(deciding, timeout_s=LIMIT_S, cut=first_two_together)
        assert committed.attempts == 2
        assert sorted(keys(committed.changes)) == ["lbg", *(f"s{number}" for number in range(7))]
        assert {stored.key: stored.row for stored in self.read(nb).rows.values()} == dict(wanted(rows))

    def test_what_decide_raises_when_some_batches_are_written(self, nb: NbBackend, other: Other) -> None:
        asked: list[Snapshot] = []

        def deciding(actual: Snapshot) -> ChangeSet:
            asked.append(actual)
            if len(asked) > 1:
                raise LookupError("no")
            return decide(SWITCHES)(actual)

        with pytest.raises(LookupError, match="no") as raised:
            self.in_batches(nb, after(lambda: self.do(other, *make_switch("s03")), deciding))
        there = len(names(self.read(nb), "Logical_Switch"))
        assert there > 3
        assert raised.value.__notes__ == [f"batches with {there - 1} changes are written"]

    def test_batches_that_are_refused_until_the_deadline(self, nb: NbBackend, other: Other) -> None:
        hopeless = Insert(PORT_UUID, port("p"), (OTHER_UUID,))
        first = decide([LogicalSwitch(name="s")])

        def deciding(actual: Snapshot) -> ChangeSet:
            return ChangeSet((*first(actual), hopeless))

        with pytest.raises(ConflictError) as raised:
            nb.commit(deciding, timeout_s=SHORT_S, cut=one_by_one)
        assert raised.value.__notes__ == ["batches with 1 changes are written"]
        assert raised.value.written == 1
        assert self.select(other, "Logical_Switch", "name") == [["s"]]
        assert self.select(other, "Logical_Switch_Port", "name") == []

    @pytest.mark.parametrize(
        "bad",
        [port("bad", "s00", tag_request=9999), LogicalSwitch(name="z", load_balancer_group=frozenset({"nobody"}))],
        ids=["value", "reference"],
    )
    def test_a_bad_row_in_the_last_batch_is_found_before_the_first_is_sent(
        self, nb: NbBackend, other: Other, sent: Callable[[], int], bad: Row
    ) -> None:
        before = sent()
        with pytest.raises(RowError):
            self.in_batches(nb, decide([*SWITCHES, bad]))
        assert sent() == before
        assert self.select(other, "Logical_Switch", "name") == []
