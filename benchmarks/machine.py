"""What was measured on: processors and versions, nothing that names a machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from ovnk8s_topo.testing.tools import program, run, schema

PACKAGES = ("ovs", "ovsdbapp", "pydantic")


def description() -> str:
    """Return one line for the page."""
    return ", ".join(_parts())


def _parts() -> Iterator[str]:
    yield f"{os.cpu_count()} cores ({_processor()})"
    yield f"Linux {platform.release().partition('-')[0]}"
    server = run((program("ovsdb-server"), "--version"), dict(os.environ)).splitlines()[0]
    yield f"ovsdb-server {server.split()[-1]}"
    found = re.search(r'"version": "([\d.]+)"', schema("ovn-nb").read_text())
    yield f"schema {found[1] if found else 'unknown'}"
    yield f"Python {platform.python_version()}"
    yield from (f"{name} {version(name)}" for name in PACKAGES)


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
