"""The annotation `k8s.ovn.org/pod-networks`: what a pod was told already.

Source: ovn-kubernetes pkg/util/pod_annotation.go, UnmarshalPodAnnotation; its order of checks and its texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ovnk8s_topo.addresses import address_from_text, interface_from_text, mac_from_text
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.spec import Given
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


def given_from_text(text: str) -> dict[str, Given]:
    """Read the annotation; the entry of the default network is left out.

    returns  NAD key -> addresses and MAC

    TextError  with every fault; `path` is the NAD key
    """
    entries, tree = _entries(text)
    given: dict[str, Given] = {}
    faults: list[tuple[Problem, int]] = []
    for key, entry in sorted(entries.items()):
        if key != "default":
            problems = [Problem(f"[{key}]", why) for why in _faults(entry)]
            given.update({} if problems else _given(key, entry, problems))
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
    try:
        return {key: Given(ips=tuple(_ips(entry)), mac=entry["mac_address"])}
    except SpecError as error:
        problems += [Problem(f"[{key}].{problem.path}", problem.why, problem.given) for problem in error.problems]
        return {}


def _ips(entry: dict[str, Any]) -> list[str]:
    many, single = [str(ip or "") for ip in entry.get("ip_addresses") or ()], entry.get("ip_address", "")
    return many or ([single] if single else [])


def _gateways(entry: dict[str, Any]) -> list[str]:
    many, single = [str(ip or "") for ip in entry.get("gateway_ips") or ()], entry.get("gateway_ip", "")
    return many or ([single] if single else [])


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
    ips, gateways = _ips(entry), _gateways(entry)
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
    if lla and not (_parses(address_from_text, lla) and _is_lla(lla)):
        yield f'failed to parse pod ipv6 lla gateway, or non ipv6 lla "{lla}"'
    for route in entry.get("routes") or ():
        yield from _route_faults(route or {})


def _is_lla(text: str) -> bool:
    address = address_from_text(text)
    return address.version == 6 and address.value >> 118 == 0xFE80 >> 6


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
