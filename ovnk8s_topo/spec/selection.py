"""The text of the annotation `k8s.v1.cni.cncf.io/networks`, in both of its forms.

Two parsers read it on a real cluster, and a pod gets its ports only if both accept: the client library of
NetworkAttachmentDefinitions (used by OVN-Kubernetes) and Multus. They differ; what either of them refuses is refused
here (docs/decisions/0003-network-selection-grammar.md):

==========================================  ==========  ========  =====================
text                                        NAD client  Multus    here
==========================================  ==========  ========  =====================
interface with capitals, ``_``, ``.``       refused     accepted  refused (short form)
interface of more than 15 bytes             accepted    refused   refused (short form)
``mac``, ``ips``, ``infiniband-guid`` bad   accepted    refused   refused
element without a name                      accepted    accepted  refused: it selects nothing
``[null]``                                  crash       crash     refused
``interfaceRequest``                        ignored     used      ignored
==========================================  ==========  ========  =====================
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ovnk8s_topo.addresses import address_from_text, interface_from_text
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.spec.attachment import Attachment
from ovnk8s_topo.spec.base import path_text, under
from ovnk8s_topo.spec.go_fields import (
    Field,
    Place,
    Struct,
    anything,
    integer,
    list_of,
    map_of,
    read_into,
    string,
)
from ovnk8s_topo.spec.go_json import GoJsonError, Json, TextError, parse

_PREFIX = "parsePodNetworkAnnotation: "
_JSON_PREFIX = _PREFIX + "failed to parse pod Network Attachment Selection Annotation JSON format: "
_MULTUS_PREFIX = _PREFIX + "parsePodNetworkObjectName: "
_MISMATCH = (
    "Failed to parse: one or more items did not match comma-delimited format (must consist of lower case "
    "alphanumeric characters). Must start and end with an alphanumeric character), mismatch @ '{}'"
)
_NO_NAME = "must name a NetworkAttachmentDefinition"

_PART = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
_HARDWARE = re.compile(
    r"([0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\2){4}(?:(?:[0-9a-f]{2}\2){2}|(?:[0-9a-f]{2}\2){14})?[0-9a-f]{2}"
    r"|(?:[0-9a-f]{4}\.){2}(?:[0-9a-f]{4}\.|(?:[0-9a-f]{4}\.){7})?[0-9a-f]{4}",
    re.ASCII | re.IGNORECASE,
)
_GO_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

MAX_INTERFACE_BYTES = 15
"""What Linux takes, and Multus checks (IFNAMSIZ without the final zero)."""


def attachments_from_text(text: str, namespace: str) -> tuple[Attachment, ...]:
    """Parse the annotation: ``[namespace/]name[@interface]`` separated by commas, or a JSON list of objects.

    text       JSON if there is a `[`, `{` or `"` anywhere in it, as in both known parsers; "" selects nothing
    namespace  the pod's, for elements that name none
    returns    one attachment an element, in the order of the text; duplicates stay

    TextError  with every fault; `path` is the element, e.g. ``[1].ips``

    Follows network-attachment-definition-client pkg/utils/net-attach-def.go and multus-cni
    pkg/k8sclient/k8sclient.go.
    """
    faults: list[tuple[Problem, int]] = []
    if not text:
        return ()
    parse_form = _from_json if any(mark in text for mark in '[{"') else _from_list
    found = tuple(parse_form(text, namespace, faults))
    if faults:
        raise TextError(faults)
    return found


def _from_list(text: str, namespace: str, faults: list[tuple[Problem, int]]) -> Iterator[Attachment]:
    offset = 0
    for index, item in enumerate(text.split(",")):
        try:
            yield _from_item(item.strip(_GO_BLANKS), namespace)
        except ValueError as error:
            start = offset + len(item) - len(item.lstrip(_GO_BLANKS))
            faults.append((Problem(f"[{index}]", str(error), given=repr(item)), start))
        offset += len(item) + 1


def _from_item(item: str, pod_namespace: str) -> Attachment:
    slashed = item.split("/")
    if len(slashed) > 2:
        raise ValueError(_PREFIX + "Invalid network object (failed at '/')")
    atted = slashed[-1].split("@")
    if len(atted) > 2:
        raise ValueError(_PREFIX + "Invalid network object (failed at '@')")
    parts = [*(slashed[:-1] or [""]), atted[0], *(atted[1:] or [""])]
    namespace, name, interface = (part.strip(_GO_BLANKS) for part in parts)
    for part in (namespace, name, interface):
        if part and not _PART.fullmatch(part):
            raise ValueError(_PREFIX + _MISMATCH.format(part))
    if len(interface) > MAX_INTERFACE_BYTES:
        why = "Failed to parse interface name: must be less than 15 chars and not contain '/' or spaces. interface name"
        raise ValueError(f"{_MULTUS_PREFIX}{why} '{interface}'")
    if not name:
        raise ValueError(_NO_NAME)
    return Attachment(namespace=namespace or pod_namespace, name=name, interface=interface)


def _ip(node: Json, present: object, place: Place) -> object:
    """Read a Go net.IP."""
    if node.kind == "null":
        return present
    if node.kind != "string":
        place.refuse(node, "net.IP")
        return present
    try:
        address_from_text(str(node.value))
    except ValueError as error:
        place.note(node, str(error))
    return node.value


_PORT_MAPPING = Struct(
    "PortMapEntry",
    "v1.PortMapEntry",
    {"hostPort": Field(integer), "containerPort": Field(integer), "protocol": Field(string), "hostIP": Field(string)},
)
_BANDWIDTH = Struct(
    "BandwidthEntry",
    "v1.BandwidthEntry",
    {key: Field(integer) for key in ("ingressRate", "ingressBurst", "egressRate", "egressBurst")},
)
_ELEMENT = Struct(
    "networkSelectionElement",
    "v1.networkSelectionElement",
    {
        "name": Field(string),
        "namespace": Field(string),
        "ips": Field(list_of(string, "[]string")),
        "mac": Field(string),
        "infiniband-guid": Field(string),
        "interface": Field(string),
        "portMappings": Field(list_of(_PORT_MAPPING, "[]*v1.PortMapEntry")),
        "bandwidth": Field(_BANDWIDTH),
        "cni-args": Field(map_of(anything, "map[string]interface {}")),
        "default-route": Field(list_of(_ip, "[]net.IP")),
        "ipam-claim-reference": Field(string),
    },
)
_ELEMENTS = list_of(_ELEMENT, "[]*v1.NetworkSelectionElement")

_ATTACHMENT_FIELDS = {
    "infiniband-guid": "infiniband_guid",
    "portMappings": "port_mappings",
    "cni-args": "cni_args",
    "default-route": "default_route",
    "ipam-claim-reference": "ipam_claim_reference",
}


def _from_json(text: str, namespace: str, faults: list[tuple[Problem, int]]) -> Iterator[Attachment]:
    try:
        node = parse(text)
    except GoJsonError as error:
        faults.append((Problem("", _JSON_PREFIX + str(error)), error.offset))
        return
    values, type_faults = read_into(_ELEMENTS, node)
    faults += [(Problem(path_text(fault.path), _JSON_PREFIX + fault.why), fault.offset) for fault in type_faults]
    if faults or not isinstance(values, list):
        return
    for index, (value, item) in enumerate(zip(values, node.items, strict=True)):
        problems = [*_element_faults(value)]
        faults += [(under(f"[{index}]", problem), item.near(problem.path).offset) for problem in problems]
        if not problems:
            yield from _attachment(value, namespace, index, item, faults)


def _element_faults(value: object) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield Problem("", "must be an object (the known parsers crash on null)", given="null")
        return
    name, namespace = str(value.get("name") or ""), str(value.get("namespace") or "")
    if not name:
        yield Problem("name", _NO_NAME)
    for key, part in (("name", name), ("namespace", namespace)):
        if part and (not _OBJECT_NAME.fullmatch(part) or len(part) > 253):
            yield Problem(key, "must be a name that Kubernetes allows", given=repr(part))
    yield from _hardware_faults(value)
    for index, text in enumerate(value.get("ips") or ()):
        yield from _ip_faults(f"ips[{index}]", str(text or ""))


def _hardware_faults(value: dict[str, object]) -> Iterator[Problem]:
    for key, what in (("mac", "failed to mac"), ("infiniband-guid", "failed to validate infiniband GUID")):
        text = str(value.get(key) or "")
        if text and not _HARDWARE.fullmatch(text):
            yield Problem(key, f"{_PREFIX}{what}: address {text}: invalid MAC address")


def _ip_faults(path: str, text: str) -> Iterator[Problem]:
    try:
        if "/" in text:
            interface_from_text(text)
        else:
            address_from_text(text)
    except ValueError:
        cidr = f'failed to parse CIDR "{text}": invalid CIDR address: {text}'
        yield Problem(path, cidr if "/" in text else f'failed to parse IP address "{text}"')


def _attachment(
    value: dict[str, object], namespace: str, index: int, item: Json, faults: list[tuple[Problem, int]]
) -> Iterator[Attachment]:
    given = {_ATTACHMENT_FIELDS.get(key, key): part for key, part in value.items() if part not in (None, "")}
    try:
        yield Attachment(**{"namespace": namespace, **given})
    except SpecError as error:
        faults += [(under(f"[{index}]", problem), item.near(problem.path).offset) for problem in error.problems]
