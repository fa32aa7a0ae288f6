"""A pod that comes or goes alone is planned as by the general way, and leaves the same behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tracked_nb import TrackedNb

from ovnk8s_topo import IpamClaim, Layer2, Layer3, Localnet, Node, Pod, Reconciler, Topology
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.live import Draft, Engine, Event, Lone
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import LogicalSwitchPort
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner.claims import held_by_port
from ovnk8s_topo.reconciler import Options

NETWORKS = [
    Layer3(name="three", subnets="10.1.0.0/24/29,fd01::/60", nads="ns/three"),
    Layer2(name="two-x", subnets="10.2.0.0/29", nads=["ns/two", "ns/too"], allow_persistent_ips=True),
    Layer2(name="open", nads="ns/open"),
    Localnet(name="out", subnets="10.3.0.0/29", exclude_subnets="10.3.0.4/31", nads="ns/out", vlan_id=5),
]
NODES = [Node(name=name) for name in ("n1", "n-2", "n3")]
SELECTIONS = [
    "ns/three",
    "ns/two",
    "ns/out",
    "ns/open",
    "ns/two,ns/too",
    "other/x",
    "ns/three,ns/out",
    '[{"name": "two", "mac": "0a:58:0a:02:00:05"}]',
    '[{"name": "out", "ips": ["10.3.0.3"]}]',
]
SEEN: Counter[str] = Counter()

pods = st.builds(
    lambda name, node, networks, phase, uid: Pod(
        namespace="ns", name=name, node=node, networks=networks, phase=phase, uid=uid
    ),
    st.sampled_from(["p1", "p2", "p-3", "P.4"]),
    st.sampled_from(["n1", "n-2", "n3"]) | st.sampled_from(["nowhere", ""]),
    st.sampled_from(SELECTIONS[:3]) | st.sampled_from(SELECTIONS[:3]) | st.sampled_from(SELECTIONS),
    st.just("") | st.just("") | st.just("Failed"),
    st.sampled_from(["", "u1", "u2"]),
)
events = st.tuples(pods, st.booleans(), st.booleans(), st.just("") | st.sampled_from(["", "port", "switch"]))


class World:
    """A database, and two engines that know it: one goes straight where it can, the other never does."""

    def __init__(self, honours: bool) -> None:
        self.nb = TrackedNb()
        topology = Topology(
            networks=NETWORKS,
            nodes=NODES,
            pods=[Pod(namespace="ns", name="first", node="n1", networks="ns/three,ns/two,ns/out")],
            ipam_claims=[IpamClaim(namespace="ns", name="vm", network="two-x", ips=("10.2.0.3/29",))],
            cluster={"fixed_addresses": "honour" if honours else "refuse"},
        )
        plan = Reconciler(self.nb, owner="me").apply(topology).plan
        serial = self.snapshot().serial
        self.straight, self.general = (Engine(plan, Options(keep_going=True), serial - 1) for _ in range(2))
        self.told: list[tuple[Callable[[], Plan], Plan]] = []
        self.look()  # from now on both know the database

    def snapshot(self) -> Snapshot:
        return self.nb.snapshot(timeout_s=1)

    def happen(self, pod: Pod, put: bool, is_seen: bool) -> None:
        straight, general, before = self.straight, self.general, self.snapshot()
        draft = Draft()
        if put:
            draft.put([pod])
        else:
            draft.remove([pod])
        event = straight.roll.event(draft)
        undo = straight.undo_of(event)
        assert general.undo_of(event) == undo
        general.enter(event)
        expected = general.plan(event, undo, before)
        lone = straight.plan_lone(event, undo.gaps, before)
        straight.enter(event)
        if lone is None:
            SEEN["general"] += 1
            straight.accept(straight.plan(event, undo, before))
        else:
            SEEN["coming" if lone.coming else "going"] += 1
            self.check(lone, expected.changes, expected.tell())
            self.change_ones_mind(lone)
            straight.accept(lone, before.serial + 1 if is_seen else 0)
        general.accept(expected)
        done = self.nb.commit(lambda _: expected.changes, timeout_s=1)
        assert done.shown_at == (before.serial + 1 if expected.changes else 0)

    def change_ones_mind(self, lone: Lone) -> None:
        """Expect, see that what is known is another, take it back, see that it is the same as before, expect again."""
        assert self.straight.memory
        before = dict(self.straight.memory.standing.rows)
        self.straight.expect(lone)
        SEEN["expected"] += self.straight.memory.standing.rows != before
        self.straight.retract()
        self.look()
        self.straight.expect(lone)

    def check(self, lone: Lone, changes: ChangeSet, told: Plan) -> None:
        assert lone.changes == changes
        assert lone.tell() == told
        assert lone.tell().told.attachments == told.told.attachments
        self.told.append((lone.tell, told))

    def meddle(self, what: str) -> None:
        """Somebody else changes a port or a switch of ours, and puts it right again."""
        stored = next((it for it in self.nb.content.rows.values() if what and it.key.table == TABLE[what]), None)
        if stored:
            kept = self.nb.content
            rows = {uuid: it for uuid, it in kept.rows.items() if uuid != stored.uuid and stored.uuid not in it.holders}
            self.nb.content = Snapshot(rows, kept.nb_cfg)
            self.nb.content = kept

    def look(self) -> None:
        """See that both know the same of the database, and that it is so."""
        nothing, snapshot = Event(gaps=self.straight.roll.gaps), self.snapshot()
        for engine in (self.straight, self.general):
            engine.plan(nothing, nothing, snapshot)
        mine, theirs = self.straight.memory, self.general.memory
        if mine is None or theirs is None:
            return
        assert known(mine.standing, "networks", "style") == known(theirs.standing, "networks", "style")
        assert known(mine.occupancy) == known(theirs.occupancy)
        assert mine.watch.known == theirs.watch.known
        assert (mine.watch.odd, mine.watch.departed) == (theirs.watch.odd, theirs.watch.departed)
        for uuid, stored in snapshot.rows.items():
            if isinstance(stored.row, LogicalSwitchPort):
                assert mine.occupancy._by_uuid.get(uuid) == held_by_port(stored, snapshot)
        for network, shelves in mine.shelves._by_network.items():
            others = theirs.shelves._by_network.get(network, {})
            for switch in shelves.keys() & others.keys():
                assert shelves[switch].holders == others[switch].holders


TABLE = {"port": "Logical_Switch_Port", "switch": "Logical_Switch"}


def known(index: Any, *but: str) -> dict[str, Any]:
    return {name: value for name, value in vars(index).items() if name not in but}


@given(st.booleans(), st.lists(events, min_size=10, max_size=30))
@settings(max_examples=150, deadline=None)
def test_straight_equals_general(honours: bool, history: list[tuple[Pod, bool, bool, str]]) -> None:
    world = World(honours)
    for pod, put, is_seen, meddling in history:
        world.happen(pod, put, is_seen)
        world.meddle(meddling)
        world.look()
    # What was told is the same whenever somebody asks.
    assert all(tell() == told for tell, told in world.told)


def test_every_way_was_taken() -> None:
    """Runs after the law."""
    assert not SEEN or min(SEEN[way] for way in ("general", "coming", "going", "expected")) > 50, SEEN
