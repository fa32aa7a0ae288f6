"""IPAMClaims: addresses that belong to the claim, whichever pod has them, and that outlive it."""

from __future__ import annotations

from typing import Any

import pytest
from planning import HONOUR, addresses, again, fresh, pod, pods_left_alone, problems, stored, topology

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.planner import Desired
from ovnk8s_topo.sources import Manifests, read_text
from ovnk8s_topo.spec import Attachment, Gaps, Given, IpamClaim, Layer2, Localnet, Network, Pod, Topology

L2 = Layer2(name="l2", subnets="10.22.0.0/28", allow_persistent_ips=True)
LAN = Localnet(name="l2", subnets="10.22.0.0/28", allow_persistent_ips=True)
DUAL = Layer2(name="l2", subnets="10.22.0.0/28,fd00:22::/64", allow_persistent_ips=True)


def vm(name: str, claim: str = "vm", *ips: str, **fields: Any) -> Pod:
    return pod(name, (Attachment(name="l2", ips=ips, ipam_claim_reference=claim),), **fields)


def claim(*ips: str, name: str = "vm", network: str = "l2", **fields: Any) -> IpamClaim:
    return IpamClaim(name=name, network=network, ips=ips, **fields)


def wanted(*pods: Pod, claims: tuple[IpamClaim, ...] = (), network: Network = L2, **more: Any) -> Topology:
    return topology(*pods, networks=(network,), ipam_claims=claims, **more)


def plan(*pods: Pod, **more: Any) -> Desired:
    return fresh(wanted(*pods, **more))


def why(done: Desired) -> str:
    (problem,) = done.problems
    assert done.gaps == pods_left_alone(done)
    return f"{problem.path}: {problem.why}"


# What a pod gets, and what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize("network", [L2, LAN], ids=lambda network: network.topology)
def test_a_pod_gets_what_its_claim_holds(network: Network) -> None:
    done = plan(pod("a"), vm("z"), claims=(claim("10.22.0.1/28"),), network=network)
    assert addresses(done) == {"a": "10.22.0.2", "z": "10.22.0.1"}
    assert done.grants["default.l2_default_z"].mac == "0a:58:0a:16:00:01"
    assert done.ipam_claims == {"default/vm": ("10.22.0.1/28",)}


def test_an_empty_claim_gets_a_fresh_set() -> None:
    done = plan(vm("p"), claims=(claim(),), network=DUAL)
    assert addresses(done) == {"p": "10.22.0.1 fd00:22::1"}
    assert done.ipam_claims == {"default/vm": ("10.22.0.1/28", "fd00:22::1/64")}
    assert done.claims == {"default.l2_default_p": "default/vm"}


def test_an_empty_claim_gets_what_its_pod_has_already() -> None:
    before = plan(pod("a"), pod("p"))
    assert again(wanted(vm("p"), claims=(claim(),)), before).ipam_claims == {"default/vm": ("10.22.0.2/28",)}
    told = vm("p", given={"default/l2": Given(ips=("10.22.0.9/28",))})
    assert plan(told, claims=(claim(),)).ipam_claims == {"default/vm": ("10.22.0.9/28",)}


def test_an_empty_claim_gets_what_its_pod_asks_for() -> None:
    done = plan(vm("p", "vm", "10.22.0.5"), claims=(claim(),), cluster=HONOUR)
    assert done.ipam_claims == {"default/vm": ("10.22.0.5/28",)}


def test_a_claim_gives_exactly_what_it_holds() -> None:
    done = plan(vm("p"), claims=(claim("10.22.0.5/28"),), network=DUAL)
    assert addresses(done) == {"p": "10.22.0.5"}
    assert done.ipam_claims == {"default/vm": ("10.22.0.5/28",)}


def test_a_claim_is_only_returned_for_a_pod_that_has_a_port() -> None:
    done = plan(vm("p", node=""), vm("q", "other"), claims=(claim("10.22.0.5/28"), claim(name="other")))
    assert done.ipam_claims == {"default/other": ("10.22.0.1/28",)}
    port = next(key for key in done.rows if key.name == "default.l2_default_q")
    assert not done.without([port]).ipam_claims


# What others do not get -------------------------------------------------------------------------------------------


def test_what_a_claim_holds_is_nobody_elses_even_if_no_pod_refers_to_it() -> None:
    held = claim("10.22.0.1/28")
    assert addresses(plan(pod("a"), claims=(held,))) == {"a": "10.22.0.2"}
    done = plan(pod("p", (Attachment(name="l2", ips=("10.22.0.1",)),)), claims=(held,), cluster=HONOUR)
    assert why(done) == "networks: provided IP is already allocated: 10.22.0.1 belongs to IPAMClaim default/vm"


