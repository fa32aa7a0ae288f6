"""What an attachment comes to: masks, gateways, routes, MTU, interface names; the values of the article among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ovnk8s_topo.addresses import Subnet, address_from_text, mac_from_address, subnet_from_text
from ovnk8s_topo.results import (
    AttachmentResult,
    attachment_result,
    cni_result,
    cni_result_from_text,
    cni_result_text,
    given_from_result,
    network_status_text,
    pod_networks_text,
    status_from_attachment,
    statuses_from_result,
)
from ovnk8s_topo.results.network_status import NetworkStatus
from ovnk8s_topo.spec import Attachment, Cluster, Given, Layer2, Layer3, Localnet, Network, Pod, Route

L3 = Layer3(name="l3-network", nads="kube-system/l3-network", subnets="10.33.0.0/16/24", mtu=1400)
L2 = Layer2(name="l2-network", nads="kube-system/l2-network", subnets="10.22.0.0/16", mtu=1400)
LAN = Localnet(name="localnet-network", nads="kube-system/localnet-network", subnets="192.168.100.0/24")
DUAL = Layer3(name="dual", nads="default/dual", subnets="10.33.0.0/16/24,10.44.0.0/16/24,fd01::/48")
SANDBOX = "/var/run/netns/pod"


def result_of(
    network: Network,
    addresses: str,
    *,
    slices: Sequence[Subnet] = (),
    cluster: Cluster | None = None,
    given: Given | None = None,
    **request: Any,
) -> AttachmentResult:
    namespace, _, name = network.nad_keys[0].partition("/")
    attachment = Attachment(namespace=namespace, name=name, **request)
    key = network.nad_keys[0]
    pod = Pod(name="nginx1", node="work001", networks=(attachment,), given={key: given} if given else {})
    found = [address_from_text(text) for text in addresses.split()]
    mac = mac_from_address(found[0]) if found else "02:00:00:00:00:01"
    return attachment_result(network, pod, key, attachment, mac, found, slices, cluster)


ARTICLE = [
    pytest.param(L3, "10.33.2.3", "10.33.2.0/24", "0a:58:0a:21:02:03", "10.33.2.3/24", id="layer3"),
    pytest.param(L2, "10.22.0.1", "", "0a:58:0a:16:00:01", "10.22.0.1/16", id="layer2"),
    pytest.param(LAN, "192.168.100.4", "", "0a:58:c0:a8:64:04", "192.168.100.4/24", id="localnet"),
]


@pytest.mark.parametrize(("network", "address", "own", "mac", "with_mask"), ARTICLE)
def test_the_article(network: Network, address: str, own: str, mac: str, with_mask: str) -> None:
    """The network-status and the routes that kubectl printed there; CNI 0.3.1 knew no MTU."""
    slices = [subnet_from_text(own)] if own else []
    result = result_of(network, address, slices=slices, interface="eth1")
    assert (result.mac, result.addresses, result.gateways) == (mac, (with_mask,), ())
    assert result.routes == ((Route(dest="10.33.0.0/16", next_hop="10.33.2.1"),) if own else ())
    printed = cni_result_text(cni_result(result, sandbox=SANDBOX, cni_version="0.3.1"))
    statuses = statuses_from_result(cni_result_from_text(printed), result.nad_key)
    default = NetworkStatus(
        name="ovn-kubernetes", interface="eth0", ips=("10.124.1.7",), mac="0a:58:0a:7c:01:07", default=True
    )
    assert network_status_text([default, *statuses]) == STATUS % (network.nad_keys[0], address, mac)


STATUS = """[{
    "name": "ovn-kubernetes",
    "interface": "eth0",
    "ips": [
        "10.124.1.7"
    ],
    "mac": "0a:58:0a:7c:01:07",
    "default": true,
    "dns": {}
},{
    "name": "%s",
    "interface": "eth1",
    "ips": [
        "%s"
    ],
    "mac": "%s",
    "dns": {}
}]"""


def test_a_layer3_pod_reaches_all_ranges_of_its_families() -> None:
    slices = [subnet_from_text("10.44.7.0/24"), subnet_from_text("fd01:0:0:7::/64")]
    result = result_of(DUAL, "10.44.7.3 fd01:0:0:7::3", slices=slices)
    assert result.addresses == ("10.44.7.3/24", "fd01:0:0:7::3/64")
    assert [(route.dest, route.next_hop) for route in result.routes] == [
        ("10.33.0.0/16", "10.44.7.1"),
        ("10.44.0.0/16", "10.44.7.1"),
        ("fd01::/48", "fd01:0:0:7::1"),
    ]


def test_gateways_are_what_was_asked_for() -> None:
    result = result_of(L2, "10.22.0.1", default_route=("10.22.0.254", "FD00::0:1"))
    assert result.gateways == ("10.22.0.254", "fd00::1")
    assert result.routes == ()


@pytest.mark.parametrize(
    ("network", "cluster", "mtu"),
    [
        pytest.param(L3, Cluster(mtu=9000), 1400, id="network's"),
        pytest.param(LAN, Cluster(mtu=9000), 9000, id="cluster's"),
        pytest.param(LAN, None, 1400, id="default"),
    ],
)
def test_mtu(network: Network, cluster: Cluster | None, mtu: int) -> None:
    assert result_of(network, "", cluster=cluster).mtu == mtu


BARE = Layer2(name="bare", nads="default/bare")


@pytest.mark.parametrize(
    ("ips", "told", "expected"),
    [
        pytest.param(("192.0.2.9/28",), None, "192.0.2.9/28", id="asked"),
        pytest.param(("192.0.2.9",), None, "192.0.2.9/32", id="asked without a mask"),
        pytest.param(("fd00::9",), None, "fd00::9/128", id="IPv6 without a mask"),
        pytest.param(("192.0.2.9/28",), Given(ips=("192.0.2.9/27",)), "192.0.2.9/27", id="told before"),
    ],
)
def test_masks_without_subnets_come_with_the_addresses(ips: tuple[str, ...], told: Given | None, expected: str) -> None:
    assert result_of(BARE, ips[0].partition("/")[0], ips=ips, given=told).addresses == (expected,)


def test_the_mask_is_the_subnet_s_whatever_was_asked() -> None:
    assert result_of(L2, "10.22.0.9", ips=("10.22.0.9/28",)).addresses == ("10.22.0.9/16",)


@pytest.mark.parametrize(
    ("networks", "interfaces"),
    [
        pytest.param("bare", ["net1"], id="one"),
        pytest.param("bare,other,bare", ["net1", "net2", "net3"], id="the same one twice"),
        pytest.param("other@eth1,bare", ["eth1", "net2"], id="named ones count"),
    ],
)
def test_interface_names(networks: str, interfaces: list[str]) -> None:
    pod = Pod(name="p", node="n", networks=networks)
    results = [
        attachment_result(BARE, pod, key, attachment, "02:00:00:00:00:01", [])
        for key, attachment in pod.keyed_attachments()
    ]
    assert [result.interface for result in results] == interfaces


def test_an_annotation_that_holds_stays_as_it_is() -> None:
    told = Given(ips=("10.22.0.1/16",), mac="0a:58:0a:16:00:01", tunnel_id=7, role="secondary")
    result = result_of(L2, "10.22.0.1", default_route=("10.22.0.254",))
    assert given_from_result(result, told) is told
    moved = given_from_result(result, Given(ips=("10.22.0.2/16",), mac=told.mac, tunnel_id=7))
    assert moved == given_from_result(result)


@pytest.mark.parametrize(
    ("style", "role"), [pytest.param("2023", "", id="2023"), pytest.param("2024", ',"role":"secondary"', id="2024")]
)
def test_the_annotation_of_a_layer3_pod(style: Any, role: str) -> None:
    result = result_of(L3, "10.33.2.3", slices=[subnet_from_text("10.33.2.0/24")])
    assert pod_networks_text({result.nad_key: given_from_result(result, style=style)}) == (
        '{"kube-system/l3-network":{"ip_addresses":["10.33.2.3/24"],"mac_address":"0a:58:0a:21:02:03",'
        '"routes":[{"dest":"10.33.0.0/16","nextHop":"10.33.2.1"}],"ip_address":"10.33.2.3/24"' + role + "}}"
    )


@pytest.mark.parametrize("gateways", [(), ("10.33.2.9",), ("fd01::9", "10.33.2.9")])
def test_what_is_not_read_again_is_as_if_it_were(gateways: tuple[str, ...]) -> None:
    slices = [subnet_from_text("10.33.2.0/24"), subnet_from_text("fd01::/64")]
    result = result_of(DUAL, "10.33.2.3 fd01::3", slices=slices, interface="eth1", default_route=gateways)
    assert [status_from_attachment(result)] == [
        *statuses_from_result(cni_result(result, sandbox=SANDBOX), result.nad_key)
    ]
    given = given_from_result(result)
    assert given == Given(**dict(given))
    assert [type(route) for route in given.routes] == [Route] * 3


def test_the_status_of_a_second_use_bears_the_definition_s_name() -> None:
    pod = Pod(name="p", node="n", networks="bare,bare@eth7")
    (_, (key, attachment)) = pod.keyed_attachments()
    addresses = [address_from_text("192.0.2.1")]
    result = attachment_result(BARE, pod, key, attachment, "02:00:00:00:00:01", addresses)
    assert (key, status_from_attachment(result)) == (
        "default/bare/1",
        NetworkStatus(name="default/bare", interface="eth7", ips=("192.0.2.1",), mac=result.mac, mtu=1400),
    )
