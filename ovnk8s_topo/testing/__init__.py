"""For our users' own tests: the Northbound database as pytest fixtures and context managers.

Law: what a fixture starts it stops, and a missing tool is a reason to skip, never a failure, unless it is required.

Needs the extra ``ovnk8s-topo[testing]``. A project loads the fixtures in its top ``conftest.py``::

    pytest_plugins = ["ovnk8s_topo.testing"]

    memory_nb      a `MemoryNb`: in memory, nothing to install
    local_ovn_nb   a `LocalOvn` with a Northbound server          package ovn-central
    local_ovn      a `LocalOvn` with Southbound and ovn-northd    package ovn-central
    container_nb   an `OvnNbContainer`, one for the whole run     a container engine

A test whose server cannot be started here is skipped with the reason, or fails if CI=true, REQUIRE_OVN=1 or
REQUIRE_DOCKER=1 is set (`policy`). The classes serve without pytest's fixtures, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovnk8s_topo.testing.fixtures import container_nb, local_ovn, local_ovn_nb, memory_nb
from ovnk8s_topo.testing.local import LocalOvn
from ovnk8s_topo.testing.tls import TlsFiles
from ovnk8s_topo.testing.tools import OvnNotInstalled, OvnToolError

if TYPE_CHECKING:
    from ovnk8s_topo.testing.container import OvnNbContainer

__all__ = [
    "LocalOvn",
    "OvnNbContainer",
    "OvnNotInstalled",
    "OvnToolError",
    "TlsFiles",
    "container_nb",
    "local_ovn",
    "local_ovn_nb",
    "memory_nb",
]


def __getattr__(name: str) -> type[OvnNbContainer]:
    # Not imported above: the Docker client takes a while to import, and most tests do without it.
    if name != "OvnNbContainer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ovnk8s_topo.testing.container import OvnNbContainer

    return OvnNbContainer
