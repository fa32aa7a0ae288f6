from __future__ import annotations

import errno
import os
import resource
from typing import Any

import pytest

from ovnk8s_topo.backends.attempts import Refusal, refusal_of
from ovnk8s_topo.backends.lane import NoRows
from ovnk8s_topo.backends.ovsdb_link import _WholeCharacters, new_poller, split_remotes, whole_length
from ovnk8s_topo.backends.ovsdb_wire import WireSession

TEXT = "aé漢😀z"


@pytest.mark.parametrize("cut", range(len(TEXT.encode()) + 1))
def test_what_is_read_ends_with_a_whole_character(cut: int) -> None:
    received = TEXT.encode()[:cut]
    whole = received[: whole_length(received)]
    assert TEXT.startswith(whole.decode())
    assert len(received) - len(whole) < 4


class Pieces:
    """A stream that gives one byte at a time."""

    def __init__(self, sent: bytes) -> None:
        self.left = [(0, bytes([byte])) for byte in sent]

    def recv(self, _: int) -> tuple[int, bytes]:
        return self.left.pop(0) if self.left else (0, b"")


def test_characters_are_put_together_from_single_bytes() -> None:
    stream, read, waits = _WholeCharacters(Pieces(TEXT.encode())), "", 0
    while True:
        error, received = stream.recv(4096)
        if not error and not received:
            break
        waits += error == errno.EAGAIN
        read += received.decode()
    assert (read, waits) == (TEXT, len(TEXT.encode()) - len(TEXT))


def test_remotes_may_be_several() -> None:
    connection = "unix:/run/ovn/nb.sock, tcp:[::1]:6641,ssl:nb.example:6641"
    assert split_remotes(connection) == ["unix:/run/ovn/nb.sock", "tcp:[::1]:6641", "ssl:nb.example:6641"]


@pytest.mark.parametrize(
    "remote",
    [
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:",
        "tcp::6641",
        "tcp:127.0.0.1:0",
        "tcp:127.0.0.1:65536",
        "tcp:127.0.0.1:" + "9" * 5000,
        "tcp:127.0.0.1:\u0663",
        "ssl:a..b:6641",
        f"ssl:{'a' * 64}.example:6641",
        "udp:127.0.0.1:6641",
        "unix:",
        "",
    ],
)
def test_remotes_that_can_be_none(remote: str) -> None:
    with pytest.raises(ValueError, match="must be unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT"):
        split_remotes(f"unix:/run/ovn/nb.sock,{remote}")


def test_polling_works_above_the_limit_of_select() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1500:
        pytest.skip("this process may not open so many files")
    read, write = os.pipe()
    high = os.dup2(read, 1500)
    try:
        os.write(write, b"x")
        poller = new_poller()
        poller.fd_wait(high, 1)
        poller.block()
    finally:
        for number in (read, write, high):
            os.close(number)


INDEX = 'Transaction causes multiple rows in "Meter" table to have identical values ("m") for index on column "name".'


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([{}, {"count": 1}, {"uuid": ["uuid", "U"]}], None),
        ([{"error": "timed out", "details": '"where" clause test failed'}, None], Refusal("...", 0)),
        ([{"error": "duplicate uuid", "details": "x"}], Refusal("...", 0)),
        ([{}, {"error": "constraint violation", "details": INDEX}], Refusal("...", 0)),
        ([{}, {"error": "constraint violation", "details": "5000 is not in the valid range"}], Refusal("...", 1)),
        ([{}, {"error": "referential integrity violation", "details": "x"}], Refusal("...", 3)),
        ([{"error": "cluster error"}], Refusal("cluster error", 0, True)),
        ([{"error": "permission error", "details": "x"}], Refusal("...", 1)),
    ],
    ids=["applied", "guard", "uuid", "index", "range", "reference", "cluster", "other"],
)
def test_what_the_server_says(results: list[Any], expected: Refusal | None) -> None:
    found = refusal_of(results)
    assert (found is None) is (expected is None)
    if found is not None and expected is not None:
        assert found[1:] == expected[1:]
        assert str(next(result for result in results if result and "error" in result)["error"]) in found.text


def test_a_connection_that_python_ovs_has_just_made_may_be_dropped() -> None:
    """`drop` comes from other threads than `run`, which wraps the connection a moment after it was made."""
    session = WireSession(["unix:/nonexistent/nb.sock"], None, 0.0, NoRows())
    session.rpc = object()
    session.drop("closed")
    assert session.why == "closed"
    session.rpc = None
    session.close()
