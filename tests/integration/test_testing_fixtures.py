from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ovnk8s_topo.testing import LocalOvn, OvnToolError

if TYPE_CHECKING:
    from ovnk8s_topo.testing import OvnNbContainer


def processes_in(directory: Path) -> list[str]:
    """The command lines of all processes that name this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended while we looked
            continue
        if str(directory) in command:
            found.append(command)
    return found


def wait_until_gone(directory: Path) -> None:
    # The watchdog has become a child of init, so there is no waiting on it. It takes a moment; a minute is a hang.
    deadline = time.monotonic() + 60
    while directory.exists() or processes_in(directory):
        assert time.monotonic() < deadline, processes_in(directory)
        time.sleep(0.005)


# --- nothing is left behind ---


@pytest.mark.parametrize("northd", [False, True], ids=["nb", "nb+sb+northd"])
def test_nothing_is_left(northd: bool) -> None:
    with LocalOvn(northd=northd, tcp=True, tls=True) as ovn:
        directory = ovn.directory
        assert len(processes_in(directory)) == (4 if northd else 2)  # one of them is the watchdog
    assert not directory.exists()
    assert processes_in(directory) == []


def test_nothing_is_left_after_an_exception_with_servers_frozen_and_dead() -> None:
    with pytest.raises(ZeroDivisionError), LocalOvn(northd=True) as ovn:  # noqa: PT012
        directory = ovn.directory
        ovn.freeze("nb")
        ovn.kill("sb")
        _ = 1 / 0
    assert not directory.exists()
    assert processes_in(directory) == []


def test_nothing_is_left_if_a_server_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(LocalOvn, "_nb_options", lambda _self: ["--no-such-option"])
    with pytest.raises(OvnToolError, match="no-such-option"), LocalOvn():
        pass
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_nothing_is_left_if_the_test_run_is_killed(frozen: bool) -> None:
    program = f"""
from ovnk8s_topo.testing import LocalOvn
ovn = LocalOvn(northd=True).start()
if {frozen}:
    ovn.freeze()
