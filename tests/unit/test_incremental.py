"""Events one by one: what `put`, `remove` and `batch` do, what they are told, and that they look at little."""

from __future__ import annotations

from typing import cast

import pytest
from tracked_nb import TrackedNb

from ovnk8s_topo import (
    AllocationError,
    IpamClaim,
    Layer2,
    Layer3,
    Localnet,
    Node,
    OutcomeUnknown,
    OwnershipError,
    Pod,
    PruneRefused,
    Reconciler,
    SpecError,
    Topology,
)
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.faults import Faults
from ovnk8s_topo.live import Engine, Way
from ovnk8s_topo.nb.tables import LogicalSwitch, LogicalSwitchPort
from ovnk8s_topo.spec import Cluster, Gaps, Network

BLUE = Layer2(name="blue", subnets="10.22.0.0/16")
RED = Layer3(name="red", subnets="10.33.0.0/16/24")
NODES = [Node(name="n1"), Node(name="n2")]


def pod(name: str, networks: str = "blue", node: str = "n1", **values: str) -> Pod:
    return Pod(name=name, uid=f"uid-{name}", node=node, networks=networks, **values)


def pods(count: int, networks: str) -> list[Pod]:
    return [pod(f"p{number:04}", networks, NODES[number % 2].name) for number in range(count)]


def started(
    nb: TrackedNb, *networks: Network, count: int = 0, prune: bool = True, keep_going: bool = False
) -> Reconciler:
    reconciler = Reconciler(nb, owner="me")
    members = pods(count, ",".join(network.name for network in networks))
    topology = Topology(networks=networks, nodes=NODES, pods=members)
    reconciler.apply(topology, prune=prune, keep_going=keep_going)
    return reconciler


def way_of(reconciler: Reconciler) -> Way | None:
    return cast(Engine, reconciler._engine).way


def test_nothing_can_be_put_before_a_topology_is_applied() -> None:
    with pytest.raises(SpecError, match="apply the whole topology first"):
        Reconciler(TrackedNb(), owner="me").put(pod("a"))


def test_put_tells_what_the_pod_gets_and_no_more() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE, count=3)
    result = reconciler.put(pod("web"))
    assert (result.status, result.plan.counts) == ("applied", {"insert": 1, "update": 0, "delete": 0})
    [attachment] = result.plan.told.attachments
    assert (attachment.pod, [str(address) for address in attachment.addresses]) == ("default/web", ["10.22.0.4/16"])
    assert reconciler.put(pod("web")).status == "unchanged"


def test_remove_deletes_what_it_names_without_prune() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE, count=20, prune=False)
    left_over = nb.put(
        LogicalSwitchPort(name="old", parent="blue_ovn_layer2_switch", external_ids={"ovnk8s-topo/owner": "me"}),
        holder=nb.content.named(nb.row("Logical_Switch", "blue_ovn_layer2_switch").key)[0].key,
    )
    reconciler.remove(pods=[f"default/p{number:04}" for number in range(18)])
    assert nb.names("Logical_Switch_Port") == {
        "default.blue_default_p0018",
        "default.blue_default_p0019",
        left_over.key.name,
    }
    assert reconciler.remove(pods=["default/p0000"]).status == "unchanged"


def test_a_batch_is_one_transaction() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE, count=2)
    before = nb.transactions
    with reconciler.batch() as batch:
        batch.remove(pods=["default/p0000"])
        batch.put(RED, pod("a", "red"), pod("b", "blue,red", "n2"))
    assert nb.transactions == before + 1
    assert batch.result is not None
    assert len(batch.result.plan.told.attachments) == 3


def test_a_pod_waits_for_its_network_and_its_node() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE, keep_going=True)
    assert reconciler.put(pod("a", "red", "n3")).status == "unchanged"
    first = reconciler.put(RED)
    assert [problem.subject for problem in first.plan.problems] == ["Pod default/a (default/red)"]
    second = reconciler.put(Node(name="n3"))
    assert not second.plan.problems
    assert [attachment.pod for attachment in second.plan.told.attachments] == ["default/a"]


