"""IP and MAC values: the one place that touches netaddr.

Law: text is parsed here, strictly and once; everything behind it works on integers.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

Version = Literal[4, 6]

WIDTH: dict[int, int] = {4: 32, 6: 128}
"""Address length in bits, by IP version."""

_PREFIX_LEN = re.compile(r"(0|[1-9][0-9]{0,2})", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}", re.ASCII | re.IGNORECASE)


# A tuple, for there are as many as pods: it is made and compared in a third of the time.
class Address(NamedTuple):
    """One IP address: `version` 4 or 6, `value` as an unsigned integer."""

    version: Version
    value: int

    def __str__(self) -> str:
        version, value = self
        if version == 4:
            return f"{_ipv4_front(value >> 8)}{value & 255}"
        low = value & 0xFFFF
        return f"{_ipv6_front(value >> 16)}{low:x}" if low else ipaddress.IPv6Address(value).compressed


# Addresses of one pool begin alike.
@lru_cache(maxsize=1 << 12)
def _ipv4_front(front: int) -> str:
    return f"{front >> 16}.{front >> 8 & 255}.{front & 255}."


@lru_cache(maxsize=1 << 12)
def _ipv6_front(front: int) -> str:
    """Return the text of an address without its last 16 bits, provided that those are not all zero."""
    # The text is hashed into MAC addresses, so it must be Go's: `::102:304`, never `::1.2.3.4`.
    return ipaddress.IPv6Address(front << 16 | 1).compressed[:-1]


@dataclass(frozen=True, slots=True, order=True)
class Subnet:
    """A masked CIDR: `first` is its lowest address as an integer, host bits zero."""

    version: Version
    first: int
    prefix_len: int

    def __post_init__(self) -> None:
        width = WIDTH[self.version]
        if not 0 <= self.prefix_len <= width or self.first & (self.size - 1) or self.first >> width:
            raise ValueError(f"not a masked IPv{self.version} subnet: {self.first:#x}/{self.prefix_len}")

    def __str__(self) -> str:
        return f"{self.network}/{self.prefix_len}"

    def __contains__(self, other: Address | Subnet) -> bool:
        if isinstance(other, Address):
            host_len = WIDTH[self.version] - self.prefix_len
            return other.version == self.version and other.value >> host_len == self.first >> host_len
        return other.version == self.version and self.first <= other.first and other.last <= self.last

    @property
    def size(self) -> int:
        """Number of addresses, network and broadcast included."""
        return 1 << (WIDTH[self.version] - self.prefix_len)

    @property
    def last(self) -> int:
        """The highest address as an integer."""
        return self.first + self.size - 1

    @property
    def network(self) -> Address:
        """The lowest address."""
        return Address(self.version, self.first)

    def overlaps(self, other: Subnet) -> bool:
        """Tell whether the two share an address."""
        return self.version == other.version and self.first <= other.last and other.first <= self.last

    def address(self, offset: int) -> Address:
        """Return the address `offset` above the lowest one.

        ValueError  the offset is outside the subnet
        """
        if not 0 <= offset < self.size:
            raise ValueError(f"{self} has no address number {offset}")
        return Address(self.version, self.first + offset)


def address_from_text(text: str) -> Address:
    """Parse an IP address without a mask, e.g. ``10.33.2.3`` or ``fd01::3``.

    ValueError  `invalid IP address: <text>`; zones, leading zeros, blanks and IPv4-mapped IPv6 are refused
    """
    netaddr = _netaddr()
    # Its parsers themselves: making an object of its own of each text takes half as long again.
    try:
        if ":" not in text:
            return Address(4, netaddr.strategy.ipv4.str_to_int(text))
        value = netaddr.strategy.ipv6.str_to_int(text)
    except (netaddr.AddrFormatError, ValueError) as error:
        raise ValueError(f"invalid IP address: {text}") from error
    if value >> 32 == 0xFFFF:
        raise ValueError(f"invalid IP address: {text}")
    return Address(6, value)


def subnet_from_text(text: str) -> Subnet:
    """Parse ``address/prefix length`` and drop the host bits, as Go's net.ParseCIDR does.

    ValueError  `invalid CIDR address: <text>`; also for netmask notation, which Kubernetes does not accept
    """
    return _cidr_from_text(text)[1]


def interface_from_text(text: str) -> tuple[Address, Subnet]:
    """Parse an address with its mask, e.g. ``10.33.2.3/24`` to 10.33.2.3 and 10.33.2.0/24.

    ValueError  `invalid CIDR address: <text>`
    """
    return _cidr_from_text(text)


def _cidr_from_text(text: str) -> tuple[Address, Subnet]:
    host, slash, length = text.partition("/")
    if not slash or not _PREFIX_LEN.fullmatch(length):
        raise ValueError(f"invalid CIDR address: {text}")
    try:
        address = address_from_text(host)
        shift = WIDTH[address.version] - int(length)
        return address, Subnet(address.version, address.value >> shift << shift, int(length))
    except ValueError as error:
        raise ValueError(f"invalid CIDR address: {text}") from error


def mac_from_text(text: str) -> str:
    """Parse a unicast EUI-48 address and return it in lower case with colons.

    ValueError  not six pairs of hex digits, or a multicast address, or all zero
    """
    if not _MAC.fullmatch(text):
        raise ValueError(f"invalid MAC address: {text}")
    mac = text.lower().replace("-", ":")
    if mac[1] in "13579bdf" or mac == "00:00:00:00:00:00":
        raise ValueError(f"not a unicast MAC address: {text}")
    return mac


def mac_from_address(address: Address) -> str:
    """Derive the MAC that OVN-Kubernetes gives to the holder of an IP address.

    IPv4: ``0a:58`` and the four octets. IPv6: ``0a:58`` and the first four bytes of the SHA-256 of the
    address's canonical text (OVN-Kubernetes util/net.go).
    """
    version, value = address
    return _mac_text(0x0A58 << 32 | (value if version == 4 else _hash32(str(address))))


def mac_from_identity(identity: str) -> str:
    """Derive a locally administered MAC from a name, for attachments that have no address.

    OVN-Kubernetes draws a random one; ours is a function of the name so that planning stays pure.
    """
    return _mac_text(0x0A58 << 32 | _hash32(identity))


def lla_from_mac(mac: str) -> Address:
    """Return the IPv6 link-local address of a MAC (EUI-64, RFC 4291 appendix A)."""
    value = int(_netaddr().EUI(mac))
    high, low = value >> 24 ^ 0x020000, value & 0xFFFFFF
    return Address(6, 0xFE80 << 112 | high << 40 | 0xFFFE << 24 | low)


@cache
def _netaddr() -> Any:
    """Return netaddr, imported on first use: it takes as long as a fifth of the front door."""
    import netaddr.strategy.ipv4
    import netaddr.strategy.ipv6

    return netaddr


def _hash32(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def _mac_text(value: int) -> str:
    return value.to_bytes(6).hex(":")
