"""One MAC, one owner on a network.

OVN-Kubernetes keeps a registry of the MACs of a network and refuses whoever asks for one that another has
(clustermanager/pod/allocator.go); here it is a function of who has and who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ovnk8s_topo.addresses import Address, mac_from_address
from ovnk8s_topo.ipam.refusals import others_of
from ovnk8s_topo.planner.addressing import Grant
from ovnk8s_topo.planner.claims import Held
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Given


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who bears a MAC.

    label    for messages
    has      whether it has the MAC already
    is_made  whether the MAC follows from its address, so that nobody chose it
    item     None for a port that stays as it is
    """

    mac: str
    label: str
    has: bool
    is_made: bool
    item: Wanted | None = None


def bearer_of_grant(item: Wanted, grant: Grant, held: Held | None) -> Bearer:
    """Return an attachment as the bearer of the MAC that it is about to get.

    held  what its port has in the database
    """
    told = item.given.mac if item.given else ""
    is_made = not item.attachment.mac and bool(grant.addresses) and grant.mac == mac_from_address(grant.addresses[0])
    return Bearer(grant.mac, item.label, grant.mac in (told, held.mac if held else ""), is_made, item)


def may_choose_mac(item: Wanted, grant: Grant) -> bool:
    """Tell whether an attachment may get another MAC than the one that is made from its address."""
    return bool(item.attachment.mac or item.pod.given or not grant.addresses)


def bearer_of_told(item: Wanted, told: Given) -> Bearer:
    """Return an attachment that cannot be served, but was told a MAC."""
    is_made = bool(told.addresses) and told.mac == mac_from_address(told.addresses[0])
    return Bearer(told.mac, item.label, True, is_made)


def bearer_of_port(held: Held) -> Bearer:
    """Return a port of the database that stays as it is."""
    is_made = bool(held.addresses) and held.mac == mac_from_address(held.addresses[0])
    return Bearer(held.mac, f"port {held.port}", True, is_made)


def address_behind(mac: str) -> tuple[Address, ...]:
    """Return the IPv4 address from which a MAC would be made, () if it looks like none.

    Newcomers do not get the address behind a MAC that somebody has chosen, for their MAC would be the same.
    """
    first, octets = mac[:6], mac[6:].split(":")
    return (Address(4, int("".join(octets), 16)),) if first == "0a:58:" and len(octets) == 4 else ()


def behind_chosen_macs(item: Wanted, honours_wishes: bool) -> tuple[Address, ...]:
    """Return the addresses behind an attachment's chosen MACs, without those that it has or asks for itself."""
    if item.is_plain:
        return ()
    told = item.given
    if not (item.attachment.mac or told):
        return ()
    own = {*(told.addresses if told else ()), *(item.attachment.addresses if honours_wishes else ())}
    macs = {item.attachment.mac, told.mac if told else ""}
    return tuple(address for mac in macs for address in address_behind(mac) if address not in own)


def refused_macs(bearers: Iterable[Bearer]) -> Iterator[tuple[Wanted, str]]:
    """Yield the attachments of one network that must not have their MAC, and why.

    Whoever has a MAC goes before whoever asks for it; if several have it, or several ask and nobody has it, all of
    them are at fault. MACs that merely follow from addresses are not compared, for two pods may bring one address
    along to a network that hands out none.
    """
    by_mac: dict[str, list[Bearer]] = {}
    for bearer in bearers:
        by_mac.setdefault(bearer.mac, []).append(bearer)
    for mac, group in by_mac.items():
        if len(group) > 1 and not all(bearer.is_made for bearer in group):
            labels = sorted(bearer.label for bearer in group)
            yield from ((bearer.item, _why(bearer.item, mac, labels)) for bearer in _at_fault(group) if bearer.item)


def _at_fault(group: Sequence[Bearer]) -> list[Bearer]:
    newcomers = [bearer for bearer in group if not bearer.has]
    chosen = [bearer for bearer in group if not bearer.is_made]
    return newcomers if 0 < len(newcomers) < len(group) else chosen


def _why(item: Wanted, mac: str, labels: list[str]) -> str:
    pod = f"{item.pod.namespace}/{item.pod.name}"
    return (
        f'failed to reserve MAC address "{mac}" for owner "{pod}" on NAD key "{item.nad_key}": '
        f"MAC address already in use: by {others_of(labels, item.label)}"
    )
