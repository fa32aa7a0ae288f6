"""Where the examples are, what they need, and how one is run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
EXPECTED = EXAMPLES / "expected"

SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))
ON_A_SERVER = [script for script in SCRIPTS if script.name == "06_real_server.py"]
"""The scripts that take a connection as their argument."""

DOCUMENTS: dict[str, list[Path]] = {
    "article": sorted((EXAMPLES / "article").glob("*.yaml")),
    **{path.stem: [path] for path in sorted(EXAMPLES.glob("[0-9]*.yaml"))},
}
"""Name -> the files that the command reads together."""

RECORD = os.environ.get("OVNK8S_TOPO_RECORD") == "1"
"""Write what comes out as what is expected, instead of comparing. Look at the difference before you commit it."""


def clean_environment(**more: str) -> dict[str, str]:
    """Return our environment with our commands first, and nothing in it that points to a real database."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OVN_", "OVS_", "OVNK8S_TOPO_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return kept | {"PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONWARNINGS": "error"} | more


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in a directory of the test's."""
    return subprocess.run(
        command, cwd=cwd, env=env or clean_environment(), capture_output=True, text=True, check=False, timeout=120
    )


def check_expected(name: str, output: str) -> None:
    """Compare an output with `examples/expected/<name>.txt`, or record it there."""
    file = EXPECTED / f"{name}.txt"
    if RECORD:
        file.write_text(output)
    assert output == file.read_text(), f"differs from {file}; OVNK8S_TOPO_RECORD=1 records it anew"
