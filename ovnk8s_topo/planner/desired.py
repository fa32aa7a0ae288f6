"""Topology -> rows: the union of small pure functions, one for each network, node and attachment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import NamedTuple, TypeVar, overload

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import RowSet
from ovnk8s_topo.nb.tables import TABLES, Key, LogicalSwitchPort, Row
from ovnk8s_topo.planner.addressing import Grant
from ovnk8s_topo.planner.allocation import Allocation, allocate
from ovnk8s_topo.planner.claims import Claims
from ovnk8s_topo.planner.common import pod_port_row
from ovnk8s_topo.planner.faults import Fault
from ovnk8s_topo.planner.persistent import texts_of_claim
from ovnk8s_topo.planner.style import STYLES
from ovnk8s_topo.planner.topologies import BUILDERS
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Gaps, Network, Topology

T = TypeVar("T")

PORTS = LogicalSwitchPort.TABLE.name

_RANKS = {table: rank for rank, table in enumerate(TABLES)}


class Unit(NamedTuple):
    """What a row was made for: a network, one of its nodes, or one attachment.

    node, pod, nad_key  "" where they do not apply; the pod as ``namespace/name``
    """

    network: str
    node: str = ""
    pod: str = ""
    nad_key: str = ""

    def __str__(self) -> str:
        if self.pod:
            return f"Pod {self.pod} ({self.nad_key})"
        return f"network {self.network}" + (f", Node {self.node}" if self.node else "")

    @property
    def is_network(self) -> bool:
        """Whether it is a network as a whole."""
        return not (self.node or self.pod)

    @property
    def gap(self) -> Gaps:
        """What to leave alone if the row cannot be had."""
        if self.pod:
            return Gaps(pods={self.pod})
        return Gaps(nodes={self.node}) if self.node else Gaps(networks={self.network})


class Units(Mapping[Key, Unit]):
    """Units by the keys of their rows. Those of attachments, of which there are many, are made for whoever asks.

    named    units of rows, which go before attachments
    granted  attachments that have a port
    """

    def __init__(self, named: Mapping[Key, Unit], granted: Sequence[tuple[Wanted, Grant]]) -> None:
        self._named, self._granted = named, granted

    @cached_property
    def _attachments(self) -> Mapping[str, Wanted]:
        """Attachments by the names of their ports."""
        return {item.port: item for item, _ in self._granted}

    def __getitem__(self, key: Key) -> Unit:
        unit = self.get(key)
        if unit is None:
            raise KeyError(key)
        return unit

    @overload
    def get(self, key: Key, /) -> Unit | None: ...

    @overload
    def get(self, key: Key, /, default: Unit | T) -> Unit | T: ...

    def get(self, key: Key, /, default: Unit | T | None = None) -> Unit | T | None:
        """Return a row's unit; the method of `Mapping` raises, and catches, an error for each key that is not there."""
        unit = self._named.get(key)
        if unit is None and key[0] == PORTS and (item := self._attachments.get(key[1])):
            unit = Unit(item.network.name, pod=item.pod_key, nad_key=item.nad_key)
        return default if unit is None else unit

    def __iter__(self) -> Iterator[Key]:
        keys = (Key(PORTS, port) for port in self._attachments)
        return chain(self._named, (key for key in keys if key not in self._named))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True)
class Desired:
    """What a topology comes to.

    rows      as they shall be, with the mark of the owner that they were planned for, if any
    problems  who got nothing, and why
    gaps      whose rows to leave alone: the topology's own gaps and those of `problems`
    grants    port name -> MAC and addresses of every attachment, by port
    slices    layer3 network -> node -> its slices
    units     key of a row -> what it was made for
    claims    port name -> ``namespace/name`` of the IPAMClaim that its attachment refers to
    ipam_claims  ``namespace/name`` of every IPAMClaim that is referred to -> its addresses with prefix length, to be
              written into its ``status.ips``; one that holds some already has the same again
    notices   what is no fault but has no effect, such as a reference to an IPAMClaim that the network does not heed
    """

    rows: RowSet
    problems: tuple[Problem, ...] = ()
    gaps: Gaps = field(default_factory=Gaps)
    grants: Mapping[str, Grant] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, tuple[Subnet, ...]]] = field(default_factory=dict)
    units: Mapping[Key, Unit] = field(default_factory=dict, repr=False)
    claims: Mapping[str, str] = field(default_factory=dict)
    ipam_claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def without(self, keys: Iterable[Key]) -> Desired:
        """Return the same without some rows, leaving gaps in their place.

        With a row goes what was made for the same network, node or attachment, and what hangs on that: half of it
        is no use. Shared rows stay.
        """
        units = {self.units[key] for key in keys if key in self.units}
        return self._without_units(units) if units else self

    def _without_units(self, units: set[Unit]) -> Desired:
        networks = {unit.network for unit in units if unit.is_network}
        lost = self._names_lost(units, networks)
        lost_ports = lost["Logical_Switch_Port"]
        claims = {port: claim for port, claim in self.claims.items() if port not in lost_ports}
        referred = set(claims.values())
        return replace(
            self,
            rows=RowSet.by_key({key: row for key, row in self.rows.items() if key.name not in lost[key.table]}),
            gaps=self.gaps | _gaps_of(units),
            grants={port: grant for port, grant in self.grants.items() if port not in lost_ports},
            slices={
                network: {node: found for node, found in nodes.items() if Unit(network, node) not in units}
                for network, nodes in self.slices.items()
                if network not in networks
            },
            claims=claims,
            ipam_claims={claim: ips for claim, ips in self.ipam_claims.items() if claim in referred},
        )

    def _names_lost(self, units: set[Unit], networks: set[str]) -> dict[str, set[str]]:
        """Return table -> names of the rows that go with some units and with whole networks."""
        lost: dict[str, set[str]] = {table: set() for table in TABLES}
        # Those that hold others come before them.
        for key in sorted(self.rows, key=lambda key: _RANKS[key.table]):
            unit, table = self.units[key], TABLES[key.table]
            made_for_them = (unit in units or unit.network in networks) and table.mark != "shared"
            if made_for_them or (table.parent and self._parent_of(key) in lost[table.parent[0]]):
                lost[key.table].add(key.name)
        return lost

    def _parent_of(self, key: Key) -> str:
        parent = self.rows[key].parent_key
        return parent.name if parent else ""


