"""A node's wishes against a real ovsdb-server: applied once, beside other writers, and over links that break."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from faulty_link import FaultyLink
from vswitch_world import LIMIT_S, VswitchServer, connected, meddling, vswitch_server

from ovnk8s_topo.backends import OvsdbVswitch, WiringCommand
from ovnk8s_topo.errors import (
    BackendUnavailable,
    ConflictError,
    NodeNotReady,
    OutcomeUnknown,
    OwnershipError,
    RowError,
    SpecError,
)
from ovnk8s_topo.nodeside import (
    BRIDGE_MAPPINGS,
    BridgeMapping,
    GonePort,
    InterfaceRow,
    OvsInterface,
    PortRow,
    VswitchRows,
    Wiring,
    interface_from_result,
)
from ovnk8s_topo.results import AttachmentResult

RESULT = AttachmentResult(
    pod="default/nginx1-l2",
    nad_key="kube-system/l2-network",
    network="l2-network",
    topology="layer2",
    node="work001",
    interface="eth1",
    mac="0a:58:0a:16:00:01",
    addresses=("10.22.0.1/16",),
)
PLUGGED = interface_from_result(RESULT, name="v1", uid="uid", sandbox="sandbox", pod_interface="eth1")
EARLY = interface_from_result(RESULT, name="v1", early=True)
PLUG = Wiring(interfaces=(PLUGGED,))
A = BridgeMapping("a", "br-a")
ODD = 'é漢😀, "quoted" \\ a=b:c,,'


@pytest.fixture
def node() -> Iterator[VswitchServer]:
    with vswitch_server() as server:
        server.vsctl("add-br", "br-int")
        server.vsctl("add-br", "br-x")
        yield server


def row_of(rows: VswitchRows, name: str = "v1") -> tuple[PortRow, InterfaceRow]:
    (port,) = (row for row in rows.ports.values() if row.name == name)
    (interface,) = (row for row in rows.interfaces.values() if row.name == name)
    assert port.interfaces == {interface.uuid}
    return port, interface


def apply_twice(node: VswitchServer, wanted: Wiring) -> VswitchRows:
    """Apply, and again by another connection: nothing is sent then. Returns what is there."""
    with connected(node.connection) as vswitch:
        assert not vswitch.apply(wanted, timeout_s=LIMIT_S).changes.is_empty
        before = node.contents(), node.requests()
        assert vswitch.apply(wanted, timeout_s=LIMIT_S).changes.is_empty
    with connected(node.connection) as other:
        assert other.apply(wanted, timeout_s=LIMIT_S).changes.is_empty
        assert (node.contents(), node.requests()) == before
        return other.rows(timeout_s=LIMIT_S)


# --- what is applied ---


@pytest.mark.parametrize("wanted", [PLUGGED, EARLY, replace(PLUGGED, type="dpdk", mtu_request=1400)])
def test_a_port_is_plugged_in(node: VswitchServer, wanted: OvsInterface) -> None:
    rows = apply_twice(node, Wiring(interfaces=(wanted,)))
    port, interface = row_of(rows)
    assert node.ports() == ["v1"]
    assert port.other_config == dict(wanted.other_config)
    assert (interface.external_ids, interface.type, interface.mtu_request) == (
        wanted.external_ids,
        wanted.type,
        wanted.mtu_request,
    )


def test_one_wish_is_one_transaction(node: VswitchServer) -> None:
    with connected(node.connection) as vswitch:
        vswitch.apply(PLUG, timeout_s=LIMIT_S)
        before = node.requests()
        other = replace(PLUGGED, name="v2", external_ids={"iface-id": "2"})
        wish = Wiring(mappings=(A,), interfaces=(other,), unplugged=(GonePort(name="v1", iface_id=PLUGGED.iface_id),))
        vswitch.apply(wish, timeout_s=LIMIT_S)
        assert node.requests() == before + 1
    assert node.ports() == ["v2"]
    assert node.vsctl("get", "Open_vSwitch", ".", f"external_ids:{BRIDGE_MAPPINGS}").strip() == '"a:br-a"'


def test_foreign_keys_are_kept_byte_for_byte(node: VswitchServer) -> None:
    text = f'"{ODD}"'.replace("\\", "\\\\").replace(' "quoted"', ' \\"quoted\\"')
    node.vsctl("set", "Open_vSwitch", ".", f"external_ids:odd={text}", "external_ids:system-id=n1")
    node.vsctl("set", "Open_vSwitch", ".", f'external_ids:{BRIDGE_MAPPINGS}="physnet:br-ex, odd : b "')
    with connected(node.connection) as vswitch:
        vswitch.apply(PLUG, timeout_s=LIMIT_S)
    node.vsctl("set", "Interface", "v1", f"external_ids:odd={text}", "external_ids:sandbox=old", "mtu_request=9000")
    node.vsctl("set", "Port", "v1", f"other_config:odd={text}", "tag=7")
    rows = apply_twice(node, replace(PLUG, mappings=(A,)))
    port, interface = row_of(rows)
    assert rows.external_ids == {
        "odd": ODD,
        "system-id": "n1",
        BRIDGE_MAPPINGS: "physnet:br-ex, odd : b ,a:br-a",
    }
    assert (interface.external_ids, interface.mtu_request) == ({**PLUGGED.external_ids, "odd": ODD}, 9000)
    assert port.other_config == {"transient": "true", "odd": ODD}
    assert node.vsctl("get", "Port", "v1", "tag").strip() == "7"


def test_mappings_go_and_the_key_with_the_last(node: VswitchServer) -> None:
    apply_twice(node, Wiring(mappings=(A, BridgeMapping("b", "br-b"))))
    assert apply_twice(node, Wiring(unmapped=(A,))).external_ids == {BRIDGE_MAPPINGS: "b:br-b"}
    assert apply_twice(node, Wiring(unmapped=(BridgeMapping("b", "br-b"),))).external_ids == {}


def test_a_wrong_interface_reference_is_repaired(node: VswitchServer) -> None:
    make = ("--id=@i", "create", "Interface", "name=stale", "type=internal")
    add = ("--", "add", "Bridge", "br-int", "ports", "@p")
    node.vsctl("--", *make, "--", "--id=@p", "create", "Port", "name=v1", "interfaces=@i", *add)
    _, interface = row_of(apply_twice(node, PLUG))
    assert interface.external_ids == PLUGGED.external_ids
    assert "stale" not in node.vsctl("--bare", "--columns=name", "list", "Interface")


def test_the_latest_sandbox_has_the_port(node: VswitchServer) -> None:
    for name, bridge in (("old", "br-int"), ("elsewhere", "br-x")):
        ids = f"external_ids:iface-id={PLUGGED.iface_id}"
        node.vsctl("add-port", bridge, name, "--", "set", "Interface", name, ids)
    apply_twice(node, PLUG)
    assert (node.ports(), node.ports("br-x")) == (["v1"], ["elsewhere"])
    assert "old" not in node.vsctl("--bare", "--columns=name", "list", "Interface").split()


def test_removal_takes_both_rows_and_nothing_else(node: VswitchServer) -> None:
    node.vsctl("add-port", "br-int", "theirs")
    with connected(node.connection) as vswitch:
        vswitch.apply(PLUG, timeout_s=LIMIT_S)
    rows = apply_twice(node, Wiring(unplugged=(GonePort(name="v1", iface_id=PLUGGED.iface_id),)))
    assert {row.name for row in rows.ports.values()} == {"br-int", "br-x", "theirs"}
    assert {row.name for row in rows.interfaces.values()} == {"br-int", "br-x", "theirs"}


# --- what is refused ---


@pytest.mark.parametrize(
    ("before", "wanted", "error", "why"),
    [
        pytest.param(
            [("add-port", "br-x", "v1")], PLUG, OwnershipError, r'attached to bridge "br-x".*"br-int"', id="elsewhere"
        ),
        pytest.param(
            [("add-port", "br-x", "v1")],
            Wiring(unplugged=(GonePort(name="v1"),)),
            OwnershipError,
            r'attached to bridge "br-x".*"br-int"',
            id="elsewhere, to be removed",
        ),
        pytest.param(
            [],
            Wiring(unplugged=(GonePort(name="br-int"),)),
            OwnershipError,
            "local port of bridge 'br-int'",
            id="a bridge's own",
        ),
        pytest.param([("del-br", "br-int")], PLUG, NodeNotReady, r"Bridge br-int.*ovn-controller", id="no bridge"),
        pytest.param(
            [("set", "Open_vSwitch", ".", f'external_ids:{BRIDGE_MAPPINGS}="a:b,,c:d"')],
            Wiring(mappings=(A,)),
            SpecError,
            r"ovn-bridge-mappings\[1\]",
            id="malformed mappings",
        ),
        pytest.param(
            [],
            Wiring(interfaces=(replace(PLUGGED, external_ids={"iface-id": "\0"}),)),
            RowError,
            "NUL",
            id="a text that the server cannot hold",
        ),
    ],
)
def test_what_is_refused_writes_nothing(
    node: VswitchServer, before: list[tuple[str, ...]], wanted: Wiring, error: type[Exception], why: str
) -> None:
    for command in before:
        node.vsctl(*command)
    contents, requests = node.contents(), node.requests()
    with connected(node.connection) as vswitch, pytest.raises(error, match=why):
        vswitch.apply(wanted, timeout_s=LIMIT_S)
    assert (node.contents(), node.requests()) == (contents, requests)


def test_a_server_that_lacks_a_column() -> None:
    with vswitch_server(without="Interface.mtu_request") as node:
        node.vsctl("add-br", "br-int")
        polled = Wiring(interfaces=(replace(PLUGGED, type="dpdk", mtu_request=1400),))
        with connected(node.connection) as vswitch:
            with pytest.raises(RowError, match=r"Interface\.mtu_request"):
                vswitch.apply(polled, timeout_s=LIMIT_S)
            assert node.ports() == []
            vswitch.apply(PLUG, timeout_s=LIMIT_S)
        assert node.ports() == ["v1"]


# --- other writers ---


def interfere(monkeypatch: pytest.MonkeyPatch, meddle: Callable[[], object]) -> None:
    monkeypatch.setattr("ovnk8s_topo.backends.ovsdb_vswitch.wiring_changes", meddling(meddle))


def test_two_writers_of_mappings_lose_no_entry(node: VswitchServer) -> None:
    node.vsctl("set", "Open_vSwitch", ".", f"external_ids:{BRIDGE_MAPPINGS}=physnet:br-ex")
    barrier = threading.Barrier(2)
    attempts, failures = [], []

    def write(whose: str) -> None:
        try:
            with connected(node.connection) as vswitch:
                for number in range(20):
                    wish = Wiring(mappings=(BridgeMapping(f"{whose}{number}", "br"),))
                    barrier.wait(LIMIT_S)
                    attempts.append(vswitch.apply(wish, timeout_s=LIMIT_S).attempts)
        except BaseException as failure:
            failures.append(failure)
            barrier.abort()

    threads = [threading.Thread(target=write, args=(whose,)) for whose in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    text = node.vsctl("get", "Open_vSwitch", ".", f"external_ids:{BRIDGE_MAPPINGS}").strip().strip('"')
    first, *others = text.split(",")
    assert first == "physnet:br-ex"
    assert sorted(others) == sorted(f"{whose}{number}:br" for whose in "ab" for number in range(20))
    assert len(attempts) == 40


def test_a_mapping_written_in_between_is_kept(node: VswitchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = ("set", "Open_vSwitch", ".", f"external_ids:{BRIDGE_MAPPINGS}=x:br-x")
    interfere(monkeypatch, lambda: node.vsctl(*theirs))
    with connected(node.connection) as vswitch:
        assert vswitch.apply(Wiring(mappings=(A,)), timeout_s=LIMIT_S).attempts == 2
        assert vswitch.rows(timeout_s=LIMIT_S).external_ids[BRIDGE_MAPPINGS] == "x:br-x,a:br-a"


BESIDE = ["add-port", "br-int", "v2", "--", "set", "Interface", "v2", f"external_ids:iface-id={PLUGGED.iface_id}"]


@pytest.mark.parametrize(
    ("before", "theirs"),
    [
        pytest.param([], ["add-port", "br-int", "v1"], id="makes the port"),
        pytest.param([], BESIDE, id="plugs the same pod in"),
        pytest.param(["add-port", "br-int", "v1"], ["del-port", "v1"], id="deletes the port"),
        pytest.param(
            ["add-port", "br-int", "v1"],
            ["set", "Interface", "v1", "external_ids:iface-id-ver=other"],
            id="changes a key of ours",
        ),
        pytest.param(BESIDE, ["del-port", "v2"], id="deletes what we would"),
    ],
)
def test_a_port_beside_another_writer(
    node: VswitchServer, monkeypatch: pytest.MonkeyPatch, before: list[str], theirs: list[str]
) -> None:
    if before:
        node.vsctl(*before)
    interfere(monkeypatch, lambda: node.vsctl(*theirs))
    with connected(node.connection) as vswitch:
        assert vswitch.apply(PLUG, timeout_s=LIMIT_S).attempts == 2
        _, interface = row_of(vswitch.rows(timeout_s=LIMIT_S))
    assert interface.external_ids == PLUGGED.external_ids
    assert node.ports() == ["v1"]


def test_a_port_moved_away_in_between_is_not_touched(node: VswitchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    node.vsctl("add-port", "br-int", "v1")
    uuid = node.vsctl("get", "Port", "v1", "_uuid").strip()
    move = ("remove", "Bridge", "br-int", "ports", uuid, "--", "add", "Bridge", "br-x", "ports", uuid)
    interfere(monkeypatch, lambda: node.vsctl(*move))
    with connected(node.connection) as vswitch, pytest.raises(OwnershipError, match='"br-x"'):
        vswitch.apply(PLUG, timeout_s=LIMIT_S)
    assert (node.ports(), node.ports("br-x")) == ([], ["v1"])
    assert node.vsctl("get", "Interface", "v1", "external_ids").strip() == "{}"


def test_a_port_that_became_another_pods_is_not_removed(node: VswitchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(node.connection) as vswitch:
        vswitch.apply(PLUG, timeout_s=LIMIT_S)
        interfere(monkeypatch, lambda: node.vsctl("set", "Interface", "v1", "external_ids:iface-id=other"))
        gone = Wiring(unplugged=(GonePort(name="v1", iface_id=PLUGGED.iface_id),))
        done = vswitch.apply(gone, timeout_s=LIMIT_S)
    assert (done.attempts, done.changes.is_empty) == (2, True)
    assert node.ports() == ["v1"]


def test_somebody_who_is_always_faster_is_a_conflict(node: VswitchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter(range(10_000))

    def race(actual: VswitchRows, wanted: Wiring) -> Any:
        node.vsctl("set", "Open_vSwitch", ".", f"external_ids:round={next(rounds)}")
        return meddling(lambda: None)(actual, wanted)

    monkeypatch.setattr("ovnk8s_topo.backends.ovsdb_vswitch.wiring_changes", race)
    with connected(node.connection) as vswitch, pytest.raises(ConflictError, match="attempts"):
        vswitch.apply(Wiring(mappings=(A,)), timeout_s=0.5)
    assert BRIDGE_MAPPINGS not in node.vsctl("get", "Open_vSwitch", ".", "external_ids")


# --- links that break ---


def test_a_node_that_does_not_answer(node: VswitchServer) -> None:
    with connected(node.connection) as vswitch:
        node.server.kill()
        with pytest.raises(BackendUnavailable, match="sock"):
            vswitch.apply(PLUG, timeout_s=0.3)
        with pytest.raises(BackendUnavailable):
            vswitch.rows(timeout_s=0.1)
        node.start()
        assert not vswitch.apply(PLUG, timeout_s=LIMIT_S).changes.is_empty
    assert node.ports() == ["v1"]


def test_a_node_without_this_database(local_ovn_nb: Any) -> None:
    with OvsdbVswitch(local_ovn_nb.nb) as vswitch, pytest.raises(BackendUnavailable, match="no database Open_vSwitch"):
        vswitch.rows(timeout_s=0.5)


def test_a_frozen_node_leaves_the_outcome_open(node: VswitchServer) -> None:
    with connected(node.connection) as vswitch:
        node.server.freeze()
        with pytest.raises(OutcomeUnknown):
            vswitch.apply(PLUG, timeout_s=0.5)
        node.server.thaw()
        vswitch.apply(PLUG, timeout_s=LIMIT_S)
    assert node.ports() == ["v1"]


def test_a_reply_that_is_lost_is_not_a_second_write(node: VswitchServer) -> None:
    with FaultyLink(node.connection) as link, connected(link.connection) as vswitch:
        link.cuts = 1
        done = vswitch.apply(replace(PLUG, mappings=(A,)), timeout_s=LIMIT_S)
        assert link.fired == 1
        assert done.attempts >= 2
        assert not done.changes.is_empty
    assert node.ports() == ["v1"]
    assert node.vsctl("get", "Open_vSwitch", ".", "external_ids").strip() == '{ovn-bridge-mappings="a:br-a"}'


# --- beside other users of ovsdbapp ---


def test_two_nodes_and_two_apis_in_one_process(node: VswitchServer) -> None:
    from ovsdbapp.backend.ovs_idl import connection
    from ovsdbapp.schema.open_vswitch import impl_idl

    with vswitch_server() as other:
        other.vsctl("add-br", "br-int")
        for server in (node, other):
            # ovsdbapp waits for ovs-vswitchd, which is not here.
            server.vsctl("set", "Open_vSwitch", ".", "cur_cfg=1000")
            idl = connection.OvsdbIdl.from_server(server.connection, "Open_vSwitch")
            theirs = connection.Connection(idl, timeout=10)
            api = type("Api", (impl_idl.OvsdbIdl,), {"_ovsdb_connection": None})(theirs)
            try:
                command = WiringCommand(api, PLUG)
                with api.transaction(check_error=True) as transaction:
                    transaction.add(api.add_br("br-theirs"))
                    transaction.add(command)
                assert (command.attempts, command.result.is_empty) == (1, False)
            finally:
                theirs.stop()
        with connected(node.connection) as one, connected(other.connection) as two:
            one.apply(Wiring(unplugged=(GonePort(name="v1"),)), timeout_s=LIMIT_S)
            assert two.apply(PLUG, timeout_s=LIMIT_S).changes.is_empty
        assert (node.ports(), other.ports()) == ([], ["v1"])
        assert "br-theirs" in node.vsctl("list-br").split()
