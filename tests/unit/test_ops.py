from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from ovnk8s_topo.backends.operations import Operation, confirmation, texts_of
from ovnk8s_topo.backends.ops import encode, operations
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.diff import (
    Assign,
    Change,
    ChangeSet,
    Delete,
    Insert,
    Members,
    Move,
    PutKeys,
    Rules,
    Update,
    apply_changes,
    diff,
    invert,
)
from ovnk8s_topo.errors import RowError
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

FULL = Schema.full()
OURS = {OWNER_KEY: "me"}
MARK = ["map", [[OWNER_KEY, "me"]]]
NETWORKS = frozenset({"10.0.0.1/24"})


def switch(name: str = "s", **columns: Any) -> LogicalSwitch:
    return LogicalSwitch(name=name, external_ids=OURS, **columns)


def port(name: str = "p", parent: str = "s", **columns: Any) -> LogicalSwitchPort:
    return LogicalSwitchPort(name=name, parent=parent, external_ids=OURS, **columns)


SWITCH, OTHER_SWITCH = Stored("S", switch()), Stored("S2", switch("s2"))
PORT = Stored("P", port(), ("S",))
GROUP = Stored("G", LoadBalancerGroup(name="g"))
ROUTER = Stored("R", LogicalRouter(name="r", external_ids=OURS))
EVERYTHING = Snapshot.of([SWITCH, OTHER_SWITCH, PORT, GROUP, ROUTER])
EMPTY = Snapshot.of([])


def ops(*changes: Change, actual: Snapshot = EVERYTHING, schema: Schema = FULL) -> list[Operation]:
    made = operations(ChangeSet(changes), actual, schema)
    found = list(made)
    assert len(made) == len(found)
    assert found == list(made) == encode(ChangeSet(changes), actual, schema)
    assert found == json.loads(f"[{','.join(texts_of(made))}]")
    return found


def at(uuid: str) -> list[object]:
    return [["_uuid", "==", ["uuid", uuid]]]


def wait(
    table: str, where: list[object], *rows: Mapping[str, object], columns: tuple[str, ...] = ("_uuid",)
) -> Operation:
    return {
        "op": "wait",
        "table": table,
        "timeout": 0,
        "where": where,
        "columns": list(columns),
        "until": "==",
        "rows": list(rows),
    }


def unnamed(table: str, name: str, *leaving: str) -> Operation:
    return wait(table, [["name", "==", name]], *({"_uuid": ["uuid", uuid]} for uuid in leaving))


def owned(table: str, uuid: str, **columns: object) -> Operation:
    row = {"external_ids": MARK, **columns}
    return wait(table, at(uuid), row, columns=tuple(sorted(row)))


def mutate(table: str, uuid: str, *mutations: list[object]) -> Operation:
    return {"op": "mutate", "table": table, "where": at(uuid), "mutations": list(mutations)}


def insert(table: str, uuid: str, **row: object) -> Operation:
    return {"op": "insert", "table": table, "uuid": uuid, "row": row}


def delete(table: str, uuid: str) -> Operation:
    return {"op": "delete", "table": table, "where": at(uuid)}


def uuids(*members: str) -> list[object]:
    return ["set", [["uuid", uuid] for uuid in members]]


