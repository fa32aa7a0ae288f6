"""The lab leaves nothing behind, bears company, and says why a packet did not arrive."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_topologies import pod, topology

from ovnk8s_topo import Layer2
from ovnk8s_topo.lab import Lab, LabError
from ovnk8s_topo.lab.fixtures import StartLab

TOPOLOGY = topology([Layer2(name="l2", subnets="10.22.0.0/16")], [pod("p1", "n1", "l2"), pod("p2", "n2", "l2")])

USES = """
import os, signal, sys
from ovnk8s_topo import Layer2, Node, Pod, Topology
from ovnk8s_topo.lab import Lab
with Lab() as lab:
    lab.apply(Topology(
        networks=[Layer2(name="l2", subnets="10.22.0.0/16")],
        nodes=[Node(name="n1"), Node(name="n2")],
        pods=[Pod(name="p1", node="n1", networks="l2"), Pod(name="p2", node="n2", networks="l2")],
    ))
    lab.pod("p1").start_ping(lab.pod("p2"))
    with lab.pod("p2").capture() as seen:
        seen.wait_for("echo request")
        {end}
"""


@pytest.fixture(scope="module", autouse=True)
def possible(start_lab: StartLab) -> None:
    start_lab(nodes=())


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the directory that everything of a lab's is in, short enough for sockets; also its processes name it."""
    with tempfile.TemporaryDirectory(prefix="lab-") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(directory)


def processes_of(places: Path) -> list[str]:
    """Return the processes with files there in their command line, and those in namespaces that are not ours."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ")
            # Ours carry TMPDIR in their environment, or name a file there.
            mine = str(places) in command or str(places) in (process / "environ").read_text(errors="replace")
        except OSError:
            continue
        if mine and process.name != str(os.getpid()):
            found.append(command)
    return found


def links() -> str:
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def eventually(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [
        pytest.param("pass", 0, id="the end of the block"),
        pytest.param("raise SystemExit(3)", 3, id="an exception"),
        pytest.param("os._exit(4)", 4, id="no clean-up at all"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", -9, id="SIGKILL"),
        pytest.param("lab.ovn.freeze(); os.kill(os.getpid(), signal.SIGKILL)", -9, id="SIGKILL, a server frozen"),
    ],
)
def test_nothing_is_left(places: Path, end: str, exit_code: int) -> None:
    before = links()
    done = subprocess.run([sys.executable, "-c", USES.replace("{end}", end)], check=False, timeout=60)
    assert done.returncode == exit_code
    assert eventually(lambda: not processes_of(places) and not list(places.iterdir())), processes_of(places)
    assert links() == before


def test_what_would_be_left_is_noticed(places: Path) -> None:
    with Lab(nodes=["n1"]):
        commands = " ".join(processes_of(places))
        assert list(places.iterdir())
    for program in ("ovsdb-server", "ovs-vswitchd", "ovn-controller", "ovn-northd", "sleep infinity", "rm -rf"):
        assert program in commands
    assert not processes_of(places)


def test_nothing_is_left_of_a_lab_that_could_not_start(places: Path) -> None:
    with pytest.raises(LabError, match="there is a node n1 already"):
        Lab(nodes=["n1", "n1"]).start()
    assert not list(places.iterdir())
    assert eventually(lambda: not processes_of(places))


def test_labs_do_not_meet(start_lab: StartLab) -> None:
    one, other = start_lab(), start_lab()
    for lab in (one, other):
        lab.apply(TOPOLOGY)
    with one.pod("p2").capture("icmp") as seen:
        assert other.pod("p1").ping(other.pod("p2"), count=3, interval_s=0.02).lost == 0
        assert one.pod("p1").ping(one.pod("p2")).lost == 0
        seen.wait_for("echo reply")
    assert len(seen.frames) == 2


def test_stop_and_unplug_may_come_in_any_order(start_lab: StartLab) -> None:
    lab = start_lab(nodes=["n1", "n2"])
    plan = lab.apply(TOPOLOGY).plan
    gone = lab.pod("p2")
    lab.unplug(gone)
    assert [left.name for left in lab.pods] == ["default/p1 (l2)"]
    with pytest.raises(LabError, match="0 attachments of default/p2"):
        lab.pod("p2")
    lab.plug(gone.result, uid=gone.uid)
    assert lab.pod("p1").ping(lab.pod("p2")).lost == 0
    lab.plug_all(plan)
    lab.stop()
    lab.stop()


def test_a_port_that_names_another_pod_is_not_bound(start_lab: StartLab) -> None:
    """Only with the right uid does the interface become the port: as the annotation iface-id-ver is for."""
    lab = start_lab(timeout_s=2)
    plan = lab.reconciler.apply(TOPOLOGY, wait="sb").plan
    first, _ = plan.told.attachments
    with pytest.raises(LabError, match="does not come up"):
        lab.plug(first, uid="another")


FAILING = """
import pytest
from ovnk8s_topo import Layer2, Node, Pod, Topology

def test_packet(start_lab):
    lab = start_lab()
    pods = [Pod(name=f"p{n}", node=f"n{n}", networks="l2") for n in (1, 2)]
    nodes = [Node(name="n1"), Node(name="n2")]
    lab.apply(Topology(networks=[Layer2(name="l2", subnets="10.22.0.0/16")], nodes=nodes, pods=pods))
    lab.ovn.nbctl("--wait=hv", "lsp-set-port-security", "default.l2_default_p1", "0a:58:00:00:00:01")
    assert lab.pod("p1").ping(lab.pod("p2"), timeout_s=1).received == 1
"""


def test_a_failed_test_says_why(tmp_path: Path) -> None:
    (tmp_path / "test_packet.py").write_text(FAILING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "ovnk8s_topo.lab.fixtures", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "1 failed" in done.stdout, done.stdout
    for section in ("Logical_Switch_Port", "Port_Binding", "ovn-trace", "drops on n1", "drops on n2", "chassis"):
        assert f"--- {section}" in done.stdout
    assert 'port_security       : ["0a:58:00:00:00:01"]' in done.stdout
    assert "actions=drop" in done.stdout
