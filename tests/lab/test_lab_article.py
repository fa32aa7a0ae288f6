"""The demo prints what the article prints: its pings, and what its tcpdump saw."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from examples_here import EXAMPLES, RECORD, run

from ovnk8s_topo.lab.fixtures import StartLab

DOCUMENT = EXAMPLES.parent / "docs" / "lab.md"
COMMAND = "$ sudo python examples/lab/article.py\n"

# As printed in the article; times and identifiers are each run's own.
PINGS = [
    "64 bytes from 10.33.1.3: icmp_seq=1 ttl=63 time=T ms",
    "64 bytes from 10.22.0.2: icmp_seq=1 ttl=64 time=T ms",
    "64 bytes from 192.168.100.5: icmp_seq=1 ttl=64 time=T ms",
    "64 bytes from 192.168.100.102: icmp_seq=1 ttl=64 time=T ms",
]
FRAMES = """
0a:58:0a:21:01:01 > 0a:58:0a:21:01:03, IPv4, length 98: 10.33.2.3 > 10.33.1.3: ICMP echo request, seq 1, length 64
0a:58:0a:21:01:03 > 0a:58:0a:21:01:01, IPv4, length 98: 10.33.1.3 > 10.33.2.3: ICMP echo reply, seq 1, length 64
0a:58:0a:16:00:01 > 0a:58:0a:16:00:02, IPv4, length 98: 10.22.0.1 > 10.22.0.2: ICMP echo request, seq 1, length 64
0a:58:0a:16:00:02 > 0a:58:0a:16:00:01, IPv4, length 98: 10.22.0.2 > 10.22.0.1: ICMP echo reply, seq 1, length 64
0a:58:c0:a8:64:04 > 0a:58:c0:a8:64:05, IPv4, length 98: 192.168.100.4 > 192.168.100.5: ICMP echo request, seq 1, length 64
0a:58:c0:a8:64:05 > 0a:58:c0:a8:64:04, IPv4, length 98: 192.168.100.5 > 192.168.100.4: ICMP echo reply, seq 1, length 64
""".strip().splitlines()  # noqa: E501


@pytest.fixture(scope="module")
def printed(start_lab: StartLab, tmp_path_factory: pytest.TempPathFactory) -> str:
    start_lab(nodes=())  # skips where there can be no lab
    script = EXAMPLES / "lab" / "article.py"
    done = run([sys.executable, "-W", "error", str(script)], Path(tmp_path_factory.mktemp("article")))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def without_chance(text: str) -> str:
    """Blank what differs from run to run: times and identifiers."""
    times = r"\d\d:\d\d:\d\d\.\d+ |time[= ][\d.]+ ?ms|mdev = \S+ ms"
    return re.sub(r"\bid \d+", "id N", re.sub(times, "T ", text))


def test_the_page_shows_what_is_printed(printed: str) -> None:
    page = DOCUMENT.read_text()
    before, rest = page.split(COMMAND)
    shown, after = rest.split("```", 1)
    if RECORD:
        DOCUMENT.write_text(f"{before}{COMMAND}{printed.rstrip()}\n```{after}")
        shown = printed
    assert without_chance(shown).rstrip() == without_chance(printed).rstrip(), "OVNK8S_TOPO_RECORD=1 records it anew"


def test_pings_are_the_articles(printed: str) -> None:
    assert re.findall(r"64 bytes from .*", re.sub(r"time=[\d.]+", "time=T", printed)) == PINGS


def test_frames_are_the_articles(printed: str) -> None:
    without_ids = re.sub(r" id \d+,", "", printed).replace("ethertype IPv4 (0x0800)", "IPv4")
    frames = [line.partition(" ")[2] for line in without_ids.splitlines() if "ICMP echo" in line]
    assert frames[: len(FRAMES)] == FRAMES
    assert "192.168.100.4 > 192.168.100.102: ICMP echo request" in frames[-2]
