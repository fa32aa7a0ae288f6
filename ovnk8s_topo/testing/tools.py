"""Where OVN's programs and schemas are on this machine, and how one of them is run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# Debian keeps the daemons where an ordinary user's PATH does not look.
_SYSTEM_PROGRAMS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_SCHEMA_DIRECTORIES = tuple(
    f"{prefix}/share/{suite}" for suite in ("ovn", "openvswitch") for prefix in ("/usr", "/usr/local")
)
_HOW_TO_INSTALL = "install OVN (Debian, Ubuntu: apt-get install ovn-central; Fedora: dnf install ovn-central)"


class OvnNotInstalled(FileNotFoundError):
    """A program or schema of OVN is not on this machine; the text names it and the package that has it."""


class OvnToolError(Exception):
    """A program of OVN failed.

    command    what was run
    exit_code  its exit code, negative for a signal; None for a server that is running but did not get ready
    output     what it printed, or the end of its log
    """

    def __init__(self, command: Sequence[str], exit_code: int | None, output: str) -> None:
        self.command = tuple(command)
        self.exit_code = exit_code
        self.output = output
        super().__init__(f"{' '.join(command)}: exit code {exit_code}: {output.strip()}")


def program(name: str) -> str:
    """Find a program of OVN, also where only root's PATH looks.

    OvnNotInstalled  it is nowhere
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_PROGRAMS])
    found = shutil.which(name, path=path)
    if found is None:
        raise OvnNotInstalled(f"{name} not found: {_HOW_TO_INSTALL}")
    return found


def schema(name: str) -> Path:
    """Find a database schema, e.g. ``ovn-nb``; the directories OVN_SCHEMA_DIR and pkgdatadir name come first.

    OvnNotInstalled  it is nowhere
    """
    named = [os.environ[key] for key in ("OVN_SCHEMA_DIR", "pkgdatadir") if os.environ.get(key)]
    for directory in (*named, *_SCHEMA_DIRECTORIES):
        path = Path(directory, f"{name}.ovsschema")
        if path.is_file():
            return path
    raise OvnNotInstalled(f"{name}.ovsschema not found: {_HOW_TO_INSTALL}, or name its directory in OVN_SCHEMA_DIR")


def environment(directory: Path) -> dict[str, str]:
    """Give the environment for servers and clients that live in `directory`.

    The caller's own OVN_NB_DB, OVN_NBCTL_OPTIONS and the like would send a test to a real database.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OVN_", "OVS_"))}
    places = {f"{suite}_{what}": str(directory) for suite in ("OVN", "OVS") for what in ("RUNDIR", "LOGDIR", "DBDIR")}
    return kept | places


def run(command: Sequence[str], env: Mapping[str, str]) -> str:
    """Run a program to its end and return what it printed on stdout.

    OvnToolError  its exit code is not 0
    """
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OvnToolError(command, done.returncode, done.stderr or done.stdout)
    return done.stdout
