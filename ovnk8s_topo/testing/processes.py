"""Processes that never outlive the test run, not even if it is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ovnk8s_topo.testing.tools import OvnToolError

_POLL_S = 0.005
_READY_S = 20.0
# sun_path of unix(7) holds 108 bytes; this leaves room for "/ovn-xxxxxxxx/northd.ctl".
_LONGEST_TEMP = 80

# Waits for the end of its input, which is the end of the test run, however that comes about. HUP is what the kernel
# sends to a stopped process group that has lost its parent (setpgid(2)), i.e. when we die while a server is frozen.
_WATCHDOG = 'trap "" HUP; read -r _; rm -rf -- "$1"; kill -KILL 0'


class Playground:
    """A temporary directory, and a process group for the servers that live in it.

    One shell watches over both: when our process ends, even by SIGKILL, it removes the directory and kills the group.
    """

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        self.directory = Path(tempfile.mkdtemp(prefix="ovn-", dir=parent if len(parent) < _LONGEST_TEMP else "/tmp"))
        command = ["sh", "-c", _WATCHDOG, "sh", str(self.directory)]
        # A group of its own also keeps Ctrl-C away from the servers while fixtures are still using them.
        self._watchdog = subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", process_group=0)
        self.group: int = self._watchdog.pid

    def close(self) -> None:
        """Remove the directory and kill what is left of the group; wait until both are gone."""
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        self._watchdog.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Server:
    """One daemon in the foreground, as a child of ours.

    command  what to run; it must not detach
    group    the process group to put it into: that of a `Playground`
    log      the file in which it says why, if it does not get ready
    """

    def __init__(self, command: Sequence[str], *, group: int, env: Mapping[str, str], log: Path) -> None:
        self.command = tuple(command)
        self.log = log
        self._group = group
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, or None if it is not running."""
        return None if self._process is None else self._process.pid

    def start(self, ready: Callable[[], bool]) -> None:
        """Start it, and wait until `ready` says so.

        OvnToolError  it ended, or was not ready after 20 s
        """
        self._process = subprocess.Popen(
            self.command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=self._group,
        )
        deadline = time.monotonic() + _READY_S
        while not ready():
            exit_code = self._process.poll()
            if exit_code is not None or time.monotonic() > deadline:
                raise OvnToolError(self.command, exit_code, self._last_words())
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """Kill it as a crash would (SIGKILL), also if it is frozen; nothing happens if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it without ending it (SIGSTOP): connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)
        # The signal takes effect a little later; until then one more request could get through. WNOWAIT leaves the
        # news of it in place, so that freezing twice does not wait for a second stop, which never comes.
        os.waitid(os.P_PID, self._running().pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        self._running().send_signal(number)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise OvnToolError(self.command, None, "not running")
        return self._process

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-5:]) or "no log"