print(ovn.directory, flush=True)
input()
"""
    run = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with run:
        assert run.stdout is not None
        directory = Path(run.stdout.readline().strip())
        assert len(processes_in(directory)) == 4
        run.send_signal(signal.SIGKILL)
    wait_until_gone(directory)


def test_the_callers_own_ovn_settings_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OVN_NBCTL_OPTIONS", "--no-such-option")
    monkeypatch.setenv("OVN_NB_DAEMON", str(tmp_path / "nobody"))
    with LocalOvn() as ovn:
        ovn.nbctl("ls-add", "blue")


def test_a_long_temporary_directory_still_leaves_room_for_sockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 100)))
    with LocalOvn() as ovn:
        ovn.nbctl("ls-add", "blue")


# --- it answers ---


def names(ovn: LocalOvn | OvnNbContainer, *options: str) -> list[str]:
    return ovn.nbctl(*options, "--bare", "--columns=name", "list", "Logical_Switch").split()


def test_nb_answers_on_all_ways(local_ovn_nb: LocalOvn) -> None:
    local_ovn_nb.nbctl("ls-add", "blue")
    assert local_ovn_nb.nb.startswith("unix:/")
    assert names(local_ovn_nb) == ["blue"]
    assert names(local_ovn_nb, f"--db={local_ovn_nb.tcp}") == ["blue"]


def test_tls() -> None:
    with LocalOvn(tls=True) as ovn:
        ovn.nbctl("ls-add", "blue")
        files = ovn.client_tls
        options = (f"--ca-cert={files.ca}", f"--certificate={files.certificate}", f"--private-key={files.key}")
        assert names(ovn, f"--db={ovn.ssl}", *options) == ["blue"]
        with pytest.raises(OvnToolError):
            names(ovn, f"--db={ovn.ssl}", "--timeout=1", f"--ca-cert={files.ca}")


def test_two_at_once_have_nothing_in_common() -> None:
    with LocalOvn(tcp=True) as one, LocalOvn(tcp=True) as other:
        one.nbctl("ls-add", "blue")
        assert one.tcp != other.tcp
        assert names(other, f"--db={other.tcp}") == []


def test_a_failing_tool_says_why(local_ovn_nb: LocalOvn) -> None:
    with pytest.raises(OvnToolError, match="no-such-switch") as failure:
        local_ovn_nb.nbctl("ls-del", "no-such-switch")
    assert failure.value.exit_code == 1


def test_northd_fills_sb_and_traces(local_ovn: LocalOvn) -> None:
    local_ovn.nbctl("ls-add", "blue")
    for port, mac in (("p1", "0a:00:00:00:00:01"), ("p2", "0a:00:00:00:00:02")):
        local_ovn.nbctl("--wait=sb", "lsp-add", "blue", port, "--", "lsp-set-addresses", port, mac)
    bindings = local_ovn.sbctl("--bare", "--columns=logical_port", "list", "Port_Binding").split()
    assert sorted(bindings) == ["p1", "p2"]
    flow = 'inport == "p1" && eth.src == 0a:00:00:00:00:01 && eth.dst == 0a:00:00:00:00:02'
    assert 'output("p2")' in local_ovn.trace("blue", flow, "--minimal")
    assert "ingress(dp=" in local_ovn.trace("blue", flow, "--detailed")
    assert "ingress(dp=" in local_ovn.trace("blue", flow)


# --- what was written ---


def test_transaction_count_moves_by_one_for_a_commit(local_ovn_nb: LocalOvn) -> None:
    before = local_ovn_nb.transaction_count()
    local_ovn_nb.nbctl("ls-add", "blue", "--", "ls-add", "red")
    assert local_ovn_nb.transaction_count() - before == 1


@pytest.mark.parametrize(
    ("command", "requests"),
    [
        pytest.param(("show",), 0, id="read"),
        pytest.param(("--may-exist", "ls-add", "blue"), 0, id="nothing to do"),
        pytest.param(("set", "Logical_Switch", "blue", "name=blue"), 0, id="the value it has"),
        pytest.param(("set", "NB_Global", ".", "nb_cfg=7"), 1, id="change"),
    ],
)
def test_counts(local_ovn_nb: LocalOvn, command: tuple[str, ...], requests: int) -> None:
    local_ovn_nb.nbctl("ls-add", "blue")
    before = local_ovn_nb.transaction_count(), local_ovn_nb.txn_requests()
    local_ovn_nb.nbctl(*command)
    after = local_ovn_nb.transaction_count(), local_ovn_nb.txn_requests()
    assert (after[0] - before[0], after[1] - before[1]) == (requests, requests)


def test_a_request_that_changes_nothing_is_a_request_and_no_transaction(local_ovn_nb: LocalOvn) -> None:
    before = local_ovn_nb.transaction_count(), local_ovn_nb.txn_requests()
    request = '["OVN_Northbound",{"op":"select","table":"Logical_Switch","where":[]}]'
    subprocess.run(["ovsdb-client", "transact", local_ovn_nb.nb, request], check=True, capture_output=True)
    assert (local_ovn_nb.transaction_count(), local_ovn_nb.txn_requests()) == (before[0], before[1] + 1)


def test_northds_own_transactions_are_not_counted(local_ovn: LocalOvn) -> None:
    before = local_ovn.transaction_count()
    local_ovn.nbctl("ls-add", "blue")
    local_ovn.sync()  # raises nb_cfg: ours; northd answers by sb_cfg: not ours
    assert local_ovn.nbctl("get", "NB_Global", ".", "nb_cfg", "sb_cfg").split() == ["2", "2"]
    assert local_ovn.transaction_count() - before == 2


def test_a_count_that_cannot_be_known_is_refused(local_ovn_nb: LocalOvn) -> None:
    local_ovn_nb.appctl("nb", "ovsdb-server/compact")
    with pytest.raises(OvnToolError, match="compacted"):
        local_ovn_nb.transaction_count()


# --- northd's opinion ---


def test_northd_has_nothing_to_say_about_good_rows_and_faults(local_ovn: LocalOvn) -> None:
    local_ovn.nbctl("ls-add", "blue", "--", "lsp-add", "blue", "p1")
    local_ovn.restart("nb")
    local_ovn.restart("sb")
    assert local_ovn.northd_warnings() == []


@pytest.mark.parametrize(
    ("column", "value", "warning"),
    [
        pytest.param("addresses", '"0a:00:00:00:00:02 10.0.0.5"', "Duplicate IP set: 10.0.0.5", id="WARN"),
        pytest.param("addresses", '"not a mac"', "p2: invalid syntax 'not a mac' in addresses column", id="INFO"),
        pytest.param("port_security", "999.9.9.9", "invalid syntax '999.9.9.9' in port security", id="port security"),
    ],
)
def test_northd_complains_of_a_bad_row(local_ovn: LocalOvn, column: str, value: str, warning: str) -> None:
    local_ovn.nbctl("ls-add", "blue", "--", "set", "Logical_Switch", "blue", "other_config:subnet=10.0.0.0/24")
    local_ovn.nbctl("lsp-add", "blue", "p1", "--", "lsp-set-addresses", "p1", "0a:00:00:00:00:01 10.0.0.5")
    local_ovn.nbctl("lsp-add", "blue", "p2", "--", "set", "Logical_Switch_Port", "p2", f"{column}={value}")
    assert any(warning in line for line in local_ovn.northd_warnings())


# --- faults ---


def test_a_frozen_server_answers_only_after_thawing(local_ovn_nb: LocalOvn) -> None:
    before = local_ovn_nb.transaction_count()
    local_ovn_nb.freeze()
    local_ovn_nb.freeze()  # once more does no harm
    for connection in (local_ovn_nb.nb, local_ovn_nb.tcp):
        with pytest.raises(OvnToolError):
            local_ovn_nb.nbctl(f"--db={connection}", "--timeout=1", "ls-add", "blue")
    assert local_ovn_nb.transaction_count() == before
    local_ovn_nb.thaw()
    local_ovn_nb.nbctl("ls-add", "red")
    assert names(local_ovn_nb) == ["red"]


def test_a_killed_server_is_gone_and_comes_back_with_its_rows_and_ports(local_ovn_nb: LocalOvn) -> None:
    tcp = local_ovn_nb.tcp
    local_ovn_nb.nbctl("ls-add", "blue")
    before = local_ovn_nb.transaction_count(), local_ovn_nb.txn_requests()
    local_ovn_nb.kill()
    with pytest.raises(OvnToolError, match="Connection refused"):
        local_ovn_nb.nbctl("--timeout=1", f"--db={tcp}", "show")
    with pytest.raises(OvnToolError, match="not running"):
        local_ovn_nb.freeze()
    local_ovn_nb.restart()
    assert local_ovn_nb.tcp == tcp
    assert names(local_ovn_nb, f"--db={tcp}") == ["blue"]
    assert (local_ovn_nb.transaction_count(), local_ovn_nb.txn_requests()) == before


def test_northd_can_be_frozen_and_killed(local_ovn: LocalOvn) -> None:
    local_ovn.freeze("northd")
    with pytest.raises(OvnToolError):
        local_ovn.nbctl("--timeout=1", "--wait=sb", "sync")
    local_ovn.thaw("northd")
    local_ovn.sync()
    local_ovn.restart("northd")
    local_ovn.sync()


# --- the container ---


def test_container_answers_inside_and_outside(container_nb: OvnNbContainer, local_ovn_nb: LocalOvn) -> None:
    container_nb.nbctl("--wait=sb", "ls-add", "container-blue", "--", "lsp-add", "container-blue", "container-p1")
    assert "container-p1" in container_nb.sbctl("show") + container_nb.sbctl("list", "Port_Binding")
    # The local server only lends its ovn-nbctl here: what answers is the container, through the mapped port.
    assert "container-blue" in names(local_ovn_nb, f"--db={container_nb.connection}")
    assert container_nb.sb_connection != container_nb.connection


def test_container_survives_a_pause(container_nb: OvnNbContainer, local_ovn_nb: LocalOvn) -> None:
    container_nb.get_wrapped_container().pause()
    try:
        with pytest.raises(OvnToolError):
            local_ovn_nb.nbctl(f"--db={container_nb.connection}", "--timeout=1", "show")
    finally:
        container_nb.get_wrapped_container().unpause()
    assert local_ovn_nb.nbctl(f"--db={container_nb.connection}", "get-connection") == ""


def test_container_tool_that_fails_says_why(container_nb: OvnNbContainer) -> None:
    with pytest.raises(OvnToolError, match="no-such-switch") as failure:
        container_nb.nbctl("ls-del", "no-such-switch")
    assert failure.value.exit_code == 1


def test_container_is_gone_afterwards(container_nb: OvnNbContainer) -> None:
    # A second one beside the fixture's, of the same image.
    from ovnk8s_topo.testing import OvnNbContainer
    from ovnk8s_topo.testing.container import without_reaper

    with without_reaper(), OvnNbContainer() as second:
        name = second.get_wrapped_container().name
        assert second.connection != container_nb.connection
    client = container_nb.get_docker_client().client
    assert name not in [container.name for container in client.containers.list(all=True)]
