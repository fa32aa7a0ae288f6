"""What is wanted, in the words of Kubernetes.

Law: a value of this package that exists is valid; it knows no document format, no row and no database.
"""

from ovnk8s_topo.spec.attachment import Attachment
from ovnk8s_topo.spec.cluster import Cluster
from ovnk8s_topo.spec.given import Given, Route
from ovnk8s_topo.spec.ipam_claim import IpamClaim
from ovnk8s_topo.spec.network import Layer2, Layer3, Localnet, Network
from ovnk8s_topo.spec.node import Node
from ovnk8s_topo.spec.pod import Pod
from ovnk8s_topo.spec.topology import Gaps, Style, Topology

__all__ = [
    "Attachment",
    "Cluster",
    "Gaps",
    "Given",
    "IpamClaim",
    "Layer2",
    "Layer3",
    "Localnet",
    "Network",
    "Node",
    "Pod",
    "Route",
    "Style",
    "Topology",
]