def test_a_refused_event_leaves_everything_as_it_was() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE, RED)
    before = nb.content
    with pytest.raises(AllocationError):
        reconciler.put(pod("a", "blue,red", "nowhere"))
    with pytest.raises(SpecError, match="its OVN names would be those of network"):
        reconciler.put(Layer2(name="a-b"), Layer2(name="a.b"))
    assert nb.content is before
    assert reconciler.put(pod("a", "blue,red")).plan.counts["insert"] == 2
    assert reconciler.remove(pods=["default/a"]).plan.counts["delete"] == 2


def test_a_block_that_raises_does_nothing() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE)
    with pytest.raises(TypeError), reconciler.batch() as batch:
        batch.put(pod("a"), "b")  # type: ignore[arg-type]
    assert "default.blue_default_a" not in nb.names("Logical_Switch_Port")


def test_a_call_that_is_refused_inside_a_block_has_noted_nothing() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE, count=2)
    with reconciler.batch() as batch:
        with pytest.raises(TypeError):
            batch.put(pod("a"), "b")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            batch.remove(pod("p0000"), "b")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            batch.remove(pod("p0000"), nodes=["n1"], pods=7)  # type: ignore[arg-type]
    assert batch.result is not None
    assert batch.result.status == "unchanged"


def test_a_second_switch_of_the_same_name_and_content_goes_at_the_next_apply() -> None:
    nb = TrackedNb()
    topology = Topology(networks=[BLUE], nodes=NODES)
    reconciler = Reconciler(nb, owner="me")
    reconciler.apply(topology)
    switch = nb.row("Logical_Switch", "blue_ovn_layer2_switch")
    nb.put(switch)
    assert len(nb.content.named(switch.key)) == 2
    assert reconciler.apply(topology).plan.counts == {"insert": 0, "update": 0, "delete": 1}
    assert len(nb.content.named(switch.key)) == 1


def test_what_could_not_be_read_is_closed_by_putting_it() -> None:
    nb = TrackedNb()
    started(nb, BLUE, count=1)
    reconciler = Reconciler(nb, owner="me")
    reconciler.apply(Topology(networks=[BLUE], nodes=NODES, gaps=Gaps(pods={"default/p0000"})), prune=True)
    assert nb.names("Logical_Switch_Port") == {"default.blue_default_p0000"}
    reconciler.put(pod("other"))
    assert len(nb.names("Logical_Switch_Port")) == 2
    reconciler.remove(pods=["default/p0000"])
    assert nb.names("Logical_Switch_Port") == {"default.blue_default_other"}


def test_a_lost_reply_is_found_out() -> None:
    nb = MemoryNb(faults=Faults(commits=["reply_lost", None, "reply_lost"]))
    reconciler = Reconciler(nb, owner="me")
    topology = Topology(networks=[BLUE], nodes=NODES)
    with pytest.raises(OutcomeUnknown):
        reconciler.apply(topology)
    with pytest.raises(SpecError):
        reconciler.put(pod("a"))
    assert reconciler.apply(topology).status == "unchanged"
    with pytest.raises(OutcomeUnknown):
        reconciler.put(pod("a"))
    assert reconciler.put(pod("a")).status == "unchanged"
    assert reconciler.remove(pods=["default/a"]).plan.counts["delete"] == 1


def test_what_was_expected_of_an_event_is_taken_back() -> None:
    """Somebody else is faster, or nobody knows: what was planned and held before is so again."""
    port = {"op": "insert", "table": "Logical_Switch_Port", "uuid-name": "p", "row": {"name": "default.blue_default_b"}}
    held = {"op": "insert", "table": "Logical_Switch", "row": {"name": "theirs", "ports": ["named-uuid", "p"]}}
    faults = Faults(
        commits=[None, None, "meddle", None, "request_lost", None, None, "request_lost"],
        meddle=lambda transact: transact([port, held]),
    )
    nb = MemoryNb(faults=faults)
    reconciler = Reconciler(nb, owner="me")
    reconciler.apply(Topology(networks=[BLUE], nodes=NODES))
    reconciler.put(pod("a"))
    known = Topology(networks=[BLUE], nodes=NODES, pods=[pod("a")])
    with pytest.raises(OwnershipError):
        reconciler.put(pod("b"))
    nb.transact([{"op": "delete", "table": "Logical_Switch", "where": [["name", "==", "theirs"]]}])
    with pytest.raises(OutcomeUnknown):
        reconciler.put(pod("b"))
    assert "default.blue_default_b" not in {key.name for key in reconciler.apply(known).plan.desired.rows}
    [told] = reconciler.put(pod("b")).plan.told.attachments
    assert [str(address) for address in told.addresses] == ["10.22.0.2/16"]
    with pytest.raises(OutcomeUnknown):
        reconciler.remove(pods=["default/b"])
    [told] = reconciler.put(pod("c")).plan.told.attachments
    assert [str(address) for address in told.addresses] == ["10.22.0.3/16"]
    assert reconciler.remove(pods=["default/b"]).plan.counts["delete"] == 1
    assert way_of(reconciler) == "attachments"
    assert faults.fired == {"meddle": 1, "request_lost": 2}


