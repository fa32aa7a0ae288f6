from __future__ import annotations

from typing import Any

import pytest

from ovnk8s_topo.diff import (
    Assign,
    Change,
    ChangeSet,
    Delete,
    Insert,
    Members,
    Move,
    Part,
    PutKeys,
    Rules,
    Update,
    apply_changes,
    diff,
    invert,
)
from ovnk8s_topo.errors import OwnershipError
from ovnk8s_topo.nb.ownership import marked, uuid_of
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import (
    OWNER_KEY,
    Copp,
    GatewayChassis,
    Key,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Meter,
    MeterBand,
    Row,
)

MINE = {OWNER_KEY: "me"}
THEIRS = {OWNER_KEY: "them"}


def switch(name: str = "s", **columns: Any) -> LogicalSwitch:
    return LogicalSwitch(name=name, **{"external_ids": MINE, **columns})


def port(name: str = "p", parent: str = "s", **columns: Any) -> LogicalSwitchPort:
    return LogicalSwitchPort(name=name, parent=parent, **{"external_ids": MINE, **columns})


def group(name: str = "g", owner: str = "me") -> Stored:
    return Stored(uuid_of(owner, Key("Load_Balancer_Group", name)), LoadBalancerGroup(name=name))


def changes(desired: list[Row], *actual: Stored, **rules: Any) -> tuple[Change, ...]:
    return diff(RowSet(desired), Snapshot.of(actual), Rules(owner="me", **rules)).changes


def parts(desired: Row, actual: Row) -> tuple[Part, ...]:
    """What makes `actual`, a row without parent, into `desired`."""
    (change,) = changes([desired], Stored("U", actual)) or (None,)
    return change.parts if isinstance(change, Update) else ()


def refused(desired: list[Row], *actual: Stored, **rules: Any) -> str:
    with pytest.raises(OwnershipError) as refusal:
        changes(desired, *actual, **rules)
    return str(refusal.value)


# --- inserts ---


def test_missing_rows_are_inserted_parents_first_with_uuids_that_anybody_can_tell() -> None:
    rows: list[Row] = [port(), switch(), GatewayChassis(name="g", parent="rp", external_ids=MINE)]
    rows += [LogicalRouterPort(name="rp", parent="r", external_ids=MINE), LogicalRouter(name="r", external_ids=MINE)]
    found = changes(rows)
    assert [str(change.key) for change in found] == [
        "Logical_Switch s",
        "Logical_Router r",
        "Logical_Switch_Port p",
        "Logical_Router_Port rp",
        "Gateway_Chassis g",
    ]
    assert all(isinstance(change, Insert) and change.uuid == uuid_of("me", change.key) for change in found)
    assert [change.holders for change in found if isinstance(change, Insert)] == [
        (),
        (),
        (uuid_of("me", Key("Logical_Switch", "s")),),
        (uuid_of("me", Key("Logical_Router", "r")),),
        (uuid_of("me", Key("Logical_Router_Port", "rp")),),
    ]


def test_order_of_input_does_not_matter() -> None:
    rows: list[Row] = [switch(), port("b"), port("a"), switch("t")]
    assert changes(rows) == changes(rows[::-1])


def test_a_child_goes_into_the_parent_that_is_there() -> None:
    (change,) = changes([switch(), port()], Stored("S", switch()))
    assert isinstance(change, Insert)
    assert change.holders == ("S",)


def test_a_child_of_nothing_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="wants to be in Logical_Switch s, which is not wanted"):
        changes([port()])


def test_the_uuid_of_a_renamed_row_is_not_taken_again() -> None:
    renamed = Stored(uuid_of("me", Key("Logical_Switch", "s")), switch("renamed"))
    inserted, deleted = changes([switch()], renamed, prune=True)
    assert isinstance(inserted, Insert)
    assert inserted.uuid != renamed.uuid
    assert (inserted.key.name, deleted) == ("s", Delete(renamed))
    assert changes([switch()], renamed) == (inserted,)


