"""The CNI configuration in a NetworkAttachmentDefinition: its fields, and reading them as OVN-Kubernetes does.

Source: go-controller/pkg/cni/types/types.go and pkg/config/cni.go (ParseNetConf); libcni for lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ovnk8s_topo.sources.comments import without_comments
from ovnk8s_topo.spec.go_fields import (
    Field,
    Reader,
    Struct,
    anything,
    boolean,
    integer,
    list_of,
    map_of,
    read_into,
    string,
)
from ovnk8s_topo.spec.go_json import GoJsonError, Json, parse

PLUGIN = "ovn-k8s-cni-overlay"
DEFAULT_MTU = 1400
DEFAULT_NETWORK = "default"
RESERVED_NAMES = ("", DEFAULT_NETWORK, "ovn-kubernetes")

NOT_MANAGED = "net-attach-def not managed by OVN"
BOTH_FORMS = "CNI config cannot have both a plugin list and a single config"
CHAINING = "CNI plugin chaining is not supported"
LIST_PREFIX = "error parsing configuration list: "
COMMENT_HINT = "a comment: JSON has none and Kubernetes refuses it; lenient mode (--lenient) takes comments out"


@dataclass(frozen=True, slots=True)
class Vrf:
    """One VRF of an EVPN network."""

    vni: int = 0
    route_target: str = ""
    vid: int = 0


@dataclass(frozen=True, slots=True)
class Evpn:
    """The EVPN part of a network; its transport must be ``evpn``."""

    vtep: str = ""
    mac_vrf: Vrf | None = None
    ip_vrf: Vrf | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetConf:
    """What a NetworkAttachmentDefinition says about its network; texts as they were written.

    mtu      bytes; the cluster's where the text has none, 0 only if it says so
    subnets  comma-separated CIDRs, like all lists here
    offsets  JSON key -> where its value starts in the text
    """

    name: str = ""
    cni_version: str = ""
    type: str = ""
    ipam_type: str = ""
    topology: str = ""
    role: str = ""
    nad_name: str = ""
    mtu: int = 0
    subnets: str = ""
    exclude_subnets: str = ""
    reserved_subnets: str = ""
    infrastructure_subnets: str = ""
    default_gateway_ips: str = ""
    join_subnet: str = ""
    transit_subnet: str = ""
    vlan_id: int = 0
    physical_network_name: str = ""
    allow_persistent_ips: bool = False
    transport: str = ""
    outbound_snat: str = ""
    evpn: Evpn | None = None
    uplink: str = ""
    device_id: str = ""
    offsets: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_default(self) -> bool:
        """Whether this is the cluster's default network, which is not ours to describe."""
        return self.name == DEFAULT_NETWORK

    @property
    def is_primary(self) -> bool:
        """Whether pods of the namespace get this network instead of the default one."""
        return self.role == "primary" and not self.is_default

    def as_json(self) -> dict[str, object]:
        """Return the fields that are not empty, by their JSON keys."""
        found = {key: getattr(self, name) for key, name in KEYS.items()}
        return {key: value for key, value in found.items() if value not in ("", 0, False, None)}


KEYS = {
    "name": "name",
    "cniVersion": "cni_version",
    "type": "type",
    "topology": "topology",
    "role": "role",
    "netAttachDefName": "nad_name",
    "mtu": "mtu",
    "subnets": "subnets",
    "excludeSubnets": "exclude_subnets",
    "reservedSubnets": "reserved_subnets",
    "infrastructureSubnets": "infrastructure_subnets",
    "defaultGatewayIPs": "default_gateway_ips",
    "joinSubnet": "join_subnet",
    "transitSubnet": "transit_subnet",
    "vlanID": "vlan_id",
    "physicalNetworkName": "physical_network_name",
    "allowPersistentIPs": "allow_persistent_ips",
    "transport": "transport",
    "outboundSNAT": "outbound_snat",
    "evpn": "evpn",
    "uplink": "uplink",
    "deviceID": "device_id",
}
"""JSON key -> our field, for the keys that are read one to one."""