def test_an_event_is_planned_anew_when_somebody_is_faster() -> None:
    label = ["external_ids", "insert", ["map", [["theirs", "1"]]]]
    labelled = {"op": "mutate", "table": "Logical_Switch", "where": [], "mutations": [label]}
    faults = Faults(commits=[None, None, "meddle"], meddle=lambda transact: transact([labelled]))
    nb = MemoryNb(faults=faults)
    reconciler = Reconciler(nb, owner="me")
    wishful = pod("w", '[{"name": "blue", "mac": "02:00:00:00:00:01"}]')
    reconciler.apply(Topology(networks=[BLUE], nodes=NODES, pods=[wishful]))
    reconciler.put(pod("a"))
    result = reconciler.put(pod("b"))
    [told] = result.plan.told.attachments
    assert (result.attempts, [str(address) for address in told.addresses]) == (2, ["10.22.0.3/16"])
    # Nothing is left of what was expected in the first attempt: this one, which has wishes, is not expected itself.
    reconciler.remove(wishful)
    reconciler.put(pod("c"))
    assert way_of(reconciler) == "attachments"
    assert reconciler.verify(Topology(networks=[BLUE], nodes=NODES, pods=[pod("a"), pod("b"), pod("c")])).is_empty


def test_a_pod_alone_is_told_of_its_network_s_claims_as_they_are() -> None:
    blue = Layer2(name="blue", subnets="10.22.0.0/16", allow_persistent_ips=True)
    reconciler = started(TrackedNb(), blue, RED, count=1)
    claims = [IpamClaim(namespace="default", name=name, network=name) for name in ("blue", "red")]
    reconciler.put(*claims)
    reconciler.put(pod("p"))
    first = reconciler.put(pod("a"))
    reconciler.remove(claims[0])
    second = reconciler.put(pod("b"))
    assert way_of(reconciler) == "attachments"
    assert [claim.name for claim in first.plan.topology.ipam_claims] == ["blue"]
    assert second.plan.topology.ipam_claims == ()


def test_a_claim_outlives_its_pod() -> None:
    nb = TrackedNb()
    reconciler = Reconciler(nb, owner="me")
    blue = Layer2(name="blue", subnets="10.22.0.0/16", allow_persistent_ips=True)
    reconciler.apply(Topology(networks=[blue], nodes=NODES, ipam_claims=[IpamClaim(name="vm", network="blue")]))
    machine = pod("vm-1", '[{"name": "blue", "ipam-claim-reference": "vm"}]')
    [ips] = reconciler.put(machine).plan.told.ipam_claims().values()
    reconciler.put(IpamClaim(name="vm", network="blue", ips=ips))
    reconciler.remove(machine)
    [other] = reconciler.put(pod("other")).plan.told.attachments
    assert [str(address) for address in other.addresses] == ["10.22.0.2/16"]


@pytest.mark.parametrize("network", [BLUE, RED], ids=str)
def test_an_event_looks_at_as_few_rows_in_a_large_network_as_in_a_small_one(network: Network) -> None:
    looks = [looks_of_events(network, count) for count in (4, 400)]
    assert looks[0] == looks[1]
    assert max(looks[0]) < 20


