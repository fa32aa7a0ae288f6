"""Every rule of what can be wanted, with its text and the path of the field at fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.spec import Attachment, Cluster, Gaps, Given, IpamClaim, Layer2, Layer3, Localnet, Node, Pod, Topology
from ovnk8s_topo.spec.network import network_from_fields

NAME = "must be at most 253 letters, digits, `-` or `.`, starting and ending with a letter or digit"

RULES: list[tuple[Any, dict[str, Any], str]] = [
    # names
    (Layer2, {"name": ""}, "name: invalid name in in secondary network netconf () (got '')"),
    (Layer2, {"name": "default"}, "name: invalid name in in secondary network netconf (default) (got 'default')"),
    (Layer2, {"name": " x"}, "name: must be printable and must not start or end with a blank (got ' x')"),
    (Layer2, {"name": "a\nb"}, "name: must be printable and must not start or end with a blank (got 'a\\nb')"),
    (Layer2, {}, "name: field required"),
    (Layer2, {"name": "x", "nads": "x"}, "nads: must be <namespace>/<name> (got 'x')"),
    (Layer2, {"name": "x", "nads": "a/b/c"}, "nads: must be <namespace>/<name> (got 'a/b/c')"),
    (Layer2, {"name": "x", "vlanID": 5}, "vlanID: there is no such field (got 5)"),
    (Node, {"name": "a_b"}, f"name: {NAME} (got 'a_b')"),
    (Node, {"name": "a" * 254}, f"name: {NAME} (got '{'a' * 254}')"),
    (Pod, {"name": "-p"}, f"name: {NAME} (got '-p')"),
    (Pod, {"name": "p", "namespace": "a/b"}, f"namespace: {NAME} (got 'a/b')"),
    # numbers
    (Layer2, {"name": "x", "mtu": 575}, "mtu: must be 576..65536 (got 575)"),
    (Layer2, {"name": "x", "mtu": 65537}, "mtu: must be 576..65536 (got 65537)"),
    (
        Layer2,
        {"name": "x", "mtu": 1279, "subnets": "fd00::/64"},
        "mtu: must be at least 1280 when IPv6 subnets are used (got 1279)",
    ),
    (Localnet, {"name": "x", "vlanID": 4095}, "vlanID: must be 1..4094 (got 4095)"),
    (Localnet, {"name": "x", "vlan_id": -1}, "vlan_id: must be 1..4094 (got -1)"),
    (
        Localnet,
        {"name": "x", "physicalNetworkName": "a:b"},
        "physicalNetworkName: physicalNetworkName cannot contain `,` or `:` characters (got 'a:b')",
    ),
    (Cluster, {"mtu": 1}, "mtu: input should be greater than or equal to 576 (got 1)"),
    # subnets
    (Layer3, {"name": "x"}, "subnets: field required"),
    (
        Layer3,
        {"name": "x", "subnets": ""},
        "subnets: must have at least 1 entry",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "10.0.0.0"},
        "subnets[0]: CIDR \"10.0.0.0\" not properly formatted (got '10.0.0.0')",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "10.0.0.0/16, 10.0.0.0/16/x"},
        "subnets[1]: CIDR \"10.0.0.0/16/x\" not properly formatted (got '10.0.0.0/16/x')",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "10.0.0.0/33"},
        "subnets[0]: invalid CIDR address: 10.0.0.0/33 (got '10.0.0.0/33')",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "10.0.0.0/24"},
        "subnets[0]: cannot use a host subnet length mask shorter than or equal to the cluster subnet mask. "
        "host subnet length: 24, cluster subnet length: 24 (got '10.0.0.0/24')",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "10.0.0.0/16/33"},
        "subnets[0]: invalid host subnet, IPv4 subnet must be < 32 (got '10.0.0.0/16/33')",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "fd00::/48/65"},
        "subnets[0]: IPv6 only supports /64 host subnets (got 'fd00::/48/65')",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "10.0.0.0/16/31"},
        "subnets: a node's slice must be a /30 or larger to hold gateway and management address (got 10.0.0.0/16/31)",
    ),
    (
        Layer3,
        {"name": "x", "subnets": "10.0.0.0/16/24,10.1.0.0/16/25"},
        "subnets: all IPv4 cluster subnet entries must have the same host subnet length; found 24 and 25",
    ),
    (
        Layer2,
        {"name": "x", "subnets": "10.0.0.0/16/24"},
        "subnets[0]: CIDR \"10.0.0.0/16/24\" not properly formatted (got '10.0.0.0/16/24')",
    ),
    (Layer2, {"name": "x", "subnets": 5}, "subnets: must be a comma-separated text or a list (got int) (got 5)"),
    (Layer2, {"name": "x", "subnets": [5]}, "subnets[0]: must be a text (got int) (got '5')"),
    (
        Layer2,
        {"name": "x", "subnets": "10.0.0.0/16,10.0.1.0/24"},
        "subnets: pod or join subnet overlaps with already configured internal subnets: "
        'subnet "10.0.1.0/24" overlaps subnet "10.0.0.0/16"',
    ),
    (
        Layer2,
        {"name": "x", "subnets": "10.0.0.0/16", "excludeSubnets": "10.1.0.0/24"},
        "excludeSubnets: the provided network subnets do not contain excluded subnets 10.1.0.0/24",
    ),
    # pods
    (Pod, {"name": "p", "networks": "a/b/c"}, "networks[0]: parsePodNetworkAnnotation: Invalid network object "),
    (Pod, {"name": "p", "networks": [{}]}, "networks[0].name: field required"),
    (Attachment, {"name": "x", "ips": ["10.0.0.0/33"]}, "ips: invalid CIDR address: 10.0.0.0/33"),
    (Attachment, {"name": "x", "ips": ["10.0.0"]}, "ips: invalid IP address: 10.0.0"),
    (Attachment, {"name": "x", "mac": "01:00:00:00:00:01"}, "mac: not a unicast MAC address: 01:00:00:00:00:01 (got "),
    (Attachment, {"name": "x", "mac": "x"}, "mac: invalid MAC address: x (got 'x')"),
    (Given, {"ips": ["10.0.0.1"]}, "ips: invalid CIDR address: 10.0.0.1"),
    (Node, {"name": "n", "subnets": {"l3": "x"}}, "subnets.l3[0]: CIDR \"x\" not properly formatted (got 'x')"),
    # topologies
    (Topology, {"style": "2020"}, "style: input should be '2023' or '2024' (got '2020')"),
    (Topology, {"networks": [{"name": "x"}]}, "networks[0].topology: field required"),
    (
        Topology,
        {"networks": [{"name": "x", "topology": "layer4"}]},
        "networks[0].topology: topology layer4 not supported",
    ),
    (
        Topology,
        {"networks": [{"name": "x", "topology": "localnet", "vlanID": 4095}]},
        "networks[0].vlanID: must be 1..4094 (got 4095)",
    ),
    (
        Topology,
        {"networks": [Layer2(name="ok"), {"name": "x", "topology": "layer2", "subnets": "y"}]},
        "networks[1].subnets[0]: CIDR \"y\" not properly formatted (got 'y')",
    ),
    (
        Topology,
        {"networks": [Layer2(name="x", nads="a/1"), Localnet(name="x", nads="a/2")]},
        "network x: networks: two networks have this name",
    ),
    (
        Topology,
        {"networks": [Layer2(name="a-b"), Localnet(name="a.b")]},
        "network a.b: name: its OVN names would be those of network a-b: `-`, `/` and `.` are one there",
    ),
    (
        Topology,
        {"networks": [Layer2(name="a", nads="n/x"), Localnet(name="b", nads="n/x")]},
        "NetworkAttachmentDefinition n/x: nads: leads to network a already",
    ),
    (Topology, {"nodes": [Node(name="n"), Node(name="n")]}, "Node n: nodes: two nodes have this name"),
    (Topology, {"pods": [Pod(name="p"), Pod(name="p")]}, "Pod default/p: pods: two pods have this name"),
    (
        Topology,
        {"networks": [Layer2(name="x", subnets="100.65.0.0/24")]},
        "network x: subnets: invalid subnet configuration: pod or join subnet overlaps with already configured "
        'internal subnets: user defined join subnet "100.65.0.0/16" overlaps user defined subnet "100.65.0.0/24"',
    ),
]


@pytest.mark.parametrize(("kind", "fields", "text"), RULES, ids=lambda value: getattr(value, "__name__", None))
def test_rule(kind: Any, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError) as caught:
        kind(**fields)
    assert str(caught.value).startswith(text)
    assert len(caught.value.problems) == 1


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        Topology(networks=[{"topology": "localnet", "name": "", "vlanID": 9999, "foo": 1}], nodes=[{"name": "_"}])
    assert [problem.path for problem in caught.value.problems] == [
        "networks[0].name",
        "networks[0].vlanID",
        "networks[0].foo",
        "nodes[0].name",
    ]


def test_an_unknown_topology() -> None:
    with pytest.raises(SpecError, match="topology: topology bridge not supported"):
        network_from_fields("bridge", name="x")
    assert network_from_fields("layer2", name="x") == Layer2(name="x")


ACCEPTED: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (Layer3, {"name": "x", "subnets": "10.0.1.2/16"}, {"subnets": "10.0.0.0/16/24"}),
    (Layer3, {"name": "x", "subnets": ["10.0.0.0/16/30", "fd00::/48"]}, {"subnets": "10.0.0.0/16/30,fd00::/48/64"}),
    (Layer2, {"name": "x", "subnets": " "}, {"subnets": ""}),
    (Layer2, {"name": "x", "mtu": 0}, {"mtu": None}),
    (Localnet, {"name": "x", "vlanID": 0}, {"vlan_id": None}),
    (Layer2, {"name": "x", "nads": ["b/x", "a/x", "b/x"]}, {"nads": ("a/x", "b/x")}),
    (Layer2, {"name": "x", "netAttachDefName": "a/x"}, {"nads": ("a/x",)}),
    (Attachment, {"name": "x", "mac": "0A-58-00-00-00-01"}, {"mac": "0a:58:00:00:00:01"}),
]


@pytest.mark.parametrize(("kind", "fields", "dumped"), ACCEPTED)
def test_what_is_accepted_has_one_form(kind: Any, fields: dict[str, Any], dumped: dict[str, Any]) -> None:
    assert kind(**fields).model_dump().items() >= dumped.items()


def test_localnets_may_overlap_anything_and_excluded_subnets_count_for_nothing() -> None:
    assert Topology(networks=[Localnet(name="x", subnets="100.65.0.0/24")])
    assert Topology(
        networks=[Layer2(name="x", subnets="100.64.0.0/16", exclude_subnets="100.64.0.0/16")],
    )


def test_networks_may_overlap_each_other() -> None:
    assert Topology(networks=[Layer2(name="x", subnets="10.0.0.0/16"), Layer3(name="y", subnets="10.0.0.0/16")])


WHOLE = Topology(
    networks=[
        Layer3(name="l3", subnets="10.33.0.0/16/24,fd01::/48", join_subnets="100.66.0.0/16", mtu=1400),
        Layer2(name="l2", subnets="10.22.0.0/16", exclude_subnets="10.22.0.0/24", allow_persistent_ips=True),
        Localnet(name="lan", vlan_id=7, physical_network_name="phys", nads=["a/b", "a/c"]),
    ],
    nodes=[Node(name="n1", chassis_id="c", subnets={"l3": "10.33.2.0/24"})],
    pods=[
        Pod(
            name="p",
            uid="u",
            node="n1",
            labels={"a": "b"},
            networks='[{"name": "l3", "mac": "02:00:00:00:00:01", "default-route": ["10.33.2.1"]}]',
            default_network=Attachment(name="other", namespace="ns", ips=("10.0.0.7/24",)),
            given={"default/l3": Given(ips=("10.33.2.3/24",), mac="02:00:00:00:00:01")},
        )
    ],
    ipam_claims=[IpamClaim(name="vm", network="l2", ips=("10.22.1.5/16",), interface="net1")],
    cluster=Cluster(cluster_subnets="10.128.0.0/14", service_subnets="172.30.0.0/16"),
    style="2023",
    gaps=Gaps(networks={"x"}, complete=False),
)


def test_a_topology_goes_to_json_and_back() -> None:
    assert Topology(**WHOLE.model_dump()) == WHOLE
    assert Topology(**json.loads(WHOLE.model_dump_json())) == WHOLE
    assert Topology.model_validate_json(WHOLE.model_dump_json()) == WHOLE


def test_the_schema_describes_the_fields() -> None:
    schema = Topology.model_json_schema()
    assert schema["properties"].keys() == {"networks", "nodes", "pods", "ipam_claims", "cluster", "style", "gaps"}
    assert schema["additionalProperties"] is False
    kinds = schema["properties"]["networks"]["items"]["discriminator"]["mapping"]
    assert kinds.keys() == {"layer3", "layer2", "localnet"}
    assert {"type": "string"} in schema["$defs"]["Layer3"]["properties"]["subnets"]["anyOf"]


@pytest.mark.parametrize("value", [WHOLE, *WHOLE.networks, *WHOLE.nodes, *WHOLE.pods, WHOLE.cluster, WHOLE.gaps])
def test_values_are_frozen(value: Any) -> None:
    name = next(iter(type(value).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, name, getattr(value, name))


def test_gaps_add_up() -> None:
    one, other = Gaps(networks={"a"}, pods={"n/p"}), Gaps(networks={"b"}, nodes={"n"}, complete=False)
    both = Gaps(networks={"a", "b"}, nodes={"n"}, pods={"n/p"}, complete=False)
    assert one | other == Gaps.union([one, other, Gaps()]) == both
    assert Gaps.union([]) == Gaps()
