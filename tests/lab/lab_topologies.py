"""Short words for the topologies of packet tests."""

from __future__ import annotations

from collections.abc import Iterable

from ovnk8s_topo import Node, Pod, Topology
from ovnk8s_topo.spec import Network


def pod(name: str, node: str, *networks: str, uid: str = "") -> Pod:
    return Pod(name=name, node=node, uid=uid or f"uid-of-{name}", networks=",".join(networks))


def topology(networks: Iterable[Network], pods: Iterable[Pod], nodes: Iterable[str] = ("n1", "n2")) -> Topology:
    return Topology(networks=networks, pods=pods, nodes=[Node(name=name) for name in nodes])
