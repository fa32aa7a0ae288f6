"""What is in use already, read from the rows of a database.

Law: a database that this library (or OVN-Kubernetes) wrote tells everything that a restarted planner must know.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ovnk8s_topo.addresses import (
    Address,
    Subnet,
    address_from_text,
    interface_from_text,
    mac_from_address,
    mac_from_text,
    subnet_from_text,
)
from ovnk8s_topo.nb.ownership import external_ids_of, named_owner
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, Key, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort
from ovnk8s_topo.planner import names

IPV6_SLICE = 64
"""A switch names its IPv6 prefix without the mask; slices of nodes always are /64."""

Reading = tuple[str, tuple[Address, ...]]
"""A MAC and the addresses behind it, as one entry of `addresses` or `port_security` names them."""


class Held(NamedTuple):
    """What a switch port in the database holds, whatever it is for.

    owner     the row's owner mark, None without one
    network   the network that it says it belongs to, else that of its switch, "" if neither says
    switch    the name of the switch it is in
    is_pod    whether it says that it is a pod's
    uid       of the pod that the port was made for, "" if the row does not say
    readings  what it holds; more than one if its two columns differ, the more credible first
    """

    port: str
    owner: str | None
    network: str
    switch: str
    is_pod: bool
    uid: str
    readings: tuple[Reading, ...]

    @property
    def mac(self) -> str:
        """The MAC that it most likely has."""
        return self.readings[0][0]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every address that it may have."""
        if len(self.readings) == 1 and len(self.readings[0][1]) == 1:
            return self.readings[0][1]
        return tuple(dict.fromkeys(address for _, addresses in self.readings for address in addresses))


