"""`import ovnk8s_topo` loads what every plan needs, and nothing that only some callers need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LATER = (
    "cryptography",
    "netaddr",
    "ovnk8s_topo.backends.memory",
    "ovnk8s_topo.backends.ovsdb",
    "ovnk8s_topo.cli",
    "ovnk8s_topo.lab",
    "ovnk8s_topo.nodeside",
    "ovnk8s_topo.results",
    "ovnk8s_topo.sources",
    "ovnk8s_topo.spec.go_json",
    "ovnk8s_topo.spec.selection",
    "ovnk8s_topo.testing",
    "ovnk8s_topo.told",
    "ovs",
    "ovsdbapp",
    "pytest",
    "ruamel",
    "typer",
)
"""What is loaded on first use."""


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has after running some code."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(told.stdout))


def test_the_front_door_loads_nothing_before_it_is_needed() -> None:
    loaded = loaded_by("import ovnk8s_topo")
    assert "ovnk8s_topo.planner" in loaded
    assert not loaded & set(LATER)


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("from ovnk8s_topo import Layer2; Layer2(name='a', subnets='10.0.0.0/24')", "netaddr"),
        ("from ovnk8s_topo import Pod; Pod(name='a', networks='net')", "ovnk8s_topo.spec.selection"),
        ("from ovnk8s_topo.plan import Plan; Plan('o', None, None).told", "ovnk8s_topo.told"),
        ("from ovnk8s_topo.backends import MemoryNb", "ovnk8s_topo.backends.memory"),
    ],
)
def test_what_is_needed_later_is_loaded_then(code: str, module: str) -> None:
    assert module in loaded_by(code)
