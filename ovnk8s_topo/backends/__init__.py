"""Where rows live: in memory, in a real Northbound database, or in a node's Open_vSwitch database.

Law: a backend reads snapshots and commits changes under guards; it decides nothing about topologies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovnk8s_topo.backends.direct import DirectNb
    from ovnk8s_topo.backends.memory import MemoryNb
    from ovnk8s_topo.backends.ovsdb import OvsdbNb, ReconcileCommand
    from ovnk8s_topo.backends.ovsdb_vswitch import OvsdbVswitch, WiringCommand

_HOMES = {
    "DirectNb": "direct",
    "MemoryNb": "memory",
    "OvsdbNb": "ovsdb",
    "OvsdbVswitch": "ovsdb_vswitch",
    "ReconcileCommand": "ovsdb",
    "WiringCommand": "ovsdb_vswitch",
}

__all__ = ["DirectNb", "MemoryNb", "OvsdbNb", "OvsdbVswitch", "ReconcileCommand", "WiringCommand"]


def __getattr__(name: str) -> object:
    # Imported on first use: ovsdbapp alone takes longer to import than most commands take to run.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
