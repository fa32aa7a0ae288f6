"""Databases to measure with: one network with many pods, as a plan would have written it."""

from __future__ import annotations

from dataclasses import dataclass

from ovnk8s_topo import Layer2, Layer3, Node, Pod, Topology
from ovnk8s_topo.diff import Rules, apply_changes, diff
from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import RowSet, Snapshot
from ovnk8s_topo.planner.desired import desired_from_topology

OWNER = "benchmark"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is described, and a database that holds just that."""

    topology: Topology
    snapshot: Snapshot


def cluster(network: Layer2 | Layer3, pods: int, nodes: int) -> Cluster:
    """Return a cluster in which `pods` pods, spread evenly over `nodes` nodes, are attached to a network."""
    topology = Topology(
        networks=[network],
        nodes=[Node(name=_node(number)) for number in range(nodes)],
        pods=[_pod(number, nodes, network) for number in range(pods)],
    )
    return Cluster(topology, _written(topology))


def _pod(number: int, nodes: int, network: Layer2 | Layer3) -> Pod:
    node = _node(number % nodes)
    return Pod(namespace="ns", name=f"pod-{number:06}", uid=f"uid-{number}", node=node, networks=network.nad_keys[0])


def _node(number: int) -> str:
    return f"node-{number:04}"


def _written(topology: Topology) -> Snapshot:
    desired = desired_from_topology(topology)
    if desired.problems:
        raise ValueError(f"the cluster does not fit its network: {desired.problems[0]}")
    rows = RowSet(marked(row, OWNER) for row in desired.rows.values())
    empty = Snapshot.of([])
    return apply_changes(empty, diff(rows, empty, Rules(owner=OWNER)))
