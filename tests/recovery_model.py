"""What a database says, read with the standard library and not with the code under test, and what a subnet can give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network
from typing import NamedTuple, cast

from ovnk8s_topo.nb.rowset import Snapshot, Stored

Ip = IPv4Address | IPv6Address
Net = IPv4Network | IPv6Network


class Owner(NamedTuple):
    """Who holds addresses: a pod that comes back under its name is another owner."""

    port: str
    uid: str


class Port(NamedTuple):
    """A pod's port in the database."""

    network: str
    switch: str
    ips: tuple[Ip, ...]


@dataclass(frozen=True)
class Facts:
    """What a database says.

    ports   every pod's port
    slices  node -> its subnets, as its router port or else its switch names them; described or not
    """

    ports: Mapping[Owner, Port]
    slices: Mapping[str, tuple[Net, ...]]

    @classmethod
    def of(cls, nb: Snapshot) -> Facts:
        return cls(
            {_owner(stored): _port(stored) for stored in nb.table("Logical_Switch_Port") if _is_pod(stored)},
            dict(_slices_of_switches(nb)) | dict(_slices_of_gateways(nb)),
        )


@dataclass(frozen=True)
class Home:
    """A subnet that gives one address to each of its owners: the plainest model of a pool.

    first, last  hosts, as numbers; IPv6 gives offsets 1 to 65535
    closed       spans of hosts that nobody gets
    """

    version: int
    first: int
    last: int
    closed: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        return self.last - self.first + 1 - sum(last - first + 1 for first, last in self.closed)

    def __contains__(self, ip: Ip) -> bool:
        inside = ip.version == self.version and self.first <= int(ip) <= self.last
        return inside and not any(first <= int(ip) <= last for first, last in self.closed)


@cache
def home_of(subnet: Net, excluded: tuple[Net, ...] = (), withheld: int = 0) -> Home:
    """Return what a subnet can give.

    withheld  how many of its first addresses the network keeps for itself
    """
    first, last = int(subnet.network_address) + 1, int(subnet.broadcast_address)
    last = last - 1 if subnet.version == 4 else min(last, first + 65534)
    spans = [(first, first + withheld - 1)] if withheld else []
    spans += [(int(net[0]), int(net[-1])) for net in excluded if overlap(net, subnet)]
    return Home(subnet.version, first, last, tuple((max(low, first), min(high, last)) for low, high in spans))


def overlap(one: Net, other: Net) -> bool:
    return one.version == other.version and one[0] <= other[-1] and other[0] <= one[-1]  # type: ignore[operator]


def inside(one: Net, other: Net) -> bool:
    return overlap(one, other) and one.prefixlen >= other.prefixlen


def nets(subnets: object) -> tuple[Net, ...]:
    return tuple(ip_network(str(subnet)) for subnet in cast(tuple[object, ...], subnets))


def _is_pod(stored: Stored) -> bool:
    return cast(Mapping[str, str], stored.row.get("external_ids")).get("pod") == "true"


def _owner(stored: Stored) -> Owner:
    return Owner(stored.key.name, cast(Mapping[str, str], stored.row.get("options")).get("iface-id-ver", ""))


def _port(stored: Stored) -> Port:
    (text,) = cast(frozenset[str], stored.row.get("addresses"))
    network = cast(Mapping[str, str], stored.row.get("external_ids"))["k8s.ovn.org/network"]
    return Port(network, cast(str, stored.row.get("parent")), tuple(map(ip_address, text.split()[1:])))


def _slices_of_switches(nb: Snapshot) -> Iterator[tuple[str, tuple[Net, ...]]]:
    for stored in nb.table("Logical_Switch"):
        config = cast(Mapping[str, str], stored.row.get("other_config"))
        texts = [config["subnet"]] if "subnet" in config else []
        texts += [f"{config['ipv6_prefix']}/64"] if "ipv6_prefix" in config else []
        if stored.key.name.startswith("three_"):
            yield stored.key.name.rpartition("_")[2], tuple(map(ip_network, texts))


def _slices_of_gateways(nb: Snapshot) -> Iterator[tuple[str, tuple[Net, ...]]]:
    for stored in nb.table("Logical_Router_Port"):
        texts = sorted(cast(frozenset[str], stored.row.get("networks")))
        yield stored.key.name.rpartition("_")[2], tuple(ip_interface(text).network for text in texts)
