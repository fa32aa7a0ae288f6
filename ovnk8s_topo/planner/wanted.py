"""Which attachments there are: pods x networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from operator import attrgetter
from typing import NamedTuple

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.planner import names
from ovnk8s_topo.planner.faults import Fault
from ovnk8s_topo.planner.topologies import BUILDERS
from ovnk8s_topo.spec import Attachment, Gaps, Given, Network, Pod, Topology
from ovnk8s_topo.spec.attachment import nad_keys


# A tuple, as is all of which there is one for every pod: it is made in a third of the time.
class Wanted(NamedTuple):
    """One port that shall be.

    port      its name
    switch    the name of the switch that it is in
    is_plain  whether it asks for nothing and its pod was told nothing, so that any address and MAC will do
    """

    network: Network
    pod: Pod
    nad_key: str
    attachment: Attachment
    port: str
    switch: str
    is_plain: bool

    @property
    def given(self) -> Given | None:
        """What the pod was told already."""
        return self.pod.given.get(self.nad_key)

    @property
    def pod_key(self) -> str:
        """``namespace/name`` of the pod."""
        return f"{self.pod.namespace}/{self.pod.name}"

    @property
    def label(self) -> str:
        """What the attachment is called in messages."""
        return f"Pod {self.pod.namespace}/{self.pod.name} ({self.nad_key})"

    @property
    def gap(self) -> Gaps:
        """What to leave alone if there is no port to be had."""
        return Gaps(pods={self.pod_key})

    def fault(self, why: str, path: str = "networks") -> Fault:
        """Return a fault of this attachment."""
        return Fault(self.gap, Problem(path, why, subject=self.label))


def wanted_ports(topology: Topology) -> Iterator[Wanted]:
    """Yield every attachment to a network of the topology, by namespace, name and order in the annotation.

    Pods that are not scheduled, finished, or in the host's network have none. Attachments to definitions that are
    not in the topology belong to somebody else.
    """
    networks = networks_by_nad(topology)
    # Most pods share their attachments with others, down to the very objects.
    known: dict[tuple[str, tuple[int, ...]], list[_Plug]] = {}
    for pod in sorted(topology.pods, key=attrgetter("namespace", "name")):
        if pod.has_ports:
            asked = pod.namespace, tuple(map(id, pod.networks))
            if (plugs := known.get(asked)) is None:
                plugs = known[asked] = [
                    plug._replace(switch_of=cache(plug.switch_of)) for plug in _plugs(pod, networks)
                ]
            for plug in plugs:
                yield plug.of(pod)


def wanted_ports_of_pod(pod: Pod, networks: Mapping[str, Network]) -> Iterator[Wanted]:
    """Yield a pod's attachments to some networks; see `wanted_ports`.

    networks  as `networks_by_nad` returns them
    """
    if pod.has_ports:
        yield from (plug.of(pod) for plug in _plugs(pod, networks))


def wanted_port(pod: Pod, network: Network, nad_key: str, attachment: Attachment) -> Wanted:
    """Return one attachment of a pod that has ports, to its network."""
    port = names.pod_port(nad_key, pod.namespace, pod.name)
    switch = BUILDERS[network.topology].switch_of(network, pod.node)
    is_plain = not (pod.given or _asks(attachment))
    return tuple.__new__(Wanted, (network, pod, nad_key, attachment, port, switch, is_plain))


class _Plug(NamedTuple):
    """One attachment of all pods of a namespace that ask for the same.

    before     what stands before the pod in the names of their ports
    switch_of  node -> the switch that they are plugged into there
    asks       whether they ask for an address or a MAC
    """

    network: Network
    nad_key: str
    attachment: Attachment
    before: str
    switch_of: Callable[[str], str]
    asks: bool

    def of(self, pod: Pod) -> Wanted:
        network, nad_key, attachment, before, switch_of, asks = self
        port = f"{before}{names.pod_suffix(pod.namespace, pod.name)}"
        values = (network, pod, nad_key, attachment, port, switch_of(pod.node), not (asks or pod.given))
        return tuple.__new__(Wanted, values)


def _plugs(pod: Pod, networks: Mapping[str, Network]) -> Iterator[_Plug]:
    for nad_key, attachment in nad_keys(pod.networks, pod.namespace):
        network = networks.get(f"{attachment.namespace or pod.namespace}/{attachment.name}")
        if network is not None:
            yield _plug(network, nad_key, attachment)


def _plug(network: Network, nad_key: str, attachment: Attachment) -> _Plug:
    switch_of = partial(BUILDERS[network.topology].switch_of, network)
    return _Plug(network, nad_key, attachment, names.prefix(nad_key), switch_of, _asks(attachment))


def _asks(attachment: Attachment) -> bool:
    return bool(attachment.ips or attachment.mac or attachment.ipam_claim_reference)


def networks_by_nad(topology: Topology) -> Mapping[str, Network]:
    """Map every ``namespace/name`` of a NetworkAttachmentDefinition to its network."""
    return {nad: network for network in topology.networks for nad in network.nad_keys}
