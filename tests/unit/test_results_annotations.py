"""Texts of pod-networks and node-subnets: written, merged and read again; other networks' bytes stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ovnk8s_topo.addresses import subnet_from_text
from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.results import (
    merged_node_subnets,
    merged_pod_networks,
    node_subnets_text,
    pod_networks_text,
    stale_networks,
    without_networks,
)
from ovnk8s_topo.results.node_subnets import LAYER2_TUNNEL_IDS, NETWORK_IDS, NODE_SUBNETS
from ovnk8s_topo.sources.pod_networks import entries_from_text, given_from_text
from ovnk8s_topo.spec import Given, Route
from ovnk8s_topo.spec.go_json import TextError

MAC = "0a:58:0a:21:02:03"
FULL = Given(
    ips=("10.33.2.3/24", "FD01::0:3/64"),
    mac=MAC.upper(),
    gateways=("10.33.2.1", "fd01::0:1"),
    routes=(Route(dest="10.33.9.9/16", next_hop="10.33.2.1"), Route(dest="fd02::/48")),
    ipv6_lla_gateway="FE80::1",
    tunnel_id=5,
    role="primary",
)
FULL_TEXT = (
    '{"ns/nad":{"ip_addresses":["10.33.2.3/24","fd01::3/64"],"mac_address":"0a:58:0a:21:02:03",'
    '"gateway_ips":["10.33.2.1","fd01::1"],"routes":[{"dest":"10.33.0.0/16","nextHop":"10.33.2.1"},'
    '{"dest":"fd02::/48","nextHop":""}],"ipv6_lla_gateway_ip":"fe80::1","tunnel_id":5,"role":"primary"}}'
)


def test_all_keys_in_their_order() -> None:
    assert pod_networks_text({"ns/nad": FULL}) == FULL_TEXT
    assert entries_from_text(FULL_TEXT) == {"ns/nad": FULL}


def test_entries_are_sorted_and_escaped() -> None:
    text = pod_networks_text({"b": Given(), "<a>&": Given(mac=MAC, role="\u2028é")})
    assert text == (
        '{"\\u003ca\\u003e\\u0026":{"ip_addresses":null,"mac_address":"0a:58:0a:21:02:03","role":"\\u2028é"},'
        '"b":{"ip_addresses":null,"mac_address":""}}'
    )


def test_one_address_has_one_gateway() -> None:
    crowded = Given(ips=("10.0.0.1/8",), gateways=("10.0.0.2", "10.0.0.3"))
    with pytest.raises(SpecError, match=r"\[b\].gateways: bad podNetwork data: single-stack"):
        pod_networks_text({"a": Given(), "b": crowded})


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        pytest.param({"routes": [{"dest": "0.0.0.0/0"}]}, "default route 0.0.0.0/0 should be", id="default route"),
        pytest.param({"routes": [{"dest": "::/0"}]}, "default route ::/0 should be", id="IPv6 default route"),
        pytest.param(
            {"routes": [{"dest": "10.0.0.0/8", "next_hop": "fd00::1"}]}, "of different family", id="two families"
        ),
        pytest.param({"routes": [{"dest": "10.0.0.0"}]}, "invalid CIDR address: 10.0.0.0", id="no mask"),
        pytest.param({"gateways": ["10.0.0.0/8"]}, "invalid IP address: 10.0.0.0/8", id="gateway with a mask"),
        pytest.param({"ipv6_lla_gateway": "fd00::1"}, "must be an IPv6 link-local address", id="global"),
        pytest.param({"ipv6_lla_gateway": "169.254.0.1"}, "must be an IPv6 link-local address", id="IPv4"),
    ],
)
def test_what_a_pod_cannot_be_told(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        Given(**fields)


def test_the_default_network_is_read_only_when_asked_for() -> None:
    text = pod_networks_text({"default": Given(mac=MAC), "ns/nad": Given(mac=MAC)})
    assert given_from_text(text).keys() == {"ns/nad"}
    assert entries_from_text(text).keys() == {"default", "ns/nad"}
    broken = text.replace(MAC, "?", 1)
    assert given_from_text(broken).keys() == {"ns/nad"}
    with pytest.raises(TextError, match=r"\[default\]: failed to parse pod MAC"):
        entries_from_text(broken)


OTHERS = '{ "default" : {"mac_address":"X",  "later_key":1} ,"z/z":{"b":"<"}}'


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        pytest.param(None, {}, None, id="nothing"),
        pytest.param("", {"a/b": None}, None, id="nothing to take out"),
        pytest.param(None, {"a/b": Given()}, '{"a/b":{"ip_addresses":null,"mac_address":""}}', id="first"),
        pytest.param('{"a/b":{}}', {"a/b": None}, None, id="last"),
        pytest.param("{}", {}, None, id="an empty one goes"),
        pytest.param(OTHERS, {"a/b": None}, OTHERS, id="untouched"),
        pytest.param(
            OTHERS,
            {"a/b": Given()},
            '{"a/b":{"ip_addresses":null,"mac_address":""},"default":{"mac_address":"X",  "later_key":1},'
            '"z/z":{"b":"<"}}',
            id="others keep their bytes",
        ),
        pytest.param(OTHERS, {"z/z": None}, '{"default":{"mac_address":"X",  "later_key":1}}', id="one out"),
        pytest.param('{"a":1,"a":2,"b":3}', {"b": None}, '{"a":2}', id="the last duplicate counts"),
    ],
)
def test_merging_pod_networks(text: str | None, changes: dict[str, Given | None], expected: str | None) -> None:
    assert merged_pod_networks(text, changes) == expected


@pytest.mark.parametrize("text", ["[]", "5", '"x"', "{", "nonsense", '{"a":1} x'])
def test_an_annotation_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(TextError):
        merged_pod_networks(text, {"a/b": Given()})
    with pytest.raises(TextError):
        merged_node_subnets(text, "blue", [])
    with pytest.raises(TextError):
        stale_networks({NETWORK_IDS: text}, ())


def test_node_subnets_are_lists_sorted_by_network() -> None:
    blue = [subnet_from_text("10.33.2.0/24"), subnet_from_text("fd01:0:0:2::/64")]
    text = node_subnets_text({"red": ["10.44.2.0/24"], "blue": blue})
    assert text == '{"blue":["10.33.2.0/24","fd01:0:0:2::/64"],"red":["10.44.2.0/24"]}'


@pytest.mark.parametrize(
    ("text", "subnets", "expected"),
    [
        pytest.param(None, ["10.33.2.0/24"], '{"blue":["10.33.2.0/24"]}', id="first"),
        pytest.param('{"blue":["10.33.2.0/24"]}', [], None, id="last"),
        pytest.param(
            '{"default": "10.244.0.0/24" }',
            ["10.33.2.0/24"],
            '{"blue":["10.33.2.0/24"],"default":["10.244.0.0/24"]}',
            id="bare texts become lists",
        ),
        pytest.param('{"red": [ "10.44.2.0/24" ]}', [], '{"red": [ "10.44.2.0/24" ]}', id="untouched"),
        pytest.param(
            '{"red":[ "10.44.2.0/24" ]}',
            ["10.33.2.0/24"],
            '{"blue":["10.33.2.0/24"],"red":[ "10.44.2.0/24" ]}',
            id="others keep their bytes",
        ),
    ],
)
def test_merging_node_subnets(text: str | None, subnets: list[str], expected: str | None) -> None:
    assert merged_node_subnets(text, "blue", subnets) == expected


def test_networks_leave_all_three_annotations() -> None:
    annotations = {
        NODE_SUBNETS: '{"default":["10.244.0.0/24"],"blue":["10.33.0.0/24"]}',
        NETWORK_IDS: '{"blue":"1"}',
        LAYER2_TUNNEL_IDS: '{"red":"5"}',
        "other": '{"blue":1}',
    }
    assert stale_networks(annotations, ["red"]) == {"blue"}
    assert without_networks(annotations, {"blue", "unknown"}) == {
        NODE_SUBNETS: '{"default":["10.244.0.0/24"]}',
        NETWORK_IDS: None,
    }
    assert without_networks(annotations, ()) == {}


def test_a_pod_keeps_what_it_was_told_about_routes() -> None:
    assert json.loads(pod_networks_text(given_from_text(FULL_TEXT))) == json.loads(FULL_TEXT)
