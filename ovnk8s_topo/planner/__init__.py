"""Topology -> rows: the only place that knows what a topology looks like in OVN.

Law: pure functions of topology and claims; no database, clock, randomness, environment or logging.
"""

from ovnk8s_topo.planner.addressing import Grant
from ovnk8s_topo.planner.claims import Claims, claims_from_snapshot
from ovnk8s_topo.planner.desired import Desired, Unit, desired_from_topology
from ovnk8s_topo.planner.scope import scope_from_gaps
from ovnk8s_topo.planner.wanted import wanted_ports

__all__ = [
    "Claims",
    "Desired",
    "Grant",
    "Unit",
    "claims_from_snapshot",
    "desired_from_topology",
    "scope_from_gaps",
    "wanted_ports",
]
