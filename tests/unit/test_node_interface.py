"""The port on br-int: the worked example of an attachment, and what is written when."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.nodeside import (
    ENCAP_IPS,
    Device,
    OvsInterface,
    encap_ip_of_uplink,
    host_interface_name,
    interface_from_result,
)
from ovnk8s_topo.results import AttachmentResult
from ovnk8s_topo.spec.go_json import TextError

SANDBOX = "0123456789abcdef0123456789abcdef"
UID = "f4bb6a91-019b-4612-b6aa-88fc663dd515"
L2 = AttachmentResult(
    pod="default/nginx1-l2",
    nad_key="kube-system/l2-network",
    network="l2-network",
    topology="layer2",
    node="work001",
    interface="eth1",
    mac="0a:58:0a:16:00:01",
    addresses=("10.22.0.1/16",),
    mtu=1400,
)
DEFAULT = replace(L2, nad_key="default", network="default")
IFACE_ID = "kube.system.l2.network_default_nginx1-l2"


def test_the_article() -> None:
    name = host_interface_name(SANDBOX, 3)
    made = interface_from_result(L2, name=name, port=IFACE_ID, uid=UID, sandbox=SANDBOX, pod_interface="eth1")
    assert made == OvsInterface(
        name="0123456789abc_3",
        external_ids={
            "attached_mac": "0a:58:0a:16:00:01",
            "iface-id": IFACE_ID,
            "iface-id-ver": UID,
            "sandbox": SANDBOX,
            "pod-if-name": "eth1",
            "ip_addresses": "10.22.0.1/16",
            "k8s.ovn.org/network": "l2-network",
            "k8s.ovn.org/nad": "kube-system/l2-network",
        },
        other_config={"transient": "true"},
        bridge="br-int",
    )


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(L2, IFACE_ID, id="one use"),
        pytest.param(
            replace(L2, nad_key="kube-system/l2-network/1"),
            "kube.system.l2.network.1_default_nginx1-l2",
            id="a further use",
        ),
        pytest.param(DEFAULT, "default_nginx1-l2", id="default network"),
    ],
)
def test_names_of_logical_ports(result: AttachmentResult, expected: str) -> None:
    assert interface_from_result(result, name="a").external_ids["iface-id"] == expected
    assert interface_from_result(result, name="a", port="other").external_ids["iface-id"] == "other"


def test_only_what_there_is_is_written() -> None:
    made = interface_from_result(replace(L2, addresses=()), name="a")
    assert [*made.external_ids] == ["attached_mac", "iface-id", "k8s.ovn.org/network", "k8s.ovn.org/nad"]
    dual = interface_from_result(replace(L2, addresses=("10.22.0.1/16", "fd01::1/64")), name="a")
    assert dual.external_ids["ip_addresses"] == "10.22.0.1/16,fd01::1/64"


def test_a_device() -> None:
    device = Device(netdev="enp1s0f0v1", encap_ip="10.0.0.1", vfio=True, dpdk=True)
    made = interface_from_result(L2, name="enp1s0f0_1", sandbox=SANDBOX, device=device)
    assert (made.type, made.mtu_request) == ("dpdk", 1400)
    assert [*made.external_ids.items()][3:7] == [
        ("encap-ip", "10.0.0.1"),
        ("ip_addresses", "10.22.0.1/16"),
        ("vf-netdev-name", "enp1s0f0v1"),
        ("vf-is-vfio", "true"),
    ]


def test_the_default_network_loses_the_keys_of_others() -> None:
    made = interface_from_result(DEFAULT, name="a")
    before = {"k8s.ovn.org/network": "stale", "k8s.ovn.org/nad": "stale", "ovn-installed": "true", "iface-id": "old"}
    after = made.merged_external_ids(before)
    assert after == {"ovn-installed": "true", **made.external_ids}


def test_the_early_form() -> None:
    name = host_interface_name(SANDBOX)
    made = interface_from_result(L2, name=name, uid=UID, sandbox=SANDBOX, pod_interface="eth1", early=True)
    assert made == OvsInterface(
        name="0123456789abcde",
        external_ids={
            "attached_mac": "0a:58:0a:16:00:01",
            "iface-id": "default_nginx1-l2",
            "ip_address": "10.22.0.1/16",
        },
    )
    assert "ip_address" not in interface_from_result(replace(L2, addresses=()), name=name, early=True).external_ids
    with pytest.raises(SpecError, match="one address"):
        interface_from_result(replace(L2, addresses=("10.0.0.1/8", "fd01::1/64")), name=name, early=True)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("name", ["", "0123456789abcdef"])
def test_names_that_no_interface_can_have(name: str, early: bool) -> None:
    with pytest.raises(SpecError, match=r"default/nginx1-l2: name: must have 1\.\.15 characters"):
        interface_from_result(L2, name=name, early=early)


@pytest.mark.parametrize(
    ("sandbox", "index", "expected"),
    [
        (SANDBOX, None, "0123456789abcde"),
        (SANDBOX, 3, "0123456789abc_3"),
        (SANDBOX, 12345, "012345678_12345"),
        ("deadbeef", None, "deadbeef"),
        ("deadbeef", 3, "deadbeef_3"),
    ],
)
def test_names_on_the_node(sandbox: str, index: int | None, expected: str) -> None:
    assert host_interface_name(sandbox, index) == expected


@pytest.mark.parametrize(("sandbox", "index"), [("", None), ("a/b", 1), (".", None), ("é", 1), ("a", 0), ("a", -1)])
def test_sandboxes_that_make_no_name(sandbox: str, index: int | None) -> None:
    with pytest.raises(SpecError):
        host_interface_name(sandbox, index)


@given(st.from_regex(r"[a-f0-9]{1,70}", fullmatch=True), st.none() | st.integers(1, 2**31 - 1))
def test_any_name_on_the_node_fits(sandbox: str, index: int | None) -> None:
    name = host_interface_name(sandbox, index)
    assert interface_from_result(L2, name=name).name == name


ENCAPS = "enp1s0f0:10.0.0.1,enp193s0f0:10.0.0.193"


@pytest.mark.parametrize(
    ("text", "uplink", "expected"),
    [
        (None, "enp1s0f0", ""),
        ("", "enp1s0f0", ""),
        (ENCAPS, "enp193s0f0", "10.0.0.193"),
        (ENCAPS, "enp999s0f0", ""),
        (ENCAPS, "", ""),
        ("a:1,a:2", "a", "2"),
    ],
)
def test_tunnel_addresses_of_uplinks(text: str | None, uplink: str, expected: str) -> None:
    assert encap_ip_of_uplink(text, uplink) == expected


@pytest.mark.parametrize(("text", "offsets"), [("10.0.0.1", (0,)), ("a:1,,b:fd00::1", (4, 5)), ("a:1,b", (4,))])
def test_bad_tunnel_addresses(text: str, offsets: tuple[int, ...]) -> None:
    with pytest.raises(TextError, match=f"bad {ENCAP_IPS} config: {text}") as caught:
        encap_ip_of_uplink(text, "a")
    assert caught.value.offsets == offsets


@given(st.text(max_size=20), st.text(max_size=3))
def test_any_tunnel_addresses_are_read_or_refused(text: str, uplink: str) -> None:
    with suppress(TextError):
        assert not text or encap_ip_of_uplink(text, uplink) in text
