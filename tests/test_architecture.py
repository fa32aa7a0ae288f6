"""The house as docs and design draw it: arrows, laws and sizes, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "ovnk8s_topo"
ROOT = Path(__file__).parent.parent / PACKAGE
MODULES = sorted(ROOT.rglob("*.py"))

BASE = {"errors", "addresses"}
MIDDLE = BASE | {
    "spec",
    "ipam",
    "nb",
    "changes",
    "diff",
    "planner",
    "render",
    "plan",
    "results",
    "told",
    "nodeside",
    "batches",
    "planning",
    "live",
}
ALLOWED = {
    "errors": set(),
    "addresses": set(),
    "spec": BASE,
    "ipam": BASE,
    "nb": BASE,
    "changes": {"nb"},
    "diff": {"errors", "nb", "changes"},
    "planner": BASE | {"spec", "ipam", "nb"},
    "batches": {"changes", "nb", "planner"},
    "sources": BASE | {"spec"},
    "results": BASE | {"spec", "ipam"},
    "nodeside": BASE | {"spec", "planner", "results"},
    "render": BASE | {"spec", "planner", "diff", "changes", "nb", "sources", "told"},
    "told": {"addresses", "planner", "results", "spec"},
    "plan": {"errors", "diff", "changes", "planner", "render", "spec", "told"},
    "backends": BASE | {"collector", "diff", "changes", "nb", "nodeside"},
    "planning": BASE | {"diff", "nb", "plan", "planner", "spec"},
    "live": BASE | {"diff", "ipam", "nb", "plan", "planner", "planning", "spec"},
    "collector": set(),
    "reconciler": BASE
    | {"backends", "batches", "collector", "diff", "changes", "live", "nb", "plan", "planner", "planning", "spec"},
    "testing": BASE | {"backends", "diff", "changes", "nb"},
    "lab": BASE | {"backends", "nb", "nodeside", "plan", "planner", "reconciler", "results", "spec", "told", "testing"},
    "cli": set(MIDDLE) | {"sources", "backends", "reconciler", ""},
    "": MIDDLE | {"reconciler", "backends"},
}
"""Room -> the rooms it may look into; "" is the package itself. `backends` are seen by the reconciler as a contract."""

EXCEPTIONS = {("spec/topology.py", "sources")}
"""Topology.from_manifests reads files for the convenience of its callers; the import is deferred to the call."""

WORLD = {"socket", "time", "random", "os", "logging", "threading", "datetime", "subprocess", "secrets", "asyncio"}
"""What the pure middle must not know."""

THIRD_PARTY = {
    "netaddr": ("addresses.py",),
    "ovs": ("backends/ovsdb", "testing"),
    "ovsdbapp": ("backends/ovsdb", "testing"),
    "pydantic": ("spec/", "sources/"),
    "pydantic_core": ("spec/", "sources/"),
    "ruamel": ("sources/",),
    "typer": ("cli",),
    "pytest": ("testing", "lab/fixtures.py"),
    "testcontainers": ("testing",),
    "docker": ("testing",),
    "cryptography": ("testing",),
    "sortedcontainers": ("ipam/", "backends/"),
    "click": (),
}


def room_of(path: Path) -> str:
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every module that is imported, except for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=str(module), level=0, names=aliases):
                yield from (f"{module}.{alias.name}" for alias in aliases)
            case ast.ImportFrom():
                pytest.fail("relative imports hide the arrows")
            case _:
                yield from imports(node)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_arrows(path: Path) -> None:
    room = room_of(path)
    for name in imports(parsed(path)):
        first, _, rest = name.partition(".")
        if first == PACKAGE:
            target = rest.partition(".")[0]
            target = target if (ROOT / target).is_dir() or (ROOT / f"{target}.py").is_file() else ""
            allowed = target == room or target in ALLOWED[room] or (label(path), target) in EXCEPTIONS
            assert allowed, f"{label(path)} must not import {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) in MIDDLE], ids=label)
def test_the_middle_does_not_know_the_world(path: Path) -> None:
    known = {name.partition(".")[0] for name in imports(parsed(path))}
    assert not known & WORLD


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_third_parties_stay_where_they_belong(path: Path) -> None:
    for name in imports(parsed(path)):
        places = THIRD_PARTY.get(name.partition(".")[0])
        assert places is None or label(path).startswith(places), f"{label(path)} must not import {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=label)
def test_every_package_states_its_law(path: Path) -> None:
    text = ast.get_docstring(parsed(path)) or ""
    assert "Law:" in text or path.parent == ROOT


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_no_function_is_long(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 60, f"{node.name} has {length} lines"


def test_every_room_is_drawn() -> None:
    assert {room_of(path) for path in MODULES} == ALLOWED.keys()
