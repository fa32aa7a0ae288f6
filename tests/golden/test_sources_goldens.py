"""What OVN-Kubernetes and Multus accept, refuse and say, as data: every case runs here by its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo.addresses import interface_from_text
from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources.netconf import NetConf, NetConfError, NotManaged, decoded_netconf, netconf_from_text
from ovnk8s_topo.sources.netconf_network import compatible, gateway_address, management_address
from ovnk8s_topo.sources.netconf_rules import Setting, build, checked, join_subnets, netconf_from_nad
from ovnk8s_topo.sources.selections import PodRef, active_selections, selections
from ovnk8s_topo.spec import Attachment, Cluster
from ovnk8s_topo.spec.attachment import nad_keys
from ovnk8s_topo.spec.go_json import parse
from ovnk8s_topo.spec.selection import attachments_from_text
from ovnk8s_topo.spec.subnets import check_contained, cluster_subnet_from_text, plain_subnet_from_text

_FOLDER = Path(__file__).parent / "sources"

LEFT_OUT = {
    "annot-08": "an element without a name selects nothing: refused here, decision 0003",
    "annot-09": "as annot-08",
    "annot-26": "as annot-08",
    "annot-missing-nad": "about the delegates of Multus: runs in test_results_goldens.py",
    "multus-namespace-isolation-violation": "as annot-missing-nad",
    "multus-namespace-isolation-global": "as annot-missing-nad",
    "multus-default-network-override": "as annot-missing-nad",
    "nse-ips": "decodes one element without checks; Multus refuses its ips, so it is refused here",
}


def _cases(*files: str) -> list[Any]:
    return [
        pytest.param(case, id=case["name"])
        for file in files
        for case in json.loads((_FOLDER / f"{file}.json").read_text(encoding="utf-8"))
        if case["name"] not in LEFT_OUT
    ]


def test_left_out_names_exist() -> None:
    names = {case["name"] for file in _FOLDER.glob("*.json") for case in json.loads(file.read_text(encoding="utf-8"))}
    assert set(LEFT_OUT) <= names


def _setting(config: dict[str, Any]) -> Setting:
    lists = {
        "cluster_subnets": [text.rsplit("/", 1)[0] for text in config.get("cluster_subnets", ())],
        "service_subnets": config.get("service_cidrs"),
        "join_subnets": config.get("join_subnets"),
        "masquerade_subnets": config.get("masquerade_subnets"),
        "transit_subnets": config.get("transit_subnets"),
    }
    families = frozenset(version for version in (4, 6) if config.get(f"ipv{version}", True))
    cluster = Cluster(**{key: value for key, value in lists.items() if value})
    return Setting(cluster, config.get("gateway_mode", "shared"), families)


def _netconf(fields: dict[str, Any]) -> NetConf:
    return decoded_netconf(parse(json.dumps(fields)))


def _whys(action: Callable[[], object]) -> list[str]:
    try:
        action()
    except NetConfError as error:
        return [fault.why for fault in error.faults]
    except SpecError as error:
        return [problem.why for problem in error.problems]
    except (NotManaged, ValueError) as error:
        return [str(error)]
    return []


def _expect_error(expect: dict[str, Any], whys: list[str]) -> None:
    assert whys
    if isinstance(expect.get("error"), str) and expect["error"] != "any":
        assert expect["error"] in whys
    if "error_contains" in expect:
        assert any(expect["error_contains"] in why for why in whys)


def _refused(expect: dict[str, Any]) -> bool:
    return "error" in expect or "error_contains" in expect


# --- CNI configurations


def _of_result(result: dict[str, Any], netconf: NetConf, source: dict[str, Any]) -> dict[str, Any]:
    """Compute what a case asks for, by the names in its expectation."""
    questions: dict[str, Callable[[], Any]] = {
        "join_subnets": lambda: [str(subnet) for subnet in join_subnets(netconf)] or None,
        "is_primary": lambda: netconf.is_primary,
        "gateway_ip": lambda: _in_subnet(gateway_address, netconf, source),
        "management_ip": lambda: _in_subnet(management_address, netconf, source),
    }
    return {key: questions[key]() for key in result}


def _in_subnet(question: Callable[..., Any], netconf: NetConf, source: dict[str, Any]) -> str:
    subnet = interface_from_text(source["host_subnet"])[1]
    return f"{question(netconf, subnet)}/{subnet.prefix_len}"


def _check_whole(source: dict[str, Any], expect: dict[str, Any]) -> None:
    text = source.get("netconf_text", json.dumps(source.get("netconf")))
    setting = _setting(source.get("config", {}))
    if {"type", "plugins"} & set(source.get("netconf") or ["type"]):
        made: list[NetConf] = []
        whys = _whys(lambda: made.append(netconf_from_nad(text, source["nad"], setting)))
    else:
        netconf, faults = checked(_netconf(source["netconf"]), source["nad"], setting)
        made, whys = [netconf], [fault.why for fault in faults]
    if _refused(expect):
        _expect_error(expect, whys)
    else:
        assert whys == []
        assert expect["result"] in ("ok", made[0].as_json())


def _check_plain(source: dict[str, Any], expect: dict[str, Any]) -> None:
    netconf, setting = _netconf(source["netconf"]), _setting(source.get("config", {}))
    if "gateway_mode" in source.get("config", {}):
        faults = checked(netconf, netconf.nad_name, setting)[1]
    elif "config" in source:
        faults = build(netconf, setting)[1]
    else:
        assert _of_result(expect["result"], netconf, source) == expect["result"]
        return
    whys = [fault.why for fault in faults]
    if _refused(expect):
        _expect_error(expect, whys)
    else:
        assert whys == []


@pytest.mark.parametrize("case", _cases("netconf_validation"))
def test_configuration(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    if "other_netconf" in source:
        assert compatible(_netconf(source["netconf"]), _netconf(source["other_netconf"])) is expect["result"]
    elif "nad" in source or "netconf_text" in source or "plugins" in source["netconf"]:
        _check_whole(source, expect)
    else:
        _check_plain(source, expect)


def _list_form(source: dict[str, Any]) -> dict[str, Any]:
    if "netconf" not in source:
        return {}
    netconf = _netconf(source["netconf"])
    if netconf.topology == "layer3":
        entries = [cluster_subnet_from_text(text.strip()) for text in netconf.subnets.split(",") if text.strip()]
        pairs = [(entry.subnet, entry.host_len) for entry in entries]
    else:
        built, faults = build(netconf, Setting())
        if faults:
            raise NetConfError(faults)
        pairs = [(subnet, 0) for subnet in built.subnets]
    return {"subnets": [{"cidr": str(subnet), "host_subnet_length": length} for subnet, length in pairs]}


def _contained(source: dict[str, Any]) -> None:
    inner = [plain_subnet_from_text(text) for text in source["subnets"]]
    whys = [*check_contained("excluded", inner, [plain_subnet_from_text(text) for text in source["containers"]])]
    if whys:
        raise ValueError(whys[0])


@pytest.mark.parametrize("case", _cases("netconf_subnets"))
def test_subnets(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    found: list[Any] = []

    def act() -> None:
        if "containers" in source:
            _contained(source)
        elif "list" in source:
            found.append([plain_subnet_from_text(part.strip()) for part in source["list"].split(",") if part.strip()])
        else:
            found.append(_list_form(source))

    whys = _whys(act)
    if _refused(expect):
        _expect_error(expect, whys)
    else:
        assert whys == []
        if isinstance(expect["result"], dict) and "subnets" in expect["result"]:
            assert found == [expect["result"]]


@pytest.mark.parametrize("case", _cases("ovnk_netconf", "nad_config"))
def test_configuration_as_executed(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    made: list[NetConf] = []
    if "nad" in source:
        nad = source["nad"]
        whys = _whys(lambda: made.append(netconf_from_nad(nad["config"], f"{nad['namespace']}/{nad['name']}")))
    else:
        text = source.get("config_text", json.dumps(source.get("config")))
        whys = _whys(lambda: made.append(netconf_from_text(text)))
    if _refused(expect):
        _expect_error(expect, whys)
        return
    assert whys == []
    wanted = {key: value for key, value in expect["netconf"].items() if value not in ("", 0, False, {})}
    assert wanted.items() <= made[0].as_json().items()


# --- network selections


@pytest.mark.parametrize("case", _cases("annotation_both_parsers"))
def test_annotation_is_the_intersection(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    sides = [expect["nad_client"], expect["multus"]]
    errors = [side["error"] for side in sides if "error" in side]
    made: list[Attachment] = []
    whys = _whys(lambda: made.extend(attachments_from_text(source["annotation"], source["pod_namespace"])))
    if errors:
        assert any(error in whys for error in errors)
    else:
        assert whys == []
        assert [_element(each) for each in made] == expect["nad_client"]["elements"]


_JSON_NAMES = {
    "port_mappings": "portMappings",
    "cni_args": "cni-args",
    "default_route": "default-route",
    "ipam_claim_reference": "ipam-claim-reference",
    "infiniband_guid": "infiniband-guid",
}


def _element(attachment: Attachment) -> dict[str, Any]:
    found = attachment.model_dump(mode="json")
    return {_JSON_NAMES.get(key, key): value for key, value in found.items() if value}


def _pod(source: dict[str, Any]) -> PodRef:
    pod = source["pod"] if "pod" in source else source["pods"][0]
    host_network = bool(pod.get("host_network") or pod.get("spec", {}).get("hostNetwork"))
    return PodRef(pod["namespace"] or "ns0", pod["name"], pod.get("annotations", {}), host_network)


def _select(source: dict[str, Any]) -> dict[str, Attachment]:
    fields = source.get("netconf") or source["network"]
    netconf, nads = _netconf(fields), fields.get("nads") or [fields["netAttachDefName"]]
    feature = source.get("config", {}).get("enable_preconfigured_udn_addresses", False)
    active_fields = source.get("active_network", "#same" if "network" in source and netconf.is_primary else None)
    if active_fields is None:
        return selections(_pod(source), netconf, nads)
    if not isinstance(active_fields, dict):
        active_fields = {**fields, "netAttachDefName": nads[0]}
    active, active_nads = _netconf(active_fields), [active_fields["netAttachDefName"]]
    return active_selections(_pod(source), netconf, nads, active, active_nads, preconfigured_addresses=feature)


@pytest.mark.parametrize("case", _cases("pod_nse"))
def test_selection_of_a_pod(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    found: dict[str, Attachment] = {}
    whys = _whys(lambda: found.update(_select(source)))
    if _refused(expect):
        _expect_error(expect, whys)
        return
    assert whys == []
    wanted = expect["result"]
    assert bool(found) is wanted["attached"]
    if "nad_keys" in wanted:
        assert sorted(found) == sorted(wanted["nad_keys"])
    if "elements" in wanted:
        assert {key: _element(each) for key, each in found.items()} == wanted["elements"]


@pytest.mark.parametrize("case", _cases("nad_annotation"))
def test_annotation_of_upstream_tests(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    made: list[Any] = []
    if "network" in source:
        whys = _whys(lambda: made.append(_select(source)))
    else:
        pod = source["pod"]
        text = pod["annotations"]["k8s.v1.cni.cncf.io/networks"]
        whys = _whys(lambda: made.extend(attachments_from_text(text, pod["namespace"])))
    if _refused(expect):
        _expect_error(expect, whys)
        return
    assert whys == []
    if "nad_keys" in expect:
        assert sorted(made[0]) == sorted(expect["nad_keys"])
    elif "elements" in expect:
        wanted = [{key: value for key, value in each.items() if value} for each in expect["elements"]]
        assert [_element(each) for each in made] == wanted


def test_keys_of_repeated_definitions() -> None:
    twice = attachments_from_text("ns1/a,ns1/a,b,ns1/a", "pod-ns")
    assert [key for key, _ in nad_keys(twice, "pod-ns")] == ["ns1/a", "ns1/a/1", "pod-ns/b", "ns1/a/2"]
