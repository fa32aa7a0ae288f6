"""Localnet: one switch for all nodes, and a port to the physical network."""

from __future__ import annotations

from collections.abc import Iterator

from ovnk8s_topo.nb.tables import LogicalSwitch, LogicalSwitchPort, Row
from ovnk8s_topo.planner import names
from ovnk8s_topo.planner.common import flat_other_config
from ovnk8s_topo.planner.style import RowStyle
from ovnk8s_topo.spec import Localnet, Network


def network_rows(network: Localnet, style: RowStyle) -> Iterator[Row]:
    """Yield the switch and its localnet port.

    The VLAN goes into `tag_request`; northd fills `tag` (ovn-nb(5) Logical_Switch_Port).
    """
    switch = switch_of(network, "")
    yield LogicalSwitch(
        name=switch, external_ids=style.external_ids(network), other_config=flat_other_config(network.ranges)
    )
    yield LogicalSwitchPort(
        name=names.localnet_port(network.name),
        parent=switch,
        type="localnet",
        addresses=frozenset({"unknown"}),
        options={"network_name": style.physical_network(network)},
        tag_request=network.vlan_id,
    )


def switch_of(network: Network, node: str) -> str:
    """Name the switch that a pod on `node` is plugged into."""
    return names.localnet_switch(network.name)
