"""Our own short document, for demonstrations and tests.

.. code-block:: yaml

    ovnk8s-topo: 1
    networks:
      - {name: blue, topology: layer2, subnets: 10.22.0.0/16}
    nodes: [n1, {name: n2, chassis: abc, subnets: {l3: 10.33.2.0/24}}]
    pods:
      - {name: web, node: n1, networks: blue}
    ipamClaims:
      - {name: vm, network: blue, ips: [10.22.0.5/16]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.documents import Document, Path, value_at
from ovnk8s_topo.sources.found import Found, shown
from ovnk8s_topo.sources.ipam_claims import ReadClaim
from ovnk8s_topo.sources.multus import attachments_at
from ovnk8s_topo.spec import IpamClaim, Node, Pod
from ovnk8s_topo.spec.network import Network, network_from_fields

MARK = "ovnk8s-topo"
VERSION = 1
SECTIONS = ("networks", "nodes", "pods", "ipamClaims")

_NODE_FIELDS = {"chassis": "chassis_id"}
_POD_FIELDS = {"hostNetwork": "host_network"}

T = TypeVar("T")


def is_topofile(document: Document) -> bool:
    """Tell whether a document is one of ours."""
    return isinstance(document.value, dict) and MARK in document.value


def sections(document: Document) -> tuple[Found, dict[str, list[Found]]]:
    """Return the document as a whole, with the faults of its frame, and its entries by section."""
    whole = Found(document, ())
    version = whole.value[MARK]
    if type(version) is not int or version != VERSION:
        whole.refuse((MARK,), f"must be {VERSION}", shown(version))
    for key in whole.value:
        if key not in (MARK, *SECTIONS):
            whole.refuse((key,), f"there is no such field; there are {', '.join(SECTIONS)}")
    return whole, {section: [*_entries(whole, section)] for section in SECTIONS}


def _entries(whole: Found, section: str) -> Iterator[Found]:
    value = value_at(whole.value, (section,))
    if value is not None and not isinstance(value, list):
        whole.refuse((section,), "must be a list", shown(value))
        return
    for index in range(len(value or ())):
        yield Found(whole.document, (section, index), f"{section}[{index}]")


def network_from_entry(found: Found) -> tuple[str, Network | None]:
    """Read ``{name, topology, subnets, ...}`` with the fields of a CNI configuration or of the Python classes."""

    def make(fields: dict[str, Any]) -> Network:
        return network_from_fields(str(fields.pop("topology", "")), **fields)

    return _made(found, {}, make, "network")


def node_from_entry(found: Found) -> tuple[str, Node | None]:
    """Read a node's name, or ``{name, chassis, subnets}``."""
    if isinstance(found.value, str):
        return _built(found, found.value, lambda: Node(name=found.value), "Node")
    return _made(found, _NODE_FIELDS, lambda fields: Node(**fields), "Node")


def pod_from_entry(found: Found) -> tuple[str, Pod | None]:
    """Read ``{name, namespace, node, networks, ...}``; `networks` is the text of the annotation."""
    value = found.value
    namespace = value.get("namespace", "default") if isinstance(value, dict) else ""

    def make(fields: dict[str, Any]) -> Pod:
        text = fields.get("networks")
        if isinstance(text, str):
            fields["networks"] = attachments_at(found, ("networks",), text, str(namespace))
        return Pod(**fields)

    name, pod = _made(found, _POD_FIELDS, make, "Pod", namespace=f"{namespace}/")
    return f"{namespace}/{name}" if name else "", pod


def claim_from_entry(found: Found) -> ReadClaim:
    """Read ``{name, namespace, network, ips, interface}``."""
    value = found.value
    namespace = value.get("namespace", "default") if isinstance(value, dict) else ""
    claim = _made(found, {}, lambda fields: IpamClaim(**fields), "IPAMClaim", namespace=f"{namespace}/")[1]
    network = value.get("network") if isinstance(value, dict) else ""
    return ReadClaim(network if isinstance(network, str) else "", claim, found)


def _made(
    found: Found, renames: dict[str, str], make: Callable[[dict[str, Any]], T], kind: str, *, namespace: str = ""
) -> tuple[str, T | None]:
    value = found.value
    if not isinstance(value, dict):
        found.refuse((), "must be a mapping", shown(value))
        return "", None
    name = value.get("name", "")
    name = name if isinstance(name, str) else ""
    fields = {str(renames.get(key, key)): part for key, part in value.items()}
    made = _built(found, namespace + name, lambda: make(fields), kind, renames=renames)[1]
    return name, made


def _built(
    found: Found, name: str, make: Callable[[], T], kind: str, *, renames: dict[str, str] | None = None
) -> tuple[str, T | None]:
    found.subject = f"{kind} {name}" if name else found.subject
    path: Path = ()
    try:
        made = make()
    except SpecError as error:
        back = {ours: theirs for theirs, ours in (renames or {}).items()}
        found.refuse_all(path, error.problems, back)
        return name, None
    return name, made if not found.problems else None
