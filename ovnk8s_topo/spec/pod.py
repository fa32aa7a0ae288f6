"""A pod and its attachments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field, field_validator, model_validator

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.spec.attachment import Attachment, nad_keys
from ovnk8s_topo.spec.base import Spec, under
from ovnk8s_topo.spec.given import Given
from ovnk8s_topo.spec.node import check_object_name

FINISHED = frozenset({"Succeeded", "Failed"})


@lru_cache(maxsize=1024)
def _attachments(text: str, namespace: str) -> tuple[Attachment, ...]:
    # Imported on first use: pods made of values need no reader of Go's JSON.
    from ovnk8s_topo.spec.selection import attachments_from_text

    # Most pods of a namespace have one text: they share what it says, for that is as large as all the rest of them.
    try:
        return attachments_from_text(text, namespace)
    except SpecError as error:
        raise SpecError(under("networks", problem) for problem in error.problems) from error


class Pod(Spec):
    """A pod.

    networks      its attachments in order; also the text of the networks annotation, e.g. ``"l3-network@eth1"``
    default_network  what takes the place of the cluster's default network (v1.multus-cni.io/default-network); carried,
                  no rows follow from it. Where it names no namespace its readers differ: Multus looks in its own,
                  OVN-Kubernetes in the pod's
    given         NAD key -> what the pod was told already; such addresses are kept
    node          "" while it is not scheduled
    host_network  such a pod has no ports
    phase         Pending, Running, Succeeded, Failed, Unknown; finished pods have no ports
    """

    namespace: str = "default"
    name: str
    uid: str = ""
    node: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)
    networks: tuple[Attachment, ...] = ()
    default_network: Attachment | None = None
    given: Mapping[str, Given] = Field(default_factory=dict)
    host_network: bool = False
    phase: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_networks(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("networks"), str):
            return {**values, "networks": _attachments(values["networks"], str(values.get("namespace") or "default"))}
        return values

    @field_validator("namespace", "name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_object_name(name)

    @field_validator("node")
    @classmethod
    def _check_node(cls, node: str) -> str:
        return check_object_name(node) if node else ""

    @property
    def has_ports(self) -> bool:
        """Whether the pod takes part in networks at all: scheduled, not finished, not in the host's network."""
        return bool(self.node) and not self.host_network and self.phase not in FINISHED

    def keyed_attachments(self) -> tuple[tuple[str, Attachment], ...]:
        """Return the attachments with their NAD keys, in the order of the annotation."""
        return tuple(nad_keys(self.networks, self.namespace))

    def __str__(self) -> str:
        return f"Pod {self.namespace}/{self.name}"
