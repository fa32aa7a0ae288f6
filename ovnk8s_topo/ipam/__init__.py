"""Address arithmetic: pools, node subnets, ids.

Law: allocation is a pure function of what there is, what is in use and what is wanted; an address never changes while
its owner lives and never has two owners.
"""

from ovnk8s_topo.ipam.assign import Assignment, assign, gateway_of, management_of, withheld_on_node
from ovnk8s_topo.ipam.ids import (
    NETWORK_IDS,
    NODE_IDS,
    POD_TUNNEL_IDS,
    POD_TUNNEL_IDS_WITH_TRANSIT_ROUTER,
    TUNNEL_KEYS,
    IdPool,
    TunnelKeys,
    transit_switch_key,
)
from ovnk8s_topo.ipam.nodes import (
    NodeSubnets,
    SliceAssignment,
    allocate_node_subnets,
    assign_slices,
    needs_allocation,
)
from ovnk8s_topo.ipam.pool import AddressPool
from ovnk8s_topo.ipam.pools import SubnetPools, hybrid_overlay_addresses
from ovnk8s_topo.ipam.ranges import SliceRange
from ovnk8s_topo.ipam.refusals import (
    AddressTaken,
    IdRefused,
    NotInRange,
    PoolExhausted,
    Refused,
    RequestRefused,
    SlicesExhausted,
    SliceTaken,
    SubnetsRefused,
)
from ovnk8s_topo.ipam.slices import SliceAllocator

__all__ = [
    "NETWORK_IDS",
    "NODE_IDS",
    "POD_TUNNEL_IDS",
    "POD_TUNNEL_IDS_WITH_TRANSIT_ROUTER",
    "TUNNEL_KEYS",
    "AddressPool",
    "AddressTaken",
    "Assignment",
    "IdPool",
    "IdRefused",
    "NodeSubnets",
    "NotInRange",
    "PoolExhausted",
    "Refused",
    "RequestRefused",
    "SliceAllocator",
    "SliceAssignment",
    "SliceRange",
    "SliceTaken",
    "SlicesExhausted",
    "SubnetPools",
    "SubnetsRefused",
    "TunnelKeys",
    "allocate_node_subnets",
    "assign",
    "assign_slices",
    "gateway_of",
    "hybrid_overlay_addresses",
    "management_of",
    "needs_allocation",
    "transit_switch_key",
    "withheld_on_node",
]
