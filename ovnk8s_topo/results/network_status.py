"""The annotation `k8s.v1.cni.cncf.io/network-status`: what Multus tells about a pod's interfaces.

Source: network-attachment-definition-client pkg/apis/k8s.cni.cncf.io/v1/types.go and pkg/utils/net-attach-def.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ovnk8s_topo.addresses import interface_from_text
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.results.attachment import AttachmentResult
from ovnk8s_topo.results.cni import DNS, TEXTS, CniInterface, CniResult, Dns, dns_from_json, texts
from ovnk8s_topo.results.pattern import pattern_of
from ovnk8s_topo.spec.base import path_text
from ovnk8s_topo.spec.go_fields import Field, Struct, boolean, integer, list_of, read_into, string
from ovnk8s_topo.spec.go_json import GoJsonError, TextError, parse
from ovnk8s_topo.spec.go_writer import json_text

NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status"

_INDENT = 4

DEVICE_PARTS: Mapping[str, tuple[str, ...]] = {
    "pci": ("pci-address", "vhost-net", "rdma-device", "pf-pci-address", "representor-device"),
    "vdpa": ("parent-device", "driver", "path", "pci-address", "pf-pci-address", "representor-device"),
    "vhost-user": ("mode", "path"),
    "memif": ("role", "path", "mode"),
}
"""Keys of `device-info` that hold objects, and the keys of those; beside them stand the texts `type` and `version`."""

DeviceInfo = Mapping[str, str | Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStatus:
    """One interface of a pod.

    name         ``<namespace>/<NAD name>``; of the default network the name in its CNI configuration
    interface    "" if it has none in the pod
    ips          without prefix lengths
    mtu          bytes, 0: not told
    default      whether it is the default network's, which the cluster uses
    device_info  what a device plug-in tells, by the keys of the specification; None: nothing
    gateway      next hops of the default routes
    """

    name: str
    interface: str = ""
    ips: tuple[str, ...] = ()
    mac: str = ""
    mtu: int = 0
    default: bool = False
    dns: Dns = field(default_factory=Dns)
    device_info: DeviceInfo | None = None
    gateway: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the keys in the order in which they are written; `name` and `dns` are always there."""
        before: dict[str, object] = {
            "interface": self.interface,
            "ips": self.ips,
            "mac": self.mac,
            "mtu": self.mtu,
            "default": self.default,
        }
        device = {} if self.device_info is None else {"device-info": _device_json(self.device_info)}
        gateway = {"gateway": self.gateway} if self.gateway else {}
        said = {key: value for key, value in before.items() if value}
        return {"name": self.name, **said, "dns": self.dns.as_json(), **device, **gateway}


def _device_json(device: DeviceInfo) -> dict[str, object]:
    keys = ("type", "version", *DEVICE_PARTS)
    return {key: _part_json(key, device[key]) for key in keys if device.get(key)}


def _part_json(key: str, part: str | Mapping[str, str]) -> object:
    if isinstance(part, str):
        return part
    return {name: part[name] for name in DEVICE_PARTS[key] if part.get(name)}


def network_status_text(statuses: Iterable[NetworkStatus]) -> str:
    """Write the annotation byte for byte as Multus does: entries indented by 4, joined by a bare comma."""
    return "[" + ",".join(json_text(status.as_json(), indent=_INDENT) for status in statuses) + "]"


def network_status_of_attachments(results: Iterable[AttachmentResult]) -> str:
    """Write the annotation of a pod with these attachments: what their `status_from_attachment`s come to."""
    return "[" + ",".join(map(_entry_text, results)) + "]"


def _entry_text(result: AttachmentResult) -> str:
    count = len(result.addresses)
    pattern = _pattern(result.nad_key, result.interface, result.mtu, result.gateways, count)
    return pattern % (*_ips(result.addresses), result.mac)


# All pods of a network are told the same but for addresses and MAC.
@lru_cache(maxsize=1 << 13)
def _pattern(nad_key: str, interface: str, mtu: int, gateways: tuple[str, ...], count: int) -> str:
    def write(value: str) -> str:
        status = NetworkStatus(
            name=_name(nad_key), interface=interface, ips=(value,) * count, mac=value, mtu=mtu, gateway=gateways
        )
        return json_text(status.as_json(), indent=_INDENT)

    return pattern_of(write, nad_key, interface)


def _name(nad_key: str) -> str:
    return "/".join(nad_key.split("/")[:2])


