"""Who gets which address: the pure function behind every plan.

Law: the outcome depends on subnets, claims and wanted owners alone; a living owner's address never moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ovnk8s_topo.addresses import Address, Subnet
from ovnk8s_topo.ipam.pools import SubnetPools
from ovnk8s_topo.ipam.refusals import AddressTaken, PoolExhausted, Refused, others_of

Claims = Mapping[str, tuple[Address, ...]]

NO_CLAIMS: Claims = {}


@dataclass(frozen=True, slots=True)
class Assignment:
    """The outcome of `assign`.

    given     owner -> its addresses, for every wanted owner that has some
    problems  owner -> why it got none, for the rest
    """

    given: Mapping[str, tuple[Address, ...]]
    problems: Mapping[str, str]


def assign(
    subnets: Sequence[Subnet],
    excluded: Sequence[Subnet],
    withheld: Sequence[Address],
    claims: Claims,
    wanted: Sequence[str],
    *,
    requests: Claims = NO_CLAIMS,
    exact: Claims = NO_CLAIMS,
    reserved: Sequence[Subnet] = (),
    name: str = "subnets",
) -> Assignment:
    """Give every wanted owner one address of each subnet.

    subnets    in the order in which an owner lists its addresses; without any, every owner gets ()
    excluded, withheld, reserved, name  as for SubnetPools
    claims     owner -> addresses in use. A wanted owner keeps, in its order, what may be held of its claim, at most one
               address of each subnet; the rest is dropped, and what is missing is given fresh, so that a second subnet
               moves nobody. What owners that are not in `wanted` claim is given to nobody
    wanted     owners without a usable claim get the lowest free addresses, served in this order
    requests   wanted owner -> addresses that it asks for. They count for subnets of which it keeps none; whoever asks
               goes before whoever does not, and never before whoever has. One that cannot be had is a problem, and
               so is one that two owners ask for: of both
    exact      wanted owner -> addresses that are its own: it gets these and no others, or has a problem
    returns    who got what, and why the others got nothing. Two claims to one address are a problem of both
               owners; neither moves and nobody else gets the address

    SubnetsRefused  subnets or excludes contradict each other

    Follows OVN-Kubernetes go-controller/pkg/allocator/ip/subnet/allocator.go; the clash rule is ours, because there
    the second owner gets nothing or, once, the same address (ovn-kubernetes#5411).
    """
    owners = dict.fromkeys(wanted)
    if not subnets:
        return Assignment(dict.fromkeys(owners, ()), {})
    pools = SubnetPools(subnets, excluded=excluded, withheld=withheld, reserved=reserved, name=name)
    if not (claims or requests or exact):
        unserved: dict[str, str] = {}
        return Assignment(_serve(pools, tuple(owners), {}, {}, unserved), unserved)
    problems = _misfits(pools, exact)
    claiming = [owner for owner in owners if owner in exact or owner in claims]
    fitting = {owner: exact[owner] if owner in exact else pools.fitting(claims[owner]) for owner in claiming}
    kept = {owner: found for owner, found in fitting.items() if found and owner not in problems}
    holders = _holders(kept | {owner: claim for owner, claim in claims.items() if owner not in owners})
    pools.keep_all({address: names[0] for address, names in holders.items()})
    problems |= _clashes(kept, holders)
    asked = {owner: pools.unserved(kept.get(owner, ()), requests[owner]) for owner in owners if owner in requests}
    granted = _reserve(pools, {owner: ips for owner, ips in asked.items() if ips and owner not in problems}, problems)
    given = {owner: kept[owner] for owner in exact if owner in kept and owner not in problems}
    return Assignment(
        given | _serve(pools, [owner for owner in owners if owner not in exact], kept, granted, problems), problems
    )


def gateway_of(subnet: Subnet) -> Address:
    """Return the gateway address of a subnet: network + 1 (OVN-Kubernetes util/net.go GetNodeGatewayIfAddr).

    ValueError  the subnet has a single address
    """
    return subnet.address(1)


def management_of(subnet: Subnet) -> Address:
    """Return the management port's address: network + 2 (OVN-Kubernetes util/net.go GetNodeManagementIfAddr).

    ValueError  the subnet has fewer than three addresses
    """
    return subnet.address(2)


def withheld_on_node(subnet: Subnet, *, hybrid_overlay: bool = False) -> tuple[Address, ...]:
    """Return what a layer3 node's switch keeps for itself: gateway and management address, if the subnet has them.

    hybrid_overlay  also network + 3 (only on the default network)

    Follows OVN-Kubernetes ovn/logical_switch_manager/logical_switch_manager.go; secondary networks withhold the
    management address too, though no port has it.
    """
    last = 3 if hybrid_overlay else 2
    return tuple(subnet.address(offset) for offset in range(1, min(last + 1, subnet.size)))


def _holders(claims: Claims) -> dict[Address, list[str]]:
    holders: dict[Address, list[str]] = {}
    for owner, addresses in claims.items():
        for address in dict.fromkeys(addresses) if len(addresses) > 1 else addresses:
            holders.setdefault(address, []).append(owner)
    for owners in holders.values():
        if len(owners) > 1:
            owners.sort()
    return holders


def _clashes(kept: Claims, holders: Mapping[Address, list[str]]) -> dict[str, str]:
    problems: dict[str, str] = {}
    if all(len(names) == 1 for names in holders.values()):
        return problems
    for owner, claim in kept.items():
        shared = [address for address in claim if len(holders[address]) > 1]
        if shared:
            named = "; ".join(f"{address} is claimed by {others_of(holders[address], owner)} too" for address in shared)
            problems[owner] = f"{AddressTaken.upstream}: {named}"
    return problems


def _misfits(pools: SubnetPools, exact: Claims) -> dict[str, str]:
    """Find owners whose own addresses the pools cannot hold."""
    problems: dict[str, str] = {}
    for owner, addresses in exact.items():
        try:
            pools.check(addresses)
        except Refused as error:
            problems[owner] = error.problems[0].why
    return problems


def _reserve(pools: SubnetPools, asked: Claims, problems: dict[str, str]) -> Claims:
    """Give every owner what it asks for, all of it or nothing; note who cannot have it."""
    askers = _holders(asked)
    clashes = {
        owner: f"{AddressTaken.upstream}: {address} is asked for by {others_of(askers[address], owner)} too"
        for owner, addresses in asked.items()
        for address in addresses
        if len(askers[address]) > 1
    }
    granted: dict[str, tuple[Address, ...]] = {}
    for owner, addresses in asked.items():
        try:
            pools.check(addresses) if owner in clashes else pools.reserve(addresses, owner)
        except Refused as error:
            problems[owner] = error.problems[0].why
            continue
        granted[owner] = addresses
    problems |= {owner: why for owner, why in clashes.items() if owner not in problems}
    for owner in clashes.keys() & granted.keys():
        # Nobody else gets what is in dispute.
        for address in granted.pop(owner):
            pools.keep(address, owner)
    return granted


def _serve(
    pools: SubnetPools, owners: Sequence[str], kept: Claims, granted: Claims, problems: dict[str, str]
) -> dict[str, tuple[Address, ...]]:
    given: dict[str, tuple[Address, ...]] = {}
    waiting = [owner for owner in owners if owner not in problems]
    for has_some, group in groupby(waiting, (kept.keys() | granted.keys()).__contains__):
        named = list(group)
        if not has_some:
            # Most are, and to serve them together is many times faster.
            served = pools.next_for(named)
            given |= zip(named, served, strict=False)
            named = named[len(served) :]
        for owner in named:
            has = kept.get(owner, ())
            if len(has) == len(pools.pools):
                given[owner] = has
                continue
            try:
                whole = pools.complete((*has, *granted.get(owner, ())), owner)
            except PoolExhausted as error:
                problems[owner] = f"{error.upstream}: {error.detail}"
                continue
            given[owner] = has + pools.in_order(whole[len(has) :])
    return given
