"""The second connection, on which `DirectNb` sends long transactions: on real servers, and when links break."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faulty_link import FaultyLink
from nb_world import LIMIT_S, connected, decide, meddled, names, network, reconcile, routed, wait_until

from ovnk8s_topo import Layer2, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import DirectNb, MemoryNb, OvsdbNb
from ovnk8s_topo.backends import lane as lane_module
from ovnk8s_topo.backends import line as line_module
from ovnk8s_topo.backends.lane import Lane
from ovnk8s_topo.backends.operations import Note
from ovnk8s_topo.backends.ovsdb_wire import WireSession
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.errors import BackendUnavailable, NotReached, OutcomeUnknown, RowError
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import Key, LogicalSwitchPort, Row
from ovnk8s_topo.testing import LocalOvn

GRACE_S = 0.5

PORTS = 2000
"""Some 0.6 MB on the wire: more than the kernel holds for a server that does not read."""

LARGE = network("a", PORTS)


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[Lane]:
    """The lanes made in this test; from 100 operations on a transaction gets one."""
    made: list[Lane] = []

    class Counted(Lane):
        def __init__(self, session: WireSession, note: Note) -> None:
            super().__init__(session, note)
            made.append(self)

    monkeypatch.setattr(line_module, "Lane", Counted)
    monkeypatch.setattr(line_module, "_MANY", 100)
    monkeypatch.setattr(lane_module, "_MOST_UNSENT", 10_000)
    return made


@pytest.fixture(autouse=True)
def nothing_leaks(local_ovn_nb: LocalOvn) -> Iterator[None]:
    threads, sockets = threading.active_count(), open_sockets()
    yield
    assert threading.active_count() == threads
    assert open_sockets() == sockets


def open_sockets() -> set[str]:
    """Not all files: libuuid keeps one for each thread that python-ovs makes uuids in."""
    found = (Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd"))
    return {target for path in found if path.is_symlink() and (target := os.readlink(path)).startswith("socket:")}


@contextmanager
def ends_by(deadline_s: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started <= deadline_s + GRACE_S


def read(nb: DirectNb) -> Snapshot:
    return nb.snapshot(timeout_s=LIMIT_S)


def ports_of(nb: DirectNb) -> int:
    return len(names(read(nb), "Logical_Switch_Port"))


def pieces(changes: ChangeSet) -> Iterator[ChangeSet]:
    """Cut into batches of 150; a switch and its router come first."""
    for start in range(0, len(changes), 150):
        yield ChangeSet(changes.changes[start : start + 150], changes.uuids)


# --- what it does ---


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_long_transaction_is_in_the_next_snapshot(
    local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool
) -> None:
    cut = pieces if in_batches else None
    rows = [*LARGE, *routed("é☃")]
    with connected(DirectNb, local_ovn_nb.nb) as nb, MemoryNb() as memory:
        for wanted in (rows, network("a", PORTS // 2), rows):
            committed = nb.commit(decide(wanted, prune=True), timeout_s=LIMIT_S, cut=cut)
            actual = nb.snapshot(timeout_s=LIMIT_S)
            assert committed.changes == memory.commit(decide(wanted, prune=True), timeout_s=LIMIT_S, cut=cut).changes
            assert actual == memory.snapshot(timeout_s=0)
        assert len(lanes) == 3
        sent = local_ovn_nb.txn_requests()
        assert reconcile(nb, rows, prune=True).changes.is_empty
        assert local_ovn_nb.txn_requests() == sent


def test_a_confirmation_on_a_lane(local_ovn_nb: LocalOvn, lanes: list[Lane]) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        committed = nb.commit(decide(network("a", 200)), timeout_s=LIMIT_S, confirm=True)
        assert read(nb).nb_cfg == committed.nb_cfg > 0
        again = nb.commit(decide(network("b", 400)), timeout_s=LIMIT_S, confirm=True, cut=pieces)
        assert read(nb).nb_cfg == again.nb_cfg == committed.nb_cfg + 1
    assert len(lanes) == 2


def test_small_transactions_need_no_lane(local_ovn_nb: LocalOvn, lanes: list[Lane]) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        reconcile(nb, network("a", 50))
    assert lanes == []


def test_readers_get_snapshots_while_a_lane_is_busy(local_ovn_nb: LocalOvn, lanes: list[Lane]) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        reconcile(nb, network("b", 3))
        local_ovn_nb.freeze()
        found: list[BaseException | None] = []

        def write() -> None:
            reconcile(nb, LARGE)
            found.append(None)

        writer = threading.Thread(target=write)
        writer.start()
        while not lanes and writer.is_alive():
            time.sleep(0.001)
        for _ in range(50):
            with ends_by(0):
                assert names(nb.snapshot(timeout_s=0.2), "Logical_Switch") == ["b"]
        assert not found
        local_ovn_nb.thaw()
        seen = set()
        while writer.is_alive():
            seen.add(ports_of(nb))
        writer.join()
        assert found == [None]
        assert seen <= {3, PORTS + 3}
        assert ports_of(nb) == PORTS + 3


def test_readers_do_not_wait_for_a_server_that_was_held_off(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        reconcile(nb, network("b", 3))
        read(nb)
        with nb._line._lane(1):
            time.sleep(0.1)  # for the server to answer at length
            local_ovn_nb.freeze()
            for _ in range(20):
                with ends_by(0):
                    assert names(nb.snapshot(timeout_s=0.2), "Logical_Switch") == ["b"]
            local_ovn_nb.thaw()
        assert ports_of(nb) == 3


def test_who_commits_beside_a_lane_sees_what_it_did(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb, connected(OvsdbNb, local_ovn_nb.nb) as other:
        read(nb)
        with nb._line._lane(PORTS):
            assert nb._line._follower.is_away
            reconcile(nb, network("a", 3))
            assert ports_of(nb) == 3
            assert not nb._line._follower.is_away
            # From now on it is told of others, too.
            reconcile(other, network("b", 1))
            wait_until(lambda: ports_of(nb) == 4)
        assert ports_of(nb) == 4


def test_others_are_seen_after_a_lane_and_in_the_next_attempt(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb, connected(OvsdbNb, local_ovn_nb.nb) as other:
        before = read(nb)
        with nb._line._lane(PORTS):
            reconcile(other, network("a", 1))
            assert read(nb) == before
            committed = nb.commit(decide(network("a", 2)), timeout_s=LIMIT_S)
            assert committed.attempts == 2
            assert ports_of(nb) == 2
        with nb._line._lane(PORTS):
            reconcile(other, network("b", 1))
        assert ports_of(nb) == 3
        changed = read(nb).changed_since(before.serial)
        assert changed is not None
        assert changed == read(nb).rows.keys()


def test_a_confirmation_is_awaited_beside_a_lane(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        nb_cfg = nb.commit(decide(network("a", 1)), timeout_s=LIMIT_S, confirm=True).nb_cfg
        with nb._line._lane(PORTS):
            local_ovn_nb.nbctl("set", "NB_Global", ".", f"sb_cfg={nb_cfg}")
            nb.wait("sb", nb_cfg, timeout_s=LIMIT_S)


def test_readers_do_not_wait_for_who_waits_for_a_confirmation(local_ovn_nb: LocalOvn, lanes: list[Lane]) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        reconcile(nb, network("b", 3))
        read(nb)
        local_ovn_nb.freeze()
        writing = threading.Thread(target=reconcile, args=(nb, LARGE))
        writing.start()
        wait_until(lambda: nb._line._follower.is_away)
        with pytest.raises(NotReached):
            nb.wait("sb", 1, timeout_s=0.2)
        assert not nb._line._follower.is_away
        with ends_by(0):
            assert names(nb.snapshot(timeout_s=0.2), "Logical_Switch") == ["b"]
        local_ovn_nb.thaw()
        writing.join()
        assert ports_of(nb) == PORTS + 3


@pytest.mark.parametrize("by_events", [False, True], ids=["the same again", "an event behind events"])
def test_a_row_that_somebody_deletes_before_we_have_seen_it(
    local_ovn_nb: LocalOvn, monkeypatch: pytest.MonkeyPatch, by_events: bool
) -> None:
    class Meddled(Lane):
        def close(self) -> None:
            local_ovn_nb.nbctl("lsp-del", "default.l2_default_p5")
            super().close()

    monkeypatch.setattr(line_module, "Lane", Meddled)
    monkeypatch.setattr(line_module, "_MANY", 100)
    pods = [Pod(name=f"p{number}", node="n", networks="l2") for number in range(150)]
    flat, port = Layer2(name="l2", subnets="10.0.0.0/16"), Key("Logical_Switch_Port", "default.l2_default_p5")
    few, most, every = (Topology(networks=[flat], nodes=[Node(name="n")], pods=pods[:n]) for n in (1, 149, 150))
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        me = Reconciler(nb, timeout_s=LIMIT_S)
        if by_events:
            me.apply(few)
            me.put(pods[1])
            with me.batch() as batch:
                batch.put(*pods[2:149])
        else:
            me.apply(most)
        assert not read(nb).named(port)
        if by_events:
            me.put(pods[149])
        else:
            assert me.apply(most).status == "applied"
        assert read(nb).named(port)
        assert me.verify(every if by_events else most).is_empty


def test_two_lanes_at_once(local_ovn_nb: LocalOvn, lanes: list[Lane]) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        failures: list[BaseException] = []

        def write(name: str) -> None:
            try:
                for count in (500, 0, 400):
                    reconcile(nb, network(name, count), name, prune=True)
                    found = [port for port in names(read(nb), "Logical_Switch_Port") if port.startswith(f"{name}-")]
                    assert len(found) == count
            except BaseException as failure:
                failures.append(failure)

        writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert failures == []
    assert len(lanes) >= 6


def test_tls(lanes: list[Lane]) -> None:
    with LocalOvn(tls=True) as ovn:
        files = ovn.client_tls
        options = {"ca_cert": str(files.ca), "certificate": str(files.certificate), "private_key": str(files.key)}
        with connected(DirectNb, ovn.ssl, **options) as nb:
            reconcile(nb, LARGE)
            assert ports_of(nb) == PORTS
            nb.commit(decide([], prune=True), timeout_s=LIMIT_S, cut=pieces)
            assert read(nb).rows == {}
    assert len(lanes) == 2


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_bad_row_at_the_end_ends_the_transaction(local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool) -> None:
    # By its table and name it is the last that is made, when megabytes are with the server already.
    bad: list[Row] = [*LARGE, LogicalSwitchPort(name="zzz", parent="a", tag_request=9999)]
    before = local_ovn_nb.transaction_count()
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        with pytest.raises(RowError, match="tag_request"):
            nb.commit(decide(bad), timeout_s=LIMIT_S, cut=pieces if in_batches else None)
        assert len(lanes) == (0 if in_batches else 1)
        assert read(nb).rows == {}
        assert local_ovn_nb.transaction_count() == before
        nb.commit(decide(LARGE), timeout_s=LIMIT_S)
        assert len(read(nb).rows) == len(LARGE)


def test_one_lane_after_the_other(local_ovn_nb: LocalOvn, lanes: list[Lane]) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        for number in range(1, 4):
            # Each holds off what the server has to tell, and the next snapshot has it all the same.
            nb.commit(decide(network(f"n{number}", 400)), timeout_s=LIMIT_S)
            assert ports_of(nb) == number * 400
    assert len(lanes) == 3


# --- other writers ---


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_another_writer_is_faster(local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb, connected(OvsdbNb, local_ovn_nb.nb) as other:
        meddling = meddled(decide(LARGE), lambda: reconcile(other, network("a", 1)))
        committed = nb.commit(meddling, timeout_s=LIMIT_S, cut=pieces if in_batches else None)
        assert committed.attempts == 2
        assert sorted(change.key.name for change in committed.changes) == sorted(
            row.key.name for row in LARGE if row.key.name not in ("a", "a-p0")
        )
        assert ports_of(nb) == PORTS
    assert local_ovn_nb.nbctl("--bare", "--columns=name", "list", "Logical_Switch").split() == ["a"]


# --- servers that do not answer ---


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_server_that_stops_while_it_is_sent_to(local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        local_ovn_nb.freeze()
        # Cut, some batches are whole on their way, and nobody knows; whole, the end of the message was never sent.
        expected = OutcomeUnknown if in_batches else BackendUnavailable
        with ends_by(0.5), pytest.raises(expected):
            nb.commit(decide(LARGE), timeout_s=0.5, cut=pieces if in_batches else None)
        with ends_by(0.2), pytest.raises(BackendUnavailable):
            reconcile(nb, LARGE, timeout_s=0.2)
        local_ovn_nb.thaw()
        reconcile(nb, LARGE)
        assert ports_of(nb) == PORTS
        assert reconcile(nb, LARGE).changes.is_empty
    assert lanes


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_server_that_stops_before_it_answers(local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool) -> None:
    rows = network("a", 300)  # fits into the kernel's buffers
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        local_ovn_nb.freeze()
        with ends_by(0.5), pytest.raises(OutcomeUnknown):
            nb.commit(decide(rows), timeout_s=0.5, cut=pieces if in_batches else None)
        local_ovn_nb.thaw()
        reconcile(nb, rows)
        assert ports_of(nb) == 300
        assert reconcile(nb, rows).changes.is_empty
    assert lanes


@pytest.mark.parametrize("rows", [LARGE, network("a", 300)], ids=["sending", "waiting"])
def test_closing_ends_a_call_on_a_lane(local_ovn_nb: LocalOvn, lanes: list[Lane], rows: list[Row]) -> None:
    expected = BackendUnavailable if rows is LARGE else OutcomeUnknown
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        local_ovn_nb.freeze()
        closer = threading.Timer(0.3, nb.close)
        closer.start()
        with ends_by(0.3), pytest.raises(expected):
            reconcile(nb, rows)
        closer.join()
    assert len(lanes) == 1


# --- links that break ---


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_link_that_breaks_in_the_middle_of_a_message(
    local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool
) -> None:
    with FaultyLink(local_ovn_nb.nb) as link, connected(DirectNb, link.connection) as nb:
        link.halves = 1
        sent = local_ovn_nb.txn_requests()
        committed = nb.commit(decide(LARGE), timeout_s=LIMIT_S, cut=pieces if in_batches else None)
        assert (link.fired, link.halves) == (1, 0)
        assert committed.attempts == 2
        assert sorted(change.key.name for change in committed.changes) == sorted(row.key.name for row in LARGE)
        if not in_batches:
            assert local_ovn_nb.txn_requests() == sent + 1
        assert ports_of(nb) == PORTS
        assert reconcile(nb, LARGE).changes.is_empty
        # The lane comes again once its turn on the line is over.
        reconcile(nb, [], prune=True)
    assert len(lanes) == 2


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_link_that_breaks_before_the_answer(local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool) -> None:
    """What was written is found by reading, and the result names it, each change once."""
    with FaultyLink(local_ovn_nb.nb) as link, connected(DirectNb, link.connection) as nb:
        link.late_cuts = 1
        committed = nb.commit(decide(LARGE), timeout_s=LIMIT_S, cut=pieces if in_batches else None)
        assert (link.fired, link.late_cuts) == (1, 0)
        assert committed.attempts >= 2
        assert sorted(change.key.name for change in committed.changes) == sorted(row.key.name for row in LARGE)
        assert ports_of(nb) == PORTS
        assert reconcile(nb, LARGE).changes.is_empty
    assert lanes


@pytest.mark.parametrize("in_batches", [False, True], ids=["whole", "batches"])
def test_a_server_that_takes_no_second_connection(local_ovn_nb: LocalOvn, lanes: list[Lane], in_batches: bool) -> None:
    with FaultyLink(local_ovn_nb.nb) as link, connected(DirectNb, link.connection) as nb:
        link.is_open = False
        committed = nb.commit(decide(LARGE), timeout_s=LIMIT_S, cut=pieces if in_batches else None)
        assert (committed.attempts, len(committed.changes)) == (2, len(LARGE))
        assert ports_of(nb) == PORTS
        assert link.fired == 1
    assert len(lanes) == 1


def test_a_server_that_is_gone_when_the_lane_is_made(local_ovn_nb: LocalOvn, lanes: list[Lane]) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        with ends_by(0.5), pytest.raises(BackendUnavailable):
            nb.commit(meddled(decide(LARGE), local_ovn_nb.kill), timeout_s=0.5)
        local_ovn_nb.restart()
        reconcile(nb, LARGE)
        assert ports_of(nb) == PORTS
    assert lanes
