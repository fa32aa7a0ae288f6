"""Whatever happens in whatever order, and whoever meddles: after a reconcile the database is what the topology says."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from snapshot_nb import SnapshotNb, without

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Pod, Reconciler, Topology
from ovnk8s_topo.nb.ownership import named_owner, owned_by
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, TABLES, Key, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, Row
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner.wanted import wanted_ports
from ovnk8s_topo.spec import Given, Network, Style

NETWORKS: Mapping[str, list[Network]] = {
    "a": [
        Layer3(name="a", subnets="10.1.0.0/26/28", nads="ns/a"),
        Layer3(name="a", subnets="10.1.0.0/26/28,fd01::/60", nads="ns/a"),
        Layer2(name="a", subnets="10.1.0.0/28", nads=["ns/a", "ns/a2"]),
    ],
    "b-x": [
        Layer2(name="b-x", subnets="10.1.0.0/29,fd02::/64", nads="ns/b"),
        Layer2(name="b-x", nads="ns/b"),
        Localnet(name="b-x", subnets="10.1.0.0/28", exclude_subnets="10.1.0.0/30", nads=["ns/b", "ns/b2"], vlan_id=5),
        Localnet(name="b-x", nads="ns/b"),
    ],
    "c.y": [Layer3(name="c.y", subnets="fd03::/62", nads="ns/c"), Localnet(name="c.y", nads="ns/c", vlan_id=7)],
}
NODES = ["n1", "n2", "n-3"]
SELECTIONS = ["ns/a", "ns/b", "ns/a,ns/b,ns/c", "ns/a,ns/a,ns/a2", "ns/b,ns/b2", "other/x"]
PODS = ["p1", "p2", "p-3", "P.4"]
SHARED = [table.name for table in TABLES.values() if table.mark == "shared"]
CHILDREN = ["Logical_Switch_Port", "Logical_Router_Port", "Gateway_Chassis"]


class Reconciling(RuleBasedStateMachine):
    """The reconciler beside a description that changes and a second writer."""

    def __init__(self) -> None:
        super().__init__()
        self.nb = SnapshotNb()
        self.me = Reconciler(self.nb, owner="me")
        self.networks: dict[str, Network] = {}
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.style: Style = "2024"
        self.uids = 0
        self.had: dict[tuple[object, ...], object] = {}

    @initialize(picks=st.tuples(*[st.integers(0, 3)] * 3), selections=st.tuples(*[st.sampled_from(SELECTIONS)] * 3))
    def begin(self, picks: tuple[int, ...], selections: tuple[str, ...]) -> None:
        for name, pick in zip(sorted(NETWORKS), picks, strict=True):
            self.describe_network(name, pick)
        for name in NODES:
            self.describe_node(name, "")
        for name, selection in zip(PODS[:3], selections, strict=True):
            self.describe_pod(name, NODES[0], selection)
        self.reconcile()

    # The description ------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(sorted(NETWORKS)), pick=st.integers(0, 9))
    def describe_network(self, name: str, pick: int) -> None:
        self.networks[name] = NETWORKS[name][pick % len(NETWORKS[name])]

    @rule(name=st.sampled_from(sorted(NETWORKS)))
    def drop_network(self, name: str) -> None:
        self.networks.pop(name, None)

    @rule(name=st.sampled_from(NODES), chassis=st.sampled_from(["", "c-1", "c-2"]))
    def describe_node(self, name: str, chassis: str) -> None:
        self.nodes[name] = Node(name=name, chassis_id=chassis and f"{chassis}-{name}")

    @rule(name=st.sampled_from(NODES))
    def drop_node(self, name: str) -> None:
        self.nodes.pop(name, None)

    @rule(name=st.sampled_from(PODS), node=st.sampled_from(NODES), selection=st.sampled_from(SELECTIONS))
    def describe_pod(self, name: str, node: str, selection: str) -> None:
        self.uids += 1
        self.pods[name] = Pod(namespace="ns", name=name, uid=f"u{self.uids}", node=node, networks=selection)

    @rule(name=st.sampled_from(PODS))
    def drop_pod(self, name: str) -> None:
        self.pods.pop(name, None)

    @rule(name=st.sampled_from(PODS))
    def finish_pod(self, name: str) -> None:
        if name in self.pods:
            self.pods[name] = self.pods[name].model_copy(update={"phase": "Succeeded"})

    @rule(style=st.sampled_from(["2023", "2024"]))
    def change_style(self, style: Style) -> None:
        self.style = style

    # The second writer ----------------------------------------------------------------------------------------

    def ours(self, *tables: str) -> list[Stored]:
        found = (stored for stored in self.nb.content.rows.values() if owned_by(stored, "me"))
        return sorted((stored for stored in found if stored.key.table in (tables or TABLES)), key=lambda it: it.uuid)

    def rewrite(self, stored: Stored, **values: Any) -> None:
        changed = stored._replace(row=replace(stored.row, **cast(Any, values)))
        self.nb.content = Snapshot({**self.nb.content.rows, stored.uuid: changed}, self.nb.content.nb_cfg)

    @rule(number=st.integers(0, 3), owner=st.sampled_from([None, "other"]))
    def put_foreign_switch(self, number: int, owner: str | None) -> None:
        ids = {"k8s.ovn.org/network": "a"} | ({OWNER_KEY: owner} if owner else {})
        self.nb.put(LogicalSwitch(name=f"foreign-{number}", external_ids=ids))

    @rule(pick=st.integers(0, 99), address=st.sampled_from(["", " 10.1.0.1", " 10.1.0.4", " fd02::1"]))
    def hang_foreign_port(self, pick: int, address: str) -> None:
        if switches := self.ours("Logical_Switch"):
            switch = switches[pick % len(switches)]
            row = LogicalSwitchPort(
                name=f"vm-{pick}", parent=switch.key.name, addresses=frozenset({f"02:00:00:00:00:01{address}"})
            )
            if not self.nb.content.named(row.key):
                self.nb.put(row, holder=switch.key)

    @rule()
    def take_foreign_ports_away(self) -> None:
        foreign = [stored.uuid for stored in self.nb.content.rows.values() if stored.key.name.startswith("vm-")]
        self.nb.content = Snapshot.of(without(self.nb.content, foreign))

    @rule(pick=st.integers(0, 99))
    def write_foreign_keys(self, pick: int) -> None:
        if rows := self.ours("Logical_Switch", "Logical_Router", *CHILDREN):
            stored = rows[pick % len(rows)]
            ids = cast(Mapping[str, str], stored.row.get("external_ids"))
            self.rewrite(stored, external_ids={**ids, "theirs": "stays"})

    @rule(pick=st.integers(0, 99), cut=st.booleans())
    def spoil(self, pick: int, cut: bool) -> None:
        if rows := self.ours("Logical_Switch", "Logical_Switch_Port", "Logical_Router_Port"):
            stored = rows[pick % len(rows)]
            column = {
                "Logical_Switch": "other_config",
                "Logical_Switch_Port": "addresses",
                "Logical_Router_Port": "mac",
            }[stored.key.table]
            spoilt = {"other_config": {}, "addresses": frozenset(), "mac": "02:00:00:00:00:0f"}[column]
            ids = {OWNER_KEY: "me"} if cut else stored.row.get("external_ids")
            self.rewrite(stored, **{column: spoilt, "external_ids": ids})

    @rule(pick=st.integers(0, 99))
    def delete_one_of_ours(self, pick: int) -> None:
        if rows := self.ours("Logical_Switch", "Logical_Router", *CHILDREN):
            self.nb.content = Snapshot.of(without(self.nb.content, [rows[pick % len(rows)].uuid]))
            self.had = {}  # what nothing tells any more cannot be kept

    # The laws -------------------------------------------------------------------------------------------------

    def topology(self) -> Topology:
        return Topology(
            networks=tuple(self.networks.values()),
            nodes=tuple(self.nodes.values()),
            pods=tuple(self.pods.values()),
            style=self.style,
        )

    def shuffled(self) -> Topology:
        shuffle = random.Random(self.uids).sample
        topology = self.topology()
        parts = {
            kind: shuffle(getattr(topology, kind), len(getattr(topology, kind)))
            for kind in ("networks", "nodes", "pods")
        }
        return Topology(**parts, style=self.style)

    def plan(self, topology: Topology) -> Plan:
        return self.me.plan(topology, prune=True, allow_mass_delete=True, keep_going=True)

    @precondition(lambda self: self.networks)
    @rule()
    def reconcile_and_be_left_alone(self) -> None:
        self.take_foreign_ports_away()
        self.reconcile()

    @precondition(lambda self: self.networks)
    @rule()
    def reconcile(self) -> None:
        before = self.nb.content
        assert self.plan(self.shuffled()).to_dict() == self.plan(self.topology()).to_dict()
        done = self.me.apply(self.topology(), prune=True, allow_mass_delete=True, keep_going=True).plan
        after = self.nb.content
        assert foreign(after) == foreign(before)
        assert (
            foreign_keys(after).items()
            >= {place: text for place, text in foreign_keys(before).items() if place[0] in after.rows}.items()
        )
        again = self.plan(self.topology())
        assert again.is_empty, str(again)
        assert again.problems == done.problems
        assert not [pair for pair, count in Counter(addresses_in(after)).items() if count > 1]
        assert not [pair for pair, count in Counter(slices_in(after)).items() if count > 1]
        self.check_nobody_moved(done)
        if not done.problems:
            self.check_path_independence(done, after)

    def check_nobody_moved(self, done: Plan) -> None:
        """Whoever lives, on the same switch of the same network, has what it had."""
        has: dict[tuple[object, ...], object] = {}
        for item in wanted_ports(self.topology()):
            if item.port in done.desired.grants:
                grant = done.desired.grants[item.port]
                has[item.port, item.switch, item.pod.uid, self.networks[item.network.name]] = grant
        for key, row in done.desired.rows.items():
            if isinstance(row, LogicalRouterPort):
                network = next(each for name, each in self.networks.items() if row.parent.startswith(name[0]))
                has[key, network] = row.networks
        for what, before in self.had.items():
            assert has.get(what, before) == before, what
        self.had = has

    def check_path_independence(self, done: Plan, after: Snapshot) -> None:
        assert {key for key in content(after) if key.table not in SHARED} == {
            key for key in done.desired.rows if key.table not in SHARED
        }
        fresh = SnapshotNb()
        Reconciler(fresh, owner="me").apply(self.told(done))
        assert {key: row for key, row in content(after).items() if key.table not in SHARED} == {
            key: row for key, row in content(fresh.content).items() if key.table not in SHARED
        }

    def told(self, done: Plan) -> Topology:
        """The same topology, in which everybody was told by annotation what it has."""
        nodes = [
            node.model_copy(update={"subnets": dict(self.slices_of(done, node.name))}) for node in self.nodes.values()
        ]
        given: dict[str, dict[str, Given]] = {}
        for item in wanted_ports(self.topology()):
            grant = done.desired.grants[item.port]
            ips = tuple(f"{address}/{32 if address.version == 4 else 128}" for address in grant.addresses)
            given.setdefault(item.pod.name, {})[item.nad_key] = Given(ips=ips, mac=grant.mac)
        pods = [pod.model_copy(update={"given": given.get(pod.name, {})}) for pod in self.pods.values()]
        return Topology(networks=tuple(self.networks.values()), nodes=nodes, pods=pods, style=self.style)

    def slices_of(self, done: Plan, node: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for network in self.networks.values():
            if isinstance(network, Layer3):
                prefix = network.name.replace("-", ".")
                row = done.desired.rows[Key("Logical_Router_Port", f"rtos-{prefix}_{node}")]
                assert isinstance(row, LogicalRouterPort)
                texts = (text.replace(".1/", ".0/") if "." in text else text for text in sorted(row.networks))
                yield network.name, Node(name="x", subnets={"x": list(texts)}).subnets["x"]

    def teardown(self) -> None:
        self.take_foreign_ports_away()
        before = self.nb.content
        self.me.destroy()
        assert not self.ours()
        assert foreign(self.nb.content) == foreign(before)


def content(snapshot: Snapshot) -> dict[Key, Row]:
    """What of a database is ours to compare: our rows, without the keys of others."""
    return {stored.key: cleaned(stored.row) for stored in snapshot.rows.values() if owned_by(stored, "me")}


def cleaned(row: Row) -> Row:
    maps = {column.name: row.get(column.name) for column in row.TABLE.columns.values() if column.shape == "map"}
    kept = {
        name: {key: text for key, text in cast(Mapping[str, str], value).items() if key != "theirs"}
        for name, value in maps.items()
    }
    # `tag` is northd's; we help old releases along when the request changes.
    return replace(row, **cast(Any, kept | ({"tag": None} if "tag" in row.TABLE.columns else {})))


def foreign(snapshot: Snapshot) -> dict[str, Stored]:
    return {
        uuid: stored
        for uuid, stored in snapshot.rows.items()
        if TABLES[stored.key.table].mark == "external_ids" and named_owner(stored) != "me"
    }


def foreign_keys(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    return {
        (stored.uuid, column.name): cast(Mapping[str, str], value)["theirs"]
        for stored in snapshot.rows.values()
        for column, value in stored.row.values()
        if column.shape == "map" and "theirs" in cast(Mapping[str, str], value)
    }


def addresses_in(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for stored in snapshot.table("Logical_Switch_Port"):
        if owned_by(stored, "me"):
            for text in cast(frozenset[str], stored.row.get("addresses")):
                yield from ((str(stored.holders), address) for address in text.split()[1:])


def slices_in(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for stored in snapshot.table("Logical_Router_Port"):
        if owned_by(stored, "me"):
            yield from ((str(stored.holders), text) for text in cast(frozenset[str], stored.row.get("networks")))


TestReconciling = Reconciling.TestCase
TestReconciling.settings = settings(max_examples=150, stateful_step_count=40)
