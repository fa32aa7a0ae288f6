"""Node -> what the networks need of it: its name, its chassis and its parts of the layer3 networks."""

from __future__ import annotations

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.found import Found
from ovnk8s_topo.sources.names import ANNOTATIONS, read_annotations, read_name
from ovnk8s_topo.spec import Node
from ovnk8s_topo.spec.go_json import GoJsonError, Json, parse
from ovnk8s_topo.spec.subnets import plain_subnet_from_text

SUBNETS = "k8s.ovn.org/node-subnets"
CHASSIS = "k8s.ovn.org/node-chassis-id"


def node_from_object(found: Found) -> tuple[str, Node | None]:
    """Read one node; returns its name, "" if that cannot be told, and None if anything is at fault."""
    name = read_name(found)
    if name:
        found.subject = f"Node {name}"
    annotations = read_annotations(found)
    chassis = annotations.get(CHASSIS, "")
    if chassis.strip() != chassis or not chassis.isprintable():
        found.refuse((*ANNOTATIONS, CHASSIS), "must be printable, without blanks around it", repr(chassis))
    subnets = _subnets(found, annotations.get(SUBNETS))
    if found.problems:
        return name, None
    try:
        return name, Node(name=name, chassis_id=chassis, subnets=subnets)
    except SpecError as error:
        found.refuse_all(("metadata",), error.problems)
        return name, None


def _subnets(found: Found, text: str | None) -> dict[str, tuple[Subnet, ...]]:
    """Read ``{"network": ["cidr", ...]}``; a bare text counts as a list of one (util/subnet_annotations.go)."""
    if text is None:
        return {}
    path = (*ANNOTATIONS, SUBNETS)
    try:
        tree = parse(text)
    except GoJsonError as error:
        found.refuse(path, _unparsed(str(error)), offset=error.offset)
        return {}
    if tree.kind != "object":
        why = f"json: cannot unmarshal {tree.kind} into Go value of type map[string][]string"
        found.refuse(path, _unparsed(why), offset=tree.offset)
    return {network: _entries(found, network, value) for network, value in tree.members if network != "default"}


def _unparsed(why: str) -> str:
    return f'could not parse "{SUBNETS}" annotation as either single-stack or dual-stack: {why}'


def _entries(found: Found, network: str, value: Json) -> tuple[Subnet, ...]:
    path = (*ANNOTATIONS, SUBNETS)
    items = value.items if value.kind == "array" else (value,)
    if not items:
        why = f'unexpected empty "{SUBNETS}" annotation for network "{network}"'
        found.refuse(path, why, tail=f".{network}", offset=value.offset)
    subnets: list[Subnet] = []
    for item in items:
        if item.kind != "string":
            why = f"json: cannot unmarshal {item.kind} into Go value of type string"
            found.refuse(path, _unparsed(why), tail=f".{network}", offset=item.offset)
            continue
        try:
            subnets.append(plain_subnet_from_text(str(item.value)))
        except ValueError as error:
            found.refuse(path, f"error parsing {SUBNETS}: {error}", tail=f".{network}", offset=item.offset)
    return tuple(subnets)
