"""Reconcile the OVN Northbound database with OVN-Kubernetes user-defined networks.

The promised names, and nothing else; each is imported when it is first asked for (PEP 562), so that whoever only
catches errors does not wait for the planner. Backends are in `ovnk8s_topo.backends`, fixtures in `ovnk8s_topo.testing`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovnk8s_topo.errors import (
        AllocationError,
        BackendError,
        BackendUnavailable,
        ConflictError,
        NodeNotReady,
        NotReached,
        OutcomeUnknown,
        OwnershipError,
        Problem,
        PruneRefused,
        Remedy,
        RowError,
        SpecError,
        TopoError,
    )
    from ovnk8s_topo.plan import Plan
    from ovnk8s_topo.reconciler import Reconciler, Result
    from ovnk8s_topo.spec import Attachment, Cluster, IpamClaim, Layer2, Layer3, Localnet, Node, Pod, Topology

__all__ = [
    "AllocationError",
    "Attachment",
    "BackendError",
    "BackendUnavailable",
    "Cluster",
    "ConflictError",
    "IpamClaim",
    "Layer2",
    "Layer3",
    "Localnet",
    "Node",
    "NodeNotReady",
    "NotReached",
    "OutcomeUnknown",
    "OwnershipError",
    "Plan",
    "Pod",
    "Problem",
    "PruneRefused",
    "Reconciler",
    "Remedy",
    "Result",
    "RowError",
    "SpecError",
    "TopoError",
    "Topology",
]

_VALUES = ("Attachment", "Cluster", "IpamClaim", "Layer2", "Layer3", "Localnet", "Node", "Pod", "Topology")
_HOMES = {"Plan": "plan", "Reconciler": "reconciler", "Result": "reconciler", **dict.fromkeys(_VALUES, "spec")}
"""Name -> the module that it comes from; the others are errors."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"ovnk8s_topo.{_HOMES.get(name, 'errors')}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
