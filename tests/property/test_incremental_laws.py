"""Whatever is put and removed, whoever meddles: every event does what planning the whole topology would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from snapshot_nb import without
from tracked_nb import TrackedNb

from ovnk8s_topo import IpamClaim, Layer2, Layer3, Localnet, Node, Pod, Reconciler, Topology
from ovnk8s_topo.diff import apply_changes
from ovnk8s_topo.errors import AllocationError, OwnershipError
from ovnk8s_topo.live import Object, Way
from ovnk8s_topo.nb.ownership import owned_by
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, TABLES, Key, LogicalSwitch, LogicalSwitchPort
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import wanted_ports
from ovnk8s_topo.planning import Options, unguarded_plan
from ovnk8s_topo.reconciler import Result
from ovnk8s_topo.spec import Cluster, Gaps, Network

ME = "me"
SEEN: Counter[Way] = Counter()

NETWORKS: Mapping[str, list[Network]] = {
    "a": [
        Layer3(name="a", subnets="10.1.0.0/26/28", nads="ns/a"),
        Layer3(name="a", subnets="10.1.0.0/27/29,fd01::/60", nads="ns/a"),
        Layer2(name="a", subnets="10.1.0.0/28", nads=["ns/a", "ns/a2"]),
    ],
    "b-x": [
        Layer2(name="b-x", subnets="10.1.0.0/29,fd02::/64", nads="ns/b", allow_persistent_ips=True),
        Layer2(name="b-x", nads="ns/b"),
        Localnet(name="b-x", subnets="10.1.0.0/28", exclude_subnets="10.1.0.0/30", nads=["ns/b", "ns/b2"], vlan_id=5),
        Layer2(name="b-x", subnets="fd02::/64,10.1.0.0/28", nads="ns/b", allow_persistent_ips=True),
    ],
    "b.x": [Layer2(name="b.x", subnets="10.1.0.0/28", nads="ns/b.x")],
    "c.y": [Layer3(name="c.y", subnets="fd03::/62", nads="ns/c"), Localnet(name="c.y", nads="ns/c", vlan_id=7)],
}
NODES = ["n1", "n2", "n-3"]
SELECTIONS = [
    "ns/a",
    "ns/b",
    "ns/a,ns/b,ns/c",
    "ns/a,ns/a,ns/a2",
    "ns/b,ns/b2",
    "other/x",
    '[{"name": "b", "mac": "0a:58:0a:01:00:05"}]',
    '[{"name": "a", "mac": "02:00:00:00:00:01"}, {"name": "b", "mac": "02:00:00:00:00:01"}]',
    '[{"name": "b", "ips": ["10.1.0.5"]}]',
    '[{"name": "a", "ips": ["10.1.0.6"]}, {"name": "c"}]',
    '[{"name": "b", "ipam-claim-reference": "vm1"}]',
    '[{"name": "b", "ipam-claim-reference": "vm2"}, {"name": "a"}]',
]
PODS = ["p1", "p2", "p-3", "P.4", "p5", "p6"]
CLAIMS = ["vm1", "vm2"]


class Events(RuleBasedStateMachine):
    """A reconciler that is told of events, beside the plan of everything."""

    keep_going: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.nb = TrackedNb()
        self.me = Reconciler(self.nb, owner=ME)
        self.networks: dict[str, Network] = {}
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.claims: dict[str, IpamClaim] = {}
        self.cluster = Cluster()
        self.gaps = Gaps()
        self.uids = 0
        self.told: Plan | None = None
        self.leftovers: set[str] = set()

    @initialize(honour=st.booleans(), picks=st.lists(st.integers(0, 9), min_size=4, max_size=4))
    def begin(self, honour: bool, picks: list[int]) -> None:
        self.cluster = Cluster(fixed_addresses="honour" if honour else "refuse")
        self.nodes = {name: Node(name=name) for name in NODES[: picks[3] % 4]}
        for name, pick in zip(["a", "b-x", "c.y"], picks[:3], strict=True):
            if pick:
                self.networks[name] = NETWORKS[name][pick % len(NETWORKS[name])]
        self.start()

    # Events -------------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(sorted(NETWORKS)), pick=st.integers(0, 9))
    def put_network(self, name: str, pick: int) -> None:
        rival = {"b-x": "b.x", "b.x": "b-x"}.get(name)
        self.happen([NETWORKS[name][pick % len(NETWORKS[name])]], networks=[rival] if rival else [])

    @rule(name=st.sampled_from(sorted(NETWORKS)))
    def remove_network(self, name: str) -> None:
        self.happen([], networks=[name])

    @rule(
        name=st.sampled_from(NODES),
        chassis=st.sampled_from(["", "c-1"]),
        pods=st.booleans(),
        subnets=st.sampled_from([{}, {}, *({"a": [f"10.1.0.{first}/28"]} for first in (0, 16, 32))]),
    )
    def put_node(self, name: str, chassis: str, pods: bool, subnets: dict[str, list[str]]) -> None:
        more: list[Object] = [self.new_pod(PODS[5], name, SELECTIONS[2])] if pods else []
        self.happen([Node(name=name, chassis_id=chassis and f"{chassis}-{name}", subnets=subnets), *more])

    @rule(name=st.sampled_from(NODES), drain=st.booleans())
    def remove_node(self, name: str, drain: bool) -> None:
        self.happen([], nodes=[name], pods=[key for key, pod in self.pods.items() if drain and pod.node == name])

    @rule(name=st.sampled_from(PODS), node=st.sampled_from(NODES), selection=st.sampled_from(SELECTIONS))
    def put_pod(self, name: str, node: str, selection: str) -> None:
        self.happen([self.new_pod(name, node, selection)])

    @rule(
        names=st.lists(st.sampled_from(PODS), min_size=2, unique=True),
        node=st.sampled_from(NODES),
        selection=st.sampled_from(SELECTIONS),
        gone=st.lists(st.sampled_from(PODS), max_size=2),
    )
    def put_pods(self, names: list[str], node: str, selection: str, gone: list[str]) -> None:
        self.happen(
            [self.new_pod(name, node, selection) for name in names],
            pods=[f"ns/{name}" for name in gone if name not in names],
        )

    @rule(name=st.sampled_from(PODS), values=st.sampled_from([{"node": "n2"}, {"phase": "Failed"}, {"node": ""}]))
    def change_pod(self, name: str, values: dict[str, str]) -> None:
        if pod := self.pods.get(f"ns/{name}"):
            self.happen([pod.model_copy(update=values)])

    @rule(names=st.lists(st.sampled_from(PODS), min_size=1, unique=True))
    def remove_pods(self, names: list[str]) -> None:
        self.happen([], pods=[f"ns/{name}" for name in names])

    @rule(name=st.sampled_from(CLAIMS), ips=st.sampled_from([(), ("10.1.0.3/29", "fd02::3/64"), ("10.1.0.4/28",)]))
    def put_claim(self, name: str, ips: tuple[str, ...]) -> None:
        self.happen([IpamClaim(namespace="ns", name=name, network="b-x", ips=ips)])

    @rule(name=st.sampled_from(CLAIMS))
    def remove_claim(self, name: str) -> None:
        self.happen([], ipam_claims=[f"ns/{name}"])

    @precondition(lambda self: self.told)
    @rule(claims=st.booleans(), nodes=st.booleans())
    def write_down_what_was_told(self, claims: bool, nodes: bool) -> None:
        """As a controller does: what it was told goes into annotations, and comes back as an event."""
        assert self.told is not None
        told = self.told.told
        objects: list[Object] = []
        for key, given in told.pod_networks().items():
            if key in self.pods:
                objects.append(self.pods[key].model_copy(update={"given": {**self.pods[key].given, **given}}))
        for key, ips in told.ipam_claims().items():
            if claims and key in self.claims:
                objects.append(self.claims[key].model_copy(update={"ips": ips}))
        for name, slices in told.node_subnets().items():
            if nodes and name in self.nodes:
                objects.append(self.nodes[name].model_copy(update={"subnets": slices}))
        self.happen(objects)

    def new_pod(self, name: str, node: str, selection: str) -> Pod:
        self.uids += 1
        return Pod(namespace="ns", name=name, uid=f"u{self.uids}", node=node, networks=selection)

    # Descriptions that are incomplete, and are not any more -----------------------------------------------------

    @rule(name=st.sampled_from([*sorted(NETWORKS), *NODES, *(f"ns/{name}" for name in PODS)]))
    def lose_sight(self, name: str) -> None:
        """Something is there that cannot be read just now."""
        for known, gap in (
            (self.networks, Gaps(networks={name})),
            (self.nodes, Gaps(nodes={name})),
            (self.pods, Gaps(pods={name})),
        ):
            if name in known:
                lost = cast(dict[str, Object], known).pop(name)
                if not self.describe_anew(self.gaps | gap):
                    cast(dict[str, Object], known)[name] = lost

    @precondition(lambda self: self.gaps != Gaps() and self.networks)  # else pruning is refused
    @rule()
    def read_everything(self) -> None:
        """What could not be read is not there."""
        self.describe_anew(Gaps())

    def describe_anew(self, gaps: Gaps) -> bool:
        """Apply what is wanted with other gaps; tell whether that was not refused."""
        known, self.gaps = self.gaps, gaps
        expected, before = self.whole(), self.nb.content
        if isinstance(expected, Plan):
            self.start()
            return True
        self.check_refusal(self.apply, expected, before)
        self.gaps = known
        return False

    # The second writer ----------------------------------------------------------------------------------------

    def ours(self, *tables: str) -> list[Stored]:
        found = (stored for stored in self.nb.content.rows.values() if owned_by(stored, ME))
        return sorted((stored for stored in found if stored.key.table in (tables or TABLES)), key=lambda it: it.uuid)

    def rewrite(self, stored: Stored, **values: Any) -> None:
        changed = stored._replace(row=replace(stored.row, **cast(Any, values)))
        self.nb.content = Snapshot({**self.nb.content.rows, stored.uuid: changed}, self.nb.content.nb_cfg)

    @rule(number=st.integers(0, 1), owner=st.sampled_from([None, "other"]), network=st.sampled_from(["a", "z"]))
    def put_foreign_switch(self, number: int, owner: str | None, network: str) -> None:
        ids = {"k8s.ovn.org/network": network} | ({OWNER_KEY: owner} if owner else {})
        self.nb.put(LogicalSwitch(name=f"foreign-{number}", external_ids=ids))
        self.nb.put(
            LogicalSwitchPort(
                name=f"f{number}",
                parent=f"foreign-{number}",
                addresses=frozenset({"02:00:00:00:00:01 10.1.0.5"}),
                external_ids={"pod": "true"},
            ),
            holder=LogicalSwitch(name=f"foreign-{number}").key,
        )

    @rule(
        name=st.sampled_from([f"a_{node}" for node in NODES]), subnet=st.sampled_from(["10.1.0.0/28", "10.1.0.48/28"])
    )
    def put_foreign_switch_of_the_name_of_ours(self, name: str, subnet: str) -> None:
        if len(self.nb.content.named(Key("Logical_Switch", name))) == 1:
            self.add_switch(name, subnet)

    def add_switch(self, name: str, subnet: str) -> None:
        self.nb.put(LogicalSwitch(name=name, other_config={"subnet": subnet}))

    @rule(pick=st.integers(0, 99), address=st.sampled_from(["", " 10.1.0.1", " 10.1.0.4", " fd02::1"]))
    def hang_foreign_port(self, pick: int, address: str) -> None:
        if switches := self.ours("Logical_Switch"):
            switch = switches[pick % len(switches)]
            row = LogicalSwitchPort(
                name=f"vm-{pick}",
                parent=switch.key.name,
                addresses=frozenset({f"0a:58:0a:01:00:0{pick % 10}{address}"}),
                external_ids={"pod": "true"} if pick % 2 else {"k8s.ovn.org/network": "z"} if pick % 3 else {},
            )
            if not self.nb.content.named(row.key) and len(self.nb.content.named(switch.key)) == 1:
                self.nb.put(row, holder=switch.key)

    @rule()
    def take_foreign_ports_away(self) -> None:
        foreign = [stored.uuid for stored in self.nb.content.rows.values() if stored.key.name.startswith("vm-")]
        self.nb.content = Snapshot.of(without(self.nb.content, foreign))

    @rule(pick=st.integers(0, 99))
    def write_foreign_keys(self, pick: int) -> None:
        if rows := self.ours("Logical_Switch", "Logical_Router", "Logical_Switch_Port"):
            stored = rows[pick % len(rows)]
            ids = cast(Mapping[str, str], stored.row.get("external_ids"))
            self.rewrite(stored, external_ids={**ids, "theirs": "stays"})

    @rule(pick=st.integers(0, 99), cut=st.booleans())
    def spoil(self, pick: int, cut: bool) -> None:
        if rows := self.ours("Logical_Switch", "Logical_Switch_Port", "Logical_Router_Port"):
            stored = rows[pick % len(rows)]
            column, spoilt = {
                "Logical_Switch": ("other_config", {}),
                "Logical_Switch_Port": ("addresses", frozenset[str]()),
                "Logical_Router_Port": ("mac", "02:00:00:00:00:0f"),
            }[stored.key.table]
            ids = {OWNER_KEY: ME} if cut else stored.row.get("external_ids")
            self.rewrite(stored, **{column: spoilt, "external_ids": ids})

    @rule(pick=st.integers(0, 99))
    def delete_one_of_ours(self, pick: int) -> None:
        if rows := self.ours("Logical_Switch", "Logical_Router", "Logical_Switch_Port", "Gateway_Chassis"):
            self.nb.content = Snapshot.of(without(self.nb.content, [rows[pick % len(rows)].uuid]))

    # The law --------------------------------------------------------------------------------------------------

    def topology(self) -> Topology:
        return Topology(
            networks=tuple(self.networks.values()),
            nodes=tuple(self.nodes.values()),
            pods=tuple(self.pods.values()),
            ipam_claims=tuple(self.claims.values()),
            cluster=self.cluster,
            gaps=self.gaps,
        )

    @property
    def options(self) -> Options:
        return Options(prune=True, allow_mass_delete=True, keep_going=self.keep_going)

    def seen(self, snapshot: Snapshot) -> Snapshot:
        """The database in which leftovers are somebody else's: whoever does not prune lets them be."""
        rows = dict(snapshot.rows)
        for uuid in self.leftovers & rows.keys():
            ids = cast(Mapping[str, str], rows[uuid].row.get("external_ids"))
            row = replace(rows[uuid].row, **cast(Any, {"external_ids": {**ids, OWNER_KEY: "left over"}}))
            rows[uuid] = rows[uuid]._replace(row=row)
        return Snapshot(rows, snapshot.nb_cfg)

    def whole(self) -> Plan | type[Exception]:
        try:
            return unguarded_plan(self.topology(), self.seen(self.nb.content), ME, self.options)
        except (AllocationError, OwnershipError) as error:
            return type(error)

    def happen(
        self,
        objects: list[Object],
        networks: list[str] | tuple[str, ...] = (),
        nodes: list[str] | tuple[str, ...] = (),
        pods: list[str] | tuple[str, ...] = (),
        ipam_claims: list[str] | tuple[str, ...] = (),
    ) -> None:
        saved = (
            dict(self.networks),
            dict(self.nodes),
            dict(self.pods),
            dict(self.claims),
            set(self.leftovers),
            self.gaps,
        )
        for known, names in zip(
            (self.networks, self.nodes, self.pods, self.claims), (networks, nodes, pods, ipam_claims), strict=True
        ):
            for name in names:
                cast(dict[str, Object], known).pop(name, None)
        for item in objects:
            match item:
                case Pod():
                    self.pods[f"{item.namespace}/{item.name}"] = item
                case Node():
                    self.nodes[item.name] = item
                case IpamClaim():
                    self.claims[item.key] = item
                case _:
                    self.networks[item.name] = item
        self.gaps = Gaps(
            networks=self.gaps.networks - self.networks.keys() - {*networks},
            nodes=self.gaps.nodes - self.nodes.keys() - {*nodes},
            pods=self.gaps.pods - self.pods.keys() - {*pods},
        )
        wanted = {item.port for item in wanted_ports(self.topology())}
        rows = self.nb.content.rows
        self.leftovers = {uuid for uuid in self.leftovers if uuid in rows and rows[uuid].key.name not in wanted}
        expected, before = self.whole(), self.nb.content

        def act() -> Result:
            with self.me.batch() as batch:
                batch.remove(networks=networks, nodes=nodes, pods=pods, ipam_claims=ipam_claims)
                batch.put(*objects)
            assert batch.result is not None
            return batch.result

        if isinstance(expected, Plan):
            self.check(act(), expected, before)
        else:
            self.check_refusal(act, expected, before)
            self.networks, self.nodes, self.pods, self.claims, self.leftovers, self.gaps = saved

    def check(self, result: Result, expected: Plan, before: Snapshot) -> None:
        assert self.seen(self.nb.content) == apply_changes(self.seen(before), expected.changes)
        assert (result.status == "unchanged") == expected.is_empty
        told, whole = result.plan.told, expected.told
        for pod in result.plan.topology.pods:
            assert told.of_pod(pod.namespace, pod.name) == whole.of_pod(pod.namespace, pod.name)
        for node, slices in told.node_subnets().items():
            known = whole.node_subnets()[node]
            assert slices == {network: known[network] for network in slices}
        assert told.ipam_claims().items() <= whole.ipam_claims().items()
        # What is said of a leftover depends on whose it is.
        assert {problem.subject for problem in result.plan.problems} <= {it.subject for it in expected.problems}
        assert self.leftovers or set(result.plan.problems) <= set(expected.problems)
        self.told = result.plan

    def check_refusal(self, act: Any, expected: type[Exception], before: Snapshot) -> None:
        try:
            act()
        except expected:
            assert self.nb.content == before
        else:
            raise AssertionError(f"no {expected}")

    def start(self) -> None:
        expected, before = self.whole(), self.nb.content
        assert isinstance(expected, Plan)
        self.check(self.apply(), expected, before)

    def apply(self) -> Result:
        return self.me.apply(self.topology(), prune=True, allow_mass_delete=True, keep_going=self.keep_going)

    @precondition(lambda self: self.networks)  # else pruning is refused
    @rule()
    def start_anew(self) -> None:
        """The same topology again, for the reconciler that knows it and for one that does not."""
        expected, before = self.whole(), self.nb.content
        if isinstance(expected, Plan):
            known = self.apply()
            self.check(known, expected, before)
            assert known.plan.desired.rows == expected.desired.rows
            assert known.plan.desired.grants == expected.desired.grants
            assert known.plan.desired.slices == expected.desired.slices
            assert set(known.plan.problems) == set(expected.problems)
            assert set(known.plan.desired.notices) == set(expected.desired.notices)
            transactions = self.nb.transactions
            self.me = Reconciler(self.nb, owner=ME)
            self.start()
            assert self.nb.transactions == transactions

    @invariant()
    def count_ways(self) -> None:
        engine = self.me._engine
        if engine and engine.way:
            SEEN[engine.way] += 1


