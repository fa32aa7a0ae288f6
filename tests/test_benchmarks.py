"""The benchmarks run and print their tables. What they measure is not looked at: no test asserts a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovnk8s_topo.testing import LocalOvn

ROOT = Path(__file__).parents[1]

OFFLINE = {
    "ipam": ["rebuild", "growth", "one allocation", "allocations one by one", "0.0.0.0/0", "::/0", "peak memory"],
    "imports": ["pydantic", "without a live backend", "the command"],
}
ON_A_SERVER = {
    "bulk": ["floor", "ours", "bare IDL", "ovsdbapp", "many commands in a call", "a call for each port", "localnet"],
    "reconcile": ["the same topology again", "an equal one", "verify", "a new process", "tells it of its own rows"],
    "events": ["added: latency", "removed: latency", "client CPU", "pods in a second"],
    "replica": ["reading the bytes", "bare IDL", "peak memory for each port"],
    "scaling": ["validate", "plan", "diff", "encode", "apply again", "replica"],
}
"""Section -> what it must have lines (or a table) about."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def tables(printed: str) -> Iterator[list[str]]:
    """Yield the lines of every table: its titles, a rule, and the rest."""
    blocks = [block.splitlines() for block in printed.split("\n\n")]
    yield from (block for block in blocks if block and block[0].startswith("what "))


def cells(line: str, rule: str) -> list[str]:
    starts = [number for number in range(len(rule)) if rule[number] == "-" and rule[:number][-1:] in ("", " ")]
    return [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]


def check_section(section: str, words: list[str]) -> None:
    done = run("--quick", section)
    assert done.returncode == 0, done.stderr
    assert [word for word in words if word not in done.stdout] == []
    found = list(tables(done.stdout))
    assert found
    for titles, rule, *lines in found:
        assert lines
        names = cells(titles, rule)
        for line in lines:
            fields = {"ratio": "", "to": "", "target": "", "verdict": ""} | dict(
                zip(names, cells(line, rule), strict=True)
            )
            assert fields["what"]
            assert fields["median"]
            assert bool(fields["ratio"]) == bool(fields["to"])
            assert bool(fields["target"]) == bool(fields["verdict"])
            assert fields["verdict"] in ("", "met", "MISSED")


@pytest.mark.parametrize("section", OFFLINE)
def test_a_section_runs(section: str) -> None:
    check_section(section, OFFLINE[section])


@pytest.mark.ovn
@pytest.mark.usefixtures("local_ovn_nb")
@pytest.mark.parametrize("section", ON_A_SERVER)
def test_a_section_on_a_server_runs(section: str) -> None:
    check_section(section, ON_A_SERVER[section])


def test_every_section_is_tested() -> None:
    from benchmarks.__main__ import SECTIONS
    from benchmarks.page import PROSE

    assert {*OFFLINE, *ON_A_SERVER} == SECTIONS.keys()
    assert PROSE.keys() == SECTIONS.keys()


def test_unknown_sections_are_refused() -> None:
    done = run("--quick", "speed-of-light")
    assert done.returncode == 2
    assert "no such section: speed-of-light" in done.stderr


@pytest.mark.ovn
@pytest.mark.usefixtures("local_ovn_nb")
def test_the_flame_graph_is_drawn(tmp_path: Path) -> None:
    if not shutil.which("py-spy") and not Path(sys.executable).with_name("py-spy").exists():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing('no py-spy: pip install "ovnk8s-topo[bench]"')
    done = run("flame", "--quick", "--to", str(tmp_path / "flame.svg"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "flame.svg").read_text().startswith("<?xml")


@pytest.mark.ovn
def test_contents_tell_databases_apart(local_ovn_nb: LocalOvn) -> None:
    from benchmarks.contents import contents, difference

    tables = ["Logical_Switch", "Logical_Switch_Port"]

    def changed(*arguments: str) -> int:
        before = contents(local_ovn_nb.nb, tables)
        local_ovn_nb.nbctl(*arguments)
        after = contents(local_ovn_nb.nb, tables)
        assert difference(before, after) == difference(after, before)
        return difference(before, after)

    assert changed("ls-add", "blue") == 1
    assert changed("lsp-add", "blue", "p1") == 2
    assert changed("lsp-set-addresses", "p1", "router") == 1
    assert changed("lsp-set-addresses", "p1", "router") == 0
    # Another uuid is no difference.
    assert changed("lsp-del", "p1", "--", "lsp-add", "blue", "p1", "--", "lsp-set-addresses", "p1", "router") == 0


def test_the_page_is_what_was_recorded() -> None:
    from benchmarks.page import PAGE, document, read_record

    assert PAGE.read_text() == document(read_record()), "python -m benchmarks --record writes it"
