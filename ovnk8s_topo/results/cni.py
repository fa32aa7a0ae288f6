"""The result that a CNI plug-in prints: CNI specification 1.0.0, and the shapes of 0.3.0 to 1.1.0.

Source: containernetworking/cni SPEC.md, "Success"; the order of keys is that of its pkg/types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ovnk8s_topo.addresses import Version, address_from_text, interface_from_text
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.results.attachment import AttachmentResult
from ovnk8s_topo.spec.go_fields import Field, Struct, integer, list_of, read_into, string
from ovnk8s_topo.spec.go_json import GoJsonError, TextError, parse
from ovnk8s_topo.spec.go_writer import json_text

CNI_VERSION = "1.0.0"
OLD_VERSIONS = ("0.3.0", "0.3.1", "0.4.0")
VERSIONS = (*OLD_VERSIONS, "1.0.0", "1.1.0")

DEFAULT_ROUTES: Mapping[Version, str] = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """What a result says about name resolution."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the keys that say something, in the order of the specification."""
        found = {"nameservers": self.nameservers, "domain": self.domain, "search": self.search, "options": self.options}
        return {key: value for key, value in found.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class CniInterface:
    """An interface that was made; `sandbox` is the path of its network namespace, "" on the host. `mtu` in bytes."""

    name: str
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CniAddress:
    """An address with prefix length; `interface` is an index into the interfaces, None where it is not told."""

    address: str
    gateway: str = ""
    interface: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CniRoute:
    """A route; `dst` "" or all zero is a default route, `gw` "" a destination on the link."""

    dst: str = ""
    gw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CniResult:
    """What a plug-in has made."""

    cni_version: str = CNI_VERSION
    interfaces: tuple[CniInterface, ...] = ()
    ips: tuple[CniAddress, ...] = ()
    routes: tuple[CniRoute, ...] = ()
    dns: Dns = field(default_factory=Dns)

    def as_json(self) -> dict[str, object]:
        """Return the keys in the order in which they are written; of lists only those that are not empty.

        The MTU of an interface is a key of 1.1.0; it is written for 1.0.0 too, as the reference library does, whose
        readers ignore what they do not know. Results of 0.x say of every address which version it has.
        """
        old = self.cni_version in OLD_VERSIONS
        lists = {
            "interfaces": [
                _said(name=i.name, mac=i.mac, mtu=0 if old else i.mtu, sandbox=i.sandbox) for i in self.interfaces
            ],
            "ips": [_address_json(ip, old) for ip in self.ips],
            "routes": [_said(dst=route.dst, gw=route.gw) for route in self.routes],
        }
        return {"cniVersion": self.cni_version, **_said(**lists), "dns": self.dns.as_json()}


def _said(**members: object) -> dict[str, object]:
    return {key: value for key, value in members.items() if value}


def _address_json(ip: CniAddress, old: bool) -> dict[str, object]:
    version = {"version": str(interface_from_text(ip.address)[0].version)} if old else {}
    index = {} if ip.interface is None else {"interface": ip.interface}
    return {**version, **index, **_said(address=ip.address, gateway=ip.gateway)}


def cni_result(result: AttachmentResult, *, sandbox: str, cni_version: str = CNI_VERSION) -> CniResult:
    """Return what the plug-in prints for one attachment.

    sandbox      path of the pod's network namespace
    cni_version  as the configuration says; "": 1.0.0

    SpecError  a version that is not among VERSIONS

    One interface, the pod's. Of each IP family the first gateway stands beside the addresses, and every gateway makes
    a default route.
    """
    version = cni_version or CNI_VERSION
    if version not in VERSIONS:
        raise SpecError([Problem("cniVersion", f"must be one of {', '.join(VERSIONS)}", given=repr(cni_version))])
    gateways = {_version(text): text for text in reversed(result.gateways)}
    return CniResult(
        cni_version=version,
        interfaces=(CniInterface(name=result.interface, mac=result.mac, mtu=result.mtu, sandbox=sandbox),),
        ips=tuple(
            CniAddress(address=text, gateway=gateways.get(_version(text), ""), interface=0) for text in result.addresses
        ),
        routes=tuple(_routes(result)),
    )


def _routes(result: AttachmentResult) -> Iterator[CniRoute]:
    for text in result.gateways:
        yield CniRoute(dst=DEFAULT_ROUTES[_version(text)], gw=text)
    for route in result.routes:
        yield CniRoute(dst=route.dest, gw=route.next_hop)


def _version(text: str) -> Version:
    """Return the IP version of what is known to be an address, with or without prefix length."""
    return 6 if ":" in text else 4


def cni_result_text(result: CniResult, *, indent: int = 0) -> str:
    """Write a result as JSON; `indent` columns a level, 0: all on one line."""
    return json_text(result.as_json(), indent=indent)


TEXTS = list_of(string, "[]string")
DNS = Struct(
    "DNS",
    "types.DNS",
    {"nameservers": Field(TEXTS), "domain": Field(string), "search": Field(TEXTS), "options": Field(TEXTS)},
)
_INTERFACE = Struct(
    "Interface",
    "types.Interface",
    {"name": Field(string), "mac": Field(string), "mtu": Field(integer), "sandbox": Field(string)},
)
_IP = Struct(
    "IPConfig", "types.IPConfig", {"interface": Field(integer), "address": Field(string), "gateway": Field(string)}
)
_ROUTE = Struct("Route", "types.Route", {"dst": Field(string), "gw": Field(string)})
_RESULT = Struct(
    "Result",
    "types.Result",
    {
        "cniVersion": Field(string),
        "interfaces": Field(list_of(_INTERFACE, "[]*types.Interface")),
        "ips": Field(list_of(_IP, "[]*types.IPConfig")),
        "routes": Field(list_of(_ROUTE, "[]*types.Route")),
        "dns": Field(DNS),
    },
)


def cni_result_from_text(text: str) -> CniResult:
    """Read a result; keys that are not known here, and null among interfaces, addresses or routes, are left out.

    TextError  not JSON, a value of the wrong type, or what should be an address and is none
    """
    try:
        tree = parse(text)
    except GoJsonError as error:
        raise TextError([(Problem("", str(error)), error.offset)]) from error
    values, faults = read_into(_RESULT, tree)
    if faults:
        raise TextError((Problem("", fault.why), fault.offset) for fault in faults)
    found: dict[str, Any] = values if isinstance(values, dict) else {}
    problems = [*_faults(found)]
    if problems:
        raise TextError((problem, tree.near(problem.path).offset) for problem in problems)
    return CniResult(
        cni_version=found.get("cniVersion", ""),
        interfaces=tuple(CniInterface(**{"name": "", **each}) for each in _each(found, "interfaces")),
        ips=tuple(CniAddress(**each) for each in _each(found, "ips")),
        routes=tuple(CniRoute(**each) for each in _each(found, "routes")),
        dns=dns_from_json(found.get("dns")),
    )


def dns_from_json(found: Mapping[str, Any] | None) -> Dns:
    """Return what was read with `DNS`."""
    found = found or {}
    return Dns(
        nameservers=texts(found.get("nameservers")),
        domain=found.get("domain", ""),
        search=texts(found.get("search")),
        options=texts(found.get("options")),
    )


def texts(values: Any) -> tuple[str, ...]:
    """Return a list of texts as Go reads it: null is the empty text."""
    return tuple(value or "" for value in values or ())


def _each(found: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return [each for each in found.get(key) or () if each is not None]


_READERS: Mapping[str, Callable[[str], object]] = {
    "address": interface_from_text,
    "gateway": address_from_text,
    "dst": interface_from_text,
    "gw": address_from_text,
}


def _faults(found: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("ips", "routes"):
        for index, each in enumerate(found.get(key) or ()):
            for name, read in _READERS.items() if each is not None else ():
                if each.get(name) or (key, name) == ("ips", "address"):
                    yield from _unread(read, f"{key}[{index}].{name}", each.get(name, ""))


def _unread(read: Callable[[str], object], path: str, given: str) -> Iterator[Problem]:
    try:
        read(given)
    except ValueError as error:
        yield Problem(path, str(error))
