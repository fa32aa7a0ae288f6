"""The addresses of one subnet: who holds which, and which is next.

Law: an address has at most one owner, and only that owner gives it back.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from ovnk8s_topo.addresses import Address, Subnet
from ovnk8s_topo.ipam.blocks import Blocks, hosts_of
from ovnk8s_topo.ipam.numbers import FreeNumbers, gaps, without
from ovnk8s_topo.ipam.refusals import AddressTaken, NotInRange, PoolExhausted


class AddressPool:
    """Give out the addresses of one subnet, round robin.

    subnet     IPv4: hosts without network and broadcast; IPv6: offsets 1 to 65535 only
    excluded   excludeSubnets: never given; each wholly inside `subnet`, none overlapping another
    withheld   single addresses that the network keeps for itself; those outside `subnet` are ignored
    reserved   reservedSubnets: given only when asked for by address
    name       what the error texts call the pool; the subnet unless told

    SubnetsRefused  an exclude or reserved subnet lies outside or overlaps another one

    Follows OVN-Kubernetes go-controller/pkg/allocator/ip/allocator.go and allocator/bitmap/bitmap.go: the cursor
    starts at the first host, moves past each address that `next` gives, and wraps, so that a released address is
    given again only after the wrap; `reserve` does not move it.
    """

    def __init__(
        self,
        subnet: Subnet,
        *,
        excluded: Sequence[Subnet] = (),
        withheld: Sequence[Address] = (),
        reserved: Sequence[Subnet] = (),
        name: str = "",
    ) -> None:
        self.subnet = subnet
        self._span = subnet.first, subnet.last
        self._first, self._last = self._cursor, _ = hosts_of(subnet)
        self._owners: dict[int, str] = {}
        self._withheld = frozenset(a.value for a in withheld if self._is_host(a))
        self._blocks = Blocks(subnet, name or str(subnet))
        for on_request, subnets in ((True, reserved), (False, excluded)):
            for block in subnets:
                self._blocks.add(block, on_request=on_request)
        spans = gaps(self._first, self._last, self._blocks.spans())
        self._free = FreeNumbers(without(spans, sorted(self._withheld)))

    @property
    def free(self) -> int:
        """How many addresses `next` can still give."""
        return self._free.count

    @property
    def in_use(self) -> int:
        """How many addresses have an owner."""
        return len(self._owners)

    def next(self, owner: str) -> Address:
        """Give `owner` the next free address at or after the cursor.

        PoolExhausted  none is left; names the subnet and how many are in use
        """
        value = self._free.pop(self._cursor)
        if value is None:
            value = self._free.pop(self._first)
        if value is None:
            raise PoolExhausted(self.load)
        self._cursor = value + 1
        self._owners[value] = owner
        return Address(self.subnet.version, value)

    def lowest_free(self, passed_over: Container[Address] = ()) -> Address | None:
        """Return the lowest address that has no owner and may be given, None if there is none; takes nothing.

        passed_over  addresses that do not count as free
        """
        number, version = self._first, self.subnet.version
        while (value := self._free.at_or_after(number)) is not None:
            address: Address = tuple.__new__(Address, (version, value))
            if address not in passed_over:
                return address
            number = value + 1
        return None

    def next_for(self, owners: Sequence[str]) -> list[Address]:
        """Give each of the owners what `next` would give it, in turn; fewer addresses than owners if they run out."""
        values = self._free.pop_many(self._cursor, len(owners))
        if len(values) < len(owners):
            values += self._free.pop_many(self._first, len(owners) - len(values))
        if values:
            self._cursor = values[-1] + 1
        self._owners.update(zip(values, owners, strict=False))
        version, new = self.subnet.version, tuple.__new__
        return [new(Address, (version, value)) for value in values]

    def reserve(self, address: Address, owner: str) -> None:
        """Give `owner` this very address; the cursor stays.

        NotInRange    not a host of this pool; names the range
        AddressTaken  held, also by `owner` itself (named), excluded (by which subnet) or withheld
        """
        self.check(address)
        self.keep(address, owner)

    def check(self, address: Address) -> None:
        """Raise what `reserve` would raise for this address, and change nothing."""
        self._check_fits(address)
        holder = self._owners.get(address.value)
        if holder is not None:
            raise AddressTaken(f"{address} belongs to {holder}", owner=holder)

    def fits(self, address: Address) -> bool:
        """Tell whether somebody may hold this address, whoever holds it now."""
        if not self._is_host(address) or address.value in self._withheld:
            return False
        block = self._blocks.at(address.value)
        return block is None or block.on_request

    def keep(self, address: Address, owner: str) -> None:
        """Record that `owner` holds an address already, even one that is excluded or withheld by now.

        Addresses that are no host of this pool are ignored; an address held by another is taken over.
        """
        if self._is_host(address):
            self._owners[address.value] = owner
            self._free.remove(address.value, address.value)

    def keep_all(self, holders: Mapping[Address, str]) -> None:
        """Do what `keep` does for many addresses with their owners, and much faster."""
        version, first, last = self.subnet.version, self._first, self._last
        values = {
            value: owner for (kind, value), owner in holders.items() if kind == version and first <= value <= last
        }
        self._owners |= values
        self._free.remove_all(values)

    def release(self, address: Address, owner: str) -> None:
        """Give an address back; nothing happens unless `owner` holds it."""
        if not self._is_host(address) or self._owners.get(address.value) != owner:
            return
        del self._owners[address.value]
        if address.value not in self._withheld and not self._blocks.at(address.value):
            self._free.add(address.value, address.value)

    def owner_of(self, address: Address) -> str | None:
        """Return who holds an address, None if nobody does."""
        return self._owners.get(address.value) if self._is_host(address) else None

    def allocated(self) -> tuple[Address, ...]:
        """Return all addresses that have an owner, lowest first."""
        return tuple(Address(self.subnet.version, value) for value in sorted(self._owners))

    def continue_from(self, former: AddressPool) -> None:
        """Take over owners and cursor of an earlier pool of the same subnet."""
        self._cursor = former._cursor
        for value, owner in former._owners.items():
            self.keep(Address(self.subnet.version, value), owner)

    @property
    def load(self) -> str:
        """How full the pool is, for an error text: ``10.1.2.0/29: 6 in use, 0 held back``."""
        held_back = max(0, self._last - self._first + 1) - self.in_use - self.free
        return f"{self.subnet}: {self.in_use} in use, {max(0, held_back)} held back"

    def block_of(self, address: Address) -> Subnet | None:
        """Return the reserved subnet that serves an address on request, None if it is an ordinary one."""
        block = self._blocks.at(address.value) if self._is_host(address) else None
        return block.subnet if block and block.on_request else None

    def spans(self, address: Address) -> bool:
        """Tell whether an address is in the subnet, be it one that nobody can have."""
        return address.version == self.subnet.version and self._span[0] <= address.value <= self._span[1]

    def _is_host(self, address: Address) -> bool:
        return address.version == self.subnet.version and self._first <= address.value <= self._last

    def _check_fits(self, address: Address) -> None:
        if not self._is_host(address):
            raise NotInRange(f"{address} is not one of {self._range_text()}")
        if address.value in self._withheld:
            raise AddressTaken(f"{address} is withheld for the network itself, of {self._range_text()}")
        block = self._blocks.at(address.value)
        if block and not block.on_request:
            raise AddressTaken(f"{address} is excluded by {block.subnet}")

    def _range_text(self) -> str:
        if self._last < self._first:
            return f"the addresses of {self.subnet}, which has none to give"
        ends = (Address(self.subnet.version, value) for value in (self._first, self._last))
        return "-".join(str(end) for end in ends) + f" of {self.subnet}"