@pytest.mark.parametrize("network", ["other", "l2x"])
def test_claims_of_other_networks_do_not_matter(network: str) -> None:
    assert addresses(plan(pod("a"), claims=(claim("10.22.0.1/28", network=network),))) == {"a": "10.22.0.1"}


def test_the_address_outlives_the_pod_and_is_the_next_pods() -> None:
    first = plan(vm("vm-1"), claims=(claim(),))
    held = claim(*first.ipam_claims["default/vm"])
    between = again(wanted(pod("a"), claims=(held,)), first, prune=True)
    assert addresses(between) == {"a": "10.22.0.2"}
    last = again(wanted(pod("a"), pod("b"), vm("vm-2"), claims=(held,)), between, prune=True)
    assert addresses(last) == {"a": "10.22.0.2", "b": "10.22.0.3", "vm-2": "10.22.0.1"}
    assert addresses(again(wanted(pod("c"), pod("a")), last, prune=True)) == {"a": "10.22.0.2", "c": "10.22.0.1"}


def test_an_empty_claim_frees_the_address_with_its_pod() -> None:
    before = plan(vm("p"), claims=(claim(),))
    assert addresses(again(wanted(pod("a"), claims=(claim(),)), before, prune=True)) == {"a": "10.22.0.1"}


def test_the_claim_wins_over_the_row_of_a_pod_that_was_told_nothing() -> None:
    # As upstream, where the rows follow what the pod is told, and that follows the claim.
    before = plan(pod("p"))
    done = again(wanted(vm("p"), pod("q"), claims=(claim("10.22.0.5/28"),)), before)
    assert addresses(done) == {"p": "10.22.0.5", "q": "10.22.0.1"}


def test_a_leftover_port_keeps_the_address_from_the_claims_next_pod() -> None:
    held = claim("10.22.0.5/28")
    before = plan(vm("old"), claims=(held,))
    done = again(wanted(vm("new"), claims=(held,)), before)
    assert why(done).endswith("10.22.0.5 is claimed by port default.l2_default_old too")


def test_a_living_pod_that_has_the_address_of_a_claim_stays_and_both_are_reported() -> None:
    before = plan(pod("a"))
    done = again(wanted(pod("a"), pod("b"), vm("p"), claims=(claim("10.22.0.1/28"),)), before)
    assert addresses(done) == {"b": "10.22.0.2"}
    assert [problem.subject for problem in done.problems] == [
        "Pod default/a (default/l2)",
        "Pod default/p (default/l2)",
    ]


# Refusals ---------------------------------------------------------------------------------------------------------


def test_a_claim_that_is_not_described() -> None:
    assert why(plan(vm("p"))) == ('ipam-claim-reference: failed to get IPAMClaim "vm": default/vm is not described')
    elsewhere = claim(namespace="other")
    assert "default/vm is not described" in why(plan(vm("p"), claims=(elsewhere,)))


def test_a_claim_for_another_network() -> None:
    done = plan(vm("p"), claims=(claim(network="other"),))
    assert why(done) == "ipam-claim-reference: IPAMClaim default/vm is for network other"


@pytest.mark.parametrize("ips", [(), ("10.22.0.5/28",)])
def test_two_pods_of_one_claim_are_a_problem_of_both(ips: tuple[str, ...]) -> None:
    done = plan(vm("a"), vm("b"), pod("c"), claims=(claim(*ips),))
    assert addresses(done) == {"c": "10.22.0.1"}
    assert problems(done) == [
        f"Pod default/{one} (default/l2): ipam-claim-reference: "
        f"IPAMClaim default/vm is that of Pod default/{other} (default/l2) too"
        for one, other in ("ab", "ba")
    ]


def test_two_attachments_of_one_claim_are_a_problem_of_both() -> None:
    twice = (Attachment(name="l2", ipam_claim_reference="vm"),) * 2
    assert [problem.subject for problem in plan(pod("p", twice), claims=(claim(),)).problems] == [
        "Pod default/p (default/l2)",
        "Pod default/p (default/l2/1)",
    ]


