"""The benchmarks run and print their table. What they measure is not looked at: no test asserts a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TITLES = ["what", "median", "spread", "ratio", "to", "target", "verdict"]

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="no benchmarks in this distribution")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def quick() -> str:
    done = run("--quick")
    assert done.returncode == 0, done.stderr
    return done.stdout


def cells(line: str, starts: list[int]) -> list[str]:
    return [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]


def test_every_line_fits_the_titles(quick: str) -> None:
    section, _, titles, rule, *lines = quick.rstrip().splitlines()
    starts = [titles.index(f"{title} " if title != "verdict" else title) for title in TITLES]
    assert section == "ipam"
    assert cells(titles, starts) == TITLES
    assert set(rule) == {"-", " "}
    for line in lines:
        name, median, _, ratio, reference, target, verdict = cells(line, starts)
        assert name
        assert median
        assert bool(ratio) == bool(reference)
        assert bool(target) == bool(verdict)
        assert verdict in ("", "ok", "MISSED")


@pytest.mark.parametrize(
    "what", ["rebuild", "growth", "one allocation", "allocations one by one", "0.0.0.0/0", "::/0", "peak memory"]
)
def test_everything_promised_is_measured(quick: str, what: str) -> None:
    assert what in quick


def test_unknown_sections_are_refused() -> None:
    done = run("--quick", "speed-of-light")
    assert done.returncode == 2
    assert "no such section: speed-of-light" in done.stderr
