"""What was planned last, unit by unit: what the database is expected to hold, and for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ovnk8s_topo.addresses import Address, Subnet
from ovnk8s_topo.errors import Problem
from ovnk8s_topo.nb.rowset import RowSet
from ovnk8s_topo.nb.tables import TABLES, Key, Row
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Desired, Grant, Unit, names, wanted_ports
from ovnk8s_topo.planner.macs import behind_chosen_macs
from ovnk8s_topo.planner.persistent import unheeded
from ovnk8s_topo.planner.style import STYLES
from ovnk8s_topo.planner.topologies import BUILDERS
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Gaps, Layer3, Network

Place = tuple[str, str]
"""A pod and one of its NAD keys."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a plan of a part puts in the place of what was there.

    units  that are given up; those of `desired` come in their place
    items  attachments that are given up
    come   attachments that are wanted instead
    gone   networks of which nothing is left but what `desired` says
    """

    desired: Desired
    units: Sequence[Unit]
    items: Sequence[Wanted]
    come: Sequence[Wanted]
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Open:
    """What of a description could not be had.

    networks  those that something is amiss with: every change to one of them is planned together with the others
    stale     uuids of rows that should go and had to stay
    problems, gaps  as in `Desired`
    """

    networks: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    gaps: Gaps = field(default_factory=Gaps)


class Standing:
    """The last plan, with what is needed to replace a part of it.

    networks  those that are wanted now, by name; kept by somebody else
    rows    with their owner's mark; units says what each was made for, keys which rows a unit has
    items   pod -> its attachments; ports: port name -> who wants it
    members network -> its attachments; places: switch -> those in it
    bound   port name -> its IPAMClaim; texts: IPAMClaim -> its addresses
    avoided network -> addresses behind MACs that pods have chosen, and how many did
    """

    def __init__(self, plan: Plan, networks: Mapping[str, Network]) -> None:
        topology, self.owner = plan.topology, plan.owner
        self.networks, self.style = networks, STYLES[topology.style]
        self.honours_wishes = topology.cluster.fixed_addresses == "honour"
        self.rows: dict[Key, Row] = {}
        self.units: dict[Key, Unit] = {}
        self.keys: dict[Unit, dict[Key, None]] = {}
        self.of_network: dict[str, set[Unit]] = {}
        self.items: dict[str, tuple[Wanted, ...]] = {}
        self.ports: dict[str, tuple[Wanted, ...]] = {}
        self.members: dict[str, dict[Place, Wanted]] = {}
        self.places: dict[str, dict[Place, Wanted]] = {}
        self.grants: dict[str, Grant] = {}
        self.slices: dict[str, Mapping[str, tuple[Subnet, ...]]] = {}
        self.bound: dict[str, str] = {}
        self.texts: dict[str, tuple[str, ...]] = {}
        self.avoided: dict[str, dict[Address, int]] = {}
        self.enter(Step(plan.desired, (), (), tuple(wanted_ports(topology))))

    def enter(self, step: Step) -> None:
        """Put the outcome of a plan in the place of what was there."""
        shared = {key: self.rows[key] for unit in step.units for key in self.keys.get(unit, ()) if is_shared(key)}
        for unit in step.units:
            self._forget_unit(unit)
        for item in step.items:
            self._forget_item(item)
        for network in step.gone:
            self.slices.pop(network, None)
        for item in step.come:
            self._note_item(item)
        desired = step.desired
        for key, row in desired.rows.items():
            self._note_row(row, desired.units[key])
        self.grants |= desired.grants
        for network, slices in desired.slices.items():
            self.slices[network] = slices
        self.bound |= desired.claims
        self.texts |= desired.ipam_claims
        self._bequeath({key: row for key, row in shared.items() if key not in self.rows})

    def join(self, item: Wanted, unit: Unit, row: Row, grant: Grant | None) -> None:
        """Put one more attachment beside what is there."""
        self._note_item(item)
        self._note_row(row, unit)
        if grant is not None:
            self.grants[item.port] = grant

    def leave(self, item: Wanted, unit: Unit) -> tuple[Row, Grant | None]:
        """Take one attachment away, whose unit has one row that nobody else wants; return what it had."""
        [key] = self.keys[unit]
        had = self.rows[key], self.grants.get(item.port)
        self._forget_unit(unit)
        self._forget_item(item)
        return had

    def _bequeath(self, shared: Mapping[Key, Row]) -> None:
        """Keep shared rows, whose network goes, for another one that wants them as well."""
        for unit in [unit for units in self.of_network.values() for unit in units if unit.is_network] if shared else ():
            network = self.networks[unit.network]
            for row in BUILDERS[network.topology].network_rows(network, self.style):
                if row.key in shared and row.key not in self.rows:
                    self._note_row(row, unit)

    def _note_row(self, row: Row, unit: Unit) -> None:
        key = row.key
        self.rows[key] = row
        self.units[key] = unit
        self.keys.setdefault(unit, {})[key] = None
        self.of_network.setdefault(unit.network, set()).add(unit)

    def _forget_unit(self, unit: Unit) -> None:
        for key in self.keys.pop(unit, ()):
            if self.units.get(key) == unit:
                del self.rows[key], self.units[key]
        if unit in (units := self.of_network.get(unit.network, set())):
            units.remove(unit)
            if not units:
                del self.of_network[unit.network]

    def _note_item(self, item: Wanted) -> None:
        pod = f"{item.pod.namespace}/{item.pod.name}"
        self.items[pod] = (*self.items.get(pod, ()), item)
        self.ports[item.port] = (*self.ports.get(item.port, ()), item)
        place = (pod, item.nad_key)
        self.members.setdefault(item.network.name, {})[place] = item
        self.places.setdefault(item.switch, {})[place] = item
        for address in behind_chosen_macs(item, self.honours_wishes):
            counts = self.avoided.setdefault(item.network.name, {})
            counts[address] = counts.get(address, 0) + 1

    def _forget_item(self, item: Wanted) -> None:
        pod = f"{item.pod.namespace}/{item.pod.name}"
        _discard(self.items, pod, item)
        _discard(self.ports, item.port, item)
        place = (pod, item.nad_key)
        for index, name in ((self.members, item.network.name), (self.places, item.switch)):
            del index[name][place]
            if not index[name]:
                del index[name]
        self.grants.pop(item.port, None)
        if claim := self.bound.pop(item.port, None):
            self.texts.pop(claim, None)
        for address in behind_chosen_macs(item, self.honours_wishes):
            counts = self.avoided[item.network.name]
            counts[address] -= 1
            if not counts[address]:
                del counts[address]

    def network_of_switch(self, switch: str) -> str:
        """Return the network that a switch was planned for, "" if it was not."""
        unit = self.units.get(Key("Logical_Switch", switch))
        return unit.network if unit else ""

    def wants(self, name: str) -> bool:
        """Whether a port or switch of this name was planned or asked for."""
        return name in self.ports or bool(self.network_of_switch(name))

    def family(self, key: Key) -> dict[Key, Row]:
        """Return a planned row with the rows that hold it."""
        found: dict[Key, Row] = {}
        next_key: Key | None = key
        while next_key is not None and next_key in self.rows:
            found[next_key] = self.rows[next_key]
            next_key = found[next_key].parent_key
        return found

    def desired(self, still_open: Open) -> Desired:
        """Return the whole plan as one value."""
        items = [item for items in self.items.values() for item in items if item.attachment.ipam_claim_reference]
        return Desired(
            RowSet(self.rows.values()),
            still_open.problems,
            still_open.gaps,
            dict(self.grants),
            dict(self.slices),
            dict(self.units),
            dict(self.bound),
            dict(self.texts),
            tuple(unheeded(item) for item in sorted(items, key=place_in_line) if not item.network.honours_claims),
        )


def is_settled(network: Network, desired: Desired, items: Iterable[Wanted], nodes: Iterable[str]) -> bool:
    """Whether a network got everything that it wants.

    desired  the plan of it
    items    its attachments
    nodes    all nodes
    """
    switch_of = BUILDERS[network.topology].switch_of
    needed = [Key("Logical_Switch_Port", item.port) for item in items]
    if isinstance(network, Layer3):
        needed += [Key("Logical_Switch", switch_of(network, node)) for node in nodes]
        needed.append(Key("Logical_Router", names.cluster_router(network.name)))
    else:
        needed.append(Key("Logical_Switch", switch_of(network, "")))
    return all(key in desired.rows for key in needed)


def place_in_line(item: Wanted) -> tuple[str, str, int]:
    """Return by what newcomers are served: namespace, name, order in the annotation."""
    keys = [key for key, _ in item.pod.keyed_attachments()]
    return item.pod.namespace, item.pod.name, keys.index(item.nad_key)


def is_shared(key: Key) -> bool:
    """Whether several networks may want the very same row."""
    return TABLES[key.table].mark == "shared"


def _discard(index: dict[str, tuple[Wanted, ...]], name: str, item: Wanted) -> None:
    if left := tuple(other for other in index.get(name, ()) if other is not item):
        index[name] = left
    else:
        index.pop(name, None)


def units_of(items: Iterable[Wanted]) -> Iterator[Unit]:
    """Yield the units of attachments."""
    for item in items:
        yield Unit(item.network.name, pod=f"{item.pod.namespace}/{item.pod.name}", nad_key=item.nad_key)
