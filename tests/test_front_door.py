"""`import ovnk8s_topo` loads next to nothing, and its names what they need: never what only some callers need."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import ovnk8s_topo

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
    assert {name for name in loaded_by("import ovnk8s_topo") if name.startswith(("ovnk8s_topo.", "pydantic"))} == set()
    errors = loaded_by("from ovnk8s_topo import TopoError")
    assert {name for name in errors if name.startswith(("ovnk8s_topo.", "pydantic"))} == {"ovnk8s_topo.errors"}
    assert not {name for name in loaded_by("from ovnk8s_topo import Topology") if "planner" in name}


def test_all_names_together_load_what_every_plan_needs() -> None:
    loaded = loaded_by("from ovnk8s_topo import *")
    assert "ovnk8s_topo.planner" in loaded
    assert not loaded & set(LATER)


def test_the_names_are_those_that_type_checkers_see() -> None:
    source = Path(ovnk8s_topo.__file__).read_text()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names if "ovnk8s_topo" in (node.module or "")}
    assert sorted(seen) == ovnk8s_topo.__all__
    for name, module in seen.items():
        assert getattr(ovnk8s_topo, name) is getattr(import_module(str(module)), name)
    assert set(ovnk8s_topo.__all__) <= set(dir(ovnk8s_topo))
    with pytest.raises(AttributeError, match="'Topologie'"):
        ovnk8s_topo.Topologie  # noqa: B018 - asked for


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
