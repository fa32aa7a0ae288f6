"""Wishes, claims and newcomers in any mixture: nobody moves, nothing has two owners, and order never matters."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from planning import HONOUR, again, fresh, topology

from ovnk8s_topo.planner import Desired
from ovnk8s_topo.spec import Attachment, IpamClaim, Layer2, Pod, Topology

NETWORK = Layer2(
    name="l2", subnets="10.22.0.0/29,fd00:22::/125", exclude_subnets="10.22.0.6/32", allow_persistent_ips=True
)
IPV4 = st.sampled_from([f"10.22.0.{number}" for number in range(8)])
IPV6 = st.sampled_from([f"fd00:22::{number}" for number in range(1, 8)])
WISHES = st.lists(st.one_of(IPV4, IPV6), max_size=2).map(tuple)
MACS = st.sampled_from(["", "", "02:00:00:00:00:01", "02:00:00:00:00:02", "0a:58:0a:16:00:02"])
REFERENCES = st.sampled_from(["", "", "", "vm1", "vm2", "none"])
ATTACHMENTS = st.builds(Attachment, name=st.just("l2"), ips=WISHES, mac=MACS, ipam_claim_reference=REFERENCES)


def _pod(name: str, attachments: list[Attachment]) -> Pod:
    return Pod(name=name, node="n1", uid=f"uid-{name}", networks=tuple(attachments))


def _pods(names: str) -> st.SearchStrategy[list[Pod]]:
    one = st.lists(ATTACHMENTS, min_size=1, max_size=2)
    return st.lists(st.tuples(st.sampled_from(names), one), max_size=4, unique_by=lambda pair: pair[0]).map(
        lambda pairs: [_pod(*pair) for pair in pairs]
    )


HELD = st.tuples(IPV4, IPV6).map(lambda ips: (f"{ips[0]}/29", f"{ips[1]}/125"))
CLAIMS = st.lists(st.one_of(st.just(()), HELD), max_size=2).map(
    lambda held: [IpamClaim(name=f"vm{number}", network="l2", ips=ips) for number, ips in enumerate(held, start=1)]
)


def _wanted(pods: list[Pod], claims: list[IpamClaim]) -> Topology:
    return topology(*pods, networks=(NETWORK,), ipam_claims=claims, cluster=HONOUR)


def _check_owners(done: Desired, wanted: Topology) -> None:
    addresses = Counter(address for grant in done.grants.values() for address in grant.addresses)
    macs = Counter(grant.mac for grant in done.grants.values())
    assert all(count == 1 for count in (addresses | macs).values())
    for claim in wanted.ipam_claims:
        others = [grant for port, grant in done.grants.items() if done.claims.get(port) != claim.key]
        assert not {address for grant in others for address in grant.addresses} & set(claim.addresses)


@given(_pods("abcdef"), CLAIMS)
def test_nothing_has_two_owners_and_order_does_not_matter(pods: list[Pod], claims: list[IpamClaim]) -> None:
    wanted = _wanted(pods, claims)
    done = fresh(wanted)
    _check_owners(done, wanted)
    other = fresh(_wanted(pods[::-1], claims[::-1]))
    assert (other.rows, other.gaps, other.ipam_claims) == (done.rows, done.gaps, done.ipam_claims)
    assert set(other.problems) == set(done.problems)


@given(_pods("abcdef"), CLAIMS)
def test_planning_again_changes_nothing(pods: list[Pod], claims: list[IpamClaim]) -> None:
    wanted = _wanted(pods, claims)
    done = fresh(wanted)
    second = again(wanted, done, prune=True)
    assert second.rows == done.rows
    assert set(second.problems) == set(done.problems)


@given(_pods("bdf"), _pods("aceg"), CLAIMS)
def test_newcomers_move_nobody(settled: list[Pod], newcomers: list[Pod], claims: list[IpamClaim]) -> None:
    # Newcomers that refer to a claim of somebody put both at fault, whose rows then stay as they are.
    before = fresh(_wanted(settled, claims))
    wanted = _wanted([*settled, *newcomers], claims)
    after = again(wanted, before, prune=True)
    lost = {problem.subject.split()[1] for problem in after.problems}
    for port, grant in before.grants.items():
        pod = f"default/{port[-1]}"
        assert after.grants.get(port) == grant or pod in lost
    taken = {address for port, grant in before.grants.items() for address in grant.addresses}
    others = (grant for port, grant in after.grants.items() if port not in before.grants)
    assert not taken & {address for grant in others for address in grant.addresses}
