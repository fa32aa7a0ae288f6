"""Port security, by packets: what a pod sends under a false name never arrives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2, Layer3, Localnet
from ovnk8s_topo.lab import Lab, LabPod
from ovnk8s_topo.lab.fixtures import StartLab
from ovnk8s_topo.spec import Network

NETWORKS: list[Network] = [
    Layer3(name="l3", subnets="10.33.0.0/16/24,fd01::/48"),
    Layer2(name="l2", subnets="10.22.0.0/16,fd02::/64"),
    Localnet(name="lan", subnets="192.168.100.0/24,fd03::/64", vlan_id=100),
]
NODES = {"source": "n1", "near": "n1", "far": "n2"}
TOPOLOGY = topology(NETWORKS, [pod(name, node, "l3", "l2", "lan") for name, node in NODES.items()])
FORGED = "id 27745, seq 1, length 38"
"""What tells the frames of `send_echo` from those of ping, whose id may be the same: it is that of its process."""

STRANGERS = {4: "203.0.113.9", 6: "2001:db8::9"}
STRANGE_MAC = "0a:58:cb:00:71:09"

each_network = pytest.mark.parametrize("network", ["l3", "l2", "lan"])
each_version = pytest.mark.parametrize("version", [4, 6])
each_target = pytest.mark.parametrize("target", ["near", "far"])


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    started = start_lab()
    started.apply(TOPOLOGY)
    return started


@pytest.fixture
def unsecured(lab: Lab) -> Iterator[Lab]:
    """Somebody has switched port security off; at the end it is as planned again."""
    for plugged in lab.pods:
        lab.ovn.nbctl("clear", "Logical_Switch_Port", plugged.port, "port_security")
    lab.settle()
    yield lab
    assert lab.apply(TOPOLOGY).status == "applied"


def arrives(
    sender: LabPod, target: LabPod, version: int, *, source: str | None = None, source_mac: str | None = None
) -> bool:
    with target.capture("icmp or icmp6") as seen:
        sender.send_echo(target, version=version, source=source, source_mac=source_mac)
        # What is sent later arrives later: once this is seen, there is nothing more to wait for.
        assert sender.ping(target, version=version).received == 1
        seen.wait_for("echo reply")
    return FORGED in str(seen)


@each_target
@each_version
@each_network
def test_own_name_passes(lab: Lab, network: str, version: int, target: str) -> None:
    """The frames of the other tests are well-formed: with a true source they arrive."""
    assert arrives(lab.pod("source", network), lab.pod(target, network), version)


@each_target
@each_version
@each_network
def test_strange_address_never_arrives(lab: Lab, network: str, version: int, target: str) -> None:
    source = STRANGERS[version]
    assert not arrives(lab.pod("source", network), lab.pod(target, network), version, source=source)


@each_version
@each_network
def test_neighbours_address_never_arrives(lab: Lab, network: str, version: int) -> None:
    neighbour = lab.pod("near", network).address(version)
    assert not arrives(lab.pod("source", network), lab.pod("far", network), version, source=neighbour)


@each_target
@each_version
@each_network
def test_strange_mac_never_arrives(lab: Lab, network: str, version: int, target: str) -> None:
    assert not arrives(lab.pod("source", network), lab.pod(target, network), version, source_mac=STRANGE_MAC)


def test_it_is_port_security_that_stops_them(unsecured: Lab) -> None:
    for network in ("l3", "l2", "lan"):
        source, target = unsecured.pod("source", network), unsecured.pod("far", network)
        assert arrives(source, target, 4, source=STRANGERS[4])
        assert arrives(source, target, 4, source_mac=STRANGE_MAC)


def test_port_security_that_somebody_switched_off_is_back_after_apply(lab: Lab) -> None:
    source, target = lab.pod("source", "l2"), lab.pod("far", "l2")
    lab.ovn.nbctl("--wait=hv", "clear", "Logical_Switch_Port", source.port, "port_security")
    assert arrives(source, target, 4, source=STRANGERS[4])
    lab.reconciler.apply(TOPOLOGY, wait="hv")
    assert not arrives(source, target, 4, source=STRANGERS[4])
