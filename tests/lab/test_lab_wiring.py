"""What the node side writes into a node's database carries packets, beside what others wrote there."""

from __future__ import annotations

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2, Localnet, NodeNotReady, OwnershipError
from ovnk8s_topo.backends import OvsdbVswitch
from ovnk8s_topo.lab import Lab, LabPod
from ovnk8s_topo.lab.fixtures import StartLab
from ovnk8s_topo.nodeside import GonePort, OvsInterface, VswitchRows, Wiring, interface_from_result

LIMIT_S = 30.0
BLUE = Layer2(name="blue", subnets="10.22.0.0/16")
LAN = Localnet(name="lan", subnets="192.168.100.0/24", exclude_subnets="192.168.100.1/32", mtu=1500)


@pytest.fixture
def lab(start_lab: StartLab) -> Lab:
    started = start_lab()
    started.apply(topology([BLUE], [pod("p1", "n1", "blue"), pod("p2", "n2", "blue")]))
    return started


def rows(lab: Lab, node: str) -> VswitchRows:
    with OvsdbVswitch(lab.nodes[node].switches.database) as vswitch:
        return vswitch.rows(timeout_s=LIMIT_S)


def wanted(plugged: LabPod) -> OvsInterface:
    return interface_from_result(
        plugged.result, name=plugged.cable, uid=plugged.uid, pod_interface=plugged.result.interface
    )


def wait_until_installed(lab: Lab, plugged: LabPod) -> None:
    """Wait for what the CNI plug-in waits for: ovn-controller says it of this very interface."""
    plugged.node.switches.vsctl("wait-until", "Interface", plugged.cable, "external_ids:ovn-installed=true")
    lab.settle()


def test_a_pods_interface_says_what_the_cni_plugin_would_have_written(lab: Lab) -> None:
    plugged = lab.pod("p1")
    (found,) = (row for row in rows(lab, "n1").interfaces.values() if row.name == plugged.cable)
    assert found.external_ids.items() >= wanted(plugged).external_ids.items()
    assert found.external_ids["ovn-installed"] == "true"  # ovn-controller has taken it, and its key is still there
    assert lab.pod("p2").ping(plugged).lost == 0


def test_a_port_that_somebody_removed_is_made_again(lab: Lab) -> None:
    one, two = lab.pod("p1"), lab.pod("p2")
    one.node.switches.vsctl("del-port", one.cable)
    one.node.wire(Wiring(interfaces=(wanted(one),)))
    wait_until_installed(lab, one)
    assert two.ping(one).lost == 0


def test_a_sandbox_of_before_gives_way(lab: Lab) -> None:
    one, two = lab.pod("p1"), lab.pod("p2")
    old = "external_ids:iface-id=" + one.port
    one.node.switches.vsctl("del-port", one.cable)
    one.node.switches.vsctl("add-port", "br-int", "old", "--", "set", "Interface", "old", "type=internal", old)
    one.node.wire(Wiring(interfaces=(wanted(one),)))
    wait_until_installed(lab, one)
    assert "old" not in one.node.switches.vsctl("list-ports", "br-int").split()
    assert two.ping(one).lost == 0


def test_a_port_in_use_elsewhere_is_left_alone(lab: Lab) -> None:
    one, two = lab.pod("p1"), lab.pod("p2")
    with pytest.raises(OwnershipError, match=r'"br-int".*"br-tun"'):
        one.node.wire(Wiring(unplugged=(GonePort(name=one.cable, bridge="br-tun"),)))
    with pytest.raises(NodeNotReady, match="br-none"):
        one.node.wire(Wiring(interfaces=(OvsInterface(name="v", external_ids={}, bridge="br-none"),)))
    assert two.ping(one).lost == 0


def test_mappings_of_others_stay_and_packets_of_both_arrive(start_lab: StartLab) -> None:
    lab = start_lab(nodes=["n1"])
    node = lab.nodes["n1"]
    node.switches.vsctl("set", "Open_vSwitch", ".", 'external_ids:ovn-bridge-mappings="theirs:br-theirs"')
    lab.apply(topology([LAN], [pod("p1", "n1", "lan")], nodes=["n1"]))
    host = lab.outside_host("host", "192.168.100.1/24", physical_network="lan")
    assert lab.pod("p1").ping(host).lost == 0
    first, ours = rows(lab, "n1").external_ids["ovn-bridge-mappings"].split(",")
    assert (first, ours.partition(":")[0]) == ("theirs:br-theirs", "lan")
