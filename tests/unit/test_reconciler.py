"""The front door, on a backend that is nothing but the meaning of a change set."""

from __future__ import annotations

from typing import Any

import pytest
from snapshot_nb import SnapshotNb

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.errors import AllocationError, ConflictError, OwnershipError, PruneRefused, SpecError
from ovnk8s_topo.nb.tables import (
    OWNER_KEY,
    ROW_TYPES,
    TABLES,
    Copp,
    GatewayChassis,
    Key,
    LogicalSwitch,
    LogicalSwitchPort,
)
from ovnk8s_topo.spec import Gaps, Network

L3 = Layer3(name="l3", subnets="10.33.0.0/16/24")
L2 = Layer2(name="l2", subnets="10.22.0.0/24")
LAN = Localnet(name="lan", vlan_id=100)
ALL = (L3, L2, LAN)
NODES = ("n1", "n2")
SHARED = {"Meter", "Meter_Band", "Copp"}


def topology(
    networks: tuple[Network, ...] = ALL, nodes: tuple[str, ...] = NODES, pods: str = "a b", **more: Any
) -> Topology:
    made = [Pod(name=name, node=NODES[index % 2], networks="l3,l2,lan") for index, name in enumerate(pods.split())]
    return Topology(networks=networks, nodes=[Node(name=name) for name in nodes], pods=made, **more)


@pytest.fixture
def nb() -> SnapshotNb:
    return SnapshotNb()


@pytest.fixture
def me(nb: SnapshotNb) -> Reconciler:
    return Reconciler(nb, owner="me")


def foreign_child(nb: SnapshotNb, switch: str) -> None:
    nb.put(LogicalSwitchPort(name=f"vm in {switch}", parent=switch), holder=Key("Logical_Switch", switch))


def owned(nb: SnapshotNb, owner: str = "me") -> set[Key]:
    return {
        stored.key
        for stored in nb.content.rows.values()
        if TABLES[stored.key.table].mark == "external_ids" and stored.row.get("external_ids").get(OWNER_KEY) == owner  # type: ignore[union-attr]
    }


def test_the_fake_fulfils_the_contract() -> None:
    nb: NbBackend = SnapshotNb()
    with Reconciler(nb) as reconciler:
        assert reconciler.plan(Topology()).is_empty
    assert isinstance(nb, SnapshotNb)
    assert nb.closed


@pytest.mark.parametrize("owner", ["", "a\nb", "\x00"])
def test_an_owner_needs_a_printable_name(nb: SnapshotNb, owner: str) -> None:
    with pytest.raises(SpecError, match="owner"):
        Reconciler(nb, owner=owner)


# Plan, apply, verify ------------------------------------------------------------------------------------------------


def test_a_plan_writes_nothing(nb: SnapshotNb, me: Reconciler) -> None:
    plan = me.plan(topology())
    assert plan.counts["insert"] == len(plan.changes) > 20
    assert not nb.content.rows
    assert nb.transactions == 0


def test_apply_makes_it_so_in_one_transaction_and_the_second_sends_none(nb: SnapshotNb, me: Reconciler) -> None:
    done = me.apply(topology())
    assert (done.status, done.attempts, nb.transactions) == ("applied", 1, 1)
    assert me.verify(topology()).is_empty
    assert me.apply(topology()).status == "unchanged"
    assert nb.transactions == 1


def test_apply_of_a_topology_plans_anew_when_somebody_was_faster(nb: SnapshotNb, me: Reconciler) -> None:
    nb.meddle = lambda: Reconciler(nb, owner="me").apply(topology(networks=(L2,)))
    assert me.apply(topology()).attempts == 2
    assert me.verify(topology()).is_empty


