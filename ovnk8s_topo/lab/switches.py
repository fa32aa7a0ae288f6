"""Open vSwitch in a namespace: a database server and a switch in user space, so that no kernel module is needed."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ovnk8s_topo.lab.namespaces import Namespace
from ovnk8s_topo.testing.processes import Server
from ovnk8s_topo.testing.tools import environment, program, run, schema

# Not of connections: every client that ends is one lost.
_COMPLAINT = re.compile(r"\|(?!jsonrpc|reconnect)[^|]+\|(WARN|ERR|EMER)\|")


class Switches:
    """One Open vSwitch.

    namespace  where its ports are
    directory  a directory of its own, for database, sockets and logs
    group      the process group of the lab
    """

    def __init__(self, namespace: Namespace, directory: Path, group: int) -> None:
        self.namespace = namespace
        self.directory = directory
        self._group = group
        self._env = environment(directory)
        self._stack = ExitStack()

    def start(self) -> None:
        """Start both servers and return when they answer."""
        self.directory.mkdir()
        database = str(self.directory / "conf.db")
        run((program("ovsdb-tool"), "create", database, str(schema("vswitch"))), self._env)
        self.serve("ovsdb-server", database, f"--remote=punix:{self._socket}")
        # Few threads: a lab has many switches, and a machine few cores.
        few = ("--", "set", "Open_vSwitch", ".", "other_config:n-handler-threads=1")
        self.vsctl("--no-wait", "init", *few, "other_config:n-revalidator-threads=1")
        self.serve("ovs-vswitchd", self.database, "--disable-system")

    def serve(self, daemon: str, *arguments: str, controlled: bool = True) -> None:
        """Start one more daemon in the namespace; it ends with the switch.

        controlled  it takes ``--unixctl``; return when it answers there
        """
        log, control = self.directory / f"{daemon}.log", self.directory / f"{daemon}.ctl"
        options = [f"--log-file={log}", "-vconsole:off", *([f"--unixctl={control}"] if controlled else [])]
        command = self.namespace.command(daemon, *arguments, *options)
        server = Server(command, group=self._group, env=self._env, log=log)
        self._stack.callback(server.kill)
        server.start(lambda: not controlled or _answers(control))

    def stop(self) -> None:
        """Kill its daemons."""
        self._stack.close()

    @property
    def database(self) -> str:
        """Connection method of its database."""
        return f"unix:{self._socket}"

    @property
    def _socket(self) -> Path:
        return self.directory / "db.sock"

    def vsctl(self, *arguments: str) -> str:
        """Run ovs-vsctl; it waits until the switch has done as told. OvnToolError  it failed, or took 10 s."""
        return run((program("ovs-vsctl"), f"--db={self.database}", "--timeout=10", *arguments), self._env)

    def appctl(self, *arguments: str) -> str:
        """Run ovs-appctl on the switch."""
        return run((program("ovs-appctl"), "-t", str(self.directory / "ovs-vswitchd.ctl"), *arguments), self._env)

    def ofctl(self, *arguments: str) -> str:
        """Run ovs-ofctl, e.g. ``dump-flows br-int``."""
        return run((program("ovs-ofctl"), *arguments), self._env)

    def add_bridge(self, name: str, *ports: str) -> None:
        """Add a bridge in user space, with ports that exist in the namespace."""
        self.vsctl(*_bridge(name), *(word for port in ports for word in ("--", "add-port", name, port)))

    def logs(self, lines: int = 5) -> Iterator[str]:
        """Yield the last complaints of each of its daemons."""
        for log in sorted(self.directory.glob("ov*.log")):
            bad = [line for line in log.read_text(errors="replace").splitlines() if _COMPLAINT.search(line)]
            yield from (f"{log.name}: {line}" for line in bad[-lines:])


def _bridge(name: str) -> tuple[str, ...]:
    return ("--", "--may-exist", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev")


def _answers(path: Path) -> bool:
    # By way of its directory, since the name of a socket may have 107 bytes only: unix(7). The servers do the same.
    directory = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"/proc/self/fd/{directory}/{path.name}") == 0
    finally:
        os.close(directory)
