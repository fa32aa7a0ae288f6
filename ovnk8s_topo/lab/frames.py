"""Ethernet frames, byte by byte: for what no well-behaved pod would send.

Pure. Addresses and MACs are texts; a fault in one is a ValueError.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

_ICMP, _ICMPV6 = 1, 58
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}


def echo_request(
    *,
    source_mac: str,
    target_mac: str,
    source: str,
    target: str,
    payload: bytes = b"lab" * 10,
    ttl: int = 64,
    vlan: int | None = None,
) -> bytes:
    """Return a whole frame with an ICMP or ICMPv6 echo request.

    vlan  puts an 802.1Q tag into it
    """
    one, other = ip_address(source), ip_address(target)
    if isinstance(one, IPv4Address) and isinstance(other, IPv4Address):
        packet = _ipv4(one, other, ttl, _echo(8, payload))
    elif isinstance(one, IPv6Address) and isinstance(other, IPv6Address):
        packet = _ipv6(one, other, ttl, _echo(128, payload))
    else:
        raise ValueError(f"{source} and {target} are of two families")
    return _ethernet(source_mac, target_mac, _ETHERTYPE[one.version], packet, vlan)


def _ethernet(source: str, target: str, ethertype: int, packet: bytes, vlan: int | None) -> bytes:
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return _mac(target) + _mac(source) + tag + struct.pack("!H", ethertype) + packet


def _mac(text: str) -> bytes:
    found = bytes.fromhex(text.replace(":", ""))
    if len(found) != 6:
        raise ValueError(f"not a MAC: {text!r}")
    return found


def _echo(kind: int, payload: bytes) -> bytes:
    return struct.pack("!BBHHH", kind, 0, 0, 0x6C61, 1) + payload


def _ipv4(source: IPv4Address, target: IPv4Address, ttl: int, echo: bytes) -> bytes:
    echo = _summed(echo, echo)
    start = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(echo), 0, 0, ttl, _ICMP, 0)
    header = start + source.packed + target.packed
    total = _checksum(header)
    return header[:10] + struct.pack("!H", total) + header[12:] + echo


def _ipv6(source: IPv6Address, target: IPv6Address, hop_limit: int, echo: bytes) -> bytes:
    ends = source.packed + target.packed
    echo = _summed(echo, ends + struct.pack("!II", len(echo), _ICMPV6) + echo)
    return struct.pack("!IHBB", 6 << 28, len(echo), _ICMPV6, hop_limit) + ends + echo


def _summed(echo: bytes, covered: bytes) -> bytes:
    return echo[:2] + struct.pack("!H", _checksum(covered)) + echo[4:]


def _checksum(octets: bytes) -> int:
    """Return the internet checksum, RFC 1071."""
    padded = octets + b"\0" * (len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
