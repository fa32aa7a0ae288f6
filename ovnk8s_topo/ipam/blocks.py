"""What is never handed out by itself: excludeSubnets and reservedSubnets of one pool.

Law: a block is a range, whatever its size; a /8 costs as much as a /32.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from ovnk8s_topo.addresses import Address, Subnet
from ovnk8s_topo.ipam.numbers import Span
from ovnk8s_topo.ipam.refusals import AddressTaken, NotInRange, SubnetsRefused


def hosts_of(subnet: Subnet) -> Span:
    """Return the first and last address that a pool of `subnet` may give; last < first when there is none.

    IPv4: without network and broadcast, so none in a /31 or /32. IPv6: offsets 1 to 65535 at most, because
    OVN-Kubernetes keeps a bitmap of that size (allocator/ip/allocator.go NewAllocatorCIDRRange).
    """
    if subnet.version == 4:
        return subnet.first + 1, max(subnet.first, subnet.last - 1)
    return subnet.first + 1, min(subnet.last, subnet.first + 0xFFFF)


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a pool that the cursor passes over.

    subnet       the exclude or reserved subnet that it comes from
    on_request   True for reservedSubnets: an address of it is given when asked for by name
    """

    first: int
    last: int
    subnet: Subnet
    on_request: bool = False


_first = attrgetter("first")


class Blocks:
    """The blocks of one pool, by address."""

    def __init__(self, subnet: Subnet, name: str) -> None:
        self._subnet = subnet
        self._hosts = hosts_of(subnet)
        self._name = name
        self._blocks: list[Block] = []

    def add(self, subnet: Subnet, *, on_request: bool) -> None:
        """Block `subnet`; network and broadcast address of the pool inside it are passed over.

        SubnetsRefused  `failed to exclude subnet X for Y: ...`: outside the pool's subnet, overlapping an
                        earlier block, or in IPv6 beyond offset 65535; the first address at fault is named
        """
        if subnet not in self._subnet:
            raise self._refused(subnet, "not contained in any of the subnets")
        first, last = max(subnet.first, self._hosts[0]), min(subnet.last, self._hosts[1])
        if first <= last:
            self._check_overlap(subnet, first, last)
            insort(self._blocks, Block(first, last, subnet, on_request), key=_first)
        self._check_end(subnet)

    def at(self, value: int) -> Block | None:
        """Return the block that holds an address, None if it is in none."""
        place = bisect_right(self._blocks, value, key=_first)
        block = self._blocks[place - 1] if place else None
        return block if block and value <= block.last else None

    def spans(self) -> Iterator[Span]:
        """Yield the blocks' ranges in ascending order."""
        return ((block.first, block.last) for block in self._blocks)

    def _check_overlap(self, subnet: Subnet, first: int, last: int) -> None:
        place = bisect_right(self._blocks, first, key=_first)
        following = self._blocks[place : place + 1]
        other = self.at(first) or next((block for block in following if block.first <= last), None)
        if other:
            why = f"failed to reserve IP {self._text(max(first, other.first))}: {AddressTaken.upstream}"
            raise self._refused(subnet, why, f"it overlaps {other.subnet}")

    def _check_end(self, subnet: Subnet) -> None:
        # One address beyond the last host counts as a broadcast address upstream, in IPv6 too
        # (allocator/ip/allocator.go Reserved).
        beyond = max(subnet.first, self._hosts[1] + 2)
        if beyond <= subnet.last:
            why = f"failed to reserve IP {self._text(beyond)}: {NotInRange.upstream}"
            raise self._refused(
                subnet, why, f"only {self._text(self._hosts[0])}-{self._text(self._hosts[1])} are given"
            )

    def _text(self, value: int) -> str:
        return str(Address(self._subnet.version, value))

    def _refused(self, subnet: Subnet, why: str, detail: str = "") -> SubnetsRefused:
        return SubnetsRefused(detail, upstream=f"failed to exclude subnet {subnet} for {self._name}: {why}")
