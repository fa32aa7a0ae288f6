"""Networks know nothing of each other, and packets are as large as the attachment says."""

from __future__ import annotations

import errno

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2, Layer3, Localnet
from ovnk8s_topo.lab import Lab, echo_request
from ovnk8s_topo.lab.fixtures import StartLab
from ovnk8s_topo.spec import Network

NETWORKS: list[Network] = [
    Layer3(name="red3", subnets="10.33.0.0/16/24", mtu=1400),
    Layer3(name="blue3", subnets="10.33.0.0/16/24", mtu=1400),
    Layer2(name="red2", subnets="10.22.0.0/16", mtu=1300),
    Layer2(name="blue2", subnets="10.22.0.0/16", exclude_subnets="10.22.0.0/24", mtu=8000),
    Localnet(name="lan", subnets="192.168.100.0/24", mtu=1500),
]
MTU = {"red3": 1400, "red2": 1300, "blue2": 8000, "lan": 1500}


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    started = start_lab()
    pods = [pod(f"{network.name}-{n}", f"n{n}", network.name) for network in NETWORKS for n in (1, 2)]
    # Here to move the addresses of blue3 away from those of red3, so that they can be told apart.
    pods += [pod(f"blue3-0{n}", "n2", "blue3") for n in (1, 2)]
    started.apply(topology(NETWORKS, pods))
    return started


@pytest.mark.parametrize(
    ("here", "there", "own", "witness"),
    [
        ("red3-1", "blue3-2", "red3-2", "blue3-01"),
        ("red2-1", "blue2-2", "red2-2", "blue2-1"),
        ("blue2-1", "red2-2", "blue2-2", "red2-1"),
    ],
)
def test_no_way_into_another_network_with_the_same_subnet(
    lab: Lab, here: str, there: str, own: str, witness: str
) -> None:
    source, target = lab.pod(here), lab.pod(there)
    with target.capture("icmp or arp") as seen:
        assert source.ping(target, timeout_s=1).received == 0
        lab.pod(witness).ping(target)
        seen.wait_for("echo reply")
    assert f"{source.address()} >" not in str(seen)
    assert source.ping(lab.pod(own)).received == 1


@pytest.mark.parametrize("network", MTU)
def test_a_packet_of_full_size_passes_whole(lab: Lab, network: str) -> None:
    source, target = lab.pod(f"{network}-1"), lab.pod(f"{network}-2")
    assert source.result.mtu == MTU[network]
    with target.capture("icmp") as seen:
        assert source.ping(target, size=MTU[network], fragment=False).received == 1
        (request,) = seen.wait_for("echo request")
    assert f"length {MTU[network] + 14}:" in request.text


@pytest.mark.parametrize("network", MTU)
def test_a_larger_packet_does_not_pass(lab: Lab, network: str) -> None:
    source, target = lab.pod(f"{network}-1"), lab.pod(f"{network}-2")
    ping = source.ping(target, size=MTU[network] + 1, fragment=False)
    assert ping.received == 0
    assert f"mtu={MTU[network]}" in ping.text.replace(": ", "=").replace(" = ", "=")


def test_a_larger_packet_passes_in_pieces(lab: Lab) -> None:
    assert lab.pod("red2-1").ping(lab.pod("red2-2"), size=3000).received == 1


def test_not_even_a_raw_frame_may_be_larger(lab: Lab) -> None:
    source, target = lab.pod("red2-1"), lab.pod("red2-2")
    frame = echo_request(
        source_mac=source.mac,
        target_mac=target.mac,
        source=source.address(),
        target=target.address(),
        payload=bytes(1400),
    )
    with pytest.raises(OSError, match="Message too long") as refused:
        source.send(frame)
    assert refused.value.errno == errno.EMSGSIZE
