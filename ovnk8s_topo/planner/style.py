"""What differs between releases of OVN-Kubernetes.

2023: fc34e8506 (2023-07) and the clusters of that spring. 2024: 6c366bb49 (2024-12), the last release that keeps all
nodes in one database.
"""

from __future__ import annotations

from dataclasses import dataclass

from ovnk8s_topo.planner import names
from ovnk8s_topo.spec import Localnet, Network

_PROTOCOLS = ("arp", "arp-resolve", "bfd", "event-elb", "icmp4-error", "icmp6-error", "reject", "tcp-reset")


@dataclass(frozen=True, slots=True)
class RowStyle:
    """One release's way of writing rows.

    topo_version   external_ids:k8s-ovn-topo-version on routers and on layer2 and localnet switches; "": none
    role           whether switches carry external_ids:k8s.ovn.org/role
    groups         whether layer2 and layer3 networks have load balancer groups
    layer2_copp    whether a layer2 network brings the control plane protection with it, which nothing there uses
    protocols      what the control plane protection limits
    bridge_name    whether a localnet port asks for the bridge mapping ``<prefix>br-localnet``
    """

    topo_version: str
    role: bool
    groups: bool
    layer2_copp: bool
    protocols: tuple[str, ...]
    bridge_name: bool

    def external_ids(self, network: Network, *, versioned: bool = True, with_role: bool = True) -> dict[str, str]:
        """Return what a switch or router says about itself."""
        ids = {"k8s.ovn.org/network": network.name, "k8s.ovn.org/topology": network.topology}
        if self.role and with_role:
            ids["k8s.ovn.org/role"] = network.role
        if self.topo_version and versioned:
            ids["k8s-ovn-topo-version"] = self.topo_version
        return ids

    def physical_network(self, network: Localnet) -> str:
        """Return the name that the localnet port asks for in ovn-bridge-mappings."""
        if self.bridge_name:
            return f"{names.prefix(network.name)}br-localnet"
        return network.physical_network_name or network.name

    def switch_groups(self, network: Network) -> frozenset[str]:
        """Return the load balancer groups that a switch lists."""
        return frozenset(names.load_balancer_groups(network.name)[:2]) if self.groups else frozenset()


STYLES: dict[str, RowStyle] = {
    "2023": RowStyle(
        topo_version="5", role=False, groups=False, layer2_copp=False, protocols=_PROTOCOLS, bridge_name=True
    ),
    "2024": RowStyle(
        topo_version="",
        role=True,
        groups=True,
        layer2_copp=True,
        protocols=(*_PROTOCOLS, "svc-monitor"),
        bridge_name=False,
    ),
}
