"""A node's database server for tests: the vswitch schema and nothing else, no switch behind it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ovnk8s_topo.backends import OvsdbVswitch
from ovnk8s_topo.nodeside import VswitchRows, Wiring, WiringChanges, wiring_changes
from ovnk8s_topo.testing import OvnNotInstalled
from ovnk8s_topo.testing.policy import unavailable
from ovnk8s_topo.testing.processes import Playground, Server
from ovnk8s_topo.testing.tools import environment, program, run, schema

LIMIT_S = 30.0
"""For calls that are meant to succeed: far more than they need."""


class VswitchServer:
    """An ovsdb-server with an Open_vSwitch database; `vsctl` is another writer.

    without  "Table.column" that its schema lacks
    """

    def __init__(self, stack: ExitStack, *, without: str = "") -> None:
        playground = Playground()
        stack.callback(playground.close)
        directory = self.directory = playground.directory
        self._env = environment(directory)
        source = _lacking(without, directory) if without else schema("vswitch")
        run((program("ovsdb-tool"), "create", str(directory / "conf.db"), str(source)), self._env)
        options = [f"--log-file={directory}/log", f"--unixctl={directory}/ctl", "-vconsole:off", "-vjsonrpc:file:dbg"]
        command = (program("ovsdb-server"), f"{directory}/conf.db", f"--remote=punix:{directory}/sock", *options)
        self.server = Server(command, group=playground.group, env=self._env, log=directory / "log")
        stack.callback(self.server.kill)
        self.start()
        self.vsctl("init")

    def start(self) -> None:
        self.server.start(lambda: _accepts(self.directory / "sock"))

    @property
    def connection(self) -> str:
        return f"unix:{self.directory}/sock"

    def vsctl(self, *arguments: str) -> str:
        command = (program("ovs-vsctl"), f"--db={self.connection}", "--no-wait", "--timeout=10", *arguments)
        return run(command, self._env)

    def ports(self, bridge: str = "br-int") -> list[str]:
        return self.vsctl("list-ports", bridge).split()

    def requests(self) -> int:
        """Return how many transactions it was sent, also those that change nothing, by anybody."""
        log = (self.directory / "log").read_text()
        return sum('received request, method="transact"' in line for line in log.splitlines())

    def contents(self) -> bytes:
        """Return its database file, to which every change appends."""
        return (self.directory / "conf.db").read_bytes()


def _lacking(column: str, directory: Path) -> Path:
    document = json.loads(schema("vswitch").read_text())
    table, _, name = column.partition(".")
    del document["tables"][table]["columns"][name]
    document.pop("cksum", None)
    target = directory / "old.ovsschema"
    target.write_text(json.dumps(document))
    return target


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@contextmanager
def vswitch_server(*, without: str = "") -> Iterator[VswitchServer]:
    with ExitStack() as stack:
        try:
            server = VswitchServer(stack, without=without)
        except OvnNotInstalled as missing:
            raise unavailable("OVN", str(missing), os.environ) from None
        yield server


@contextmanager
def connected(connection: str) -> Iterator[OvsdbVswitch]:
    with OvsdbVswitch(connection) as vswitch:
        vswitch.rows(timeout_s=LIMIT_S)
        yield vswitch


def meddling(meddle: Callable[[], object]) -> Callable[[VswitchRows, Wiring], WiringChanges]:
    """Return a decision during the first of which somebody else writes, after the rows were read."""
    acts = iter([meddle])

    def decide(actual: VswitchRows, wanted: Wiring) -> WiringChanges:
        for act in acts:
            act()
        return wiring_changes(actual, wanted)

    return decide
