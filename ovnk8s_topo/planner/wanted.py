"""Which attachments there are: pods x networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.planner import names
from ovnk8s_topo.planner.faults import Fault
from ovnk8s_topo.planner.topologies import BUILDERS
from ovnk8s_topo.spec import Attachment, Gaps, Given, Network, Pod, Topology
from ovnk8s_topo.spec.attachment import nad_keys


@dataclass(frozen=True, slots=True)
class Wanted:
    """One port that shall be.

    port    its name
    switch  the name of the switch that it is in
    """

    network: Network
    pod: Pod
    nad_key: str
    attachment: Attachment
    port: str
    switch: str

    @property
    def given(self) -> Given | None:
        """What the pod was told already."""
        return self.pod.given.get(self.nad_key)

    @property
    def label(self) -> str:
        """What the attachment is called in messages."""
        return f"{self.pod} ({self.nad_key})"

    @property
    def gap(self) -> Gaps:
        """What to leave alone if there is no port to be had."""
        return Gaps(pods={f"{self.pod.namespace}/{self.pod.name}"})

    def fault(self, why: str, path: str = "networks") -> Fault:
        """Return a fault of this attachment."""
        return Fault(self.gap, Problem(path, why, subject=self.label))


def wanted_ports(topology: Topology) -> Iterator[Wanted]:
    """Yield every attachment to a network of the topology, by namespace, name and order in the annotation.

    Pods that are not scheduled, finished, or in the host's network have none. Attachments to definitions that are
    not in the topology belong to somebody else.
    """
    networks = networks_by_nad(topology)
    for pod in sorted(topology.pods, key=attrgetter("namespace", "name")):
        yield from wanted_ports_of_pod(pod, networks)


def wanted_ports_of_pod(pod: Pod, networks: Mapping[str, Network]) -> Iterator[Wanted]:
    """Yield a pod's attachments to some networks; see `wanted_ports`.

    networks  as `networks_by_nad` returns them
    """
    if pod.has_ports:
        for nad_key, attachment in nad_keys(pod.networks, pod.namespace):
            network = networks.get(f"{attachment.namespace or pod.namespace}/{attachment.name}")
            if network is not None:
                port = names.pod_port(nad_key, pod.namespace, pod.name)
                switch = BUILDERS[network.topology].switch_of(network, pod.node)
                yield Wanted(network, pod, nad_key, attachment, port, switch)


def networks_by_nad(topology: Topology) -> Mapping[str, Network]:
    """Map every ``namespace/name`` of a NetworkAttachmentDefinition to its network."""
    return {nad: network for network in topology.networks for nad in network.nad_keys}
