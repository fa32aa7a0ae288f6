"""The command: what goes to stdout and stderr, what is written, and the exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ovnk8s_topo import cli
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.batched import told_with
from ovnk8s_topo.backends.faults import Fault, Faults
from ovnk8s_topo.diff import ChangeSet, Insert
from ovnk8s_topo.errors import ConflictError
from ovnk8s_topo.nb.tables import LogicalSwitch

ARTICLE = Path(__file__).parents[2] / "examples" / "article"
MANIFESTS = [str(ARTICLE / name) for name in ("nads.yaml", "nodes.yaml", "pods.yaml")]

SMALL = """
ovnk8s-topo: 1
networks:
  - {name: blue, topology: layer2, subnets: 10.22.0.0/16}
nodes: [n1]
pods:
  - {name: web, node: n1, networks: blue}
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def data(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(self.out)
        return loaded


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("OVN_NB_DB", raising=False)

    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = cli.main(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def nb(tmp_path: Path) -> str:
    return f"memory:{tmp_path / 'nb.json'}"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_plan_prints_and_writes_nothing(run: Run, nb: str) -> None:
    ran = run("plan", "--nb", nb, *MANIFESTS)
    assert (ran.code, ran.err) == (0, "")
    assert "+ Logical_Router l3.network_ovn_cluster_router\n" in ran.out
    assert ran.out.endswith(" to insert, 0 to update, 0 to delete\n")
    assert run("show", "--nb", nb).out == ""


def test_apply_then_show_then_nothing_to_do(run: Run, nb: str) -> None:
    assert run("apply", "--nb", nb, *MANIFESTS).out.startswith("applied: ")
    assert "switch " in run("show", "--nb", nb).out
    again = run("apply", "--nb", nb, *MANIFESTS)
    assert (again.code, again.out) == (0, "unchanged: 0 inserted, 0 updated, 0 deleted\n")


def test_destroy_leaves_only_what_is_shared(run: Run, nb: str) -> None:
    run("apply", "--nb", nb, *MANIFESTS)
    ran = run("destroy", "--nb", nb)
    assert (ran.code, ran.out.split(":")[0]) == (0, "applied")
    left = json.loads(run("show", "--nb", nb, "--format", "json").out)
    assert set(left) == {"Copp", "Meter", "Meter_Band"}
    assert run("destroy", "--nb", nb).out.startswith("unchanged")


def test_destroy_of_one_network(run: Run, nb: str) -> None:
    run("apply", "--nb", nb, *MANIFESTS)
    run("destroy", "--nb", nb, "--network", "l3-network")
    shown = run("show", "--nb", nb).out
    assert "l3.network" not in shown
    assert "l2.network_ovn_layer2_switch" in shown


def test_detailed_exitcode(run: Run, nb: str) -> None:
    assert run("plan", "--detailed-exitcode", "--nb", nb, *MANIFESTS).code == 2
    run("apply", "--nb", nb, *MANIFESTS)
    assert run("plan", "--detailed-exitcode", "--nb", nb, *MANIFESTS).code == 0
    assert run("plan", "--detailed-exitcode", "--nb", nb, "no-such-file.yaml").code == 1


def test_json(run: Run, nb: str, small: Path) -> None:
    planned = run("plan", "--format", "json", "--nb", nb, str(small)).data()
    assert planned["is_empty"] is False
    applied = run("apply", "--format", "json", "--nb", nb, str(small)).data()
    assert (applied["status"], applied["counts"]) == ("applied", planned["counts"])
    assert run("apply", "--format", "json", "--nb", nb, str(small)).data()["status"] == "unchanged"


def test_stdin(run: Run, nb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SMALL.encode())))
    assert run("apply", "--nb", nb, "-").code == 0


def test_styles_differ(run: Run, nb: str) -> None:
    assert "network_name=localnet-network" in run("plan", *MANIFESTS).out
    assert "network_name=localnet.network_br-localnet" in run("plan", "--style", "2023", *MANIFESTS).out


def test_ignored_kinds_are_told_on_stderr(run: Run, small: Path) -> None:
    other = small.with_name("service.yaml")
    other.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n")
    ran = run("plan", str(small), str(other))
    assert (ran.code, ran.err) == (0, "ignored: 1 x Service\n")


def test_prune_is_explicit_and_guarded(run: Run, nb: str, small: Path) -> None:
    run("apply", "--nb", nb, *MANIFESTS)
    kept = run("apply", "--nb", nb, str(small))
    assert "no longer described" in kept.out
    refused = run("apply", "--nb", nb, "--prune", str(small))
    assert (refused.code, refused.out) == (3, "")
    assert "allow_mass_delete" in refused.err
    assert run("apply", "--nb", nb, "--prune", "--allow-mass-delete", str(small)).code == 0
    assert "l3.network" not in run("show", "--nb", nb).out


def test_prune_of_an_empty_description_is_refused(run: Run, nb: str, tmp_path: Path) -> None:
    run("apply", "--nb", nb, *MANIFESTS)
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert run("apply", "--nb", nb, "--prune", "--allow-mass-delete", str(empty)).code == 3


def test_owners_do_not_touch_each_other(run: Run, nb: str, small: Path) -> None:
    run("apply", "--nb", nb, "--owner", "first", str(small))
    ran = run("apply", "--nb", nb, "--owner", "second", str(small))
    assert (ran.code, ran.out) == (1, "")
    assert "belongs to 'first'" in ran.err
    assert "nothing was written" in ran.err


