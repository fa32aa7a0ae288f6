"""Topology -> rows: the union of small pure functions, one for each network, node and attachment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nb.rowset import RowSet
from ovnk8s_topo.nb.tables import TABLES, Key, Row
from ovnk8s_topo.planner.addressing import (
    Grant,
    Granted,
    gap_of,
    grant_network,
    grant_node,
    refuse_requests,
    slice_nodes,
)
from ovnk8s_topo.planner.claims import Claims, Held, HeldSlices
from ovnk8s_topo.planner.common import pod_port_row
from ovnk8s_topo.planner.style import STYLES
from ovnk8s_topo.planner.topologies import BUILDERS
from ovnk8s_topo.planner.wanted import Wanted, wanted_ports
from ovnk8s_topo.spec import Gaps, Layer3, Network, Node, Topology


@dataclass(frozen=True, slots=True)
class Desired:
    """What a topology comes to.

    rows      as they shall be, without an owner's mark
    problems  who got nothing, and why
    gaps      whose rows to leave alone: the topology's own gaps and those of `problems`
    grants    port name -> MAC and addresses of every attachment
    makers    key of a row -> the gap that remains if the row cannot be had
    """

    rows: RowSet
    problems: tuple[Problem, ...] = ()
    gaps: Gaps = field(default_factory=Gaps)
    grants: Mapping[str, Grant] = field(default_factory=dict)
    makers: Mapping[Key, Gaps] = field(default_factory=dict, repr=False)

    def without(self, keys: Iterable[Key]) -> Desired:
        """Return the same without some rows and everything that they hold, leaving gaps in their place."""
        lost = set(keys) & self.rows.keys()
        for key in sorted(self.rows, key=lambda key: list(TABLES).index(key.table)):
            if self.rows[key].parent_key in lost:
                lost.add(key)
        gaps = self.gaps
        for key in lost:
            gaps |= self.makers[key]
        return replace(self, rows=RowSet(row for key, row in self.rows.items() if key not in lost), gaps=gaps)


NO_CLAIMS = Claims()


def desired_from_topology(topology: Topology, claims: Claims = NO_CLAIMS, *, released_by: str | None = None) -> Desired:
    """Return the rows that OVN-Kubernetes would have for a topology.

    claims       slices and addresses in use; they stay with whoever has them
    released_by  the owner whose rows go if nobody wants them any more, so that they claim nothing; None: all stay

    The order of networks, nodes and pods does not matter: newcomers are served by name.
    """
    return _Planner(topology, claims, released_by).run()


class _Planner:
    def __init__(self, topology: Topology, claims: Claims, released_by: str | None) -> None:
        self.topology, self.claims, self.released_by = topology, claims, released_by
        self.style = STYLES[topology.style]
        self.rows: dict[Key, Row] = {}
        self.makers: dict[Key, tuple[str, Gaps]] = {}
        self.faults: list[tuple[Problem, Gaps]] = []
        self.grants: dict[str, Grant] = {}
        self.collided: set[Key] = set()

    def run(self) -> Desired:
        wanted = list(wanted_ports(self.topology))
        self.wanted_names = {item.port for item in wanted}
        refused = list(refuse_requests(wanted, self.topology.style))
        self.faults += [(problem, gap_of(item)) for problem, item in refused]
        refused_ports = {item.port for _, item in refused}
        by_network: dict[str, list[Wanted]] = {network.name: [] for network in self.topology.networks}
        for item in wanted:
            if item.port not in refused_ports:
                by_network[item.network.name].append(item)
        for network in sorted(self.topology.networks, key=lambda network: network.name):
            self.plan_network(network, by_network[network.name])
        return self.result()

    def result(self) -> Desired:
        gaps = self.topology.gaps
        for _, gap in self.faults:
            gaps |= gap
        problems = tuple(problem for problem, _ in self.faults if problem.why)
        rows = RowSet(row for key, row in self.rows.items() if key not in self.collided)
        makers = {key: gap for key, (_, gap) in self.makers.items()}
        return Desired(rows, problems, gaps, self.grants, makers)

    def plan_network(self, network: Network, wanted: Sequence[Wanted]) -> None:
        builder = BUILDERS[network.topology]
        maker = f"network {network.name}"
        self.add(builder.network_rows(network, self.style), maker, Gaps(networks={network.name}))
        held = [item for item in self.claims.ports.get(network.name, {}).values() if self.stays(network, item)]
        if isinstance(network, Layer3):
            self.plan_nodes(network, wanted, held)
        else:
            current = {item.port: item for item in wanted}
            self.plan_ports(wanted, grant_network(network, wanted, _fitting(held, current)))

    def plan_nodes(self, network: Layer3, wanted: Sequence[Wanted], held: Iterable[Held]) -> None:
        nodes = sorted(self.topology.nodes, key=lambda node: node.name)
        sliced = slice_nodes(network, nodes, self.staying_slices(network, nodes))
        self.faults += sliced.faults
        wanted_on: dict[str, list[Wanted]] = {}
        for item in wanted:
            wanted_on.setdefault(item.pod.node, []).append(item)
        held_in: dict[str, list[Held]] = {}
        for claim in held:
            held_in.setdefault(claim.switch, []).append(claim)
        for node in nodes:
            if node.name in sliced.slices:
                on_node = wanted_on.pop(node.name, [])
                self.plan_node(network, node, sliced.slices[node.name], on_node, held_in)
        for rest in wanted_on.values():
            self.faults += [_homeless(item, self.topology.gaps) for item in rest]

    def plan_node(
        self,
        network: Layer3,
        node: Node,
        slices: Sequence[Subnet],
        wanted: Sequence[Wanted],
        held_in: Mapping[str, Sequence[Held]],
    ) -> None:
        builder = BUILDERS[network.topology]
        maker = f"network {network.name}, Node {node.name}"
        self.add(builder.node_rows(network, node, slices, self.style), maker, Gaps(nodes={node.name}))
        current = {item.port: item for item in wanted}
        held = held_in.get(builder.switch_of(network, node.name), ())
        here = [item for item in held if item.port in current or item.port not in self.wanted_names]
        self.plan_ports(wanted, grant_node(network, slices, wanted, _fitting(here, current)))

    def plan_ports(self, wanted: Sequence[Wanted], granted: Granted) -> None:
        self.faults += granted.faults
        for item in wanted:
            if item.port in granted.grants:
                grant = self.grants[item.port] = granted.grants[item.port]
                row = pod_port_row(item.network, item.switch, item.pod, item.nad_key, grant.mac, grant.addresses)
                self.add([row], item.label, gap_of(item))

    def add(self, rows: Iterable[Row], maker: str, gap: Gaps) -> None:
        """Take rows in; two makers of one name are at fault both, unless they mean the same row."""
        for row in rows:
            known = self.rows.setdefault(row.key, row)
            other, other_gap = self.makers.setdefault(row.key, (maker, gap))
            if known != row:
                why = f"its {row.key} is that of {other} too: `-`, `/` and `.` are one in OVN names"
                self.faults.append((Problem("name", why, subject=maker), gap | other_gap))
                self.collided.add(row.key)

    def stays(self, network: Network, held: Held) -> bool:
        """Whether a port in the database keeps its addresses from others: it is wanted, or nobody removes it."""
        gaps = self.topology.gaps
        described = not (network.name in gaps.networks or not gaps.complete)
        released = described and self.released_by is not None and held.owner == self.released_by
        left_alone = any(held.port.endswith(f"_{pod.replace('/', '_')}") for pod in gaps.pods)
        return held.port in self.wanted_names or not released or left_alone

    def staying_slices(self, network: Layer3, nodes: Sequence[Node]) -> Mapping[str, HeldSlices]:
        described = {node.name for node in nodes}
        gaps = self.topology.gaps
        return {
            node: found
            for node, found in self.claims.slices.get(network.name, {}).items()
            if node in described
            or node in gaps.nodes
            or not gaps.complete
            or self.released_by is None
            or found.owner != self.released_by
        }


def _homeless(item: Wanted, gaps: Gaps) -> tuple[Problem, Gaps]:
    """Return the fault of a pod whose node has no switch; the node's own fault has been told already."""
    node = item.pod.node
    why = "" if node in gaps.nodes else f"its node {node} has no subnet of network {item.network.name}"
    return item.problem(why, "node"), gap_of(item)


def _fitting(held: Iterable[Held], wanted: Mapping[str, Wanted]) -> Iterator[Held]:
    """Yield what is held, except by ports whose pod has been replaced by another one of its name."""
    for item in held:
        pod = wanted[item.port].pod if item.port in wanted else None
        if pod is None or not (item.uid and pod.uid) or item.uid == pod.uid:
            yield item
