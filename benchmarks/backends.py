"""The live backends that are measured: the one place that names them, and the ways to apply that they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ovnk8s_topo import backends
from ovnk8s_topo.backends.contract import NbBackend

BACKENDS: Mapping[str, Callable[[str], NbBackend]] = {
    name: getattr(backends, name) for name in ("DirectNb", "OvsdbNb") if name in backends.__all__
}
"""Name -> class, the default first."""

DEFAULT = next(iter(BACKENDS))

MODES: Mapping[str, Mapping[str, Any]] = {"one transaction": {}, "batches": {"atomic": "unit"}}
"""How atomic an apply is -> the options of `Reconciler.apply` that ask for it."""
