"""Writing the annotations of a node that hold something of every network.

Source: ovn-kubernetes pkg/util/subnet_annotations.go and clustermanager/user_defined_network_unit_test.go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ovnk8s_topo.addresses import Subnet
from ovnk8s_topo.results.members import edited, members_from_text, text_from_members
from ovnk8s_topo.spec.given import canonical_interface
from ovnk8s_topo.spec.go_writer import json_text

NODE_SUBNETS = "k8s.ovn.org/node-subnets"
NETWORK_IDS = "k8s.ovn.org/network-ids"
LAYER2_TUNNEL_IDS = "k8s.ovn.org/udn-layer2-node-gateway-router-lrp-tunnel-ids"

PER_NETWORK = (NODE_SUBNETS, NETWORK_IDS, LAYER2_TUNNEL_IDS)
"""The annotations of a node that map networks to something."""

DEFAULT = "default"

Subnets = Sequence[Subnet | str]
"""Slices of one node; a text keeps its host bits."""


def node_subnets_text(subnets: Mapping[str, Subnets]) -> str:
    """Write the whole of `k8s.ovn.org/node-subnets`.

    subnets  network name -> slices of the node
    returns  e.g. ``{"l3-network":["10.33.2.0/24"]}``: always lists, sorted by network

    ValueError  a text that is no CIDR
    """
    return text_from_members({network: _list(items) for network, items in subnets.items()})


def merged_node_subnets(text: str | None, network: str, subnets: Subnets) -> str | None:
    """Put the slices of one network into the annotation; none at all takes the network out.

    text     the annotation as it is, None if there is none
    returns  the new text; None when no network is left, for then the annotation goes

    Entries of other networks keep their bytes, but for bare texts, which become lists as OVN-Kubernetes makes them.

    SpecError  the annotation is no JSON object
    ValueError  a text that is no CIDR
    """
    bare = {key: f"[{raw}]" for key, raw in members_from_text(text).items() if raw.startswith('"')}
    return edited(text, {**bare, network: _list(subnets) if subnets else None})


def stale_networks(annotations: Mapping[str, str], valid: Collection[str]) -> frozenset[str]:
    """Return the networks that a node's annotations name and that are none any more; the default network is one.

    SpecError  an annotation is no JSON object
    """
    named = frozenset(name for key in PER_NETWORK for name in members_from_text(annotations.get(key)))
    return named.difference(valid, [DEFAULT])


def without_networks(annotations: Mapping[str, str], gone: Collection[str]) -> dict[str, str | None]:
    """Take networks out of a node's annotations.

    returns  annotation -> its new text, None where it goes with its last network; only what changes

    SpecError  an annotation is no JSON object
    """
    new = {
        key: edited(annotations[key], dict.fromkeys(gone, None))
        for key in PER_NETWORK
        if not members_from_text(annotations.get(key)).keys().isdisjoint(gone)
    }
    return {key: text for key, text in new.items() if text != annotations[key]}


def _list(subnets: Subnets) -> str:
    return json_text([canonical_interface(str(subnet)) for subnet in subnets])
