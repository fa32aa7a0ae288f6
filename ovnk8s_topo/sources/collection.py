"""Putting together what many documents describe, in whatever order they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ovnk8s_topo.errors import Position, Problem
from ovnk8s_topo.sources.documents import Document, Stream, visible
from ovnk8s_topo.sources.found import Found, Notice
from ovnk8s_topo.sources.ipam_claims import ReadClaim, claim_from_object
from ovnk8s_topo.sources.nad import CONFIG, Nad, nad_from_object
from ovnk8s_topo.sources.netconf_network import differences, network_from_netconf
from ovnk8s_topo.sources.netconf_rules import Setting
from ovnk8s_topo.sources.nodes import node_from_object
from ovnk8s_topo.sources.objects import objects_in
from ovnk8s_topo.sources.pods import pod_from_object
from ovnk8s_topo.sources.topofile import (
    claim_from_entry,
    is_topofile,
    network_from_entry,
    node_from_entry,
    pod_from_entry,
    sections,
)
from ovnk8s_topo.spec import Cluster, Gaps, IpamClaim, Layer3, Network, Node, Pod, Style, Topology
from ovnk8s_topo.spec.topology import faults_between, faults_between_claims

NAD_KIND = "NetworkAttachmentDefinition"
KINDS = {
    NAD_KIND: ("k8s.cni.cncf.io", "v1"),
    "Node": ("", "v1"),
    "Pod": ("", "v1"),
    "IPAMClaim": ("k8s.cni.cncf.io", "v1alpha1"),
}

T = TypeVar("T", Network, Node, Pod)


@dataclass(slots=True)
class OpenEnds:
    """The gaps of a topology while they are being found."""

    networks: set[str] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    complete: bool = True

    def add(self, gaps: Gaps) -> None:
        """Take in more of them."""
        self.networks |= gaps.networks
        self.nodes |= gaps.nodes
        self.pods |= gaps.pods
        self.complete = self.complete and gaps.complete

    def frozen(self) -> Gaps:
        """Return what was found so far."""
        return Gaps(networks=self.networks, nodes=self.nodes, pods=self.pods, complete=self.complete)


@dataclass(slots=True)
class Collection:
    """What has been read so far.

    networks, nodes, pods  the sound ones, with where each was found
    nads, claims           all definitions and IPAMClaims, sound or not
    gaps                   what the faults leave open
    """

    setting: Setting
    lenient: bool = False
    networks: list[tuple[Network, Found]] = field(default_factory=list)
    nodes: list[tuple[Node, Found]] = field(default_factory=list)
    pods: list[tuple[Pod, Found]] = field(default_factory=list)
    nads: list[Nad] = field(default_factory=list)
    claims: list[ReadClaim] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    gaps: OpenEnds = field(default_factory=OpenEnds)

    def add(self, stream: Stream) -> None:
        """Take in the documents of one file."""
        if stream.problems:
            self.problems += stream.problems
            self.gaps.complete = False
        for document in stream.documents:
            if is_topofile(document):
                self._add_topofile(document)
            else:
                self._add_objects(document)

    def _add_topofile(self, document: Document) -> None:
        whole, entries = sections(document)
        self._note(whole)
        if whole.problems:
            self.gaps.complete = False
        for found in entries["networks"]:
            self._keep(found, *network_from_entry(found), self.networks, self.gaps.networks)
        for found in entries["nodes"]:
            self._keep(found, *node_from_entry(found), self.nodes, self.gaps.nodes)
        for found in entries["pods"]:
            self._keep(found, *pod_from_entry(found), self.pods, self.gaps.pods)
        for found in entries["ipamClaims"]:
            self._keep_claim(claim_from_entry(found))

    def _add_objects(self, document: Document) -> None:
        for version, kind, found in objects_in(document):
            if kind in KINDS and self._is_ours(version, kind, found):
                self._add_object(kind, found)
            elif kind and not found.problems:
                self.ignored[visible(kind)] += 1
            else:
                self._note(found)
                self.gaps.complete = False

    def _is_ours(self, version: str, kind: str, found: Found) -> bool:
        group, _, number = version.rpartition("/")
        wanted_group, wanted = KINDS[kind]
        if group == wanted_group and number != wanted:
            found.refuse(("apiVersion",), f"must be {'/'.join(filter(None, KINDS[kind]))} for a {kind}", repr(version))
        return (group, number) == KINDS[kind]

    def _add_object(self, kind: str, found: Found) -> None:
        if kind == NAD_KIND:
            nad = nad_from_object(found, self.setting, lenient=self.lenient)
            self.ignored.update([NAD_KIND] if nad.ignored else [])
            self._note(found)
            self.nads.append(nad)
        elif kind == "Node":
            self._keep(found, *node_from_object(found), self.nodes, self.gaps.nodes)
        elif kind == "Pod":
            self._keep(found, *pod_from_object(found), self.pods, self.gaps.pods)
        else:
            self._keep_claim(claim_from_object(found))

    def _keep_claim(self, read: ReadClaim) -> None:
        self._note(read.found)
        self.claims.append(read)

    def _note(self, found: Found) -> None:
        self.problems += found.problems
        self.notices += found.notices

    def _keep(self, found: Found, name: str, made: T | None, into: list[tuple[T, Found]], gaps: set[str]) -> None:
        self._note(found)
        if made is not None:
            into.append((made, found))
        elif name:
            gaps.add(name)
        else:
            self.gaps.complete = False

    def finish(self) -> None:
        """Make networks of the definitions, and look at what is between the objects."""
        self._merge_nads()
        self._open_what_failed()
        self._judge_claims()
        while self._drop_conflicts():
            continue
        self._notice_references()

    def _merge_nads(self) -> None:
        """Make one network of all definitions of one name; the first by key counts, one that differs is at fault."""
        self._refuse_equal_keys()
        by_network: dict[str, list[Nad]] = {}
        for nad in sorted(self.nads, key=lambda nad: nad.key):
            if nad.netconf:
                by_network.setdefault(nad.network, []).append(nad)
        for nads in by_network.values():
            first = nads[0]
            keys = [nad.key for nad in nads if self._agrees(nad, first)]
            assert first.netconf
            self.networks.append((network_from_netconf(first.netconf, keys), first.found))

    def _refuse_equal_keys(self) -> None:
        """Leave out all of several definitions with one key, for their order must not matter."""
        count = Counter(nad.key for nad in self.nads if nad.netconf)
        for nad in self.nads:
            if nad.netconf and count[nad.key] > 1:
                nad.found.refuse(("metadata", "name"), "two NetworkAttachmentDefinitions have this name")
                self._note_late(nad)

    def _note_late(self, nad: Nad) -> None:
        self.problems += nad.found.problems
        nad.netconf = None

    def _agrees(self, nad: Nad, first: Nad) -> bool:
        if nad is first:
            return True
        assert nad.netconf
        assert first.netconf
        differing = [*differences(nad.netconf, first.netconf)]
        if differing:
            why = f"differs from {first.found.subject} of the same network {nad.network} in {', '.join(differing)}"
            nad.found.refuse(CONFIG, why, tail=f".{differing[0]}", offset=nad.netconf.offsets.get(differing[0], 0))
            self._note_late(nad)
        return not differing

    def _open_what_failed(self) -> None:
        """Leave open the network of a definition at fault or, if others describe it, the pods that use this one."""
        described = {network.name for network, _ in self.networks}
        for nad in self.nads:
            if not nad.found.problems:
                continue
            if not (nad.key and nad.network):
                self.gaps.complete = False
            elif nad.network not in described:
                self.gaps.networks.add(nad.network)
            else:
                self._open_users(nad.key)

    def _open_users(self, nad_key: str) -> None:
        users = {_pod_key(pod) for pod, _ in self.pods if nad_key in _selected(pod)}
        self.gaps.pods |= users
        self.pods = [(pod, found) for pod, found in self.pods if _pod_key(pod) not in users]

    def _judge_claims(self) -> None:
        """Leave out claims at fault and, since what they hold is not known, the networks that would have to heed it."""
        heeding = {network.name for network, _ in self.networks if network.honours_claims}
        for read in self.claims:
            if read.claim is None:
                self.gaps.networks |= {read.network} & heeding if read.network else heeding
        sound = [(read.claim, read.found.position()) for read in self.claims if read.claim]
        for problem, gaps in faults_between_claims([claim for claim, _ in sound]):
            places = [place for claim, place in sound if str(claim) == problem.subject]
            self.problems.append(replace(problem, position=places[-1]))
            self.gaps.networks |= gaps.networks & heeding

    def sound_claims(self) -> list[IpamClaim]:
        """Return the claims that are fine, by name."""
        claims = [read.claim for read in self.claims if read.claim]
        count = Counter(claim.key for claim in claims)
        return sorted((claim for claim in claims if count[claim.key] == 1), key=lambda claim: claim.key)

    def _drop_conflicts(self) -> bool:
        """Note the faults between objects and leave all of them out; return whether that left out any."""
        faults = [*faults_between(*self.sorted_parts(), self.setting.cluster)]
        places = self._places() if faults else {}
        for problem, gaps in faults:
            self.problems.append(replace(problem, position=_last_place(gaps, places)))
            self.gaps.add(gaps)
        before = len(self.networks) + len(self.nodes) + len(self.pods)
        self.networks = [pair for pair in self.networks if pair[0].name not in self.gaps.networks]
        self.nodes = [pair for pair in self.nodes if pair[0].name not in self.gaps.nodes]
        self.pods = [pair for pair in self.pods if _pod_key(pair[0]) not in self.gaps.pods]
        return len(self.networks) + len(self.nodes) + len(self.pods) < before

    def _places(self) -> dict[tuple[str, str], list[Position]]:
        places: dict[tuple[str, str], list[Position]] = {}
        for network, found in self.networks:
            places.setdefault(("network", network.name), []).append(found.position())
        for node, found in self.nodes:
            places.setdefault(("node", node.name), []).append(found.position())
        for pod, found in self.pods:
            places.setdefault(("pod", _pod_key(pod)), []).append(found.position())
        return places

    def sorted_parts(self) -> tuple[list[Network], list[Node], list[Pod]]:
        """Return networks, nodes and pods in the order of their names."""
        networks = sorted((network for network, _ in self.networks), key=lambda network: network.name)
        nodes = sorted((node for node, _ in self.nodes), key=lambda node: node.name)
        pods = sorted((pod for pod, _ in self.pods), key=lambda pod: (pod.namespace, pod.name))
        return networks, nodes, pods

    def _notice_references(self) -> None:
        known = {nad.key for nad in self.nads} | {key for network, _ in self.networks for key in network.nad_keys}
        unknown: dict[str, list[tuple[str, Found]]] = {}
        for pod, found in self.pods:
            for key in _selected(pod) - known:
                unknown.setdefault(key, []).append((_pod_key(pod), found))
        self.notices += [_unknown_nad(key, users) for key, users in sorted(unknown.items())]
        if any(isinstance(network, Layer3) for network, _ in self.networks):
            self.notices += _nameless_chassis(self.nodes)

    def topology(self, style: Style) -> Topology:
        """Build the result."""
        networks, nodes, pods = self.sorted_parts()
        return Topology(
            networks=networks,
            nodes=nodes,
            pods=pods,
            ipam_claims=self.sound_claims(),
            cluster=self.setting.cluster,
            style=style,
            gaps=self.gaps.frozen(),
        )


def _pod_key(pod: Pod) -> str:
    return f"{pod.namespace}/{pod.name}"


def _selected(pod: Pod) -> set[str]:
    return {f"{each.namespace or pod.namespace}/{each.name}" for each in pod.networks}


def _last_place(gaps: Gaps, places: dict[tuple[str, str], list[Position]]) -> Position | None:
    names = [*(("network", name) for name in gaps.networks), *(("node", name) for name in gaps.nodes)]
    names += [("pod", name) for name in gaps.pods]
    found = [place for name in names for place in places.get(name, [])]
    return max(found, key=lambda place: (place.file, place.line, place.column), default=None)


def _unknown_nad(key: str, users: list[tuple[str, Found]]) -> Notice:
    first, found = min(users, key=lambda user: user[0])
    more = f" (and {len(users) - 1} more pods)" if len(users) > 1 else ""
    text = f"attaches to {NAD_KIND} {key}, which is not described: no port is made for it{more}"
    return Notice(text, f"Pod {first}", found.position())


def _nameless_chassis(nodes: Iterable[tuple[Node, Found]]) -> Iterator[Notice]:
    for node, found in nodes:
        if not node.chassis_id:
            text = "has no annotation k8s.ovn.org/node-chassis-id: using its name as its chassis"
            yield Notice(text, f"Node {node.name}", found.position())


def setting_from_cluster(cluster: Cluster | None) -> Setting:
    """Return what configurations are judged against."""
    return Setting(cluster=cluster or Cluster())