CASES: dict[str, tuple[list[Change], list[Operation]]] = {
    "nothing": ([], []),
    "new switch: nobody else bears the name; columns at their default are left out": (
        [Insert("N", switch("new"))],
        [unnamed("Logical_Switch", "new"), insert("Logical_Switch", "N", name="new", external_ids=MARK)],
    ),
    "new switch with ports: the set is built at once": (
        [Insert("N", switch("new")), Insert("B", port("a", "new"), ("N",)), Insert("A", port("b", "new"), ("N",))],
        [
            unnamed("Logical_Switch", "new"),
            insert("Logical_Switch", "N", name="new", external_ids=MARK, ports=uuids("A", "B")),
            insert("Logical_Switch_Port", "B", name="a", external_ids=MARK),
            insert("Logical_Switch_Port", "A", name="b", external_ids=MARK),
        ],
    ),
    "new ports in an existing switch: one guard, one mutation": (
        [Insert("A", port("a", type="router", tag_request=3), ("S",)), Insert("B", port("b"), ("S",))],
        [
            owned("Logical_Switch", "S"),
            insert("Logical_Switch_Port", "A", name="a", type="router", tag_request=3, external_ids=MARK),
            insert("Logical_Switch_Port", "B", name="b", external_ids=MARK),
            mutate("Logical_Switch", "S", ["ports", "insert", uuids("A", "B")]),
        ],
    ),
    "new port in a switch that is gone: the server refuses": (
        [Insert("A", port("a"), ("gone",))],
        [
            wait("Logical_Switch", at("gone"), {"_uuid": ["uuid", "gone"]}),
            insert("Logical_Switch_Port", "A", name="a", external_ids=MARK),
            mutate("Logical_Switch", "gone", ["ports", "insert", uuids("A")]),
        ],
    ),
    "references become uuids": (
        [Insert("N", switch("new", load_balancer_group=frozenset({"g"})))],
        [
            unnamed("Logical_Switch", "new"),
            insert("Logical_Switch", "N", name="new", external_ids=MARK, load_balancer_group=uuids("G")),
        ],
    ),
    "references to new rows": (
        [Insert("B", MeterBand(rate=25)), Insert("M", Meter(name="m", bands=frozenset({"drop 25 0"}), fair=True))],
        [
            insert("Meter_Band", "B", action="drop", rate=25),
            insert("Meter", "M", name="m", unit="pktps", bands=uuids("B"), fair=True),
        ],
    ),
    "whole column: guarded by what was read": (
        [Update(PORT, (Assign("addresses", frozenset(), frozenset({"b", "a"})), Assign("tag_request", None, 5)))],
        [
            owned("Logical_Switch_Port", "P", addresses=["set", []], tag_request=["set", []]),
            {
                "op": "update",
                "table": "Logical_Switch_Port",
                "where": at("P"),
                "row": {"addresses": ["set", ["a", "b"]], "tag_request": 5},
            },
        ],
    ),
    "column emptied": (
        [Update(PORT, (Assign("tag_request", 5, None),))],
        [
            owned("Logical_Switch_Port", "P", tag_request=5),
            {"op": "update", "table": "Logical_Switch_Port", "where": at("P"), "row": {"tag_request": ["set", []]}},
        ],
    ),
    "map by key: a key that is there goes first, for insert does not overwrite": (
        [Update(PORT, (PutKeys("options", {"a": "1", "b": "2", "c": None}, {"a": "9", "b": None, "c": "3"}),))],
        [
            owned("Logical_Switch_Port", "P"),
            mutate(
                "Logical_Switch_Port",
                "P",
                ["options", "delete", ["set", ["a", "b", "c"]]],
                ["options", "insert", ["map", [["a", "9"], ["c", "3"]]]],
            ),
        ],
    ),
    "shared row is only completed": (
        [Update(Stored("C", Copp(name="c")), (PutKeys("meters", {"arp": None}, {"arp": "m"}),))],
        [
            wait("Copp", at("C"), {"_uuid": ["uuid", "C"]}),
            mutate("Copp", "C", ["meters", "insert", ["map", [["arp", "m"]]]]),
        ],
    ),
    "set by member": (
        [Update(SWITCH, (Members("load_balancer_group", frozenset(), frozenset({"g"})),))],
        [owned("Logical_Switch", "S"), mutate("Logical_Switch", "S", ["load_balancer_group", "insert", uuids("G")])],
    ),
    "move: the old holder loses it, the new one is guarded": (
        [Update(PORT, (Move(("S",), ("S2",)),))],
        [
            owned("Logical_Switch_Port", "P"),
            owned("Logical_Switch", "S2"),
            mutate("Logical_Switch", "S", ["ports", "delete", uuids("P")]),
            mutate("Logical_Switch", "S2", ["ports", "insert", uuids("P")]),
        ],
    ),
    "move out of a switch that goes, into a new one": (
        [Insert("N", switch("new")), Update(PORT, (Move(("S",), ("N",)),)), Delete(SWITCH)],
        [
            unnamed("Logical_Switch", "new"),
            owned("Logical_Switch_Port", "P"),
            owned("Logical_Switch", "S"),
            insert("Logical_Switch", "N", name="new", external_ids=MARK, ports=uuids("P")),
            delete("Logical_Switch", "S"),
        ],
    ),
    "port in two switches leaves one": (
        [Update(PORT, (Move(("S", "S2"), ("S2",)),))],
        [
            owned("Logical_Switch_Port", "P"),
            owned("Logical_Switch", "S2"),
            mutate("Logical_Switch", "S", ["ports", "delete", uuids("P")]),
            mutate("Logical_Switch", "S2", ["ports", "insert", uuids("P")]),
        ],
    ),
    "delete a port: by uuid, under its owner, out of its switch": (
        [Delete(PORT)],
        [
            owned("Logical_Switch_Port", "P"),
            mutate("Logical_Switch", "S", ["ports", "delete", uuids("P")]),
            delete("Logical_Switch_Port", "P"),
        ],
    ),
    "delete a switch with its port": (
        [Delete(PORT), Delete(SWITCH)],
        [
            owned("Logical_Switch_Port", "P"),
            owned("Logical_Switch", "S"),
            delete("Logical_Switch_Port", "P"),
            delete("Logical_Switch", "S"),
        ],
    ),
    "delete a row without external_ids": (
        [Delete(GROUP)],
        [
            wait("Load_Balancer_Group", at("G"), {"_uuid": ["uuid", "G"]}),
            delete("Load_Balancer_Group", "G"),
        ],
    ),
    "replace a switch: the one that goes may still bear the name": (
        [Insert("N", switch()), Delete(SWITCH)],
        [
            unnamed("Logical_Switch", "s", "S"),
            owned("Logical_Switch", "S"),
            insert("Logical_Switch", "N", name="s", external_ids=MARK),
            delete("Logical_Switch", "S"),
        ],
    ),
    "switch gets a port, loses one and changes a key: one guard, one mutation": (
        [
            Insert("A", port("a"), ("S",)),
            Update(SWITCH, (PutKeys("other_config", {"subnet": None}, {"subnet": "10.0.0.0/24"}),)),
            Delete(PORT),
        ],
        [
            owned("Logical_Switch", "S"),
            owned("Logical_Switch_Port", "P"),
            insert("Logical_Switch_Port", "A", name="a", external_ids=MARK),
            mutate(
                "Logical_Switch",
                "S",
                ["other_config", "delete", ["set", ["subnet"]]],
                ["other_config", "insert", ["map", [["subnet", "10.0.0.0/24"]]]],
                ["ports", "delete", uuids("P")],
                ["ports", "insert", uuids("A")],
            ),
            delete("Logical_Switch_Port", "P"),
        ],
    ),
    "router's reference": (
        [Insert("C", Copp(name="c")), Update(ROUTER, (Assign("copp", None, "c"),))],
        [
            owned("Logical_Router", "R", copp=["set", []]),
            insert("Copp", "C", name="c"),
            {"op": "update", "table": "Logical_Router", "where": at("R"), "row": {"copp": ["uuid", "C"]}},
        ],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_changes_become_operations(changes: list[Change], expected: list[Operation]) -> None:
    assert ops(*changes) == expected


def test_uuids_come_from_the_change_set_first() -> None:
    changes = ChangeSet(
        (Insert("N", switch("new", load_balancer_group=frozenset({"g"}))),), {Key("Load_Balancer_Group", "g"): "G2"}
    )
    assert cast(dict[str, Any], encode(changes, EVERYTHING, FULL)[1])["row"]["load_balancer_group"] == uuids("G2")


def test_an_ambiguous_reference_is_no_guard() -> None:
    twice = Snapshot.of([Stored("C1", Copp(name="c")), Stored("C2", Copp(name="c")), ROUTER])
    (guard, _) = ops(Update(ROUTER, (Assign("copp", "c", None),)), actual=twice)
    assert guard == owned("Logical_Router", "R")


@pytest.mark.parametrize(
    ("exists", "first"), [(True, "mutate"), (False, "insert")], ids=["raise the number", "make the row"]
)
def test_confirmation(exists: bool, first: str) -> None:
    raised, read = confirmation(exists=exists)
    assert (raised["op"], read["op"], read["columns"]) == (first, "select", ["nb_cfg"])


def without(table: str, *columns: str) -> Schema:
    tables = dict(FULL.tables)
    kept = tables.pop(table) - set(columns)
    return Schema({**tables, table: kept} if columns else tables, "5.20.0")


GROUPED = switch("new", load_balancer_group=frozenset({"g"}))


@pytest.mark.parametrize(
    ("change", "schema", "path"),
    [
        (Insert("N", GROUPED), without("Logical_Switch", "load_balancer_group"), "Logical_Switch.load_balancer_group"),
        (Insert("N", LoadBalancerGroup(name="n")), without("Load_Balancer_Group"), "Load_Balancer_Group"),
        (
            Update(SWITCH, (Members("load_balancer_group", frozenset(), frozenset({"g"})),)),
            without("Logical_Switch", "load_balancer_group"),
            "Logical_Switch.load_balancer_group",
        ),
        (
            Update(ROUTER, (Assign("copp", None, "c"),)),
            without("Logical_Router", "copp"),
            "Logical_Router.copp",
        ),
        (
            Update(SWITCH, (PutKeys("other_config", {"a": None}, {"a": "b"}),)),
            without("Logical_Switch", "other_config"),
            "Logical_Switch.other_config",
        ),
    ],
    ids=["insert", "no table", "member", "assign", "keys"],
)
def test_a_column_that_the_server_lacks_is_an_error_if_it_is_needed(change: Change, schema: Schema, path: str) -> None:
    with pytest.raises(RowError) as refused:
        ops(change, schema=schema)
    assert [problem.path for problem in refused.value.problems] == [path]
    assert "5.20.0" in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        Insert("N", LogicalSwitch(name="new")),
        Update(ROUTER, (Assign("copp", "c", None),)),
        Update(SWITCH, (PutKeys("other_config", {"a": "b"}, {"a": None}),)),
    ],
    ids=["insert", "assign", "keys"],
)
def test_a_column_that_the_server_lacks_is_left_out_at_its_default(change: Change) -> None:
    tables = {**FULL.tables, "Logical_Switch": frozenset({"name", "ports"}), "Logical_Router": frozenset({"name"})}
    text = repr(ops(change, schema=Schema(tables, "1")))
    assert not any(column in text for column in ("copp", "other_config", "external_ids"))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (Insert("N", port("a", tag_request=9999), ("S",)), "Logical_Switch_Port.tag_request"),
        (Update(PORT, (Assign("tag_request", None, 4096),)), "Logical_Switch_Port.tag_request"),
        (Update(PORT, (PutKeys("options", {"a": None}, {"a": "\0"}),)), "Logical_Switch_Port.options"),
        (Update(PORT, (Assign("type", "", "\ud800"),)), "Logical_Switch_Port.type"),
        (Insert("N", GROUPED), "Logical_Switch.load_balancer_group"),
        (
            Insert("N", LogicalRouterPort(name="rp", parent="r", external_ids=OURS), ("R",)),
            "Logical_Router_Port.networks",
        ),
    ],
    ids=["range", "range of an update", "key", "no text", "no target", "too few"],
)
def test_a_bad_value_is_refused(change: Change, path: str) -> None:
    with pytest.raises(RowError) as refused:
        ops(change, actual=Snapshot.of([SWITCH, PORT, ROUTER]))
    assert {problem.path for problem in refused.value.problems} == {path}


