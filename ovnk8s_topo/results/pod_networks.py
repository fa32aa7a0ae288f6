"""Writing the annotation `k8s.ovn.org/pod-networks`; reading it belongs to `sources`.

Source: ovn-kubernetes pkg/util/pod_annotation.go, MarshalPodAnnotation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.results.attachment import AttachmentResult, given_from_result, role_in_style
from ovnk8s_topo.results.members import edited, text_from_members
from ovnk8s_topo.results.pattern import pattern_of
from ovnk8s_topo.spec import Given, Route, Style
from ovnk8s_topo.spec.go_writer import json_text

POD_NETWORKS = "k8s.ovn.org/pod-networks"

ONE_GATEWAY = "bad podNetwork data: single-stack network can only have a single gateway"


def pod_networks_text(entries: Mapping[str, Given]) -> str:
    """Write the whole annotation.

    entries  NAD key, or ``default``, -> what the pod is told
    returns  byte for byte what OVN-Kubernetes writes: no blanks, entries sorted by key

    SpecError  an entry with one address and several gateways, which cannot be written; `path` is its key
    """
    return text_from_members(_members(entries))


def pod_networks_of_attachments(
    results: Sequence[AttachmentResult], told: Mapping[str, Given], style: Style = "2024"
) -> str:
    """Write the whole annotation of a pod with these attachments: what their `given_from_result`s come to.

    told  NAD key -> what the pod was told already

    SpecError  as above
    """
    if any(each.nad_key in told or each.gateways for each in results):
        return pod_networks_text(
            {each.nad_key: given_from_result(each, told.get(each.nad_key), style) for each in results}
        )
    members = [(each.nad_key, _member_text(each, style)) for each in results]
    return "{" + ",".join([text for _, text in sorted(members)]) + "}"


def _member_text(result: AttachmentResult, style: Style) -> str:
    addresses = result.addresses
    pattern = _pattern(result.nad_key, result.routes, style, len(addresses))
    return pattern % (*addresses, result.mac, *(addresses if len(addresses) == 1 else ()))


# All pods of a node are told the same but for addresses and MAC.
@lru_cache(maxsize=1 << 13)
def _pattern(nad_key: str, routes: tuple[Route, ...], style: Style, count: int) -> str:
    def write(value: str) -> str:
        given = Given.model_construct(ips=(value,) * count, mac=value, routes=routes, role=role_in_style(style))
        return f"{json_text(nad_key)}:{json_text(dict(_entry(given)))}"

    return pattern_of(write, nad_key)


def merged_pod_networks(text: str | None, changes: Mapping[str, Given | None]) -> str | None:
    """Put entries into an annotation, or take them out.

    text     the annotation as it is, None if there is none
    changes  NAD key -> what the pod is told, None: the entry goes
    returns  the new text; None when no entry is left, for then the annotation goes

    Entries of others keep their bytes.

    SpecError  as above, or the annotation is no JSON object
    """
    written = _members({key: given for key, given in changes.items() if given is not None})
    return edited(text, {key: written.get(key) for key in changes})


def _members(entries: Mapping[str, Given]) -> dict[str, str]:
    crowded = [key for key, given in entries.items() if len(given.ips) == 1 < len(given.gateways)]
    if crowded:
        raise SpecError(Problem(f"[{key}].gateways", ONE_GATEWAY) for key in sorted(crowded))
    return {key: json_text(dict(_entry(given))) for key, given in entries.items()}


def _entry(given: Given) -> Iterator[tuple[str, object]]:
    """Yield the keys in Go's order; addresses and MAC are always there, the rest only if it says something."""
    yield "ip_addresses", given.ips or None
    yield "mac_address", given.mac
    routes = [{"dest": route.dest, "nextHop": route.next_hop} for route in given.routes]
    single = given.ips[0] if len(given.ips) == 1 else ""
    optional: list[tuple[str, object]] = [
        ("gateway_ips", given.gateways),
        ("routes", routes),
        # For readers of before 2020, which knew one address and one gateway.
        ("ip_address", single),
        ("gateway_ip", given.gateways[0] if single and given.gateways else ""),
        ("ipv6_lla_gateway_ip", given.ipv6_lla_gateway),
        ("tunnel_id", given.tunnel_id),
        ("role", given.role),
    ]
    yield from ((key, value) for key, value in optional if value)
