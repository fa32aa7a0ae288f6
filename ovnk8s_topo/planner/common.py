"""Rows that more than one topology has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from ovnk8s_topo.addresses import Address, Subnet
from ovnk8s_topo.nb.tables import OWNER_KEY, Copp, LoadBalancerGroup, LogicalSwitchPort, Meter, MeterBand, Row
from ovnk8s_topo.planner import names
from ovnk8s_topo.planner.style import RowStyle
from ovnk8s_topo.spec import Network, Pod

COPP = "ovnkube-default"
PACKETS_PER_SECOND = 25


def copp_rows(style: RowStyle) -> Iterator[Row]:
    """Yield the control plane protection, one for the whole database (ovn/copp.go)."""
    band = MeterBand(action="drop", rate=PACKETS_PER_SECOND)
    yield band
    for protocol in style.protocols:
        yield Meter(name=_meter(protocol), unit="pktps", fair=True, bands=frozenset({band.name}))
    yield Copp(name=COPP, meters={protocol: _meter(protocol) for protocol in style.protocols})


def _meter(protocol: str) -> str:
    return f"{protocol}-rate-limiter"


def group_rows(network: Network, style: RowStyle) -> Iterator[Row]:
    """Yield a network's load balancer groups."""
    if style.groups:
        yield from (LoadBalancerGroup(name=name) for name in names.load_balancer_groups(network.name))


def flat_other_config(subnets: Sequence[Subnet]) -> dict[str, str]:
    """Return other_config of a switch that serves all nodes.

    Both releases overwrite the column for every subnet, so that only the last one is seen.
    """
    return subnet_config(subnets[-1]) if subnets else {}


def subnet_config(subnet: Subnet) -> dict[str, str]:
    """Return how a switch names its subnet: IPv4 with its mask, IPv6 without (ovn-nb(5) Logical_Switch)."""
    return {"subnet": str(subnet)} if subnet.version == 4 else {"ipv6_prefix": str(subnet.network)}


def pod_port_row(
    network: Network,
    switch: str,
    pod: Pod,
    nad_key: str,
    mac: str,
    addresses: Sequence[Address],
    owner: str = "",
    port: str = "",
) -> LogicalSwitchPort:
    """Return the port of one attachment (ovn/base_network_controller_pods.go).

    mac, addresses  what the attachment has; without addresses port security checks the MAC alone
    owner           whose mark the port bears; "": nobody's
    port            its name, if somebody has made it already
    """
    text = frozenset({f"{mac} {addresses[0]!s}" if len(addresses) == 1 else " ".join([mac, *map(str, addresses)])})
    options = {"requested-chassis": pod.node}
    if pod.uid:
        options["iface-id-ver"] = pod.uid
    # As `row_from_values`, without a dictionary: one for every pod.
    row = object.__new__(LogicalSwitchPort)
    _put_name(row, port or names.pod_port(nad_key, pod.namespace, pod.name))
    _put_parent(row, switch)
    _put_addresses(row, text)
    _put_port_security(row, text)
    _put_options(row, options)
    _put_external_ids(row, _pod_port_ids(network.name, network.topology, nad_key, pod.namespace, owner))
    for put, value in _UNSET:
        put(row, value)
    return row


_PUTS = dict(LogicalSwitchPort.TABLE.puts)
_put_name, _put_parent = _PUTS.pop("name"), _PUTS.pop("parent")
_put_addresses, _put_port_security = _PUTS.pop("addresses"), _PUTS.pop("port_security")
_put_options, _put_external_ids = _PUTS.pop("options"), _PUTS.pop("external_ids")
_UNSET = tuple((put, LogicalSwitchPort.TABLE.unset[name]) for name, put in _PUTS.items())


@lru_cache(maxsize=1024)
def _pod_port_ids(network: str, topology: str, nad_key: str, namespace: str, owner: str) -> Mapping[str, str]:
    """Return what a pod's port says about itself; ports that say the same share it, for there are many."""
    ids = {
        "namespace": namespace,
        "pod": "true",
        "k8s.ovn.org/network": network,
        "k8s.ovn.org/nad": nad_key,
        "k8s.ovn.org/topology": topology,
    }
    return ids | ({OWNER_KEY: owner} if owner else {})
