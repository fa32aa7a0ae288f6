"""What every backend promises (`backends/contract.py`), as tests. Subclass `NbContract` and give it its fixtures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from contract_base import (
    LIMIT_S,
    MANY,
    NETWORK,
    NEW_UUID,
    OTHER_UUID,
    PORT_UUID,
    SHORT_S,
    Other,
    always,
    decide,
    mutate,
    names,
    port,
    wanted,
)
from contract_batches import Batches
from contract_races import OtherWriters

from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.diff import ChangeSet, Delete, Insert, apply_changes, invert
from ovnk8s_topo.errors import BackendUnavailable, ConflictError, NotReached, RowError
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import (
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Meter,
    MeterBand,
    Row,
)

__all__ = ["NbContract", "Other"]


class NbContract(OtherWriters, Batches):
    """The promises. Subclasses override `nb` and `other`, and `sent` if their backend does not count by itself."""

    # --- reading and writing ---

    def test_an_empty_database_has_no_rows(self, nb: NbBackend) -> None:
        assert dict(self.read(nb).rows) == {}

    def test_every_kind_of_row_comes_back_as_written(self, nb: NbBackend) -> None:
        committed = self.reconcile(nb, MANY)
        assert committed.attempts == 1
        found = {stored.key: stored.row for stored in self.read(nb).rows.values()}
        assert found == dict(wanted(MANY))

    def test_a_writer_reads_its_own_writes_at_once(self, nb: NbBackend) -> None:
        for number in range(20):
            rows: list[Row] = [LogicalSwitch(name=f"s{i}") for i in range(number + 1)]
            self.reconcile(nb, rows)
            assert len(self.read(nb).rows) == number + 1

    def test_the_database_is_as_the_change_set_says(self, nb: NbBackend) -> None:
        before = self.read(nb)
        for rows in (MANY, NETWORK, []):
            committed = self.reconcile(nb, rows, prune=True)
            said = apply_changes(before, committed.changes)
            before = self.read(nb)
            assert dict(before.rows) == dict(said.rows)

    def test_an_inverted_change_set_undoes(self, nb: NbBackend) -> None:
        self.reconcile(nb, NETWORK)
        before = self.read(nb)
        changed: list[Row] = [LogicalSwitch(name="s", other_config={"subnet": "10.0.0.0/8"}), port("p1", type="router")]
        committed = self.reconcile(nb, [*changed, LogicalSwitch(name="t"), port("p3", "t")], prune=True)
        nb.commit(lambda _: invert(committed.changes), timeout_s=LIMIT_S)
        assert dict(self.read(nb).rows) == dict(before.rows)

    def test_the_second_apply_sends_nothing(self, nb: NbBackend, sent: Callable[[], int]) -> None:
        self.reconcile(nb, MANY)
        before = sent()
        committed = self.reconcile(nb, MANY, prune=True)
        assert (committed.changes.is_empty, committed.attempts, committed.nb_cfg) == (True, 1, 0)
        assert sent() == before

    def test_an_empty_change_set_sends_nothing_even_with_confirm(
        self, nb: NbBackend, other: Other, sent: Callable[[], int]
    ) -> None:
        numbers = self.select(other, "NB_Global", "nb_cfg")
        before = sent()
        committed = nb.commit(always(), timeout_s=LIMIT_S, confirm=True)
        assert committed.nb_cfg == 0
        assert sent() == before
        assert self.select(other, "NB_Global", "nb_cfg") == numbers

    def test_what_decide_raises_goes_to_the_caller(self, nb: NbBackend, other: Other) -> None:
        def refuse(_: Snapshot) -> ChangeSet:
            raise LookupError("no")

        with pytest.raises(LookupError, match="no"):
            nb.commit(refuse, timeout_s=LIMIT_S)
        assert self.select(other, "Logical_Switch", "name") == []
        self.reconcile(nb, NETWORK)

    def test_all_or_nothing(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, NETWORK)
        changes = (
            Insert(OTHER_UUID, LogicalSwitch(name="t")),
            Insert(PORT_UUID, port("p1", "t"), (OTHER_UUID,)),  # the name is taken: seen at the end only
        )
        with pytest.raises(ConflictError):
            nb.commit(always(*changes), timeout_s=SHORT_S)
        assert self.select(other, "Logical_Switch", "name") == [["s"]]

    def test_a_closed_backend_refuses(self, nb: NbBackend) -> None:
        with nb:
            self.reconcile(nb, NETWORK)
        nb.close()
        with pytest.raises(BackendUnavailable):
            nb.snapshot(timeout_s=SHORT_S)
        with pytest.raises(BackendUnavailable):
            nb.commit(decide([]), timeout_s=SHORT_S)

    # --- rows that the schema does not allow ---

    @pytest.mark.parametrize(
        "rows",
        [
            [LogicalSwitch(name="s"), port(tag_request=9999)],
            [LogicalSwitch(name="s"), port(tag_request=-1)],
            [LogicalRouter(name="r"), LogicalRouterPort(name="rp", parent="r")],
            [MeterBand(rate=0), Meter(name="m", bands=frozenset({"drop 0 0"}))],
            [MeterBand(), Meter(name="m", unit="furlongs", bands=frozenset({"drop 1 0"}))],
            [LogicalSwitch(name="s", load_balancer_group=frozenset({"nobody"}))],
            [LogicalRouter(name="r", copp="nobody")],
        ],
        ids=["tag above", "tag below", "no networks", "rate", "enumeration", "strong reference", "weak reference"],
    )
    def test_a_bad_row_is_refused_before_it_is_sent(
        self, nb: NbBackend, other: Other, sent: Callable[[], int], rows: list[Row]
    ) -> None:
        before = sent()
        with pytest.raises(RowError):
            self.reconcile(nb, [LogicalSwitch(name="good"), *rows])
        assert sent() == before
        assert self.select(other, "Logical_Switch", "name") == []

    # --- parents and children ---

    def test_a_child_moves_from_one_parent_to_another(self, nb: NbBackend) -> None:
        both: list[Row] = [LogicalSwitch(name="s"), LogicalSwitch(name="t")]
        self.reconcile(nb, [*both, port("p", "s"), port("q", "s")])
        before = self.one(nb, "Logical_Switch_Port", "p").uuid
        self.reconcile(nb, [*both, port("p", "t"), port("q", "s")])
        moved, target = self.one(nb, "Logical_Switch_Port", "p"), self.one(nb, "Logical_Switch", "t")
        assert (moved.uuid, moved.row.get("parent"), moved.holders) == (before, "t", (target.uuid,))

    def test_a_child_in_two_parents_gets_one(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, [LogicalSwitch(name="s"), LogicalSwitch(name="t"), port("p", "s")])
        uuid, wrong = self.one(nb, "Logical_Switch_Port", "p").uuid, self.one(nb, "Logical_Switch", "t").uuid
        self.do(other, mutate("Logical_Switch", wrong, "ports", "insert", ["uuid", uuid]))
        self.read_until(nb, lambda actual: len(actual.rows[uuid].holders) == 2)
        self.reconcile(nb, [LogicalSwitch(name="s"), LogicalSwitch(name="t"), port("p", "s")])
        right = self.one(nb, "Logical_Switch", "s").uuid
        assert self.one(nb, "Logical_Switch_Port", "p").holders == (right,)

    def test_a_child_moves_while_its_parent_goes(self, nb: NbBackend) -> None:
        self.reconcile(nb, [LogicalSwitch(name="s"), port("p", "s"), port("q", "s")])
        self.reconcile(nb, [LogicalSwitch(name="t"), port("p", "t")], prune=True)
        actual = self.read(nb)
        assert {s.key: s.row for s in actual.rows.values()} == dict(wanted([LogicalSwitch(name="t"), port("p", "t")]))

    def test_a_switch_goes_with_its_ports(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, MANY)
        committed = self.reconcile(nb, [], prune=True)
        assert len(committed.changes.of(Delete)) == 7
        for table in ("Logical_Switch", "Logical_Switch_Port", "Logical_Router", "Logical_Router_Port"):
            assert self.select(other, table, "name") == []
        assert self.select(other, "Gateway_Chassis", "name") == []

    def test_deleting_a_parent_alone_takes_its_children_along(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, MANY)
        nb.commit(always(Delete(self.one(nb, "Logical_Router", "r"))), timeout_s=LIMIT_S)
        assert self.select(other, "Gateway_Chassis", "name") == []
        assert names(self.read(nb), "Logical_Router_Port") == []

    def test_a_row_replaces_another_of_its_name(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, [LogicalSwitch(name="s"), port("p", "s")])
        switch, old = self.one(nb, "Logical_Switch", "s"), self.one(nb, "Logical_Switch_Port", "p")
        assert isinstance(old.row, LogicalSwitchPort)
        fresh = (
            Insert(NEW_UUID, switch.row),
            Insert(PORT_UUID, replace(old.row, type="router"), (NEW_UUID,)),
        )
        nb.commit(always(*fresh, Delete(old), Delete(switch)), timeout_s=LIMIT_S)
        assert sorted(self.read(nb).rows) == [NEW_UUID, PORT_UUID]
        assert self.select(other, "Logical_Switch_Port", "name", "type") == [["p", "router"]]

    def test_a_uuid_comes_again_after_its_row_has_gone(self, nb: NbBackend) -> None:
        self.reconcile(nb, NETWORK)
        before = self.read(nb)
        self.reconcile(nb, [], prune=True)
        self.reconcile(nb, NETWORK)
        assert dict(self.read(nb).rows) == dict(before.rows)

    # --- confirmation ---

    def test_a_confirmation_counts_up_and_is_waited_for(self, nb: NbBackend, other: Other) -> None:
        first = nb.commit(decide(NETWORK), timeout_s=LIMIT_S, confirm=True)
        second = nb.commit(decide(MANY, prune=True), timeout_s=LIMIT_S, confirm=True)
        assert (first.nb_cfg >= 1, second.nb_cfg) == (True, first.nb_cfg + 1)
        assert self.select(other, "NB_Global", "nb_cfg") == [[second.nb_cfg]]
        assert self.read(nb).nb_cfg == second.nb_cfg
        # What northd and the chassis do, where there are none.
        numbers = {"sb_cfg": second.nb_cfg, "hv_cfg": second.nb_cfg}
        self.do(other, {"op": "update", "table": "NB_Global", "where": [], "row": numbers})
        nb.wait("sb", second.nb_cfg, timeout_s=LIMIT_S)
        nb.wait("hv", first.nb_cfg, timeout_s=LIMIT_S)
        with pytest.raises(NotReached):
            nb.wait("sb", second.nb_cfg + 1, timeout_s=SHORT_S)

    def test_a_commit_without_confirmation_raises_no_number(self, nb: NbBackend, other: Other) -> None:
        before = self.select(other, "NB_Global", "nb_cfg")
        assert self.reconcile(nb, NETWORK).nb_cfg == 0
        assert self.select(other, "NB_Global", "nb_cfg") == before
