"""The three topologies a user-defined network can have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.spec.base import Spec
from ovnk8s_topo.spec.subnets import (
    ClusterSubnets,
    Subnets,
    check_apart,
    check_contained,
    check_host_lens,
    plain_subnet_from_text,
)

RESERVED_NAMES = frozenset({"", "default", "ovn-kubernetes"})

MIN_MTU, MIN_IPV6_MTU, MAX_MTU = 576, 1280, 65536
"""Bounds of the CRDs; IPv6 asks for 1280 (RFC 8200 section 5)."""

MAX_IPV4_HOST_LEN = 30
"""OVN-Kubernetes accepts /31 and /32 and fails later, or writes addresses outside of the slice."""

Nads = Annotated[tuple[str, ...], Field(validation_alias=AliasChoices("nads", "netAttachDefName"))]


class _Network(Spec):
    """What the topologies share.

    name   the network's name, as in NetConf; OVN names are made from it
    nads   ``namespace/name`` of the NetworkAttachmentDefinitions through which pods attach;
           not given: ``default/<name>``
    mtu    bytes, None or 0: the cluster's default; never written to the Northbound database
    role   only secondary networks so far
    """

    name: str
    nads: Nads = ()
    mtu: int | None = None
    role: Literal["secondary"] = "secondary"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"invalid name in in secondary network netconf ({name})")
        if not name.isprintable() or name != name.strip():
            raise ValueError("must be printable and must not start or end with a blank")
        return name

    @field_validator("nads", mode="before")
    @classmethod
    def _one_or_many(cls, nads: object) -> object:
        return (nads,) if isinstance(nads, str) else nads

    @field_validator("nads")
    @classmethod
    def _check_nads(cls, nads: tuple[str, ...]) -> tuple[str, ...]:
        for nad in nads:
            namespace, slash, name = nad.partition("/")
            if not (namespace and slash and name) or "/" in name:
                raise ValueError(f"must be <namespace>/<name> (got {nad!r})")
        return tuple(sorted(set(nads)))

    @field_validator("mtu")
    @classmethod
    def _check_mtu(cls, mtu: int | None) -> int | None:
        if mtu and not MIN_MTU <= mtu <= MAX_MTU:
            raise ValueError(f"must be {MIN_MTU}..{MAX_MTU}")
        return mtu or None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems = [*self._faults()]
        if problems:
            raise SpecError(problems)
        return self

    def _faults(self) -> Iterator[Problem]:
        yield from _problems("subnets", check_apart([("subnet", subnet) for subnet in self.ranges]))
        if self.mtu and self.mtu < MIN_IPV6_MTU and any(subnet.version == 6 for subnet in self.ranges):
            yield Problem("mtu", f"must be at least {MIN_IPV6_MTU} when IPv6 subnets are used", given=str(self.mtu))

    @property
    def nad_keys(self) -> tuple[str, ...]:
        """``namespace/name`` of every NetworkAttachmentDefinition that leads to this network."""
        return self.nads or (f"default/{self.name}",)

    @property
    def ranges(self) -> tuple[Subnet, ...]:
        """The subnets, without host prefix lengths."""
        return ()

    @property
    def excluded(self) -> tuple[Subnet, ...]:
        """Addresses that no pod gets."""
        return ()

    @property
    def honours_claims(self) -> bool:
        """Whether pods may refer to an IPAMClaim here."""
        return False

    @property
    def join_subnets_or_default(self) -> tuple[Subnet, ...]:
        """The join subnets, which take part in the overlap check even on secondary networks."""
        return ()


def _problems(path: str, texts: Iterator[str]) -> Iterator[Problem]:
    return (Problem(path, text) for text in texts)


@cache
def default_join_subnets() -> tuple[Subnet, ...]:
    """Return the join subnets of a network that names none, one of each IP family."""
    return plain_subnet_from_text("100.65.0.0/16"), plain_subnet_from_text("fd99::/64")


def _joined(given: tuple[Subnet, ...]) -> tuple[Subnet, ...]:
    families = {subnet.version for subnet in given}
    both = [*given, *(subnet for subnet in default_join_subnets() if subnet.version not in families)]
    return tuple(sorted(both, key=lambda subnet: subnet.version))


class Layer3(_Network):
    """One switch a node, one router between them. Example: ``Layer3(name="l3", subnets="10.33.0.0/16/24")``.

    subnets  ``CIDR[/hostprefix]``: each node gets one slice of every IP family; further ranges of one family
             are used when the first is full
    """

    topology: Literal["layer3"] = "layer3"
    subnets: ClusterSubnets = Field(min_length=1)
    join_subnets: Subnets = Field(default=(), validation_alias=AliasChoices("join_subnets", "joinSubnet"))

    def _faults(self) -> Iterator[Problem]:
        yield from super()._faults()
        yield from _problems("subnets", check_host_lens(self.subnets))
        for entry in self.subnets:
            if entry.subnet.version == 4 and entry.host_len > MAX_IPV4_HOST_LEN:
                why = f"a node's slice must be a /{MAX_IPV4_HOST_LEN} or larger to hold gateway and management address"
                yield Problem("subnets", why, given=str(entry))

    @property
    def ranges(self) -> tuple[Subnet, ...]:
        """The subnets, without host prefix lengths."""
        return tuple(entry.subnet for entry in self.subnets)

    @property
    def join_subnets_or_default(self) -> tuple[Subnet, ...]:
        """The join subnets; a family that is not given has its default."""
        return _joined(self.join_subnets)


class _Flat(_Network):
    """What layer2 and localnet share: one switch for all nodes.

    subnets          CIDRs; each attachment gets one address of each; none: pods bring their own addresses
    exclude_subnets  addresses that no pod gets; each inside one of `subnets`
    allow_persistent_ips  whether pods may refer to an IPAMClaim, whose addresses outlive them
    """

    subnets: Subnets = ()
    exclude_subnets: Subnets = Field(default=(), validation_alias=AliasChoices("exclude_subnets", "excludeSubnets"))
    allow_persistent_ips: bool = Field(
        default=False, validation_alias=AliasChoices("allow_persistent_ips", "allowPersistentIPs")
    )

    def _faults(self) -> Iterator[Problem]:
        yield from super()._faults()
        yield from _problems("excludeSubnets", check_contained("excluded", self.exclude_subnets, self.subnets))

    @property
    def ranges(self) -> tuple[Subnet, ...]:
        """The subnets."""
        return self.subnets

    @property
    def excluded(self) -> tuple[Subnet, ...]:
        """Addresses that no pod gets."""
        return self.exclude_subnets

    @property
    def honours_claims(self) -> bool:
        """Whether pods may refer to an IPAMClaim here: where it is allowed, and where there are addresses to give."""
        return self.allow_persistent_ips and bool(self.subnets)


class Layer2(_Flat):
    """One switch for all nodes. Example: ``Layer2(name="l2", subnets="10.22.0.0/16")``."""

    topology: Literal["layer2"] = "layer2"
    join_subnets: Subnets = Field(default=(), validation_alias=AliasChoices("join_subnets", "joinSubnet"))

    @property
    def join_subnets_or_default(self) -> tuple[Subnet, ...]:
        """The join subnets; a family that is not given has its default."""
        return _joined(self.join_subnets)


class Localnet(_Flat):
    """One switch for all nodes with a door to the physical network.

    Example: ``Localnet(name="lan", subnets="192.168.100.0/24", vlan_id=100)``.

    vlan_id                the tag on the physical network, 1..4094; None or 0: untagged
    physical_network_name  name in the nodes' ovn-bridge-mappings; "": the network's name
    """

    topology: Literal["localnet"] = "localnet"
    vlan_id: int | None = Field(default=None, validation_alias=AliasChoices("vlan_id", "vlanID"))
    physical_network_name: str = Field(
        default="", validation_alias=AliasChoices("physical_network_name", "physicalNetworkName")
    )

    @field_validator("vlan_id")
    @classmethod
    def _check_vlan_id(cls, vlan_id: int | None) -> int | None:
        if vlan_id and not 1 <= vlan_id <= 4094:
            raise ValueError("must be 1..4094")
        return vlan_id or None

    @field_validator("physical_network_name")
    @classmethod
    def _check_physical_network_name(cls, name: str) -> str:
        if "," in name or ":" in name:
            raise ValueError("physicalNetworkName cannot contain `,` or `:` characters")
        if len(name) > 253:
            raise ValueError("must be at most 253 characters long")
        return name


Network = Layer3 | Layer2 | Localnet

AnyNetwork = Annotated[Network, Field(discriminator="topology")]
"""A network in a document, told apart by its `topology`."""

NETWORK_TYPES: dict[str, Callable[..., Network]] = {"layer3": Layer3, "layer2": Layer2, "localnet": Localnet}


def network_from_fields(topology: str, **fields: Any) -> Network:
    """Build the network class of a topology.

    SpecError  `topology <x> not supported`, or any fault of the fields
    """
    if topology not in NETWORK_TYPES:
        raise SpecError([Problem("topology", f"topology {topology} not supported", given=repr(topology))])
    return NETWORK_TYPES[topology](**fields)
