"""Where rows live: in memory, or in a real Northbound database.

Law: a backend reads snapshots and commits change sets under guards; it decides nothing about topologies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovnk8s_topo.backends.memory import MemoryNb
    from ovnk8s_topo.backends.ovsdb import OvsdbNb, ReconcileCommand

_HOMES = {"MemoryNb": "memory", "OvsdbNb": "ovsdb", "ReconcileCommand": "ovsdb"}

__all__ = ["MemoryNb", "OvsdbNb", "ReconcileCommand"]


def __getattr__(name: str) -> object:
    # Imported on first use: ovsdbapp alone takes longer to import than most commands take to run.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
