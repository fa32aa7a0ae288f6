"""Pods that ask for addresses and MACs: who has goes before who asks, who asks goes before who does not."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from planning import HONOUR, NODES, addresses, again, asking, fresh, pod, pods_left_alone, problems, stored, topology

from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import Key, LogicalSwitchPort, Row
from ovnk8s_topo.planner import Desired
from ovnk8s_topo.spec import Attachment, Given, Layer2, Layer3, Localnet, Network, Node, Pod, Style, Topology

L2 = Layer2(name="l2", subnets="10.22.0.0/28", exclude_subnets="10.22.0.8/30")
DUAL = Layer2(name="l2", subnets="10.22.0.0/28,fd00:22::/64")
L3 = Layer3(name="l3", subnets="10.33.0.0/16/24")
BARE = Layer2(name="bare")
MAC = "02:00:00:00:00:05"
IN_USE = "provided IP is already allocated: "


def plan(*pods: Pod, network: Network = L2, style: Style = "2024") -> Desired:
    return fresh(topology(*pods, networks=(network,), cluster=HONOUR, style=style))


def replan(before: Desired, *pods: Pod, network: Network = L2, prune: bool = False) -> Desired:
    return again(topology(*pods, networks=(network,), cluster=HONOUR), before, prune=prune)


def why(done: Desired) -> str:
    (problem,) = done.problems
    assert done.gaps == pods_left_alone(done)
    return f"{problem.path}: {problem.why}"


# Addresses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["2023", "2024"])
def test_a_wish_is_honoured_in_both_styles(style: Style) -> None:
    done = plan(asking("p", "10.22.0.5/28", mac=MAC), style=style)
    assert addresses(done) == {"p": "10.22.0.5"}
    assert done.grants["default.l2_default_p"].mac == MAC


def test_a_wish_without_a_mac_makes_it_from_the_address() -> None:
    assert plan(asking("p", "10.22.0.5")).grants["default.l2_default_p"].mac == "0a:58:0a:16:00:05"


def test_a_wish_goes_before_newcomers_whatever_their_names_and_order() -> None:
    pods = (pod("a"), pod("b"), asking("z", "10.22.0.1"))
    for some in permutations(pods):
        assert addresses(plan(*some)) == {"a": "10.22.0.2", "b": "10.22.0.3", "z": "10.22.0.1"}


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (("10.22.0.9",), f"{IN_USE}10.22.0.9 is excluded by 10.22.0.8/30"),
        (("10.22.0.0",), "not in range: 10.22.0.0 is not one of 10.22.0.1-10.22.0.14 of 10.22.0.0/28"),
        (("10.22.0.15/28",), "not in range: 10.22.0.15 is not one of 10.22.0.1-10.22.0.14 of 10.22.0.0/28"),
        (
            ("10.99.0.1",),
            "failed to allocate IP 10.99.0.1 for network l2: not contained in any known subnet: there are 10.22.0.0/28",
        ),
        (
            ("10.22.0.1", "10.22.0.2"),
            "failed to allocate IP 10.22.0.2 for network l2: "
            "attempted to reserve multiple IPs in the same continuous IPAM instance",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_wish_that_cannot_be_had_says_which_range_and_why(wish: tuple[str, ...], reason: str) -> None:
    done = plan(asking("p", *wish), pod("q"))
    assert why(done) == f"networks: {reason}"
    assert "q" in addresses(done)


@pytest.mark.parametrize("number", [1, 2])
def test_what_a_node_keeps_for_itself_cannot_be_asked_for(number: int) -> None:
    done = plan(asking("p", f"10.33.0.{number}", network="l3"), network=L3)
    assert why(done) == (
        f"networks: {IN_USE}10.33.0.{number} is withheld for the network itself, "
        "of 10.33.0.1-10.33.0.254 of 10.33.0.0/24"
    )


def test_on_layer3_the_address_must_be_of_the_pods_node() -> None:
    pods = [asking(f"p{node}", "10.33.1.9", network="l3", node=node) for node in NODES]
    done = plan(*pods, network=L3)
    assert addresses(done) == {"pn2": "10.33.1.9"}
    assert "10.33.1.9 for network l3: not contained in any known subnet: there are 10.33.0.0/24" in why(done)


def test_a_wish_for_an_address_in_use_names_its_owner() -> None:
    before = plan(pod("z"))
    done = replan(before, asking("a", "10.22.0.1"), pod("z"))
    assert addresses(done) == {"z": "10.22.0.1"}
    assert why(done) == f"networks: {IN_USE}10.22.0.1 belongs to Pod default/z (default/l2)"


@pytest.mark.parametrize("prune", [False, True])
def test_a_leftover_keeps_its_address_from_a_wish_unless_it_is_pruned(prune: bool) -> None:
    done = replan(plan(pod("z")), asking("a", "10.22.0.1"), prune=prune)
    assert addresses(done) == ({"a": "10.22.0.1"} if prune else {})
    assert problems(done) == (
        []
        if prune
        else [f"Pod default/a (default/l2): networks: {IN_USE}10.22.0.1 belongs to port default.l2_default_z"]
    )


def test_two_wishes_for_one_address_are_a_problem_of_both_and_nobody_else_gets_it() -> None:
    done = plan(pod("a"), asking("b", "10.22.0.1"), asking("c", "10.22.0.1"))
    assert addresses(done) == {"a": "10.22.0.2"}
    assert problems(done) == [
        f"Pod default/{one} (default/l2): networks: {IN_USE}"
        f"10.22.0.1 is asked for by Pod default/{other} (default/l2) too"
        for one, other in ("bc", "cb")
    ]


def test_of_two_wishes_the_one_that_has_it_keeps_it() -> None:
    before = plan(asking("c", "10.22.0.1"))
    done = replan(before, asking("b", "10.22.0.1"), asking("c", "10.22.0.1"))
    assert addresses(done) == {"c": "10.22.0.1"}


def test_a_partial_wish_gets_the_rest_fresh_in_the_order_of_the_subnets() -> None:
    pods = (pod("a"), asking("b", "10.22.0.7"), asking("c", "fd00:22::7"), asking("d", "fd00:22::8", "10.22.0.8"))
    done = plan(*pods, network=DUAL)
    expected = {
        "a": "10.22.0.1 fd00:22::1",
        "b": "10.22.0.7 fd00:22::2",
        "c": "10.22.0.2 fd00:22::7",
        "d": "10.22.0.8 fd00:22::8",
    }
    assert addresses(done) == expected
    assert addresses(replan(done, *pods, network=DUAL)) == expected


def test_a_wish_that_fails_in_one_family_gets_nothing_and_keeps_the_other_from_newcomers() -> None:
    done = plan(pod("a"), asking("b", "10.22.0.1", "fd00:22::2:0"), network=DUAL)
    assert addresses(done) == {"a": "10.22.0.2 fd00:22::1"}
    assert why(done).startswith("networks: not in range: fd00:22::2:0 is not one of fd00:22::1-fd00:22::ffff")


def test_what_a_pod_was_told_or_has_goes_before_its_wish() -> None:
    told = {"default/l2": Given(ips=("10.22.0.3/28",), mac="02:00:00:00:00:03")}
    assert addresses(plan(asking("p", "10.22.0.5", given=told))) == {"p": "10.22.0.3"}
    before = plan(pod("p", uid="u1"))
    assert addresses(replan(before, asking("p", "10.22.0.5", uid="u1"))) == {"p": "10.22.0.1"}
    assert addresses(replan(before, asking("p", "10.22.0.5", uid="u2"))) == {"p": "10.22.0.5"}


def test_a_second_subnet_takes_the_wish_for_it_and_moves_nobody() -> None:
    before = plan(pod("p"))
    done = replan(before, asking("p", "10.22.0.5", "fd00:22::5"), network=DUAL)
    assert addresses(done) == {"p": "10.22.0.1 fd00:22::5"}


def test_the_second_plan_of_a_wish_changes_nothing() -> None:
    pods = (pod("a"), asking("b", "10.22.0.1", mac=MAC))
    before = plan(*pods)
    assert replan(before, *pods).rows == before.rows


def test_wishes_for_the_ports_of_one_definition_used_twice() -> None:
    twice = tuple(Attachment(name="l2", ips=(f"10.22.0.{n}",)) for n in (5, 6))
    done = plan(pod("p", twice))
    assert {port: str(grant.addresses[0]) for port, grant in done.grants.items()} == {
        "default.l2_default_p": "10.22.0.5",
        "default.l2.1_default_p": "10.22.0.6",
    }
    one = Attachment(name="l2", ips=("10.22.0.5",))
    assert [problem.subject for problem in plan(pod("p", (one, one))).problems] == [
        "Pod default/p (default/l2)",
        "Pod default/p (default/l2/1)",
    ]


def test_wishes_through_several_definitions_of_one_network() -> None:
    network = Layer2(name="l2", subnets="10.22.0.0/28", nads=["default/x", "default/y"])
    pods = [asking("a", "10.22.0.5", network="x"), asking("b", "10.22.0.5", network="y"), pod("c", "x,y")]
    done = plan(*pods, network=network)
    assert {port: str(grant.addresses[0]) for port, grant in done.grants.items()} == {
        "default.x_default_c": "10.22.0.1",
        "default.y_default_c": "10.22.0.2",
    }
    assert [problem.subject for problem in done.problems] == ["Pod default/a (default/x)", "Pod default/b (default/y)"]


# MACs -----------------------------------------------------------------------------------------------------------------


def in_use(pod: str, mac: str, other: str, nad: str = "l2") -> str:
    return (
        f'mac: failed to reserve MAC address "{mac}" for owner "default/{pod}" on NAD key "default/{nad}": '
        f"MAC address already in use: by {other}"
    )


@pytest.mark.parametrize(
    "network", [L2, BARE, L3, Localnet(name="lan")], ids=lambda network: f"{network.topology}-{bool(network.ranges)}"
)
def test_two_wishes_for_one_mac_are_a_problem_of_both(network: Network) -> None:
    pods = [asking(name, network=network.name, node=node, mac=MAC) for name, node in zip("ab", NODES, strict=True)]
    done = plan(*pods, network=network)
    assert not done.grants
    assert [f"{problem.path}: {problem.why}" for problem in done.problems] == [
        in_use(one, MAC, f"Pod default/{other} (default/{network.name})", network.name) for one, other in ("ab", "ba")
    ]


def test_of_very_many_wishes_for_one_mac_a_problem_names_three() -> None:
    done = plan(*(asking(name, mac=MAC) for name in "abcdef"))
    assert not done.grants
    others = ", ".join(f"Pod default/{name} (default/l2)" for name in "bcd")
    assert f"{done.problems[0].path}: {done.problems[0].why}" == in_use("a", MAC, f"{others} and 2 more")


def test_whoever_has_a_mac_keeps_it() -> None:
    before = plan(asking("b", mac=MAC))
    done = replan(before, asking("a", mac=MAC), asking("b", mac=MAC))
    assert addresses(done) == {"b": "10.22.0.1"}
    assert why(done) == in_use("a", MAC, "Pod default/b (default/l2)")


@pytest.mark.parametrize("prune", [False, True])
def test_a_port_that_stays_keeps_its_mac(prune: bool) -> None:
    done = replan(plan(asking("b", mac=MAC)), asking("a", mac=MAC), prune=prune)
    assert problems(done) == (
        [] if prune else [f"Pod default/a (default/l2): {in_use('a', MAC, 'port default.l2_default_b')}"]
    )


def test_a_mac_that_follows_from_an_address_in_use_cannot_be_asked_for() -> None:
    made = "0a:58:0a:16:00:01"
    done = replan(plan(pod("a")), asking("z", mac=made), pod("a"))
    assert addresses(done) == {"a": "10.22.0.1"}
    assert why(done) == in_use("z", made, "Pod default/a (default/l2)")


@pytest.mark.parametrize("has_it_already", [False, True])
def test_newcomers_do_not_get_the_address_behind_a_mac_that_somebody_has_chosen(has_it_already: bool) -> None:
    chosen = asking("z", "10.22.0.5", mac="0a:58:0a:16:00:01")
    pods = [pod("a"), chosen]
    done = replan(plan(chosen), *pods) if has_it_already else plan(*pods)
    assert addresses(done) == {"a": "10.22.0.2", "z": "10.22.0.5"}
    late = plan(asking("b", "10.22.0.1"), chosen)
    assert why(late).endswith("10.22.0.1 belongs to the MAC of Pod default/z (default/l2)")
    both = plan(asking("z", "10.22.0.5", mac="0a:58:0a:16:00:05"))
    assert addresses(both) == {"z": "10.22.0.5"}


def test_macs_that_pods_were_told_twice_are_a_problem_of_both_and_of_whoever_asks() -> None:
    pods = [
        pod(name, given={"default/l2": Given(ips=(f"10.22.0.{number}/28",), mac=MAC)})
        for number, name in enumerate("ab", start=1)
    ]
    done = plan(*pods, asking("c", mac=MAC), pod("d"))
    assert addresses(done) == {"d": "10.22.0.3"}
    assert sorted(problem.subject.split()[1] for problem in done.problems) == ["default/a", "default/b", "default/c"]


def port_with(name: str, address: str, network: Network) -> Row:
    """Return the port of a pod as somebody has changed it."""
    port = Key("Logical_Switch_Port", f"default.{network.name}_default_{name}")
    row = plan(pod(name, network.name), network=network).rows[port]
    assert isinstance(row, LogicalSwitchPort)
    return replace(row, addresses=frozenset({address}), port_security=frozenset({address}))


def in_database(*rows: Row) -> Snapshot:
    return stored({row.key: row for row in rows})


def test_a_mac_in_two_ports_is_a_problem_though_nobody_asks() -> None:
    before = in_database(*(port_with(name, MAC, BARE) for name in "ab"))
    done = again(topology(pod("a", "bare"), pod("b", "bare"), networks=(BARE,)), before)
    assert [problem.subject for problem in done.problems] == [f"Pod default/{name} (default/bare)" for name in "ab"]


def test_a_port_that_stays_keeps_the_mac_behind_the_address_of_another() -> None:
    made = "0a:58:0a:16:00:01"
    before = in_database(port_with("a", f"{MAC} 10.22.0.1", L2), port_with("z", f"{made} 10.22.0.5", L2))
    done = again(topology(pod("a"), networks=(L2,)), before)
    assert why(done) == in_use("a", made, "port default.l2_default_z")


def test_one_mac_on_two_networks_is_fine() -> None:
    both = tuple(Attachment(name=name, mac=MAC) for name in ("l2", "bare"))
    assert not fresh(topology(pod("p", both), networks=(L2, BARE))).problems


def test_without_subnets_nobody_compares_addresses() -> None:
    pods = [asking(name, "192.0.2.7/24", network="bare") for name in "ab"]
    done = plan(*pods, network=BARE)
    assert addresses(done) == {"a": "192.0.2.7", "b": "192.0.2.7"}
    assert not replan(plan(pods[0], network=BARE), *pods, network=BARE).problems


def test_the_switch_is_off_by_default() -> None:
    done = fresh(Topology(networks=[L2], nodes=[Node(name="n1")], pods=[asking("p", "10.22.0.5")]))
    assert why(done).endswith("custom network configuration disabled")
