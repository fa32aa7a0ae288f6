"""How OVN-Kubernetes calls things in OVN (util/multi_network.go, types/const.go)."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1024)
def prefix(name: str) -> str:
    """Return what stands before OVN names of a network or NAD key: `-` and `/` become `.`, then `_`."""
    return name.replace("-", ".").replace("/", ".") + "_"


def cluster_router(network: str) -> str:
    """Name the router of a layer3 network."""
    return f"{prefix(network)}ovn_cluster_router"


def node_switch(network: str, node: str) -> str:
    """Name a node's switch of a layer3 network; the node keeps its `-`."""
    return f"{prefix(network)}{node}"


def layer2_switch(network: str) -> str:
    """Name the switch of a layer2 network."""
    return f"{prefix(network)}ovn_layer2_switch"


def localnet_switch(network: str) -> str:
    """Name the switch of a localnet network."""
    return f"{prefix(network)}ovn_localnet_switch"


def localnet_port(network: str) -> str:
    """Name the port that leads to the physical network."""
    return f"{prefix(network)}ovn_localnet_port"


def switch_to_router(switch: str) -> str:
    """Name the switch's end of the link between switch and router."""
    return f"stor-{switch}"


def router_to_switch(switch: str) -> str:
    """Name the router's end of the link between switch and router."""
    return f"rtos-{switch}"


def gateway_chassis(port: str, chassis: str) -> str:
    """Name the row that pins a router port to a chassis."""
    return f"{port}-{chassis}"


def load_balancer_groups(network: str) -> tuple[str, str, str]:
    """Name the groups of a network: cluster, switch, router. Switches list the first two."""
    before = prefix(network)
    return f"{before}clusterLBGroup", f"{before}clusterSwitchLBGroup", f"{before}clusterRouterLBGroup"


def pod_port(nad_key: str, namespace: str, pod: str) -> str:
    """Name the port of an attachment; also the OVS interface's `iface-id`."""
    return f"{prefix(nad_key)}{pod_suffix(namespace, pod)}"


def pod_suffix(namespace: str, pod: str) -> str:
    """Return how the names of all ports of a pod end."""
    return f"{namespace}_{pod}"
