"""What must hold between the fields of a CNI configuration, and between it and the cluster.

Source of rules, order and texts: ovn-kubernetes pkg/util/multi_network.go, ValidateNetConf, SubnetOverlapCheck and
newNetInfo. Upstream stops at the first fault; here every fault is reported, in upstream's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ovnk8s_topo.addresses import Subnet, address_from_text
from ovnk8s_topo.sources.netconf import (
    DEFAULT_MTU,
    Fault,
    NetConf,
    NetConfError,
    name_faults,
    netconf_from_text,
)
from ovnk8s_topo.spec.cluster import Cluster
from ovnk8s_topo.spec.network import default_join_subnets
from ovnk8s_topo.spec.subnets import (
    check_apart,
    check_contained,
    check_host_lens,
    cluster_subnet_from_text,
    plain_subnet_from_text,
)

W2 = "invalid subnet configuration: "
BUILD = "error while parsing subnets: "
NO_IPAM = "IPAM key is not supported. Use OVN-K provided IPAM via the `subnets` attribute"
ONLY_LAYER2 = ("infrastructureSubnets", "reservedSubnets", "defaultGatewayIPs")
TRANSIT_TRIES = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a configuration is judged against.

    gateway_mode             ``shared`` or ``local``
    families                 IP versions of the cluster
    preconfigured_addresses  whether reserved and infrastructure subnets of layer2 networks are looked at
    """

    cluster: Cluster = field(default_factory=Cluster)
    gateway_mode: str = "shared"
    families: frozenset[int] = frozenset({4, 6})
    preconfigured_addresses: bool = True


def parse_prefix(nad_key: str) -> str:
    """Return what OVN-Kubernetes puts before every fault of reading."""
    return f"error parsing Network Attachment Definition {nad_key}: "


def netconf_from_nad(
    text: str, nad_key: str, setting: Setting | None = None, *, default_mtu: int = DEFAULT_MTU, lenient: bool = False
) -> NetConf:
    """Read and check the `spec.config` of a NetworkAttachmentDefinition.

    nad_key  ``namespace/name`` of the definition
    returns  with the transit subnet filled in, where OVN-Kubernetes computes it

    NetConfError  with every fault, in OVN-Kubernetes' order and words
    NotManaged    another plugin's configuration

    Follows ovn-kubernetes pkg/util/multi_network.go, ParseNetConf.
    """
    try:
        netconf = netconf_from_text(text, default_mtu=default_mtu, lenient=lenient)
    except NetConfError as error:
        prefix = parse_prefix(nad_key)
        raise NetConfError([replace(fault, why=prefix + fault.why) for fault in error.faults]) from error
    netconf, faults = checked(netconf, nad_key, setting or Setting())
    if faults:
        raise NetConfError([_placed(fault, netconf) for fault in faults], netconf)
    return netconf


def _placed(fault: Fault, netconf: NetConf) -> Fault:
    key = fault.key.split("[")[0].split(".")[0]
    return fault if fault.offset is not None else replace(fault, offset=netconf.offsets.get(key, 0))


def checked(netconf: NetConf, nad_key: str, setting: Setting) -> tuple[NetConf, list[Fault]]:
    """Return the configuration with its transit subnet, and all that is wrong with it (ValidateNetConf)."""
    faults = [*_field_faults(netconf, nad_key, setting)]
    if netconf.is_primary and netconf.topology == "layer2" and not netconf.transit_subnet and netconf.subnets:
        try:
            netconf = replace(netconf, transit_subnet=transit_subnet(netconf, setting.cluster))
        except ValueError as error:
            why = f"failed to set dynamic transit subnet for layer2 primary NAD {netconf.name}: {error}"
            return netconf, [*faults, Fault("subnets", why)]
    if netconf.topology != "localnet" and not netconf.is_default:
        faults += subnet_faults(netconf, setting)
    return netconf, faults


def _field_faults(netconf: NetConf, nad_key: str, setting: Setting) -> Iterator[Fault]:
    if not netconf.is_default and netconf.nad_name != nad_key:
        why = f"net-attach-def name ({nad_key}) is inconsistent with config ({netconf.nad_name})"
        yield Fault("netAttachDefName", why)
    yield from name_faults(netconf)
    if netconf.allow_persistent_ips and netconf.topology == "layer3":
        yield Fault("allowPersistentIPs", "layer3 topology does not allow persistent IPs")
    yield from _role_faults(netconf)
    if netconf.ipam_type:
        yield Fault("ipam", parse_prefix(nad_key) + NO_IPAM)
    yield from _transport_faults(netconf, setting)
    yield from _topology_faults(netconf)


