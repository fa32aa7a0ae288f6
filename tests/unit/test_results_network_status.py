"""network-status: the bytes, reading, and what CNI results come to beyond the recorded cases."""

from __future__ import annotations

import pytest

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.results import (
    CniResult,
    NetworkStatus,
    network_status_text,
    statuses_from_annotations,
    statuses_from_result,
    statuses_from_text,
)
from ovnk8s_topo.results.cni import CniAddress, CniInterface, CniRoute, Dns
from ovnk8s_topo.spec.go_json import TextError

GATEWAY_TEXT = """[{
    "name": "kube-system/l2-network",
    "interface": "eth1",
    "ips": [
        "10.22.0.1"
    ],
    "mac": "0a:58:0a:16:00:01",
    "mtu": 1400,
    "dns": {},
    "gateway": [
        "10.22.0.254"
    ]
}]"""


def test_the_bytes_with_a_gateway() -> None:
    status = NetworkStatus(
        name="kube-system/l2-network",
        interface="eth1",
        ips=("10.22.0.1",),
        mac="0a:58:0a:16:00:01",
        mtu=1400,
        gateway=("10.22.0.254",),
    )
    assert network_status_text([status]) == GATEWAY_TEXT
    assert statuses_from_text(GATEWAY_TEXT) == (status,)


def test_no_interface_at_all() -> None:
    assert network_status_text([]) == "[]"
    assert statuses_from_text("[]") == statuses_from_text("null") == ()


EVERYTHING = NetworkStatus(
    name="a<b>",
    interface="net1",
    ips=("10.0.0.1", "fd00::1"),
    mac="02:00:00:00:00:01",
    mtu=9000,
    default=True,
    dns=Dns(nameservers=("10.0.0.2",), domain="a.b", search=("b",), options=("ndots:2",)),
    device_info={"memif": {"mode": "ip", "path": "/m"}, "type": "memif", "version": "1.0.0"},
    gateway=("10.0.0.9",),
)


def test_every_key_in_its_order() -> None:
    text = network_status_text([EVERYTHING])
    keys = ["name", "interface", "ips", "mac", "mtu", "default", "dns", "device-info", "gateway"]
    places = [text.index(f'\n    "{key}": ') for key in keys]
    assert places == sorted(places)
    assert text.startswith('[{\n    "name": "a\\u003cb\\u003e",')
    device = '"type": "memif",\n        "version": "1.0.0",\n        "memif": {\n            "path": "/m",'
    assert device in text
    assert statuses_from_text(text) == (EVERYTHING,)


@pytest.mark.parametrize(
    ("annotations", "why"),
    [
        pytest.param(None, "cannot find pod annotation", id="none"),
        pytest.param({}, "cannot find network status", id="another"),
    ],
)
def test_pods_without_a_status(annotations: dict[str, str] | None, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        statuses_from_annotations(annotations)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"name":1}]', '[{"dns":[]}]', '[{"device-info":{"pci":"x"}}]', "["]
)
def test_junk_is_refused(text: str) -> None:
    with pytest.raises(TextError):
        statuses_from_text(text)


def test_null_says_nothing() -> None:
    assert statuses_from_text('[null,{"name":"x","dns":null,"ips":null,"device-info":null}]') == (
        NetworkStatus(name=""),
        NetworkStatus(name="x"),
    )


INSIDE = tuple(CniInterface(name=name, sandbox="/ns") for name in ("eth0", "eth1"))
HOST = CniInterface(name="veth0")


def defaults(result: CniResult) -> list[str]:
    return [status.interface for status in statuses_from_result(result, "n", default=True) if status.default]


@pytest.mark.parametrize(
    ("ips", "expected"),
    [
        pytest.param((), ["eth0"], id="no gateway: the first inside"),
        pytest.param((CniAddress(address="10.0.0.1/8", gateway="10.0.0.9"),), ["eth0"], id="no index"),
        pytest.param((CniAddress(address="10.0.0.1/8", gateway="10.0.0.9", interface=2),), ["eth1"], id="points"),
        pytest.param((CniAddress(address="10.0.0.1/8", gateway="10.0.0.9", interface=0),), [], id="on the host"),
    ],
)
def test_which_interface_is_the_default_one(ips: tuple[CniAddress, ...], expected: list[str]) -> None:
    assert defaults(CniResult(interfaces=(HOST, *INSIDE), ips=ips)) == expected


def test_addresses_of_the_host_are_left_out() -> None:
    ips = (CniAddress(address="10.0.0.1/8", interface=0), CniAddress(address="10.0.0.2/8", interface=9))
    statuses = statuses_from_result(CniResult(interfaces=(HOST, *INSIDE), ips=ips), "n")
    assert [status.ips for status in statuses] == [(), ()]


def test_no_interface_inside_means_no_status() -> None:
    assert statuses_from_result(CniResult(interfaces=(HOST, HOST)), "n", default=True) == ()
    assert statuses_from_result(CniResult(), "n") == ()


@pytest.mark.parametrize(
    ("dst", "is_default"),
    [("", True), ("0.0.0.0/0", True), ("::/0", True), ("0.0.0.0/8", True), ("10.0.0.0/8", False)],
)
def test_default_routes_make_gateways(dst: str, is_default: bool) -> None:
    result = CniResult(interfaces=INSIDE[:1], routes=(CniRoute(dst=dst, gw="10.0.0.9"), CniRoute(dst=dst)))
    (status,) = statuses_from_result(result, "n")
    assert status.gateway == (("10.0.0.9",) if is_default else ())
