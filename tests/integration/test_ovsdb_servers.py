from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faulty_link import FaultyLink
from nb_world import LIMIT_S, Live, changed_schema, connected, decide, meddled, names, network, reconcile, routed

from ovnk8s_topo.backends import DirectNb, OvsdbNb, ReconcileCommand
from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.errors import BackendUnavailable, NotReached, RowError
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import (
    Copp,
    GatewayChassis,
    Key,
    LoadBalancerGroup,
    LogicalRouter,
    LogicalSwitch,
    Meter,
    MeterBand,
    Row,
)
from ovnk8s_topo.testing import LocalOvn
from ovnk8s_topo.testing.tools import schema

OLD = ("Copp", "Load_Balancer_Group", "Meter.fair", "Logical_Router_Port.gateway_chassis")


def serve(monkeypatch: pytest.MonkeyPatch, directory: Path, **changes: Any) -> LocalOvn:
    """A server with a Northbound schema of another age."""
    changed_schema(schema("ovn-nb"), directory / "ovn-nb.ovsschema", **changes)
    monkeypatch.setenv("OVN_SCHEMA_DIR", str(directory))
    return LocalOvn()


# --- what a server can hold ---


def everything() -> list[Row]:
    return [
        MeterBand(rate=25),
        Meter(name="m", bands=frozenset({"drop 25 0"}), fair=True),
        Copp(name="c", meters={"arp": "m"}),
        LoadBalancerGroup(name="g"),
        *routed("a"),
        LogicalRouter(name="r2", copp="c", options={"always_learn_from_arp_request": "false"}),
        LogicalSwitch(name="s2", load_balancer_group=frozenset({"g"})),
        GatewayChassis(name="gc", parent="a-rp", chassis_name="n1", priority=7),
    ]


def test_every_table_comes_back_as_it_went(live: Live, local_ovn_nb: LocalOvn) -> None:
    with connected(live, local_ovn_nb.nb) as nb, connected(live, local_ovn_nb.nb) as other:
        committed = reconcile(nb, everything())
        assert len(committed.changes) == len(everything())
        assert reconcile(other, everything()).changes.is_empty
        assert nb.snapshot(timeout_s=LIMIT_S) == other.snapshot(timeout_s=LIMIT_S)
        before = local_ovn_nb.txn_requests()
        assert reconcile(nb, everything(), prune=True).changes.is_empty
        assert local_ovn_nb.txn_requests() == before
        reconcile(nb, [], prune=True)
        left = {stored.key.table for stored in nb.snapshot(timeout_s=LIMIT_S).rows.values()}
        assert left == {"Meter_Band", "Meter", "Copp"}


def test_an_older_server(live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serve(monkeypatch, tmp_path, without=OLD) as ovn, connected(live, ovn.nb) as nb:
        rows = routed("a")
        reconcile(nb, rows)
        assert reconcile(nb, rows).changes.is_empty
        reconcile(nb, network("a", 1, other_config={"subnet": "10.0.0.0/24"}), prune=True)
        assert names(nb.snapshot(timeout_s=LIMIT_S), "Logical_Switch_Port") == ["a-p0"]


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (LoadBalancerGroup(name="g"), "Load_Balancer_Group"),
        (Meter(name="m", bands=frozenset({"drop 25 0"}), fair=True), "Meter.fair"),
    ],
    ids=["table", "column"],
)
def test_an_older_server_lacks_what_a_row_needs(
    live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, row: Row, path: str
) -> None:
    with serve(monkeypatch, tmp_path, without=OLD) as ovn, connected(live, ovn.nb) as nb:
        with pytest.raises(RowError, match=r"5\.20\.0") as refused:
            reconcile(nb, [row, MeterBand(rate=25)])
        assert [problem.path for problem in refused.value.problems] == [path]
        assert not nb.snapshot(timeout_s=LIMIT_S).rows


