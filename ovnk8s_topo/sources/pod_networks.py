"""The annotation `k8s.ovn.org/pod-networks`: what a pod was told already.

Source: ovn-kubernetes pkg/util/pod_annotation.go, UnmarshalPodAnnotation; its order of checks and its texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from ovnk8s_topo.addresses import address_from_text, interface_from_text, mac_from_text
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.spec import Given, Route
from ovnk8s_topo.spec.given import is_lla
from ovnk8s_topo.spec.go_fields import Field, Struct, integer, list_of, map_of, read_into, string
from ovnk8s_topo.spec.go_json import GoJsonError, Json, TextError, parse

MAX_QUOTED = 200
"""Characters of an annotation that a message repeats."""

_TEXTS = list_of(string, "[]string")
_ROUTE = Struct("podRoute", "util.podRoute", {"dest": Field(string), "nextHop": Field(string)})
_ENTRY = Struct(
    "podAnnotation",
    "util.podAnnotation",
    {
        "ip_addresses": Field(_TEXTS),
        "mac_address": Field(string),
        "gateway_ips": Field(_TEXTS),
        "routes": Field(list_of(_ROUTE, "[]util.podRoute")),
        "ip_address": Field(string),
        "gateway_ip": Field(string),
        "ipv6_lla_gateway_ip": Field(string),
        "tunnel_id": Field(integer),
        "role": Field(string),
    },
)
_ENTRIES = map_of(_ENTRY, "map[string]util.podAnnotation")


DEFAULT = "default"
"""The key of the cluster's default network."""


def given_from_text(text: str) -> dict[str, Given]:
    """Read the annotation; the entry of the default network is left out, whatever it says.

    returns  NAD key -> what the pod was told

    TextError  with every fault; `path` is the NAD key
    """
    return _given_of(text, lambda key: key != DEFAULT)


def entries_from_text(text: str) -> dict[str, Given]:
    """Read the annotation with all its entries; the default network's key is ``default``.

    TextError  as above
    """
    return _given_of(text, lambda _: True)


def _given_of(text: str, is_wanted: Callable[[str], bool]) -> dict[str, Given]:
    entries, tree = _entries(text)
    given: dict[str, Given] = {}
    faults: list[tuple[Problem, int]] = []
    for key in sorted(filter(is_wanted, entries)):
        problems = [Problem(f"[{key}]", why) for why in _faults(entries[key])]
        given.update({} if problems else _given(key, entries[key], problems))
        faults += [(problem, _offset(tree, key)) for problem in problems]
    if faults:
        raise TextError(faults)
    return given


def _offset(tree: Json, key: str) -> int:
    return (tree.get(key) or tree).offset


def _entries(text: str) -> tuple[dict[str, dict[str, Any]], Json]:
    quoted = json.dumps(text[:MAX_QUOTED], ensure_ascii=False)
    prefix = f"failed to unmarshal ovn pod annotation {quoted}: "
    try:
        tree = parse(text)
    except GoJsonError as error:
        raise TextError([(Problem("", prefix + str(error)), error.offset)]) from error
    entries, faults = read_into(_ENTRIES, tree)
    if faults:
        raise TextError((Problem("", prefix + fault.why), fault.offset) for fault in faults)
    found = entries if isinstance(entries, dict) else {}
    return {key: entry or {} for key, entry in found.items()}, tree


def _given(key: str, entry: dict[str, Any], problems: list[Problem]) -> dict[str, Given]:
    routes = [route or {} for route in entry.get("routes") or ()]
    try:
        return {
            key: Given(
                ips=_listed(entry, "ip_address", "ip_addresses"),
                mac=entry["mac_address"],
                gateways=_listed(entry, "gateway_ip", "gateway_ips"),
                routes=tuple(Route(dest=route["dest"], next_hop=route.get("nextHop", "")) for route in routes),
                ipv6_lla_gateway=entry.get("ipv6_lla_gateway_ip", ""),
                tunnel_id=entry.get("tunnel_id", 0),
                role=entry.get("role", ""),
            )
        }
    except SpecError as error:
        problems += [Problem(f"[{key}].{problem.path}", problem.why, problem.given) for problem in error.problems]
        return {}


def _listed(entry: dict[str, Any], singular: str, plural: str) -> tuple[str, ...]:
    """Return the list, or the one value under the key of old releases."""
    many, single = [str(text or "") for text in entry.get(plural) or ()], entry.get(singular, "")
    return tuple(many or ([single] if single else []))


def _parses(parse_text: Any, text: str) -> bool:
    try:
        parse_text(text)
    except ValueError:
        return False
    return True


def _faults(entry: dict[str, Any]) -> Iterator[str]:
    mac = entry.get("mac_address", "")
    if not _parses(mac_from_text, mac):
        yield f'failed to parse pod MAC "{mac}": address {mac}: invalid MAC address'
    ips, gateways = _listed(entry, "ip_address", "ip_addresses"), _listed(entry, "gateway_ip", "gateway_ips")
    if entry.get("ip_address") and entry["ip_address"] != ips[0]:
        yield "bad annotation data (ip_address and ip_addresses conflict)"
    for ip in ips:
        if not _parses(interface_from_text, ip):
            yield f'failed to parse pod IP "{ip}": invalid CIDR address: {ip}'
    if entry.get("gateway_ip") and entry["gateway_ip"] != gateways[0]:
        yield "bad annotation data (gateway_ip and gateway_ips conflict)"
    for gateway in gateways:
        if not _parses(address_from_text, gateway):
            yield f'failed to parse pod gateway "{gateway}"'
    lla = entry.get("ipv6_lla_gateway_ip", "")
    if lla and not (_parses(address_from_text, lla) and is_lla(address_from_text(lla))):
        yield f'failed to parse pod ipv6 lla gateway, or non ipv6 lla "{lla}"'
    for route in entry.get("routes") or ():
        yield from _route_faults(route or {})


def _route_faults(route: dict[str, str]) -> Iterator[str]:
    dest, hop = route.get("dest", ""), route.get("nextHop", "")
    if not _parses(interface_from_text, dest):
        yield f'failed to parse pod route dest "{dest}": invalid CIDR address: {dest}'
        return
    subnet = interface_from_text(dest)[1]
    if subnet.first == 0:
        yield f"bad podNetwork data: default route {dest} {hop} should be specified as gateway"
    elif hop and not _parses(address_from_text, hop):
        yield f'failed to parse pod route next hop "{hop}"'
    elif hop and address_from_text(hop).version != subnet.version:
        yield f"pod route {dest} has next hop {hop} of different family"
