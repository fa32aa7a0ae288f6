"""What a node needs for attachments: bridge mappings and the port on br-int, and what is missing of them.

Law: values in, values, texts or changes out, nothing else; `backends.OvsdbVswitch` applies them. What belongs to
others, in a text or in a map, keeps its place and its bytes; what cannot be read is refused and never written over.
"""

from ovnk8s_topo.nodeside.bridge_mappings import (
    BRIDGE_MAPPINGS,
    BridgeMapping,
    bridge_mappings_from_text,
    bridge_mappings_key,
    bridge_mappings_text,
    merged_bridge_mappings,
    without_bridge_mappings,
)
from ovnk8s_topo.nodeside.decision import wiring_changes
from ovnk8s_topo.nodeside.encap import ENCAP_IPS, encap_ip_of_uplink
from ovnk8s_topo.nodeside.interface import (
    Device,
    OvsInterface,
    host_interface_name,
    interface_from_result,
    merged_external_ids,
)
from ovnk8s_topo.nodeside.physical_networks import (
    MissingMapping,
    missing_mapping,
    missing_mappings,
    physical_networks,
)
from ovnk8s_topo.nodeside.rows import BridgeRow, InterfaceRow, PortRow, VswitchRows, WiringChanges
from ovnk8s_topo.nodeside.wiring import GonePort, Wiring

__all__ = [
    "BRIDGE_MAPPINGS",
    "ENCAP_IPS",
    "BridgeMapping",
    "BridgeRow",
    "Device",
    "GonePort",
    "InterfaceRow",
    "MissingMapping",
    "OvsInterface",
    "PortRow",
    "VswitchRows",
    "Wiring",
    "WiringChanges",
    "bridge_mappings_from_text",
    "bridge_mappings_key",
    "bridge_mappings_text",
    "encap_ip_of_uplink",
    "host_interface_name",
    "interface_from_result",
    "merged_bridge_mappings",
    "merged_external_ids",
    "missing_mapping",
    "missing_mappings",
    "physical_networks",
    "wiring_changes",
    "without_bridge_mappings",
]
