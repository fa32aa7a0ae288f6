"""Every example runs, warns of nothing, and prints what `examples/expected` says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from examples_here import DOCUMENTS, EXAMPLES, EXPECTED, ON_A_SERVER, SCRIPTS, check_expected, run

from ovnk8s_topo.testing import LocalOvn

STYLES = ("2023", "2024")
MAX_LINES = 40


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s not in ON_A_SERVER], ids=lambda script: script.stem)
def test_script(script: Path, tmp_path: Path) -> None:
    done = run([sys.executable, "-W", "error", str(script)], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    check_expected(script.stem, done.stdout)


@pytest.mark.ovn
@pytest.mark.parametrize("script", ON_A_SERVER, ids=lambda script: script.stem)
def test_script_on_a_server(script: Path, tmp_path: Path, local_ovn: LocalOvn) -> None:
    done = run([sys.executable, "-W", "error", str(script), local_ovn.nb], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    check_expected(script.stem, done.stdout)


def test_the_unit_test_example_is_a_test_that_pytest_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = run([*command, str(EXAMPLES / "03_unit_test_of_a_controller.py")], tmp_path)
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_through_the_command(name: str, style: str, tmp_path: Path) -> None:
    files = [str(file.relative_to(EXAMPLES)) for file in DOCUMENTS[name]]
    (tmp_path / "nb").mkdir()
    database = ["--nb", f"memory:{tmp_path}/nb/nb.json"]

    def topo(command: str, *arguments: str) -> str:
        done = run(["ovnk8s-topo", command, *database, *arguments], EXAMPLES)
        assert done.returncode == 0, done.stderr
        return done.stdout

    check_expected(f"{name}.{style}.plan", topo("plan", "--style", style, *files))
    assert topo("apply", "--style", style, *files).startswith("applied: ")
    check_expected(f"{name}.{style}.show", topo("show"))
    assert topo("apply", "--style", style, *files) == "unchanged: 0 inserted, 0 updated, 0 deleted\n"
    assert topo("plan", "--style", style, *files) == "nothing to do\n"


@pytest.mark.parametrize("file", [*SCRIPTS, *EXAMPLES.glob("[0-9]*.yaml")], ids=lambda file: file.name)
def test_an_example_is_short(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_LINES


def test_nothing_expected_is_left_over() -> None:
    documents = {f"{name}.{style}.{what}" for name in DOCUMENTS for style in STYLES for what in ("plan", "show")}
    assert {file.stem for file in EXPECTED.iterdir()} == {script.stem for script in SCRIPTS} | documents
