"""Layer2: one switch for all nodes."""

from __future__ import annotations

from collections.abc import Iterator

from ovnk8s_topo.nb.tables import LogicalSwitch, Row
from ovnk8s_topo.planner import names
from ovnk8s_topo.planner.common import copp_rows, flat_other_config, group_rows
from ovnk8s_topo.planner.style import RowStyle
from ovnk8s_topo.spec import Network


def network_rows(network: Network, style: RowStyle) -> Iterator[Row]:
    """Yield the switch; excluded subnets leave no trace in the database."""
    if style.layer2_copp:
        yield from copp_rows(style)
    yield from group_rows(network, style)
    yield LogicalSwitch(
        name=switch_of(network, ""),
        external_ids=style.external_ids(network),
        other_config=flat_other_config(network.ranges),
        load_balancer_group=style.switch_groups(network),
    )


def switch_of(network: Network, node: str) -> str:
    """Name the switch that a pod on `node` is plugged into."""
    return names.layer2_switch(network.name)