class Sparing(Events):
    """The same where rows of before that nobody describes are left alone."""

    @initialize(node=st.sampled_from(NODES))
    def leave_ports_over(self, node: str) -> None:
        """Pods that an earlier life has known and this one does not."""
        pods = [self.new_pod(f"old-{number}", node, SELECTIONS[number]) for number in range(3)]
        pods.append(self.new_pod(PODS[0], node, SELECTIONS[2]))
        older = self.topology().model_copy(update={"pods": tuple(pods)})
        Reconciler(self.nb, owner=ME).apply(older, keep_going=True)
        self.start_over()

    @rule()
    def start_over(self) -> None:
        """A new reconciler that does not prune: from now on, what it does not describe stays."""
        plan = unguarded_plan(self.topology(), self.nb.content, ME, Options(keep_going=True))
        leftovers = [stored for stored in self.ours() if stored.key not in plan.desired.rows]
        if all(stored.key.table == "Logical_Switch_Port" for stored in leftovers):
            self.me = Reconciler(self.nb, owner=ME)
            self.me.apply(self.topology(), keep_going=True)
            # The port of a pod that is described is its own, even if the pod cannot have what it asks for now.
            wanted = {item.port for item in wanted_ports(self.topology())}
            self.leftovers = {stored.uuid for stored in leftovers if stored.key.name not in wanted}

    @precondition(lambda self: False)
    @rule()
    def start_anew(self) -> None:
        """Without pruning the same topology may leave something behind: see `start_over`."""

    @precondition(lambda self: False)
    @rule()
    def lose_sight(self) -> None:
        """Nor may another one be applied."""


class Refusing(Events):
    """The same where every refusal is an error."""

    keep_going = False


TestEvents = Events.TestCase
TestEvents.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSparing = Sparing.TestCase
TestSparing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRefusing = Refusing.TestCase
TestRefusing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_node_that_has_gone_and_whose_switch_somebody_deletes_frees_its_slice() -> None:
    state = Sparing()
    state.begin(honour=False, picks=[1, 0, 0, 0])
    state.leave_ports_over(node="n1")
    state.take_foreign_ports_away()
    state.put_node(name="n1", pods=False, chassis="", subnets={})
    state.hang_foreign_port(pick=0, address="")
    state.put_network(name="b-x", pick=0)
    state.remove_node(name="n1", drain=False)
    # The switch stayed for what somebody has hung on it; now only its router port is left.
    state.delete_one_of_ours(pick=1)
    state.put_node(name="n2", pods=False, chassis="", subnets={})


def test_every_way_was_taken() -> None:
    """Runs after the laws."""
    if SEEN:
        assert min(SEEN["attachments"], SEEN["networks"], SEEN["everything"]) > 50, SEEN
