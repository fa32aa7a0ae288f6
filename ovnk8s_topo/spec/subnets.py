"""Subnet lists as NetConf writes them, and what must hold between subnets.

The texts are OVN-Kubernetes' own (config/utils.go, util/multi_network.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from ovnk8s_topo.addresses import Subnet, subnet_from_text
from ovnk8s_topo.errors import Problem, SpecError

DEFAULT_HOST_LEN = {4: 24, 6: 64}
"""Prefix length of a node's slice where the network does not say, by IP version."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClusterSubnet:
    """A layer3 range: every node gets one slice of prefix length `host_len` out of `subnet`."""

    subnet: Subnet
    host_len: int

    def __str__(self) -> str:
        return f"{self.subnet}/{self.host_len}"


def cluster_subnet_from_text(text: str) -> ClusterSubnet:
    """Parse ``CIDR`` or ``CIDR/hostprefix``, e.g. ``10.33.0.0/16/24``.

    ValueError  not of that form, or a host prefix length that cannot be
    """
    parts = text.split("/")
    if len(parts) not in (2, 3):
        raise ValueError(f'CIDR "{text}" not properly formatted')
    subnet = subnet_from_text("/".join(parts[:2]))
    host_len = _host_len(text, parts[2]) if len(parts) == 3 else DEFAULT_HOST_LEN[subnet.version]
    _check_host_len(subnet, host_len)
    return ClusterSubnet(subnet, host_len)


def _host_len(text: str, part: str) -> int:
    if not (part.isascii() and part.isdigit()):
        raise ValueError(f'CIDR "{text}" not properly formatted')
    return int(part)


def _check_host_len(subnet: Subnet, host_len: int) -> None:
    if subnet.version == 6 and host_len != 64:
        raise ValueError("IPv6 only supports /64 host subnets")
    if subnet.version == 4 and host_len > 32:
        raise ValueError("invalid host subnet, IPv4 subnet must be < 32")
    if host_len <= subnet.prefix_len:
        raise ValueError(
            "cannot use a host subnet length mask shorter than or equal to the cluster subnet mask. "
            f"host subnet length: {host_len}, cluster subnet length: {subnet.prefix_len}"
        )


def plain_subnet_from_text(text: str) -> Subnet:
    """Parse ``CIDR``; a host prefix length is refused.

    ValueError  not of that form
    """
    if len(text.split("/")) != 2:
        raise ValueError(f'CIDR "{text}" not properly formatted')
    return subnet_from_text(text)


def split_list(value: object) -> list[object]:
    """Return the entries of a comma-separated text or of any other sequence; an empty text has none."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value.strip() else []
    if isinstance(value, Iterable):
        return list(value)
    raise ValueError(f"must be a comma-separated text or a list (got {type(value).__name__})")


def _list_of(parse: Callable[[str], T], kind: type[T]) -> Callable[[object], tuple[T, ...]]:
    def read(value: object) -> tuple[T, ...]:
        found: list[T] = []
        problems: list[Problem] = []
        for index, entry in enumerate(split_list(value)):
            try:
                found.append(entry if isinstance(entry, kind) else parse(_text(entry)))
            except ValueError as error:
                problems.append(Problem(f"[{index}]", str(error), given=repr(str(entry))))
        if problems:
            raise SpecError(problems)
        return tuple(found)

    return read


def _text(entry: object) -> str:
    if not isinstance(entry, str | Subnet | ClusterSubnet):
        raise ValueError(f"must be a text (got {type(entry).__name__})")
    return str(entry)


def _as_text(value: Sequence[Any]) -> str:
    return ",".join(str(entry) for entry in value)


_TEXT_OR_LIST = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    "description": "comma-separated CIDRs, or a list of them",
}

Subnets = Annotated[
    tuple[Subnet, ...],
    BeforeValidator(_list_of(plain_subnet_from_text, Subnet)),
    PlainSerializer(_as_text),
    WithJsonSchema(_TEXT_OR_LIST),
]
"""A list of CIDRs; accepts NetConf's comma-separated text."""

ClusterSubnets = Annotated[
    tuple[ClusterSubnet, ...],
    BeforeValidator(_list_of(cluster_subnet_from_text, ClusterSubnet)),
    PlainSerializer(_as_text),
    WithJsonSchema(_TEXT_OR_LIST),
]
"""A list of ``CIDR[/hostprefix]``; accepts NetConf's comma-separated text."""


def check_host_lens(subnets: Sequence[ClusterSubnet]) -> Iterator[str]:
    """Yield a text if IPv4 ranges of one network are sliced differently."""
    lens = [entry.host_len for entry in subnets if entry.subnet.version == 4]
    for host_len in lens[1:]:
        if host_len != lens[0]:
            yield (
                f"all IPv4 cluster subnet entries must have the same host subnet length; found {lens[0]} and {host_len}"
            )


def check_contained(what: str, inner: Iterable[Subnet], outer: Sequence[Subnet]) -> Iterator[str]:
    """Yield a text for every subnet of `inner` that lies in none of `outer`; `what` is e.g. ``excluded``."""
    for subnet in inner:
        if not any(subnet in container for container in outer):
            yield f"the provided network subnets do not contain {what} subnets {subnet}"


def check_apart(named: Sequence[tuple[str, Subnet]]) -> Iterator[str]:
    """Yield a text for every two subnets that overlap; the names say what each one is."""
    for (first_name, first), (second_name, second) in combinations(named, 2):
        if first.overlaps(second):
            later, earlier = (second_name, second), (first_name, first)
            yield (
                "pod or join subnet overlaps with already configured internal subnets: "
                f'{later[0]} "{later[1]}" overlaps {earlier[0]} "{earlier[1]}"'
            )
