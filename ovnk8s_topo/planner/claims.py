"""What is in use already, read from the rows of a database.

Law: a database that this library (or OVN-Kubernetes) wrote tells everything that a restarted planner must know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ovnk8s_topo.addresses import (
    Address,
    Subnet,
    address_from_text,
    mac_from_address,
    mac_from_text,
    subnet_from_text,
)
from ovnk8s_topo.nb.ownership import external_ids_of, named_owner
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import LogicalSwitch, LogicalSwitchPort
from ovnk8s_topo.planner import names

IPV6_SLICE = 64
"""A switch names its IPv6 prefix without the mask; slices of nodes always are /64."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a pod's port in the database holds.

    owner   the row's owner mark, None without one
    switch  the switch it is in
    uid     of the pod that the port was made for, "" if the row does not say
    """

    port: str
    owner: str | None
    switch: str
    namespace: str
    uid: str
    mac: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class HeldSlices:
    """The slices of a node's switch in the database."""

    owner: str | None
    slices: tuple[Subnet, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """What is in use, by network name.

    ports   network -> port name -> what it holds
    slices  network -> node name -> its slices
    """

    ports: Mapping[str, Mapping[str, Held]] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, HeldSlices]] = field(default_factory=dict)


def claims_from_snapshot(snapshot: Snapshot) -> Claims:
    """Read the claims of every network in a database, whoever wrote the rows."""
    ports: dict[str, dict[str, Held]] = {}
    slices: dict[str, dict[str, HeldSlices]] = {}
    for stored in snapshot.table("Logical_Switch_Port"):
        ids = external_ids_of(stored.row)
        if ids.get("pod") == "true" and "k8s.ovn.org/network" in ids and (held := _held(stored)):
            ports.setdefault(ids["k8s.ovn.org/network"], {})[held.port] = held
    for stored in snapshot.table("Logical_Switch"):
        ids = external_ids_of(stored.row)
        network = ids.get("k8s.ovn.org/network", "")
        before = names.prefix(network)
        if ids.get("k8s.ovn.org/topology") == "layer3" and stored.key.name.startswith(before):
            found = HeldSlices(named_owner(stored), tuple(_slices(stored)))
            slices.setdefault(network, {})[stored.key.name.removeprefix(before)] = found
    return Claims(ports, slices)


def _held(stored: Stored) -> Held | None:
    row = stored.row
    assert isinstance(row, LogicalSwitchPort)
    read = [parsed for text in (*row.addresses, *row.port_security) if (parsed := _mac_and_addresses(text))]
    if not read:
        return None
    # Somebody may have spoilt one of the two columns: believe the one whose MAC fits its address.
    mac, addresses = min(read, key=lambda pair: not (pair[1] and pair[0] == mac_from_address(pair[1][0])))
    return Held(
        port=row.name,
        owner=named_owner(stored),
        switch=row.parent,
        namespace=row.external_ids.get("namespace", ""),
        uid=row.options.get("iface-id-ver", ""),
        mac=mac,
        addresses=addresses,
    )


def _mac_and_addresses(text: str) -> tuple[str, tuple[Address, ...]] | None:
    mac, *rest = text.split()
    try:
        return mac_from_text(mac), tuple(address_from_text(part) for part in rest)
    except ValueError:
        return None


def _slices(stored: Stored) -> Iterator[Subnet]:
    row = stored.row
    assert isinstance(row, LogicalSwitch)
    config = row.other_config
    texts = [config[key] for key in ("subnet",) if key in config]
    texts += [f"{config[key]}/{IPV6_SLICE}" for key in ("ipv6_prefix",) if key in config]
    for text in texts:
        try:
            yield subnet_from_text(text)
        except ValueError:
            continue
