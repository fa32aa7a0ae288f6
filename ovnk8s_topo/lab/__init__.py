"""Proof by packets: a cluster's network on one machine, with real OVN on every node and pods that ping.

Law: nothing of a lab is left behind, however it ends. Its interfaces exist in its own namespaces alone, these have no
names and live by its processes, and its processes and files are watched by a `Playground`.

Needs Linux, root, and the packages ovn-central, ovn-host, openvswitch-switch, iproute2, iputils-ping and tcpdump; no
kernel module, for the switches run in user space. Part of the extra ``ovnk8s-topo[testing]``.

    with Lab(nodes=["n1", "n2"]) as lab:
        lab.apply(topology)                                  # rows into the database, pods into the lab
        assert lab.pod("web").ping(lab.pod("db")).ttl == 63
"""

from ovnk8s_topo.lab.captures import Capture, Frame
from ovnk8s_topo.lab.endpoints import Endpoint, LabPod, OutsideHost
from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.lab.frames import echo_request
from ovnk8s_topo.lab.lab import Lab
from ovnk8s_topo.lab.node import LabNode
from ovnk8s_topo.lab.pings import Ping, RunningPing

__all__ = [
    "Capture",
    "Endpoint",
    "Frame",
    "Lab",
    "LabError",
    "LabNode",
    "LabPod",
    "OutsideHost",
    "Ping",
    "RunningPing",
    "echo_request",
]
