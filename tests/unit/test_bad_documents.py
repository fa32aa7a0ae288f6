"""Every document of tests/bad_documents is refused, with place, field and reason; so are files that cannot be read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo import cli
from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.sources import read_manifests
from ovnk8s_topo.sources.documents import MAX_BYTES

FOLDER = Path(__file__).parents[1] / "bad_documents"
EXPECTED: dict[str, list[tuple[int, int, str, str]]] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
"""File -> its faults as (line, column, field path, part of the reason)."""


def _problems(*files: Any) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        read_manifests(files)
    return caught.value.problems


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_refused(name: str) -> None:
    problems = _problems(FOLDER / name)
    expected = EXPECTED[name]
    assert [(p.position.line, p.position.column, p.path) for p in problems if p.position] == [
        (line, column, path) for line, column, path, _ in expected
    ]
    for problem, (*_, why) in zip(problems, expected, strict=True):
        assert why in problem.why
        assert problem.position
        assert problem.position.file == str(FOLDER / name)
        assert str(problem).isprintable()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_left_out_when_going_on(name: str) -> None:
    found = read_manifests([FOLDER / name], keep_going=True)
    assert [problem.why for problem in found.problems] == [problem.why for problem in _problems(FOLDER / name)]
    gaps = found.topology.gaps
    nobody_uses_it = name == "153-two-nads-differ.yaml"
    assert gaps.networks or gaps.nodes or gaps.pods or not gaps.complete or nobody_uses_it


def test_table_holds_every_file() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*EXPECTED, "expected.json"}
    assert len(EXPECTED) >= 80


def test_all_files_at_once() -> None:
    names = sorted(EXPECTED)[:40]
    alone = sum(len(EXPECTED[name]) for name in names)
    assert len(_problems(*(FOLDER / name for name in names))) >= alone


def test_missing_file(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path / "none.yaml")
    assert str(problem) == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"


def test_folder(tmp_path: Path) -> None:
    assert [problem.why for problem in _problems(tmp_path)] == ["cannot be read: Is a directory"]


def test_nul_in_the_name() -> None:
    assert [problem.why for problem in _problems("a\0b")] == ["cannot be read: embedded null byte"]


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user for whom file modes count, also where the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_no_permission(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text("a: b")
    file.chmod(0)
    with nobody():
        assert [problem.why for problem in _problems(file)] == ["cannot be read: Permission denied"]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_command_writes_nothing(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "nb.json"
    assert cli.main(["apply", "--nb", f"memory:{database}", str(FOLDER / name)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    for line, column, path, why in EXPECTED[name]:
        assert f"{FOLDER / name}:{line}:{column}: " in said.err
        assert path in said.err
        assert why in said.err
    assert "Traceback" not in said.err
    assert said.err.endswith("nothing was written: change the input\n")
    assert not database.exists()


def test_too_large(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as large:
        large.truncate(MAX_BYTES + 1)
    (problem,) = _problems(file)
    assert problem.why == "is larger than 64 MiB; split it, or describe one kind of object in each file"


def test_endless_file() -> None:
    assert len(_problems("/dev/zero")) == 1


BIG = {
    "many-open-lists.yaml": "- " * 50_000,
    "many-open-braces.yaml": "a: " + "{" * 100_000,
    "many-open-braces.json": '{"a":' * 50_000,
    "long-key.yaml": "a" * 200_000 + ": 1",
    "long-line.json": '{"kind": "' + "x" * 200_000,
    "many-anchors.yaml": "".join(f"a{i}: &x{i} [1]\n" for i in range(20_000)),
    "long-number.json": '{"kind": ' + "9" * 100_000 + "}",
    "long-number.yaml": "kind: " + "9" * 100_000,
    "only-markers.yaml": "---\n" * 50_000 + "x",
}


@pytest.mark.parametrize("name", sorted(BIG))
def test_big_and_broken(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(BIG[name], "utf-8")
    assert len(_problems(file)) == 1


def test_a_thousand_faults(tmp_path: Path) -> None:
    file = tmp_path / "pods.json"
    pods = [{"metadata": {"name": f"Pod{index}"}} for index in range(1000)]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "PodList", "items": pods}, indent=1), "utf-8")
    problems = _problems(file)
    assert len(problems) == 1000
    assert [p.position.line for p in problems if p.position] == [7 + 5 * index for index in range(1000)]