_VRF = Struct(
    "VRFConfig", "types.VRFConfig", {"vni": Field(integer), "routeTarget": Field(string), "vid": Field(integer)}
)
_EVPN = Struct("EVPNConfig", "types.EVPNConfig", {"vtep": Field(string), "macVRF": Field(_VRF), "ipVRF": Field(_VRF)})
_IPAM = Struct("IPAM", "types.IPAM", {"type": Field(string)})
_TEXTS = list_of(string, "[]string")
_DNS = Struct(
    "DNS",
    "types.DNS",
    {"nameservers": Field(_TEXTS), "domain": Field(string), "search": Field(_TEXTS), "options": Field(_TEXTS)},
)
_RUNTIME = Struct("RuntimeConfig", "types.RuntimeConfig", {"CNIDeviceInfoFile": Field(string)})
_EMBEDDED: dict[str, Reader] = {
    "cniVersion": string,
    "name": string,
    "type": string,
    "capabilities": map_of(boolean, "map[string]bool"),
    "ipam": _IPAM,
    "dns": _DNS,
    "prevResult": map_of(anything, "map[string]interface {}"),
}
_OWN: dict[str, Reader] = {
    **dict.fromkeys([key for key in KEYS if key not in _EMBEDDED], string),
    **dict.fromkeys(["mtu", "vlanID", "logfile-maxsize", "logfile-maxbackups", "logfile-maxage"], integer),
    **dict.fromkeys(["logFile", "logLevel"], string),
    "allowPersistentIPs": boolean,
    "evpn": _EVPN,
    "runtimeConfig": _RUNTIME,
}
_PLUGIN_CONF = Struct("PluginConf", "types.PluginConf", {key: Field(read) for key, read in _EMBEDDED.items()})
_NETCONF = Struct(
    "NetConf",
    "types.NetConf",
    {
        **{key: Field(read, via="NetConf") for key, read in _EMBEDDED.items()},
        **{key: Field(read) for key, read in _OWN.items()},
    },
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a configuration.

    key     the JSON field at fault, "" for the whole text
    why     OVN-Kubernetes' text
    offset  where in the text, None: where the key's value starts
    given   what was found instead, "" when the text says it
    """

    key: str
    why: str
    offset: int | None = None
    given: str = ""


class NetConfError(ValueError):
    """A configuration that OVN-Kubernetes refuses; `faults` in the order in which it looks.

    netconf  what was read nevertheless, so that further faults can be looked for
    """

    def __init__(self, faults: list[Fault], netconf: NetConf | None = None) -> None:
        self.faults, self.netconf = tuple(faults), netconf
        super().__init__("\n".join(fault.why for fault in faults))


class NotManaged(ValueError):
    """The configuration is for another plugin: not an error, the definition is nobody's business here."""

    def __init__(self) -> None:
        super().__init__(NOT_MANAGED)


def netconf_from_text(text: str, *, default_mtu: int = DEFAULT_MTU, lenient: bool = False) -> NetConf:
    """Read a configuration, or the only plugin of a configuration list.

    default_mtu  bytes, for a text that names no MTU
    lenient      take ``#`` and ``//`` comments out first; without it they are refused, as Kubernetes does

    NetConfError  what does not decode, and reserved or missing names
    NotManaged    another plugin's configuration

    Follows ovn-kubernetes pkg/config/cni.go, ParseNetConf.
    """
    plain = without_comments(text)
    tree = _tree(plain if lenient else text, commented=plain != text)
    if tree.kind == "null":
        raise NetConfError([Fault("", "must be an object (OVN-Kubernetes crashes on null)", tree.offset)])
    is_list = tree.kind == "object" and tree.get("plugins") is not None
    netconf = _from_list(tree, default_mtu) if is_list else _from_single(tree, default_mtu)
    if netconf.topology:
        return netconf
    return replace(netconf, name=DEFAULT_NETWORK)


def _tree(text: str, *, commented: bool) -> Json:
    try:
        return parse(text)
    except GoJsonError as error:
        at_comment = commented and text.startswith(("#", "//", "/*"), error.offset)
        hint = COMMENT_HINT if at_comment else ""
        raise NetConfError([Fault("", str(error), error.offset, hint)]) from error


def _from_single(tree: Json, default_mtu: int) -> NetConf:
    netconf = decoded_netconf(tree, default_mtu)
    if netconf.type != PLUGIN:
        raise NotManaged
    _check_names(netconf)
    return netconf


def _from_list(tree: Json, default_mtu: int) -> NetConf:
    name, version, plugins = list_parts(tree)
    if len(plugins) > 1:
        raise NetConfError([Fault("plugins", CHAINING, plugins[1].offset)])
    netconf = decoded_netconf(plugins[0], default_mtu)
    if netconf.type != PLUGIN:
        raise NotManaged
    offsets = {**netconf.offsets, **_offsets(tree)}
    netconf = replace(netconf, name=name, cni_version=version, offsets=offsets)
    _check_names(netconf)
    if _is_single_too(tree, default_mtu):
        raise NetConfError([Fault("plugins", BOTH_FORMS, plugins[0].offset)])
    return netconf


def _is_single_too(tree: Json, default_mtu: int) -> bool:
    try:
        _from_single(tree, default_mtu)
    except (NetConfError, NotManaged):
        return False
    return True


def list_parts(tree: Json) -> tuple[str, str, tuple[Json, ...]]:
    """Check a configuration list as libcni does; keys count only in their exact spelling there.

    returns  its name, its CNI version and its plug-ins

    NetConfError  the first fault, with libcni's text
    """
    name, version, plugins = tree.get("name"), tree.get("cniVersion"), tree.get("plugins")
    if name is None:
        raise _list_fault("name", "no name", tree)
    if name.kind != "string":
        raise _list_fault("name", f"invalid name type {_go_type(name)}", name)
    if version is not None and version.kind != "string":
        raise _list_fault("cniVersion", f"invalid cniVersion type {_go_type(version)}", version)
    if plugins is None:
        raise _list_fault("plugins", "no 'plugins' key", tree)
    if plugins.kind != "array":
        raise _list_fault("plugins", f"invalid 'plugins' type {_go_type(plugins)}", plugins)
    if not plugins.items:
        raise _list_fault("plugins", "no plugins in list", plugins)
    for index, plugin in enumerate(plugins.items):
        _check_plugin(index, plugin)
    return str(name.value), str(version.value) if version else "", plugins.items


def _list_fault(key: str, why: str, node: Json) -> NetConfError:
    return NetConfError([Fault(key, LIST_PREFIX + why, node.offset)])


def _check_plugin(index: int, plugin: Json) -> None:
    values, faults = read_into(_PLUGIN_CONF, plugin)
    whys = [(fault.why, fault.offset) for fault in faults]
    if not whys and not (isinstance(values, dict) and values.get("type")):
        whys = [("missing 'type'", plugin.offset)]
    if whys:
        prefix = f"failed to parse plugin config {index}: error parsing configuration: "
        raise NetConfError([Fault(f"plugins[{index}]", prefix + why, offset) for why, offset in whys])


_GO_TYPES = {
    "null": "<nil>",
    "object": "map[string]interface {}",
    "array": "[]interface {}",
    "number": "float64",
    "bool": "bool",
    "string": "string",
}


def _go_type(node: Json) -> str:
    return _GO_TYPES[node.kind]


def decoded_netconf(tree: Json, default_mtu: int = DEFAULT_MTU) -> NetConf:
    """Read the fields of a configuration and check nothing but their types.

    NetConfError  with every value of the wrong type, in the order of the text
    """
    values, faults = read_into(_NETCONF, tree)
    if faults:
        raise NetConfError([Fault(".".join(map(str, fault.path)), fault.why, fault.offset) for fault in faults])
    found: dict[str, Any] = values if isinstance(values, dict) else {}
    given = {ours: found[key] for key, ours in KEYS.items() if key in found and key != "evpn"}
    ipam_type = str(found.get("ipam", {}).get("type", ""))
    evpn = _evpn(found["evpn"]) if "evpn" in found else None
    offsets = _offsets(tree)
    return NetConf(**{"mtu": default_mtu, **given}, ipam_type=ipam_type, evpn=evpn, offsets=offsets)


def _offsets(tree: Json) -> dict[str, int]:
    named = ((_NETCONF.field_of(key), value.offset) for key, value in tree.members)
    return {key: offset for key, offset in named if key}


def _evpn(found: dict[str, Any]) -> Evpn:
    return Evpn(found.get("vtep", ""), _vrf(found.get("macVRF")), _vrf(found.get("ipVRF")))


def _vrf(found: dict[str, Any] | None) -> Vrf | None:
    if found is None:
        return None
    return Vrf(found.get("vni", 0), found.get("routeTarget", ""), found.get("vid", 0))


def _check_names(netconf: NetConf) -> None:
    faults = name_faults(netconf)
    if faults:
        raise NetConfError([replace(fault, offset=netconf.offsets.get(fault.key, 0)) for fault in faults])


def name_faults(netconf: NetConf) -> list[Fault]:
    """Return what is wrong with the names of a network that has a topology; the first fault hides the second."""
    if not netconf.topology:
        return []
    if not netconf.nad_name:
        return [Fault("netAttachDefName", f"missing NADName in secondary network netconf {netconf.name}")]
    if netconf.name in RESERVED_NAMES:
        return [Fault("name", f"invalid name in in secondary network netconf ({netconf.name})")]
    return []


assert set(KEYS.values()) <= {each.name for each in fields(NetConf)}