class HeldSlices(NamedTuple):
    """The subnets of a switch in the database, or of the router port that leads to one.

    owner    the row's owner mark, None without one
    network  the layer3 network of which it says it is a node's switch, "" if it does not
    slices   what the switch says; behind it, what its router port says
    """

    owner: str | None
    network: str
    slices: tuple[Subnet, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """What is in use.

    ports   port name -> what it holds
    slices  switch name -> its slices, also of switches that are lost while their router ports are there
    """

    ports: Mapping[str, Held] = field(default_factory=dict)
    slices: Mapping[str, HeldSlices] = field(default_factory=dict)

    def disowned(self, owner: str, spared: Container[str]) -> Claims:
        """Return the same, with the ports and switches of an owner as if they were nobody's: they stay.

        spared  names of ports and switches that keep their owner
        """

        def is_meant(name: str, held: Held | HeldSlices) -> bool:
            return held.owner == owner and name not in spared

        return Claims(
            {name: held._replace(owner=None) if is_meant(name, held) else held for name, held in self.ports.items()},
            {name: held._replace(owner=None) if is_meant(name, held) else held for name, held in self.slices.items()},
        )


def claims_from_snapshot(snapshot: Snapshot, owner: str = "") -> Claims:
    """Read what every switch and every port in a database holds, whoever wrote the rows.

    owner  whose switch it is that counts where several have one name
    """
    ports = (held for stored in snapshot.table("Logical_Switch_Port") if (held := held_by_port(stored, snapshot)))
    return Claims({held.port: held for held in ports}, slices_from_snapshot(snapshot, owner))


def names_of_claims(rows: Iterable[Stored], snapshot: Snapshot) -> set[str]:
    """Return the names by which `Claims` know what rows hold: a router port's is that of the switch that is lost."""
    found: set[str] = set()
    for stored in rows:
        table, name = stored.key
        switch = name.removeprefix(names.router_to_switch(""))
        is_lost = table == "Logical_Router_Port" and not snapshot.named(Key("Logical_Switch", switch))
        found.add(switch if is_lost else name)
    return found


def slices_from_snapshot(snapshot: Snapshot, owner: str) -> dict[str, HeldSlices]:
    """Read what every switch in a database holds; see `Claims.slices` and `claims_from_snapshot`."""
    gateways = {
        stored.key.name.removeprefix(names.router_to_switch("")): stored
        for stored in snapshot.table("Logical_Router_Port")
    }
    # A router port whose switch is lost still has its subnet.
    slices = {switch: _held_by_gateway(stored, snapshot) for switch, stored in gateways.items()}
    switches: dict[str, Stored] = {}
    for stored in snapshot.table("Logical_Switch"):
        # Names of switches are not unique, and tables have no order.
        known = switches.setdefault(stored.key.name, stored)
        if known is not stored:
            switches[stored.key.name] = min(known, stored, key=lambda it: (named_owner(it) != owner, it.uuid))
    return slices | {name: _held_by_switch(stored, slices.get(name)) for name, stored in switches.items()}


def held_by_port(stored: Stored, snapshot: Snapshot) -> Held | None:
    """Return what a row of Logical_Switch_Port holds, None if nothing."""
    row = stored.row
    assert isinstance(row, LogicalSwitchPort)
    readings = _readings(row)
    if not readings:
        return None
    ids = row.external_ids
    return Held(
        port=row.name,
        owner=ids.get(OWNER_KEY),
        network=ids.get("k8s.ovn.org/network") or _network_of(stored, snapshot),
        switch=row.parent,
        is_pod=ids.get("pod") == "true",
        uid=row.options.get("iface-id-ver", ""),
        readings=readings,
    )


def _readings(row: LogicalSwitchPort) -> tuple[Reading, ...]:
    if len(row.addresses) == 1 and row.addresses == row.port_security:
        # As nearly every port of a pod is.
        (text,) = row.addresses
        reading = _reading(text)
        return (reading,) if reading else ()
    texts = dict.fromkeys((*sorted(row.addresses), *sorted(row.port_security)))
    read = tuple(reading for text in texts if (reading := _reading(text)))
    # Somebody may have spoilt one of the two columns: believe the one whose MAC fits its address.
    return tuple(sorted(dict.fromkeys(read), key=_is_doubtful))


def _is_doubtful(reading: Reading) -> bool:
    mac, addresses = reading
    return not (addresses and mac == mac_from_address(addresses[0]))


def _reading(text: str) -> Reading | None:
    mac, *rest = text.split() or [""]
    try:
        return mac_from_text(mac), tuple(map(address_from_text, rest))
    except ValueError:
        return None


def _network_of(stored: Stored, snapshot: Snapshot) -> str:
    if said := external_ids_of(stored.row).get("k8s.ovn.org/network"):
        return said
    holders = (snapshot.rows[uuid].row for uuid in stored.holders if uuid in snapshot.rows)
    return next(filter(None, (external_ids_of(row).get("k8s.ovn.org/network") for row in holders)), "")


def _held_by_switch(stored: Stored, gateway: HeldSlices | None) -> HeldSlices:
    row = stored.row
    assert isinstance(row, LogicalSwitch)
    is_node_switch = row.external_ids.get("k8s.ovn.org/topology") == "layer3"
    network = row.external_ids.get("k8s.ovn.org/network", "") if is_node_switch else ""
    slices = (*_slices_of_switch(row), *(gateway.slices if gateway else ()))
    return HeldSlices(named_owner(stored), network, tuple(dict.fromkeys(slices)))


def _held_by_gateway(stored: Stored, snapshot: Snapshot) -> HeldSlices:
    return HeldSlices(named_owner(stored), _network_of(stored, snapshot), tuple(_slices_of_gateway(stored)))


def _slices_of_switch(row: LogicalSwitch) -> Iterator[Subnet]:
    config = row.other_config
    texts = [config[key] for key in ("subnet",) if key in config]
    texts += [f"{config[key]}/{IPV6_SLICE}" for key in ("ipv6_prefix",) if key in config]
    for text in texts:
        try:
            yield subnet_from_text(text)
        except ValueError:
            continue


def _slices_of_gateway(stored: Stored) -> Iterator[Subnet]:
    assert isinstance(stored.row, LogicalRouterPort)
    for text in sorted(stored.row.networks):
        try:
            yield interface_from_text(text)[1]
        except ValueError:
            continue