def topology(ports: int) -> list[Row]:
    rows: list[Row] = [
        MeterBand(rate=25),
        Meter(name="m", bands=frozenset({"drop 25 0"})),
        Copp(name="c", meters={"arp": "m"}),
        LoadBalancerGroup(name="g"),
        LogicalRouter(name="r", copp="c"),
        LogicalRouterPort(name="rp", parent="r", networks=NETWORKS),
        GatewayChassis(name="gc", parent="rp", chassis_name="n"),
        LogicalSwitch(name="s", load_balancer_group=frozenset({"g"})),
        LogicalSwitch(name="t"),
    ]
    return rows + [LogicalSwitchPort(name=f"p{i}", parent="st"[i % 2], tag_request=i or None) for i in range(ports)]


def stored(rows: list[Row]) -> Snapshot:
    owned_rows = [marked(row, "me") for row in rows]
    return Snapshot.of(
        Stored(uuid_of("me", row.key), row, (uuid_of("me", row.parent_key),) if row.parent_key else ())
        for row in owned_rows
    )


def moved(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.key.table != "Logical_Switch_Port"] + [
        LogicalSwitchPort(name=f"p{i}", parent="ts"[i % 2], addresses=frozenset({"dynamic"})) for i in range(6)
    ]


WORLDS: Mapping[str, list[Row]] = {
    "empty": [],
    "small": topology(2),
    "large": topology(9),
    "moved": moved(topology(0)),
    "router only": topology(0)[:7],
}


