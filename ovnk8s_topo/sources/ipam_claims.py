"""IPAMClaim -> the addresses that outlive its pods."""

from __future__ import annotations

from dataclasses import dataclass

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.documents import Path, value_at
from ovnk8s_topo.sources.found import Found, noun, shown
from ovnk8s_topo.sources.names import read_name, read_namespace
from ovnk8s_topo.spec import IpamClaim
from ovnk8s_topo.spec.given import canonical_interface

IPS = ("status", "ips")


@dataclass(slots=True)
class ReadClaim:
    """What became of one IPAMClaim.

    network  the name of its network, "" if that cannot be told
    claim    None if anything is at fault
    """

    network: str
    claim: IpamClaim | None
    found: Found


def claim_from_object(found: Found) -> ReadClaim:
    """Read one claim; its conditions and the pod that owns it do not matter here."""
    name, namespace = read_name(found), read_namespace(found)
    if name and namespace:
        found.subject = f"IPAMClaim {namespace}/{name}"
    found.mapping("spec")
    network, interface = found.text("spec", "network"), found.text("spec", "interface")
    if not network and not found.problems:
        found.refuse(("spec",), "must have the field network")
    ips = _ips(found)
    if found.problems:
        return ReadClaim(network, None, found)
    try:
        claim = IpamClaim(namespace=namespace, name=name, network=network, ips=ips, interface=interface)
    except SpecError as error:
        found.refuse_all(("metadata",), error.problems)
        return ReadClaim(network, None, found)
    return ReadClaim(network, claim, found)


def _ips(found: Found) -> tuple[str, ...]:
    """Read ``status.ips``: addresses with prefix length (util.ParseIPNets)."""
    found.mapping("status")
    value = value_at(found.value, IPS)
    if value is not None and not isinstance(value, list):
        found.refuse(IPS, "must be a list", shown(value))
        return ()
    return tuple(ip for index, text in enumerate(value or ()) for ip in _ip(found, (*IPS, index), text))


def _ip(found: Found, path: Path, text: object) -> tuple[str, ...]:
    if not isinstance(text, str):
        found.refuse(path, f"must be a text, not {noun(text)}", shown(text))
        return ()
    try:
        return (canonical_interface(text),)
    except ValueError as error:
        found.refuse(path, str(error), repr(text))
        return ()
