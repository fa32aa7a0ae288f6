"""Rows against what OVN-Kubernetes was seen or tested to write: one JSON file a source, one entry a case."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo.nb.columns import Value
from ovnk8s_topo.nb.rowset import RowSet
from ovnk8s_topo.nb.tables import TABLES, Row
from ovnk8s_topo.planner import desired_from_topology
from ovnk8s_topo.spec import Attachment, Given, Network, Node, Pod, Topology
from ovnk8s_topo.spec.network import network_from_fields

DATA = Path(__file__).parent / "planner"
NUMBER_WORDS = {"one row": 1, "two rows": 2, "three rows": 3}

PRIMARY = "a primary network: the role is a seam so far"
MIGRATION = "KubeVirt live migration is not modelled"

LEFT_OUT = {
    "localnet-failed-migration-remote-source-noop": "one database for each node; here one holds the pods of all nodes",
    "l3-primary-udn-shared-gw": PRIMARY,
    "l3-primary-udn-local-gw": PRIMARY,
    "l3-primary-evpn-no-transit": PRIMARY,
    "l3-primary-remote-node-without-nad-ignored": PRIMARY,
    "l3-primary-cleanup-removes-everything": PRIMARY,
    "l2-secondary-kubevirt-target-ready": MIGRATION,
    "l2-secondary-kubevirt-target-failed": MIGRATION,
    "l2-primary-udn-shared-gw": PRIMARY,
    "l2-primary-stale-remote-node-removed": PRIMARY,
    "l2-primary-remote-node-becomes-inactive": PRIMARY,
    "l2-last-join-ips-small-v4": PRIMARY,
    "l2-evpn-macvrf-deny-acl-v4": "EVPN transport, primary networks only",
    "l2-evpn-macvrf-deny-acl-v6": "EVPN transport, primary networks only",
    "lr-l3-multicast": "multicast relay is written for primary networks only",
    "lr-l3-local-gw-ct-commit-all": "the gateway mode of the cluster; written only since 2025",
    "lr-l2-transit-router-local-gw": PRIMARY,
    "lr-default": "the cluster's default network is not ours",
    "join-switch-without-router-fails": PRIMARY,
    "join-switch": PRIMARY,
}

INTERCONNECT = {
    "Logical_Switch": {"isolatednet_transit_switch"},
    "Logical_Switch_Port": {"isolatednet_tstor-test-node"},
    "Logical_Router_Port": {"isolatednet_rtots-test-node"},
}
"""Rows of the 2026 releases, which join one database for each node; we write one for all nodes."""


def cases(file: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((DATA / f"{file}.json").read_text())
    return loaded


def all_cases() -> Iterator[dict[str, Any]]:
    for path in sorted(DATA.glob("*.json")):
        yield from cases(path.stem)


def case(name: str) -> dict[str, Any]:
    return next(entry for entry in all_cases() if entry["name"] == name)


def network_of(given: Mapping[str, Any]) -> Network:
    netconf = given["netconf"]
    known = {"name", "subnets", "mtu", "excludeSubnets", "vlanID", "physicalNetworkName", "allowPersistentIPs"}
    fields = {key: value for key, value in netconf.items() if key in known}
    nad = netconf.get("netAttachDefName", f"default/{netconf['name']}")
    return network_from_fields(netconf["topology"], nads=nad, **fields)


def node_of(node: Mapping[str, Any], network: str) -> Node:
    annotations = node.get("annotations", {})
    slices = json.loads(annotations.get("k8s.ovn.org/node-subnets", "{}"))
    given = node.get("subnet") or slices.get(network, ())
    chassis = annotations.get("k8s.ovn.org/node-chassis-id", "")
    return Node(name=node["name"], chassis_id=chassis, subnets={network: given} if given else {})


def rows_by_table(rows: RowSet) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
    for key, row in rows.items():
        found[key.table][key.name] = row
    return found


def members(rows: RowSet, table: str, name: str, column: str) -> frozenset[str]:
    """Names of the rows that a row holds through a member column such as `ports`."""
    return frozenset(
        key.name for key, row in rows.items() if row.TABLE.parent == (table, column) and row.parent_key == (table, name)
    )


def column_value(rows: RowSet, row: Row, column: str) -> Value:
    if any(table.parent == (row.key.table, column) for table in TABLES.values()):
        return members(rows, row.key.table, row.key.name, column)
    return row.get(column) if column in row.TABLE.columns else None


def agrees(actual: Value, expected: Any) -> bool:
    counted = next((n for words, n in NUMBER_WORDS.items() if str(expected).startswith(words)), None)
    if counted is not None:
        return (len(actual) if isinstance(actual, frozenset) else int(actual is not None)) == counted
    if isinstance(expected, list):
        many = actual if isinstance(actual, frozenset) else frozenset(() if actual is None else (str(actual),))
        return many == frozenset(name_of(text) for text in expected)
    return bool(actual == expected)


def name_of(text: str) -> str:
    """Return the name in a reference such as ``Copp:ovnkube-default``, and any other text as it is."""
    table, _, name = text.partition(":")
    return name if table in TABLES else text


def assert_rows(rows: RowSet, table: str, expected: list[dict[str, Any]]) -> None:
    found = rows_by_table(rows)[table]
    for wanted in expected:
        row = found[wanted["name"]] if "name" in wanted else next(iter(found.values()))
        for column, value in wanted.items():
            if column.startswith("#"):
                continue
            actual = column_value(rows, row, column)
            assert agrees(actual, value), f"{row.key}.{column}: {actual!r} is not {value!r}"


@pytest.mark.parametrize("entry", cases("seed_2023"), ids=lambda entry: entry["name"])
def test_rows_of_the_2023_cluster(entry: dict[str, Any]) -> None:
    given, expected = entry["input"], dict(entry["expect"])
    network = network_of(given)
    uids = {
        row["name"]: row["options"]["iface-id-ver"]
        for row in expected["Logical_Switch_Port"]
        if "iface-id-ver" in row.get("options", {})
    }
    pods = [seed_pod(pod, given["nad"], uids, expected) for pod in given["pods"]]
    nodes = [node_of(node, network.name) for node in given["nodes"]]
    rows = desired_from_topology(Topology(networks=[network], nodes=nodes, pods=pods, style="2023")).rows
    for table in sorted(expected.keys() & TABLES.keys()):
        if entry["name"] == "seed-localnet" and table == "Logical_Switch":
            # The switch was printed before the pods came.
            expected[table] = [{k: v for k, v in row.items() if k != "ports"} for row in expected[table]]
        assert_rows(rows, table, expected[table])


def seed_pod(pod: Mapping[str, Any], nad: str, uids: Mapping[str, str], expected: Mapping[str, Any]) -> Pod:
    port = f"{nad.replace('/', '.').replace('-', '.')}_{pod['namespace']}_{pod['name']}"
    given = {}
    if "localnet" in nad:
        # Earlier pods of that cluster had taken .2 and .3; its pods were told theirs by annotation.
        address = next(row for row in expected["Logical_Switch_Port"] if row["name"] == port)["addresses"][0].split()[1]
        given = {nad: Given(ips=(f"{address}/24",))}
    return Pod(
        namespace=pod["namespace"],
        name=pod["name"],
        node=pod["node"],
        uid=uids.get(port, ""),
        networks=f"{nad}@eth1",
        given=given,
    )


def test_layer3_rows_without_interconnect() -> None:
    entry = case("l3-secondary-local-node-one-pod")
    given = entry["input"]
    network = network_of(given)
    pod = given["pods"][0]
    pods = [
        Pod(
            namespace=pod["namespace"],
            name=pod["name"],
            uid=pod["uid"],
            node=pod["node"],
            networks=(Attachment(namespace="namespace1", name="blue-net"),),
        )
    ]
    nodes = [node_of(node, network.name) for node in given["nodes"]]
    rows = desired_from_topology(Topology(networks=[network], nodes=nodes, pods=pods)).rows
    for table in sorted(entry["expect"].keys() & TABLES.keys()):
        expected = [without_interconnect(table, row) for row in entry["expect"][table] if not is_ic(table, row)]
        if table != "Meter_Band":
            assert {row["name"] for row in expected} == set(rows_by_table(rows)[table])
        assert_rows(rows, table, expected)


def is_ic(table: str, row: Mapping[str, Any]) -> bool:
    return row.get("name") in INTERCONNECT.get(table, ())


def without_interconnect(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(row)
    if table == "Logical_Router":
        kept["ports"] = [name for name in row["ports"] if name not in INTERCONNECT["Logical_Router_Port"]]
    if table == "Logical_Router_Port":
        del kept["options"]  # gateway_mtu came after the releases that we follow
    if table == "Meter":
        kept["bands"] = ["drop 25 0"]
    if "requested-chassis" in row.get("options", {}):
        kept["options"] = row["options"] | {"requested-chassis": "test-node"}  # the chassis id since 2026-02
    if table == "Meter_Band":
        kept.pop("name", None)
    return kept


@pytest.mark.parametrize("name", ["lr-l3-no-multicast", "lr-l3-shared-gw"])
def test_router_rows_are_those_of_a_primary_network(name: str) -> None:
    entry = case(name)
    netconf = {key: value for key, value in entry["input"]["netconf"].items() if key != "role"}
    rows = desired_from_topology(Topology(networks=[network_of({"netconf": netconf})])).rows
    expected = dict(entry["expect"]["Logical_Router"][0])
    expected |= {"name": "angrytenant_ovn_cluster_router", "copp": ["ovnkube-default"]}
    assert_rows(rows, "Logical_Router", [expected])


def test_localnet_names_without_subnets() -> None:
    entry = case("localnet-ipamless-names")
    network = network_of(entry["input"])
    pod = entry["input"]["pods"][0]
    told = Given(mac="0a:58:0a:80:00:05", ips=("10.128.0.5/24",))
    pods = [
        Pod(namespace=pod["namespace"], name=pod["name"], node=pod["node"], networks="mgmt", given={"awips/mgmt": told})
    ]
    rows = desired_from_topology(Topology(networks=[network], pods=pods)).rows
    port = {key: value for key, value in entry["expect"]["Logical_Switch_Port"][0].items() if key != "enabled"}
    assert_rows(rows, "Logical_Switch_Port", [port])
    assert port["name"] in members(rows, "Logical_Switch", "mgmt_ovn_localnet_switch", "ports")


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("localnet-cluster-manager-without-subnets", 0),
        ("localnet-cluster-manager-with-subnets", 2),
    ],
)
def test_localnet_hands_out_addresses_only_with_subnets(name: str, addresses: int) -> None:
    given = case(name)["input"]
    pods = [Pod(name="web", node="node1", networks="blue")]
    nodes = [node_of(node, "blue") for node in given["nodes"]]
    desired = desired_from_topology(Topology(networks=[network_of(given)], nodes=nodes, pods=pods))
    assert [len(grant.addresses) for grant in desired.grants.values()] == [addresses]


def test_every_case_is_run_or_left_out_with_a_reason() -> None:
    run = {entry["name"] for entry in cases("seed_2023")} | {
        "l3-secondary-local-node-one-pod",
        "lr-l3-no-multicast",
        "lr-l3-shared-gw",
        "localnet-ipamless-names",
        "localnet-cluster-manager-without-subnets",
        "localnet-cluster-manager-with-subnets",
    }
    assert run | LEFT_OUT.keys() == {entry["name"] for entry in all_cases()}
    assert not run & LEFT_OUT.keys()