@pytest.mark.parametrize("desired", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("actual", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("back", [False, True], ids=["there", "and back"])
def test_every_guard_of_every_transaction_fails_at_once(desired: list[Row], actual: list[Row], back: bool) -> None:
    # T3: a wait without a timeout holds the transaction back for ever (ovn-kubernetes#2764)
    before = stored(actual)
    changes = diff(RowSet(marked(row, "me") for row in desired), before, Rules(owner="me", prune=True))
    if back:
        changes, before = invert(changes), apply_changes(before, changes)
    operations = encode(changes, before, FULL)
    waits = [operation for operation in operations if operation["op"] == "wait"]
    assert all(operation["timeout"] == 0 for operation in waits)
    kinds = ["wait", "insert", "update", "mutate", "delete"]
    assert [operation["op"] for operation in operations] == sorted(
        (cast(str, operation["op"]) for operation in operations), key=kinds.index
    )
    guarded = [repr((operation["table"], operation["where"])) for operation in waits]
    assert len(guarded) == len(set(guarded))


def test_a_schema_from_the_server() -> None:
    document = {"version": "7.0.0", "tables": {"Logical_Switch": {"columns": {"name": {"type": "string"}}}}}
    schema = Schema.from_json(document)
    assert schema.version == "7.0.0"
    assert [schema.has("Logical_Switch", "name"), schema.has("Logical_Switch", "x"), schema.has("X", "name")] == [
        True,
        False,
        False,
    ]
