"""From a configuration that is right to a network of the topology, and what two configurations have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ovnk8s_topo.addresses import Address, Subnet, address_from_text
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.sources.netconf import KEYS, NetConf
from ovnk8s_topo.spec.network import Network, network_from_fields
from ovnk8s_topo.spec.subnets import plain_subnet_from_text

NO_PRIMARY = "primary networks are not supported"

_FIELDS = {
    "layer3": ("subnets", "joinSubnet"),
    "layer2": ("subnets", "excludeSubnets", "joinSubnet", "allowPersistentIPs"),
    "localnet": ("subnets", "excludeSubnets", "allowPersistentIPs", "vlanID", "physicalNetworkName"),
}
_NEVER_USED = ("transport", "outboundSNAT", "evpn", "uplink", "transitSubnet", "defaultGatewayIPs")
_NOT_FOR_TOPOLOGY = (
    "excludeSubnets",
    "reservedSubnets",
    "infrastructureSubnets",
    "vlanID",
    "physicalNetworkName",
    *_NEVER_USED,
)


def network_from_netconf(netconf: NetConf, nad_keys: Iterable[str]) -> Network:
    """Build the network that a configuration describes.

    nad_keys  ``namespace/name`` of the definitions that carry it

    SpecError  a primary role; and what OVN-Kubernetes lets pass although it cannot work: a layer3 network without
               subnets, a VLAN or MTU out of range, subnets of a localnet network that overlap
    """
    problems = [*_unsupported(netconf)]
    found = netconf.as_json()
    given = {key: found[key] for key in _FIELDS.get(netconf.topology, ()) if key in found}
    mtu = netconf.mtu if "mtu" in netconf.offsets else None
    try:
        network = network_from_fields(netconf.topology, name=netconf.name, nads=tuple(nad_keys), mtu=mtu, **given)
    except SpecError as error:
        told = {problem.path for problem in problems}
        problems += [_by_json_key(problem) for problem in error.problems if problem.path not in told]
        raise SpecError(problems) from error
    if problems:
        raise SpecError(problems)
    return network


def _unsupported(netconf: NetConf) -> Iterator[Problem]:
    if netconf.is_primary:
        yield Problem("role", NO_PRIMARY, given=repr(netconf.role))
    if netconf.topology == "layer3" and not netconf.subnets.strip():
        yield Problem("subnets", "must be given: every node gets a part of them")
    if netconf.topology not in _FIELDS:
        yield Problem("topology", f"topology {netconf.topology} not supported", given=repr(netconf.topology))


_JSON_KEYS = {
    "vlan_id": "vlanID",
    "exclude_subnets": "excludeSubnets",
    "join_subnets": "joinSubnet",
    "physical_network_name": "physicalNetworkName",
    "allow_persistent_ips": "allowPersistentIPs",
}


def _by_json_key(problem: Problem) -> Problem:
    name, mark, rest = problem.path.partition("[")
    return Problem(_JSON_KEYS.get(name, name) + mark + rest, problem.why, problem.given)


def ignored_fields(netconf: NetConf) -> tuple[str, ...]:
    """Return the JSON keys that are set and have no effect on a network of this topology."""
    found = netconf.as_json()
    used = _FIELDS.get(netconf.topology, ())
    return tuple(key for key in _NOT_FOR_TOPOLOGY if key in found and key not in used)


_KEY_OF = {ours: key for key, ours in KEYS.items()}
_LISTS = ("exclude_subnets", "reserved_subnets", "infrastructure_subnets", "join_subnet", "transit_subnet")
_EQUAL = (
    "name",
    "topology",
    "mtu",
    "vlan_id",
    "allow_persistent_ips",
    "role",
    "physical_network_name",
    "transport",
    "uplink",
    "outbound_snat",
    "evpn",
)


def compatible(one: NetConf, other: NetConf) -> bool:
    """Tell whether two configurations may belong to one network (AreNetworksCompatible).

    The order inside of subnet lists is free; the subnets of a layer3 network may differ, for that is an update.
    """
    return not [*differences(one, other, update=True)]


def differences(one: NetConf, other: NetConf, *, update: bool = False) -> Iterator[str]:
    """Yield the JSON keys in which two configurations differ; with `update`, those that can change are left out."""
    for name in _EQUAL:
        if getattr(one, name) != getattr(other, name):
            yield _KEY_OF.get(name, name)
    for name in _LISTS:
        if _entries(getattr(one, name)) != _entries(getattr(other, name)):
            yield _KEY_OF.get(name, name)
    if not (update and one.topology == "layer3") and _entries(one.subnets) != _entries(other.subnets):
        yield "subnets"


def _entries(text: str) -> list[str]:
    return sorted(part.strip() for part in text.split(",") if part.strip())


def gateway_address(netconf: NetConf, subnet: Subnet) -> Address:
    """Return the gateway of a node's subnet: the first address above the network's.

    On a layer2 primary network: the one of `defaultGatewayIPs`, else the first free infrastructure address.
    """
    return _infrastructure(netconf, subnet)[0] or subnet.address(1)


def management_address(netconf: NetConf, subnet: Subnet) -> Address:
    """Return the node's own address in its subnet: the second above the network's.

    On a layer2 primary network: the next free infrastructure address that is not the gateway's.
    """
    gateway, management = _infrastructure(netconf, subnet)
    if management:
        return management
    return subnet.address(1) if gateway == subnet.address(2) else subnet.address(2)


def _infrastructure(netconf: NetConf, subnet: Subnet) -> tuple[Address | None, Address | None]:
    if netconf.topology != "layer2" or not netconf.is_primary:
        return None, None
    given = [address_from_text(text) for text in _entries(netconf.default_gateway_ips)]
    own = [address for address in given if address.version == subnet.version]
    free = _free(netconf, subnet, own)
    gateway = own[0] if own else next(free, None)
    return gateway, next(free, None)


def _free(netconf: NetConf, subnet: Subnet, taken: list[Address]) -> Iterator[Address]:
    reserved = {subnet.network, *taken}
    if subnet.version == 4:
        reserved.add(Address(4, subnet.last))
    for text in netconf.infrastructure_subnets.split(","):
        block = plain_subnet_from_text(text.strip()) if text.strip() else None
        if block is None or block.version != subnet.version:
            continue
        for value in range(block.first, min(block.last, block.first + len(reserved) + 2) + 1):
            if Address(block.version, value) not in reserved:
                yield Address(block.version, value)
