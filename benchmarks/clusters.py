"""What is measured with: one network with many pods, and the database that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Pod, Topology
from ovnk8s_topo.diff import Rules, apply_changes, diff
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.planner.desired import desired_from_topology

OWNER = "benchmark"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is described, and a database that holds just that."""

    topology: Topology
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Shape:
    """One network of a kind, with so many nodes and so many pods on all of them."""

    kind: Literal["layer3", "layer2", "localnet"]
    nodes: int
    pods: int

    @property
    def title(self) -> str:
        """What it is called in a table."""
        each = self.pods // self.nodes
        return f"layer3, {self.nodes}x{each}" if self.kind == "layer3" else f"{self.kind}, {self.pods:,} ports"

    @property
    def network(self) -> Layer2 | Layer3 | Localnet:
        """The network, with room for more than it holds."""
        match self.kind:
            case "layer3":
                return Layer3(name="net", subnets="10.0.0.0/8/24")
            case "layer2":
                return Layer2(name="net", subnets="10.0.0.0/12")
            case _:
                return Localnet(name="net", subnets="10.0.0.0/12")

    def topology(self) -> Topology:
        """Return the description of it."""
        return topology_of(self.network, self.pods, self.nodes)

    def newcomer(self, number: int = 0) -> Pod:
        """Return a pod that is not in the description; they differ by their number."""
        return _pod(self.pods + number, self.nodes, self.network)


def topology_of(network: Layer2 | Layer3 | Localnet, pods: int, nodes: int) -> Topology:
    """Describe `pods` pods, spread evenly over `nodes` nodes, in a network."""
    return Topology(
        networks=[network],
        nodes=[Node(name=_node(number)) for number in range(nodes)],
        pods=[_pod(number, nodes, network) for number in range(pods)],
    )


def cluster(network: Layer2 | Layer3, pods: int, nodes: int) -> Cluster:
    """Return a cluster in which `pods` pods, spread evenly over `nodes` nodes, are attached to a network."""
    topology = topology_of(network, pods, nodes)
    return Cluster(topology, _written(topology))


def _pod(number: int, nodes: int, network: Layer2 | Layer3 | Localnet) -> Pod:
    node = _node(number % nodes)
    return Pod(namespace="ns", name=f"pod-{number:06}", uid=f"uid-{number}", node=node, networks=network.nad_keys[0])


def _node(number: int) -> str:
    return f"node-{number:04}"


def _written(topology: Topology) -> Snapshot:
    desired = desired_from_topology(topology, owner=OWNER)
    if desired.problems:
        raise ValueError(f"the cluster does not fit its network: {desired.problems[0]}")
    empty = Snapshot.of([])
    return apply_changes(empty, diff(desired.rows, empty, Rules(owner=OWNER)))