def test_a_pod_that_was_told_something_else() -> None:
    told = {"default/l2": Given(ips=("10.22.0.1/28",))}
    done = plan(vm("p", given=told), pod("q"), claims=(claim("10.22.0.5/28"),))
    assert why(done) == (
        'ipam-claim-reference: failed to update IPAMClaim "default/vm" - '
        'overwriting existing IPs ["10.22.0.5/28"] with newer IPs ["10.22.0.1/28"]'
    )
    assert addresses(done) == {"q": "10.22.0.2"}
    same = {"default/l2": Given(ips=("10.22.0.5/28",), mac="02:00:00:00:00:05")}
    kept = plan(vm("p", given=same), claims=(claim("10.22.0.5/28"),))
    assert kept.grants["default.l2_default_p"].mac == "02:00:00:00:00:05"


def test_a_wish_must_be_a_part_of_what_the_claim_holds() -> None:
    claims = (claim("10.22.0.5/28", "fd00:22::5/64"),)
    fine = plan(vm("p", "vm", "10.22.0.5"), claims=claims, network=DUAL, cluster=HONOUR)
    assert addresses(fine) == {"p": "10.22.0.5 fd00:22::5"}
    done = plan(vm("p", "vm", "10.22.0.6", "fd00:22::5"), claims=claims, network=DUAL, cluster=HONOUR)
    assert why(done) == "ips: asks for 10.22.0.6, but IPAMClaim default/vm holds 10.22.0.5/28, fd00:22::5/64"
    refused = plan(vm("p", "vm", "10.22.0.5"), claims=claims, network=DUAL)
    assert why(refused).endswith("custom network configuration disabled")


@pytest.mark.parametrize(
    ("ip", "reason"),
    [
        ("10.22.0.9/28", "provided IP is already allocated: 10.22.0.9 is excluded by 10.22.0.8/30"),
        ("10.22.0.0/28", "not in range: 10.22.0.0 is not one of 10.22.0.1-10.22.0.14 of 10.22.0.0/28"),
        (
            "10.99.0.1/28",
            "failed to allocate IP 10.99.0.1 for network l2: not contained in any known subnet: there are 10.22.0.0/28",
        ),
    ],
)
def test_a_claim_on_addresses_that_the_network_does_not_give(ip: str, reason: str) -> None:
    network = Layer2(name="l2", subnets="10.22.0.0/28", exclude_subnets="10.22.0.8/30", allow_persistent_ips=True)
    done = plan(vm("p"), claims=(claim(ip),), network=network)
    assert why(done) == f"networks: {reason}"
    assert not plan(claims=(claim(ip),), network=network).problems


def test_two_claims_on_one_address_are_reported_whether_pods_refer_to_them_or_not() -> None:
    claims = (claim("10.22.0.5/28"), claim("10.22.0.5/28", name="other"))
    done = plan(pod("a"), claims=claims)
    assert addresses(done) == {"a": "10.22.0.1"}
    assert problems(done) == [
        f"IPAMClaim default/{one}: status.ips: provided IP is already allocated: "
        f"10.22.0.5 is held by IPAMClaim default/{other} too"
        for one, other in (("vm", "other"), ("other", "vm"))
    ]
    assert not addresses(plan(vm("p"), claims=claims))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Layer2(name="l2", subnets="10.22.0.0/28"), "does not allow persistent IPs"),
        (Layer2(name="l2", allow_persistent_ips=True), "has no subnets"),
    ],
)
def test_a_network_that_does_not_heed_claims_says_so(network: Network, reason: str) -> None:
    done = plan(vm("p"), claims=(claim("10.22.0.5/28"),), network=network)
    assert done.notices == (
        f"Pod default/p (default/l2): ipam-claim-reference: vm counts for nothing, for network l2 {reason}",
    )
    assert not done.problems
    assert not done.ipam_claims
    assert addresses(done) == {"p": "10.22.0.1" if network.ranges else ""}


# Documents --------------------------------------------------------------------------------------------------------

NAD = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: l2, namespace: default}
spec:
  config: '{"cniVersion": "0.4.0", "name": "l2", "type": "ovn-k8s-cni-overlay", "topology": "layer2",
    "subnets": "10.22.0.0/28", "netAttachDefName": "default/l2", "allowPersistentIPs": true}'
"""
CLAIM = """
apiVersion: k8s.cni.cncf.io/v1alpha1
kind: IPAMClaim
metadata: {name: vm, namespace: default}
spec: {network: l2, interface: net1}
status:
  ips: [10.22.0.5/28, "FD00:22:0::5/64"]
  ownerPod: {name: p}