def test_verify_shows_leftovers_and_drift(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    nb.edit("Logical_Switch", "l2_ovn_layer2_switch", other_config={})
    seen = me.verify(topology(networks=(L3, L2)))
    assert seen.counts == {"insert": 0, "update": 1, "delete": 4}


def test_verify_guards_nothing_for_it_writes_nothing(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    assert me.verify(Topology()).counts["delete"] > 10


@pytest.mark.parametrize(("wait", "level"), [("sb", "sb"), ("hv", "hv")])
def test_wait_asks_for_the_number_of_this_commit(nb: SnapshotNb, me: Reconciler, wait: Any, level: str) -> None:
    me.apply(topology(), wait=wait)
    me.apply(topology(), wait=wait)
    assert nb.waited == [(level, 1), (level, 2)]


# Pinned plans -------------------------------------------------------------------------------------------------------


def test_a_plan_is_done_as_it_stands(nb: SnapshotNb, me: Reconciler) -> None:
    plan = me.plan(topology())
    assert me.apply(plan).plan.changes == plan.changes
    assert me.verify(topology()).is_empty


def test_a_plan_that_somebody_has_done_already_is_unchanged(nb: SnapshotNb, me: Reconciler) -> None:
    plan = me.plan(topology())
    me.apply(plan)
    assert me.apply(plan).status == "unchanged"
    assert nb.transactions == 1
    gone = me.plan(topology(networks=(L3, L2)), prune=True)
    assert me.apply(gone).status == "applied"
    assert me.apply(gone).status == "unchanged"


def test_an_update_that_has_been_made_is_done(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology(style="2023"))
    plan = me.plan(topology())
    assert plan.counts["update"]
    me.apply(plan)
    # Other columns may have moved on since.
    nb.edit("Logical_Switch_Port", "lan_ovn_localnet_port", tag=100)
    assert me.apply(plan).status == "unchanged"


def test_a_key_that_is_still_there_is_not_done(nb: SnapshotNb, me: Reconciler) -> None:
    # Regression: only keys that should be present were compared, so a key to be removed counted as removed.
    me.apply(topology(networks=(LAN,), pods="", style="2023"))
    plan = me.plan(topology(networks=(LAN,), pods=""))
    row = nb.row("Logical_Switch", "lan_ovn_localnet_switch")
    ids = {**row.get("external_ids"), "k8s.ovn.org/role": "secondary"}  # type: ignore[dict-item]
    nb.edit("Logical_Switch", "lan_ovn_localnet_switch", external_ids=ids)
    nb.edit("Logical_Switch_Port", "lan_ovn_localnet_port", options={"network_name": "lan"})
    with pytest.raises(ConflictError):
        me.apply(plan)


def moved_on(nb: SnapshotNb, how: str) -> None:
    match how:
        case "a row that is updated":
            nb.edit("Logical_Switch", "l2_ovn_layer2_switch", other_config={"somebody": "else"})
        case "a name that is wanted":
            nb.put(LogicalSwitch(name="lan_ovn_localnet_switch"))
        case "a parent that is gone":
            nb.remove("Logical_Switch", "l2_ovn_layer2_switch")


@pytest.mark.parametrize("how", ["a row that is updated", "a name that is wanted", "a parent that is gone"])
def test_a_plan_is_refused_when_the_world_has_moved(nb: SnapshotNb, me: Reconciler, how: str) -> None:
    me.apply(topology(networks=(L2,), style="2023", pods=""))
    plan = me.plan(topology(networks=(L2, LAN)))
    moved_on(nb, how)
    before = nb.content
    with pytest.raises(ConflictError, match="plan again"):
        me.apply(plan)
    assert nb.content == before


def test_a_deletion_is_refused_when_somebody_has_hung_something_on_the_row(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology(networks=(L2, LAN)))
    plan = me.plan(topology(networks=(LAN,)), prune=True)
    foreign_child(nb, "l2_ovn_layer2_switch")
    with pytest.raises(ConflictError):
        me.apply(plan)
    assert "vm in l2_ovn_layer2_switch" in nb.names("Logical_Switch_Port")


# Prune --------------------------------------------------------------------------------------------------------------


def test_nothing_is_deleted_without_prune_and_leftovers_are_counted(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    plan = me.plan(topology(networks=(L3, L2)))
    assert (plan.is_empty, plan.leftovers) == (True, 4)
    assert str(plan) == "nothing to do; 4 rows are no longer described (delete them with prune)"


def test_prune_deletes_leftovers(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    done = me.apply(topology(networks=(L3, L2)), prune=True)
    assert (done.plan.counts, done.plan.leftovers) == ({"insert": 0, "update": 0, "delete": 4}, 0)
    assert me.verify(topology(networks=(L3, L2))).is_empty


def test_prune_is_refused_when_nothing_is_described(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology(networks=(LAN,), pods=""))
    with pytest.raises(PruneRefused, match="nothing at all is described, and 2 rows would go"):
        me.apply(Topology(nodes=[Node(name="n1")]), prune=True, allow_mass_delete=True)


def test_a_mass_deletion_needs_a_permission_of_its_own(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    with pytest.raises(PruneRefused, match=r"would delete 20 of the 24 rows of 'me'; more than 10 at once"):
        me.plan(topology(networks=(LAN,)), prune=True)
    me.apply(topology(networks=(LAN,)), prune=True, allow_mass_delete=True)
    assert me.verify(topology(networks=(LAN,))).is_empty


@pytest.mark.parametrize(
    ("gaps", "left"),
    [
        (Gaps(complete=False), "l3 l2 lan"),
        (Gaps(networks={"l3", "l2"}), "l3 l2"),
        (Gaps(networks={"l3"}), "l3"),
    ],
    ids=str,
)
def test_nothing_is_concluded_from_an_incomplete_picture(nb: SnapshotNb, me: Reconciler, gaps: Gaps, left: str) -> None:
    me.apply(topology())
    rest = topology(networks=(Layer2(name="other"),), gaps=gaps)
    me.apply(rest, prune=True, allow_mass_delete=True)
    switches = {"l3": {"l3_n1", "l3_n2"}, "l2": {"l2_ovn_layer2_switch"}, "lan": {"lan_ovn_localnet_switch"}}
    expected = {name for network in left.split() for name in switches[network]}
    assert nb.names("Logical_Switch") == expected | {"other_ovn_layer2_switch"}
    assert bool(nb.names("Logical_Router")) == ("l3" in left)
    ports = {name for name in nb.names("Logical_Switch_Port") if name.startswith("default.")}
    assert len(ports) == 2 * len(left.split())
    assert len(nb.names("Load_Balancer_Group")) == 3 * (1 + ("l3" in left.split()) + ("l2" in left.split()))


def test_a_node_that_could_not_be_described_keeps_its_rows(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    before = nb.content
    me.apply(topology(nodes=("n1",), gaps=Gaps(nodes={"n2"})), prune=True, keep_going=True)
    assert nb.content == before


def test_a_gone_node_keeps_its_rows_until_its_pods_are_gone(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    before = nb.content
    with pytest.raises(AllocationError, match="its node n2 has no subnet of network l3"):
        me.apply(topology(nodes=("n1",)), prune=True)
    done = me.apply(topology(nodes=("n1",)), prune=True, keep_going=True)
    assert [problem.subject for problem in done.plan.problems] == ["Pod default/b (default/l3)"]
    assert nb.content == before
    me.apply(topology(nodes=("n1",), pods="a"), prune=True)
    assert nb.names("Logical_Switch") == {"l3_n1", "l2_ovn_layer2_switch", "lan_ovn_localnet_switch"}
    assert nb.names("Gateway_Chassis") == {"rtos-l3_n1-n1"}


def test_a_pod_that_could_not_be_described_keeps_its_ports(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    before = nb.content
    me.apply(topology(pods="a", gaps=Gaps(pods={"default/b"})), prune=True)
    assert nb.content == before
    assert me.plan(topology(pods="a", gaps=Gaps(pods={"default/b"}))).leftovers == 0


# Ownership ----------------------------------------------------------------------------------------------------------


def test_a_name_that_somebody_else_has_is_an_error(nb: SnapshotNb, me: Reconciler) -> None:
    nb.put(LogicalSwitch(name="lan_ovn_localnet_switch", external_ids={OWNER_KEY: "you"}), "u-1")
    with pytest.raises(OwnershipError) as caught:
        me.apply(topology(), adopt=True)
    assert str(caught.value) == (
        "Logical_Switch lan_ovn_localnet_switch: external_ids: the row u-1 belongs to 'you', not to 'me'"
    )
    assert len(nb.content.rows) == 1


def test_rows_without_a_mark_are_adopted_on_request(nb: SnapshotNb, me: Reconciler) -> None:
    ids = {"k8s.ovn.org/network": "lan", "theirs": "stays"}
    nb.put(LogicalSwitch(name="lan_ovn_localnet_switch", external_ids=ids), "u-1")
    with pytest.raises(OwnershipError, match="adopt it"):
        me.apply(topology())
    me.apply(topology(), adopt=True)
    assert nb.content.named(Key("Logical_Switch", "lan_ovn_localnet_switch"))[0].uuid == "u-1"
    assert nb.row("Logical_Switch", "lan_ovn_localnet_switch").get("external_ids")["theirs"] == "stays"  # type: ignore[index]


@pytest.mark.parametrize(
    ("table", "name", "lost"),
    [
        ("Logical_Switch", "l2_ovn_layer2_switch", {"l2_ovn_layer2_switch"}),
        ("Logical_Router", "l3_ovn_cluster_router", {"l3_n1", "l3_n2"}),
        ("Logical_Switch", "l3_n2", {"l3_n2"}),
    ],
)
def test_keep_going_leaves_out_all_of_what_somebody_else_has_a_part_of(
    nb: SnapshotNb, me: Reconciler, table: str, name: str, lost: set[str]
) -> None:
    made: Any = ROW_TYPES[table]
    nb.put(made(name=name, external_ids={OWNER_KEY: "you"}))
    done = me.apply(topology(), keep_going=True)
    assert [problem.subject for problem in done.plan.problems] == [f"{table} {name}"]
    switches = {"l3_n1", "l3_n2", "l2_ovn_layer2_switch", "lan_ovn_localnet_switch"}
    assert {key.name for key in owned(nb) if key.table == "Logical_Switch"} == switches - lost
    expected_routers = (
        set() if "l3_n1" in lost else {"rtos-l3_n1"} | ({"rtos-l3_n2"} - {f"rtos-{each}" for each in lost})
    )
    assert nb.names("Logical_Router_Port") == expected_routers
    assert me.plan(topology(), keep_going=True).is_empty


def test_what_somebody_else_hangs_on_our_rows_blocks_their_deletion(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    foreign_child(nb, "lan_ovn_localnet_switch")
    with pytest.raises(OwnershipError, match="would take Logical_Switch_Port vm in"):
        me.apply(topology(networks=(L3, L2)), prune=True)
    before = nb.content
    done = me.apply(topology(networks=(L3, L2)), prune=True, keep_going=True)
    assert len(done.plan.problems) == 1
    assert nb.content == before


def test_a_node_whose_switch_must_stay_keeps_its_slice(nb: SnapshotNb, me: Reconciler) -> None:
    # Regression: the slice of the switch that could not go was given to the next node.
    me.apply(topology(networks=(L3,), nodes=("n1",), pods=""))
    foreign_child(nb, "l3_n1")
    me.apply(topology(networks=(L3,), nodes=("n2",), pods=""), prune=True, keep_going=True)
    subnets = [stored.row.get("other_config")["subnet"] for stored in nb.content.table("Logical_Switch")]  # type: ignore[index]
    assert sorted(subnets) == ["10.33.0.0/24", "10.33.1.0/24"]
    assert nb.names("Logical_Router_Port") == {"rtos-l3_n1", "rtos-l3_n2"}


def test_a_switch_that_must_stay_protects_no_other_of_its_kind(nb: SnapshotNb, me: Reconciler) -> None:
    # Regression: it was taken for a node's, and every localnet switch ended like that node.
    lan = Localnet(name="other", subnets="10.55.0.0/24", nads="default/lan")
    me.apply(topology(networks=(LAN.model_copy(update={"nads": ("x/y",)}), lan), pods="a"))
    foreign_child(nb, "lan_ovn_localnet_switch")
    wanted = topology(networks=(Layer2(name="lan", nads="x/y"), lan), pods="")
    me.apply(wanted, prune=True, keep_going=True)
    assert "default.lan_default_a" not in nb.names("Logical_Switch_Port")


def test_two_owners_of_different_networks_live_side_by_side(nb: SnapshotNb, me: Reconciler) -> None:
    you = Reconciler(nb, owner="you")
    me.apply(topology(networks=(L3, L2)))
    mine = dict(nb.content.rows)
    theirs = topology(networks=(LAN, Layer3(name="l3b", subnets="10.33.0.0/16/24")))
    you.apply(theirs, prune=True)
    assert mine.items() <= nb.content.rows.items()
    assert me.verify(topology(networks=(L3, L2))).is_empty
    assert you.verify(theirs).is_empty
    me.destroy()
    assert you.verify(theirs).is_empty
    assert not owned(nb)


def test_two_owners_of_one_network_are_told(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    before = nb.content
    with pytest.raises(OwnershipError, match="belongs to 'me', not to 'you'"):
        Reconciler(nb, owner="you").apply(topology())
    assert Reconciler(nb, owner="you").apply(topology(), keep_going=True).status == "unchanged"
    assert nb.content == before


def test_shared_rows_are_completed_and_never_cut(nb: SnapshotNb, me: Reconciler) -> None:
    nb.put(Copp(name="ovnkube-default", meters={"arp": "their-meter", "bfd": "bfd-rate-limiter"}))
    me.apply(topology())
    assert nb.row("Copp", "ovnkube-default").get("meters")["arp"] == "their-meter"  # type: ignore[index]
    assert len(nb.row("Copp", "ovnkube-default").get("meters")) == 9  # type: ignore[arg-type]
    me.destroy()
    assert {stored.key.table for stored in nb.content.rows.values()} == SHARED


# Destroy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["l3", "l2", "lan"])
def test_destroy_of_one_network_takes_all_of_it_and_nothing_else(nb: SnapshotNb, me: Reconciler, network: str) -> None:
    me.apply(topology())
    me.destroy([network])
    rest = tuple(each for each in ALL if each.name != network)
    assert me.verify(topology(networks=rest)).is_empty
    assert len(nb.names("Load_Balancer_Group")) == 3 * sum(not isinstance(each, Localnet) for each in rest)


def test_destroy_leaves_no_owned_row_and_may_be_repeated(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    assert me.destroy().status == "applied"
    assert {stored.key.table for stored in nb.content.rows.values()} == SHARED
    assert me.destroy().status == "unchanged"
    assert me.destroy(["nobody"]).status == "unchanged"


def test_destroy_is_refused_while_somebody_else_hangs_on_it(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    foreign_child(nb, "l2_ovn_layer2_switch")
    before = nb.content
    with pytest.raises(OwnershipError):
        me.destroy()
    assert nb.content == before


# Restoring ----------------------------------------------------------------------------------------------------------


def spoilings(nb: SnapshotNb) -> list[tuple[Key, str, Any]]:
    """Every column of ours of every row of ours, with a value that it should not have."""
    found: list[tuple[Key, str, Any]] = []
    for stored in nb.content.rows.values():
        for column, value in stored.row.values():
            if TABLES[stored.key.table].mark == "external_ids" and column.ours and column.name not in ("name", "tag"):
                found += [(stored.key, column.name, spoilt) for spoilt in spoilt_values(column.shape, value, column)]
    return found


def spoilt_values(shape: str, value: Any, column: Any) -> list[Any]:
    match shape:
        case "map":
            mark = {key: text for key, text in value.items() if key == OWNER_KEY}
            return [mark, {**value, **{key: "spoilt" for key in column.keys if key != OWNER_KEY}}]
        case "set":
            return [frozenset()] if value and column.refers else [] if column.refers else [frozenset({"spoilt"})]
        case "optional":
            return [None if value is not None else ("ovnkube-default" if column.refers else 7)]
        case _:
            return ["spoilt" if isinstance(value, str) else 7]


@pytest.mark.parametrize("style", ["2023", "2024"])
def test_every_spoilt_column_is_restored(style: Any) -> None:
    nb = SnapshotNb()
    me = Reconciler(nb, owner="me")
    wanted = topology(style=style)
    me.apply(wanted)
    good = nb.content
    cases = spoilings(nb)
    assert len(cases) > 100
    for key, column, spoilt in cases:
        nb.content = good
        nb.edit(key.table, key.name, **{column: spoilt})
        me.apply(wanted, prune=True)
        assert good.rows.keys() == nb.content.rows.keys(), (key, column, spoilt)
        for uuid, stored in good.rows.items():
            row, now = stored.row, nb.content.rows[uuid].row
            for checked, value in row.values():
                if checked.shape == "map":
                    assert dict(now.get(checked.name)).items() >= dict(value).items(), (key, column, spoilt)  # type: ignore[arg-type]
                elif checked.name != "tag":
                    assert now.get(checked.name) == value, (key, column, spoilt)


def test_lost_rows_come_back(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    good = nb.content
    for stored in good.rows.values():
        if stored.key.table not in SHARED | {"Load_Balancer_Group"}:
            nb.content = good
            nb.remove(*stored.key)
            me.apply(topology(), prune=True)
            assert nb.content == good


def test_duplicates_of_our_rows_go(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    good = nb.content
    (switch,) = good.named(Key("Logical_Switch", "l2_ovn_layer2_switch"))
    nb.put(switch.row, "twin")
    me.apply(topology())
    assert nb.content == good


def test_a_chassis_that_changes_takes_the_old_row_along(nb: SnapshotNb, me: Reconciler) -> None:
    me.apply(topology())
    wanted = Topology(networks=ALL, nodes=[Node(name="n1", chassis_id="c1"), Node(name="n2")], pods=topology().pods)
    me.apply(wanted, prune=True)
    assert nb.names("Gateway_Chassis") == {"rtos-l3_n1-c1", "rtos-l3_n2-n2"}
    row = nb.row("Gateway_Chassis", "rtos-l3_n1-c1")
    assert isinstance(row, GatewayChassis)
    assert row.chassis_name == "c1"


def test_a_chassis_that_changes_does_not_wait_for_prune(nb: SnapshotNb, me: Reconciler) -> None:
    # Two rows would make the router port a high-availability pair; OVN-Kubernetes writes the column as a whole.
    me.apply(topology())
    wanted = Topology(networks=ALL, nodes=[Node(name="n1", chassis_id="c1"), Node(name="n2")], pods=topology().pods)
    me.apply(wanted)
    assert nb.names("Gateway_Chassis") == {"rtos-l3_n1-c1", "rtos-l3_n2-n2"}
    assert me.plan(wanted).leftovers == 0
