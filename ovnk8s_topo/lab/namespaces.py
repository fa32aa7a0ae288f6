"""Network namespaces without names: each lives as long as a process in it does, and so never outlives its lab."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.testing.tools import OvnNotInstalled, OvnToolError, program

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17
_TIMEOUT_S = 30.0

# Says so when the namespace is there, and then keeps it.
_HOLD = "ip link set lo up && echo ready && exec sleep infinity"

_PACKAGES = {"ping": "iputils-ping", "tcpdump": "tcpdump", "ip": "iproute2", "ovn-controller": "ovn-host"}


def lab_program(name: str) -> str:
    """Find a program that a lab needs.

    OvnNotInstalled  it is nowhere; the text names the package
    """
    try:
        return program(name)
    except OvnNotInstalled:
        if name not in _PACKAGES:
            raise
        package = _PACKAGES[name]
    raise OvnNotInstalled(f"{name} not found: install {package} (Debian, Ubuntu: apt-get install {package})")


class Namespace:
    """A network namespace, held by a process of the lab's process group.

    label  what it is called in messages
    group  the process group of a `Playground`: whatever kills the group takes the namespace away, too

    LabError  the kernel gives none: it takes root
    """

    def __init__(self, label: str, group: int) -> None:
        self.label = label
        self._group = group
        command = [lab_program("unshare"), "--net", "sh", "-ec", _HOLD]
        self._holder = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            process_group=group,
        )
        said = self._first_line()
        if said != "ready":
            self.close()
            raise LabError(f"no network namespace for {label}: {said}")

    def _first_line(self) -> str:
        if self._holder.stdout is None:
            return ""
        with self._holder.stdout as stdout:
            return stdout.readline().decode(errors="replace").strip()

    @property
    def pid(self) -> int:
        """The process that holds it: what ``ip link ... netns`` and ``nsenter --target`` take."""
        return self._holder.pid

    def close(self) -> None:
        """Let go of it; it ends, with all its interfaces, when the last process in it has ended."""
        self._holder.kill()
        self._holder.wait()

    def command(self, *command: str) -> tuple[str, ...]:
        """Return a command line that runs another one in here; good for a terminal, too."""
        return (lab_program("nsenter"), f"--target={self.pid}", "--net", "--", lab_program(command[0]), *command[1:])

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a program in here to its end and return what it prints.

        OvnToolError  its exit code is not 0, or it did not end in 30 s
        """
        inside = self.command(*command)
        try:
            done = subprocess.run(
                inside, input=stdin, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, cwd="/"
            )
        except subprocess.TimeoutExpired as error:
            raise OvnToolError(inside, None, f"did not end in {_TIMEOUT_S:.0f} s") from error
        if done.returncode != 0:
            raise OvnToolError(inside, done.returncode, f"{done.stderr or done.stdout}\n{stdin}")
        return done.stdout

    def ip(self, *lines: str, version: int = 0) -> None:
        """Have ip do these lines, such as ``link set eth0 up``, up to the first that fails: OvnToolError.

        version  of IP, for lines from which ip cannot tell
        """
        family = [f"-{version}"] if version else []
        self.run("ip", *family, "-batch", "-", stdin="".join(f"{line}\n" for line in lines))

    def start(
        self, command: Sequence[str], stdout: Path, stderr: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program in here that dies with the lab at the latest; its output goes to files."""
        with stdout.open("wb") as out, stderr.open("wb") as err:
            return subprocess.Popen(
                self.command(*command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
                cwd="/",
                process_group=self._group,
            )

    def packet_socket(self, interface: str) -> socket.socket:
        """Open a raw socket on one of its interfaces: `send` takes whole Ethernet frames."""
        return self.inside(lambda: _bound(interface))

    def prepare_for_pods(self) -> None:
        """Have IPv6 addresses usable at once: nobody else claims them in a lab, and the check takes a second."""
        setting = Path("/proc/sys/net/ipv6/conf/default/accept_dad")
        # Without IPv6, or where /proc may only be read, there is nothing to be done.
        with contextlib.suppress(OSError):
            self.inside(lambda: setting.write_text("0"))

    def checksum_itself(self, interface: str) -> None:
        """Have the kernel finish the checksums of what it sends: a switch in user space passes them on as they are."""
        self.inside(lambda: _no_checksum_offload(interface))

    def inside(self, action: Callable[[], T]) -> T:
        """Call a function on a thread that is in here, and return its result. What it opens stays in here."""
        results: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                _enter(self.pid)
                results.append(action())
            except BaseException as error:
                errors.append(error)

        # setns(2) moves one thread; this one ends at once, so that nothing of ours ever stays inside.
        thread = threading.Thread(target=work, name=f"in {self.label}")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]


def link(one: Namespace, one_name: str, other: Namespace, other_name: str, *, mtu: int, mac: str = "") -> None:
    """Join two namespaces by a pair of interfaces, both up; neither is ever seen outside of the two.

    mac  of the other's interface; "": the kernel chooses
    """
    address = f"address {mac} " if mac else ""
    one.ip(
        f"link add {one_name} mtu {mtu} type veth peer name {other_name} {address}mtu {mtu} netns {other.pid}",
        f"link set {one_name} up",
    )
    other.ip(f"link set {other_name} up")


def _bound(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    opened.bind((interface, 0))
    return opened


def _no_checksum_offload(interface: str) -> None:
    # struct ethtool_value and struct ifreq of ethtool(8)'s ioctl, linux/ethtool.h and linux/if.h.
    command = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP", interface.encode(), ctypes.addressof(command)) + bytes(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


def _enter(pid: int) -> None:
    # os.setns is in Python 3.12 and later.
    libc = ctypes.CDLL(None, use_errno=True)
    target = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(target, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(target)
