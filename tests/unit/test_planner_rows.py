"""What each topology looks like in OVN, for every style and family, and how things are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ovnk8s_topo.nb.rowset import RowSet
from ovnk8s_topo.nb.tables import Key, Row
from ovnk8s_topo.planner import Desired, desired_from_topology
from ovnk8s_topo.spec import Gaps, Layer2, Layer3, Localnet, Network, Node, Pod, Style, Topology

STYLES: tuple[Style, ...] = ("2023", "2024")
NETWORK, TOPOLOGY, ROLE = "k8s.ovn.org/network", "k8s.ovn.org/topology", "k8s.ovn.org/role"


def planned(
    *networks: Network, nodes: str = "n1", pods: tuple[Pod, ...] = (), style: Style = "2024", **more: Any
) -> Desired:
    return desired_from_topology(
        Topology(networks=networks, nodes=[Node(name=name) for name in nodes.split()], pods=pods, style=style, **more)
    )


def row(rows: RowSet, table: str, name: str) -> Any:
    return rows[Key(table, name)]


def names(rows: Mapping[Key, Row], table: str) -> set[str]:
    return {key.name for key in rows if key.table == table}


FAMILIES: Mapping[str, tuple[str, dict[str, str], set[str], str]] = {
    "v4": (
        "10.33.0.0/16/24",
        {"subnet": "10.33.0.0/24", "exclude_ips": "10.33.0.2"},
        {"10.33.0.1/24"},
        "0a:58:0a:21:00:01",
    ),
    "v6": ("fd01::/48", {"ipv6_prefix": "fd01:0:0:1::"}, {"fd01:0:0:1::1/64"}, "0a:58:06:cc:5b:0e"),
    "dual": (
        "10.33.0.0/16/24,fd01::/48",
        {"subnet": "10.33.0.0/24", "exclude_ips": "10.33.0.2", "ipv6_prefix": "fd01:0:0:1::"},
        {"10.33.0.1/24", "fd01:0:0:1::1/64"},
        "0a:58:0a:21:00:01",
    ),
    "dual, v6 first": (
        "fd01::/48,10.33.0.0/16/24",
        {"subnet": "10.33.0.0/24", "exclude_ips": "10.33.0.2", "ipv6_prefix": "fd01:0:0:1::"},
        {"10.33.0.1/24", "fd01:0:0:1::1/64"},
        "0a:58:0a:21:00:01",
    ),
    "two of one family": (
        "10.33.0.0/16/24,10.44.0.0/16/24",
        {"subnet": "10.33.0.0/24", "exclude_ips": "10.33.0.2"},
        {"10.33.0.1/24"},
        "0a:58:0a:21:00:01",
    ),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_layer3(family: str, style: Style) -> None:
    subnets, other_config, gateways, mac = FAMILIES[family]
    rows = planned(Layer3(name="l3-net", subnets=subnets), style=style).rows
    identity = {NETWORK: "l3-net", TOPOLOGY: "layer3"}
    switch = row(rows, "Logical_Switch", "l3.net_n1")
    assert switch.other_config == other_config
    assert switch.external_ids == identity | ({ROLE: "secondary"} if style == "2024" else {})
    groups = {"l3.net_clusterLBGroup", "l3.net_clusterSwitchLBGroup"}
    assert switch.load_balancer_group == (groups if style == "2024" else set())
    assert names(rows, "Load_Balancer_Group") == (
        groups | {"l3.net_clusterRouterLBGroup"} if style == "2024" else set()
    )
    router = row(rows, "Logical_Router", "l3.net_ovn_cluster_router")
    version = {"k8s-ovn-topo-version": "5"} if style == "2023" else {}
    assert router.external_ids == identity | version | {"k8s-cluster-router": "yes"}
    assert (router.options, router.copp) == ({"always_learn_from_arp_request": "false"}, "ovnkube-default")
    port = row(rows, "Logical_Router_Port", "rtos-l3.net_n1")
    assert (port.parent, port.networks, port.mac) == ("l3.net_ovn_cluster_router", gateways, mac)
    link = row(rows, "Logical_Switch_Port", "stor-l3.net_n1")
    assert (link.parent, link.type, link.addresses) == ("l3.net_n1", "router", {"router"})
    assert link.options == {"router-port": "rtos-l3.net_n1"}
    assert len(names(rows, "Meter")) == (9 if style == "2024" else 8)
    assert len(row(rows, "Copp", "ovnkube-default").meters) == (9 if style == "2024" else 8)


def test_a_node_without_chassis_id_lends_its_name() -> None:
    topology = Topology(
        networks=[Layer3(name="b", subnets="10.0.0.0/16")],
        nodes=[Node(name="n-1", chassis_id="5ab1"), Node(name="n-2")],
    )
    rows = desired_from_topology(topology).rows
    assert row(rows, "Gateway_Chassis", "rtos-b_n-1-5ab1").chassis_name == "5ab1"
    named = row(rows, "Gateway_Chassis", "rtos-b_n-2-n-2")
    assert (named.chassis_name, named.priority, named.parent) == ("n-2", 1, "rtos-b_n-2")


FLAT: Mapping[str, tuple[str, dict[str, str]]] = {
    "none": ("", {}),
    "v4": ("10.22.0.0/16", {"subnet": "10.22.0.0/16"}),
    "v6": ("fd02::/64", {"ipv6_prefix": "fd02::"}),
    "dual": ("10.22.0.0/16,fd02::/64", {"ipv6_prefix": "fd02::"}),
    "dual, v6 first": ("fd02::/64,10.22.0.0/16", {"subnet": "10.22.0.0/16"}),
    "two of one family": ("10.22.0.0/24,10.23.0.0/24", {"subnet": "10.23.0.0/24"}),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", [Layer2, Localnet])
@pytest.mark.parametrize("family", FLAT)
def test_one_switch_for_all_nodes(family: str, kind: type[Layer2 | Localnet], style: Style) -> None:
    subnets, other_config = FLAT[family]
    network = kind(name="a-b/c.d", subnets=subnets)
    rows = planned(network, nodes="n1 n2", style=style).rows
    switch = row(rows, "Logical_Switch", f"a.b.c.d_ovn_{network.topology}_switch")
    told = {ROLE: "secondary"} if style == "2024" else {"k8s-ovn-topo-version": "5"}
    assert switch.external_ids == {NETWORK: "a-b/c.d", TOPOLOGY: network.topology} | told
    assert switch.other_config == other_config
    grouped = style == "2024" and kind is Layer2
    assert names(rows, "Load_Balancer_Group") == (
        {f"a.b.c.d_cluster{which}LBGroup" for which in ("", "Switch", "Router")} if grouped else set()
    )
    assert names(rows, "Copp") == ({"ovnkube-default"} if grouped else set())
    assert not names(rows, "Logical_Router")


@pytest.mark.parametrize(
    ("style", "fields", "expected"),
    [
        ("2023", {}, "lan.x_br-localnet"),
        ("2023", {"physical_network_name": "phys"}, "lan.x_br-localnet"),
        ("2024", {}, "lan-x"),
        ("2024", {"physical_network_name": "phys"}, "phys"),
    ],
)
def test_what_a_localnet_port_asks_for(style: Style, fields: dict[str, str], expected: str) -> None:
    rows = planned(Localnet(name="lan-x", vlan_id=7, **fields), style=style).rows
    port = row(rows, "Logical_Switch_Port", "lan.x_ovn_localnet_port")
    assert (port.parent, port.type, port.addresses) == ("lan.x_ovn_localnet_switch", "localnet", {"unknown"})
    assert (port.options, port.tag_request) == ({"network_name": expected}, 7)
    assert not port.external_ids


@pytest.mark.parametrize("vlan_id", [None, 0])
def test_no_vlan_is_no_tag(vlan_id: int | None) -> None:
    rows = planned(Localnet(name="lan", vlan_id=vlan_id)).rows
    assert row(rows, "Logical_Switch_Port", "lan_ovn_localnet_port").tag_request is None


@pytest.mark.parametrize("style", STYLES)
def test_a_pod_port_has_the_names_of_its_definition_and_of_its_network(style: Style) -> None:
    pod = Pod(namespace="kube-system", name="Web.0-A", uid="u-1", node="n-1", networks=[{"name": "nad.x-y"}])
    network = Layer2(name="l2-net", subnets="10.22.0.0/16,fd02::/64", nads="kube-system/nad.x-y")
    rows = planned(network, nodes="n-1", pods=(pod,), style=style).rows
    port = row(rows, "Logical_Switch_Port", "kube.system.nad.x.y_kube-system_Web.0-A")
    assert port.parent == "l2.net_ovn_layer2_switch"
    assert port.addresses == port.port_security == {"0a:58:0a:16:00:01 10.22.0.1 fd02::1"}
    assert port.options == {"requested-chassis": "n-1", "iface-id-ver": "u-1"}
    assert port.external_ids == {
        "namespace": "kube-system",
        "pod": "true",
        NETWORK: "l2-net",
        TOPOLOGY: "layer2",
        "k8s.ovn.org/nad": "kube-system/nad.x-y",
    }


@pytest.mark.parametrize("style", STYLES)
def test_one_definition_twice_in_a_pod_makes_two_ports(style: Style) -> None:
    pods = (Pod(name="p", node="n1", networks="l2,default/l2"),)
    done = planned(Layer2(name="l2", subnets="10.22.0.0/16"), pods=pods, style=style)
    assert not done.problems
    ports = {key.name: done.rows[key] for key in done.rows if key.table == "Logical_Switch_Port"}
    assert set(ports) == {"default.l2_default_p", "default.l2.1_default_p"}
    assert row(done.rows, "Logical_Switch_Port", "default.l2.1_default_p").external_ids["k8s.ovn.org/nad"] == (
        "default/l2/1"
    )


def test_two_definitions_of_one_network_in_a_pod_make_two_ports_in_one_switch() -> None:
    network = Layer3(name="l3", subnets="10.33.0.0/16", nads=["a/one", "b/two"])
    done = planned(network, pods=(Pod(namespace="a", name="p", node="n1", networks="one,b/two"),))
    ports = {port: str(grant.addresses[0]) for port, grant in done.grants.items()}
    assert ports == {"a.one_a_p": "10.33.0.3", "b.two_a_p": "10.33.0.4"}


COLLISIONS = {
    "namespace and name": (["kube-system/l2", "kube/system-l2"], "kube-system/l2,kube/system-l2", "kube.system.l2"),
    "index and name": (["ns/nad", "ns/nad-1"], "ns/nad,ns/nad,ns/nad-1", "ns.nad.1"),
}


@pytest.mark.parametrize("case", COLLISIONS)
@pytest.mark.parametrize("apart", [False, True])
def test_two_attachments_of_one_port_name_are_refused_both(case: str, apart: bool) -> None:
    nads, selection, port = COLLISIONS[case]
    networks: list[Network] = [
        Layer2(name="l2", nads=nads[0], subnets="10.1.0.0/24"),
        Localnet(name="lan", nads=nads[1]),
    ]
    if not apart:
        networks = [Layer2(name="l2", nads=nads, subnets="10.1.0.0/24")]
    done = planned(*networks, pods=(Pod(namespace="ns", name="p", node="n1", networks=selection),))
    texts = [str(problem) for problem in done.problems]
    assert len(texts) == 2
    assert all(f"its port {port}_ns_p is that of Pod ns/p (" in text for text in texts)
    assert Key("Logical_Switch_Port", f"{port}_ns_p") not in done.rows
    assert done.gaps.pods == {"ns/p"}


def test_two_nodes_of_one_gateway_chassis_name_are_refused_both() -> None:
    nodes = [Node(name="n-1", chassis_id="c"), Node(name="n", chassis_id="1-c"), Node(name="ok")]
    done = desired_from_topology(Topology(networks=[Layer3(name="b", subnets="10.0.0.0/16")], nodes=nodes))
    assert [str(problem) for problem in done.problems] == [
        "network b, Node n-1: name: its Gateway_Chassis rtos-b_n-1-c is that of network b, Node n too"
    ]
    assert done.gaps.nodes == {"n", "n-1"}
    assert names(done.rows, "Logical_Switch") == {"b_ok"}
    assert names(done.rows, "Gateway_Chassis") == {"rtos-b_ok-ok"}


@pytest.mark.parametrize(
    "fields",
    [{"host_network": True}, {"phase": "Succeeded"}, {"phase": "Failed"}, {"node": ""}, {"networks": "other"}],
    ids=str,
)
def test_pods_that_have_no_ports(fields: dict[str, Any]) -> None:
    pod = Pod(**{"name": "p", "node": "n1", "networks": "l2"} | fields)
    done = planned(Layer2(name="l2", subnets="10.22.0.0/16"), pods=(pod,))
    assert not done.grants
    assert not done.problems
    assert not names(done.rows, "Logical_Switch_Port")


def test_pods_of_a_flat_network_need_no_described_node() -> None:
    done = planned(Localnet(name="lan"), nodes="", pods=(Pod(name="p", node="far", networks="lan"),))
    assert row(done.rows, "Logical_Switch_Port", "default.lan_default_p").options == {"requested-chassis": "far"}


def test_a_pod_on_an_undescribed_node_gets_nothing_of_a_layer3_network() -> None:
    network = Layer3(name="l3", subnets="10.0.0.0/16")
    done = planned(network, pods=(Pod(name="p", node="far", networks="l3"),))
    assert [str(problem) for problem in done.problems] == [
        "Pod default/p (default/l3): node: its node far has no subnet of network l3"
    ]
    assert done.gaps == Gaps(pods={"default/p"}, nodes={"far"})


def test_pods_that_get_nothing_are_named_in_order() -> None:
    pods = tuple(Pod(name=name, node=node, networks="l3") for name, node in (("a", "far"), ("b", "away"), ("c", "far")))
    done = planned(Layer3(name="l3", subnets="10.0.0.0/16"), pods=pods)
    assert [problem.subject.split()[1] for problem in done.problems] == ["default/a", "default/b", "default/c"]


def test_without_a_row_goes_what_was_made_for_the_same() -> None:
    pods = (Pod(name="p", node="n1", networks="l3,l2"), Pod(name="q", node="n2", networks="l3"))
    networks = (Layer3(name="l3", subnets="10.0.0.0/16"), Layer2(name="l2"))
    done = planned(*networks, nodes="n1 n2", pods=pods)
    assert done.without([]) is done
    node = done.without([Key("Logical_Switch", "l3_n1")])
    assert names(node.rows, "Logical_Router_Port") == {"rtos-l3_n2"}
    assert node.grants.keys() == {"default.l2_default_p", "default.l3_default_q"}
    assert node.gaps.nodes == {"n1"}
    network = done.without([Key("Logical_Router", "l3_ovn_cluster_router")])
    assert names(network.rows, "Logical_Switch") == {"l2_ovn_layer2_switch"}
    assert names(network.rows, "Meter") == names(done.rows, "Meter")
    assert network.gaps.networks == {"l3"}
    port = done.without([Key("Logical_Switch_Port", "default.l3_default_p")])
    assert set(done.rows) - set(port.rows) == {Key("Logical_Switch_Port", "default.l3_default_p")}
    assert port.gaps.pods == {"default/p"}
