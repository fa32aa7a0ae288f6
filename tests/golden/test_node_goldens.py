"""What OVN-Kubernetes writes into a node's Open vSwitch, as data: every case runs by its name, or says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo.nodeside import (
    ENCAP_IPS,
    Device,
    OvsInterface,
    encap_ip_of_uplink,
    interface_from_result,
    merged_external_ids,
    missing_mappings,
)
from ovnk8s_topo.nodeside.bridge_mappings import BRIDGE_MAPPINGS
from ovnk8s_topo.results import AttachmentResult
from ovnk8s_topo.spec.network import network_from_fields

_CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "node" / "ovs_node.json").read_text())

_ROWS = "about rows and references of a server, not about the data"

LEFT_OUT = {
    "bridge-mapping-default-network": "the cluster's default network is not ours to describe, and cannot be",
    "podport-repairs-interface-reference": _ROWS,
    "podport-missing-bridge": _ROWS,
    "podport-other-bridge": _ROWS,
}


def _check_mapping(source: dict[str, Any], expect: dict[str, Any]) -> None:
    fields = {"subnets": "10.0.0.0/16"} if source["topology"] == "layer2" else {}
    network = network_from_fields(source["topology"], name=source["network"], **fields)
    missing = missing_mappings(source["external_ids"].get(BRIDGE_MAPPINGS), [network])
    assert {"ok": not missing} == expect


def _check_configuration(source: dict[str, Any], expect: dict[str, Any]) -> None:
    pod = source["pod"]
    encap = encap_ip_of_uplink(source["open_vswitch_external_ids"].get(ENCAP_IPS), source["uplink_representor"])
    result = AttachmentResult(
        pod=f"{pod['namespace']}/{pod['name']}",
        nad_key=source["network"],
        network=source["network"],
        topology="",
        node="",
        interface="",
        mac=source["mac"],
        addresses=tuple(source["ips"]),
    )
    made = interface_from_result(
        result,
        name=source["host_interface"],
        uid=pod["uid"],
        sandbox=source["sandbox"],
        device=Device(netdev=source["vf_netdev"], encap_ip=encap),
    )
    assert {
        "command": _command(made),
        "interface_external_ids": made.external_ids,
        "removed_keys": [*made.removed_ids],
        "port_other_config": made.other_config,
        "bridge": made.bridge,
    } == expect


def _command(made: OvsInterface) -> str:
    """Write the values as OVN-Kubernetes' command line, whose order of keys is ours."""
    parts = [
        "ovs-vsctl --timeout=30 --may-exist add-port",
        *(made.bridge, made.name),
        *(f"other_config:{key}={value}" for key, value in made.other_config.items()),
        f"-- set interface {made.name}",
        *(f"external_ids:{key}={value}" for key, value in made.external_ids.items()),
        *(f"-- --if-exists remove interface {made.name} external_ids {key}" for key in made.removed_ids),
    ]
    return " ".join(parts)


def _check_port(source: dict[str, Any], expect: dict[str, Any]) -> None:
    """Both rows keep what is not ours; `initial` has one of each."""
    ((port,), (interface,)) = source["initial"]["Port"], source["initial"]["Interface"]
    wanted = source["interface"]["external_ids"]
    made = OvsInterface(
        name=source["port_name"],
        external_ids=wanted,
        removed_ids=tuple(source.get("remove_interface_external_ids", ())),
        other_config=source["port"]["other_config"],
    )
    assert made.merged_external_ids(interface["external_ids"]) == expect["Interface"]["external_ids"]
    for column, value in expect.get("Port", {}).items():
        assert merged_external_ids(port[column], source["port"][column]) == value


def _check_map(source: dict[str, Any], expect: dict[str, Any]) -> None:
    made = merged_external_ids(source["external_ids"], source.get("set", {}), source.get("remove", ()))
    assert made == expect["external_ids"]


KINDS: Mapping[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "bridge-mapping-": _check_mapping,
    "configure-ovs-": _check_configuration,
    "podport-": _check_port,
    "ovs-external-ids-": _check_map,
}


def test_every_case_is_known() -> None:
    names = [case["name"] for case in _CASES]
    assert len(names) == len(set(names))
    assert set(LEFT_OUT) <= set(names)
    assert [name for name in names if not name.startswith(tuple(KINDS))] == []
    assert [path.name for path in (Path(__file__).parent / "node").iterdir()] == ["ovs_node.json"]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case["name"]) for case in _CASES if case["name"] not in LEFT_OUT]
)
def test_node(case: dict[str, Any]) -> None:
    (check,) = (check for start, check in KINDS.items() if case["name"].startswith(start))
    check(case["input"], case["expect"])
