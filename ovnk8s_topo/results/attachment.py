"""What one attachment comes to: addresses with their masks, gateways, routes, MTU.

Source: ovn-kubernetes pkg/allocator/pod/pod_annotation.go, AddRoutesGatewayIP, for secondary networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ovnk8s_topo.addresses import WIDTH, Address, Subnet, address_from_text, interface_from_text
from ovnk8s_topo.ipam import gateway_of
from ovnk8s_topo.spec import Attachment, Cluster, Given, Layer3, Network, Pod, Route, Style
from ovnk8s_topo.spec.attachment import nad_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentResult:
    """One attachment of one pod, as it is.

    pod        ``namespace/name``
    nad_key    ``namespace/name`` of the definition; ``/1``, ``/2``... behind it at its further uses
    network    the network's name
    topology   ``layer3``, ``layer2`` or ``localnet``
    node       where the pod runs
    interface  its name in the pod
    mac        lower case, with colons
    addresses  with prefix length, e.g. ``10.33.2.3/24``
    gateways   next hops of default routes, only if the pod asked for them
    routes     other routes
    mtu        bytes
    """

    pod: str
    nad_key: str
    network: str
    topology: str
    node: str
    interface: str
    mac: str
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    mtu: int = 0


def attachment_result(
    network: Network,
    pod: Pod,
    nad_key: str,
    attachment: Attachment,
    mac: str,
    addresses: Sequence[Address],
    slices: Sequence[Subnet] = (),
    cluster: Cluster | None = None,
) -> AttachmentResult:
    """Work out what an attachment that has a MAC and addresses comes to.

    nad_key    one of `pod.keyed_attachments()`, with its attachment
    addresses  in the order in which they are written
    slices     of the pod's node, on a layer3 network
    cluster    for its MTU, where the network names none
    """
    return AttachmentResult(
        pod=f"{pod.namespace}/{pod.name}",
        nad_key=nad_key,
        network=network.name,
        topology=network.topology,
        node=pod.node,
        interface=attachment.interface or default_interface(pod, nad_key),
        mac=mac,
        addresses=_with_masks(network, pod.given.get(nad_key), attachment, addresses, slices),
        gateways=tuple([str(address_from_text(text)) for text in attachment.default_route]),
        routes=tuple(_routes(addresses, slices, network.ranges)) if isinstance(network, Layer3) else (),
        mtu=network.mtu or (cluster or Cluster()).mtu,
    )


def default_interface(pod: Pod, nad_key: str) -> str:
    """Return ``net<N>``: N counts all elements of the pod's annotation from 1, also those that name an interface.

    ValueError  the pod has no such attachment

    The same as OVN-Kubernetes cni/utils.go. Multus counts its delegates, which comes to the same as long as its
    configuration adds no default networks of its own.
    """
    for number, (key, _) in enumerate(nad_keys(pod.networks, pod.namespace), 1):
        if key == nad_key:
            return f"net{number}"
    raise ValueError(f"{pod} has no attachment {nad_key}")


def given_from_result(result: AttachmentResult, told: Given | None = None, style: Style = "2024") -> Given:
    """Return the entry for the annotation `k8s.ovn.org/pod-networks`.

    result  as `attachment_result` makes it: what it holds is not checked again
    told    what the pod was told already: it stays as it is as long as addresses and MAC do
    style   the releases of 2023 wrote no role
    """
    if told and (told.ips, told.mac) == (result.addresses, result.mac):
        return told
    return Given.model_construct(
        ips=result.addresses,
        mac=result.mac,
        gateways=result.gateways,
        routes=result.routes,
        role=role_in_style(style),
    )


def role_in_style(style: Style) -> str:
    """Return the role that a pod is told of a network."""
    return "" if style == "2023" else "secondary"


def _with_masks(
    network: Network, told: Given | None, attachment: Attachment, addresses: Sequence[Address], slices: Sequence[Subnet]
) -> tuple[str, ...]:
    """Return addresses with the mask of the subnet that they are from, else the mask that came with them."""
    subnets = slices if isinstance(network, Layer3) else network.ranges
    texts = []
    for address in addresses:
        found = _home(address, subnets) or _brought(told, attachment, address)
        texts.append(f"{address}/{found.prefix_len if found else WIDTH[address.version]}")
    return tuple(texts)


def _home(address: Address, subnets: Sequence[Subnet]) -> Subnet | None:
    for subnet in subnets:
        if address in subnet:
            return subnet
    return None


def _brought(told: Given | None, attachment: Attachment, address: Address) -> Subnet | None:
    """Return the subnet that an address came with: what the pod was told goes before what it asks for."""
    texts = [*(told.ips if told else ()), *(text for text in attachment.ips if "/" in text)]
    return next((subnet for known, subnet in map(interface_from_text, texts) if known == address), None)


def _routes(addresses: Sequence[Address], slices: Sequence[Subnet], ranges: Sequence[Subnet]) -> Iterator[Route]:
    """Yield a layer3 network's way to the other nodes: all its ranges of each address's family, by the gateway."""
    for address in addresses:
        own = _home(address, slices)
        for subnet in ranges if own else ():
            if own and subnet.version == own.version:
                yield _route(subnet, own)


@lru_cache(maxsize=1 << 13)
def _route(subnet: Subnet, own: Subnet) -> Route:
    # All pods of a node have the same ones.
    return Route(dest=str(subnet), next_hop=str(gateway_of(own)))
