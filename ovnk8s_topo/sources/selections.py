"""Which selections of a pod lead to a network (util/multi_network.go, GetPodNADToNetworkMapping).

A seam: primary networks, whose selection nobody writes down, are read and judged here but not built yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.multus import DEFAULT_NETWORK, NETWORKS
from ovnk8s_topo.sources.netconf import NetConf
from ovnk8s_topo.spec.attachment import Attachment, nad_keys
from ovnk8s_topo.spec.selection import attachments_from_text

CONFIG_NAMESPACE = "ovn-kubernetes"
"""Where the definition of the cluster's default network lives."""
OLD_CLAIM = "k8s.ovn.org/primary-udn-ipamclaim"


@dataclass(frozen=True, slots=True)
class PodRef:
    """A pod as far as selections need it."""

    namespace: str
    name: str
    annotations: Mapping[str, str]
    host_network: bool = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def selections(pod: PodRef, netconf: NetConf, nads: Collection[str]) -> dict[str, Attachment]:
    """Return the pod's selections of a network, by NAD key.

    nads  ``namespace/name`` of the network's definitions

    ValueError  the annotation does not parse, or selects a primary network
    """
    if pod.host_network:
        return {}
    try:
        attachments = attachments_from_text(pod.annotations.get(NETWORKS, ""), pod.namespace)
    except SpecError as error:
        why = f"failed to get all NetworkSelectionElements for pod {pod}: {error.problems[0].why}"
        raise ValueError(why) from error
    found: dict[str, Attachment] = {}
    for key, attachment in nad_keys(attachments, pod.namespace):
        if f"{attachment.namespace}/{attachment.name}" not in nads:
            continue
        if netconf.is_primary:
            element = _go_text(attachment)
            why = f'unexpected primary network "{netconf.name}" specified with a NetworkSelectionElement {element}'
            raise ValueError(why)
        found[key] = attachment
    return found


def active_selections(
    pod: PodRef,
    netconf: NetConf,
    nads: Collection[str],
    active: NetConf | None,
    active_nads: Sequence[str] = (),
    *,
    preconfigured_addresses: bool = False,
) -> dict[str, Attachment]:
    """Return the selections as above, and the one that the namespace's own network adds by itself.

    active                   the network of the pod's namespace, None for the default network
    preconfigured_addresses  whether addresses may be asked for on such a network

    ValueError  as above; no definition in the pod's namespace; a bad or wrong default-network annotation
    """
    found = selections(pod, netconf, nads)
    if active is None or active.is_default or active.name != netconf.name or netconf.topology == "localnet":
        return found
    own = [nad for nad in active_nads if nad.startswith(f"{pod.namespace}/")]
    if not own:
        raise ValueError(
            f'failed to get primary NAD for namespace "{pod.namespace}": '
            f'no active NAD found for namespace "{pod.namespace}"'
        )
    keeps_ips = netconf.is_primary and netconf.topology == "layer2" and netconf.allow_persistent_ips
    asked = _default_selection(pod) if keeps_ips or preconfigured_addresses else None
    wishes = _wishes(asked, active) if asked and preconfigured_addresses else {}
    claim = _claim(pod, asked) if keeps_ips else ""
    name = own[0].partition("/")[2]
    return {
        **found,
        own[0]: Attachment(namespace=pod.namespace, name=name, ipam_claim_reference=claim, **wishes),
    }


def _claim(pod: PodRef, asked: Attachment | None) -> str:
    return (asked.ipam_claim_reference if asked else "") or pod.annotations.get(OLD_CLAIM, "")


def _wishes(asked: Attachment, active: NetConf) -> dict[str, object]:
    """Take over the addresses of the default network's selection; layer3 knows no addresses that stay."""
    wanted = (("namespace", asked.namespace, CONFIG_NAMESPACE), ("name", asked.name, "default"))
    for what, given, expected in wanted:
        if given != expected:
            raise ValueError(f'unexpected default NSE {what} "{given}", expected "{expected}"')
    return {"mac": asked.mac, "ips": asked.ips if active.topology == "layer2" else ()}


def _default_selection(pod: PodRef) -> Attachment | None:
    text = pod.annotations.get(DEFAULT_NETWORK, "")
    prefix = f'failed getting default-network annotation for pod "{pod}": GetK8sPodDefaultNetwork: '
    try:
        found = attachments_from_text(text, pod.namespace)
    except SpecError as error:
        raise ValueError(f"{prefix}failed to parse CRD object: {error.problems[0].why}") from error
    if len(found) > 1:
        raise ValueError(f"{prefix}more than one default network is specified: {text}")
    return found[0] if found else None


def _go_text(attachment: Attachment) -> str:
    """Write a selection as Go's ``%+v`` does, for messages that hold one."""
    parts = [
        ("Name", attachment.name),
        ("Namespace", attachment.namespace),
        ("IPRequest", f"[{' '.join(attachment.ips)}]"),
        ("MacRequest", attachment.mac),
        ("InfinibandGUIDRequest", attachment.infiniband_guid),
        ("InterfaceRequest", attachment.interface),
        ("PortMappingsRequest", "[]"),
        ("BandwidthRequest", "<nil>"),
        ("CNIArgs", "<nil>"),
        ("GatewayRequest", f"[{' '.join(attachment.default_route)}]"),
        ("IPAMClaimReference", attachment.ipam_claim_reference),
    ]
    return "&{" + " ".join(f"{name}:{value}" for name, value in parts) + "}"