def looks_of_events(network: Network, count: int) -> list[int]:
    nb = TrackedNb()
    reconciler = started(nb, network, count=count)
    reconciler.put(pod("first", network.name))
    looks: list[int] = []
    for value in (pod("web", network.name), pod("web", network.name, "n2"), None):
        if value:
            reconciler.put(value)
        else:
            reconciler.remove(pods=["default/web"])
        assert way_of(reconciler) == "attachments"
        looks.append(nb.looked_at)
    return looks


def test_the_first_event_after_a_restart_reads_no_row_that_the_plan_has_read() -> None:
    nb = TrackedNb()
    started(nb, BLUE, count=200)
    found = started(nb, BLUE, count=200)
    rows = len(nb.content.rows)
    assert found.put(pod("first")).plan.counts["insert"] == 1
    assert way_of(found) == "attachments"
    # Each uuid is seen once, to find rows that nobody wants.
    assert rows <= nb.looked_at < rows + 30


def test_what_was_told_comes_back_as_an_event_about_nobody_else() -> None:
    reconciler = started(TrackedNb(), BLUE, RED, count=4)
    told = reconciler.put(pod("web", "blue,red")).plan.told
    annotated = pod("web", "blue,red").model_copy(update={"given": told.pod_networks()["default/web"]})
    assert reconciler.put(annotated).status == "unchanged"
    assert way_of(reconciler) == "attachments"


def test_a_node_of_a_settled_network_concerns_its_own_pods_alone() -> None:
    nb = TrackedNb()
    reconciler = started(nb, RED, count=400)
    reconciler.put(pod("first", "red"))
    result = reconciler.put(Node(name="n3"), pod("web", "red", "n3"))
    assert (way_of(reconciler), result.plan.counts["insert"]) == ("networks", 5)
    assert nb.looked_at < 60


def test_a_topology_that_differs_in_little_is_planned_by_what_differs() -> None:
    nb = TrackedNb()
    reconciler = started(nb, BLUE, count=40)
    first = Topology(networks=[BLUE], nodes=NODES, pods=pods(40, "blue"))
    assert reconciler.apply(first, prune=True).status == "unchanged"
    assert reconciler.apply(first, prune=True).status == "unchanged"
    assert nb.looked_at == 0
    second = Topology(networks=[BLUE], nodes=NODES, pods=[*pods(39, "blue"), pod("web")])
    result = reconciler.apply(second, prune=True)
    assert (way_of(reconciler), result.plan.counts) == ("attachments", {"insert": 1, "update": 0, "delete": 1})
    assert len(result.plan.told.attachments) == 40
    assert result.plan.topology == second


# What an event must not get wrong ----------------------------------------------------------------------------------


def addresses(nb: TrackedNb) -> dict[str, list[str]]:
    ports = (stored.row for stored in nb.content.table("Logical_Switch_Port"))
    return {
        row.name: sorted(row.addresses)
        for row in ports
        if isinstance(row, LogicalSwitchPort) and row.external_ids.get("pod")
    }


@pytest.mark.parametrize("moved", [True, False], ids=["a node comes back elsewhere", "an annotation moves it"])
def test_the_next_pod_of_a_node_whose_slice_is_another_is_in_that(moved: bool) -> None:
    nb = TrackedNb()
    reconciler = Reconciler(nb, owner="me")
    reconciler.apply(Topology(networks=[RED], nodes=NODES[:1]), prune=True)
    reconciler.put(pod("once", "red"))
    reconciler.remove(pods=["default/once"])
    if moved:
        reconciler.remove(nodes=["n1"])
        reconciler.put(NODES[1])
        reconciler.put(NODES[0])
    else:
        reconciler.put(Node(name="n1", subnets={"red": ["10.33.1.0/24"]}), NODES[1])
    assert way_of(reconciler) == "networks"
    # Each by itself: a second event would mend the first.
    reconciler.put(pod("a", "red", "n1"))
    assert addresses(nb) == {"default.red_default_a": ["0a:58:0a:21:01:03 10.33.1.3"]}
    reconciler.put(pod("b", "red", "n2"))
    assert addresses(nb)["default.red_default_b"] == ["0a:58:0a:21:00:03 10.33.0.3"]


