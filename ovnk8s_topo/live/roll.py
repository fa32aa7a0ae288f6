"""What is wanted, object by object: a topology that changes without being built anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from ovnk8s_topo.planner.names import prefix
from ovnk8s_topo.planner.wanted import Wanted, wanted_port, wanted_ports_of_pod
from ovnk8s_topo.spec import Gaps, IpamClaim, Layer2, Layer3, Localnet, Network, Node, Pod, Topology

Object = Network | Node | Pod | IpamClaim
"""What can be put and removed one by one."""

V = TypeVar("V")


_NONE: Mapping[str, Any] = MappingProxyType({})


class Event(NamedTuple):
    """Objects by name as they shall be from now on; None: they go.

    gaps  what the description leaves open from now on
    """

    gaps: Gaps
    networks: Mapping[str, Network | None] = _NONE
    nodes: Mapping[str, Node | None] = _NONE
    pods: Mapping[str, Pod | None] = _NONE
    ipam_claims: Mapping[str, IpamClaim | None] = _NONE

    @property
    def is_about_pods_alone(self) -> bool:
        """Whether neither networks nor nodes nor IPAMClaims change."""
        return not (self.networks or self.nodes or self.ipam_claims)

    @property
    def is_empty(self) -> bool:
        """Whether no object changes."""
        return not self.size

    @property
    def size(self) -> int:
        """How many objects change."""
        return len(self.networks) + len(self.nodes) + len(self.pods) + len(self.ipam_claims)

    @property
    def moves_a_prefix(self) -> bool:
        """Whether a network goes and another one comes whose OVN names are the same."""
        came = {prefix(name) for name, network in self.networks.items() if network}
        return any(prefix(name) in came for name, network in self.networks.items() if network is None)


class Draft:
    """Collects what is put and removed; of several things that are said about one object the last one counts.

    A call that raises, for it was given something else, has noted nothing.
    """

    def __init__(self) -> None:
        self.networks: dict[str, Network | None] = {}
        self.nodes: dict[str, Node | None] = {}
        self.pods: dict[str, Pod | None] = {}
        self.ipam_claims: dict[str, IpamClaim | None] = {}

    def put(self, objects: Iterable[Object], *, gone: bool = False) -> None:
        """Note objects as they shall be, or that they go."""
        for noted, name, item in [self._place_of(item) for item in objects]:
            noted[name] = None if gone else item

    def _place_of(self, item: Object) -> tuple[dict[str, Any], str, Object]:
        """Return where an object is noted, under which name, and the object."""
        match item:
            case Pod():
                return self.pods, key_of_pod(item), item
            case Node():
                return self.nodes, item.name, item
            case IpamClaim():
                return self.ipam_claims, item.key, item
            case Layer3() | Layer2() | Localnet():
                return self.networks, item.name, item
            case _:
                raise TypeError(f"neither a network nor a Node, Pod or IpamClaim: {item!r}")

    def remove(
        self,
        objects: Iterable[Object],
        networks: Iterable[str] = (),
        nodes: Iterable[str] = (),
        pods: Iterable[str] = (),
        ipam_claims: Iterable[str] = (),
    ) -> None:
        """Note objects that go, as values or by name, pods and IPAMClaims as ``namespace/name``."""
        gone_networks, gone_nodes = dict.fromkeys(networks), dict.fromkeys(nodes)
        gone_pods, gone_claims = dict.fromkeys(pods), dict.fromkeys(ipam_claims)
        self.put(objects, gone=True)
        self.networks |= gone_networks
        self.nodes |= gone_nodes
        self.pods |= gone_pods
        self.ipam_claims |= gone_claims


class Roll:
    """Every object that is wanted, by name, with what is needed to find those that a change concerns.

    by_nad     ``namespace/name`` of a NetworkAttachmentDefinition -> network
    by_prefix  what the OVN names of a network begin with -> network
    attached   ``namespace/name`` of a NetworkAttachmentDefinition -> pods that select it
    """

    def __init__(self, topology: Topology) -> None:
        self.style, self.cluster, self.gaps = topology.style, topology.cluster, topology.gaps
        self.networks: dict[str, Network] = {}
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.ipam_claims: dict[str, IpamClaim] = {}
        self.by_nad: dict[str, str] = {}
        self.by_prefix: dict[str, str] = {}
        self.attached: dict[str, dict[str, None]] = {}
        self._claims_of: dict[str, tuple[IpamClaim, ...]] = {}
        self.enter(
            Event(
                topology.gaps,
                {network.name: network for network in topology.networks},
                {node.name: node for node in topology.nodes},
                {key_of_pod(pod): pod for pod in topology.pods},
                {claim.key: claim for claim in topology.ipam_claims},
            )
        )

    def event(self, draft: Draft) -> Event:
        """Return what a draft changes here; nothing is changed yet.

        SpecError  a network cannot be beside the others
        """
        networks = _news(draft.networks, self.networks) if draft.networks else _NONE
        nodes = _news(draft.nodes, self.nodes) if draft.nodes else _NONE
        claims = _news(draft.ipam_claims, self.ipam_claims) if draft.ipam_claims else _NONE
        if networks:
            self._check(networks)
        gaps = self.gaps
        if gaps.networks or gaps.nodes or gaps.pods:
            gaps = Gaps(
                networks=gaps.networks - draft.networks.keys(),
                nodes=gaps.nodes - draft.nodes.keys(),
                pods=gaps.pods - draft.pods.keys(),
                complete=gaps.complete,
            )
        # A pod that is put again unchanged is an event all the same: its owner wants to be told.
        pods = {key: pod for key, pod in draft.pods.items() if pod is not None or key in self.pods}
        return Event(gaps, networks, nodes, pods, claims)

    def event_of(self, topology: Topology) -> Event | None:
        """Return how a topology differs from what is wanted, None if it does in more than objects."""
        if (topology.style, topology.cluster) != (self.style, self.cluster):
            return None
        return Event(
            topology.gaps,
            dict(_differences({network.name: network for network in topology.networks}, self.networks)),
            dict(_differences({node.name: node for node in topology.nodes}, self.nodes)),
            dict(_differences({key_of_pod(pod): pod for pod in topology.pods}, self.pods)),
            dict(_differences({claim.key: claim for claim in topology.ipam_claims}, self.ipam_claims)),
        )

    def undo_of(self, event: Event) -> Event:
        """Return the event that will undo another one, which is not entered yet."""
        pods = {name: self.pods.get(name) for name in event.pods}
        if event.is_about_pods_alone:
            return Event(self.gaps, pods=pods)
        return Event(
            self.gaps,
            {name: self.networks.get(name) for name in event.networks},
            {name: self.nodes.get(name) for name in event.nodes},
            pods,
            {name: self.ipam_claims.get(name) for name in event.ipam_claims},
        )

    def enter(self, event: Event) -> None:
        """Make the change."""
        if event.networks:
            self._enter_networks(event.networks)
        self._enter_pods(event.pods)
        if event.nodes:
            _update(self.nodes, event.nodes)
        if event.ipam_claims:
            _update(self.ipam_claims, event.ipam_claims)
            self._claims_of.clear()
        self.gaps = event.gaps

    def restored(self, undo: Event) -> Roll:
        """Return what was wanted before an event that was entered, but perhaps not to its end."""
        was = self._built(
            _updated(self.networks, undo.networks),
            _updated(self.pods, undo.pods),
            _updated(self.ipam_claims, undo.ipam_claims),
            _updated(self.nodes, undo.nodes),
        )
        return Roll(was.model_copy(update={"gaps": undo.gaps}))

    def _enter_pods(self, pods: Mapping[str, Pod | None]) -> None:
        for name, pod in pods.items():
            self._forget_pod(name)
            if pod is not None:
                self.pods[name] = pod
                for nad in nads_of(pod):
                    self.attached.setdefault(nad, {})[name] = None

    def _enter_networks(self, networks: Mapping[str, Network | None]) -> None:
        for name, network in networks.items():
            self._forget_network(name)
            if network:
                self.networks[name] = network
        for name, network in networks.items():
            if network:
                self.by_nad |= dict.fromkeys(network.nad_keys, name)
                self.by_prefix[prefix(name)] = name

    def topology(self) -> Topology:
        """Return everything as one value."""
        return self._built(self.networks, self.pods, self.ipam_claims, self.nodes)

    def part(
        self, networks: Iterable[str], pods: Iterable[str] | None = None, nodes: Iterable[str] | None = None
    ) -> Topology:
        """Return some networks with the pods and IPAMClaims that have to do with them, and nodes.

        pods   only these; None: all that are attached to them
        nodes  only these; None: all
        """
        chosen = {name: self.networks[name] for name in sorted(networks) if name in self.networks}
        if pods is None:
            nads = (nad for network in chosen.values() for nad in network.nad_keys)
            pods = {pod: None for nad in nads for pod in self.attached.get(nad, ())}
        members = {name: self.pods[name] for name in pods if name in self.pods}
        claims = {}
        if self.ipam_claims:
            referred = {key for pod in members.values() for key in _claims_of(pod)}
            claims = {
                key: claim for key, claim in self.ipam_claims.items() if key in referred or claim.network in chosen
            }
        return self._built(
            chosen, members, claims, self.nodes if nodes is None else {name: self.nodes[name] for name in sorted(nodes)}
        )

    def attachments(self, pods: Iterable[str]) -> Iterator[Wanted]:
        """Yield the attachments of some pods to networks that are wanted; see `wanted_ports`."""
        known = [self.pods[pod] for pod in pods if pod in self.pods]
        for pod in sorted(known, key=attrgetter("namespace", "name")):
            networks = {nad: self.networks[self.by_nad[nad]] for nad in nads_of(pod) if nad in self.by_nad}
            yield from wanted_ports_of_pod(pod, networks)

    def lone_attachment(self, pod: Pod) -> Wanted | None:
        """Return the attachment of a pod that selects one network, None if it has none or selects more."""
        if len(pod.networks) != 1 or not pod.has_ports:
            return None
        [attachment] = pod.networks
        nad = f"{attachment.namespace or pod.namespace}/{attachment.name}"
        network = self.by_nad.get(nad)
        return wanted_port(pod, self.networks[network], nad, attachment) if network else None

    def claims_of(self, network: str) -> tuple[IpamClaim, ...]:
        """Return the IPAMClaims for addresses of a network."""
        if not self.ipam_claims:
            return ()
        found = self._claims_of.get(network)
        if found is None:
            found = tuple(claim for claim in self.ipam_claims.values() if claim.network == network)
            self._claims_of[network] = found
        return found

    def networks_of(self, pods: Iterable[str]) -> set[str]:
        """Return the networks that pods select."""
        known = (self.pods[pod] for pod in pods if pod in self.pods)
        return {self.by_nad[nad] for pod in known for nad in nads_of(pod) if nad in self.by_nad}

    def _built(
        self,
        networks: Mapping[str, Network],
        pods: Mapping[str, Pod],
        claims: Mapping[str, IpamClaim],
        nodes: Mapping[str, Node],
    ) -> Topology:
        # Its parts have been checked, alone and beside each other.
        return Topology.model_construct(
            networks=tuple(networks.values()),
            nodes=tuple(nodes.values()),
            pods=tuple(pods.values()),
            ipam_claims=tuple(claims.values()),
            cluster=self.cluster,
            style=self.style,
            gaps=self.gaps,
        )

    def _check(self, networks: Mapping[str, Network | None]) -> None:
        put = [network for network in networks.values() if network]
        rivals = {self.by_prefix.get(prefix(network.name)) for network in put}
        rivals |= {self.by_nad.get(nad) for network in put for nad in network.nad_keys}
        beside = [self.networks[name] for name in rivals if name and name not in networks]
        if put:
            Topology(networks=[*beside, *put], cluster=self.cluster)

    def _forget_network(self, name: str) -> None:
        if network := self.networks.pop(name, None):
            for nad in network.nad_keys:
                if self.by_nad.get(nad) == name:
                    del self.by_nad[nad]
            if self.by_prefix.get(prefix(name)) == name:
                del self.by_prefix[prefix(name)]

    def _forget_pod(self, name: str) -> None:
        if pod := self.pods.pop(name, None):
            for nad in nads_of(pod):
                self.attached[nad].pop(name)
                if not self.attached[nad]:
                    del self.attached[nad]


def key_of_pod(pod: Pod) -> str:
    """Return ``namespace/name``."""
    return f"{pod.namespace}/{pod.name}"


def nads_of(pod: Pod) -> set[str]:
    """Return ``namespace/name`` of every NetworkAttachmentDefinition that a pod selects."""
    return {f"{attachment.namespace or pod.namespace}/{attachment.name}" for attachment in pod.networks}


def _claims_of(pod: Pod) -> Iterator[str]:
    references = (attachment.ipam_claim_reference for attachment in pod.networks)
    return (f"{pod.namespace}/{reference}" for reference in references if reference)


def _news(said: Mapping[str, V | None], known: Mapping[str, V]) -> Mapping[str, V | None]:
    return {name: value for name, value in said.items() if value != known.get(name)}


def _differences(wanted: Mapping[str, V], known: Mapping[str, V]) -> Iterator[tuple[str, V | None]]:
    for name, value in wanted.items():
        before = known.get(name)
        if value is not before and value != before:
            yield name, value
    yield from ((name, None) for name in known if name not in wanted)


def _updated(known: Mapping[str, V], changes: Mapping[str, V | None]) -> Mapping[str, V]:
    changed = dict(known)
    _update(changed, changes)
    return changed


def _update(known: dict[str, V], changes: Mapping[str, V | None]) -> None:
    for name, value in changes.items():
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value
