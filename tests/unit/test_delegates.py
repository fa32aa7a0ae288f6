"""Multus' side: which configuration the plug-ins of a pod get, beyond the recorded cases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.cni_config import config_from_files, config_with_name
from ovnk8s_topo.sources.delegates import (
    MultusSetting,
    default_delegate,
    delegate_from_config,
    delegates_of_pod,
    gateway_filters,
)
from ovnk8s_topo.spec import Attachment

NETWORKS, DEFAULT = "k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"
ELEMENT = Attachment(namespace="ns", name="nad", mac="02:00:00:00:00:01", ips=("10.0.0.1/24",), cni_args={"a": 1})
CHAIN = {
    "cniVersion": "1.0.0",
    "name": "chain",
    "plugins": [
        {"type": "first", "capabilities": {"ips": True, "mac": False, "bandwidth": True}},
        {"type": "second", "args": {"cni": {"a": 0, "b": 2}}},
    ],
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param('{"n":12345678901234567890,"e":1e-7,"f":1.50}', '"e":1e-7,"f":1.5,"n":12345678901234567000'),
        pytest.param('{"b":{"y":1,"x":2}}', '"b":{"x":2,"y":1}'),
        pytest.param('{"Name":"other"}', '"Name":"other"'),
        pytest.param('{"name":"x","name":""}', '"name":"nad"'),
    ],
)
def test_putting_the_name_in_encodes_anew(config: str, expected: str) -> None:
    assert expected in config_with_name(config, "nad")
    assert '"name":"nad"' in config_with_name(config, "nad")


def test_a_number_that_is_too_large() -> None:
    with pytest.raises(SpecError, match="json: cannot unmarshal number 1e400 into Go value of type float64"):
        config_with_name('{"name":"x","n":1e400}', "nad")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        pytest.param({}, "No networks found in /conf", id="no file"),
        pytest.param({"a.txt": "{}"}, "No networks found in /conf", id="no file of its kind"),
        pytest.param({"a.conf": "{}"}, "no network available in the name nad in cni dir /conf", id="no match"),
        pytest.param(
            {"a.conf": '{"name":"nad"}'},
            "Error loading CNI config file /conf/a.conf: no 'type'; perhaps this is a .conflist",
            id="no type",
        ),
        pytest.param(
            {"a.conflist": '{"name":"nad"}'},
            "Error loading CNI conflist file /conf/a.conflist: error parsing configuration list: no 'plugins' key",
            id="no plugins",
        ),
        pytest.param(
            {"a.conflist": "[]", "b.conf": '{"name":"nad","type":"t"}'},
            "a.conflist: error parsing configuration list: json: cannot unmarshal array",
            id="broken before the match",
        ),
    ],
)
def test_files_that_do_not_help(files: dict[str, str], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        config_from_files("nad", files, "/conf")


def test_the_first_file_of_the_name_counts() -> None:
    files = {"b.json": '{"name":"nad","type":"b"}', "a.conf": ' {"name":"nad","type":"a"}', "c.conf": "broken"}
    assert config_from_files("nad", files, "/conf") == files["a.conf"]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        pytest.param("{}", "must have the 'type' or 'plugin' field", id="neither"),
        pytest.param('{"plugins":null}', "must have the 'type' or 'plugin' field", id="null"),
        pytest.param('{"plugins":[]}', "a plugin delegate must have the 'type' field", id="no plug-in"),
        pytest.param('{"plugins":[{}]}', "a plugin delegate must have the 'type' field", id="no type"),
        pytest.param('{"plugins":[{"type":"t"},5]}', "plugins must be a list of objects", id="number"),
        pytest.param('{"type":5}', "type must be a text", id="type"),
        pytest.param("null", "crashes on null", id="null at all"),
        pytest.param("#", "LoadDelegateNetConf: error unmarshalling delegate config: invalid character", id="text"),
        pytest.param('{"type":"t","args":{"cni":5}}', "args and args.cni must be objects", id="args"),
    ],
)
def test_what_is_no_delegate(config: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        delegate_from_config(config, ELEMENT)


def test_type_and_plugins_together_are_a_single_configuration() -> None:
    config = '{"Type":"t","name":"n","plugins":[{"type":"u"}]}'
    delegate = delegate_from_config(config)
    assert (delegate.type, delegate.conf_name, delegate.name, delegate.config) == ("t", "n", "n", config)


def test_every_plugin_of_a_chain_gets_its_part() -> None:
    delegate = delegate_from_config(json.dumps(CHAIN), ELEMENT, device_id="0000:03:02.3")
    first, second = map(json.loads, delegate.plugins)
    assert first["runtimeConfig"] == {"ips": ["10.0.0.1/24"]}
    assert "runtimeConfig" not in second
    for plugin, args in ((first, {"a": 1}), (second, {"a": 1, "b": 2})):
        assert plugin["args"]["cni"] == args
        assert plugin["deviceID"] == plugin["pciBusID"] == "0000:03:02.3"
        assert (plugin["name"], plugin["cniVersion"]) == ("chain", "1.0.0")


def test_capabilities_carry_what_is_asked_for() -> None:
    element = Attachment(
        namespace="ns",
        name="nad",
        port_mappings=({"hostPort": 80, "containerPort": 8080},),
        bandwidth={"egressRate": 5},
    )
    assert delegate_from_config('{"type":"t"}', element, device_id="d").capability_args == {
        "portMappings": [{"hostPort": 80, "containerPort": 8080}],
        "bandwidth": {"ingressRate": 0, "ingressBurst": 0, "egressRate": 5, "egressBurst": 0},
        "deviceID": "d",
    }
    assert delegate_from_config('{"type":"t"}').capability_args == {}


NADS = {"ns/a": '{"type":"t"}', "ns/b": '{"type":"t","name":"bb"}', "kube-system/a": '{"type":"k"}'}


def test_a_pod_s_delegates_in_their_order() -> None:
    delegates = delegates_of_pod({NETWORKS: "a,b@eth1,a"}, "ns", NADS, devices={"ns/b": "d"})
    seen = [(each.name, each.conf_name, each.interface, each.device_id) for each in delegates]
    assert seen == [("ns/a", "a", "net1", ""), ("ns/b", "bb", "eth1", "d"), ("ns/a", "a", "net3", "")]


@pytest.mark.parametrize(
    ("annotations", "setting", "expected"),
    [
        pytest.param({}, {}, None, id="nobody says"),
        pytest.param({}, {"cluster_network": "a"}, "k", id="the cluster's"),
        pytest.param({DEFAULT: "ns/a"}, {"cluster_network": "a"}, "t", id="the pod's"),
        pytest.param({DEFAULT: "a"}, {"multus_namespace": "ns"}, "t", id="in Multus' namespace"),
    ],
)
def test_the_default_network(annotations: dict[str, str], setting: dict[str, Any], expected: str | None) -> None:
    found = default_delegate(annotations, NADS, MultusSetting(**setting))
    assert (found and (found.type, found.interface, found.is_default)) == (expected and (expected, "eth0", True))
    assert found is None or found.capability_args == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("a,b", "tryLoadK8sPodDefaultNetwork: more than one default network is specified: a,b", id="two"),
        pytest.param("[]", "no default network is specified", id="an empty list"),
        pytest.param("x", "tryLoadK8sPodDefaultNetwork: failed getting the delegate", id="unknown"),
    ],
)
def test_default_networks_that_are_none(text: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        default_delegate({DEFAULT: text}, NADS)


@pytest.mark.parametrize(
    ("gateways", "expected"),
    [
        pytest.param([[], ["10.0.0.1"]], ((True, True), (False, True)), id="one"),
        pytest.param([["fd00::1"], ["10.0.0.1"]], ((True, False), (False, True)), id="one of each family"),
        pytest.param([["10.0.0.2"], ["10.0.0.1"]], None, id="two"),
    ],
)
def test_default_routes_of_others_go(gateways: list[list[str]], expected: object) -> None:
    elements = [Attachment(namespace="ns", name="a", default_route=tuple(each)) for each in gateways]
    delegates = [delegate_from_config('{"type":"t"}', element) for element in elements]
    if expected is None:
        with pytest.raises(SpecError, match="multus does not support ECMP for default-route"):
            gateway_filters(delegates)
    else:
        assert gateway_filters(delegates) == expected
