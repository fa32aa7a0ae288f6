"""What pods, nodes and plug-ins are told upstream, as data: every case runs here by its name, or says why not.

Cases about reading selections and networks run in test_sources_goldens.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo.addresses import interface_from_text, mac_from_address
from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.planner import desired_from_topology
from ovnk8s_topo.results import (
    NetworkStatus,
    attachment_result,
    cni_result_from_text,
    given_from_result,
    network_status_text,
    node_subnets_text,
    pod_networks_text,
    stale_networks,
    statuses_from_annotations,
    statuses_from_result,
    without_networks,
)
from ovnk8s_topo.results.network_status import NETWORK_STATUS
from ovnk8s_topo.results.node_subnets import NODE_SUBNETS
from ovnk8s_topo.results.pod_networks import POD_NETWORKS
from ovnk8s_topo.sources.cni_config import cni_config, config_with_name
from ovnk8s_topo.sources.delegates import (
    Delegate,
    MultusSetting,
    default_delegate,
    delegate_from_config,
    delegates_of_pod,
    gateway_filters,
)
from ovnk8s_topo.sources.documents import Document, Place
from ovnk8s_topo.sources.found import Found
from ovnk8s_topo.sources.nodes import node_from_object
from ovnk8s_topo.sources.pod_networks import entries_from_text
from ovnk8s_topo.spec import Attachment, Given, IpamClaim, Network, Node, Pod, Topology
from ovnk8s_topo.spec.network import network_from_fields
from ovnk8s_topo.spec.selection import attachments_from_text

_FOLDER = Path(__file__).parent

_PRIMARY = "about a primary network, which is read but not built yet"
_DEFAULT = "about the cluster's default network, which is not ours to describe"

LEFT_OUT = {
    "node-subnets-annotation-other-key": "asks for an annotation by name; nobody here does",
    "allocate-l2-primary-v6": _PRIMARY,
    "allocate-preconf-ip-mac": _PRIMARY,
    "allocate-preconf-ip": _PRIMARY,
    "allocate-preconf-off": _PRIMARY,
    "allocate-preconf-dual": _PRIMARY,
    "allocate-preconf-v4-gets-v6": _PRIMARY,
    "allocate-annotated-already": _DEFAULT,
    "allocate-annotated-other-error": _DEFAULT,
}

FROM_SOURCES = {
    "annot-missing-nad",
    "multus-namespace-isolation-violation",
    "multus-namespace-isolation-global",
    "multus-default-network-override",
}
"""Cases of sources/nad_annotation.json that are about delegates."""


def _read(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((_FOLDER / f"{file}.json").read_text(encoding="utf-8"))
    return found


def _cases(file: str, prefix: str = "") -> list[Any]:
    chosen = [case for case in _read(f"results/{file}") if case["name"].startswith(prefix)]
    return [pytest.param(case, id=case["name"]) for case in chosen if case["name"] not in LEFT_OUT]


def test_left_out_names_exist() -> None:
    names = [case["name"] for file in (_FOLDER / "results").glob("*.json") for case in _read(f"results/{file.stem}")]
    assert len(names) == len(set(names))
    assert set(LEFT_OUT) <= set(names)
    assert {case["name"] for case in _read("sources/nad_annotation")} >= FROM_SOURCES


def test_every_file_and_every_kind_of_case_runs() -> None:
    files = {file.stem for file in (_FOLDER / "results").glob("*.json")}
    assert files == {*DELEGATE_FILES, "pod_annotation", "network_status", "nad_getcniconfig", "node_annotations"}
    kinds = {case["name"].partition("-")[0] for case in _read("results/pod_annotation")}
    assert kinds == {"marshal", "unmarshal", "allocate", "node"}


def _whys(action: Callable[[], object]) -> list[str]:
    try:
        action()
    except SpecError as error:
        return [problem.why for problem in error.problems]
    return []


def _check_error(expect: dict[str, Any], whys: list[str]) -> bool:
    """Tell whether an error is expected; it must be the one that came."""
    if "error" not in expect and "error_contains" not in expect:
        assert whys == []
        return False
    assert whys
    if isinstance(expect.get("error"), str) and expect["error"] not in ("any", "PANIC"):
        assert expect["error"] in whys
    assert any(expect.get("error_contains", "") in why for why in whys)
    return True


# --- k8s.ovn.org/pod-networks and node-subnets


@pytest.mark.parametrize("case", _cases("pod_annotation", "marshal-"))
def test_writing_pod_networks(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    made: list[str] = []
    whys = _whys(lambda: made.append(pod_networks_text({source["nad_key"]: Given(**source["pod_annotation"])})))
    if not _check_error(expect, whys):
        assert made == [expect["result"][POD_NETWORKS]]


@pytest.mark.parametrize("case", _cases("pod_annotation", "unmarshal-"))
def test_reading_pod_networks(case: dict[str, Any]) -> None:
    source = case["input"]
    made: dict[str, Given] = {}
    whys = _whys(lambda: made.update(entries_from_text(source["annotations"][POD_NETWORKS])))
    if not _check_error(case["expect"], whys):
        assert made.keys() == {source["nad_key"]}


@pytest.mark.parametrize("case", _cases("pod_annotation", "node-subnets-"))
def test_node_subnets(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    if "nodes" not in source:
        assert node_subnets_text({source["network"]: source["subnets"]}) == expect["result"][NODE_SUBNETS]
        return
    (node,) = source["nodes"]
    value = {"metadata": {"name": node["name"].lower(), "annotations": node["annotations"]}}
    found = Found(Document(value, "golden", "", lambda _: Place(0, 0, 0)), ())
    node_from_object(found)
    assert not _check_error(expect, [problem.why for problem in found.problems])


@pytest.mark.parametrize("case", _cases("pod_annotation", "allocate-"))
def test_telling_a_new_pod(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    told: list[Given] = []
    whys = _whys(lambda: told.append(_told(source)))
    if not _check_error(expect, whys):
        # Tunnel ids are for clusters whose zones are interconnected, and roles for those that have several.
        wanted = {**expect["result"], "tunnel_id": 0}
        assert told == [Given(**wanted)]


def _told(source: dict[str, Any]) -> Given:
    """Plan for the faults, then tell what the recorded allocator hands out."""
    network, (described,) = _network(source["netconf"]), source["pods"]
    request = {key.replace("-", "_"): value for key, value in described["request"].items()}
    attachment = Attachment(namespace="namespace", name="network", **request)
    pod = Pod(namespace="namespace", name="pod", node="node", networks=(attachment,))
    claims = [
        IpamClaim(namespace="namespace", name=claim["name"], network=network.name, ips=claim["status_ips"])
        for claim in ([source["ipam_claim"]] if "ipam_claim" in source else [])
    ]
    nodes = [Node(name="node")]
    desired = desired_from_topology(Topology(networks=[network], nodes=nodes, pods=[pod], ipam_claims=claims))
    if desired.problems:
        raise SpecError(desired.problems)
    addresses = [interface_from_text(text)[0] for text in source["next_free_ips"]]
    mac = mac_from_address(addresses[0])
    result = attachment_result(network, pod, "namespace/network", attachment, mac, addresses)
    return given_from_result(result, style="2023")


def _network(netconf: dict[str, Any]) -> Network:
    fields = {"topology": "layer2", "netAttachDefName": "namespace/network", **netconf}
    return network_from_fields(**{"name": "network", **{k: v for k, v in fields.items() if v != "default"}})


@pytest.mark.parametrize("case", _cases("node_annotations"))
def test_stale_networks_leave_nodes(case: dict[str, Any]) -> None:
    expect = case["expect"]
    for node in case["input"]["nodes"]:
        for valid, removed in _steps(expect):
            annotations = dict(node["annotations"])
            gone = stale_networks(annotations, valid)
            new = without_networks(annotations, gone)
            assert gone == removed
            for key, text in annotations.items():
                before = json.loads(text)
                after = {name: value for name, value in before.items() if name not in gone}
                assert new.get(key, text) == (
                    json.dumps(after, separators=(",", ":"), sort_keys=True) if after else None
                )


def _steps(expect: dict[str, Any]) -> Iterator[tuple[list[str], set[str]]]:
    for step in expect.get("steps", ()):
        yield step["cleanup_stale"]["still_valid"], set(step["result"]["removed_from_every_node"])
    if "result" in expect:
        (names,) = expect["result"]["removed_annotation_entries"].values()
        yield [], set(names)


# --- k8s.v1.cni.cncf.io/network-status


def _status_of(wanted: dict[str, Any]) -> NetworkStatus:
    fields: dict[str, Any] = {**wanted, "ips": tuple(wanted["ips"])}
    return NetworkStatus(**fields)


def _seen(status: NetworkStatus, keys: Iterable[str]) -> dict[str, Any]:
    """Return the fields that a case names; empty where there is nothing to tell."""
    found = {"default": False, "interface": None, "mac": None, "ips": (), "gateway": (), **status.as_json()}
    return {key: [*value] if isinstance(value := found[key], tuple) else value for key in keys}


@pytest.mark.parametrize("case", _cases("network_status"))
def test_network_status(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    if source["op"] == "set_then_get":
        statuses = tuple(map(_status_of, source["statuses"]))
        assert statuses_from_annotations({NETWORK_STATUS: network_status_text(statuses)}) == statuses
        return
    result = cni_result_from_text(json.dumps(source["cni_result"]))
    made = statuses_from_result(result, source["name"], default=source["default"])
    wanted = [expect["status"]] if "status" in expect else expect["statuses"]
    assert len(made) == expect.get("count", 1)
    assert [_seen(status, each) for status, each in zip(made, wanted, strict=True)] == wanted


# --- what Multus hands to plug-ins


@pytest.mark.parametrize("case", _cases("nad_getcniconfig"))
def test_configuration_with_its_name(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    made: list[str] = []
    whys = _whys(lambda: made.append(config_with_name(source["config"], source["net_name"])))
    if not _check_error(expect, whys):
        assert made == [expect["config_bytes"]]


DELEGATE_FILES = ("multus_delegates", "nad_config")


def _setting(source: dict[str, Any]) -> MultusSetting:
    conf = source.get("multus_conf", {})
    files = {
        name: text if isinstance(text, str) else json.dumps(text) for name, text in source.get("conf_dir", {}).items()
    }
    return MultusSetting(
        cluster_network=conf.get("clusterNetwork", ""),
        namespace_isolation=conf.get("namespaceIsolation", False),
        global_namespaces=tuple(conf.get("globalNamespaces", "default").split(",")),
        conf_dir="{conf_dir}",
        files=files,
    )


def _delegates(source: dict[str, Any]) -> tuple[Delegate, ...]:
    texts = {f"{nad['namespace']}/{nad['name']}": nad["config"] for nad in source["nads"]}
    nads = {key: text if isinstance(text, str) else json.dumps(text) for key, text in texts.items()}
    pod, setting = source["pod"], _setting(source)
    return (
        *filter(None, [default_delegate({}, nads, setting), default_delegate(pod["annotations"], nads, setting)]),
        *delegates_of_pod(pod["annotations"], pod["namespace"], nads, setting),
    )


def _pod_cases() -> list[Any]:
    elsewhere = [case for case in _read("sources/nad_annotation") if case["name"] in FROM_SOURCES]
    here = [case for case in _read("results/nad_config") if "pod" in case["input"]]
    return [pytest.param(case, id=case["name"]) for case in (*here, *elsewhere)]


@pytest.mark.parametrize("case", _pod_cases())
def test_delegates_of_a_pod(case: dict[str, Any]) -> None:
    expect = case["expect"]
    made: list[Delegate] = []
    whys = _whys(lambda: made.extend(_delegates(case["input"])))
    if _check_error(expect, whys):
        return
    seen = [{"conf_name": each.conf_name, "type": each.type} for each in made]
    if "before" in expect:
        assert seen == [*expect["before"], *expect["after"]]
    elif "delegates" in expect:
        assert seen == expect["delegates"]
    else:
        assert expect == {"ok": True}


@pytest.mark.parametrize("case", [each for each in _cases("nad_config") if "nad" in each.values[0]["input"]])
def test_configuration_of_a_definition(case: dict[str, Any]) -> None:
    nad, files = case["input"]["nad"], case["input"].get("conf_dir", {})
    made: list[str] = []
    whys = _whys(lambda: made.append(cni_config(nad["config"], nad["name"], files, "/conf")))
    if not _check_error(case["expect"], whys):
        assert made == [case["expect"]["config_bytes"]]


@pytest.mark.parametrize("case", _cases("multus_delegates"))
def test_requests_of_a_selection(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    (attachment,) = attachments_from_text(json.dumps([source["element"]]), "ns")
    delegate = delegate_from_config(json.dumps(source.get("config", {"name": "n", "type": "t"})), attachment)
    if "delegate_config_contains" in expect:
        assert _contains(json.loads(delegate.config), expect["delegate_config_contains"])
    elif "runtime_config" in expect:
        master = Delegate(name="n", conf_name="n", type="t", config="{}", is_default=True, attachment=attachment)
        args = (master if source["master_plugin"] else delegate).capability_args
        assert {key: args.get(key) or None for key in expect["runtime_config"]} == {
            key: value or None for key, value in expect["runtime_config"].items()
        }
    else:
        asked = None if delegate.gateways is None else len(delegate.gateways)
        assert asked == expect["gateway_requests"]
        assert gateway_filters([delegate]) == ((expect["filter_v4_gateway"], expect["filter_v6_gateway"]),)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(key in found and _contains(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_contains, found, wanted))
    return bool(found == wanted)
