"""How the slices of a cluster subnet are numbered.

Law: number -> slice is a bijection, so that blocking a subnet is blocking a few runs of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ovnk8s_topo.addresses import WIDTH, Subnet, Version
from ovnk8s_topo.ipam.numbers import Span
from ovnk8s_topo.ipam.refusals import SubnetsRefused

_NUMBERS_USED = 1 << 24
"""Upstream counts in 32 bits and stops here, lest a shift overflow (subnet_allocator.go allocateNetwork)."""


@dataclass(frozen=True, slots=True)
class SliceRange:
    """A cluster subnet that is cut into node subnets of `host_len` prefix bits, e.g. 10.128.0.0/14 into /24.

    SubnetsRefused  a slice would be larger than the subnet, or hold a single address

    Follows OVN-Kubernetes go-controller/pkg/clustermanager/node/subnet_allocator.go.
    """

    subnet: Subnet
    host_len: int

    def __post_init__(self) -> None:
        if self.host_len >= WIDTH[self.version]:
            # A /127 range of one slice is fine, a /128 slice is not.
            raise self._refused("host capacity cannot be zero")
        if self.host_len < self.subnet.prefix_len:
            raise self._refused("subnet capacity cannot be larger than number of networks available")

    @property
    def version(self) -> Version:
        """The IP family of the range."""
        return self.subnet.version

    @property
    def count(self) -> int:
        """How many slices the range is cut into, those that are never given included."""
        return 1 << self._subnet_bits

    @property
    def numbers(self) -> int:
        """How many numbers are in use: 0 to this, exclusive; at most 2^24."""
        return min(self.count, _NUMBERS_USED)

    def is_skipped(self, number: int) -> bool:
        """Tell whether a number is never given: in IPv6 with 16 or more subnet bits, one ending in 16 zero bits."""
        return self.version == 6 and self._subnet_bits >= 16 and number & 0xFFFF == 0

    def slice(self, number: int) -> Subnet:
        """Return the slice with this number.

        IPv4 slices that do not end on an octet and reach into the next one are numbered with their bits rotated,
        so that 10.1.0.0/16 cut into /26 goes 10.1.0.0, 10.1.1.0 ... 10.1.255.0, 10.1.0.64 ...
        """
        left = self._rotation
        if left:
            mask = self.count - 1
            number = number << left & mask | number >> (self._subnet_bits - left) & (1 << left) - 1
        return Subnet(self.version, self.subnet.first + (number << self._host_bits), self.host_len)

    def runs(self, blocked: Subnet) -> Iterator[Span]:
        """Yield the runs of numbers whose slices overlap `blocked`, a subnet of any size; at most 128 runs."""
        if not self.subnet.overlaps(blocked):
            return
        for first, last in self._all_runs(blocked):
            if first < self.numbers:
                yield first, min(last, self.numbers - 1)

    def widened(self, subnet: Subnet) -> Subnet:
        """Return the slice-sized subnet around a smaller one, the subnet itself if it is no smaller."""
        if subnet.prefix_len <= self.host_len or subnet.version != self.version:
            return subnet
        return Subnet(self.version, subnet.first >> self._host_bits << self._host_bits, self.host_len)

    def slices(self) -> Iterator[Subnet]:
        """Yield every slice that can be given, in the order of their numbers."""
        return (self.slice(number) for number in range(self.numbers) if not self.is_skipped(number))

    @property
    def _subnet_bits(self) -> int:
        return self.host_len - self.subnet.prefix_len

    @property
    def _host_bits(self) -> int:
        return WIDTH[self.version] - self.host_len

    @property
    def _rotation(self) -> int:
        host, bits = self._host_bits, self._subnet_bits
        if self.version == 6 or host % 8 == 0 or (host - 1) // 8 == (host + bits - 1) // 8:
            return 0
        return 8 - host % 8

    def _all_runs(self, blocked: Subnet) -> Iterator[Span]:
        bits, left = self._subnet_bits, self._rotation
        fixed = min(max(blocked.prefix_len - self.subnet.prefix_len, 0), bits)
        # `top`: the leading bits of the slices' place in address order that `blocked` prescribes.
        top = max(blocked.first - self.subnet.first, 0) >> self._host_bits >> (bits - fixed)
        if not left:
            yield top << (bits - fixed), (top + 1 << (bits - fixed)) - 1
            return
        yield from self._rotated_runs(fixed, top, bits - left)

    def _rotated_runs(self, fixed: int, top: int, low_bits: int) -> Iterator[Span]:
        # Address order is (low bits of the number, then its top `left` bits).
        left = self._rotation
        open_low = max(low_bits - fixed, 0)
        given_high = max(fixed - low_bits, 0)
        low = top >> given_high << open_low
        high = (top & (1 << given_high) - 1) << (left - given_high)
        for number in range(high, high + (1 << (left - given_high))):
            first = number << low_bits | low
            yield first, first + (1 << open_low) - 1

    def _refused(self, why: str) -> SubnetsRefused:
        return SubnetsRefused(f"{self.subnet} cut into /{self.host_len}", upstream=why)