# --- updates ---

IDS = {**MINE, "k8s.ovn.org/network": "blue"}


@pytest.mark.parametrize(
    ("desired", "actual", "expected"),
    [
        (switch(), switch(), ()),
        (
            switch(other_config={"subnet": "a"}),
            switch(other_config={"subnet": "b", "exclude_ips": "c", "theirs": "d"}),
            (PutKeys("other_config", {"exclude_ips": "c", "subnet": "b"}, {"exclude_ips": None, "subnet": "a"}),),
        ),
        (switch(), switch(external_ids={**MINE, "theirs": "x"}), ()),
        (
            switch(external_ids=IDS),
            switch(),
            (PutKeys("external_ids", {"k8s.ovn.org/network": None}, {"k8s.ovn.org/network": "blue"}),),
        ),
        (
            switch(external_ids={**MINE, "new": "key"}),  # not declared, but wanted
            switch(),
            (PutKeys("external_ids", {"new": None}, {"new": "key"}),),
        ),
        (switch(), switch(acls=frozenset({"A"})), ()),
    ],
    ids=["equal", "map", "foreign key", "own key", "undeclared key", "observed"],
)
def test_updates_of_maps(desired: Row, actual: Row, expected: tuple[Part, ...]) -> None:
    assert parts(desired, actual) == expected


def port_parts(desired: LogicalSwitchPort, actual: LogicalSwitchPort) -> tuple[Part, ...]:
    found = changes([switch(), desired], Stored("S", switch()), Stored("P", actual, ("S",)))
    return found[0].parts if found and isinstance(found[0], Update) else ()


def test_scalars_and_sets_are_ours_as_a_whole() -> None:
    addresses, before = frozenset({"a", "b"}), frozenset({"b", "theirs"})
    assert port_parts(port(type="router", addresses=addresses), port(addresses=before)) == (
        Assign("type", "", "router"),
        Assign("addresses", before, addresses),
    )


@pytest.mark.parametrize(
    ("wanted", "request_before", "tag_before", "expected"),
    [
        (None, None, None, ()),
        (7, 7, None, ()),  # northd has not copied it yet
        (7, 7, 7, ()),
        (7, 7, 9, ()),  # northd's business
        (7, None, None, (Assign("tag_request", None, 7), Assign("tag", None, 7))),
        (7, 5, 5, (Assign("tag_request", 5, 7), Assign("tag", 5, 7))),
        (7, 5, 7, (Assign("tag_request", 5, 7),)),
        (None, 5, 5, (Assign("tag_request", 5, None), Assign("tag", 5, None))),
        (None, None, 5, (Assign("tag", 5, None),)),  # stale, as OVN up to 26.03 leaves it
        (0, 0, 12, ()),  # northd chose
        (0, 5, 5, (Assign("tag_request", 5, 0), Assign("tag", 5, None))),
        (0, None, None, (Assign("tag_request", None, 0),)),
    ],
)
def test_the_tag_follows_its_request(
    wanted: int | None, request_before: int | None, tag_before: int | None, expected: tuple[Part, ...]
) -> None:
    assert port_parts(port(tag_request=wanted), port(tag_request=request_before, tag=tag_before)) == expected


def test_a_new_port_asks_for_a_tag_and_leaves_the_tag_to_northd() -> None:
    _, inserted = changes([switch(), port(tag_request=7)])
    assert inserted.key.name == "p"
    assert isinstance(inserted, Insert)
    assert inserted.row.get("tag") is None


def test_of_references_only_ours_are_taken_away() -> None:
    ours, theirs = group(), group("theirs", "them")
    listed = Stored("S", switch(load_balancer_group=frozenset({"g", "theirs"})))
    wanted: list[Row] = [switch(load_balancer_group=frozenset({"new"})), LoadBalancerGroup(name="new")]
    _, update = changes(wanted, ours, theirs, listed)
    assert update == Update(listed, (Members("load_balancer_group", frozenset({"g"}), frozenset({"new"})),))


