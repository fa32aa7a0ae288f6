"""A pod's wish to be attached to a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import Field, field_validator

from ovnk8s_topo.addresses import Address, address_from_text, interface_from_text, mac_from_text
from ovnk8s_topo.spec.base import Spec


class Attachment(Spec):
    """One element of the networks annotation.

    namespace, name  the NetworkAttachmentDefinition; an empty namespace is the pod's
    interface        wanted interface name in the pod, "" for ``net<N>``
    ips              wanted addresses, with or without prefix length
    mac              wanted MAC, "" for one made from the address
    ipam_claim_reference  name of an IPAMClaim in the pod's namespace, whose addresses the pod gets

    The rest is carried as it was written: it is for the CNI plugins, not for the network.
    """

    name: str
    namespace: str = ""
    interface: str = ""
    ips: tuple[str, ...] = ()
    mac: str = ""
    default_route: tuple[str, ...] = ()
    ipam_claim_reference: str = ""
    infiniband_guid: str = ""
    port_mappings: tuple[dict[str, object], ...] = ()
    bandwidth: dict[str, int] = Field(default_factory=dict)
    cni_args: dict[str, object] = Field(default_factory=dict)

    @field_validator("ips")
    @classmethod
    def _check_ips(cls, ips: tuple[str, ...]) -> tuple[str, ...]:
        for text in ips:
            _address(text)
        return ips

    @field_validator("mac")
    @classmethod
    def _check_mac(cls, mac: str) -> str:
        return mac_from_text(mac) if mac else ""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The wanted addresses, without prefix lengths."""
        return tuple(_address(text) for text in self.ips)

    @property
    def asks_default_route(self) -> bool:
        """Whether `default_route` was given at all: Multus tells an empty list from none."""
        return "default_route" in self.model_fields_set


def _address(text: str) -> Address:
    return interface_from_text(text)[0] if "/" in text else address_from_text(text)


def nad_keys(attachments: Iterable[Attachment], namespace: str) -> Iterator[tuple[str, Attachment]]:
    """Yield every attachment with its key: ``ns/name`` at its first use, then ``ns/name/1``, ``ns/name/2``...

    namespace  the pod's, for attachments that name none

    The key names the port (OVN-Kubernetes util/multi_network.go, since 2026-01; earlier releases made no port at
    all for a pod that uses one definition twice).
    """
    used: dict[str, int] = {}
    for attachment in attachments:
        nad = f"{attachment.namespace or namespace}/{attachment.name}"
        index = used[nad] = used.get(nad, -1) + 1
        yield (f"{nad}/{index}" if index else nad), attachment
