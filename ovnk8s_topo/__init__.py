"""Reconcile the OVN Northbound database with OVN-Kubernetes user-defined networks.

The promised names, and nothing else. Backends are in `ovnk8s_topo.backends`, fixtures in `ovnk8s_topo.testing`.
"""

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
