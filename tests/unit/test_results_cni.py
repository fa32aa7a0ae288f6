"""CNI results: the bytes of every version, what is read back, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.results import AttachmentResult, CniResult, cni_result, cni_result_from_text, cni_result_text
from ovnk8s_topo.results.cni import VERSIONS, CniAddress, CniInterface, CniRoute, Dns
from ovnk8s_topo.spec import Route
from ovnk8s_topo.spec.go_json import TextError

SANDBOX = "/var/run/netns/pod"
RESULT = AttachmentResult(
    pod="default/nginx1",
    nad_key="default/l3",
    network="l3",
    topology="layer3",
    node="work001",
    interface="net1",
    mac="0a:58:0a:21:02:03",
    addresses=("10.33.2.3/24", "fd01::3/64"),
    gateways=("10.33.2.1", "10.33.2.2", "fd01::1"),
    routes=(Route(dest="10.33.0.0/16", next_hop="10.33.2.1"), Route(dest="10.34.0.0/16")),
    mtu=1400,
)


def test_version_1_0_0() -> None:
    assert cni_result_text(cni_result(RESULT, sandbox=SANDBOX)) == (
        '{"cniVersion":"1.0.0",'
        '"interfaces":[{"name":"net1","mac":"0a:58:0a:21:02:03","mtu":1400,"sandbox":"/var/run/netns/pod"}],'
        '"ips":[{"interface":0,"address":"10.33.2.3/24","gateway":"10.33.2.1"},'
        '{"interface":0,"address":"fd01::3/64","gateway":"fd01::1"}],'
        '"routes":[{"dst":"0.0.0.0/0","gw":"10.33.2.1"},{"dst":"0.0.0.0/0","gw":"10.33.2.2"},'
        '{"dst":"::/0","gw":"fd01::1"},{"dst":"10.33.0.0/16","gw":"10.33.2.1"},{"dst":"10.34.0.0/16"}],"dns":{}}'
    )


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0"])
def test_old_versions_say_which_version_an_address_has(version: str) -> None:
    found = json.loads(cni_result_text(cni_result(RESULT, sandbox=SANDBOX, cni_version=version), indent=2))
    assert found["cniVersion"] == version
    assert [ip["version"] for ip in found["ips"]] == ["4", "6"]
    assert "mtu" not in found["interfaces"][0]


def test_an_attachment_without_addresses() -> None:
    bare = replace(RESULT, addresses=(), gateways=(), routes=(), mtu=0)
    assert cni_result_text(cni_result(bare, sandbox=SANDBOX, cni_version="1.1.0")) == (
        '{"cniVersion":"1.1.0","interfaces":[{"name":"net1","mac":"0a:58:0a:21:02:03","sandbox":"/var/run/netns/pod"}],'
        '"dns":{}}'
    )


def test_a_configuration_without_a_version_gets_1_0_0() -> None:
    assert cni_result(RESULT, sandbox=SANDBOX, cni_version="").cni_version == "1.0.0"


@pytest.mark.parametrize("version", ["0.2.0", "2.0.0", "1", "x"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(SpecError, match=r"cniVersion: must be one of 0\.3\.0"):
        cni_result(RESULT, sandbox=SANDBOX, cni_version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_is_read(version: str) -> None:
    made = cni_result(RESULT, sandbox=SANDBOX, cni_version=version)
    read = cni_result_from_text(cni_result_text(made))
    old = version.startswith("0.")
    assert read == (replace(made, interfaces=(replace(made.interfaces[0], mtu=0),)) if old else made)


def test_all_that_a_result_can_say() -> None:
    text = (
        '{"cniVersion":"1.0.0","interfaces":[{"name":"host0"},null,{"name":"net1","sandbox":"/ns","pciID":"x"}],'
        '"ips":[{"address":"10.0.0.1/8"}],"routes":[{"gw":"10.0.0.9"}],'
        '"dns":{"nameservers":["10.0.0.2",null],"domain":"a.b","search":["b"],"options":["ndots:2"]},"extra":1}'
    )
    assert cni_result_from_text(text) == CniResult(
        interfaces=(CniInterface(name="host0"), CniInterface(name="net1", sandbox="/ns")),
        ips=(CniAddress(address="10.0.0.1/8"),),
        routes=(CniRoute(gw="10.0.0.9"),),
        dns=Dns(nameservers=("10.0.0.2", ""), domain="a.b", search=("b",), options=("ndots:2",)),
    )
    assert cni_result_from_text("null") == CniResult(cni_version="")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "unexpected end of JSON input", id="empty"),
        pytest.param("[]", "cannot unmarshal array into Go value of type types.Result", id="list"),
        pytest.param('{"ips":[{"interface":"0"}]}', "ips.interface of type int", id="wrong type"),
        pytest.param('{"ips":[{}]}', r"ips\[0\].address: invalid CIDR address", id="no address"),
        pytest.param('{"ips":[{"address":"10.0.0.1"}]}', "invalid CIDR address: 10.0.0.1", id="no mask"),
        pytest.param('{"ips":[{"address":"10.0.0.1/8","gateway":"x"}]}', "invalid IP address: x", id="gateway"),
        pytest.param('{"routes":[{"dst":"default"}]}', r"routes\[0\].dst: invalid CIDR", id="destination"),
    ],
)
def test_what_is_no_result(text: str, why: str) -> None:
    with pytest.raises(TextError, match=why):
        cni_result_from_text(text)