BAD_NAD = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: bad, namespace: default}
spec:
  config: '{"name": "bad", "type": "ovn-k8s-cni-overlay", "topology": "localnet", "vlanID": 5000,
            "netAttachDefName": "default/bad"}'
"""


def test_a_bad_document_writes_nothing(run: Run, nb: str, small: Path) -> None:
    bad = small.with_name("bad.yaml")
    bad.write_text(BAD_NAD)
    ran = run("apply", "--nb", nb, str(small), str(bad))
    assert (ran.code, ran.out) == (1, "")
    assert f"{bad}:" in ran.err
    assert "must be 1..4094 (got 5000)" in ran.err
    assert run("show", "--nb", nb).out == ""


def test_keep_going_applies_the_rest(run: Run, nb: str, small: Path) -> None:
    bad = small.with_name("bad.yaml")
    bad.write_text(BAD_NAD)
    ran = run("apply", "--nb", nb, "--keep-going", str(small), str(bad))
    assert ran.code == 1
    assert ran.out.startswith("applied: ")
    assert "must be 1..4094" in ran.err
    assert "blue_ovn_layer2_switch" in run("show", "--nb", nb).out


def test_keep_going_leaves_rows_of_the_bad_network_alone(run: Run, nb: str, small: Path) -> None:
    bad = small.with_name("bad.yaml")
    bad.write_text(BAD_NAD.replace("5000", "50"))
    run("apply", "--nb", nb, str(small), str(bad))
    bad.write_text(BAD_NAD)
    run("apply", "--nb", nb, "--keep-going", "--prune", "--allow-mass-delete", str(small), str(bad))
    assert "bad_ovn_localnet_switch" in run("show", "--nb", nb).out


@pytest.mark.parametrize(("fault", "code"), [("reply_lost", 4), ("request_lost", 4), ("unavailable", 1)])
def test_faults_have_exit_codes(run: Run, monkeypatch: pytest.MonkeyPatch, fault: Fault, code: int) -> None:
    faults = Faults(commits=[fault])
    monkeypatch.setattr(cli, "nb_from_connection", lambda *_, **__: MemoryNb(faults=faults))
    ran = run("apply", *MANIFESTS)
    assert (ran.code, ran.out) == (code, "")
    assert ("outcome unknown" in ran.err) == (code == 4)
    assert faults.fired[fault] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], ""),
        (["fly"], "fly"),
        (["plan"], "FILE"),
        (["plan", "--nb", "ftp:host", *MANIFESTS], "must be memory:"),
        (["apply", "--nb", "unix:/nowhere/nb.sock", "--timeout", "0.3", *MANIFESTS], "nothing was written"),
        (["show", "--nb", "ssl:127.0.0.1:6641"], "ca_cert"),
        (["show", "--nb", "ssl:127.0.0.1:6641", "--ca-cert=x", "--certificate=x", "--private-key=x"], "--nb"),
        (["show", "--nb", "tcp:127.0.0.1"], "--nb"),
        (["plan", "--style", "2022", *MANIFESTS], "2022"),
        (["plan", "--timeout", "never", *MANIFESTS], "--timeout"),
        (["plan", "/"], "/"),
        (["show", "--nb", "memory:/"], "/"),
        (["apply", "--owner", "", *MANIFESTS], "owner"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_usage_is_an_error_with_a_reason(run: Run, arguments: list[str], message: str) -> None:
    ran = run(*arguments)
    assert message in ran.err + ran.out
    assert "internal error" not in ran.err
    assert ran.code == 1 or not arguments


@pytest.mark.parametrize("command", ["plan", "apply", "show", "destroy"])
def test_help(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert "--nb" in ran.out


def test_what_was_written_before_an_error_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConflictError) as raised, told_with([ChangeSet((Insert("u", LogicalSwitch(name="s")),))]):
        raise ConflictError("refused")
    assert cli._fail(raised.value, writes=True) == 1
    assert capsys.readouterr().err == (
        "error: refused\nnote: batches with 1 changes are written\nplan again: the database has moved on\n"
    )


def test_a_reader_that_leaves_is_no_error() -> None:
    command = [sys.executable, "-m", "ovnk8s_topo.cli", "plan", *MANIFESTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


WISHES = """
ovnk8s-topo: 1
networks:
  - {name: blue, topology: layer2, subnets: 10.22.0.0/16, allow_persistent_ips: true}
nodes: [n1]
ipamClaims:
  - {name: vm, network: blue}
pods:
  - {name: web, node: n1, networks: '[{"name": "blue", "ips": ["10.22.0.9/16"]}]'}
  - {name: vm, node: n1, networks: '[{"name": "blue", "ipam-claim-reference": "vm"}]'}
"""


def test_fixed_addresses_are_a_choice_and_claims_come_back(run: Run, tmp_path: Path) -> None:
    wishes = tmp_path / "wishes.yaml"
    wishes.write_text(WISHES)
    refused = run("plan", str(wishes))
    assert (refused.code, refused.out) == (1, "")
    assert "custom network configuration disabled" in refused.err
    honoured = run("annotations", "--fixed-addresses", "honour", "--format", "json", str(wishes))
    assert honoured.code == 0
    assert honoured.data()["ipamClaims"] == {"default/vm": {"status": {"ips": ["10.22.0.1/16"]}}}
    assert '"10.22.0.9/16"' in honoured.out.replace("\\", "")