@pytest.mark.parametrize(
    ("holders", "expected"),
    [
        (("S",), ()),
        (("T",), (Move(("T",), ("S",)),)),
        (("S", "T"), (Move(("S", "T"), ("S",)),)),
        ((), (Move((), ("S",)),)),
    ],
    ids=["stays", "moves", "from two to one", "from nowhere"],
)
def test_children_move(holders: tuple[str, ...], expected: tuple[Part, ...]) -> None:
    held = Stored("P", port(), holders)
    found = changes([switch(), switch("t"), port()], Stored("S", switch()), Stored("T", switch("t")), held)
    assert found == ((Update(held, expected),) if expected else ())


# --- whose rows they are ---


def test_a_name_that_somebody_else_has_is_refused() -> None:
    text = refused([switch()], Stored("S", switch(external_ids=THEIRS)))
    assert text == "Logical_Switch s: external_ids: the row S belongs to 'them', not to 'me'"


def test_a_row_without_a_mark_must_be_adopted() -> None:
    unmarked = Stored("S", switch(external_ids={"a": "b"}))
    assert "adopt it" in refused([switch()], unmarked)
    (change,) = changes([switch()], unmarked, adopt=True)
    assert change == Update(unmarked, (PutKeys("external_ids", {OWNER_KEY: None}, {OWNER_KEY: "me"}),))
    assert "belongs to 'them'" in refused([switch()], Stored("S", switch(external_ids=THEIRS)), adopt=True)


def test_every_conflict_is_named() -> None:
    foreign = [Stored(name, switch(name, external_ids=THEIRS)) for name in ("s", "t")]
    with pytest.raises(OwnershipError) as refusal:
        changes([switch(), switch("t")], *foreign)
    assert [problem.subject for problem in refusal.value.problems] == ["Logical_Switch s", "Logical_Switch t"]


def test_a_foreign_namesake_beside_ours_is_left_alone() -> None:
    assert changes([switch()], Stored("A", switch()), Stored("B", switch(external_ids=THEIRS)), prune=True) == ()


def test_shared_rows_are_made_completed_and_never_changed() -> None:
    band, meter = MeterBand(rate=25), Meter(name="arp", bands=frozenset({"drop 25 0"}))
    copp = Copp(name="c", meters={"arp": "arp", "bfd": "bfd"})
    assert [type(change) for change in changes([band, meter, copp])] == [Insert, Insert, Insert]
    stored = (
        Stored("B", MeterBand(rate=9)),
        Stored("M", Meter(name="arp", unit="kbps", bands=frozenset({"drop 9 0"}))),
        Stored("C", Copp(name="c", meters={"arp": "theirs"})),
    )
    (change,) = changes([band, meter, copp], *stored)
    assert change == Update(stored[2], (PutKeys("meters", {"bfd": None}, {"bfd": "bfd"}),))
    assert changes([], *stored, prune=True) == ()


# --- deletes ---


def test_prune_takes_what_is_ours_children_first() -> None:
    mine = (Stored("S", switch()), Stored("P", port(), ("S",)), group())
    theirs = (Stored("T", switch("t", external_ids=THEIRS)), Stored("U", switch("u", external_ids={})))
    assert changes([], *mine, *theirs) == ()
    found = changes([], *mine, *theirs, group("h", "them"), prune=True)
    assert found == (Delete(mine[1]), Delete(mine[0]), Delete(mine[2]))


def test_prune_stays_within_scope() -> None:
    rows = [Stored(name, switch(name)) for name in ("in", "out")]
    found = changes([], *rows, prune=True, covers=lambda stored: stored.key.name == "in")
    assert found == (Delete(rows[0]),)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (Stored("P", port("theirs", external_ids=THEIRS), ("S",)), "Logical_Switch_Port theirs of somebody else"),
        (Stored("P", port("theirs", external_ids={}), ("S",)), "Logical_Switch_Port theirs of somebody else"),
    ],
    ids=["of another owner", "of nobody"],
)
def test_deleting_a_parent_with_children_of_others_is_refused(extra: Stored, said: str) -> None:
    assert said in refused([], Stored("S", switch()), extra, prune=True)


