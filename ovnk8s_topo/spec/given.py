"""What a pod was told about one attachment."""

from __future__ import annotations

from typing import Self

from pydantic import field_validator, model_validator

from ovnk8s_topo.addresses import Address, address_from_text, interface_from_text, mac_from_text
from ovnk8s_topo.spec.base import Spec


class Route(Spec):
    """A route in a pod.

    dest      a CIDR, e.g. ``10.33.0.0/16``; host bits are dropped. A default route is a gateway, never a route
    next_hop  an address of the same IP family; "": the destination is on the link
    """

    dest: str
    next_hop: str = ""

    @field_validator("dest")
    @classmethod
    def _check_dest(cls, dest: str) -> str:
        subnet = interface_from_text(dest)[1]
        if subnet.first == 0:
            raise ValueError(f"bad podNetwork data: default route {dest} should be specified as gateway")
        return str(subnet)

    @field_validator("next_hop")
    @classmethod
    def _check_next_hop(cls, next_hop: str) -> str:
        return _address(next_hop)

    @model_validator(mode="after")
    def _check_families(self) -> Self:
        family = interface_from_text(self.dest)[1].version
        if self.next_hop and address_from_text(self.next_hop).version != family:
            raise ValueError(f"pod route {self.dest} has next hop {self.next_hop} of different family")
        return self


class Given(Spec):
    """What a pod was told already for one attachment (annotation k8s.ovn.org/pod-networks).

    ips               addresses with prefix length, e.g. ``10.33.2.3/24``
    mac               "" if the annotation has none
    gateways          next hops of its default routes
    routes            its other routes
    ipv6_lla_gateway  link-local address of the router, "" unless the network is the pod's primary one
    tunnel_id         of its port where zones are interconnected, else 0
    role              ``primary``, ``secondary``, ``infrastructure-locked`` or ""; carried as it was written

    Texts are kept in the form in which Go writes them. Source: ovn-kubernetes pkg/util/pod_annotation.go.
    """

    ips: tuple[str, ...] = ()
    mac: str = ""
    gateways: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    ipv6_lla_gateway: str = ""
    tunnel_id: int = 0
    role: str = ""

    @field_validator("ips")
    @classmethod
    def _check_ips(cls, ips: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(canonical_interface(text) for text in ips)

    @field_validator("mac")
    @classmethod
    def _check_mac(cls, mac: str) -> str:
        return mac_from_text(mac) if mac else ""

    @field_validator("gateways")
    @classmethod
    def _check_gateways(cls, gateways: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(address_from_text(text)) for text in gateways)

    @field_validator("ipv6_lla_gateway")
    @classmethod
    def _check_lla(cls, text: str) -> str:
        if text and not is_lla(address_from_text(text)):
            raise ValueError("must be an IPv6 link-local address")
        return _address(text)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses without prefix lengths."""
        return tuple(interface_from_text(text)[0] for text in self.ips)


def canonical_interface(text: str) -> str:
    """Return an address with its prefix length as Go writes it: ``FD01::0:3/64`` is ``fd01::3/64``.

    ValueError  `invalid CIDR address: <text>`
    """
    address, subnet = interface_from_text(text)
    return f"{address}/{subnet.prefix_len}"


def is_lla(address: Address) -> bool:
    """Tell whether an address is an IPv6 link-local one (fe80::/10, RFC 4291 section 2.5.6)."""
    return address.version == 6 and address.value >> 118 == 0xFE80 >> 6


def _address(text: str) -> str:
    return str(address_from_text(text)) if text else ""
