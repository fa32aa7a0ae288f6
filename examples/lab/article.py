"""Build the article's cluster with real OVN and packets on this machine, ping, and print what the article prints.

    sudo python examples/lab/article.py

It needs root and the packages ovn-central, ovn-host, openvswitch-switch, iproute2, iputils-ping and tcpdump, and
leaves nothing behind.
"""

from pathlib import Path

from ovnk8s_topo import Topology
from ovnk8s_topo.lab import Endpoint, Lab, LabPod

ARTICLE = Path(__file__).parents[1] / "article"
PHYSICAL = "localnet.network_br-localnet"  # the article's entry in ovn-bridge-mappings


def show(source: LabPod, target: Endpoint) -> None:
    """Ping, and listen at the other end."""
    with target.capture("icmp") as seen:
        print(f"# {source.name}: ping -c 1 {target.address()}")
        print(source.ping(target))
        seen.wait_for("echo reply")
    print(f"# {target.name}: tcpdump -enn -i {target.interface} icmp\n{seen}\n")


topology = Topology.from_manifests(*sorted(ARTICLE.glob("*.yaml")), style="2023")
with Lab(topology.nodes, physical_networks=[PHYSICAL]) as lab:
    print(lab.apply(topology).plan.counts)
    for network in ("l3", "l2", "lo"):
        show(lab.pod(f"nginx1-{network}"), lab.pod(f"nginx2-{network}"))
    outside = lab.outside_host("work002, br-out", "192.168.100.102/24", physical_network=PHYSICAL)
    show(lab.pod("nginx1-lo"), outside)
