"""tcpdump(8), run and read."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.lab.namespaces import Namespace

_FRAME = re.compile(
    r"^\S+ (?P<source>[0-9a-f:]{17}) > (?P<target>[0-9a-f:]{17}), "
    r"(?:ethertype [^,]+, length (?P<length>\d+): )?(?P<rest>.*)"
)
_VLAN = re.compile(r"\bvlan (\d+)\b")
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as tcpdump saw it.

    source, target  MAC addresses
    vlan            its 802.1Q tag, or None
    text            the line
    """

    source: str
    target: str
    vlan: int | None
    text: str

    def __str__(self) -> str:
        return self.text


class Capture:
    """A tcpdump at work, once the ``with`` block is entered: what comes by from then on is seen.

    namespace, interface  where to listen
    expression            which frames, as in pcap-filter(7); "" for all. In front of it ``vlan and`` finds tagged ones
    """

    def __init__(self, namespace: Namespace, interface: str, expression: str, file: Path) -> None:
        self._namespace, self._interface, self._expression = namespace, interface, expression
        self._file, self._errors = file, file.with_suffix(".err")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # -Z: tcpdump would leave root's rights, and with them the right to write where the lab is.
        options = ("-enn", "-l", "--immediate-mode", "-Z", "root", "-i", self._interface)
        command = ("tcpdump", *options, *self._expression.split())
        self._process = self._namespace.start(command, self._file, self._errors)
        deadline = time.monotonic() + 10
        while "listening on" not in self._errors.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._kill()
                raise LabError(f"tcpdump did not start: {self._errors.read_text(errors='replace').strip()}")
            time.sleep(_POLL_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def frames(self) -> tuple[Frame, ...]:
        """What has been seen so far."""
        matches = map(_FRAME.match, self._file.read_text(errors="replace").splitlines())
        return tuple(_frame(match) for match in matches if match)

    def wait_for(self, text: str, *, count: int = 1, timeout_s: float = 10.0) -> tuple[Frame, ...]:
        """Return the frames with `text` in their line as soon as there are so many. LabError  there are not in time."""
        deadline = time.monotonic() + timeout_s
        while len(found := tuple(frame for frame in self.frames if text in frame.text)) < count:
            if time.monotonic() > deadline:
                raise LabError(f"{len(found)} of {count} frames with {text!r} came by; seen:\n{self}")
            time.sleep(_POLL_S)
        return found

    def __str__(self) -> str:
        return "\n".join(frame.text for frame in self.frames) or "nothing"


def _frame(match: re.Match[str]) -> Frame:
    tag = _VLAN.search(match["rest"])
    return Frame(match["source"], match["target"], int(tag[1]) if tag else None, match[0])
