"""What a node needs for attachments, as data: bridge mappings and the interface on br-int.

Law: values in, values or texts out, nothing else. What belongs to others, in a text or in a map, keeps its place and
its bytes; what cannot be read is refused and never written over.
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
from ovnk8s_topo.nodeside.encap import ENCAP_IPS, encap_ip_of_uplink
from ovnk8s_topo.nodeside.interface import (
    Device,
    OvsInterface,
    host_interface_name,
    interface_from_result,
    merged_external_ids,
)
from ovnk8s_topo.nodeside.physical_networks import MissingMapping, missing_mappings, physical_networks

__all__ = [
    "BRIDGE_MAPPINGS",
    "ENCAP_IPS",
    "BridgeMapping",
    "Device",
    "MissingMapping",
    "OvsInterface",
    "bridge_mappings_from_text",
    "bridge_mappings_key",
    "bridge_mappings_text",
    "encap_ip_of_uplink",
    "host_interface_name",
    "interface_from_result",
    "merged_bridge_mappings",
    "merged_external_ids",
    "missing_mappings",
    "physical_networks",
    "without_bridge_mappings",
]
