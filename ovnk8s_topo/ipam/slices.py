"""The node subnets of a layer3 network.

Law: no two nodes ever hold overlapping subnets, whatever their masks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sortedcontainers import SortedDict

from ovnk8s_topo.addresses import WIDTH, Subnet, Version
from ovnk8s_topo.ipam.numbers import FreeNumbers
from ovnk8s_topo.ipam.ranges import SliceRange
from ovnk8s_topo.ipam.refusals import SlicesExhausted, SliceTaken, SubnetsRefused

_FAMILIES: tuple[Version, ...] = (4, 6)


class SliceAllocator:
    """Give every node one subnet per IP family, from the first range of the family that has room.

    ranges  (cluster subnet, prefix length of one node's slice); later ranges of a family are overflow

    SubnetsRefused  as for SliceRange

    Each range has a round-robin cursor: a slice given back is given again only after the wrap.
    Follows OVN-Kubernetes go-controller/pkg/clustermanager/node/subnet_allocator.go, except that there only equal
    CIDR texts exclude each other; here overlapping subnets do.
    """

    def __init__(self, ranges: Sequence[tuple[Subnet, int]] = ()) -> None:
        self.versions: tuple[Version, ...] = ()
        """The IP families that have a range, IPv4 first."""
        self._ranges: list[_Stock] = []
        self._owned = _Owned()
        for subnet, host_len in ranges:
            self.add_range(subnet, host_len)

    def add_range(self, subnet: Subnet, host_len: int) -> None:
        """Add a range behind the others; one that is there already keeps its state.

        SubnetsRefused  as for SliceRange
        """
        added = SliceRange(subnet, host_len)
        if any(stock.range == added for stock in self._ranges):
            return
        stock = _Stock(added)
        for owned, _ in self._owned.overlapping(subnet):
            stock.block(owned)
        self._ranges.append(stock)
        self.versions = tuple(version for version in _FAMILIES if self._of(version))

    def allocate(self, owner: str, versions: Sequence[Version] | None = None) -> tuple[Subnet, ...]:
        """Give `owner` a free slice of each family, or nothing at all.

        versions  the families wanted, those without a range are passed over; every family that has one unless told

        SlicesExhausted  a family has none left; names its ranges and how many slices are in use
        """
        wanted = [version for version in self.versions if versions is None or version in versions]
        found = [(version, self._next_free(version)) for version in wanted]
        return tuple(self._take(owner, stock, number) for _, (stock, number) in found)

    def mark(self, owner: str, *subnets: Subnet) -> None:
        """Record that `owner` holds these subnets, all or none; what it holds already is fine.

        SubnetsRefused  one is inside no range
        SliceTaken      one is, or overlaps, the subnet of another owner; names it
        """
        for subnet in subnets:
            self._check_known(subnet)
            self._check_owner(owner, subnet)
        for subnet in subnets:
            self.block(owner, subnet)

    def block(self, owner: str, subnet: Subnet) -> None:
        """Keep what overlaps `subnet` from being given; nothing happens if it overlaps no range.

        For subnets in use that no longer fit a range, and those of nodes that we do not manage. A subnet that
        somebody owns already stays theirs.
        """
        if self.overlaps(subnet) and subnet not in self._owned:
            self._owned.add(subnet, owner)
            for stock in self._ranges:
                stock.block(subnet)

    def release(self, owner: str, *subnets: Subnet) -> None:
        """Give subnets back, all or none; one that nobody owns is no error.

        SubnetsRefused  one overlaps no range
        SliceTaken      one belongs to another owner; names it
        """
        for subnet in subnets:
            if not self.overlaps(subnet):
                raise _unknown(subnet)
            holder = self._owned.get(subnet)
            if holder not in (None, owner):
                raise _taken(subnet, subnet, str(holder))
        for subnet in subnets:
            self._give_back(subnet)

    def overlaps(self, subnet: Subnet) -> bool:
        """Tell whether a subnet shares addresses with a range."""
        return any(stock.range.subnet.overlaps(subnet) for stock in self._ranges)

    def covers(self, subnet: Subnet) -> bool:
        """Tell whether a subnet lies wholly inside a range."""
        return any(subnet in stock.range.subnet for stock in self._ranges)

    def owner_of(self, subnet: Subnet) -> str | None:
        """Return who holds exactly this subnet, None if nobody does."""
        return self._owned.get(subnet)

    def owned(self) -> tuple[tuple[Subnet, str], ...]:
        """Return all subnets that have an owner, with it, in address order."""
        return self._owned.all()

    def slices(self, version: Version) -> Iterator[Subnet]:
        """Yield every slice that the family's ranges can give, in the order in which they are given."""
        return (subnet for stock in self._of(version) for subnet in stock.range.slices())

    def count(self, version: Version) -> int:
        """Return how many slices the family's ranges are cut into, including those never given."""
        return sum(stock.range.count for stock in self._of(version))

    def used(self, version: Version) -> int:
        """Return how many subnets of a family have an owner."""
        return self._owned.count(version)

    def set_cursor(self, version: Version, index: int, number: int) -> None:
        """Let the search in the family's range number `index` go on at slice `number`."""
        self._of(version)[index].cursor = number

    def _of(self, version: Version) -> list[_Stock]:
        return [stock for stock in self._ranges if stock.range.version == version]

    def _next_free(self, version: Version) -> tuple[_Stock, int]:
        for stock in self._of(version):
            number = stock.next_free()
            if number is not None:
                return stock, number
        ranges = ", ".join(f"{stock.range.subnet}/{stock.range.host_len}" for stock in self._of(version))
        raise SlicesExhausted(f"{ranges} ({self.count(version)} node subnets, {self.used(version)} in use)")

    def _take(self, owner: str, stock: _Stock, number: int) -> Subnet:
        subnet = stock.range.slice(number)
        self.block(owner, subnet)
        stock.cursor = number + 1
        return subnet

    def _give_back(self, subnet: Subnet) -> None:
        if self._owned.get(subnet) is None:
            return
        self._owned.remove(subnet)
        for stock in self._ranges:
            stock.unblock(subnet)
            for other, _ in self._owned.overlapping(stock.range.widened(subnet)):
                stock.block(other)

    def _check_known(self, subnet: Subnet) -> None:
        if not self.covers(subnet):
            raise _unknown(subnet)

    def _check_owner(self, owner: str, subnet: Subnet) -> None:
        for other, holder in self._owned.overlapping(subnet):
            if holder != owner:
                raise _taken(subnet, other, holder)


class _Stock:
    """One range with what is free of it."""

    def __init__(self, slice_range: SliceRange) -> None:
        self.range = slice_range
        self.cursor = 0
        self._free = FreeNumbers([(0, slice_range.numbers - 1)])

    def next_free(self) -> int | None:
        """Return the number that comes next, None if the range is used up; takes nothing."""
        number = self._at_or_after(self.cursor)
        return self._at_or_after(0) if number is None else number

    def block(self, subnet: Subnet) -> None:
        for first, last in self.range.runs(subnet):
            self._free.remove(first, last)

    def unblock(self, subnet: Subnet) -> None:
        for first, last in self.range.runs(subnet):
            self._free.add(first, last)

    def _at_or_after(self, number: int) -> int | None:
        found = self._free.at_or_after(number)
        while found is not None and self.range.is_skipped(found):
            found = self._free.at_or_after(found + 1)
        return found


class _Owned:
    """Subnets and their owners, with look-up by overlap."""

    def __init__(self) -> None:
        self._owners: Any = SortedDict()
        self._lengths: Counter[tuple[Version, int]] = Counter()

    def __contains__(self, subnet: Subnet) -> bool:
        return _place(subnet) in self._owners

    def add(self, subnet: Subnet, owner: str) -> None:
        self._owners[_place(subnet)] = owner
        self._lengths[subnet.version, subnet.prefix_len] += 1

    def remove(self, subnet: Subnet) -> None:
        del self._owners[_place(subnet)]
        self._lengths[subnet.version, subnet.prefix_len] -= 1

    def get(self, subnet: Subnet) -> str | None:
        owner: str | None = self._owners.get(_place(subnet))
        return owner

    def count(self, version: Version) -> int:
        return sum(count for (of, _), count in self._lengths.items() if of == version)

    def all(self) -> tuple[tuple[Subnet, str], ...]:
        return tuple((Subnet(*place), owner) for place, owner in self._owners.items())

    def overlapping(self, subnet: Subnet) -> Iterator[tuple[Subnet, str]]:
        """Yield what overlaps `subnet`, with its owner: the larger ones around it, then those that start in it."""
        for place in [*self._around(subnet), *self._starting_in(subnet)]:
            yield Subnet(*place), self._owners[place]

    def _around(self, subnet: Subnet) -> Iterator[tuple[Version, int, int]]:
        for version, length in sorted(self._lengths):
            if version == subnet.version and length < subnet.prefix_len:
                shift = WIDTH[version] - length
                place = (version, subnet.first >> shift << shift, length)
                if place[1] < subnet.first and place in self._owners:
                    yield place

    def _starting_in(self, subnet: Subnet) -> Iterator[tuple[Version, int, int]]:
        first, last = (subnet.version, subnet.first, 0), (subnet.version, subnet.last, WIDTH[subnet.version])
        yield from self._owners.irange(first, last)


def _place(subnet: Subnet) -> tuple[Version, int, int]:
    return subnet.version, subnet.first, subnet.prefix_len


def _unknown(subnet: Subnet) -> SubnetsRefused:
    return SubnetsRefused(upstream=f"network {subnet} does not belong to any known range")


def _taken(subnet: Subnet, other: Subnet, holder: str) -> SliceTaken:
    if subnet == other:
        return SliceTaken(f"network {subnet} already owned by {holder}", owner=holder)
    return SliceTaken(f"network {subnet} overlaps {other}, already owned by {holder}", owner=holder)
