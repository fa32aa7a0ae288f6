"""ping(8), run and read."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.lab.namespaces import Namespace

_REPLY = re.compile(r"icmp_seq=(?P<seq>\d+) (?:ttl|hlim)=(?P<ttl>\d+)")
_SUMMARY = re.compile(r"(?P<sent>\d+) packets transmitted, (?P<received>\d+) received")
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Ping:
    """What a ping came to.

    sent, received  numbers of packets
    ttls            of the replies, in order
    sequence        numbers of the packets that were answered
    text            what ping printed
    """

    sent: int
    received: int
    ttls: tuple[int, ...]
    sequence: tuple[int, ...]
    text: str

    @property
    def lost(self) -> int:
        """How many packets nobody answered."""
        return self.sent - self.received

    @property
    def ttl(self) -> int | None:
        """The time to live of the replies; None if there are none, or they differ."""
        return self.ttls[0] if len(set(self.ttls)) == 1 else None

    def __str__(self) -> str:
        return self.text


def ping_from_text(text: str) -> Ping:
    """Read what ping prints.

    LabError  it is not that: ping could not even start
    """
    summary = _SUMMARY.search(text)
    if summary is None:
        raise LabError(f"ping did not run: {text.strip()}")
    replies = [*_REPLY.finditer(text)]
    return Ping(
        sent=int(summary["sent"]),
        received=int(summary["received"]),
        ttls=tuple(int(reply["ttl"]) for reply in replies),
        sequence=tuple(int(reply["seq"]) for reply in replies),
        text=text,
    )


class RunningPing:
    """A ping at work."""

    def __init__(self, namespace: Namespace, arguments: tuple[str, ...], file: Path) -> None:
        self._file = file
        self._process = namespace.start(("ping", "-n", "-O", *arguments), file, file.with_suffix(".err"))

    @property
    def received(self) -> int:
        """How many replies have come so far."""
        return sum(1 for _ in self._replies())

    def _replies(self) -> Iterator[re.Match[str]]:
        return _REPLY.finditer(self._file.read_text(errors="replace"))

    def wait_for(self, replies: int, *, timeout_s: float = 20.0) -> None:
        """Return when so many more replies have come. LabError  they have not by the deadline."""
        wanted, deadline = self.received + replies, time.monotonic() + timeout_s
        while self.received < wanted:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise LabError(f"{self.received} replies instead of {wanted}:\n{self._text()[-2000:]}")
            time.sleep(_POLL_S)

    def wait_for_silence(self, *, timeout_s: float = 20.0) -> None:
        """Return when ten packets in a row were not answered. LabError  they still are at the deadline."""
        deadline = time.monotonic() + timeout_s
        while not _is_silent(self._text()):
            if time.monotonic() > deadline:
                raise LabError(f"still answered:\n{self._text()[-2000:]}")
            time.sleep(_POLL_S)

    def finish(self, *, timeout_s: float = 60.0) -> Ping:
        """Wait until all packets are sent, and return what came of them."""
        return self._end(timeout_s)

    def stop(self) -> Ping:
        """Stop it now, as Ctrl-C would, and return what came of it."""
        self._process.send_signal(signal.SIGINT)
        return self._end(10.0)

    def kill(self) -> None:
        """End it whatever it is doing; nothing happens if it has ended."""
        self._process.kill()
        self._process.wait()

    def _end(self, timeout_s: float) -> Ping:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        return ping_from_text(self._text())

    def _text(self) -> str:
        errors = self._file.with_suffix(".err").read_text(errors="replace")
        return self._file.read_text(errors="replace") + errors


def _is_silent(text: str) -> bool:
    last = text.splitlines()[-10:]
    return len(last) == 10 and all(line.startswith(("no answer", "From ")) for line in last)
