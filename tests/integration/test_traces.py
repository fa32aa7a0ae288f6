"""`ovn-trace` asked whether packets arrive: pod to pod on every topology, and never from a spoofed source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from ovn_chassis import register_chassis

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import OvsdbNb
from ovnk8s_topo.planner import Grant
from ovnk8s_topo.testing import LocalOvn

# Without .1, which northd keeps for a router on every switch that names its subnet.
NETWORKS = {
    "l3": Layer3(name="l3", subnets="10.33.0.0/16/24,fd01::/48"),
    "l2": Layer2(name="l2", subnets="10.22.0.0/16,fd02::/64", exclude_subnets="10.22.0.1/32,fd02::1/128"),
    "lan": Localnet(name="lan", vlan_id=100, subnets="192.168.100.0/24,fd03::/64", exclude_subnets="192.168.100.1/32"),
    "bare": Layer2(name="bare"),
}
SWITCH = {
    "l3": "l3_{node}",
    "l2": "l2_ovn_layer2_switch",
    "lan": "lan_ovn_localnet_switch",
    "bare": "bare_ovn_layer2_switch",
}
PODS = {"p1": "n1", "p2": "n1", "p3": "n2"}

TOPOLOGY = Topology(
    networks=NETWORKS.values(),
    nodes=[Node(name="n1"), Node(name="n2")],
    pods=[Pod(name=pod, node=node, uid=f"uid-{pod}", networks=",".join(NETWORKS)) for pod, node in PODS.items()],
)


@dataclass(frozen=True)
class Traced:
    """A database in which northd has caught up, and who has which address there."""

    ovn: LocalOvn
    grants: Mapping[str, Grant]

    def grant(self, network: str, pod: str) -> Grant:
        return self.grants[port(network, pod)]

    def address(self, network: str, pod: str, version: int) -> str:
        return next(str(a) for a in self.grant(network, pod).addresses if a.version == version)

    def send(self, network: str, source: str, **fields: str) -> str:
        flow = " && ".join(f"{name.replace('_', '.')}=={value}" for name, value in fields.items())
        switch = SWITCH[network].format(node=PODS[source])
        return self.ovn.trace(switch, f'inport=="{port(network, source)}" && {flow} && ip.ttl==64')

    def send_ip(self, network: str, source: str, target: str, version: int, **changed: str) -> str:
        routed = network == "l3" and PODS[source] != PODS[target]
        fields = {
            "eth_src": self.grant(network, source).mac,
            "eth_dst": gateway_mac(network, source) if routed else self.grant(network, target).mac,
            f"ip{version}_src": self.address(network, source, version),
            f"ip{version}_dst": self.address(network, target, version),
        }
        return self.send(network, source, **(fields | changed))


def port(network: str, pod: str) -> str:
    return f"default.{network}_default_{pod}"


def gateway_mac(network: str, pod: str) -> str:
    return {"n1": "0a:58:0a:21:00:01", "n2": "0a:58:0a:21:01:01"}[PODS[pod]]


def arrives(trace: str, network: str, pod: str) -> bool:
    return f'output to "{port(network, pod)}"' in trace


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    with LocalOvn(northd=True) as ovn, OvsdbNb(ovn.nb) as nb:
        register_chassis(ovn, ["n1", "n2"])
        done = Reconciler(nb).apply(TOPOLOGY, wait="sb")
        yield Traced(ovn, done.plan.desired.grants)


PAIRS = [("p1", "p2"), ("p1", "p3"), ("p3", "p1")]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("network", ["l3", "l2", "lan"])
def test_pod_reaches_pod(traced: Traced, network: str, source: str, target: str, version: int) -> None:
    assert arrives(traced.send_ip(network, source, target, version), network, target)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("network", ["l3", "l2", "lan"])
def test_spoofed_address_is_dropped(traced: Traced, network: str, version: int) -> None:
    spoofed = {4: "203.0.113.9", 6: "2001:db8::9"}[version]
    trace = traced.send_ip(network, "p1", "p3", version, **{f"ip{version}_src": spoofed})
    assert "drop;" in trace
    assert "output to" not in trace


@pytest.mark.parametrize("network", ["l3", "l2", "lan"])
def test_spoofed_mac_is_dropped(traced: Traced, network: str) -> None:
    trace = traced.send_ip(network, "p1", "p3", 4, eth_src="0a:58:cb:00:71:09")
    assert "drop;" in trace
    assert "output to" not in trace


def test_neighbours_address_is_dropped(traced: Traced) -> None:
    """A pod may not even use the address of another pod of its own network."""
    trace = traced.send_ip("l2", "p1", "p3", 4, ip4_src=traced.address("l2", "p2", 4))
    assert "output to" not in trace


def test_without_subnets_any_address_passes_but_no_foreign_mac(traced: Traced) -> None:
    fields = {
        "eth_src": traced.grant("bare", "p1").mac,
        "eth_dst": traced.grant("bare", "p3").mac,
        "ip4_src": "198.51.100.1",
        "ip4_dst": "198.51.100.3",
    }
    assert arrives(traced.send("bare", "p1", **fields), "bare", "p3")
    assert "output to" not in traced.send("bare", "p1", **(fields | {"eth_src": "0a:58:cb:00:71:09"}))


def test_localnet_reaches_the_physical_network(traced: Traced) -> None:
    outside = {"eth_dst": "00:00:5e:00:53:01", "ip4_dst": "192.168.100.250"}
    trace = traced.send_ip("lan", "p1", "p3", 4, **outside)
    assert 'output to "lan_ovn_localnet_port", type "localnet"' in trace


def test_northd_copies_the_tag(traced: Traced) -> None:
    assert traced.ovn.nbctl("get", "Logical_Switch_Port", "lan_ovn_localnet_port", "tag").strip() == "100"


def test_northd_has_nothing_to_complain_about(traced: Traced) -> None:
    assert traced.ovn.northd_warnings() == []
