"""A small cluster, its Northbound rows, its annotations, and a plain model of who was given what.

Every action changes the description or loses records, plans, and compares the outcome with the model. Actions take
plain numbers, so that Hypothesis and a seeded walk can drive the very same code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network

from recovery_model import Facts, Home, Ip, Net, Owner, home_of, inside, nets, overlap
from snapshot_nb import without

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Pod, Topology
from ovnk8s_topo.changes import ChangeSet, apply_changes
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.planner.desired import Desired
from ovnk8s_topo.planner.wanted import Wanted, wanted_ports
from ovnk8s_topo.reconciler import Options, plan_from_snapshot
from ovnk8s_topo.spec import Given, Network

ME = "me"

VARIANTS: Mapping[str, list[Network]] = {
    "three": [
        Layer3(name="three", nads="ns/three", subnets="10.1.0.0/24/27"),
        Layer3(name="three", nads="ns/three", subnets="10.1.0.0/24/27,fd01::/61"),
        Layer3(name="three", nads="ns/three", subnets="10.1.0.0/25/27,10.2.0.0/26/27"),
    ],
    "two": [
        Layer2(name="two", nads="ns/two", subnets="10.3.0.0/29"),
        Layer2(name="two", nads="ns/two", subnets="10.3.0.0/29,fd03::/64"),
        Layer2(name="two", nads="ns/two", subnets="10.3.0.0/29", exclude_subnets="10.3.0.2/31"),
        Layer2(name="two", nads="ns/two", subnets="10.3.0.0/28"),
        Layer2(name="two", nads="ns/two", subnets="10.3.0.0/28,fd03::/125"),
    ],
    "lan": [
        Localnet(name="lan", nads="ns/lan", subnets="10.5.0.0/24", exclude_subnets="10.5.0.0/29"),
        Localnet(name="lan", nads="ns/lan", subnets="10.5.0.0/24", exclude_subnets="10.5.0.0/28,10.5.0.64/30"),
        Localnet(name="lan", nads="ns/lan", subnets="10.5.0.0/24,fd05::/120", exclude_subnets="fd05::10/124"),
        Localnet(name="lan", nads="ns/lan", subnets="10.5.0.0/24,fd05::/122", exclude_subnets="fd05::10/124"),
    ],
}
SELECTIONS = [*["ns/lan", "ns/lan,ns/three", "ns/three", "ns/lan,ns/lan"] * 24, "ns/two", "ns/two,ns/lan,ns/three"]
NODES = [f"n{number}" for number in range(1, 10)]
"""One more than the largest network has slices."""

CROWD = 150
"""How many pods there are at most, but for those that exhaust a network."""

MANY = 260
"""More pods than any switch has addresses."""


@dataclass(frozen=True)
class Kept:
    """What must still be there after a plan: whatever is on record and can still be had."""

    slices: Mapping[str, tuple[Net, ...]]
    ips: Mapping[Owner, tuple[Ip, ...]]


class World:
    """A cluster that changes, and what was given in it.

    steps  how many times somebody has got addresses or given some back
    """

    def __init__(self) -> None:
        self.networks = {name: variants[0] for name, variants in VARIANTS.items()}
        self.nodes = dict.fromkeys(NODES[:3])
        self.pods: dict[str, Pod] = {}
        self.nb, self.facts = Snapshot.of([]), Facts({}, {})
        self.pod_notes: dict[str, dict[str, Given]] = {}
        self.node_notes: dict[str, tuple[Net, ...]] = {}
        self.born = self.steps = 0

    # What happens: each action takes two numbers, which say to whom and to how many --------------------------------

    def add_pods(self, pick: int, count: int) -> None:
        for number in range(pick, pick + min(count, CROWD - len(self.pods))):
            self.put_pod(f"p{self.born + 1}", number // 3, SELECTIONS[number % len(SELECTIONS)])
        self.settle(prune=bool(pick & 1))

    def delete_pods(self, pick: int, count: int) -> None:
        for name in self.some_pods(pick, count):
            self.drop_pod(name)
        self.settle(prune=bool(pick & 1))

    def replace_pods(self, pick: int, count: int) -> None:
        """Others of the same names take their places, between one plan and the next."""
        for name in self.some_pods(pick, count):
            self.drop_pod(name)
            self.put_pod(name, pick + self.born, SELECTIONS[(pick + self.born) % len(SELECTIONS)])
        self.settle(prune=bool(pick & 1))

    def move_pods(self, pick: int, count: int) -> None:
        for name in self.some_pods(pick, count):
            self.pods[name] = self.pods[name].model_copy(
                update={"node": sorted(self.nodes or NODES)[pick % 3 % max(len(self.nodes), 1)]}
            )
        self.settle(prune=bool(pick & 1))

    def add_nodes(self, pick: int, count: int) -> None:
        self.nodes |= dict.fromkeys(NODES[number % len(NODES)] for number in range(pick, pick + count))
        self.settle(prune=bool(pick & 1))

    def delete_node(self, pick: int, count: int) -> None:
        """Its pods go with it, or stay behind for a while."""
        node = NODES[pick % len(NODES)]
        self.nodes.pop(node, None)
        self.node_notes.pop(node, None)
        for name in [name for name, pod in self.pods.items() if pod.node == node and count & 1]:
            self.drop_pod(name)
        self.settle(prune=bool(pick & 1))

    def change_network(self, pick: int, count: int) -> None:
        """Other excludes, other ranges, a second family, or back."""
        name = sorted(VARIANTS)[pick % len(VARIANTS)]
        self.networks[name] = VARIANTS[name][count % len(VARIANTS[name])]
        self.settle(prune=bool(pick & 1))

    def exhaust_and_free(self, pick: int, count: int) -> None:
        """Ask one network for more than it has, then give all or nearly all of it back."""
        name = sorted(VARIANTS)[pick % len(VARIANTS)]
        before = set(self.pods)
        for number in range(MANY):
            self.put_pod(f"p{self.born + 1}", pick + (number if count & 2 else 0), f"ns/{name}")
        self.settle(prune=bool(pick & 1))
        newcomers = sorted(self.pods.keys() - before)
        for pod in newcomers[5 * (count & 1) :]:
            self.drop_pod(pod)
        self.settle(prune=True)

    def lose_rows(self, pick: int, count: int) -> None:
        rows = sorted(self.nb.rows)
        gone = [rows[(pick + number * 37) % len(rows)] for number in range(count)] if rows else []
        self.forget(Snapshot.of(without(self.nb, gone)))
        self.settle(prune=bool(pick & 1))

    def restart_from_nb(self, pick: int, count: int) -> None:
        """Nobody knows what it was told; sometimes a part of the rows is lost as well."""
        self.pod_notes, self.node_notes = {}, {}
        self.lose_rows(pick, count // 4 if count & 1 else 0)

    def restart_from_annotations(self, pick: int, count: int) -> None:
        self.forget(Snapshot.of([]))
        self.settle(prune=bool(pick & 1))

    def restart(self, pick: int, count: int) -> None:
        """With everything at hand nothing is left to do."""
        self.settle(prune=bool(pick & 1))
        assert self.settle(prune=bool(pick & 1)).is_empty

    def end(self) -> None:
        """When all are gone, everything can be given again, to the last address."""
        self.pods, self.pod_notes, self.nodes, self.node_notes = {}, {}, dict[str, None](), {}
        self.settle(prune=True)
        assert not self.facts.ports
        assert not self.facts.slices
        self.nodes = dict.fromkeys(NODES[:2])
        for network in VARIANTS:
            for number in range(2 * MANY):
                self.put_pod(f"p{self.born + 1}", number % 2, f"ns/{network}")
        self.settle(prune=True)
        given = Counter(port.network for port in self.facts.ports.values())
        switches = {"three": 2, "two": 1, "lan": 1}
        for network, number in switches.items():
            assert given[network] == number * min(home.size for home in self.homes(network, "n1")), network

    # The description ---------------------------------------------------------------------------------------------

    def put_pod(self, name: str, node: int, selection: str) -> None:
        self.born += 1
        # Now and then on a node that is not described (any more).
        homes = sorted(self.nodes) if self.nodes and node % 16 else NODES
        where = homes[node % len(homes)]
        self.pods[name] = Pod(namespace="ns", name=name, uid=f"u{self.born}", node=where, networks=selection)

    def drop_pod(self, name: str) -> None:
        del self.pods[name]
        self.pod_notes.pop(name, None)

    def some_pods(self, pick: int, count: int) -> list[str]:
        names = sorted(self.pods)
        start = pick % len(names) if names else 0
        return (names[start:] + names[:start])[:count]

    def forget(self, left: Snapshot) -> None:
        self.nb = left

    def topology(self) -> Topology:
        pods = [pod.model_copy(update={"given": self.pod_notes.get(name, {})}) for name, pod in self.pods.items()]
        nodes = [Node(name=name, subnets={"three": list(map(str, self.noted(name)))}) for name in self.nodes]
        return Topology(networks=tuple(self.networks.values()), nodes=nodes, pods=pods)

    def noted(self, node: str) -> tuple[Net, ...]:
        return self.node_notes.get(node, ())

    # One plan, and what must hold after it -----------------------------------------------------------------------

    def settle(self, *, prune: bool) -> ChangeSet:
        topology = self.topology()
        items = list(wanted_ports(topology))
        kept, before = self.to_keep(items), self.facts.ports
        options = Options(prune=prune, allow_mass_delete=True, keep_going=True)
        plan = plan_from_snapshot(topology, self.nb, ME, options)
        self.nb = apply_changes(self.nb, plan.changes)
        self.facts = Facts.of(self.nb)
        self.steps += len(self.facts.ports.items() ^ before.items())
        self.note(items, plan.desired)
        self.check_nobody_shares()
        self.check_nobody_moved(kept)
        self.check_grants(items, plan.desired)
        self.check_refusals(items, plan.desired)
        if prune:
            self.check_nobody_lingers(items, plan.desired)
        return plan.changes

    def note(self, items: Sequence[Wanted], desired: Desired) -> None:
        """Tell pods and nodes what they got, as a caller would."""
        for item in items:
            if grant := desired.grants.get(item.port):
                ips = tuple(f"{address}/{32 if address.version == 4 else 128}" for address in grant.addresses)
                notes = self.pod_notes.setdefault(item.pod.name, {})
                if item.nad_key not in notes or notes[item.nad_key].ips != ips:
                    self.pod_notes[item.pod.name] = notes | {item.nad_key: Given(ips=ips, mac=grant.mac)}
        self.node_notes |= {node: slices for node, slices in self.facts.slices.items() if node in self.nodes}

    def check_nobody_shares(self) -> None:
        holders = Counter((port.network, ip) for port in self.facts.ports.values() for ip in port.ips)
        assert not [place for place, count in holders.items() if count > 1]
        slices = [net for held in self.facts.slices.values() for net in held]
        assert not [one for one in slices for other in slices if one is not other and overlap(one, other)]

    def check_nobody_moved(self, kept: Kept) -> None:
        for node, slices in kept.slices.items():
            now = self.facts.slices.get(node, slices)
            assert set(slices) <= set(now), f"{node} had {slices}, has {now}"
        for owner, ips in kept.ips.items():
            has = self.facts.ports[owner].ips if owner in self.facts.ports else ips
            assert set(ips) <= set(has), f"{owner} had {ips}, has {has}"

    def check_grants(self, items: Sequence[Wanted], desired: Desired) -> None:
        """What was granted is in the database, is one address of every subnet, and may be given."""
        for item in items:
            if grant := desired.grants.get(item.port):
                ips = self.facts.ports[owner_of(item)].ips
                assert [str(ip) for ip in ips] == [str(address) for address in grant.addresses]
                homes = self.homes(item.network.name, item.pod.node)
                assert len(ips) == len(homes)
                assert all(any(ip in home for ip in ips) for home in homes), f"{item.label} got {ips}"

    def check_refusals(self, items: Sequence[Wanted], desired: Desired) -> None:
        """Nobody is refused while there is room: what nobody holds can be given."""
        in_use = {(port.network, ip) for port in self.facts.ports.values() for ip in port.ips}
        in_use |= {(item.network.name, ip) for item in items for ip in self.noted_ips(item)}
        served = {key.name.rpartition("_")[2] for key in desired.rows if key.table == "Logical_Router_Port"}
        for network, node in {(item.network.name, item.pod.node) for item in items if item.port not in desired.grants}:
            if network == "three" and node not in served:
                assert node not in self.nodes or self.slices_are_used_up(), f"{node} was refused a slice"
                continue
            used = [ip for of, ip in in_use if of == network]
            full = [home for home in self.homes(network, node) if sum(ip in home for ip in used) == home.size]
            assert full, f"a pod on {node} was refused though {network} has room"

    def slices_are_used_up(self) -> bool:
        used = [net for held in [*self.facts.slices.values(), *self.node_notes.values()] for net in held]
        free = {4: 0, 6: 0} | {net.version: 0 for net in nets(self.networks["three"].ranges)}
        for entry in getattr(self.networks["three"], "subnets", ()):
            cut = ip_network(str(entry.subnet)).subnets(new_prefix=entry.host_len)
            free[entry.subnet.version] += sum(not any(overlap(net, other) for other in used) for net in cut)
        return any(not free[net.version] for net in nets(self.networks["three"].ranges))

    def check_nobody_lingers(self, items: Sequence[Wanted], desired: Desired) -> None:
        """After a prune only the living hold something, and who is left alone: pods and nodes that were refused."""
        alive = {item.port for item in items}
        pods = tuple(f"_{pod.replace('/', '_')}" for pod in desired.gaps.pods)
        nodes = tuple(f"_{node}" for node in desired.gaps.nodes)
        for owner, port in self.facts.ports.items():
            assert owner.port in alive or owner.port.endswith(pods) or port.switch.endswith(nodes), owner

    # What the model knows ----------------------------------------------------------------------------------------

    def homes(self, network: str, node: str) -> list[Home]:
        """What an attachment gets one address of each from."""
        described = self.networks[network]
        if isinstance(described, Layer3):
            return [home_of(net, withheld=2) for net in self.facts.slices[node]]
        return [home_of(net, nets(described.excluded)) for net in nets(described.ranges)]

    def noted_ips(self, item: Wanted) -> tuple[Ip, ...]:
        note = self.pod_notes.get(item.pod.name, {}).get(item.nad_key)
        return tuple(ip_interface(text).ip for text in note.ips) if note else ()

    def to_keep(self, items: Sequence[Wanted]) -> Kept:
        recorded = Facts.of(self.nb)
        slices = dict(self.slices_to_keep(recorded))
        return Kept(slices, {owner_of(item): self.ips_to_keep(item, recorded, slices) for item in items})

    def slices_to_keep(self, recorded: Facts) -> Iterator[tuple[str, tuple[Net, ...]]]:
        """Yield nodes with what was noted or is in the database, and still lies in the network."""
        ranges = nets(self.networks["three"].ranges)
        for node in self.nodes:
            found = self.noted(node) or recorded.slices.get(node, ())
            yield node, tuple(net for net in found if any(inside(net, whole) for whole in ranges))

    def ips_to_keep(self, item: Wanted, recorded: Facts, slices: Mapping[str, tuple[Net, ...]]) -> tuple[Ip, ...]:
        """Return what an owner is known to have, as far as it may still be given."""
        excluded = nets(item.network.excluded)
        if isinstance(item.network, Layer3):
            homes = [home_of(net, withheld=2) for net in slices.get(item.pod.node, ())]
        else:
            homes = [home_of(net, excluded) for net in nets(item.network.ranges)]
        port = recorded.ports.get(owner_of(item))
        known = self.noted_ips(item) or (port.ips if port else ())
        return tuple(ip for ip in known if any(ip in home for home in homes))


def owner_of(item: Wanted) -> Owner:
    return Owner(item.port, item.pod.uid)
