"""Layer3: a router, and a switch on every node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ovnk8s_topo.addresses import Subnet, mac_from_address
from ovnk8s_topo.ipam import gateway_of, management_of
from ovnk8s_topo.nb.tables import (
    GatewayChassis,
    LogicalRouter,
    LogicalRouterPort,
    LogicalSwitch,
    LogicalSwitchPort,
    Row,
)
from ovnk8s_topo.planner import names
from ovnk8s_topo.planner.common import COPP, copp_rows, group_rows
from ovnk8s_topo.planner.style import RowStyle
from ovnk8s_topo.spec import Layer3, Network, Node


def network_rows(network: Network, style: RowStyle) -> Iterator[Row]:
    """Yield what a layer3 network has whatever its nodes are: the cluster router and what it needs."""
    yield from copp_rows(style)
    yield from group_rows(network, style)
    yield LogicalRouter(
        name=names.cluster_router(network.name),
        external_ids={"k8s-cluster-router": "yes"} | style.external_ids(network, with_role=False),
        options={"always_learn_from_arp_request": "false"},
        copp=COPP,
    )


def node_rows(network: Layer3, node: Node, slices: Sequence[Subnet], style: RowStyle) -> Iterator[Row]:
    """Yield a node's switch and its link to the cluster router.

    slices  the node's subnets, one for each IP family, in the order of its annotation
    """
    switch = names.node_switch(network.name, node.name)
    yield LogicalSwitch(
        name=switch,
        external_ids=style.external_ids(network, versioned=False),
        other_config=_other_config(slices),
        load_balancer_group=style.switch_groups(network),
    )
    to_router, to_switch = names.switch_to_router(switch), names.router_to_switch(switch)
    yield LogicalSwitchPort(
        name=to_router,
        parent=switch,
        type="router",
        addresses=frozenset({"router"}),
        options={"router-port": to_switch},
    )
    yield LogicalRouterPort(
        name=to_switch,
        parent=names.cluster_router(network.name),
        mac=_router_mac(slices),
        networks=frozenset(f"{gateway_of(subnet)}/{subnet.prefix_len}" for subnet in slices),
    )
    # Pinned to the node although the router is distributed: other chassis then need not know the node's switch.
    yield GatewayChassis(
        name=names.gateway_chassis(to_switch, node.chassis), parent=to_switch, chassis_name=node.chassis, priority=1
    )


def switch_of(network: Network, node: str) -> str:
    """Name the switch that a pod on `node` is plugged into."""
    return names.node_switch(network.name, node)


def _other_config(slices: Sequence[Subnet]) -> dict[str, str]:
    config: dict[str, str] = {}
    for subnet in slices:
        if subnet.version == 4:
            # The management address stays excluded although no port of a secondary network has it.
            config |= {"subnet": str(subnet), "exclude_ips": str(management_of(subnet))}
        else:
            config["ipv6_prefix"] = str(subnet.network)
    return config


def _router_mac(slices: Sequence[Subnet]) -> str:
    """Return the MAC of the IPv4 gateway, of the IPv6 one where there is no IPv4, whatever comes first."""
    return mac_from_address(gateway_of(min(slices, key=lambda subnet: subnet.version)))