def test_a_newer_server(live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with serve(monkeypatch, tmp_path, unknown=True) as ovn, connected(live, ovn.nb) as nb:
        reconcile(nb, everything())
        assert reconcile(nb, everything()).changes.is_empty


@pytest.mark.parametrize("online", [False, True], ids=["restarted", "converted under us"])
def test_a_server_that_is_upgraded_and_downgraded(
    live: Live, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, online: bool
) -> None:
    old = changed_schema(schema("ovn-nb"), tmp_path / "old.ovsschema", without=OLD)
    new = schema("ovn-nb")

    def convert(ovn: LocalOvn, target: Path) -> None:
        if online:
            subprocess.run(["ovsdb-client", "convert", ovn.nb, str(target)], check=True, capture_output=True)
            return
        ovn.kill()
        subprocess.run(["ovsdb-tool", "convert", str(ovn.directory / "nb.db"), str(target)], check=True)
        ovn.restart()

    with serve(monkeypatch, tmp_path, without=OLD) as ovn, connected(live, ovn.nb) as nb:
        reconcile(nb, network("a"))
        with pytest.raises(RowError):
            reconcile(nb, [LoadBalancerGroup(name="g")])
        convert(ovn, new)
        eventually(nb, [LoadBalancerGroup(name="g")])
        reconcile(nb, [], prune=True)
        convert(ovn, old)
        reconcile(nb, network("b"))
        assert names(nb.snapshot(timeout_s=LIMIT_S), "Logical_Switch") == ["b"]


class Converting(FaultyLink):
    """A link over which the request to be told of changes is on its way while the database is converted."""

    convert: Callable[[], object] | None = None

    def request(self, received: bytes) -> bytes:
        if b'"monitor_cond_since"' in received and self.convert is not None:
            convert, self.convert = self.convert, None
            convert()
            self.fired += 1
        return received


def test_a_server_that_is_upgraded_before_it_tells_us_of_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    new = str(schema("ovn-nb"))
    with serve(monkeypatch, tmp_path, without=OLD) as ovn, Converting(ovn.nb) as link:
        convert = ["ovsdb-client", "convert", ovn.nb, new]
        link.convert = lambda: subprocess.run(convert, check=True, capture_output=True)
        with connected(DirectNb, link.connection) as nb:
            assert link.fired
            reconcile(nb, [LoadBalancerGroup(name="g")])
            assert names(nb.snapshot(timeout_s=LIMIT_S), "Load_Balancer_Group") == ["g"]


def eventually(nb: NbBackend, rows: list[Row]) -> None:
    """The news of a conversion takes a moment; a row that needs the new schema is refused until then."""
    for _ in range(100):
        try:
            reconcile(nb, rows)
        except RowError:
            pass
        else:
            return
    reconcile(nb, rows)


def test_a_server_without_our_database(live: Live, local_ovn: LocalOvn) -> None:
    with live(local_ovn.sb) as nb, pytest.raises(BackendUnavailable, match="no database OVN_Northbound"):
        nb.snapshot(timeout_s=0.5)


def test_two_servers_in_one_process(live: Live) -> None:
    with LocalOvn() as here, LocalOvn() as there, connected(live, here.nb) as one, connected(live, there.nb) as other:
        reconcile(one, network("here"))
        reconcile(other, network("there"))
        assert names(one.snapshot(timeout_s=LIMIT_S), "Logical_Switch") == ["here"]
        assert names(other.snapshot(timeout_s=LIMIT_S), "Logical_Switch") == ["there"]


def test_several_remotes_are_tried_in_turn(live: Live, local_ovn_nb: LocalOvn) -> None:
    with connected(live, f"unix:/nonexistent,tcp:127.0.0.1:1,{local_ovn_nb.nb}") as nb:
        reconcile(nb, network("a"))


def test_host_names(live: Live, local_ovn_nb: LocalOvn) -> None:
    with connected(live, local_ovn_nb.tcp.replace("127.0.0.1", "localhost")) as nb:
        reconcile(nb, network("a"))


# --- TLS ---


def files(ovn: LocalOvn) -> dict[str, Any]:
    tls = ovn.client_tls
    return {"ca_cert": str(tls.ca), "certificate": str(tls.certificate), "private_key": str(tls.key)}


def test_two_tls_connections_with_files_of_their_own(live: Live) -> None:
    with (
        LocalOvn(tls=True) as here,
        LocalOvn(tls=True) as there,
        connected(live, here.ssl, **files(here)) as one,
        connected(live, there.ssl.replace("127.0.0.1", "localhost"), **files(there)) as other,
    ):
        reconcile(one, network("here", 200))
        reconcile(other, network("there", 200))
        assert len(one.snapshot(timeout_s=LIMIT_S).rows) == len(other.snapshot(timeout_s=LIMIT_S).rows) == 201
        with (
            live(here.ssl, **files(there)) as stranger,
            pytest.raises(BackendUnavailable, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            stranger.snapshot(timeout_s=1)


def test_tls_checks_the_name_of_the_server(live: Live) -> None:
    with LocalOvn(tls=True) as ovn:
        # The same address, written in a way that the certificate does not name.
        with (
            live(ovn.ssl.replace("127.0.0.1", "127.1"), **files(ovn)) as nb,
            pytest.raises(BackendUnavailable, match=r"certificate is not valid for '127\.1'"),
        ):
            nb.snapshot(timeout_s=0.5)
        with connected(live, ovn.ssl, **files(ovn)) as nb:
            reconcile(nb, network("a"))


# --- confirmation by northd ---


def test_waiting_for_northd(live: Live, local_ovn: LocalOvn) -> None:
    with connected(live, local_ovn.nb) as nb:
        committed = nb.commit(decide(network("a")), timeout_s=LIMIT_S, confirm=True)
        assert committed.nb_cfg == int(local_ovn.nbctl("get", "NB_Global", ".", "nb_cfg"))
        nb.wait("sb", committed.nb_cfg, timeout_s=LIMIT_S)
        nb.wait("hv", committed.nb_cfg, timeout_s=LIMIT_S)
        assert "a-p0" in local_ovn.sbctl("--bare", "--columns=logical_port", "list", "Port_Binding")
        local_ovn.freeze("northd")
        committed = nb.commit(decide(network("b")), timeout_s=LIMIT_S, confirm=True)
        with pytest.raises(NotReached, match=rf"confirmed {committed.nb_cfg - 1}, not {committed.nb_cfg}"):
            nb.wait("sb", committed.nb_cfg, timeout_s=0.2)
        with pytest.raises(NotReached, match="all chassis"):
            nb.wait("hv", committed.nb_cfg, timeout_s=0.2)


def test_a_database_that_no_northd_has_seen(live: Live, local_ovn_nb: LocalOvn) -> None:
    with connected(live, local_ovn_nb.nb) as nb:
        numbers = [nb.commit(decide(network(name)), timeout_s=LIMIT_S, confirm=True).nb_cfg for name in "abc"]
        assert numbers == [1, 2, 3]
        assert nb.snapshot(timeout_s=LIMIT_S).nb_cfg == 3


# --- beside other users of ovsdbapp ---


def test_our_command_in_a_transaction_of_another_api(local_ovn_nb: LocalOvn) -> None:
    from ovsdbapp.backend.ovs_idl import connection
    from ovsdbapp.schema.ovn_northbound import impl_idl

    idl = connection.OvsdbIdl.from_server(local_ovn_nb.nb, "OVN_Northbound")
    theirs = connection.Connection(idl, timeout=10)
    api = type("Api", (impl_idl.OvnNbApiIdlImpl,), {"_ovsdb_connection": None})(theirs)

    def interfere() -> None:
        local_ovn_nb.nbctl("ls-add", "a", "--", "set", "Logical_Switch", "a", "external_ids:ovnk8s-topo/owner=me")

    try:
        command = ReconcileCommand(api, meddled(decide(network("a")), interfere))
        with api.transaction(check_error=True) as transaction:
            transaction.add(api.ls_add("theirs"))
            transaction.add(command)
        assert isinstance(command.result, ChangeSet)
        assert (command.attempts, len(command.result)) == (2, 2)
        with connected(OvsdbNb, local_ovn_nb.nb) as nb:
            assert names(nb.snapshot(timeout_s=LIMIT_S), "Logical_Switch") == ["a", "theirs"]
            assert reconcile(nb, network("a")).changes.is_empty
    finally:
        theirs.stop()


# --- manners ---


@pytest.mark.parametrize(
    ("connection", "why"),
    [("nb.sock", "unix:FILE"), ("tcp:6641", "HOST:PORT"), ("tcp:host:x", "HOST:PORT"), ("ssl:h:1", "needs ca_cert")],
)
def test_a_connection_that_is_none(live: Live, connection: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        live(connection)


@pytest.mark.parametrize(
    ("connection", "warned"),
    [("tcp:192.0.2.1:6641", True), ("tcp:127.0.0.1:1", False), ("tcp:[::1]:1", False), ("unix:/nonexistent", False)],
)
def test_plain_tcp_to_elsewhere_is_warned_of(
    live: Live, caplog: pytest.LogCaptureFixture, connection: str, warned: bool
) -> None:
    with caplog.at_level(logging.WARNING, logger="ovnk8s_topo"), closing(live(connection)):
        pass
    assert ("neither encrypted nor authenticated" in caplog.text) is warned


def test_importing_the_backends_is_cheap_and_faults_print_nothing(live: Live) -> None:
    program = f"""
import sys
from ovnk8s_topo import backends
from ovnk8s_topo.errors import BackendUnavailable
assert not any(name.partition(".")[0] in ("ovs", "ovsdbapp") for name in sys.modules)
with backends.{live.__name__}("tcp:192.0.2.1:6641,unix:/nonexistent") as nb:
    try:
        nb.snapshot(timeout_s=0.3)
    except BackendUnavailable:
        pass
"""
    done = subprocess.run([sys.executable, "-Werror", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_info_line_for_a_commit_and_none_for_nothing(
    live: Live, local_ovn_nb: LocalOvn, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(live, local_ovn_nb.nb) as nb, caplog.at_level(logging.INFO, logger="ovnk8s_topo"):
        reconcile(nb, network("a"))
        reconcile(nb, network("a"))
    assert [record.message.partition(",")[0] for record in caplog.records] == ["commit: +3 ~0 -0"]


def test_a_new_row_with_nothing_but_defaults_is_seen(live: Live, local_ovn_nb: LocalOvn) -> None:
    # python-ovs counts no change for such a row
    with connected(live, local_ovn_nb.nb) as nb:
        local_ovn_nb.nbctl("create", "Logical_Switch", 'name=""')
        deadline = time.monotonic() + LIMIT_S
        while not nb.snapshot(timeout_s=LIMIT_S).rows:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_rows_of_others_are_read_whole(live: Live, local_ovn_nb: LocalOvn) -> None:
    local_ovn_nb.nbctl("ls-add", "theirs", "--", "acl-add", "theirs", "to-lport", "1", "ip4", "drop")
    local_ovn_nb.nbctl("create", "Logical_Switch", 'name=""')
    with connected(live, local_ovn_nb.nb) as nb:
        actual: Snapshot = nb.snapshot(timeout_s=LIMIT_S)
        (theirs,) = actual.named(Key("Logical_Switch", "theirs"))
        acl = local_ovn_nb.nbctl("--bare", "--columns=_uuid", "list", "ACL").strip()
        assert theirs.row.get("acls") == frozenset({acl})
        assert len(actual.named(Key("Logical_Switch", ""))) == 1
