"""What OVN-Kubernetes writes into a node's Open vSwitch, as data: every case runs by its name, or says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import vswitch_model as model
from vswitch_model import applied, rows_of

from ovnk8s_topo.errors import NodeNotReady, OwnershipError
from ovnk8s_topo.nodeside import (
    ENCAP_IPS,
    Device,
    OvsInterface,
    VswitchRows,
    Wiring,
    encap_ip_of_uplink,
    interface_from_result,
    merged_external_ids,
    missing_mapping,
    missing_mappings,
    wiring_changes,
)
from ovnk8s_topo.nodeside.bridge_mappings import BRIDGE_MAPPINGS
from ovnk8s_topo.results import AttachmentResult
from ovnk8s_topo.spec.network import network_from_fields

_CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "node" / "ovs_node.json").read_text())

LEFT_OUT: dict[str, str] = {}
"""Case -> why it does not run."""


def _check_mapping(source: dict[str, Any], expect: dict[str, Any]) -> None:
    text = source["external_ids"].get(BRIDGE_MAPPINGS)
    attached = _attached(network=source["network"], topology=source["topology"])
    assert {"ok": missing_mapping(text, attached) is None} == expect
    if source["network"] != "default":  # which is not ours to describe
        fields = {"subnets": "10.0.0.0/16"} if source["topology"] == "layer2" else {}
        network = network_from_fields(source["topology"], name=source["network"], **fields)
        assert {"ok": not missing_mappings(text, [network])} == expect


def _attached(*, network: str, topology: str = "", pod: str = "ns/pod", **columns: Any) -> AttachmentResult:
    return AttachmentResult(
        pod=pod,
        nad_key=network,
        network=network,
        topology=topology,
        node="",
        interface="",
        mac=columns.pop("mac", ""),
        **columns,
    )


def _check_configuration(source: dict[str, Any], expect: dict[str, Any]) -> None:
    pod = source["pod"]
    encap = encap_ip_of_uplink(source["open_vswitch_external_ids"].get(ENCAP_IPS), source["uplink_representor"])
    result = _attached(
        pod=f"{pod['namespace']}/{pod['name']}",
        network=source["network"],
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
    """Decide on the rows of `initial`, and look at what they become; then there is nothing left to do."""
    rows = _rows(source["initial"])
    wanted = OvsInterface(
        name=source["port_name"],
        external_ids=source["interface"].get("external_ids", {}),
        removed_ids=tuple(source.get("remove_interface_external_ids", ())),
        other_config=source["port"].get("other_config", {}),
        type=source["interface"].get("type", ""),
        bridge=source["bridge"],
    )
    wiring = Wiring(interfaces=(wanted,))
    if expect.get("error"):
        with pytest.raises((OwnershipError, NodeNotReady)) as refused:
            wiring_changes(rows, wiring)
        # Both bridges are named; and a refusal holds no changes, so the rows stay as they are.
        assert all(f'"{name}"' in str(refused.value) for name in expect.get("Bridge", {}))
        return
    after = applied(rows, wiring_changes(rows, wiring))
    assert wiring_changes(after, wiring).is_empty
    _check_rows(source, expect, after)


def _check_rows(source: dict[str, Any], expect: dict[str, Any], after: VswitchRows) -> None:
    name = source["port_name"]
    (port,) = (row for row in after.ports.values() if row.name == name)
    (interface,) = (row for row in after.interfaces.values() if row.name == name)
    for column, value in expect.get("Interface", {}).items():
        assert getattr(interface, column) == value
    for column, value in expect.get("Port", {}).items():
        if column == "interfaces":
            assert [after.interfaces[uuid].name for uuid in port.interfaces] == value
        elif column == "external_ids":  # nothing that we write: the rule for maps alone
            (before,) = source["initial"]["Port"]
            assert merged_external_ids(before[column], source["port"][column]) == value
        else:
            assert getattr(port, column) == value


def _rows(initial: dict[str, list[dict[str, Any]]]) -> VswitchRows:
    return rows_of(
        [model.bridge(row["name"], *row["ports"]) for row in initial["Bridge"]],
        [model.port(row["name"], *row["interfaces"], **row.get("other_config", {})) for row in initial.get("Port", ())],
        [
            model.interface(row["name"], row.get("external_ids"), type=row.get("type", ""))
            for row in initial.get("Interface", ())
        ],
    )


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
