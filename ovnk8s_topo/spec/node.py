"""A node of the cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import Field, field_validator

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.spec.base import Spec
from ovnk8s_topo.spec.subnets import Subnets

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?", re.ASCII)


def check_object_name(name: str) -> str:
    """Return a name that may become a part of an OVN name.

    ValueError  not letters, digits, `-` and `.`, with a letter or digit at both ends (RFC 1123), or too long
    """
    if not _NAME.fullmatch(name) or len(name) > 253:
        raise ValueError("must be at most 253 letters, digits, `-` or `.`, starting and ending with a letter or digit")
    return name


class Node(Spec):
    """A node.

    name        as in Kubernetes
    chassis_id  the OVS system-id, where the node's router ports live; "": the node's name
    subnets     network name -> slices that the node has already (annotation k8s.ovn.org/node-subnets)
    """

    name: str
    chassis_id: str = ""
    subnets: Mapping[str, Subnets] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_object_name(name)

    @property
    def chassis(self) -> str:
        """The chassis id, or the node's name where none is known."""
        return self.chassis_id or self.name

    def slices(self, network: str) -> tuple[Subnet, ...]:
        """Return the slices that the node has of a network."""
        return self.subnets.get(network, ())
