"""Promises about other writers: they may be faster, and what they wrote stays."""

from __future__ import annotations

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
    THIRD_UUID,
    ContractBase,
    Other,
    after,
    always,
    decide,
    delete,
    insert,
    mutate,
    names,
    owned,
    port,
    update,
    wanted,
)

from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.diff import Assign, ChangeSet, Insert, Update
from ovnk8s_topo.errors import ConflictError, OwnershipError
from ovnk8s_topo.nb.ownership import uuid_of
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import (
    OWNER_KEY,
    Copp,
    Key,
    LogicalRouter,
    LogicalSwitch,
    MeterBand,
    Row,
)


class OtherWriters(ContractBase):
    """Another writer acts before, after, or in the middle."""

    # --- other writers are faster ---

    @pytest.mark.parametrize("row", [LogicalSwitch(name="x"), LogicalRouter(name="x")], ids=["switch", "router"])
    @pytest.mark.parametrize("owner", ["me", "them"])
    def test_a_name_without_an_index_is_not_made_twice(self, nb: NbBackend, other: Other, row: Row, owner: str) -> None:
        table = row.TABLE.name
        meddle = lambda: self.do(other, insert(table, OTHER_UUID, name="x", external_ids=owned(owner)))  # noqa: E731
        deciding = after(meddle, decide([row]))
        if owner == "me":
            assert nb.commit(deciding, timeout_s=LIMIT_S).attempts == 2
        else:
            with pytest.raises(OwnershipError):
                nb.commit(deciding, timeout_s=LIMIT_S)
        assert self.select(other, table, "_uuid") == [[["uuid", OTHER_UUID]]]

    def test_two_writers_of_one_owner_make_one_row(self, nb: NbBackend, other: Other) -> None:
        uuid = uuid_of("me", Key("Logical_Switch", "s"))
        meddle = lambda: self.do(other, insert("Logical_Switch", uuid, name="s", external_ids=owned()))  # noqa: E731
        committed = nb.commit(after(meddle, decide(NETWORK)), timeout_s=LIMIT_S)
        assert committed.attempts == 2
        assert self.select(other, "Logical_Switch", "name") == [["s"]]
        assert names(self.read(nb), "Logical_Switch_Port") == ["p1", "p2"]

    def test_what_is_done_meanwhile_is_done_in_each_attempt_that_sends(self, nb: NbBackend, other: Other) -> None:
        log: list[str] = []
        uuid = uuid_of("me", Key("Logical_Switch", "s"))
        meddle = lambda: self.do(other, insert("Logical_Switch", uuid, name="s", external_ids=owned()))  # noqa: E731
        deciding = after(meddle, decide(NETWORK))

        def noted(actual: Snapshot) -> ChangeSet:
            log.append("decided")
            return deciding(actual)

        for _ in range(2):
            nb.commit(noted, timeout_s=LIMIT_S, meanwhile=lambda: log.append("sent"))
        assert log == ["decided", "sent", "decided", "sent", "decided"]

    def test_the_state_that_a_commit_has_led_to(self, nb: NbBackend, other: Other) -> None:
        nb.commit(decide(NETWORK), timeout_s=LIMIT_S)
        alone = nb.commit(decide([*NETWORK, port("p3")]), timeout_s=LIMIT_S)
        assert alone.shown_at in (0, nb.snapshot(timeout_s=LIMIT_S).serial)

        def meddle() -> None:
            self.do(other, insert("Logical_Switch", OTHER_UUID, name="t"))
            nb.snapshot(timeout_s=LIMIT_S)

        beside_others = nb.commit(after(meddle, decide([*NETWORK, port("p4")])), timeout_s=LIMIT_S)
        assert (beside_others.attempts, beside_others.shown_at) == (1, 0)
        assert nb.commit(decide(NETWORK), timeout_s=LIMIT_S).shown_at == 0

    def test_an_indexed_name_that_somebody_takes_first(self, nb: NbBackend, other: Other) -> None:
        taken = [
            insert("Logical_Switch_Port", PORT_UUID, name="p1"),
            insert("Logical_Switch", OTHER_UUID, name="theirs", ports=["uuid", PORT_UUID]),
        ]
        with pytest.raises(OwnershipError, match="p1"):
            nb.commit(after(lambda: self.do(other, *taken), decide(NETWORK)), timeout_s=LIMIT_S)
        assert self.select(other, "Logical_Switch", "name") == [["theirs"]]

    def test_a_row_that_vanishes_before_its_update(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, NETWORK)
        switch = self.one(nb, "Logical_Switch", "s").uuid
        changed = [LogicalSwitch(name="s", other_config={"subnet": "10.0.0.0/24"}), *NETWORK[1:]]
        deciding = after(lambda: self.do(other, delete("Logical_Switch", switch)), decide(changed))
        assert nb.commit(deciding, timeout_s=LIMIT_S).attempts == 2
        assert {s.key: s.row for s in self.read(nb).rows.values()} == dict(wanted(changed))

    def test_a_parent_that_vanishes_before_its_child_comes(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, NETWORK)
        switch = self.one(nb, "Logical_Switch", "s").uuid
        grown = [*NETWORK, port("p3")]
        deciding = after(lambda: self.do(other, delete("Logical_Switch", switch)), decide(grown))
        assert nb.commit(deciding, timeout_s=LIMIT_S).attempts == 2
        assert {s.key: s.row for s in self.read(nb).rows.values()} == dict(wanted(grown))

    def test_a_child_of_a_parent_that_is_not_there(self, nb: NbBackend, other: Other) -> None:
        with pytest.raises(ConflictError):
            nb.commit(always(Insert(PORT_UUID, port(), (OTHER_UUID,))), timeout_s=SHORT_S)
        assert self.select(other, "Logical_Switch_Port", "name") == []

    def test_guards_that_fail_until_the_deadline(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, NETWORK)
        switch = self.one(nb, "Logical_Switch", "s")
        assert isinstance(switch.row, LogicalSwitch)
        stale = Update(switch._replace(row=replace(switch.row, name="not s")), (Assign("name", "not s", "t"),))
        with pytest.raises(ConflictError):
            nb.commit(always(stale), timeout_s=SHORT_S)
        assert self.select(other, "Logical_Switch", "name") == [["s"]]

    def test_a_row_with_another_label_is_not_deleted(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, NETWORK)
        switch = self.one(nb, "Logical_Switch", "s").uuid
        ports = [stored.uuid for stored in self.read(nb).table("Logical_Switch_Port")]
        relabel = [update("Logical_Switch", switch, external_ids=owned("them"))]
        relabel += [update("Logical_Switch_Port", uuid, external_ids=owned("them")) for uuid in ports]
        committed = nb.commit(after(lambda: self.do(other, *relabel), decide([], prune=True)), timeout_s=LIMIT_S)
        assert (committed.attempts, committed.changes.is_empty) == (2, True)
        assert self.select(other, "Logical_Switch", "name", "external_ids") == [["s", owned("them")]]
        assert len(self.select(other, "Logical_Switch_Port", "name")) == 2

    def test_a_row_with_another_label_is_not_updated(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, [LogicalSwitch(name="s")])
        switch = self.one(nb, "Logical_Switch", "s").uuid
        relabel = lambda: self.do(other, update("Logical_Switch", switch, external_ids=owned("them")))  # noqa: E731
        changed: list[Row] = [LogicalSwitch(name="s", other_config={"subnet": "10.0.0.0/24"})]
        with pytest.raises(OwnershipError):
            nb.commit(after(relabel, decide(changed)), timeout_s=LIMIT_S)
        assert self.select(other, "Logical_Switch", "other_config") == [[["map", []]]]

    @pytest.mark.parametrize("prune", [True, False])
    def test_a_row_that_somebody_renamed_is_made_anew(self, nb: NbBackend, other: Other, prune: bool) -> None:
        self.reconcile(nb, NETWORK)
        switch = self.one(nb, "Logical_Switch", "s").uuid
        self.do(other, update("Logical_Switch", switch, name="renamed"))
        self.read_until(nb, lambda actual: names(actual, "Logical_Switch") == ["renamed"])
        self.reconcile(nb, NETWORK, prune=prune)
        assert names(self.read(nb), "Logical_Switch") == (["s"] if prune else ["renamed", "s"])
        assert {s.row.get("parent") for s in self.read(nb).table("Logical_Switch_Port")} == {"s"}

    # --- what others wrote stays ---

    def test_foreign_keys_in_maps_survive_even_a_race(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, [LogicalSwitch(name="s", other_config={"subnet": "10.0.0.0/24"})])
        switch = self.one(nb, "Logical_Switch", "s").uuid
        theirs = ["map", [["mcast_snoop", "true"]]]
        self.do(other, mutate("Logical_Switch", switch, "other_config", "insert", theirs))
        self.do(other, mutate("Logical_Switch", switch, "external_ids", "insert", ["map", [["before", "1"]]]))
        raced = mutate("Logical_Switch", switch, "external_ids", "insert", ["map", [["raced", "1"]]])
        changed: list[Row] = [LogicalSwitch(name="s", other_config={"exclude_ips": "10.0.0.1"})]
        nb.commit(after(lambda: self.do(other, raced), decide(changed)), timeout_s=LIMIT_S)
        assert self.select(other, "Logical_Switch", "other_config", "external_ids") == [
            [
                ["map", [["exclude_ips", "10.0.0.1"], ["mcast_snoop", "true"]]],
                ["map", sorted([["before", "1"], [OWNER_KEY, "me"], ["raced", "1"]])],
            ]
        ]

    def test_foreign_ports_in_our_switch_survive_even_a_race(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, NETWORK)
        switch = self.one(nb, "Logical_Switch", "s").uuid
        theirs = [
            insert("Logical_Switch_Port", PORT_UUID, name="theirs"),
            mutate("Logical_Switch", switch, "ports", "insert", ["uuid", PORT_UUID]),
        ]
        deciding = after(lambda: self.do(other, *theirs), decide([*NETWORK[:1], port("p3")], prune=True))
        nb.commit(deciding, timeout_s=LIMIT_S)
        assert self.select(other, "Logical_Switch_Port", "name") == [["p3"], ["theirs"]]

    def test_rows_of_others_are_read_and_left_alone(self, nb: NbBackend, other: Other) -> None:
        self.do(
            other,
            insert("Logical_Switch_Port", PORT_UUID, name="theirs", tag=5),
            insert("Logical_Switch", OTHER_UUID, name="theirs", ports=["uuid", PORT_UUID]),
        )
        actual = self.read_until(nb, lambda actual: len(actual.rows) == 2)
        assert actual.rows[PORT_UUID] == Stored(PORT_UUID, port("theirs", "theirs", tag=5), (OTHER_UUID,))
        self.reconcile(nb, NETWORK, prune=True)
        self.reconcile(nb, [], prune=True)
        assert dict(self.read(nb).rows) == dict(actual.rows)
        with pytest.raises(OwnershipError):
            self.reconcile(nb, [LogicalSwitch(name="theirs")])

    def test_rows_without_an_owner_can_be_adopted(self, nb: NbBackend, other: Other) -> None:
        self.do(other, insert("Logical_Switch", OTHER_UUID, name="s", external_ids=["map", [["a", "b"]]]))
        self.read_until(nb, lambda actual: len(actual.rows) == 1)
        self.reconcile(nb, [LogicalSwitch(name="s")], adopt=True)
        expected = [[["uuid", OTHER_UUID], ["map", [["a", "b"], [OWNER_KEY, "me"]]]]]
        assert self.select(other, "Logical_Switch", "_uuid", "external_ids") == expected

    def test_shared_rows_are_used_as_they_are(self, nb: NbBackend, other: Other) -> None:
        self.do(
            other,
            insert("Meter_Band", PORT_UUID, action="drop", rate=7),
            insert("Meter", OTHER_UUID, name="arp", unit="kbps", bands=["uuid", PORT_UUID]),
            insert("Copp", NEW_UUID, name="copp", meters=["map", [["arp", "mine"], ["x", "y"]]]),
        )
        self.read_until(nb, lambda actual: len(actual.rows) == 3)
        self.reconcile(nb, [MeterBand(rate=25), *MANY[1:2], Copp(name="copp", meters={"arp": "arp", "bfd": "bfd"})])
        assert self.select(other, "Meter", "name", "unit", "bands") == [["arp", "kbps", ["uuid", PORT_UUID]]]
        expected = [[["map", [["arp", "mine"], ["bfd", "bfd"], ["x", "y"]]]]]
        assert self.select(other, "Copp", "meters") == expected
        self.reconcile(nb, [], prune=True)
        assert len(self.select(other, "Meter", "name")) == 1

    def test_faults_of_others_that_ovsdb_does_not_catch_are_read(self, nb: NbBackend, other: Other) -> None:
        self.do(
            other,
            insert("Logical_Switch_Port", PORT_UUID, name="p"),
            insert("Logical_Switch", OTHER_UUID, name="same", ports=["uuid", PORT_UUID]),
            insert("Logical_Switch", NEW_UUID, name="same", ports=["uuid", PORT_UUID]),
            insert("Logical_Switch", THIRD_UUID, name="other"),
        )
        actual = self.read_until(nb, lambda actual: len(actual.rows) == 4)
        assert [s.uuid for s in actual.named(Key("Logical_Switch", "same"))] == [NEW_UUID, OTHER_UUID]
        assert actual.rows[PORT_UUID].holders == (NEW_UUID, OTHER_UUID)
        assert [s.uuid for s in actual.children(OTHER_UUID)] == [PORT_UUID]

    def test_names_follow_when_others_rename(self, nb: NbBackend, other: Other) -> None:
        self.reconcile(nb, MANY)
        switch, group = self.one(nb, "Logical_Switch", "s").uuid, self.one(nb, "Load_Balancer_Group", "lbg").uuid
        band, copp = self.one(nb, "Meter_Band", "drop 25 0").uuid, self.one(nb, "Copp", "copp").uuid
        self.do(other, update("Logical_Switch", switch, name="new"))
        self.do(other, update("Load_Balancer_Group", group, name="new"), update("Meter_Band", band, rate=9))
        self.do(other, delete("Copp", copp))
        actual = self.read_until(nb, lambda actual: not names(actual, "Copp"))
        assert {s.row.get("parent") for s in actual.table("Logical_Switch_Port")} == {"new"}
        assert actual.rows[switch].row.get("load_balancer_group") == frozenset({"new"})
        assert [s.row.get("bands") for s in actual.table("Meter")] == [frozenset({"drop 9 0"})]
        assert [s.row.get("copp") for s in actual.table("Logical_Router")] == [None]
