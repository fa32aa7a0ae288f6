"""Which attachment has which IPAMClaim: addresses that belong to the claim and outlive the pod.

Follows OVN-Kubernetes pkg/persistentips/allocator.go and pkg/allocator/pod/pod_annotation.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ovnk8s_topo.addresses import Address
from ovnk8s_topo.errors import Problem
from ovnk8s_topo.ipam.refusals import others_of
from ovnk8s_topo.planner.faults import Fault
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Gaps, IpamClaim, Network

PATH = "ipam-claim-reference"


@dataclass(slots=True)
class Bindings:
    """Who refers to which claim.

    claims   port name -> the claim that its attachment has to itself, be it empty
    losses   attachments that get nothing, and why
    faults   what is wrong between claims that nobody needs to refer to
    notices  references that count for nothing, and why
    """

    claims: dict[str, IpamClaim] = field(default_factory=dict)
    losses: list[tuple[Wanted, Fault]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def bind_claims(items: Iterable[Wanted], claims: Sequence[IpamClaim], networks: Mapping[str, Network]) -> Bindings:
    """Find the claim of every attachment that refers to one.

    networks  by name; claims of others do not matter
    """
    bindings = Bindings(faults=[*_sharing(claims, networks)])
    known = {claim.key: claim for claim in claims}
    users: dict[str, list[Wanted]] = {}
    for item in items:
        if not item.attachment.ipam_claim_reference:
            continue
        if not item.network.honours_claims:
            bindings.notices.append(unheeded(item))
        elif why := _misdirected(item, known):
            bindings.losses.append((item, item.fault(why, PATH)))
        else:
            users.setdefault(claim_key(item), []).append(item)
    for key, group in users.items():
        labels = sorted(item.label for item in group)
        for item in group:
            if why := _disputed(item, labels) or _overwriting(item, known[key]):
                bindings.losses.append((item, item.fault(why, PATH)))
            else:
                bindings.claims[item.port] = known[key]
    return bindings


def claim_key(item: Wanted) -> str:
    """Return ``namespace/name`` of the claim that an attachment refers to; it is in the pod's namespace."""
    return f"{item.pod.namespace}/{item.attachment.ipam_claim_reference}"


def addresses_of_claims(network: Network, claims: Iterable[IpamClaim]) -> dict[str, tuple[Address, ...]]:
    """Return what the claims hold on a network, by the name that messages give them."""
    if not network.honours_claims:
        return {}
    return {str(claim): claim.addresses for claim in claims if claim.network == network.name and claim.ips}


def texts_of_claim(claim: IpamClaim, network: Network, addresses: Sequence[Address]) -> tuple[str, ...]:
    """Return what a claim's ``status.ips`` shall be: what it holds, else what its attachment got."""
    homes = ((address, subnet) for address in addresses for subnet in network.ranges if address in subnet)
    return claim.ips or tuple(f"{address}/{subnet.prefix_len}" for address, subnet in homes)


def unheeded(item: Wanted) -> str:
    """Return the notice for an attachment that refers to an IPAMClaim where those count for nothing."""
    network, reference = item.network, item.attachment.ipam_claim_reference
    why = "does not allow persistent IPs" if network.ranges else "has no subnets"
    return f"{item.label}: {PATH}: {reference} counts for nothing, for network {network.name} {why}"


def _misdirected(item: Wanted, known: Mapping[str, IpamClaim]) -> str:
    claim = known.get(claim_key(item))
    if claim is None:
        return f'failed to get IPAMClaim "{item.attachment.ipam_claim_reference}": {claim_key(item)} is not described'
    return "" if claim.network == item.network.name else f"{claim} is for network {claim.network}"


def _disputed(item: Wanted, labels: list[str]) -> str:
    others = others_of(labels, item.label)
    return f"IPAMClaim {claim_key(item)} is that of {others} too" if others else ""


def _overwriting(item: Wanted, claim: IpamClaim) -> str:
    """Return upstream's complaint about a pod that was told other addresses than its claim holds."""
    told = item.given.ips if item.given else ()
    if not (told and claim.ips) or set(item.given.addresses if item.given else ()) == set(claim.addresses):
        return ""
    return (
        f'failed to update IPAMClaim "{claim.key}" - overwriting existing IPs {_listed(claim.ips)} '
        f"with newer IPs {_listed(told)}"
    )


def _listed(texts: Iterable[str]) -> str:
    return "[" + " ".join(f'"{text}"' for text in texts) + "]"


def _sharing(claims: Sequence[IpamClaim], networks: Mapping[str, Network]) -> Iterator[Fault]:
    """Find claims that hold one address, whether pods refer to them or not."""
    holders: dict[tuple[str, Address], list[IpamClaim]] = {}
    for claim in claims:
        network = networks.get(claim.network)
        for address in dict.fromkeys(claim.addresses) if network and network.honours_claims else ():
            holders.setdefault((claim.network, address), []).append(claim)
    for (_, address), group in holders.items():
        names = sorted(str(claim) for claim in group)
        for claim in group if len(group) > 1 else ():
            others = others_of(names, str(claim))
            why = f"provided IP is already allocated: {address} is held by {others} too"
            yield Fault(Gaps(), Problem("status.ips", why, subject=str(claim)))
