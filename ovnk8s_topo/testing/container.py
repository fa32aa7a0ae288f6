"""OVN in a container, by testcontainers: the same engine that a user's other integration tests run on."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.wait_strategies import CompositeWaitStrategy, ExecWaitStrategy, PortWaitStrategy

from ovnk8s_topo.testing.tools import OvnToolError

_DOCKERFILE = Path(__file__).parent / "image" / "Dockerfile"
_READY_S = 60
_POLL_S = 0.1

# Two databases and northd. A database that exists is kept, so that the container can be restarted.
_START = """
mkdir -p /run/ovn
cd /run/ovn
for schemas in "${OVN_SCHEMA_DIR:-}" /usr/share/ovn /usr/local/share/ovn; do
    [ ! -e "$schemas/ovn-nb.ovsschema" ] || break
done
serve() {
    [ -e "$1.db" ] || ovsdb-tool create "$1.db" "$schemas/ovn-$1.ovsschema"
    ovsdb-server "$1.db" --remote="punix:/run/ovn/$1.sock" --remote="ptcp:$2:0.0.0.0" --unixctl="/run/ovn/$1.ctl" &
}
serve nb 6641
serve sb 6642
exec ovn-northd --ovnnb-db=unix:/run/ovn/nb.sock --ovnsb-db=unix:/run/ovn/sb.sock --unixctl=/run/ovn/northd.ctl
"""
_SYNC = ["ovn-nbctl", "--db=unix:/run/ovn/nb.sock", "--timeout=5", "--wait=sb", "sync"]


class OvnNbContainer(DockerContainer):
    """A container with a Northbound database, a Southbound database and ovn-northd.

    image  an image with ovsdb-server, ovn-northd, ovn-nbctl and sh; default: the one that OVN_IMAGE names, else one
           that is built from the Dockerfile in this package at the first start

    >>> with OvnNbContainer() as ovn:                                                       # doctest: +SKIP
    ...     DirectNb(ovn.connection)

    docker.errors.DockerException  no container engine answers (raised here), or the image cannot be had (by `start`)
    """

    NB_PORT = 6641
    SB_PORT = 6642

    def __init__(self, image: str | None = None) -> None:
        named = image or os.environ.get("OVN_IMAGE")
        self._is_ours = not named
        self._connections: dict[int, str] = {}
        super().__init__(named or _our_tag())
        self.with_exposed_ports(self.NB_PORT, self.SB_PORT)
        ready = CompositeWaitStrategy(ExecWaitStrategy(_SYNC), PortWaitStrategy(self.NB_PORT))
        self.waiting_for(ready.with_startup_timeout(_READY_S).with_poll_interval(_POLL_S))

    def start(self) -> Self:
        """Build the image if it is ours (a moment if it has been built before), start, and wait until northd works."""
        if self._is_ours:
            with DockerImage(path=_DOCKERFILE.parent, tag=self.image, clean_up=False):
                pass
        super().start()
        # Now, since the engine says nothing of the ports of a container that a test has paused or killed.
        self._connections = {port: self._tcp(port) for port in (self.NB_PORT, self.SB_PORT)}
        return self

    @property
    def connection(self) -> str:
        """Connection method of the Northbound database, ``tcp:...``, as seen from the test."""
        return self._connection(self.NB_PORT)

    @property
    def sb_connection(self) -> str:
        """Connection method of the Southbound database, ``tcp:...``, as seen from the test."""
        return self._connection(self.SB_PORT)

    def nbctl(self, *arguments: str) -> str:
        """Run ovn-nbctl in the container with these arguments (options first) and return what it prints.

        OvnToolError  it failed, or did not end in 10 s (pass ``--timeout`` for another limit)
        """
        return self._client("ovn-nbctl", "nb", *arguments)

    def sbctl(self, *arguments: str) -> str:
        """Run ovn-sbctl in the container and return what it prints; errors as for `nbctl`."""
        return self._client("ovn-sbctl", "sb", *arguments)

    def _configure(self) -> None:
        # testcontainers' hook before the container is created. As entry point, since another image may have its own.
        self._kwargs.setdefault("entrypoint", ["sh", "-ec", _START])

    def _client(self, name: str, database: str, *arguments: str) -> str:
        command = [name, f"--db=unix:/run/ovn/{database}.sock", "--timeout=10", *arguments]
        result = self.exec(command)
        output = result.output.decode(errors="replace")
        if result.exit_code != 0:
            raise OvnToolError(command, result.exit_code, output)
        return output

    def _connection(self, port: int) -> str:
        if port not in self._connections:
            raise ValueError("the container has not been started")
        return self._connections[port]

    def _tcp(self, port: int) -> str:
        # OVSDB clients want an address: not all of them look up names.
        address = socket.getaddrinfo(self.get_container_host_ip(), None, socket.AF_INET)[0][4][0]
        return f"tcp:{address}:{self.get_exposed_port(port)}"


@contextmanager
def without_reaper() -> Iterator[None]:
    """Start containers without testcontainers' reaper, a container whose image has to be pulled.

    Only where the environment does not ask for it. Without it, nobody but the ``with`` block stops the container.
    """
    before = testcontainers_config.ryuk_disabled
    asked_for = "TESTCONTAINERS_RYUK_DISABLED" in os.environ
    testcontainers_config.ryuk_disabled = before if asked_for else True
    try:
        yield
    finally:
        testcontainers_config.ryuk_disabled = before


def _our_tag() -> str:
    return f"ovnk8s-topo-ovn:{hashlib.sha256(_DOCKERFILE.read_bytes()).hexdigest()[:12]}"
