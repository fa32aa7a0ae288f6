"""ovn-northd takes what the examples write, and complains about nothing but one thing (`complaints`)."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from examples_here import DOCUMENTS, ON_A_SERVER, SCRIPTS

import ovnk8s_topo.backends
from ovnk8s_topo import Reconciler
from ovnk8s_topo.addresses import subnet_from_text
from ovnk8s_topo.backends import MemoryNb, OvsdbNb
from ovnk8s_topo.diff import Rules, diff
from ovnk8s_topo.nb.rowset import RowSet, Snapshot
from ovnk8s_topo.nb.tables import GatewayChassis, LogicalSwitchPort, Row
from ovnk8s_topo.sources import read_manifests
from ovnk8s_topo.spec import Style, Topology
from ovnk8s_topo.testing import LocalOvn

LIMIT_S = 30.0
OWNER = "example"
DUPLICATE = re.compile(r"ipam: [-0-9a-f]+: Duplicate IP set: ([0-9.]+)")
STYLES: tuple[Style, Style] = ("2023", "2024")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(name: str, style: Style, local_ovn: LocalOvn) -> None:
    topology = read_manifests(DOCUMENTS[name], style=style).topology
    register_chassis(local_ovn, chassis_of_topology(topology))
    with Reconciler(OvsdbNb(local_ovn.nb), owner=OWNER) as reconciler:
        assert reconciler.apply(topology, wait="sb").status == "applied"
        assert reconciler.apply(topology).status == "unchanged"
        before = local_ovn.northd_warnings()
        assert complaints(local_ovn) == []
        reconciler.destroy(wait="sb")
    assert local_ovn.northd_warnings() == before
    assert local_ovn.nbctl("--bare", "--columns=name", "list", "Logical_Switch") == ""


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s not in ON_A_SERVER], ids=lambda script: script.stem)
def test_scripts(
    script: Path, local_ovn: LocalOvn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rows in rows_left_by(script, monkeypatch):
        register_chassis(local_ovn, chassis_of_rows(rows))
        with OvsdbNb(local_ovn.nb) as nb:
            nb.commit(lambda actual, rows=rows: only(rows, actual), timeout_s=LIMIT_S)  # type: ignore[misc]
        assert complaints(local_ovn) == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("script", ON_A_SERVER, ids=lambda script: script.stem)
def test_scripts_for_a_server(script: Path, local_ovn: LocalOvn, monkeypatch: pytest.MonkeyPatch) -> None:
    register_chassis(local_ovn, {"work001": "work001", "work002": "work002"})
    monkeypatch.setattr(sys, "argv", [script.name, local_ovn.nb])
    runpy.run_path(str(script), run_name="__main__")
    assert complaints(local_ovn) == []


def rows_left_by(script: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[Row]]:
    """Run a script and return what is in each of its databases at the end."""
    made: list[MemoryNb] = []

    class Watched(MemoryNb):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr(ovnk8s_topo.backends, "MemoryNb", Watched)
    runpy.run_path(str(script), run_name="__main__")
    # The script has closed its database; its content is still to be had.
    snapshots = [MemoryNb.load(nb.dump()).snapshot(timeout_s=LIMIT_S) for nb in made]
    found = [[stored.row for stored in snapshot.rows.values()] for snapshot in snapshots]
    assert all(found)
    assert found
    return found


def only(rows: Iterable[Row], actual: Snapshot) -> Any:
    return diff(RowSet(rows), actual, Rules(owner=OWNER))


def complaints(ovn: LocalOvn) -> list[str]:
    """Return northd's warnings, without the one that OVN-Kubernetes' own rows earn as well.

    northd keeps the first address of `other_config:subnet` for a router; OVN-Kubernetes hands it to the first pod of
    a layer2 or localnet network (docs/critiques.md).
    """
    return [warning for warning in ovn.northd_warnings() if not is_about_first_address(warning, ovn)]


def is_about_first_address(warning: str, ovn: LocalOvn) -> bool:
    found = DUPLICATE.fullmatch(warning)
    subnets = ovn.nbctl("--bare", "--columns=other_config", "list", "Logical_Switch").split()
    first = {str(subnet_from_text(text.removeprefix("subnet=")).address(1)) for text in subnets if "subnet=" in text}
    return found is not None and found[1] in first


def chassis_of_topology(topology: Topology) -> dict[str, str]:
    return {node.chassis: node.name for node in topology.nodes}


def chassis_of_rows(rows: Iterable[Row]) -> dict[str, str]:
    names = {options_of(row).get("requested-chassis", "") for row in rows} - {""}
    names |= {row.chassis_name for row in rows if isinstance(row, GatewayChassis)}
    return {name: name for name in names}


def options_of(row: Row) -> dict[str, str]:
    return dict(row.options) if isinstance(row, LogicalSwitchPort) else {}


def register_chassis(ovn: LocalOvn, chassis: dict[str, str]) -> None:
    """Do what ovn-controller does on every node; without it northd rightly says that there is no such chassis."""
    for number, (name, host) in enumerate(sorted(chassis.items()), start=1):
        ovn.sbctl("--may-exist", "chassis-add", name, "geneve", f"192.0.2.{number}")
        ovn.sbctl("set", "Chassis", name, f"hostname={host}")
