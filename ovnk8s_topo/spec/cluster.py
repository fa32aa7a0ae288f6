"""What networks have to share an address space with: the cluster's own subnets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.spec.base import Spec
from ovnk8s_topo.spec.network import Layer3, Localnet, Network
from ovnk8s_topo.spec.subnets import Subnets, check_apart, plain_subnet_from_text


def _default(*texts: str) -> Any:
    """Declare what subnets there are if none are given; they are read when they are needed."""
    return Field(default_factory=lambda: tuple(plain_subnet_from_text(text) for text in texts))


class Cluster(Spec):
    """Settings of the cluster that the networks live in; the defaults are OVN-Kubernetes' own.

    mtu              bytes; what an attachment gets whose network names none
    fixed_addresses  what becomes of a pod that asks for addresses on a network that has subnets: ``refuse`` as
                     OVN-Kubernetes does (in style 2023 the wish is ignored), ``honour`` takes them from the pool
    """

    mtu: int = Field(default=1400, ge=576, le=65536)
    fixed_addresses: Literal["refuse", "honour"] = "refuse"
    cluster_subnets: Subnets = ()
    service_subnets: Subnets = ()
    join_subnets: Subnets = _default("100.64.0.0/16", "fd98::/64")
    masquerade_subnets: Subnets = _default("169.254.169.0/29", "fd69::/125")
    transit_subnets: Subnets = _default("100.88.0.0/16", "fd97::/64")

    def named_subnets(self, *, transit: bool) -> list[tuple[str, Subnet]]:
        """Return every subnet with the name it has in messages, in the order in which they are compared."""
        groups = [
            ("cluster subnet", self.cluster_subnets),
            ("service subnet", self.service_subnets),
            ("built-in join subnet", self.join_subnets),
            ("masquerade subnet", self.masquerade_subnets),
            ("transit switch subnet", self.transit_subnets if transit else ()),
        ]
        return [(name, subnet) for name, subnets in groups for subnet in subnets]


def check_overlaps(network: Network, cluster: Cluster) -> Iterator[str]:
    """Yield a text for every two subnets that must not overlap.

    Localnet networks are never checked, for their addresses belong to the outside world; a subnet that lies inside
    an exclude counts for nothing (OVN-Kubernetes util/multi_network.go, subnetOverlapCheck).
    """
    if isinstance(network, Localnet):
        return
    named = cluster.named_subnets(transit=isinstance(network, Layer3))
    named += [("user defined subnet", subnet) for subnet in network.ranges]
    named += [("user defined join subnet", subnet) for subnet in network.join_subnets_or_default]
    excluded = network.excluded
    yield from check_apart([pair for pair in named if not any(pair[1] in exclude for exclude in excluded)])
