"""A change set in batches does what it does as a whole, and no unit is ever half there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Plan, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.batches import batches
from ovnk8s_topo.diff import ChangeSet, Delete, Insert, Update
from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.planner import desired_from_topology
from ovnk8s_topo.reconciler import Options, plan_from_snapshot
from ovnk8s_topo.spec import Network

LIMIT_S = 10.0
SEEN: Counter[str] = Counter()

NETWORKS: list[Network] = [
    Layer3(name="l3", subnets="10.33.0.0/16/24"),
    Layer2(name="l2", subnets="10.22.0.0/29"),
    Localnet(name="lan", vlan_id=100),
]
NODES = [Node(name=f"n{number}") for number in range(3)]


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    networks = [network for network in NETWORKS if draw(st.booleans())]
    nodes = NODES[: draw(st.integers(1, 3))]
    pods = [
        Pod(
            name=f"p{number}",
            uid=draw(st.sampled_from(["", "a", "b"])),
            node=draw(st.sampled_from(nodes)).name,
            networks=draw(st.sampled_from([network.name for network in networks])),
        )
        for number in range(draw(st.integers(0, 6)) if networks else 0)
    ]
    return Topology(networks=networks, nodes=nodes, pods=pods, style=draw(st.sampled_from(["2023", "2024"])))


def planned(topology: Topology, nb: MemoryNb) -> Plan:
    options = Options(prune=bool(topology.networks), allow_mass_delete=True, keep_going=True)
    return plan_from_snapshot(topology, read(nb), "me", options)


def read(nb: MemoryNb) -> Snapshot:
    return nb.snapshot(timeout_s=LIMIT_S)


def content(nb: MemoryNb) -> dict[str, Stored]:
    return dict(read(nb).rows)


@given(topologies())
def test_rows_planned_for_an_owner_are_those_of_nobody_with_a_mark(topology: Topology) -> None:
    nobodys, ours = desired_from_topology(topology), desired_from_topology(topology, owner="me")
    assert list(ours.rows.items()) == [(key, marked(row, "me")) for key, row in nobodys.rows.items()]
    assert replace(ours, rows=nobodys.rows) == nobodys


@given(before=topologies(), after=topologies(), size=st.integers(1, 9))
def test_one_batch_after_the_other_is_the_whole(before: Topology, after: Topology, size: int) -> None:
    nb = MemoryNb()
    with Reconciler(nb, owner="me") as reconciler:
        reconciler.apply(before, keep_going=True)
        twin = MemoryNb.load(nb.dump())
        plan = planned(after, nb)
        parts = list(batches(plan.changes, plan.desired.units, size))
        for part in parts:
            nb.commit(lambda _, part=part: part, timeout_s=0)  # type: ignore[misc]
            check_units(plan, read(nb))
        twin.commit(lambda _: plan.changes, timeout_s=0)
        assert content(nb) == content(twin)
        assert planned(after, nb).is_empty
    SEEN["several"] += len(parts) > 1
    SEEN["moves"] += any(isinstance(change, Update) for change in plan.changes)
    check_cuts(parts, plan, size)


def check_units(plan: Plan, actual: Snapshot) -> None:
    """Of every unit that the plan makes anew, all rows are there, or none."""
    there: dict[object, set[bool]] = {}
    for change in plan.changes.of(Insert):
        there.setdefault(plan.desired.units[change.key], set()).add(bool(actual.named(change.key)))
    assert all(len(found) == 1 for found in there.values())


def check_cuts(parts: list[ChangeSet], plan: Plan, size: int) -> None:
    together = [change for part in parts for change in part]
    assert sorted(map(repr, together)) == sorted(map(repr, plan.changes))
    for part in parts[1:]:
        units = [plan.desired.units[change.key] for change in part]
        assert len(part) <= size or len(set(units)) == 1
        assert not part.of(Delete)
        assert not part.of(Update)


def test_the_random_topologies_reached_every_case() -> None:
    """Runs after the law."""
    if SEEN:
        assert SEEN["several"] > 10
        assert SEEN["moves"] > 10
