"""What pods, nodes and CNI plug-ins are told.

Law: values in, values or texts out, nothing else; the same values always make the same bytes, which are OVN-Kubernetes'
and Multus' own wherever those are known.
"""

from ovnk8s_topo.results.attachment import AttachmentResult, attachment_result, given_from_result
from ovnk8s_topo.results.cni import CniResult, cni_result, cni_result_from_text, cni_result_text
from ovnk8s_topo.results.network_status import (
    NetworkStatus,
    network_status_of_attachments,
    network_status_text,
    status_from_attachment,
    statuses_from_annotations,
    statuses_from_result,
    statuses_from_text,
)
from ovnk8s_topo.results.node_subnets import (
    merged_node_subnets,
    node_subnets_text,
    stale_networks,
    without_networks,
)
from ovnk8s_topo.results.pod_networks import merged_pod_networks, pod_networks_of_attachments, pod_networks_text

__all__ = [
    "AttachmentResult",
    "CniResult",
    "NetworkStatus",
    "attachment_result",
    "cni_result",
    "cni_result_from_text",
    "cni_result_text",
    "given_from_result",
    "merged_node_subnets",
    "merged_pod_networks",
    "network_status_of_attachments",
    "network_status_text",
    "node_subnets_text",
    "pod_networks_of_attachments",
    "pod_networks_text",
    "stale_networks",
    "status_from_attachment",
    "statuses_from_annotations",
    "statuses_from_result",
    "statuses_from_text",
    "without_networks",
]