def _role_faults(netconf: NetConf) -> Iterator[Fault]:
    role = netconf.role
    if role not in ("", "secondary") and netconf.topology == "localnet":
        why = (
            f'unexpected network field "role" {role} for "localnet" topology, '
            "localnet topology does not allow network roles to be set since its always a secondary network"
        )
        yield Fault("role", why)
    elif role not in ("", "primary", "secondary"):
        yield Fault("role", f"invalid network role value {role}")


def _transport_faults(netconf: NetConf, setting: Setting) -> Iterator[Fault]:
    if netconf.transport not in ("", "no-overlay", "evpn"):
        why = f'invalid transport "{netconf.transport}": must be one of ["no-overlay" "evpn"]'
        yield Fault("transport", why)
    if netconf.outbound_snat and netconf.transport != "no-overlay":
        yield Fault("outboundSNAT", 'outboundSNAT is only valid when transport is "no-overlay"')
    elif netconf.outbound_snat not in ("", "enabled", "disabled"):
        why = f'invalid outboundSNAT "{netconf.outbound_snat}": must be one of ["enabled" "disabled"]'
        yield Fault("outboundSNAT", why)
    if netconf.uplink and setting.gateway_mode != "shared":
        yield Fault("uplink", f'uplink "{netconf.uplink}" is supported only in shared gateway mode')


def _topology_faults(netconf: NetConf) -> Iterator[Fault]:
    if netconf.join_subnet and netconf.topology == "localnet":
        why = "localnet topology does not allow specifying join-subnet as services are not supported"
        yield Fault("joinSubnet", why)
    if netconf.role == "primary" and not netconf.subnets and netconf.topology == "layer2":
        yield Fault("subnets", "the subnet attribute must be defined for layer2 primary user defined networks")
    given = (netconf.infrastructure_subnets, netconf.reserved_subnets, netconf.default_gateway_ips)
    for key, value in zip(ONLY_LAYER2, given, strict=True):
        if value and netconf.topology != "layer2":
            yield Fault(key, f"{key} is only supported for layer2 topology")


def subnet_faults(netconf: NetConf, setting: Setting) -> list[Fault]:
    """Return what is wrong with the subnets of a layer2 or layer3 network, overlaps included."""
    built, faults = build(netconf, setting)
    if faults:
        return [replace(fault, why=W2 + BUILD + fault.why) for fault in faults]
    return [*_overlap_faults(netconf, built, setting.cluster)]


@dataclass(slots=True)
class Built:
    """The subnets of a network, parsed."""

    subnets: list[Subnet] = field(default_factory=list)
    excludes: list[Subnet] = field(default_factory=list)
    joins: list[Subnet] = field(default_factory=list)
    transits: list[Subnet] = field(default_factory=list)


def build(netconf: NetConf, setting: Setting) -> tuple[Built, list[Fault]]:
    """Parse all subnets of a network (newNetInfo); the faults have no prefix."""
    reading = _Reading(netconf, setting, Built(), [])
    match netconf.topology:
        case "layer3":
            reading.layer3()
        case "layer2":
            reading.layer2()
        case "localnet":
            reading.localnet()
        case other:
            reading.faults.append(Fault("topology", f"topology {other} not supported"))
    if netconf.is_primary:
        reading.families()
    return reading.built, reading.faults


