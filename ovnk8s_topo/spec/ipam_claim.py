"""Addresses that outlive the pod which has them."""

from __future__ import annotations

from pydantic import field_validator

from ovnk8s_topo.addresses import Address, interface_from_text
from ovnk8s_topo.spec.base import Spec
from ovnk8s_topo.spec.given import canonical_interface
from ovnk8s_topo.spec.node import check_object_name


class IpamClaim(Spec):
    """An IPAMClaim: the addresses of, say, a virtual machine on one network, whichever pod runs it.

    namespace, name  as in Kubernetes; pods of that namespace refer to it by its name
    network          the name of the network, as in NetConf (not of a NetworkAttachmentDefinition)
    ips              addresses with prefix length, e.g. ``10.22.0.5/16``; empty until its first pod has got some
    interface        of the pod; carried as it was written

    Counts on networks with `allow_persistent_ips` and subnets only. Source: the object `IPAMClaim` of
    k8s.cni.cncf.io/v1alpha1 (ipamclaims API) and ovn-kubernetes pkg/persistentips/allocator.go.
    """

    namespace: str = "default"
    name: str
    network: str
    ips: tuple[str, ...] = ()
    interface: str = ""

    @field_validator("namespace", "name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_object_name(name)

    @field_validator("network")
    @classmethod
    def _check_network(cls, network: str) -> str:
        if not network:
            raise ValueError("must name the network")
        return network

    @field_validator("ips")
    @classmethod
    def _check_ips(cls, ips: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(canonical_interface(text) for text in ips)

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses without prefix lengths."""
        return tuple(interface_from_text(text)[0] for text in self.ips)

    def __str__(self) -> str:
        return f"IPAMClaim {self.key}"
