"""Rows that are changed bit by bit equal rows that are read anew, and whoever holds a snapshot keeps it."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.backends import change_log, live_rows, replica_rows
from ovnk8s_topo.backends.lookup import Lookup
from ovnk8s_topo.backends.replica_rows import Astray, ReplicaRows, RowChange, row_change
from ovnk8s_topo.backends.told_rows import SentRows
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, LogicalSwitch, LogicalSwitchPort, Row

Json = dict[str, Any]

SWITCHES = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(3)]
PORTS = [f"00000000-0000-4000-8000-0000000000a{number}" for number in range(4)]
GROUPS = [f"00000000-0000-4000-8000-0000000000b{number}" for number in range(2)]
BAND, METER, COPP, ROUTER = (f"00000000-0000-4000-8000-0000000000c{number}" for number in range(4))

names = st.sampled_from(["a", "b", "é"])
maps = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=3).map(
    lambda found: ["map", [list(pair) for pair in found.items()]]
)


def a_set(found: list[Any]) -> Any:
    return found[0] if len(found) == 1 else ["set", found]


def uuids(*candidates: str) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(candidates), unique=True).map(lambda found: a_set([["uuid", u] for u in found]))


def texts() -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(["m 1", "m 2", "unknown"]), unique=True).map(a_set)


optional_numbers = st.just(["set", []]) | st.integers(1, 9)


def row(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=columns)


ROWS: dict[tuple[str, str], st.SearchStrategy[Json]] = {
    **{
        ("Logical_Switch", uuid): row(
            name=names, ports=uuids(*PORTS), load_balancer_group=uuids(*GROUPS), other_config=maps, acls=uuids(BAND)
        )
        for uuid in SWITCHES
    },
    **{
        ("Logical_Switch_Port", uuid): row(
            name=names, addresses=texts(), type=names, options=maps, external_ids=maps, tag_request=optional_numbers
        )
        for uuid in PORTS
    },
    **{("Load_Balancer_Group", uuid): row(name=names) for uuid in GROUPS},
    ("Meter_Band", BAND): row(rate=st.integers(1, 3), action=st.just("drop")),
    ("Meter", METER): row(name=names, bands=uuids(BAND), fair=st.booleans() | st.just(["set", []])),
    ("Copp", COPP): row(name=names, meters=maps),
    ("Logical_Router", ROUTER): row(name=names, copp=st.just(["uuid", COPP]) | st.just(["set", []])),
}
"""Place -> what its row may be."""

World = dict[tuple[str, str], Json]

NAMING = {"load_balancer_group": "Load_Balancer_Group", "bands": "Meter_Band", "copp": "Copp"}
"""Columns that name rows of another table, of which a server never lets one dangle; children it may not tell of."""


def without_dangling(world: World) -> World:
    def kept(column: str, datum: Any) -> Any:
        if column not in NAMING:
            return datum
        return a_set([member for member in members(datum) if (NAMING[column], member[1]) in world])

    return {place: {name: kept(name, datum) for name, datum in found.items()} for place, found in world.items()}


worlds: st.SearchStrategy[World] = st.fixed_dictionaries({}, optional=ROWS).map(without_dangling)


def members(datum: Any) -> list[Any]:
    return datum[1] if isinstance(datum, list) and datum[0] in ("set", "map") else [datum]


def difference(before: Any, after: Any) -> Any:
    """What ovsdb-server sends of one column in a "modify" (ovsdb-server(7), <row-update2>)."""
    if "map" in (before[0:1] and before[0], after[0:1] and after[0]) if isinstance(after, list) else False:
        old, new = dict(members(before)) if before[0] == "map" else {}, dict(members(after))
        gone = {key: text for key, text in old.items() if key not in new}
        come = {key: text for key, text in new.items() if old.get(key) != text}
        return ["map", [list(pair) for pair in {**gone, **come}.items()]]
    return a_set([m for m in [*members(before), *members(after)] if (m in members(before)) != (m in members(after))])


DEFAULTS: Json = {"name": "", "type": "", "rate": 0, "action": ""}
SINGLE = {"name", "type", "rate", "action", "tag_request", "fair", "copp"}
MAPS = {"other_config", "options", "external_ids", "meters"}


def changes_between(before: World, after: World) -> list[RowChange]:
    found = []
    for table, uuid in dict.fromkeys([*before, *after]):
        old, new = before.get((table, uuid)), after.get((table, uuid))
        if old is None and new is not None:
            # In the order of servers since OVS 2.17, whose rows are compared as text.
            found.append(row_change(table, uuid, {"insert": dict(sorted(new.items()))}))
        elif new is None:
            found.append(row_change(table, uuid, {"delete": None}))
        elif old is not None and old != new:
            found.append(row_change(table, uuid, {"modify": modification(old, new)}))
    return found


def modification(old: Json, new: Json) -> Json:
    changed = {}
    for column in {**old, **new}:
        empty: Any = DEFAULTS.get(column, ["map", []] if column in MAPS else ["set", []])
        one, other = old.get(column, empty), new.get(column, empty)
        if one != other:
            changed[column] = other if column in SINGLE else difference(one, other)
    return changed


def read(world: World) -> Snapshot:
    fresh = ReplicaRows()
    for (table, uuid), content in world.items():
        fresh.load(row_change(table, uuid, {"initial": content}))
    return eager(fresh.snapshot())


def eager(snapshot: Snapshot) -> Snapshot:
    return Snapshot(dict(snapshot.rows), snapshot.nb_cfg)


def assert_same(snapshot: Snapshot, expected: Snapshot) -> None:
    assert snapshot == expected
    assert len(snapshot.rows) == len(expected.rows)
    assert list(snapshot.rows) == list(dict.fromkeys(snapshot.rows)), "a row twice"
    uuids = [uuid for _, uuid in ROWS]
    for uuid in uuids:
        assert (uuid in snapshot.rows) is (uuid in expected.rows)
        assert snapshot.children(uuid) == expected.children(uuid)
    for key in {Key(table, name) for table, _ in ROWS for name in ("a", "b", "é", "", "drop 1 0", "drop 2 0")}:
        assert snapshot.named(key) == expected.named(key)
        assert snapshot.users(key) == expected.users(key)
    for table in {table for table, _ in ROWS}:
        by_uuid: Callable[[Stored], str] = lambda stored: stored.uuid  # noqa: E731
        assert sorted(snapshot.table(table), key=by_uuid) == sorted(expected.table(table), key=by_uuid)


@given(st.lists(worlds, min_size=2, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_changed_rows_equal_rows_read_anew_and_snapshots_stay(history: list[World], looks: list[bool]) -> None:
    rows = ReplicaRows()
    present: World = {}
    held: list[tuple[Snapshot, Snapshot]] = []
    for world, look in zip(history, looks, strict=False):
        rows.apply(changes_between(present, world))
        present = world
        snapshot, expected = rows.snapshot(), read(world)
        held.append((snapshot, expected))
        if look:  # else it is first looked at when the rows have gone on
            assert_same(snapshot, expected)
    for snapshot, expected in held:
        assert_same(snapshot, expected)
    for number, (old, was) in enumerate(held):
        for new, now in held[number:]:
            changed = new.changed_since(old.serial)
            assert changed is not None
            different = {u for u in {*was.rows, *now.rows} if was.rows.get(u) != now.rows.get(u)}
            assert different <= changed
    assert all(snapshot.changed_since(snapshot.serial) == frozenset() for snapshot, _ in held)
    assert [snapshot.serial for snapshot, _ in held] == sorted({snapshot.serial for snapshot, _ in held})


@given(worlds, worlds, st.booleans(), st.booleans(), st.booleans())
def test_a_row_is_compared_without_being_read(
    world: World, other: World, later: bool, by_itself: bool, are_sent: bool
) -> None:
    expected, sent = read(world), SentRows()
    if are_sent:
        for uuid, text in replica_of(world).contents["Logical_Switch_Port"].items():
            sent.note(uuid, text, expected.rows[uuid].row)
    rows = ReplicaRows(sent=sent)
    rows.apply(changes_between({}, world))
    snapshot = rows.snapshot()
    if later:
        rows.apply(changes_between(world, other))
    # Before anything is decoded, and after.
    for decoded in (False, True):
        candidates = [(stored.uuid, stored.row) for side in (expected, read(other)) for stored in side.rows.values()]
        unlike = {uuid for uuid, row in candidates if not is_lone(expected.rows.get(uuid), row)}
        if by_itself:
            assert {uuid for uuid, row in candidates if not snapshot.shows(uuid, row)} == unlike, decoded
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(live_rows, "_AT_ONCE", 2)
                assert snapshot.unlike(candidates) == unlike, decoded
        assert_same(snapshot, expected)


@pytest.mark.parametrize(
    ("holders", "parent", "same"),
    [("a", "a", True), ("a", "b", False), ("ab", "a", False), ("", "a", False), ("", "", True)],
)
def test_a_row_that_is_as_it_was_sent_may_be_held_by_another(holders: str, parent: str, same: bool) -> None:
    port, sent = LogicalSwitchPort(name="p", parent=parent), SentRows()
    sent.note(PORTS[0], '{"name":"p"}', port)
    held = [SWITCHES["ab".index(name)] for name in holders]
    rows = ReplicaRows(sent=sent)
    for name, uuid in zip("ab", SWITCHES, strict=False):
        ports = ["uuid", PORTS[0]] if uuid in held else ["set", []]
        rows.load(row_change("Logical_Switch", uuid, {"initial": {"name": name, "ports": ports}}))
    rows.load(row_change("Logical_Switch_Port", PORTS[0], {"initial": {"name": "p"}}))
    assert sent._told
    assert rows.snapshot().unlike([(PORTS[0], port)]) == (set() if same else {PORTS[0]})


def is_lone(stored: Stored | None, row: Row) -> bool:
    return stored is not None and stored.row == row and len(stored.holders) < 2


def replica_of(world: World) -> ReplicaRows:
    rows = ReplicaRows()
    rows.apply(changes_between({}, world))
    return rows


@given(worlds, worlds, worlds)
def test_rows_that_are_read_anew_tell_what_is_other_than_before(world: World, other: World, third: World) -> None:
    rows = ReplicaRows()
    rows.apply(changes_between({}, world))
    before, was = rows.snapshot(), read(world)
    fresh = ReplicaRows()
    for (table, uuid), content in other.items():
        fresh.load(row_change(table, uuid, {"initial": content}))
    fresh.succeed(rows)
    after, now = fresh.snapshot(), read(other)
    fresh.apply(changes_between(other, third))
    last = fresh.snapshot()
    for snapshot, expected in ((before, was), (after, now), (last, read(third))):
        assert_same(snapshot, expected)
        changed = snapshot.changed_since(before.serial)
        assert changed is not None
        different = {u for u in {*was.rows, *expected.rows} if was.rows.get(u) != expected.rows.get(u)}
        assert different <= changed
    assert before.changed_since(before.serial) == frozenset()
    assert (before.changed_since(last.serial) is None) == (last.serial > before.serial)


@given(worlds)
def test_rows_that_are_read_anew_and_are_the_same(world: World) -> None:
    copies = [ReplicaRows(), ReplicaRows()]
    for rows in copies:
        for (table, uuid), content in world.items():
            rows.load(row_change(table, uuid, {"initial": content}))
    before = copies[0].snapshot()
    copies[1].succeed(copies[0])
    assert copies[1].snapshot().changed_since(before.serial) == frozenset()
    assert copies[1].snapshot().serial == before.serial


def small() -> ReplicaRows:
    rows = ReplicaRows()
    ports = a_set([["uuid", uuid] for uuid in PORTS])
    rows.load(row_change("Logical_Switch", SWITCHES[0], {"initial": {"name": "s", "ports": ports}}))
    for number, uuid in enumerate(PORTS):
        rows.load(row_change("Logical_Switch_Port", uuid, {"initial": {"name": f"p{number}"}}))
    return rows


def test_a_port_that_comes_is_all_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = small()
    before = rows.snapshot()
    assert [stored.key.name for stored in before.children(SWITCHES[0])] == ["p0", "p1", "p2", "p3"]
    decoded: list[str] = []
    decode = replica_rows._from_text

    def counted(text: str) -> Any:
        decoded.append(text)
        return decode(text)

    monkeypatch.setattr(replica_rows, "_from_text", counted)
    uuid = "00000000-0000-4000-8000-0000000000af"
    rows.apply(
        [
            row_change("Logical_Switch_Port", uuid, {"insert": {"name": "new"}}),
            row_change("Logical_Switch", SWITCHES[0], {"modify": {"ports": ["uuid", uuid]}}),
        ]
    )
    after = rows.snapshot()
    assert after.changed_since(before.serial) == frozenset({uuid})
    assert decoded == [], "rows that stay were read"
    assert after.rows[uuid] == Stored(uuid, LogicalSwitchPort(name="new", parent="s"), (SWITCHES[0],))
    assert (len(before.rows), len(after.rows), uuid in before.rows) == (5, 6, False)


def test_children_change_with_their_holders_name() -> None:
    rows = small()
    before = rows.snapshot()
    rows.apply([row_change("Logical_Switch", SWITCHES[0], {"modify": {"name": "t"}})])
    after = rows.snapshot()
    assert after.changed_since(before.serial) == frozenset({SWITCHES[0], *PORTS})
    assert {stored.row.get("parent") for stored in before.table("Logical_Switch_Port")} == {"s"}
    assert {stored.row.get("parent") for stored in after.table("Logical_Switch_Port")} == {"t"}


def test_what_happened_too_long_ago_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "_REMEMBERED", 10)
    rows = small()
    serials = []
    for number in range(10):
        serials.append(rows.snapshot().serial)
        rows.apply([row_change("Logical_Switch_Port", PORTS[0], {"modify": {"name": f"n{number}"}})])
    now = rows.snapshot()
    assert [now.changed_since(serial) for serial in (0, serials[0], serials[-1])] == [None, None, frozenset({PORTS[0]})]
    assert now.changed_since(now.serial + 1) is None
    assert len(rows.log._states) <= 10


def test_the_same_state_is_the_same_snapshot() -> None:
    rows = small()
    first = rows.snapshot()
    assert rows.snapshot() is first
    rows.apply([row_change("Logical_Switch_Port", PORTS[0], {"delete": None})])
    assert rows.snapshot() is not first
    assert rows.snapshot().nb_cfg == 0
    rows.apply([row_change("NB_Global", SWITCHES[1], {"insert": {"nb_cfg": 4}})])
    rows.apply([row_change("NB_Global", SWITCHES[1], {"modify": {"sb_cfg": 3}})])
    assert (rows.snapshot().nb_cfg, first.nb_cfg) == (4, 0)
    assert rows.numbers == {SWITCHES[1]: {"nb_cfg": 4, "sb_cfg": 3, "hv_cfg": 0}}


def test_what_nobody_holds_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_rows, "_REMEMBERED", 2)
    rows = small()
    snapshot = rows.snapshot()
    assert len(list(snapshot.rows.values())) == len(rows._decoded) == 5
    view = snapshot.rows
    del snapshot
    assert len(rows._decoded) == 5
    del view
    gc.collect()
    assert rows._decoded == {}


@pytest.mark.parametrize("update", [{"modify": {"name": "x"}}, {"delete": None}, {"old": {}, "new": {"name": "x"}}])
def test_an_update_of_a_row_that_is_not_there_changes_nothing(update: Json) -> None:
    rows = small()
    before = rows.snapshot()
    gone = row_change("Logical_Switch_Port", PORTS[0], {"delete": None})
    with pytest.raises(Astray, match=SWITCHES[2]):
        rows.apply([gone, row_change("Logical_Switch", SWITCHES[2], update)])
    assert rows.snapshot() is before
    assert_same(before, eager(small().snapshot()))


def test_updates_as_rfc_7047_has_them() -> None:
    rows, new = small(), "00000000-0000-4000-8000-0000000000ff"
    whole = {"name": "s", "ports": a_set([["uuid", new]]), "other_config": ["map", []], "acls": ["set", []]}
    rows.apply(
        [
            row_change("Logical_Switch", SWITCHES[0], {"old": {"ports": ["set", []]}, "new": whole}),
            *(row_change("Logical_Switch_Port", uuid, {"old": {"name": "p"}}) for uuid in PORTS),
            row_change("Logical_Switch_Port", new, {"new": {"name": "new", "tag": ["set", []]}}),
        ]
    )
    switch = Stored(SWITCHES[0], LogicalSwitch(name="s"))
    port = Stored(new, LogicalSwitchPort(name="new", parent="s"), (SWITCHES[0],))
    assert rows.snapshot() == Snapshot.of([switch, port])
    with pytest.raises(Astray):
        row_change("Logical_Switch", new, {"what": {}})


def test_the_text_of_a_row_is_kept_as_it_came() -> None:
    rows = ReplicaRows()
    text = json.dumps({"name": "é", "addresses": "unknown"}, indent=1)
    rows.load(row_change("Logical_Switch_Port", PORTS[0], {"initial": json.loads(text)}, text))
    assert rows.contents["Logical_Switch_Port"][PORTS[0]] is text
    (stored,) = rows.snapshot().named(Key("Logical_Switch_Port", "é"))
    assert stored.row == LogicalSwitchPort(name="é", parent="", addresses=frozenset({"unknown"}))


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.sampled_from("xyz"))))
def test_a_lookup_is_a_set_for_each_text(steps: list[tuple[bool, str, str]]) -> None:
    lookup = Lookup()
    expected: dict[str, set[str]] = {"a": set(), "b": set()}
    for is_added, text, uuid in steps:
        if is_added:
            lookup.add(text, uuid)
            expected[text].add(uuid)
        else:
            lookup.discard(text, uuid)
            expected[text].discard(uuid)
    for text, uuids in expected.items():
        assert len(lookup.get(text)) == len(uuids)
        assert set(lookup.get(text)) == uuids
