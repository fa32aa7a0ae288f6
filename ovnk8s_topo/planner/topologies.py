"""The table of topologies: one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.nb.tables import Row
from ovnk8s_topo.planner import layer2, layer3, localnet
from ovnk8s_topo.planner.style import RowStyle
from ovnk8s_topo.spec import Network, Node


def _no_node_rows(network: Network, node: Node, slices: Sequence[Subnet], style: RowStyle) -> Iterator[Row]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Builder:
    """What a topology looks like in OVN.

    network_rows  (network, style) -> rows that do not depend on nodes
    switch_of     (network, node name) -> the switch that pods on that node are plugged into
    node_rows     (network, node, its slices, style) -> rows of a node
    sliced        whether every node has slices of its own
    """

    # Each builder takes its own network class; the table below is what matches them.
    network_rows: Callable[[Any, RowStyle], Iterator[Row]]
    switch_of: Callable[[Network, str], str]
    node_rows: Callable[[Any, Node, Sequence[Subnet], RowStyle], Iterator[Row]] = _no_node_rows
    sliced: bool = False


BUILDERS: dict[str, Builder] = {
    "layer3": Builder(layer3.network_rows, layer3.switch_of, layer3.node_rows, sliced=True),
    "layer2": Builder(layer2.network_rows, layer2.switch_of),
    "localnet": Builder(localnet.network_rows, localnet.switch_of),
}
