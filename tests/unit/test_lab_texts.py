"""What a lab reads and writes byte by byte, and what it says where it cannot run: without root."""

from __future__ import annotations

import os

import pytest

from ovnk8s_topo.lab import LabError, echo_request
from ovnk8s_topo.lab.fixtures import StartLab
from ovnk8s_topo.lab.pings import ping_from_text

PRINTED = """PING 10.33.1.3 (10.33.1.3) 56(84) bytes of data.
64 bytes from 10.33.1.3: icmp_seq=1 ttl=63 time=1.41 ms
no answer yet for icmp_seq=2
64 bytes from 10.33.1.3: icmp_seq=3 ttl=63 time=0.41 ms

--- 10.33.1.3 ping statistics ---
3 packets transmitted, 2 received, 33.3333% packet loss, time 401ms
"""
HERE, THERE = "0a:58:0a:16:00:01", "0a:58:0a:16:00:02"


def test_ping_is_read() -> None:
    ping = ping_from_text(PRINTED)
    assert (ping.sent, ping.received, ping.lost, ping.ttl, ping.sequence) == (3, 2, 1, 63, (1, 3))


def test_replies_from_different_distances_have_no_ttl() -> None:
    assert ping_from_text(PRINTED.replace("ttl=63", "ttl=64", 1)).ttl is None


def test_a_ping_that_did_not_run_is_an_error() -> None:
    with pytest.raises(LabError, match="Network is unreachable"):
        ping_from_text("ping: connect: Network is unreachable\n")


def test_frame_over_ipv4() -> None:
    frame = echo_request(source_mac=HERE, target_mac=THERE, source="10.22.0.1", target="10.22.0.2", payload=b"", ttl=7)
    # The checksums were worked out by hand: one's complement of the sum of 16-bit words, RFC 1071.
    assert frame.hex(" ", 2) == (
        "0a58 0a16 0002 0a58 0a16 0001 0800 4500 001c 0000 0000 0701 9fb3 0a16 0001 0a16 0002 0800 8b9d 6c61 0001"
    )


def test_frame_over_ipv6_with_a_tag() -> None:
    frame = echo_request(
        source_mac=HERE, target_mac=THERE, source="fd02::1", target="fd02::2", payload=b"odd", vlan=100
    )
    assert frame[12:20].hex(" ", 2) == "8100 0064 86dd 6000"
    pseudo = frame[26:58] + (11).to_bytes(4) + (58).to_bytes(4) + frame[58:] + b"\0"
    total = sum(int.from_bytes(pseudo[i : i + 2]) for i in range(0, len(pseudo), 2))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@pytest.mark.parametrize(
    ("source", "target", "mac", "why"),
    [("10.22.0.1", "fd02::2", HERE, "two families"), ("10.22.0.1", "10.22.0.2", "0a:58", "not a MAC")],
)
def test_bad_frames_are_refused(source: str, target: str, mac: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        echo_request(source_mac=mac, target_mac=THERE, source=source, target=target)


def test_without_root_it_is_a_loud_skip(start_lab: StartLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("CI", "")
    monkeypatch.setenv("REQUIRE_LAB", "")
    with pytest.raises(pytest.skip.Exception, match="needs root"):
        start_lab()


def test_without_root_it_is_a_failure_where_it_is_required(
    start_lab: StartLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("REQUIRE_LAB", "1")
    with pytest.raises(pytest.fail.Exception, match=r"needs root.*REQUIRE_LAB"):
        start_lab()
