"""The pytest fixtures. They say no more than what is started, for how long, and what happens if it cannot be."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ovnk8s_topo.testing.local import LocalOvn
from ovnk8s_topo.testing.policy import unavailable
from ovnk8s_topo.testing.tools import OvnNotInstalled

if TYPE_CHECKING:
    from ovnk8s_topo.backends import MemoryNb
    from ovnk8s_topo.testing.container import OvnNbContainer


@pytest.fixture
def memory_nb() -> MemoryNb:
    """Give an empty in-memory Northbound database: no programs, no processes."""
    from ovnk8s_topo.backends import MemoryNb

    return MemoryNb()


@pytest.fixture
def local_ovn_nb() -> Iterator[LocalOvn]:
    """Give a real, empty Northbound server of this test's own: also on TCP, and with its requests counted."""
    with _installed(LocalOvn(tcp=True, count_requests=True)) as ovn:
        yield ovn


@pytest.fixture
def local_ovn() -> Iterator[LocalOvn]:
    """Give a real OVN of this test's own: Northbound, Southbound and ovn-northd."""
    with _installed(LocalOvn(northd=True, tcp=True, count_requests=True)) as ovn:
        yield ovn


@pytest.fixture(scope="session")
def container_nb() -> Iterator[OvnNbContainer]:
    """Give OVN in a container; one for the whole run, so it is not empty after the first test that writes to it."""
    with ExitStack() as stack:
        yield _started_container(stack)


def _installed(ovn: LocalOvn) -> LocalOvn:
    try:
        return ovn.start()
    except OvnNotInstalled as missing:
        raise unavailable("OVN", str(missing), os.environ) from None


def _started_container(stack: ExitStack) -> OvnNbContainer:
    # Here, since the Docker client takes a while to import and most tests do without it.
    from docker.errors import DockerException

    from ovnk8s_topo.testing.container import OvnNbContainer, without_reaper

    try:
        with without_reaper():
            return stack.enter_context(OvnNbContainer())
    except DockerException as error:
        reason = f"no OVN container: {error}"
    # Not inside `except`: pytest keeps what is raised here, and with it the error, its frames and their sockets.
    _drop_leaked_sockets()
    raise unavailable("DOCKER", f"{reason}; install and start an engine (apt-get install docker.io)", os.environ)


def _drop_leaked_sockets() -> None:
    """Free the socket that docker.DockerClient leaves open if nobody answers (docker 7.2).

    Python would warn about it later, in the middle of some other test; and where warnings are errors, fail that one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
