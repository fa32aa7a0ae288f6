"""Not only pings: TCP streams between pods of different nodes."""

from __future__ import annotations

import socket
import threading

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2, Layer3, Localnet
from ovnk8s_topo.lab import Lab
from ovnk8s_topo.lab.fixtures import StartLab
from ovnk8s_topo.spec import Network

NETWORKS: list[Network] = [
    Layer3(name="l3", subnets="10.33.0.0/16/24,fd01::/48"),
    Layer2(name="l2", subnets="10.22.0.0/16,fd02::/64"),
    Localnet(name="lan", subnets="192.168.100.0/24,fd03::/64", vlan_id=100),
]
SENT = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def lab(start_lab: StartLab) -> Lab:
    started = start_lab()
    started.apply(topology(NETWORKS, [pod("p1", "n1", "l3", "l2", "lan"), pod("p2", "n2", "l3", "l2", "lan")]))
    return started


def send(client: socket.socket) -> None:
    client.sendall(SENT)
    client.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("network", ["l3", "l2", "lan"])
def test_a_megabyte_arrives(lab: Lab, network: str, version: int) -> None:
    source, target = lab.pod("p1", network), lab.pod("p2", network)
    with target.listen(8080, version=version) as server, source.connect(target, 8080, version=version) as client:
        accepted, _ = server.accept()
        sending = threading.Thread(target=send, args=[client])
        sending.start()
        with accepted, accepted.makefile("rb") as stream:
            assert stream.read() == SENT
        sending.join()
