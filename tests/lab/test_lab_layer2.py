"""Layer2, by packets: one switch for all nodes."""

from __future__ import annotations

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2
from ovnk8s_topo.lab import Lab, LabPod
from ovnk8s_topo.lab.fixtures import StartLab

NETWORKS = [Layer2(name="l2", subnets="10.22.0.0/16,fd02::/64", mtu=1400), Layer2(name="bare", mtu=1400)]
PODS = {"p1": "n1", "p2": "n1", "p3": "n2"}
CHOSEN = {"p1": "10.99.0.1", "p3": "10.99.0.3"}


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    started = start_lab()
    started.apply(topology(NETWORKS, [pod(name, node, "l2", "bare") for name, node in PODS.items()]))
    for name, address in CHOSEN.items():
        started.pod(name, "bare").add_address(f"{address}/24")
    return started


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("source", "target"), [("p1", "p2"), ("p1", "p3"), ("p3", "p2")])
def test_pod_reaches_pod(lab: Lab, source: str, target: str, version: int) -> None:
    ping = lab.pod(source, "l2").ping(lab.pod(target, "l2"), count=2, interval_s=0.02, version=version)
    assert (ping.lost, ping.ttl) == (0, 64), ping


def test_pods_see_each_others_macs(lab: Lab) -> None:
    source, target = lab.pod("p1", "l2"), lab.pod("p3", "l2")
    with target.capture("icmp") as seen:
        source.ping(target)
        (request,) = seen.wait_for("echo request")
    assert (request.source, request.target) == (source.mac, target.mac)


def test_without_subnets_pods_choose_their_addresses(lab: Lab) -> None:
    ping = bare(lab, "p1").ping(CHOSEN["p3"], count=2)
    assert (ping.lost, ping.ttl) == (0, 64), ping


def test_without_subnets_a_foreign_mac_is_still_refused(lab: Lab) -> None:
    source, target = bare(lab, "p1"), bare(lab, "p3")
    with target.capture("icmp") as seen:
        source.send_echo(target, source=CHOSEN["p1"], target_address=CHOSEN["p3"], source_mac="0a:58:cb:00:71:09")
        source.send_echo(target, source=CHOSEN["p1"], target_address=CHOSEN["p3"], count=1)
        seen.wait_for("echo request")
    assert {frame.source for frame in seen.frames if "echo request" in frame.text} == {source.mac}


def bare(lab: Lab, name: str) -> LabPod:
    return lab.pod(name, "bare")