def test_what_is_lacking_to_who_asks_for_an_address_is_given_in_line() -> None:
    dual = Layer2(name="dual", subnets="10.22.0.0/29,fd00::/64")
    wishes = [pod("a", "dual"), pod("b", '[{"name": "dual", "ips": ["10.22.0.5"]}]')]
    whole, by_event = TrackedNb(), TrackedNb()
    topology = Topology(networks=[dual], nodes=NODES, cluster=Cluster(fixed_addresses="honour"))
    Reconciler(whole, owner="me").apply(topology.model_copy(update={"pods": tuple(wishes)}))
    reconciler = Reconciler(by_event, owner="me")
    reconciler.apply(topology)
    reconciler.put(*wishes)
    assert way_of(reconciler) == "attachments"
    assert addresses(by_event) == addresses(whole)
    assert addresses(whole)["default.dual_default_a"] == ["0a:58:0a:16:00:01 10.22.0.1 fd00::1"]


def test_nodes_that_are_refused_are_told_of_no_slice() -> None:
    reconciler = started(TrackedNb(), RED, keep_going=True)
    rivals = [Node(name=node.name, subnets={"red": ["10.33.9.0/24"]}) for node in NODES]
    result = reconciler.put(*rivals, pod("a", "red"))
    assert {problem.subject for problem in result.plan.problems} >= {"network red, Node n1", "network red, Node n2"}
    assert result.plan.told.node_subnets() == {}


def test_a_gap_that_closes_is_a_change_of_its_own() -> None:
    nb = TrackedNb()
    started(nb, BLUE, RED)
    unread = Topology(networks=[RED], nodes=NODES, gaps=Gaps(networks={"blue"}))
    pruning, sparing = Reconciler(nb, owner="me"), Reconciler(nb, owner="me")
    for reconciler, prune in ((pruning, True), (sparing, False)):
        assert reconciler.apply(unread, prune=prune).status == "unchanged"
        assert reconciler.apply(unread, prune=prune).status == "unchanged"
    closed = Topology(networks=[RED], nodes=NODES)
    assert sparing.apply(closed).status == "unchanged"
    deleted = pruning.apply(closed, prune=True)
    assert deleted.plan.counts["delete"] == 4
    assert "blue_ovn_layer2_switch" not in nb.names("Logical_Switch")


def test_an_event_about_a_gap_that_comes_to_nothing_is_taken_back() -> None:
    nb = MemoryNb(faults=Faults(commits=[None, None, "request_lost"]))
    Reconciler(nb, owner="me").apply(Topology(networks=[BLUE, RED], nodes=NODES))
    reconciler = Reconciler(nb, owner="me")
    reconciler.apply(Topology(networks=[RED], nodes=NODES, gaps=Gaps(networks={"blue"})), prune=True)
    with pytest.raises(OutcomeUnknown):
        reconciler.remove(networks=["blue"])
    assert reconciler.remove(networks=["blue"]).plan.counts["delete"] == 4


def test_nothing_goes_where_all_that_is_described_is_refused() -> None:
    refused = Localnet(name="bad", subnets="10.5.0.0/24", exclude_subnets="10.5.0.0/29,10.5.0.0/30")
    nb = TrackedNb()
    known = Reconciler(nb, owner="me")
    known.apply(Topology(networks=[refused, BLUE]), prune=True, keep_going=True)
    for reconciler in (known, Reconciler(nb, owner="me")):
        with pytest.raises(PruneRefused, match="nothing at all is described"):
            reconciler.apply(Topology(networks=[refused]), prune=True, keep_going=True)


def test_somebody_s_switch_of_the_name_of_ours_moves_nobody() -> None:
    nb = TrackedNb()
    reconciler = started(nb, RED, count=2)
    before = addresses(nb)
    nb.put(LogicalSwitch(name="red_n1", other_config={"subnet": "10.33.7.0/24"}))
    reconciler.put(pod("a", "red", "n2"))
    everybody = Topology(networks=[RED], nodes=NODES, pods=[*pods(2, "red"), pod("a", "red", "n2")])
    assert Reconciler(nb, owner="me").apply(everybody, prune=True).status == "unchanged"
    assert before.items() <= addresses(nb).items()
