"""The addresses of one pool, kept from event to event: which ones are free is known without asking who has the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence

from ovnk8s_topo.addresses import Address
from ovnk8s_topo.ipam import SubnetPools
from ovnk8s_topo.planner.addressing import Pool

_SOMEBODY = "somebody"


class Shelf:
    """Which addresses of a pool are held, and how many times: by ports, behind MACs, by IPAMClaims.

    AllocationError  the pool's own description is at fault
    """

    def __init__(self, pool: Pool) -> None:
        self.pools = SubnetPools(pool.subnets, excluded=pool.excluded, withheld=pool.withheld, name=pool.name)
        self.holders: dict[Address, int] = {}

    def hold(self, addresses: Iterable[Address]) -> None:
        """Count one more holder of each address."""
        for address in addresses:
            self.holders[address] = count = self.holders.get(address, 0) + 1
            if count == 1:
                self.pools.keep(address, _SOMEBODY)

    def release(self, addresses: Iterable[Address]) -> None:
        """Count one holder less of each address; the last one makes it free."""
        for address in addresses:
            self.holders[address] -= 1
            if not self.holders[address]:
                del self.holders[address]
                self.pools.release([address], _SOMEBODY)


class Draw:
    """One event's dealings with a shelf, which itself stays as it is.

    avoided  addresses that newcomers do not get, in the whole network
    """

    def __init__(self, shelf: Shelf, avoided: Container[Address]) -> None:
        self.shelf, self.avoided = shelf, avoided
        self.released: Counter[Address] = Counter()
        self.taken: set[Address] = set()

    def __contains__(self, address: object) -> bool:
        return address in self.taken or address in self.avoided

    def release(self, addresses: Iterable[Address]) -> None:
        """Give addresses of somebody back who goes, or who is served anew."""
        self.released.update(addresses)

    def is_free(self, address: Address) -> bool:
        """Whether nobody holds an address, from before or since."""
        held = self.shelf.holders.get(address, 0)
        return address not in self.taken and held <= self.released.get(address, 0)

    def take(self, addresses: Sequence[Address]) -> bool:
        """Give these very addresses to somebody, or return False if one of them is not free."""
        if not all(self.is_free(address) for address in addresses):
            return False
        self.taken.update(addresses)
        return True

    def take_lowest(self, has: Sequence[Address]) -> tuple[Address, ...] | None:
        """Give one address of each subnet of which somebody has none; None if a subnet has none left."""
        found: list[Address] = []
        for pool in self.shelf.pools.pools:
            if any(address in pool.subnet for address in has):
                continue
            free = [address for address in self.released if pool.fits(address) and self._can_be_given(address)]
            if lowest := pool.lowest_free(self):
                free.append(lowest)
            if not free:
                return None
            found.append(min(free))
        self.taken.update(found)
        return tuple(found)

    def _can_be_given(self, address: Address) -> bool:
        return address not in self.avoided and self.is_free(address)