def test_deleting_a_switch_with_acls_is_refused() -> None:
    assert "acls 2 of somebody else" in refused([], Stored("S", switch(acls=frozenset({"A", "B"}))), prune=True)


def test_deleting_a_group_that_others_use_is_refused() -> None:
    user = Stored("T", switch("t", external_ids=THEIRS, load_balancer_group=frozenset({"g"})))
    assert "it cannot be deleted while Logical_Switch t refers to it" in refused([], group(), user, prune=True)
    mine = Stored("S", switch(load_balancer_group=frozenset({"g"})))
    assert len(changes([], group(), mine, prune=True)) == 2
    assert len(changes([switch()], group(), mine, prune=True)) == 2


def test_a_wanted_child_leaves_its_parent_before_that_goes() -> None:
    moved = Stored("P", port(), ("S",))
    found = changes([switch("t"), port(parent="t")], Stored("S", switch()), moved, prune=True)
    assert [type(change) for change in found] == [Insert, Update, Delete]


def test_of_two_rows_of_one_name_that_with_more_children_stays() -> None:
    full, empty = Stored("A", switch()), Stored("B", switch())
    rows: list[Row] = [switch(), port()]
    for prune in (True, False):
        assert changes(rows, full, empty, Stored("P", port(), ("A",)), prune=prune) == (Delete(empty),)
    both = Stored("P", port(), ("A", "B"))
    assert changes(rows, full, empty, both) == (Update(both, (Move(("A", "B"), ("B",)),)), Delete(full))


# --- meaning and inverse ---

BEFORE = Snapshot.of(
    [
        Stored("S", switch(other_config={"subnet": "a", "theirs": "x"})),
        Stored("T", switch("t")),
        Stored("P", port(parent="t", tag_request=5, tag=5), ("T",)),
        Stored("Q", port("q", "t"), ("T",)),
    ],
    nb_cfg=4,
)
AFTER: list[Row] = [switch(other_config={"exclude_ips": "b"}), port(tag_request=7), switch("u"), port("v", "u")]


def test_a_change_set_means_the_rows_that_were_wanted() -> None:
    found = diff(RowSet(AFTER), BEFORE, Rules(owner="me", prune=True))
    after = apply_changes(BEFORE, found)
    rows = {stored.key: stored.row for stored in after.rows.values()}
    assert rows == dict(
        RowSet([switch(other_config={"exclude_ips": "b", "theirs": "x"}), port(tag_request=7, tag=7), *AFTER[2:]])
    )
    assert (after.rows["P"].holders, after.nb_cfg) == (("S",), 4)
    assert diff(RowSet(AFTER), after, Rules(owner="me", prune=True)).is_empty


def test_an_inverse_brings_everything_back_and_is_its_own_inverse() -> None:
    found = diff(RowSet(AFTER), BEFORE, Rules(owner="me", prune=True))
    undone = apply_changes(apply_changes(BEFORE, found), invert(found))
    assert dict(undone.rows) == dict(BEFORE.rows)
    again = invert(invert(found))
    assert apply_changes(BEFORE, again).rows == apply_changes(BEFORE, found).rows


def test_a_change_set_can_be_asked() -> None:
    found = diff(RowSet(AFTER), BEFORE, Rules(owner="me", prune=True))
    assert [len(found.of(kind)) for kind in (Insert, Update, Delete)] == [2, 2, 2]
    assert (len(found), found.is_empty, ChangeSet().is_empty) == (6, False, True)
    assert list(found) == list(found.changes)


def test_marks_are_put_where_there_is_a_place() -> None:
    assert marked(LogicalSwitch(name="s"), "me") == switch()
    assert marked(LoadBalancerGroup(name="g"), "me") == LoadBalancerGroup(name="g")