@dataclass(slots=True)
class _Reading:
    netconf: NetConf
    setting: Setting
    built: Built
    faults: list[Fault]

    def layer3(self) -> None:
        entries = self._list("subnets", self.netconf.subnets, cluster_subnet_from_text, "")
        self.built.subnets = [entry.subnet for entry in entries]
        self.faults += [Fault("subnets", why) for why in check_host_lens(entries)]
        self._join()

    def layer2(self) -> None:
        netconf, built = self.netconf, self.built
        tail = f"subnets for layer2 netconf {netconf.name}: "
        built.subnets = self._list("subnets", netconf.subnets, plain_subnet_from_text, f"invalid network {tail}")
        built.excludes = self._contained("excludeSubnets", netconf.exclude_subnets, "exclude", "excluded", tail)
        if self.setting.preconfigured_addresses:
            self._contained("reservedSubnets", netconf.reserved_subnets, "reserved", "reserved", tail)
            self._contained(
                "infrastructureSubnets", netconf.infrastructure_subnets, "infrastructure", "infrastructure", tail
            )
        self._join()
        if netconf.is_primary:
            prefix = f"invalid transit subnet for layer2 netconf {netconf.name}: "
            built.transits = self._list("transitSubnet", netconf.transit_subnet, plain_subnet_from_text, prefix)
            self._gateways()

    def localnet(self) -> None:
        netconf, built = self.netconf, self.built
        prefix = f"invalid localnet netconf {netconf.name}: "
        built.subnets = self._list("subnets", netconf.subnets, plain_subnet_from_text, prefix)
        excludes = self._list("excludeSubnets", netconf.exclude_subnets, plain_subnet_from_text, prefix)
        self._check_contained("excludeSubnets", "excluded", excludes)

    def families(self) -> None:
        """Hold a primary network to the cluster's IP families."""
        used = {subnet.version for subnet in self.built.subnets}
        for version in sorted(used - self.setting.families):
            why = (
                f"network {self.netconf.name} is attempting to use ipv{version} subnets "
                f"but the cluster does not support ipv{version}"
            )
            self.faults.append(Fault("subnets", why))

    def _contained(self, key: str, text: str, what: str, named: str, tail: str) -> list[Subnet]:
        subnets = self._list(key, text, plain_subnet_from_text, f"invalid {what} {tail}")
        self._check_contained(key, named, subnets)
        return subnets

    def _check_contained(self, key: str, named: str, subnets: list[Subnet]) -> None:
        if not any(fault.key.startswith("subnets") for fault in self.faults):
            self.faults += [Fault(key, why) for why in check_contained(named, subnets, self.built.subnets)]

    def _join(self) -> None:
        given = self._list("joinSubnet", self.netconf.join_subnet, plain_subnet_from_text, "")
        by_version = {subnet.version: subnet for subnet in (*default_join_subnets(), *given)}
        self.built.joins = [by_version[4], by_version[6]]

    def _gateways(self) -> None:
        if self.setting.preconfigured_addresses:
            prefix = "failed to allocate infrastructure IPs: invalid default gateway IPs: "
            self._list("defaultGatewayIPs", self.netconf.default_gateway_ips, address_from_text, prefix)

    def _list(self, key: str, text: str, parse: Callable[[str], T], prefix: str) -> list[T]:
        found: list[T] = []
        entries = [part.strip() for part in text.split(",")] if text.strip() else []
        for index, entry in enumerate(entries):
            try:
                found.append(parse(entry))
            except ValueError as error:
                self.faults.append(Fault(f"{key}[{index}]", prefix + str(error)))
        return found


def join_subnets(netconf: NetConf, cluster: Cluster | None = None) -> tuple[Subnet, ...]:
    """Return the join subnets in force, IPv4 first; none on localnet, the cluster's on the default network.

    NetConfError  the text does not parse
    """
    if netconf.is_default:
        return (cluster or Cluster()).join_subnets
    if netconf.topology == "localnet":
        return ()
    reading = _Reading(netconf, Setting(), Built(), [])
    reading._join()
    if reading.faults:
        raise NetConfError(reading.faults)
    return tuple(reading.built.joins)


def _overlap_faults(netconf: NetConf, built: Built, cluster: Cluster) -> Iterator[Fault]:
    named = cluster.named_subnets(transit=netconf.topology == "layer3")
    named += [("user defined subnet", subnet) for subnet in built.subnets]
    named += [("user defined join subnet", subnet) for subnet in built.joins]
    named += [("transit switch subnet", subnet) for subnet in built.transits]
    counted = [pair for pair in named if not any(pair[1] in exclude for exclude in built.excludes)]
    for why in check_apart(counted):
        key = "subnets" if "user defined subnet" in why else "joinSubnet"
        yield Fault(key, W2 + why)


def transit_subnet(netconf: NetConf, cluster: Cluster) -> str:
    """Find the transit subnets of a layer2 primary network: the first free block from the cluster's own on.

    returns  comma-separated, one for every entry of `subnets`, in that order

    ValueError  an entry does not parse (blanks are not trimmed here), or ten blocks in a row are taken

    Follows SetTransitSubnets.
    """
    entries = [_transit_entry(text) for text in netconf.subnets.split(",")]
    taken = entries + [_transit_entry(text) for text in netconf.join_subnet.split(",") if text]
    return ",".join(str(_free_block(subnet.version, taken, cluster)) for subnet in entries)


def _transit_entry(text: str) -> Subnet:
    try:
        return plain_subnet_from_text(text)
    except ValueError as error:
        why = f'can\'t generate transit subnets: failed to parse CIDR "{text}": invalid CIDR address: {text}'
        raise ValueError(why) from error


def _free_block(version: int, taken: list[Subnet], cluster: Cluster) -> Subnet:
    start = next(subnet for subnet in cluster.transit_subnets if subnet.version == version)
    for step in range(TRANSIT_TRIES + 1):
        block = Subnet(start.version, start.first + step * start.size, start.prefix_len)
        if not any(block.overlaps(other) for other in taken):
            return block
    raise ValueError(f"can't generate transit subnets: no free block after {start}")
