"""Changes while packets are under way."""

from __future__ import annotations

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2, Layer3, Localnet, Topology
from ovnk8s_topo.lab import Lab
from ovnk8s_topo.lab.fixtures import StartLab

L3 = Layer3(name="l3", subnets="10.33.0.0/16/24")
L2 = Layer2(name="l2", subnets="10.22.0.0/16")
LAN = Localnet(name="lan", subnets="192.168.100.0/24", exclude_subnets="192.168.100.0/28", vlan_id=100)
P1, P2 = pod("p1", "n1", "l3", "l2", "lan"), pod("p2", "n2", "l3", "l2", "lan")
BEFORE = topology([L3, L2, LAN], [P1, P2])
EACH = pytest.mark.parametrize("network", ["l3", "l2", "lan"])


@pytest.fixture(scope="module")
def started(start_lab: StartLab) -> Lab:
    return start_lab()


@pytest.fixture
def lab(started: Lab) -> Lab:
    make(started, BEFORE)
    return started


def make(lab: Lab, wanted: Topology) -> None:
    lab.apply(wanted, prune=True, allow_mass_delete=True)


def test_applying_again_loses_nothing(lab: Lab) -> None:
    running = [
        lab.pod("p1", net).start_ping(lab.pod("p2", net), count=200, interval_s=0.05) for net in ("l3", "l2", "lan")
    ]
    for replies in (40, 40, 40):
        running[0].wait_for(replies)
        assert lab.apply(BEFORE).status == "unchanged"
    for ping in [one.finish() for one in running]:
        assert (ping.sent, ping.lost) == (200, 0), ping


def test_more_nodes_networks_and_pods_cost_the_others_nothing(lab: Lab) -> None:
    running = [
        lab.pod("p1", net).start_ping(lab.pod("p2", net), count=200, interval_s=0.05) for net in ("l3", "l2", "lan")
    ]
    running[0].wait_for(10)
    nodes = ("n1", "n2", "n3")
    lab.add_node("n3")
    later = Layer2(name="later", subnets="10.44.0.0/16")
    p3 = pod("p3", "n3", "l3", "l2", "lan", "later")
    lab.apply(topology([L3, L2, LAN, later], [P1, P2, p3], nodes))
    for net in ("l3", "l2", "lan"):
        assert lab.pod("p3", net).ping(lab.pod("p1", net)).received == 1
    lab.apply(topology([L3, L2, LAN], [P1, P2], nodes), prune=True, allow_mass_delete=True)
    for ping in [one.finish() for one in running]:
        assert (ping.sent, ping.lost) == (200, 0), ping


@pytest.mark.parametrize("network", ["l2", "lan"])
def test_a_pod_that_moves_is_found_where_it_went(lab: Lab, network: str) -> None:
    address = lab.pod("p2", network).address()
    running = lab.pod("p1", network).start_ping(address)
    make(lab, topology([L3, L2, LAN], [P1, pod("p2", "n1", "l3", "l2", "lan", uid="another")]))
    running.wait_for(5)
    moved = lab.pod("p2", network)
    assert (moved.node.name, moved.address()) == ("n1", address)
    assert running.stop().received > 5


def test_a_pod_that_moves_on_layer3_gets_its_new_nodes_address(lab: Lab) -> None:
    make(lab, topology([L3, L2, LAN], [P1, pod("p2", "n1", "l3", "l2", "lan", uid="another")]))
    assert lab.pod("p2", "l3").address().startswith(lab.pod("p1", "l3").address().rpartition(".")[0])
    assert lab.pod("p1", "l3").ping(lab.pod("p2", "l3")).ttl == 64


@EACH
def test_a_deleted_pod_is_silent(lab: Lab, network: str) -> None:
    running = lab.pod("p1", network).start_ping(lab.pod("p2", network))
    # Its interface stays plugged in: it is OVN that no longer lets it talk.
    lab.reconciler.apply(topology([L3, L2, LAN], [P1]), prune=True, wait="hv")
    running.wait_for_silence()
    assert running.stop().lost >= 10


@EACH
def test_a_removed_network_is_silent_and_the_others_are_not(lab: Lab, network: str) -> None:
    running = {net: lab.pod("p1", net).start_ping(lab.pod("p2", net)) for net in ("l3", "l2", "lan")}
    lab.reconciler.destroy([network], wait="hv")
    running.pop(network).wait_for_silence()
    for ping in running.values():
        ping.wait_for(3)
    assert all(f"k8s.ovn.org/network={network}" not in lab.ovn.nbctl("list", table) for table in TABLES)


TABLES = ("Logical_Switch", "Logical_Router", "Logical_Switch_Port")


def test_another_vlan_takes_the_traffic_with_it(lab: Lab) -> None:
    hosts = {
        vlan: lab.outside_host(f"host{vlan}", f"192.168.100.{number}/24", physical_network="lan", vlan=vlan)
        for number, vlan in ((1, 100), (2, 200))
    }
    here = lab.pod("p1", "lan")
    running = {100: here.start_ping(hosts[100])}
    assert here.ping(hosts[200], timeout_s=1).received == 0
    make(lab, topology([L3, L2, LAN.model_copy(update={"vlan_id": 200})], [P1, P2]))
    running[100].wait_for_silence()
    with lab.capture_on_wire("n1", "lan", "vlan and icmp") as seen:
        assert here.ping(hosts[200]).received == 1
        assert {frame.vlan for frame in seen.wait_for("echo reply")} == {200}
