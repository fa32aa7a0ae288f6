"""The texts that people read, word for word, and the JSON that programs read."""

from __future__ import annotations

import json

import pytest
from snapshot_nb import SnapshotNb

from ovnk8s_topo import Localnet, Pod, Reconciler, Topology
from ovnk8s_topo.diff import Assign, Change, ChangeSet, Delete, Insert, Members, Move, PutKeys, Update
from ovnk8s_topo.errors import Position, Problem
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import (
    OWNER_KEY,
    GatewayChassis,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Meter,
)
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Desired
from ovnk8s_topo.render.json import json_from_changes, json_from_problem, json_from_snapshot, json_from_value
from ovnk8s_topo.render.text import summary, text_from_changes, text_from_snapshot, text_from_value

SWITCH = Stored("S", LogicalSwitch(name="s", other_config={"subnet": "10.0.0.0/24"}))
PORT = Stored("P", LogicalSwitchPort(name="p", parent="s", tag_request=5, addresses=frozenset({"b", "a"})), ("S",))

CASES: dict[str, tuple[Change, str, dict[str, object]]] = {
    "insert": (
        Insert("P", PORT.row, ("S",)),
        "+ Logical_Switch_Port p in Logical_Switch s\n    addresses = [a, b]\n    tag_request = 5\n"
        "1 to insert, 0 to update, 0 to delete",
        {
            "action": "insert",
            "table": "Logical_Switch_Port",
            "name": "p",
            "uuid": "P",
            "row": {"name": "p", "addresses": ["a", "b"], "tag_request": 5, "parent": "s"},
        },
    ),
    "insert of a root row": (
        Insert("M", Meter(name="m", fair=True, bands=frozenset({"drop 25 0"}))),
        "+ 1 rows shared by all networks: 1 Meter\n1 to insert, 0 to update, 0 to delete",
        {
            "action": "insert",
            "table": "Meter",
            "name": "m",
            "uuid": "M",
            "row": {"name": "m", "unit": "pktps", "bands": ["drop 25 0"], "fair": True},
        },
    ),
    "delete": (
        Delete(SWITCH),
        "- Logical_Switch s\n0 to insert, 0 to update, 1 to delete",
        {
            "action": "delete",
            "table": "Logical_Switch",
            "name": "s",
            "uuid": "S",
            "row": {"name": "s", "other_config": {"subnet": "10.0.0.0/24"}},
        },
    ),
    "assign": (
        Update(PORT, (Assign("tag_request", 5, None), Assign("type", "", "localnet"))),
        "~ Logical_Switch_Port p in Logical_Switch s\n    tag_request: 5 -> []\n    type:  -> localnet\n"
        "0 to insert, 1 to update, 0 to delete",
        {
            "action": "update",
            "table": "Logical_Switch_Port",
            "name": "p",
            "uuid": "P",
            "columns": {"tag_request": {"before": 5, "after": None}, "type": {"before": "", "after": "localnet"}},
        },
    ),
    "keys of a map": (
        Update(SWITCH, (PutKeys("other_config", {"subnet": "1", "new": None}, {"subnet": None, "new": "2"}),)),
        "~ Logical_Switch s\n    other_config:subnet: 1 -> (absent)\n    other_config:new: (absent) -> 2\n"
        "0 to insert, 1 to update, 0 to delete",
        {
            "action": "update",
            "table": "Logical_Switch",
            "name": "s",
            "uuid": "S",
            "columns": {
                "other_config": {"before": {"subnet": "1", "new": None}, "after": {"subnet": None, "new": "2"}}
            },
        },
    ),
    "members of a set": (
        Update(SWITCH, (Members("load_balancer_group", frozenset({"b", "a"}), frozenset({"d", "c"})),)),
        "~ Logical_Switch s\n    load_balancer_group: - a\n    load_balancer_group: - b\n"
        "    load_balancer_group: + c\n    load_balancer_group: + d\n0 to insert, 1 to update, 0 to delete",
        {
            "action": "update",
            "table": "Logical_Switch",
            "name": "s",
            "uuid": "S",
            "columns": {"load_balancer_group": {"removed": ["a", "b"], "added": ["c", "d"]}},
        },
    ),
    "move": (
        Update(PORT, (Move(("S",), ("S2",)),)),
        "~ Logical_Switch_Port p in Logical_Switch s\n    parent: S -> S2\n0 to insert, 1 to update, 0 to delete",
        {
            "action": "update",
            "table": "Logical_Switch_Port",
            "name": "p",
            "uuid": "P",
            "columns": {"parent": {"before": ["S"], "after": ["S2"]}},
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_change(case: str) -> None:
    change, text, document = CASES[case]
    changes = ChangeSet((change,))
    assert text_from_changes(changes) == text
    assert json_from_changes(changes) == [document]
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("changes", "leftovers", "text"),
    [
        (ChangeSet(), 0, "nothing to do"),
        (ChangeSet(), 2, "nothing to do; 2 rows are no longer described (delete them with prune)"),
        (
            ChangeSet((Delete(SWITCH),)),
            1,
            "0 to insert, 0 to update, 1 to delete; 1 row is no longer described (delete it with prune)",
        ),
    ],
)
def test_the_summary(changes: ChangeSet, leftovers: int, text: str) -> None:
    assert summary(changes, leftovers) == text


@pytest.mark.parametrize(
    ("value", "text", "plain"),
    [
        (None, "[]", None),
        (True, "true", True),
        (False, "false", False),
        (7, "7", 7),
        ("x", "x", "x"),
        (frozenset({"b", "a"}), "[a, b]", ["a", "b"]),
        ({"b": "2", "a": "1"}, "{a=1, b=2}", {"a": "1", "b": "2"}),
    ],
)
def test_values(value: object, text: str, plain: object) -> None:
    assert text_from_value(value) == text  # type: ignore[arg-type]
    assert json_from_value(value) == plain  # type: ignore[arg-type]


def mine(**more: str) -> dict[str, str]:
    return {OWNER_KEY: "me", **more}


DATABASE = Snapshot.of(
    [
        Stored(
            "u1",
            LogicalSwitch(
                name="b_n1", external_ids=mine(**{"k8s.ovn.org/network": "b", "k8s.ovn.org/topology": "layer3"})
            ),
        ),
        Stored(
            "u2", LogicalSwitchPort(name="p", parent="b_n1", addresses=frozenset({"unknown"}), tag_request=3), ("u1",)
        ),
        Stored("u3", LogicalRouter(name="r", external_ids=mine())),
        Stored(
            "u4",
            LogicalRouterPort(name="rp", parent="r", mac="0a:58:00:00:00:01", networks=frozenset({"10.0.0.1/24"})),
            ("u3",),
        ),
        Stored("u5", GatewayChassis(name="rp-c", parent="rp", chassis_name="c"), ("u4",)),
        Stored("u6", LogicalSwitch(name="foreign")),
        Stored("u7", LoadBalancerGroup(name="g")),
    ]
)


def test_show() -> None:
    ours = """\
switch u1 (b_n1)  # layer3 network b
    port p
        addresses: [unknown]
        tag: 3
router u3 (r)
    port rp
        mac: 0a:58:00:00:00:01
        networks: [10.0.0.1/24]
        gateway chassis rp-c
            chassis_name: c"""
    assert text_from_snapshot(DATABASE, "me") == ours
    assert text_from_snapshot(DATABASE) == ours.replace("router u3", "switch u6 (foreign)\nrouter u3")
    assert text_from_snapshot(Snapshot.of([])) == ""


def test_show_as_json() -> None:
    assert json_from_snapshot(DATABASE, "me").keys() == {"Logical_Switch", "Logical_Router"}
    everything = json_from_snapshot(DATABASE)
    assert everything["Gateway_Chassis"] == [{"uuid": "u5", "name": "rp-c", "chassis_name": "c", "parent": "rp"}]
    assert [row["name"] for row in everything["Logical_Switch"]] == ["b_n1", "foreign"]


def test_a_plan_as_json() -> None:
    problem = Problem("subnets", "no", "'x'", "network b", Position("f.yaml", 3, 4))
    plan = Plan("me", ChangeSet((Delete(SWITCH),)), Desired(RowSet(), (problem,)), 2)
    document = json.loads(plan.to_json())
    assert document == plan.to_dict()
    assert {key: document[key] for key in ("owner", "is_empty", "counts", "leftovers")} == {
        "owner": "me",
        "is_empty": False,
        "counts": {"insert": 0, "update": 0, "delete": 1},
        "leftovers": 2,
    }
    assert document["problems"] == [
        {
            "subject": "network b",
            "path": "subnets",
            "why": "no",
            "given": "'x'",
            "file": "f.yaml",
            "line": 3,
            "column": 4,
        }
    ]
    assert "file" not in json_from_problem(Problem("subnets", "no"))


def test_a_whole_plan_reads_like_this() -> None:
    topology = Topology(
        networks=[Localnet(name="lan", subnets="10.0.0.0/24", vlan_id=7)],
        pods=[Pod(name="p", uid="u", node="n1", networks="lan")],
    )
    assert (
        str(Reconciler(SnapshotNb(), owner="me").plan(topology))
        == """\
+ Logical_Switch lan_ovn_localnet_switch
    other_config = {subnet=10.0.0.0/24}
    external_ids = {k8s.ovn.org/network=lan, k8s.ovn.org/role=secondary, k8s.ovn.org/topology=localnet, \
ovnk8s-topo/owner=me}
+ Logical_Switch_Port default.lan_default_p in Logical_Switch lan_ovn_localnet_switch
    addresses = [0a:58:0a:00:00:01 10.0.0.1]
    port_security = [0a:58:0a:00:00:01 10.0.0.1]
    options = {iface-id-ver=u, requested-chassis=n1}
    external_ids = {k8s.ovn.org/nad=default/lan, k8s.ovn.org/network=lan, k8s.ovn.org/topology=localnet, \
namespace=default, ovnk8s-topo/owner=me, pod=true}
+ Logical_Switch_Port lan_ovn_localnet_port in Logical_Switch lan_ovn_localnet_switch
    type = localnet
    addresses = [unknown]
    options = {network_name=lan}
    external_ids = {ovnk8s-topo/owner=me}
    tag_request = 7
3 to insert, 0 to update, 0 to delete"""
    )
