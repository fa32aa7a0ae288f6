"""A Northbound database in a cluster of real servers."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from ovnk8s_topo.testing.processes import Playground, Server
from ovnk8s_topo.testing.tools import environment, program, run, schema


class Cluster:
    """So many servers with one database, for as long as the ``with`` block lasts."""

    def __init__(self, count: int) -> None:
        self._stack = ExitStack()
        self._count = count
        self.servers: list[Server] = []

    def __enter__(self) -> Self:
        playground = Playground()
        self._stack.callback(playground.close)
        self.directory = playground.directory
        self._env = environment(self.directory)
        for number in range(self._count):
            self._create(number)
            server = Server(self._command(number), group=playground.group, env=self._env, log=self._file(number, "log"))
            self._stack.callback(server.kill)
            self.servers.append(server)
            self.start(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def remotes(self) -> list[str]:
        return [f"unix:{self._file(number, 'sock')}" for number in range(self._count)]

    def start(self, number: int) -> None:
        self.servers[number].start(self._file(number, "sock").exists)
        wait = [program("ovsdb-client"), "-t", "20", "wait", self.remotes[number], "OVN_Northbound", "connected"]
        run(wait, self._env)

    def leader(self) -> int:
        """The number of the server that leads; waits until there is one."""
        while True:
            for number, server in enumerate(self.servers):
                if server.pid is not None and "Role: leader" in self._status(number):
                    return number

    def _status(self, number: int) -> str:
        command = [program("ovs-appctl"), "-t", str(self._file(number, "ctl")), "cluster/status", "OVN_Northbound"]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=False).stdout

    def _create(self, number: int) -> None:
        database, local, first = self._file(number, "db"), self._peer(number), self._peer(0)
        if number == 0:
            command = ["create-cluster", str(database), str(schema("ovn-nb")), local]
        else:
            command = ["join-cluster", str(database), "OVN_Northbound", local, first]
        run([program("ovsdb-tool"), *command], self._env)

    def _command(self, number: int) -> list[str]:
        return [
            program("ovsdb-server"),
            f"--remote=punix:{self._file(number, 'sock')}",
            f"--unixctl={self._file(number, 'ctl')}",
            f"--log-file={self._file(number, 'log')}",
            str(self._file(number, "db")),
        ]

    def _peer(self, number: int) -> str:
        return f"unix:{self._file(number, 'raft')}"

    def _file(self, number: int, kind: str) -> Path:
        return self.directory / f"{number}.{kind}"
