"""The network annotations of a pod, with positions; and which network each selection leads to."""

from __future__ import annotations

from ovnk8s_topo.sources.documents import Path
from ovnk8s_topo.sources.found import Found
from ovnk8s_topo.spec import Attachment
from ovnk8s_topo.spec.go_json import TextError
from ovnk8s_topo.spec.selection import attachments_from_text

NETWORKS = "k8s.v1.cni.cncf.io/networks"
DEFAULT_NETWORK = "v1.multus-cni.io/default-network"


def attachments_at(found: Found, path: Path, text: str, namespace: str) -> tuple[Attachment, ...]:
    """Parse the selections in the text at `path`; faults are noted where they stand."""
    try:
        return attachments_from_text(text, namespace)
    except TextError as error:
        found.refuse_text(path, error)
        return ()
