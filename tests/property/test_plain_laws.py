"""The short ways for what nearly all pods are lead to where the long ways lead."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning import HONOUR, again, fresh, topology

from ovnk8s_topo.addresses import Address, address_from_text, mac_from_address, mac_from_identity
from ovnk8s_topo.nb.tables import LogicalSwitchPort
from ovnk8s_topo.planner import Desired
from ovnk8s_topo.planner.common import pod_port_row
from ovnk8s_topo.planner.wanted import wanted_ports, wanted_ports_of_pod
from ovnk8s_topo.spec import Attachment, Cluster, Given, Layer2, Layer3, Pod, Topology

NETWORKS = (
    Layer2(name="l2", subnets="10.22.0.0/28,fd00:22::/125", exclude_subnets="10.22.0.6/32,10.22.0.8/31"),
    Layer3(name="l3", subnets="10.33.0.0/26/28,fd00:33::/60/64"),
    Layer2(name="own"),
)
IPS = st.sampled_from([f"10.22.0.{number}" for number in range(10)] + [f"fd00:22::{number}" for number in range(1, 8)])
MACS = st.sampled_from(["", "", "02:00:00:00:00:01", "0a:58:0a:16:00:02", "0a:58:0a:21:00:03"])
PLAIN = st.builds(Attachment, name=st.sampled_from(["l2", "l3", "own"]))
ASKING = st.builds(Attachment, name=st.just("l2"), ips=st.lists(IPS, max_size=2).map(tuple), mac=MACS)
TOLD = st.builds(Given, ips=st.lists(IPS.map("{}/28".format), max_size=2).map(tuple), mac=MACS)
PODS = st.builds(
    Pod,
    name=st.sampled_from("abcdefghijkl"),
    namespace=st.sampled_from(["default", "default", "a", "a-b"]),
    uid=st.sampled_from(["", "u1", "u2"]),
    node=st.sampled_from(["n1", "n2"]),
    networks=st.lists(st.one_of(PLAIN, PLAIN, PLAIN, ASKING), min_size=1, max_size=2).map(tuple),
    given=st.one_of(*[st.just({})] * 3, st.dictionaries(st.just("default/l2"), TOLD)),
)
POD_LISTS = st.lists(PODS, max_size=20, unique_by=lambda pod: (pod.namespace, pod.name))
CLUSTERS = st.sampled_from([HONOUR, Cluster()])


def _unheeded(pod: Pod) -> Pod:
    """Return the pod with references that count for nothing, as none of the networks knows IPAMClaims: not plain."""
    attachments = tuple(each.model_copy(update={"ipam_claim_reference": "none"}) for each in pod.networks)
    return pod.model_copy(update={"networks": attachments})


def _wanted(pods: list[Pod], cluster: Cluster) -> tuple[Topology, Topology]:
    plain = topology(*pods, networks=NETWORKS, cluster=cluster)
    other = topology(*map(_unheeded, pods), networks=NETWORKS, cluster=cluster)
    assert not any(item.is_plain for item in wanted_ports(other))
    return plain, other


def _check_same(one: Desired, other: Desired) -> None:
    assert list(one.rows) == list(other.rows)
    assert one == replace(other, notices=one.notices)


@given(POD_LISTS, POD_LISTS, CLUSTERS, st.booleans())
def test_plain_attachments_get_what_the_general_rules_give(
    before: list[Pod], after: list[Pod], cluster: Cluster, prune: bool
) -> None:
    plain, other = _wanted(before, cluster)
    settled = fresh(plain)
    _check_same(settled, fresh(other))
    plain, other = _wanted(after, cluster)
    _check_same(again(plain, settled, prune=prune), again(other, settled, prune=prune))


@given(POD_LISTS)
def test_pods_that_share_attachments_are_attached_as_alone(pods: list[Pod]) -> None:
    shared = [pod.model_copy(update={"networks": pods[0].networks}) for pod in pods]
    wanted = topology(*shared, networks=NETWORKS)
    networks = {nad: network for network in NETWORKS for nad in network.nad_keys}
    in_line = sorted(shared, key=lambda pod: (pod.namespace, pod.name))
    assert list(wanted_ports(wanted)) == [item for pod in in_line for item in wanted_ports_of_pod(pod, networks)]


@given(PODS, st.lists(IPS.map(address_from_text), max_size=2), st.sampled_from(NETWORKS))
def test_ports_are_rows_like_any_other(pod: Pod, addresses: list[Address], network: Layer2 | Layer3) -> None:
    row = pod_port_row(network, "switch", pod, "default/nad", "02:00:00:00:00:01", addresses)
    text = frozenset({" ".join(["02:00:00:00:00:01", *map(str, addresses)])})
    assert row == LogicalSwitchPort(
        name=f"default.nad_{pod.namespace}_{pod.name}",
        parent="switch",
        addresses=text,
        port_security=text,
        options={"requested-chassis": pod.node} | ({"iface-id-ver": pod.uid} if pod.uid else {}),
        external_ids=row.external_ids,
    )
    assert row == replace(row)


# Few groups of bits are other than zero, so that every kind of gap comes up.
IPV6_VALUES = st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0x0A00, 0x12]), min_size=8, max_size=8).map(
    lambda groups: sum(group << 16 * place for place, group in enumerate(groups))
)


def _is_ipv4_mapped(value: int) -> bool:
    """Whether it is of ::ffff:0:0/96, which releases of Python write differently and which we do not read."""
    return value >> 32 == 0xFFFF


@given(st.integers(0, (1 << 32) - 1))
def test_ipv4_texts_are_those_of_the_standard_library(value: int) -> None:
    text = str(ipaddress.IPv4Address(value))
    assert str(Address(4, value)) == text
    assert address_from_text(text) == Address(4, value)
    assert mac_from_address(Address(4, value)) == f"0a:58:{value.to_bytes(4).hex(':')}"


@given(st.one_of(IPV6_VALUES, st.integers(0, (1 << 128) - 1)).filter(lambda value: not _is_ipv4_mapped(value)))
def test_ipv6_texts_are_those_of_the_standard_library(value: int) -> None:
    text = ipaddress.IPv6Address(value).compressed
    assert str(Address(6, value)) == text
    assert mac_from_address(Address(6, value)) == mac_from_identity(text)


@given(st.one_of(st.from_regex(r"[0-9.]{1,16}", fullmatch=True), st.text("0123456789. +-_٣x", max_size=12)))
def test_bad_ipv4_texts_are_those_of_the_standard_library(text: str) -> None:
    try:
        expected = Address(4, int(ipaddress.IPv4Address(text)))
    except ValueError:
        with pytest.raises(ValueError, match="invalid IP address"):
            address_from_text(text)
    else:
        assert address_from_text(text) == expected
