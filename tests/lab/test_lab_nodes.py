"""Nodes that leave a running lab, and come back."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2, Layer3, Localnet
from ovnk8s_topo.lab import Lab, LabError, LabNode
from ovnk8s_topo.lab.fixtures import StartLab
from ovnk8s_topo.spec import Network

NAMES = ("l3", "l2", "lan")
NETWORKS: list[Network] = [
    Layer3(name="l3", subnets="10.33.0.0/16/24"),
    Layer2(name="l2", subnets="10.22.0.0/16"),
    Localnet(name="lan", subnets="192.168.100.0/24", vlan_id=100),
]
PODS = {node: pod(f"p{node[1]}", node, *NAMES) for node in ("n1", "n2", "n3")}


@pytest.fixture(scope="module")
def started(start_lab: StartLab) -> Lab:
    return start_lab(("n1", "n2", "n3"))


@pytest.fixture
def lab(started: Lab) -> Lab:
    for missing in PODS.keys() - started.nodes.keys():
        started.add_node(missing)
    make(started, *PODS)
    return started


def make(lab: Lab, *nodes: str) -> None:
    lab.apply(topology(NETWORKS, [PODS[node] for node in nodes], nodes), prune=True, allow_mass_delete=True)


def test_a_node_that_leaves_costs_the_others_nothing(lab: Lab) -> None:
    here, there = (
        [lab.pod("p1", net).start_ping(lab.pod(to, net), count=200, interval_s=0.05) for net in NAMES]
        for to in ("p2", "p3")
    )
    here[0].wait_for(10)
    lab.remove_node("n3")
    for running in there:
        running.wait_for_silence()
    make(lab, "n1", "n2")
    for ping in [one.finish() for one in here]:
        assert (ping.sent, ping.lost) == (200, 0), ping
    for ping in [one.stop() for one in there]:
        assert ping.received > 0, ping
        assert ping.lost > 0, ping


def processes_in(namespace: str) -> list[Path]:
    """Return the directories in /proc of the processes in a network namespace."""
    return [process for process in Path("/proc").glob("[0-9]*") if namespace_of(process) == namespace]


def namespace_of(process: Path) -> str:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:  # it has ended
        return ""


def in_namespace(namespace: str) -> list[str]:
    """Return the command lines of the processes in a network namespace."""
    return [(process / "cmdline").read_text().replace("\0", " ") for process in processes_in(namespace)]


def traces(lab: Lab, node: LabNode) -> dict[str, bool]:
    """Say where in OVN there is something of a node."""
    address, others = node.place.tunnel_address, [other for other in lab.nodes.values() if other is not node]
    return {
        "Chassis": node.name in lab.ovn.sbctl("--bare", "--columns=name", "list", "Chassis").split(),
        "Chassis_Private": node.name in lab.ovn.sbctl("--bare", "--columns=name", "list", "Chassis_Private").split(),
        "Encap": address in lab.ovn.sbctl("--bare", "--columns=ip", "list", "Encap").split(),
        "tunnels": any(f'remote_ip="{address}"' in other.switches.vsctl("show") for other in others),
        "ports that are up": "true" in lab.ovn.nbctl("--bare", "--columns=up", "find", "Logical_Switch_Port", P3_ON_L2),
    }


P3_ON_L2 = "name=default.l2_default_p3"


def cables(lab: Lab) -> tuple[int, int]:
    """Return how many of the underlay's cables there are, and how many are in its bridges."""
    links = lab.underlay.namespace.run("ip", "-o", "link", "show", "type", "veth").splitlines()
    return len(links), len(re.findall(r"Port c\d+\n", lab.underlay.switches.vsctl("show")))


def test_nothing_is_left_of_a_node_that_leaves(lab: Lab) -> None:
    leaving, plugged, before = lab.nodes["n3"], [pod for pod in lab.pods if pod.node.name == "n3"], cables(lab)
    namespaces = [str(Path(f"/proc/{one.pid}/ns/net").readlink()) for one in (leaving.namespace, plugged[0].namespace)]
    assert len(plugged) == 3
    assert all(traces(lab, leaving).values()), traces(lab, leaving)
    assert all(any(daemon in line for line in in_namespace(namespaces[0])) for daemon in ("ovs-vswitchd", "controller"))

    lab.remove_node("n3")
    assert not any(traces(lab, leaving).values()), traces(lab, leaving)
    assert [in_namespace(namespace) for namespace in namespaces] == [[], []]
    assert {node.name for node in lab.nodes.values()} == {pod.node.name for pod in lab.pods} == {"n1", "n2"}
    # One in the wire, one in the physical network.
    assert cables(lab) == (before[0] - 2, before[1] - 2)
    assert not leaving.place.directory.exists()


def test_a_node_that_hangs_leaves_as_well(lab: Lab) -> None:
    namespace = str(Path(f"/proc/{lab.nodes['n3'].namespace.pid}/ns/net").readlink())
    for process in processes_in(namespace):
        os.kill(int(process.name), signal.SIGSTOP)
    lab.remove_node("n3")
    assert in_namespace(namespace) == []
    assert {pod.node.name for pod in lab.pods} == {"n1", "n2"}


@pytest.mark.parametrize("name", ["n1", "n3"])
def test_a_node_may_come_back_under_its_name(lab: Lab, name: str) -> None:
    for _ in range(2):
        lab.remove_node(name)
        lab.add_node(name)
        make(lab, *PODS)
        assert lab.unreachable() == ()
    assert sorted(node.place.number for node in lab.nodes.values()) == [1, 2, 3]


def test_a_node_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(LabError, match="there is no node n9"):
        lab.remove_node("n9")
    lab.remove_node("n3")
    with pytest.raises(LabError, match="there is no node n3"):
        lab.remove_node("n3")
    with pytest.raises(LabError, match="default/p3 is on node n3, which is not in this lab"):
        make(lab, *PODS)