def _ips(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple([text.partition("/")[0] for text in addresses])


def status_from_attachment(result: AttachmentResult) -> NetworkStatus:
    """Return the entry of one attachment: what `statuses_from_result` makes of its CNI result.

    result  as `attachment_result` makes it: what it holds is not read again

    Its name has no ``/1`` for a second use.
    """
    return NetworkStatus(
        name=_name(result.nad_key),
        interface=result.interface,
        ips=_ips(result.addresses),
        mac=result.mac,
        mtu=result.mtu,
        gateway=result.gateways,
    )


def statuses_from_result(result: CniResult, name: str, *, default: bool = False) -> tuple[NetworkStatus, ...]:
    """Return what a CNI result of one delegate comes to.

    name     of the delegate: ``<namespace>/<NAD name>``, or the CNI name of the default network
    default  whether it is the default network

    * A single interface makes one entry with all addresses; it is named only if it is inside of the pod.
    * Of several, each that is inside of the pod makes one. Addresses go where they point to; those that point nowhere
      go to the last one, those of interfaces on the host are left out.
    * `gateway` lists the next hops of all default routes, the same for every entry.

    Follows network-attachment-definition-client pkg/utils/net-attach-def.go, CreateNetworkStatuses.
    """
    gateway = tuple(route.gw for route in result.routes if route.gw and _is_default(route.dst))
    common = NetworkStatus(name=name, dns=result.dns, gateway=gateway)
    if len(result.interfaces) == 1:
        ips = tuple(_host(ip.address) for ip in result.ips)
        return (replace(_named(common, result.interfaces[0]), ips=ips, default=default),)
    inside = [index for index, interface in enumerate(result.interfaces) if interface.sandbox]
    master = _default_index(result, inside) if default else None
    return tuple(
        replace(
            _named(common, result.interfaces[index]),
            ips=tuple(_ips_of(result, index, is_last=index == inside[-1])),
            default=index == master,
        )
        for index in inside
    )


def _named(status: NetworkStatus, interface: CniInterface) -> NetworkStatus:
    if not interface.sandbox:
        return status
    return replace(status, interface=interface.name, mac=interface.mac, mtu=interface.mtu)


def _is_default(dst: str) -> bool:
    """Tell whether a destination is that of a default route; the mask is not looked at, as in the client library."""
    return not dst or interface_from_text(dst)[0].value == 0


def _host(text: str) -> str:
    return str(interface_from_text(text)[0])


def _ips_of(result: CniResult, index: int, *, is_last: bool) -> Iterator[str]:
    for ip in result.ips:
        if ip.interface == index or (ip.interface is None and is_last):
            yield _host(ip.address)


def _default_index(result: CniResult, inside: Sequence[int]) -> int | None:
    """Return which interface the cluster uses: the one with the first gateway, else the first inside of the pod."""
    pointed = [ip.interface for ip in result.ips if ip.gateway and ip.interface is not None]
    return next(iter([*pointed, *inside]), None)


def _device_part(keys: Iterable[str], name: str) -> Field:
    return Field(Struct(name, f"v1.{name}", {key: Field(string) for key in keys}))


_DEVICE_INFO = Struct(
    "DeviceInfo",
    "v1.DeviceInfo",
    {
        "type": Field(string),
        "version": Field(string),
        **{key: _device_part(keys, key) for key, keys in DEVICE_PARTS.items()},
    },
)
_STATUS = Struct(
    "NetworkStatus",
    "v1.NetworkStatus",
    {
        "name": Field(string),
        "interface": Field(string),
        "ips": Field(TEXTS),
        "mac": Field(string),
        "mtu": Field(integer),
        "default": Field(boolean),
        "dns": Field(DNS),
        "device-info": Field(_DEVICE_INFO),
        "gateway": Field(TEXTS),
    },
)
_STATUSES = list_of(_STATUS, "[]v1.NetworkStatus")


def statuses_from_text(text: str) -> tuple[NetworkStatus, ...]:
    """Read the annotation.

    TextError  not JSON, or a value of the wrong type; addresses are not looked at, as in the client library
    """
    try:
        tree = parse(text)
    except GoJsonError as error:
        raise TextError([(Problem("", str(error)), error.offset)]) from error
    found, faults = read_into(_STATUSES, tree)
    if faults:
        raise TextError((Problem(path_text(fault.path), fault.why), fault.offset) for fault in faults)
    return tuple(_status(each or {}) for each in found) if isinstance(found, list) else ()


def statuses_from_annotations(annotations: Mapping[str, str] | None) -> tuple[NetworkStatus, ...]:
    """Read what a pod's annotations say.

    annotations  None: the pod has none at all

    SpecError  ``cannot find pod annotation``, ``cannot find network status``, or as above
    """
    if annotations is None:
        raise SpecError([Problem("annotations", "cannot find pod annotation")])
    if NETWORK_STATUS not in annotations:
        raise SpecError([Problem("annotations", "cannot find network status")])
    return statuses_from_text(annotations[NETWORK_STATUS])


def _status(found: dict[str, Any]) -> NetworkStatus:
    return NetworkStatus(
        name=found.get("name", ""),
        interface=found.get("interface", ""),
        ips=texts(found.get("ips")),
        mac=found.get("mac", ""),
        mtu=found.get("mtu", 0),
        default=found.get("default", False),
        dns=dns_from_json(found.get("dns")),
        device_info=found.get("device-info"),
        gateway=texts(found.get("gateway")),
    )