NO_CLAIMS = Claims()


def desired_from_topology(
    topology: Topology,
    claims: Claims = NO_CLAIMS,
    *,
    owner: str = "",
    released_by: str | None = None,
    left_alone: Gaps | None = None,
) -> Desired:
    """Return the rows that OVN-Kubernetes would have for a topology.

    claims       slices and addresses in use; they stay with whoever has them
    owner        whose mark the rows bear (`nb.ownership`); "": nobody's
    released_by  the owner whose rows go if nobody wants them any more, so that they claim nothing; None: all stay
    left_alone   whose rows stay nevertheless, beside those that the topology leaves open

    The order of networks, nodes and pods does not matter: newcomers are served by name.
    """
    gaps = Gaps.union([topology.gaps, *([left_alone] if left_alone else [])])
    while True:
        desired = _Planner(topology, allocate(topology, claims, released_by, gaps), gaps, owner).run()
        # Without a prune everything stays, whoever is left alone; only nodes of their own still make a difference.
        if desired.gaps == gaps or (released_by is None and desired.gaps.nodes == gaps.nodes):
            return desired
        # What is left alone for a fault keeps its addresses, and so the rest is planned again without them.
        gaps = desired.gaps


class _Planner:
    def __init__(self, topology: Topology, allocation: Allocation, gaps: Gaps, owner: str) -> None:
        self.topology, self.allocation, self.gaps, self.owner = topology, allocation, gaps, owner
        self.style = STYLES[topology.style]
        self.rows: dict[Key, Row] = {}
        self.named: dict[Key, Unit] = {}
        self.units = Units(self.named, allocation.granted)
        self.spoilt: set[Unit] = set()
        self.faults: list[Fault] = [*allocation.faults]

    def run(self) -> Desired:
        for network in sorted(self.topology.networks, key=lambda network: network.name):
            if network.name not in self.allocation.refused:
                self.plan_network(network)
        rows, owner, new = self.rows, self.owner, tuple.__new__
        for item, (mac, addresses) in self.allocation.granted:
            network, pod, nad_key, _, port, switch, _ = item
            row = pod_port_row(network, switch, pod, nad_key, mac, addresses, owner, port)
            key = new(Key, (PORTS, port))  # twice as quick as to call it
            if rows.setdefault(key, row) is not row:
                self.note_rivals(key, row, Unit(network.name, pod=item.pod_key, nad_key=nad_key))
        return self.result()

    def result(self) -> Desired:
        problems = tuple(fault.problem for fault in self.faults if fault.problem)
        gaps = Gaps.union([self.gaps, *(fault.gap for fault in self.faults)])
        granted, bound = self.allocation.granted, self.allocation.claims
        claims = [(bound[item.port], item, grant) for item, grant in granted if item.port in bound] if bound else []
        desired = Desired(
            RowSet.by_key(self.rows),
            problems,
            gaps,
            {item.port: grant for item, grant in granted},
            self.allocation.slices,
            self.units,
            claims={item.port: claim.key for claim, item, _ in claims},
            ipam_claims={claim.key: texts_of_claim(claim, item.network, got.addresses) for claim, item, got in claims},
            notices=tuple(self.allocation.notices),
        )
        return desired._without_units(self.spoilt) if self.spoilt else desired

    def plan_network(self, network: Network) -> None:
        builder = BUILDERS[network.topology]
        self.add_all(builder.network_rows(network, self.style), Unit(network.name))
        slices = self.allocation.slices.get(network.name, {})
        for node in sorted(self.topology.nodes, key=lambda node: node.name):
            if node.name in slices:
                rows = builder.node_rows(network, node, slices[node.name], self.style)
                self.add_all(rows, Unit(network.name, node.name))

    def add_all(self, rows: Iterable[Row], unit: Unit) -> None:
        for row in rows:
            self.add(row.key, marked(row, self.owner) if self.owner else row, unit)

    def add(self, key: Key, row: Row, unit: Unit) -> None:
        """Take in a row of a network or node."""
        if self.rows.setdefault(key, row) is not row:
            self.note_rivals(key, row, unit)
        self.named.setdefault(key, unit)

    def note_rivals(self, key: Key, row: Row, unit: Unit) -> None:
        """Note that a row of that name is there already: two units that name different rows alike are both at fault."""
        if self.rows[key] != row:
            other = self.units[key]
            why = f"its {key} is that of {other} too"
            self.faults.append(Fault(unit.gap, Problem("name", why, subject=str(unit))))
            self.spoilt |= {unit, other}


def _gaps_of(units: Collection[Unit]) -> Gaps:
    """Return what to leave alone if the rows of some units cannot be had: what their own `gap`s come to."""
    return Gaps(
        networks={unit.network for unit in units if unit.is_network},
        nodes={unit.node for unit in units if unit.node and not unit.pod},
        pods={unit.pod for unit in units if unit.pod},
    )


def _port_key(port: str) -> Key:
    return Key("Logical_Switch_Port", port)
