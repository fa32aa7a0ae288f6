"""Who gets which address and slice: what is in use stays where it is, newcomers are served by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, Key, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, Row
from ovnk8s_topo.planner import Desired, claims_from_snapshot, desired_from_topology
from ovnk8s_topo.spec import Attachment, Gaps, Given, Layer2, Layer3, Network, Node, Pod, Style, Topology

ME = "me"
L2 = Layer2(name="l2", subnets="10.22.0.0/29")
BARE = Layer2(name="bare")
L3 = Layer3(name="l3", subnets="10.33.0.0/16/24")
NODES = ("n1", "n2")


def pod(name: str, networks: str | tuple[Attachment, ...] = "l2", node: str = "n1", **fields: Any) -> Pod:
    return Pod(name=name, node=node, networks=networks, **fields)


def topology(
    *pods: Pod, networks: tuple[Network, ...] = (L2,), nodes: tuple[str, ...] = NODES, **more: Any
) -> Topology:
    return Topology(networks=networks, nodes=[Node(name=name) for name in nodes], pods=pods, **more)


def stored(rows: Mapping[Key, Row], owner: str = ME) -> Snapshot:
    """The rows as somebody has written them."""
    return Snapshot.of(
        Stored(f"{key}", marked(row, owner), () if row.parent_key is None else (f"{row.parent_key}",))
        for key, row in rows.items()
    )


def edited(snapshot: Snapshot, table: str, name: str, **values: Any) -> Snapshot:
    (found,) = snapshot.named(Key(table, name))
    return Snapshot({**snapshot.rows, found.uuid: found._replace(row=replace(found.row, **values))})


def again(wanted: Topology, snapshot: Snapshot, *, prune: bool = False) -> Desired:
    return desired_from_topology(wanted, claims_from_snapshot(snapshot), released_by=ME if prune else None)


def addresses(done: Desired) -> dict[str, str]:
    """Port, without what all have in common -> addresses."""
    return {
        port.removesuffix("_default").replace("default.", "").replace("_default_", "/"): " ".join(
            map(str, grant.addresses)
        )
        for port, grant in done.grants.items()
    }


def problems(done: Desired) -> list[str]:
    return [str(problem) for problem in done.problems]


# Newcomers --------------------------------------------------------------------------------------------------------


def test_newcomers_are_served_by_name_whatever_their_order() -> None:
    pods = [pod("c"), pod("a"), Pod(namespace="aa", name="z", node="n1", networks="default/l2")]
    expected = {"l2_aa_z": "10.22.0.1", "l2/a": "10.22.0.2", "l2/c": "10.22.0.3"}
    assert addresses(desired_from_topology(topology(*pods))) == expected
    assert addresses(desired_from_topology(topology(*reversed(pods)))) == expected


def test_exhaustion_names_who_got_nothing_and_keeps_the_rest() -> None:
    done = desired_from_topology(topology(*(pod(f"p{index}") for index in range(8))))
    assert len(done.grants) == 6
    assert problems(done) == [
        f"Pod default/p{index} (default/l2): networks: subnet address pool exhausted: "
        "10.22.0.0/29: 6 in use, 0 held back"
        for index in (6, 7)
    ]
    assert done.gaps == Gaps(pods={"default/p6", "default/p7"})


def test_node_slices_exhausted() -> None:
    network = Layer3(name="l3", subnets="10.33.0.0/23/24")
    wanted = topology(pod("p", "l3", "n3"), networks=(network,), nodes=("n1", "n2", "n3"))
    done = desired_from_topology(wanted)
    assert problems(done) == [
        "network l3, Node n3: subnets: error allocating network for node n3: no subnets available: "
        "10.33.0.0/23/24 (2 node subnets, 2 in use)",
        "Pod default/p (default/l3): node: its node n3 has no subnet of network l3",
    ]
    assert done.gaps == Gaps(nodes={"n3"}, pods={"default/p"})


# Wishes -----------------------------------------------------------------------------------------------------------

WISH = (Attachment(name="l2", ips=("10.22.0.5/29",), mac="02:00:00:00:00:05"),)


def test_a_wish_for_addresses_is_ignored_in_2023() -> None:
    done = desired_from_topology(topology(pod("p", WISH), style="2023"))
    assert addresses(done) == {"l2/p": "10.22.0.1"}
    assert done.grants["default.l2_default_p"].mac == "02:00:00:00:00:05"


def test_a_wish_for_addresses_is_refused_in_2024() -> None:
    done = desired_from_topology(topology(pod("p", WISH), pod("q")))
    assert addresses(done) == {"l2/q": "10.22.0.1"}
    assert problems(done) == [
        "Pod default/p (default/l2): ips: cannot ask for addresses on a network that has subnets: "
        "custom network configuration disabled"
    ]


@pytest.mark.parametrize("style", ["2023", "2024"])
def test_wishes_are_granted_without_subnets(style: Style) -> None:
    asked = Attachment(name="bare", ips=("192.0.2.7/24", "fd00::7"))
    pods = (
        pod("a", (asked,)),
        pod("b", (asked.model_copy(update={"mac": "02:00:00:00:00:05"}),)),
        pod("c", "bare"),
        pod("d", (Attachment(name="bare", mac="02:00:00:00:00:06"),)),
    )
    done = desired_from_topology(topology(*pods, networks=(BARE,), style=style))
    macs = {port[-1]: grant.mac for port, grant in done.grants.items()}
    assert macs["a"] == "0a:58:c0:00:02:07"
    assert macs["b"] == "02:00:00:00:00:05"
    assert macs["c"].startswith("0a:58:")
    assert macs["d"] == "02:00:00:00:00:06"
    assert addresses(done)["bare/a"] == "192.0.2.7 fd00::7"
    assert addresses(done)["bare/d"] == ""


def test_a_pod_keeps_what_it_was_told_whatever_it_asks_for() -> None:
    told = {"default/bare": Given(ips=("192.0.2.1/24",), mac="02:00:00:00:00:01")}
    asked = (Attachment(name="bare", ips=("192.0.2.9",), mac="02:00:00:00:00:09"),)
    done = desired_from_topology(topology(pod("p", asked, given=told), networks=(BARE,)))
    assert addresses(done) == {"bare/p": "192.0.2.1"}
    assert done.grants["default.bare_default_p"].mac == "02:00:00:00:00:01"


# Claims -----------------------------------------------------------------------------------------------------------


def given(*ips: str, nad: str = "default/l2", **more: str) -> dict[str, Given]:
    return {nad: Given(ips=ips, **more)}


def test_an_annotation_is_a_claim() -> None:
    done = desired_from_topology(topology(pod("a"), pod("b", given=given("10.22.0.1/29"))))
    assert addresses(done) == {"l2/a": "10.22.0.2", "l2/b": "10.22.0.1"}


def test_a_row_is_a_claim() -> None:
    before = stored(desired_from_topology(topology(pod("b"))).rows)
    assert addresses(again(topology(pod("a"), pod("b")), before)) == {"l2/a": "10.22.0.2", "l2/b": "10.22.0.1"}


def test_an_annotation_goes_before_a_row_and_frees_what_the_row_had() -> None:
    before = stored(desired_from_topology(topology(pod("b"))).rows)
    wanted = topology(pod("a"), pod("b", given=given("10.22.0.4/29")))
    assert addresses(again(wanted, before)) == {"l2/a": "10.22.0.1", "l2/b": "10.22.0.4"}


def test_an_annotation_that_does_not_fit_leaves_the_row_its_say() -> None:
    # A stale annotation must not let a newcomer with an earlier name take the address over.
    stale = pod("b", given=given("10.99.0.4/29"))
    before = stored(desired_from_topology(topology(stale)).rows)
    assert addresses(again(topology(stale), before)) == {"l2/b": "10.22.0.1"}
    assert addresses(again(topology(pod("a"), stale), before)) == {"l2/a": "10.22.0.2", "l2/b": "10.22.0.1"}


def test_claims_that_clash_are_a_problem_of_both_and_nobody_else_gets_the_address() -> None:
    pods = [pod("a"), *(pod(name, given=given("10.22.0.1/29")) for name in "bc")]
    done = desired_from_topology(topology(*pods))
    assert addresses(done) == {"l2/a": "10.22.0.2"}
    assert problems(done) == [
        f"Pod default/{one} (default/l2): networks: provided IP is already allocated: "
        f"10.22.0.1 is claimed by Pod default/{other} (default/l2) too"
        for one, other in ("bc", "cb")
    ]


def test_a_claim_that_clashes_keeps_what_its_row_has_from_others() -> None:
    before = stored(desired_from_topology(topology(pod("b"), pod("c"))).rows)
    done = again(topology(pod("a"), pod("b", given=given("10.22.0.2/29")), pod("c")), before)
    assert addresses(done) == {"l2/a": "10.22.0.3"}


def test_an_address_of_somebody_elses_port_in_the_switch_is_in_use() -> None:
    before = stored(desired_from_topology(topology(pod("b"))).rows)
    text = frozenset({"02:00:00:00:00:09 10.22.0.1"})
    vm = LogicalSwitchPort(name="vm", parent="l2_ovn_layer2_switch", addresses=text)
    holder = before.named(Key("Logical_Switch", "l2_ovn_layer2_switch"))[0].uuid
    rows = [item for item in before.rows.values() if not item.key.name.endswith("_b")]
    done = again(topology(pod("a")), Snapshot.of([*rows, Stored("vm", vm, (holder,))]), prune=True)
    assert addresses(done) == {"l2/a": "10.22.0.2"}


def test_somebody_elses_port_takes_no_address_away() -> None:
    before = stored(desired_from_topology(topology(pod("b"))).rows)
    text = frozenset({"02:00:00:00:00:09 10.22.0.1"})
    vm = LogicalSwitchPort(name="vm", parent="l2_ovn_layer2_switch", addresses=text)
    holder = before.named(Key("Logical_Switch", "l2_ovn_layer2_switch"))[0].uuid
    done = again(topology(pod("b")), Snapshot.of([*before.rows.values(), Stored("vm", vm, (holder,))]))
    assert addresses(done) == {"l2/b": "10.22.0.1"}


def test_an_excluded_address_is_not_kept() -> None:
    # assign() drops claims that may not be held; see docs of ipam.assign.
    before = stored(desired_from_topology(topology(pod("b"))).rows)
    network = L2.model_copy(update={"exclude_subnets": Layer2(name="x", subnets="10.22.0.0/30").subnets})
    assert addresses(again(topology(pod("b"), networks=(network,)), before)) == {"l2/b": "10.22.0.4"}


@pytest.mark.parametrize(("new_uid", "expected"), [("u1", "10.22.0.2"), ("", "10.22.0.2"), ("u2", "10.22.0.1")])
def test_a_pod_that_was_made_anew_claims_nothing(new_uid: str, expected: str) -> None:
    before = stored(desired_from_topology(topology(pod("a"), pod("b", uid="u1"))).rows)
    done = again(topology(pod("b", uid=new_uid)), before, prune=True)
    assert addresses(done) == {"l2/b": expected}


@pytest.mark.parametrize(("prune", "expected"), [(True, "10.22.0.1"), (False, "10.22.0.2")])
def test_a_leftover_keeps_its_address_unless_it_is_pruned(prune: bool, expected: str) -> None:
    before = stored(desired_from_topology(topology(pod("a"))).rows)
    assert addresses(again(topology(pod("b")), before, prune=prune)) == {"l2/b": expected}


def test_a_row_of_another_owner_keeps_its_address_when_we_prune() -> None:
    before = stored(desired_from_topology(topology(pod("a"))).rows, owner="other")
    assert addresses(again(topology(pod("b")), before, prune=True)) == {"l2/b": "10.22.0.2"}


def test_a_definition_that_leads_elsewhere_now_claims_nothing_there() -> None:
    other = Layer2(name="other", subnets="10.22.0.0/29", nads="default/x")
    before = stored(desired_from_topology(topology(pod("a"), pod("b", "x"), networks=(L2, other))).rows)
    moved = (
        L2.model_copy(update={"nads": ("default/y",)}),
        Layer2(name="other", subnets="10.22.0.0/29", nads=["default/l2", "default/x"]),
    )
    done = again(topology(pod("a"), pod("b", "x"), networks=moved), before)
    assert not done.problems
    assert addresses(done) == {"l2/a": "10.22.0.2", "x/b": "10.22.0.1"}


# Layer3 -----------------------------------------------------------------------------------------------------------


def slices(done: Desired) -> dict[str, str]:
    return {
        key.name: " ".join(sorted(row.networks)) for key, row in done.rows.items() if isinstance(row, LogicalRouterPort)
    }


def l3(*pods: Pod, nodes: tuple[str, ...] = NODES, **more: Any) -> Topology:
    return topology(*pods, networks=(L3,), nodes=nodes, **more)


def test_a_node_keeps_its_slice() -> None:
    before = stored(desired_from_topology(l3(nodes=("n2",))).rows)
    assert slices(again(l3(), before)) == {"rtos-l3_n1": "10.33.1.1/24", "rtos-l3_n2": "10.33.0.1/24"}


def test_the_slice_of_a_gone_node_is_free_when_its_rows_go() -> None:
    before = stored(desired_from_topology(l3(nodes=("n1",))).rows)
    assert slices(again(l3(nodes=("n2",)), before, prune=True)) == {"rtos-l3_n2": "10.33.0.1/24"}
    assert slices(again(l3(nodes=("n2",)), before)) == {"rtos-l3_n2": "10.33.1.1/24"}
    gap = l3(nodes=("n2",), gaps=Gaps(nodes={"n1"}))
    assert slices(again(gap, before, prune=True)) == {"rtos-l3_n2": "10.33.1.1/24"}


def test_a_gone_node_with_pods_keeps_its_slice() -> None:
    before = stored(desired_from_topology(l3(pod("p", "l3", "n1"), nodes=("n1",))).rows)
    done = again(l3(pod("p", "l3", "n1"), nodes=("n2",)), before, prune=True)
    assert slices(done) == {"rtos-l3_n2": "10.33.1.1/24"}
    assert done.gaps == Gaps(nodes={"n1"}, pods={"default/p"})


def test_a_nodes_annotation_goes_before_its_rows() -> None:
    before = stored(desired_from_topology(l3(nodes=("n1",))).rows)
    node = Node(name="n1", subnets={"l3": "10.33.9.0/24"})
    done = again(Topology(networks=[L3], nodes=[node, Node(name="n2")]), before)
    assert slices(done) == {"rtos-l3_n1": "10.33.9.1/24", "rtos-l3_n2": "10.33.0.1/24"}


@pytest.mark.parametrize("stale", ["10.99.0.0/24", "10.33.5.0/31", "10.33.5.0/32", "fd00::/64"])
def test_a_nodes_annotation_that_does_not_fit_leaves_its_rows_their_say(stale: str) -> None:
    node = Node(name="n2", subnets={"l3": stale})
    before = stored(desired_from_topology(Topology(networks=[L3], nodes=[node])).rows)
    done = again(Topology(networks=[L3], nodes=[node, Node(name="n1")]), before)
    assert slices(done) == {"rtos-l3_n1": "10.33.1.1/24", "rtos-l3_n2": "10.33.0.1/24"}


def test_nodes_whose_slices_clash_are_refused_both() -> None:
    nodes = [Node(name=name, subnets={"l3": "10.33.0.0/24"}) for name in NODES]
    done = desired_from_topology(Topology(networks=[L3], nodes=[*nodes, Node(name="n3")]))
    assert slices(done) == {"rtos-l3_n3": "10.33.1.1/24"}
    assert problems(done) == [
        "network l3, Node n1: subnets: network 10.33.0.0/24 already owned by n2",
        "network l3, Node n2: subnets: network 10.33.0.0/24 already owned by n1",
    ]


def test_a_node_that_is_refused_keeps_its_slice_from_others() -> None:
    before = stored(desired_from_topology(l3(pod("p", "l3", "n2"))).rows)
    wrong = Node(name="n2", subnets={"l3": "10.33.0.0/24"})
    nodes = [Node(name="n1"), wrong, Node(name="n3")]
    done = again(Topology(networks=[L3], nodes=nodes, pods=[pod("p", "l3", "n2"), pod("q", "l3", "n3")]), before)
    assert slices(done) == {"rtos-l3_n3": "10.33.2.1/24"}
    assert addresses(done) == {"l3/q": "10.33.2.3"}


@pytest.mark.parametrize("theirs_first", [True, False])
@pytest.mark.parametrize("owner", [None, "another"])
def test_of_two_switches_of_one_name_ours_says_what_the_node_has(theirs_first: bool, owner: str | None) -> None:
    ours = stored(desired_from_topology(l3(nodes=("n1",)), owner=ME).rows)
    mark = {OWNER_KEY: owner} if owner else {}
    theirs = LogicalSwitch(name="l3_n1", other_config={"subnet": "10.33.7.0/24"}, external_ids=mark)
    for uuid in ("00000000-0000-4000-8000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"):
        rows = [Stored(uuid, theirs, ()), *ours.rows.values()]
        claims = claims_from_snapshot(Snapshot.of(rows if theirs_first else reversed(rows)), ME)
        assert slices(desired_from_topology(l3(nodes=("n1",)), claims)) == {"rtos-l3_n1": "10.33.0.1/24"}


def test_a_pod_on_another_node_gets_an_address_there_and_frees_its_old_one() -> None:
    before = stored(desired_from_topology(l3(pod("p", "l3", "n1"))).rows)
    done = again(l3(pod("p", "l3", "n2"), pod("q", "l3", "n1")), before)
    assert addresses(done) == {"l3/p": "10.33.1.3", "l3/q": "10.33.0.3"}


def test_a_pod_that_cannot_move_keeps_its_old_address_from_others() -> None:
    small = Layer3(name="l3", subnets="10.33.0.0/27/29")
    crowd = [pod(f"c{index}", "l3", "n2") for index in range(4)]
    before = stored(desired_from_topology(topology(*crowd, pod("p", "l3", "n1"), networks=(small,))).rows)
    wanted = topology(*crowd, pod("p", "l3", "n2"), pod("a", "l3", "n1"), networks=(small,))
    done = again(wanted, before)
    assert addresses(done)["l3/a"] == "10.33.0.4"
    assert len(problems(done)) == 1


def test_a_refused_pod_keeps_its_address_from_others() -> None:
    wish = (Attachment(name="l3", ips=("10.33.0.9",)),)
    before = stored(desired_from_topology(l3(pod("p", "l3", "n1"))).rows)
    assert addresses(again(l3(pod("p", wish, "n1"), pod("a", "l3", "n1")), before)) == {"l3/a": "10.33.0.4"}


def test_a_port_that_is_left_alone_for_its_pod_keeps_its_address() -> None:
    # Regression: p lost its layer3 port for want of a node, so its layer2 port, no longer asked for, stayed too;
    # its address was given to a newcomer all the same.
    both = (L2, L3)
    before = stored(desired_from_topology(topology(pod("p"), networks=both)).rows)
    done = again(topology(pod("p", "l3", "gone"), pod("a"), networks=both), before, prune=True)
    assert addresses(done) == {"l2/a": "10.22.0.2"}


def test_a_node_that_is_left_alone_for_one_network_keeps_its_slices_of_all() -> None:
    other = Layer3(name="other", subnets="10.44.0.0/16/24")
    before = stored(desired_from_topology(topology(networks=(L3, other), nodes=("n1",))).rows)
    done = again(topology(pod("p", "l3", "n1"), networks=(L3, other), nodes=("n2",)), before, prune=True)
    assert slices(done) == {"rtos-l3_n2": "10.33.1.1/24", "rtos-other_n2": "10.44.1.1/24"}


def test_two_subnets_of_one_family_are_overflow() -> None:
    network = Layer3(name="l3", subnets="10.33.0.0/24/25,10.44.0.0/24/25")
    done = desired_from_topology(topology(networks=(network,), nodes=("a", "b", "c")))
    assert slices(done) == {"rtos-l3_a": "10.33.0.1/25", "rtos-l3_b": "10.33.0.129/25", "rtos-l3_c": "10.44.0.1/25"}


# Whole networks at fault, and gaps ----------------------------------------------------------------------------------


def test_a_network_at_fault_gets_no_rows_and_is_left_alone() -> None:
    bad = Layer2(name="bad", subnets="10.5.0.0/24", exclude_subnets="10.5.0.0/30,10.5.0.0/31")
    for pods in ((), (pod("p", "bad"),)):
        done = desired_from_topology(topology(*pods, pod("q"), networks=(bad, L2)))
        assert done.gaps == Gaps(networks={"bad"})
        assert problems(done) == [
            "network bad: subnets: failed to exclude subnet 10.5.0.0/31 for network bad: failed to reserve IP "
            "10.5.0.1: provided IP is already allocated: it overlaps 10.5.0.0/30"
        ]
        assert addresses(done) == {"l2/q": "10.22.0.1"}
        assert not any(key.name.startswith("bad_") for key in done.rows)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        (Gaps(), "10.22.0.1"),
        (Gaps(pods={"default/a"}), "10.22.0.2"),
        (Gaps(pods={"other/a"}), "10.22.0.1"),
        (Gaps(networks={"l2"}), "10.22.0.2"),
        (Gaps(complete=False), "10.22.0.2"),
    ],
    ids=str,
)
def test_what_could_not_be_described_keeps_its_addresses(gaps: Gaps, expected: str) -> None:
    before = stored(desired_from_topology(topology(pod("a"))).rows)
    assert addresses(again(topology(pod("b"), gaps=gaps), before, prune=True)) == {"l2/b": expected}


# Spoilt rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoilt",
    [
        {"addresses": frozenset()},
        {"addresses": frozenset({"unknown"})},
        {"addresses": frozenset({""})},
        {"addresses": frozenset({"0a:58:0a:16:00:05 10.22.0.5", "dynamic"})},
        {"addresses": frozenset({"02:00:00:00:00:01"})},
        {"addresses": frozenset({"0a:58:0a:63:00:05 10.99.0.5"})},
        {"port_security": frozenset({"0a:58:0a:63:00:05 10.99.0.5"})},
        {"port_security": frozenset()},
        {"external_ids": {}},
        {"options": {}},
    ],
    ids=str,
)
def test_a_spoilt_port_keeps_its_address(spoilt: dict[str, Any]) -> None:
    before = stored(desired_from_topology(topology(pod("b"), pod("c"))).rows)
    spoilt_before = edited(before, "Logical_Switch_Port", "default.l2_default_c", **spoilt)
    done = again(topology(pod("a"), pod("c")), spoilt_before, prune=True)
    if spoilt.get("addresses") == frozenset({"0a:58:0a:16:00:05 10.22.0.5", "dynamic"}):
        assert addresses(done)["l2/c"] in ("10.22.0.2", "10.22.0.5")  # equally credible
    else:
        assert addresses(done) == {"l2/a": "10.22.0.1", "l2/c": "10.22.0.2"}


@pytest.mark.parametrize(
    ("table", "name", "spoilt"),
    [
        ("Logical_Switch", "l3_n2", {"other_config": {}}),
        ("Logical_Switch", "l3_n2", {"other_config": {"subnet": "nonsense"}}),
        ("Logical_Switch", "l3_n2", {"other_config": {"subnet": "10.99.0.0/24"}}),
        ("Logical_Switch", "l3_n2", {"external_ids": {}}),
        ("Logical_Router_Port", "rtos-l3_n2", {"networks": frozenset({"nonsense"})}),
    ],
)
def test_a_spoilt_node_keeps_its_slice(table: str, name: str, spoilt: dict[str, Any]) -> None:
    before = edited(stored(desired_from_topology(l3()).rows), table, name, **spoilt)
    assert slices(again(l3(nodes=("n2",)), before, prune=True)) == {"rtos-l3_n2": "10.33.1.1/24"}


def test_a_router_port_without_its_switch_keeps_its_slice() -> None:
    before = stored(desired_from_topology(l3(pod("p", "l3", "n1"), nodes=("n1",))).rows)
    lost = Snapshot.of(
        item for item in before.rows.values() if "l3_n1" not in item.holders and item.key.name != "l3_n1"
    )
    rest = Snapshot.of(item for item in lost.rows.values() if item.key.table != "Logical_Switch_Port")
    done = again(l3(pod("p", "l3", "n1"), nodes=("n2",)), rest, prune=True)
    assert slices(done) == {"rtos-l3_n2": "10.33.1.1/24"}
    assert slices(again(l3(nodes=("a", "n1")), rest)) == {"rtos-l3_a": "10.33.1.1/24", "rtos-l3_n1": "10.33.0.1/24"}


def test_a_port_in_the_wrong_switch_keeps_its_address() -> None:
    before = stored(desired_from_topology(l3(pod("p", "l3", "n1"), pod("q", "l3", "n1"))).rows)
    (port,) = before.named(Key("Logical_Switch_Port", "default.l3_default_q"))
    assert isinstance(port.row, LogicalSwitchPort)
    (other,) = before.named(Key("Logical_Switch", "l3_n2"))
    moved = Stored(port.uuid, replace(port.row, parent="l3_n2"), (other.uuid,))
    done = again(l3(pod("q", "l3", "n1")), Snapshot({**before.rows, port.uuid: moved}), prune=True)
    assert addresses(done) == {"l3/q": "10.33.0.4"}


def test_a_layer2_switch_of_the_same_network_is_no_node() -> None:
    before = stored(desired_from_topology(topology(networks=(Layer2(name="l3", subnets="10.33.0.0/16"),))).rows)
    assert slices(again(l3(nodes=("n1",)), before)) == {"rtos-l3_n1": "10.33.0.1/24"}


# Rows of OVN-Kubernetes itself ----------------------------------------------------------------------------------------


def test_random_macs_of_ovn_kubernetes_stay() -> None:
    # IPAM-less networks get random MACs there; ours are made from names, but only where there is none yet.
    random = frozenset({"0a:58:fd:98:00:01"})
    switch = LogicalSwitch(name="bare_ovn_layer2_switch", external_ids={"k8s.ovn.org/network": "bare"})
    port = LogicalSwitchPort(
        name="default.bare_default_p",
        parent=switch.name,
        addresses=random,
        port_security=random,
        external_ids={"k8s.ovn.org/network": "bare", "pod": "true"},
    )
    before = Snapshot.of([Stored("s", switch), Stored("p", port, ("s",))])
    done = again(topology(pod("p", "bare"), networks=(BARE,)), before)
    assert done.grants["default.bare_default_p"].mac == "0a:58:fd:98:00:01"


def test_a_made_mac_avoids_those_in_use() -> None:
    alone = desired_from_topology(topology(pod("p", "bare"), networks=(BARE,))).grants["default.bare_default_p"].mac
    taken = (Attachment(name="bare", mac=alone),)
    done = desired_from_topology(topology(pod("a", taken), pod("p", "bare"), networks=(BARE,)))
    assert done.grants["default.bare_default_p"].mac != alone