"""


def read(*documents: str, keep_going: bool = False) -> Manifests:
    return read_text("\n---".join(documents), keep_going=keep_going)


def test_a_claim_is_read() -> None:
    (found,) = read(CLAIM, NAD).topology.ipam_claims
    assert found == IpamClaim(name="vm", network="l2", interface="net1", ips=("10.22.0.5/28", "fd00:22::5/64"))
    empty = CLAIM[: CLAIM.index("status")]
    assert read(NAD, empty).topology.ipam_claims[0].ips == ()
    assert read(NAD, empty + "status: {}").topology.ipam_claims[0].ips == ()


def test_a_claim_in_our_own_document() -> None:
    text = """
    ovnk8s-topo: 1
    networks: [{name: l2, topology: layer2, subnets: 10.22.0.0/28, allowPersistentIPs: true}]
    ipamClaims: [{name: vm, network: l2, ips: [10.22.0.5/28]}]
    pods: [{name: p, node: n1, networks: '[{"name": "l2", "ipam-claim-reference": "vm"}]'}]
    """
    assert addresses(fresh(read(text).topology)) == {"p": "10.22.0.5"}
    (problem,) = read(text.replace("name: vm, ", ""), keep_going=True).problems
    assert (problem.path, problem.why) == ("name", "field required")


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("10.22.0.5/28,", "10.22.0.5,", "7:9: IPAMClaim default/vm: status.ips[0]: invalid CIDR address: 10.22.0.5"),
        ("10.22.0.5/28,", "7,", "7:9: IPAMClaim default/vm: status.ips[0]: must be a text, not a number (got 7)"),
        ("ips: [", "ips: {a: [", "7:8: IPAMClaim default/vm: status.ips: must be a list (got a mapping)"),
        ("network: l2, ", "", "5:7: IPAMClaim default/vm: spec: must have the field network"),
        ("network: l2", "network: [l2]", "5:17: IPAMClaim default/vm: spec.network: must be a text (got a list)"),
        ("v1alpha1", "v1", "2:13: apiVersion: must be k8s.cni.cncf.io/v1alpha1 for a IPAMClaim"),
    ],
    ids=["no length", "number", "mapping", "no network", "list", "version"],
)
def test_a_bad_claim_is_refused_with_its_place(good: str, bad: str, expected: str) -> None:
    text = CLAIM.replace(good, bad, 1).replace('5/64"]\n', '5/64"]}\n' if "{a" in bad else '5/64"]\n')
    with pytest.raises(SpecError) as caught:
        read(text, NAD)
    assert expected in str(caught.value.problems[0])


def test_a_bad_claim_leaves_its_network_alone() -> None:
    # What it holds is not known, and so nobody new may get an address there.
    other = NAD.replace("l2", "l3").replace("10.22", "10.33")
    plain = NAD.replace("l2", "l4").replace("10.22", "10.44").replace("true", "false")
    bad = CLAIM.replace("10.22.0.5/28", "10.22.0.5")
    found = read(bad, NAD, other, plain, keep_going=True)
    assert found.topology.gaps == Gaps(networks={"l2"})
    assert [network.name for network in found.topology.networks] == ["l3", "l4"]
    nameless = read(bad.replace("network: l2, ", ""), NAD, other, plain, keep_going=True)
    assert nameless.topology.gaps == Gaps(networks={"l2", "l3"})
    elsewhere = read(bad.replace("network: l2", "network: l9"), NAD, keep_going=True)
    assert elsewhere.topology.gaps == Gaps()


def test_two_claims_of_one_name() -> None:
    with pytest.raises(SpecError, match="IPAMClaim default/vm: ipam_claims: two IPAMClaims have this name"):
        read(CLAIM, CLAIM, NAD)
    found = read(CLAIM, CLAIM, NAD, keep_going=True)
    assert (found.topology.gaps, found.topology.ipam_claims) == (Gaps(networks={"l2"}), ())
    with pytest.raises(SpecError, match="two IPAMClaims have this name"):
        wanted(claims=(claim(), claim()))


def test_rows_do_not_depend_on_the_order_of_claims() -> None:
    claims = (claim("10.22.0.5/28"), claim("10.22.0.1/28", name="a"), claim(name="b"))
    pods = (vm("x"), vm("y", "a"), vm("z", "b"))
    one, other = plan(*pods, claims=claims), plan(*reversed(pods), claims=claims[::-1])
    assert stored(one.rows).rows.keys() == stored(other.rows).rows.keys()
    assert one.rows == other.rows
    assert one.ipam_claims == other.ipam_claims
