"""Several subnets as one: an address from each, or none at all.

Law: a request is all or nothing; what fails leaves every pool as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ovnk8s_topo.addresses import Address, Subnet
from ovnk8s_topo.ipam.pool import AddressPool
from ovnk8s_topo.ipam.refusals import AddressTaken, PoolExhausted, RequestRefused, SubnetsRefused


class SubnetPools:
    """The address pools of one network or switch, one per subnet, in the order of `subnets`.

    excluded, withheld, reserved  as for AddressPool; each exclude lies in exactly one subnet
    name                          what the error texts call the network

    SubnetsRefused  two subnets overlap, or an exclude is in none of them or overlaps another

    Follows OVN-Kubernetes go-controller/pkg/allocator/ip/subnet/allocator.go.
    """

    def __init__(
        self,
        subnets: Sequence[Subnet],
        *,
        excluded: Sequence[Subnet] = (),
        withheld: Sequence[Address] = (),
        reserved: Sequence[Subnet] = (),
        name: str = "subnets",
    ) -> None:
        self.subnets = tuple(subnets)
        self.name = name
        _check_apart(self.subnets)
        homes = {subnet: (_inside(subnet, excluded), _inside(subnet, reserved)) for subnet in self.subnets}
        self._check_homes([*reserved, *excluded])
        self.pools: tuple[AddressPool, ...] = tuple(
            AddressPool(subnet, excluded=homes[subnet][0], withheld=withheld, reserved=homes[subnet][1], name=name)
            for subnet in self.subnets
        )

    def next(self, owner: str) -> tuple[Address, ...]:
        """Give `owner` one address of each subnet, in subnet order.

        PoolExhausted   a subnet has none left; names it, and nothing is given
        RequestRefused  there are no subnets
        """
        if not self.pools:
            raise RequestRefused(upstream=f"failed to allocate new IPs for {self.name}: has no IPAM")
        return self.complete((), owner)

    def reserve(self, addresses: Sequence[Address], owner: str) -> None:
        """Give `owner` these very addresses, at most one of each pool.

        RequestRefused            no address, one that is in no subnet, or two of one pool
        NotInRange, AddressTaken  as for AddressPool.reserve; nothing is given
        """
        pools = self._pools_for(addresses)
        for address, pool in zip(addresses, pools, strict=True):
            pool.reserve(address, owner)

    def check(self, addresses: Sequence[Address]) -> None:
        """Raise what `reserve` would raise for these addresses, and change nothing."""
        self._pools_for(addresses)

    def in_order(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Return addresses in the order of the subnets that they are in; those that are in none are left out."""
        return tuple(address for pool in self.pools for address in addresses if address in pool.subnet)

    def unserved(self, kept: Sequence[Address], asked: Sequence[Address]) -> tuple[Address, ...]:
        """Return what is asked for of subnets that none of the kept addresses is in."""
        served = {id(self._pool_of(address)) for address in kept}
        return tuple(address for address in asked if not kept or id(self._pool_of(address)) not in served)

    def release(self, addresses: Sequence[Address], owner: str) -> None:
        """Give addresses back; those that `owner` does not hold are passed over."""
        for address in addresses:
            for pool in self.pools:
                pool.release(address, owner)

    def owner_of(self, address: Address) -> str | None:
        """Return who holds an address, None if nobody does."""
        pool = self._pool_of(address)
        return pool.owner_of(address) if pool else None

    def keep(self, address: Address, owner: str) -> None:
        """Record that `owner` holds an address already; see AddressPool.keep."""
        for pool in self.pools:
            pool.keep(address, owner)

    def keep_all(self, holders: Mapping[Address, str]) -> None:
        """Record who holds many addresses already; see AddressPool.keep."""
        for pool in self.pools:
            pool.keep_all(holders)

    def fitting(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Return those of the addresses that may be held together: the first of each subnet that is not kept back."""
        if len(addresses) == 1:
            (address,) = addresses
            return (address,) if (pool := self._pool_of(address)) and pool.fits(address) else ()
        found: dict[int, Address] = {}
        for address in addresses:
            if (pool := self._pool_of(address)) and pool.fits(address):
                found.setdefault(id(pool), address)
        return tuple(found.values())

    def complete(self, kept: Sequence[Address], owner: str) -> tuple[Address, ...]:
        """Return what `owner` has already and one address of each subnet that it has none of, in subnet order.

        kept  as `fitting` returns them

        PoolExhausted  a subnet has none left; names it, and nothing is given
        """
        served = {id(self._pool_of(address)) for address in kept}
        waiting = [pool for pool in self.pools if id(pool) not in served]
        if not waiting:
            return tuple(kept)
        for pool in waiting:
            if not pool.free:
                raise PoolExhausted(pool.load)
        return tuple(kept) + tuple(pool.next(owner) for pool in waiting)

    def next_for(self, owners: Sequence[str]) -> list[tuple[Address, ...]]:
        """Give each of the owners one address of each subnet, in turn; fewer entries than owners if they run out."""
        served = owners[: min(pool.free for pool in self.pools)]
        return list(zip(*(pool.next_for(served) for pool in self.pools), strict=True))

    def allocated(self) -> tuple[Address, ...]:
        """Return all addresses that have an owner, in subnet order, lowest first."""
        return tuple(address for pool in self.pools for address in pool.allocated())

    def updated(
        self,
        subnets: Sequence[Subnet],
        *,
        excluded: Sequence[Subnet] = (),
        withheld: Sequence[Address] = (),
        reserved: Sequence[Subnet] = (),
    ) -> SubnetPools:
        """Return the pools of a changed description; a subnet that stays keeps its owners and its cursor.

        Owners keep addresses that the new description excludes; nobody else gets them.

        SubnetsRefused  as for the class
        """
        changed = SubnetPools(subnets, excluded=excluded, withheld=withheld, reserved=reserved, name=self.name)
        former = {pool.subnet: pool for pool in self.pools}
        for pool in changed.pools:
            if pool.subnet in former:
                pool.continue_from(former[pool.subnet])
        return changed

    def _pool_of(self, address: Address) -> AddressPool | None:
        for pool in self.pools:
            if pool.spans(address):
                return pool
        return None

    def _pools_for(self, addresses: Sequence[Address]) -> list[AddressPool]:
        if not addresses:
            raise RequestRefused(upstream=f"failed to allocate IPs for {self.name}: no IPs provided")
        seen: set[tuple[Subnet, Subnet | None]] = set()
        return [self._pool_for(address, seen) for address in addresses]

    def _pool_for(self, address: Address, seen: set[tuple[Subnet, Subnet | None]]) -> AddressPool:
        pool = self._pool_of(address)
        if pool is None:
            known = ", ".join(str(subnet) for subnet in self.subnets)
            raise self._refused(address, "not contained in any known subnet", f"there are {known}")
        block = pool.block_of(address)
        if (pool.subnet, block) in seen:
            kind = "static" if block else "continuous"
            raise self._refused(address, f"attempted to reserve multiple IPs in the same {kind} IPAM instance")
        pool.check(address)
        seen.add((pool.subnet, block))
        return pool

    def _refused(self, address: Address, why: str, detail: str = "") -> RequestRefused:
        return RequestRefused(detail, upstream=f"failed to allocate IP {address} for {self.name}: {why}")

    def _check_homes(self, blocks: Sequence[Subnet]) -> None:
        for block in blocks:
            if not any(block in subnet for subnet in self.subnets):
                why = "not contained in any of the subnets"
                raise SubnetsRefused(upstream=f"failed to exclude subnet {block} for {self.name}: {why}")


def hybrid_overlay_addresses(pools: SubnetPools, annotated: Sequence[Address], owner: str) -> tuple[Address, ...]:
    """Reserve a node's hybrid-overlay addresses and return them.

    annotated  what the node's annotation names; empty: number 3 of each subnet, or the next free ones if
               somebody holds one of those

    PoolExhausted, RequestRefused  as for SubnetPools.next and .reserve

    Follows OVN-Kubernetes ovn/logical_switch_manager/logical_switch_manager.go AllocateHybridOverlay.
    """
    wanted = tuple(annotated) or tuple(_third(pools.subnets))
    try:
        pools.reserve(wanted, owner)
    except AddressTaken:
        return wanted if annotated else pools.next(owner)
    return wanted


def _third(subnets: Sequence[Subnet]) -> Iterator[Address]:
    return (Address(subnet.version, subnet.first + 3) for subnet in subnets)


def _inside(subnet: Subnet, blocks: Sequence[Subnet]) -> list[Subnet]:
    return [block for block in blocks if block in subnet]


def _check_apart(subnets: Sequence[Subnet]) -> None:
    for one, other in pairwise(sorted(subnets)):
        if one.overlaps(other):
            raise SubnetsRefused(f"{one} and {other} overlap")
