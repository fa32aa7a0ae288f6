"""What the examples' scripts describe, by packets."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from examples_here import EXAMPLES

from ovnk8s_topo import Pod, Topology
from ovnk8s_topo.lab import Lab, OutsideHost
from ovnk8s_topo.lab.fixtures import StartLab

NODES = ("work001", "work002")


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    return start_lab(NODES)


@pytest.fixture(scope="module")
def office(lab: Lab) -> OutsideHost:
    """Give a host in VLAN 100 with an address that no pod of an example gets."""
    return lab.outside_host("office", "192.168.100.254/24", physical_network="lan", vlan=100)


def make(lab: Lab, wanted: Topology) -> None:
    lab.apply(wanted, prune=True, allow_mass_delete=True)


def names_of(script: str) -> dict[str, Any]:
    """Run an example and return its names."""
    return runpy.run_path(str(EXAMPLES / script))


def on(node: str, pod: Pod) -> Pod:
    """Put a pod somewhere: the scripts themselves have no need for a second node."""
    return pod.model_copy(update={"node": node})


def test_01_pods_of_both_nodes_are_in_the_vlan(lab: Lab, office: OutsideHost) -> None:
    make(lab, names_of("01_plan_in_memory.py")["topology"])
    assert lab.unreachable() == ()
    assert [lab.pod(pod).ping(office).lost for pod in ("shop/web", "shop/db")] == [0, 0]


def test_05_what_somebody_spoils_is_noticed_on_the_wire_and_repaired(lab: Lab, office: OutsideHost) -> None:
    topology: Topology = names_of("05_drift.py")["topology"]
    make(lab, topology)
    running = lab.pod("shop/web").start_ping(office)
    lab.ovn.nbctl("set", "Logical_Switch_Port", "lan_ovn_localnet_port", "tag_request=7", "tag=7")
    running.wait_for_silence()
    assert lab.apply(topology).status == "applied"
    running.wait_for(3)


def test_06_after_the_script_as_before_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lab.ovn.nbctl("show")
    monkeypatch.setattr("sys.argv", ["06_real_server.py", lab.nb])
    # It applies and destroys in the lab's own database, as another owner.
    topology: Topology = names_of("06_real_server.py")["topology"]
    assert lab.ovn.nbctl("show") == before
    make(lab, topology)
    assert lab.pod("shop/web").ping(lab.pod("shop/db")).ttl == 63
    assert lab.unreachable() == ()


def test_08_who_got_an_address_can_use_it(lab: Lab) -> None:
    topology: Topology = names_of("08_keep_going.py")["topology"]
    lab.plug_all(lab.reconciler.apply(topology, keep_going=True, wait="sb").plan)
    assert {pod.result.pod for pod in lab.pods} == {"default/anna", "default/bob"}
    assert lab.unreachable() == ()


@pytest.mark.parametrize(("name", "peer"), [("camera", "viewer"), ("printer", "anybody")])
def test_09_a_pod_has_on_the_wire_what_it_asked_for(lab: Lab, name: str, peer: str) -> None:
    script = names_of("09_fixed_address.py")
    viewer = script["asking"]("viewer", "free", "192.0.2.8/24")
    pods: dict[str, Pod] = {pod.name: pod for pod in (*script["pods"], viewer)}
    # Not where it is asked from, so that it is the wire that carries it.
    pods[peer] = on("work002", pods[peer])
    make(lab, Topology(networks=script["networks"], pods=pods.values(), cluster=script["cluster"]))

    [asked], source = pods[name].networks, lab.pod(peer)
    address = asked.ips[0].partition("/")[0]
    with lab.capture_on_node("work002", "eth0", "udp port 6081") as wire, source.capture("icmp") as seen:
        assert source.ping(address).ttl == 64
        [reply] = seen.wait_for("echo reply")
        wire.wait_for(f"{address} > {source.address()}: ICMP echo reply")
    assert f"{address} > {source.address()}" in reply.text
    assert (reply.source, reply.target) == (asked.mac or lab.pod(name).mac, source.mac)
    assert f"{address} dev {source.interface} lladdr {reply.source}" in source.run("ip", "neigh")


def test_11_a_machine_that_moves_keeps_its_address(lab: Lab) -> None:
    script = names_of("11_vm_keeps_its_address.py")
    network, launcher, other = script["NETWORK"], script["launcher"], on("work002", script["other"])

    def wanted(ips: tuple[str, ...], *pods: Pod) -> Topology:
        claim = script["claim"].model_copy(update={"ips": ips})
        return Topology(networks=[network], pods=[other, *pods], ipam_claims=[claim])

    first = lab.apply(wanted((), launcher("vm-1")), prune=True, allow_mass_delete=True)
    [held] = first.plan.desired.ipam_claims.values()
    address, old = held[0].partition("/")[0], lab.pod("vm-1")
    running = lab.pod("other").start_ping(address)

    late = Pod(name="late", node="work001", networks="blue")
    with lab.pod("other").capture(f"icmp[icmptype] == icmp-echo and ether src {old.mac}") as from_machine:
        old.send_echo(lab.pod("other"))
        before = from_machine.wait_for("echo request", count=3)
        # The machine is down. Its pod stays plugged in for now: it is OVN that no longer listens to it.
        lab.reconciler.apply(wanted(held, late), prune=True, wait="hv")
        running.wait_for_silence()
        old.send_echo(lab.pod("other"))
        lab.apply(wanted(held, late, on("work002", launcher("vm-2"))))
        running.wait_for(5)
        # The new pod has the MAC of the old one: what comes now is its own, and the last to arrive.
        assert lab.pod("vm-2").ping(lab.pod("other")).received == 1
        after = from_machine.wait_for("echo request", count=4)
    assert len(before) == 3
    assert len(after) == 4

    new = lab.pod("vm-2")
    assert (new.address(), new.mac, new.node.name) == (old.address(), old.mac, "work002")
    assert address == old.address() != lab.pod("late").address()
    with new.capture("icmp") as seen:
        assert lab.pod("other").ping(address).ttl == 64
        seen.wait_for("echo request")
