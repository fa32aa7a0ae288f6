"""Localnet, by packets: pods beside hosts of the physical network."""

from __future__ import annotations

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Localnet
from ovnk8s_topo.lab import Lab, OutsideHost
from ovnk8s_topo.lab.fixtures import StartLab

SUBNET, HOST = "192.168.100.0/24,fd03::/64", "192.168.100.1/32,fd03::1/128"
LOW, HIGH = "192.168.100.0/25", "192.168.100.128/25"
NETWORKS = [
    Localnet(name="plain", subnets=SUBNET, exclude_subnets=HOST, mtu=1500),
    Localnet(
        name="red",
        subnets=SUBNET,
        exclude_subnets=f"{HOST},{HIGH}",
        vlan_id=100,
        physical_network_name="physnet",
        mtu=1500,
    ),
    Localnet(
        name="blue",
        subnets=SUBNET,
        exclude_subnets=f"{LOW},fd03::1/128",
        vlan_id=200,
        physical_network_name="physnet",
        mtu=1500,
    ),
]
PHYSICAL = {"plain": ("plain", None), "red": ("physnet", 100), "blue": ("physnet", 200)}
FAMILIES = pytest.mark.parametrize("version", [4, 6])
ALL = pytest.mark.parametrize("network", PHYSICAL)


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    started = start_lab()
    pods = [pod(f"{net}{n}", f"n{n}", net) for net in PHYSICAL for n in (1, 2)]
    started.apply(topology(NETWORKS, pods))
    for net in PHYSICAL:
        # The wire between the nodes is no part of what OVN says is ready.
        started.pod(f"{net}1").start_ping(started.pod(f"{net}2")).stop()
    return started


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> dict[str, OutsideHost]:
    return {
        net: lab.outside_host(f"host-{net}", "192.168.100.1/24", "fd03::1/64", physical_network=physical, vlan=vlan)
        for net, (physical, vlan) in PHYSICAL.items()
    }


@FAMILIES
@ALL
def test_pod_reaches_pod(lab: Lab, network: str, version: int) -> None:
    ping = lab.pod(f"{network}1").ping(lab.pod(f"{network}2"), count=2, interval_s=0.02, version=version)
    assert (ping.lost, ping.ttl) == (0, 64), ping


@FAMILIES
@ALL
@pytest.mark.parametrize("node", [1, 2])
def test_pod_and_outside_host_reach_each_other(
    lab: Lab, hosts: dict[str, OutsideHost], network: str, node: int, version: int
) -> None:
    here, host = lab.pod(f"{network}{node}"), hosts[network]
    assert here.ping(host, version=version).ttl == 64
    assert host.ping(here, version=version).ttl == 64


@ALL
def test_tag_on_the_wire(lab: Lab, network: str) -> None:
    physical, vlan = PHYSICAL[network]
    with lab.capture_on_wire("n2", physical) as seen:
        lab.pod(f"{network}1").ping(lab.pod(f"{network}2"))
        frames = seen.wait_for("echo request")
    assert {frame.vlan for frame in frames} == {vlan}


@pytest.mark.parametrize(("network", "other"), [("red", "blue"), ("blue", "red")])
def test_tags_keep_networks_of_one_wire_apart(
    lab: Lab, hosts: dict[str, OutsideHost], network: str, other: str
) -> None:
    source, target = lab.pod(f"{network}1"), lab.pod(f"{other}2")
    with target.capture() as pod_sees, hosts[other].capture() as host_sees:
        # Its question who has the address goes to everybody on its network.
        assert source.ping(target, timeout_s=1).received == 0
        assert target.ping(hosts[other]).received == 1
        pod_sees.wait_for("echo reply")
        host_sees.wait_for("echo reply")
    assert source.mac not in str(pod_sees) + str(host_sees)


def test_a_pod_cannot_tag_its_frames_into_another_vlan(lab: Lab, hosts: dict[str, OutsideHost]) -> None:
    source, target = lab.pod("red1"), hosts["blue"]
    with target.capture("icmp") as seen:
        source.send_echo(target, vlan=200)
        lab.pod("blue1").ping(target)
        seen.wait_for("echo request")
    assert source.mac not in str(seen)
