"""Layer3, by packets: one switch a node, one router between them."""

from __future__ import annotations

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer3
from ovnk8s_topo.lab import Lab
from ovnk8s_topo.lab.fixtures import StartLab

NETWORKS = [
    Layer3(name="dual", subnets="10.33.0.0/16/24,fd01::/48", mtu=1400),
    Layer3(name="six", subnets="fd06::/48", mtu=1400),
]
PODS = {"p1": "n1", "p2": "n1", "p3": "n2", "p4": "n3"}
NEAR, FAR = [("p1", "p2")], [("p1", "p3"), ("p3", "p4"), ("p4", "p1")]


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    nodes = ("n1", "n2", "n3")
    started = start_lab(nodes)
    started.apply(topology(NETWORKS, [pod(name, node, "dual", "six") for name, node in PODS.items()], nodes))
    return started


@pytest.mark.parametrize(("network", "version"), [("dual", 4), ("dual", 6), ("six", 6)])
@pytest.mark.parametrize(("source", "target", "ttl"), [*((*pair, 64) for pair in NEAR), *((*pair, 63) for pair in FAR)])
def test_pod_reaches_pod(lab: Lab, source: str, target: str, ttl: int, network: str, version: int) -> None:
    ping = lab.pod(source, network).ping(lab.pod(target, network), count=2, interval_s=0.02, version=version)
    assert (ping.lost, ping.ttl) == (0, ttl), ping


def test_router_answers_for_itself(lab: Lab) -> None:
    here = lab.pod("p1", "dual")
    gateway = here.result.routes[0].next_hop
    assert here.ping(gateway).received == 1


def test_router_is_the_sender_on_the_other_node(lab: Lab) -> None:
    source, target = lab.pod("p1", "dual"), lab.pod("p3", "dual")
    with target.capture("icmp") as seen:
        source.ping(target)
        (request,) = seen.wait_for("echo request")
    assert (request.source, request.target) == ("0a:58:0a:21:01:01", target.mac)


def test_packets_travel_in_tunnels(lab: Lab) -> None:
    with lab.capture_on_node("n2", "eth0", "udp port 6081") as seen:
        lab.pod("p1", "dual").ping(lab.pod("p3", "dual"))
        frames = seen.wait_for("echo request")
    assert "172.31.0.1" in frames[0].text


def test_own_node_needs_no_tunnel(lab: Lab) -> None:
    with lab.capture_on_node("n2", "eth0", "udp port 6081") as seen:
        assert lab.pod("p1", "dual").ping(lab.pod("p2", "dual")).lost == 0
        lab.pod("p1", "dual").ping(lab.pod("p3", "dual"))
        seen.wait_for("echo request")
    assert lab.pod("p2", "dual").address() not in str(seen)
