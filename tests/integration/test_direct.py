"""What `DirectNb` does by itself, on real servers; what it has in common with `OvsdbNb` is tested with that."""

from __future__ import annotations

import json
import random
import threading
import time
from functools import partial
from typing import Any, Literal

import pytest
from faulty_link import FaultyLink
from nb_world import LIMIT_S, connected, decide, meddled, names, network, reconcile, routed, wait_until
from raft import Cluster

from ovnk8s_topo import Layer2, Layer3, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import DirectNb, MemoryNb, OvsdbNb, replica_rows, told_rows
from ovnk8s_topo.backends.contract import Committed, Decide
from ovnk8s_topo.backends.follower import Follower
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.errors import BackendUnavailable
from ovnk8s_topo.live.watch import Watch
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import Key, Row
from ovnk8s_topo.testing import LocalOvn


def read(nb: DirectNb) -> Snapshot:
    return nb.snapshot(timeout_s=LIMIT_S)


def is_read(nb: DirectNb, expected: Snapshot) -> bool:
    return read(nb) == expected


# --- large messages ---


@pytest.mark.parametrize("splits", [False, True], ids=["whole", "in pieces"])
def test_large_messages_give_the_same_rows_as_small_ones(local_ovn_nb: LocalOvn, splits: bool) -> None:
    rows = [*network("é", 3000 if not splits else 400), *routed("b")]
    with FaultyLink(local_ovn_nb.nb) as link, connected(DirectNb, link.connection) as watching:
        link.splits = splits
        with DirectNb(local_ovn_nb.nb) as writing, MemoryNb() as memory:
            reconcile(writing, rows)
            reconcile(memory, rows)
            expected = memory.snapshot(timeout_s=0)
            assert read(writing) == expected
            with DirectNb(link.connection) as late:
                assert read(late) == expected
            wait_until(lambda: len(read(watching).rows) == len(rows))
            assert read(watching) == expected
            reconcile(writing, [], prune=True)
            wait_until(lambda: not read(watching).rows)


def test_a_large_transaction_does_not_wait_for_who_waits_for_something_else(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        failures: list[BaseException] = []

        def wait() -> None:
            try:
                nb.wait("sb", 1, timeout_s=LIMIT_S)
            except BaseException as failure:
                failures.append(failure)

        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: nb._line._reader is not None)
        reconcile(nb, network("a", 5000))
        local_ovn_nb.nbctl("--", "set", "NB_Global", ".", "sb_cfg=1")
        waiting.join()
        assert failures == []
        assert len(read(nb).rows) == 5001


def test_a_server_that_falls_silent_is_found_out_by_nobody_but_our_thread(local_ovn_nb: LocalOvn) -> None:
    with FaultyLink(local_ovn_nb.nb) as link, connected(DirectNb, link.connection, probe_interval_s=1) as nb:
        link.swallows = True
        wait_until(lambda: not nb._line._follower.complete)
        assert link.fired
        link.swallows = False
        reconcile(nb, network("a"))


# --- changes ---


def test_the_copy_follows_whatever_others_do(local_ovn_nb: LocalOvn) -> None:
    """Random changes, by ovsdb-server's own hand; a connection that was there all along and a new one agree."""
    dice = random.Random(5)
    with connected(DirectNb, local_ovn_nb.nb) as nb, connected(DirectNb, local_ovn_nb.nb) as other:
        reconcile(nb, [*network("a", 4), *network("b", 3), *routed("c")])
        held = [(read(nb), dict(read(nb).rows))]
        for _ in range(30):
            change = [word for _ in range(dice.randint(1, 4)) for word in ("--", *a_change(dice, read(nb)))]
            local_ovn_nb.nbctl(*change[1:])
            with OvsdbNb(local_ovn_nb.nb) as fresh:
                expected = fresh.snapshot(timeout_s=LIMIT_S)
            wait_until(partial(is_read, nb, expected))
            held.append((read(nb), dict(expected.rows)))
            assert read(other) == expected
    for number, (old, was) in enumerate(held):
        assert dict(old.rows) == was
        for new, now in held[number:]:
            changed = new.changed_since(old.serial)
            assert changed is not None
            assert {uuid for uuid in {*was, *now} if was.get(uuid) != now.get(uuid)} <= changed


def a_change(dice: random.Random, actual: Snapshot) -> tuple[str, ...]:
    ports = [stored.uuid for stored in actual.table("Logical_Switch_Port")]
    switches = [stored.uuid for stored in actual.table("Logical_Switch")]
    port, switch, number = dice.choice([*ports, "none"]), dice.choice(switches), dice.randrange(4)
    changes = [
        ("add", "Logical_Switch", switch, "external_ids", f"k{number}=v"),
        ("remove", "Logical_Switch", switch, "external_ids", f"k{number}"),
        ("set", "Logical_Switch", switch, f"other_config:k{number}={dice.randrange(3)}"),
        ("set", "Logical_Switch", switch, f"name=n{dice.randrange(1000)}"),
        ("lsp-add", switch, f"p{dice.randrange(10**9)}"),
        ("--if-exists", "lsp-del", port),
        ("--if-exists", "remove", "Logical_Switch_Port", port, "addresses", "unknown"),
        ("--if-exists", "set", "Logical_Switch_Port", port, f"addresses=unknown,dynamic,r{number}", "tag_request=[]"),
        ("--if-exists", "set", "Logical_Switch_Port", port, f"tag_request={number}", "type=router"),
        ("--if-exists", "clear", "Logical_Switch_Port", port, "tag_request"),
        ("acl-add", switch, "to-lport", str(dice.randrange(1000)), f"ip4.src==10.0.0.{dice.randrange(250)}", "drop"),
    ]
    return dice.choice(changes)


def test_one_port_does_not_read_the_others(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        reconcile(nb, network("a", 50))
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        rows = nb._line._follower.rows
        assert rows._decoded == {}
        before = read(nb)
        local_ovn_nb.nbctl("lsp-add", "a", "new")
        wait_until(lambda: read(nb).named(Key("Logical_Switch_Port", "new")))
        after = read(nb)
        (new,) = after.named(Key("Logical_Switch_Port", "new"))
        assert after.changed_since(before.serial) == frozenset({new.uuid})
        assert {stored.key.name for stored in rows._decoded.values()} == {"a", "new"}


def test_ports_that_are_told_as_they_were_written_are_not_read(
    local_ovn_nb: LocalOvn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [Pod(name=f"p{number}", node="n", uid=f"u-{number}", networks="l2") for number in range(20)]
    flat = Layer2(name="l2", subnets="10.0.0.0/24,fd00::/64")
    topology = Topology(networks=[flat], nodes=[Node(name="n")], pods=pods)
    read_texts: list[str] = []
    from_text = replica_rows._from_text

    def counted(text: str) -> Any:
        read_texts.append(text)
        return from_text(text)

    with connected(DirectNb, local_ovn_nb.nb) as nb:
        me = Reconciler(nb, timeout_s=LIMIT_S)
        assert len(me.apply(topology).changes) > len(pods)
        read(nb)
        monkeypatch.setattr(replica_rows, "_from_text", counted)
        assert me.apply(topology).status == "unchanged"
        assert [text for text in read_texts if "iface-id-ver" in text] == []
        # What has become another row is seen, though.
        port = "default.l2_default_p7"
        local_ovn_nb.nbctl("lsp-set-type", port, "router")
        wait_until(lambda: me.apply(topology).changes)
        assert any(port in text for text in read_texts)


@pytest.mark.parametrize("atomic", ["topology", "unit"])
def test_rows_that_are_told_as_they_were_sent_are_neither_read_nor_written_again(
    local_ovn_nb: LocalOvn, monkeypatch: pytest.MonkeyPatch, atomic: Literal["topology", "unit"]
) -> None:
    pods = [Pod(name=f"p{number}", node=f"n{number % 3}", uid=f"u-{number}", networks="l3") for number in range(700)]
    nodes = [Node(name=f"n{number}") for number in range(3)]
    topology = Topology(networks=[Layer3(name="l3", subnets="10.0.0.0/16/23,fd00::/56")], nodes=nodes, pods=pods)
    written: list[Row] = []
    text = told_rows.ToldRows.text

    def counted(self: told_rows.ToldRows, row: Row) -> str:
        written.append(row)
        return text(self, row)

    known: list[str] = []
    keep_known = Follower.keep_known

    def not_read(self: Follower, table: str, uuid: str, text: str) -> None:
        known.append(uuid)
        keep_known(self, table, uuid, text)

    monkeypatch.setattr(told_rows.ToldRows, "text", counted)
    monkeypatch.setattr(Follower, "keep_known", not_read)
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        me = Reconciler(nb, timeout_s=LIMIT_S)
        me.apply(topology, atomic=atomic)
        assert me.apply(topology).status == "unchanged"
        assert len(written) < 50
        assert len(known) >= len(pods)
        me.destroy()
        me.apply(topology, atomic=atomic)
        # One of them is another row before anybody has looked at it.
        local_ovn_nb.nbctl("lsp-set-type", "default.l3_default_p7", "router")
        wait_until(lambda: me.apply(topology).changes)
        assert me.verify(topology).changes.is_empty


@pytest.mark.parametrize("ports", [2, 600])
def test_nothing_is_sent_once_it_is_closed(local_ovn_nb: LocalOvn, ports: int) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb, pytest.raises(BackendUnavailable, match="was closed"):
        nb.commit(meddled(decide(network("a", ports)), nb.close), timeout_s=LIMIT_S)
    with connected(DirectNb, local_ovn_nb.nb) as other:
        assert not read(other).rows


@pytest.mark.parametrize("timeout_s", [3e6, 1e10, float("inf")])
def test_a_deadline_may_be_far_away(local_ovn_nb: LocalOvn, timeout_s: float) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        for ports in (2, 600):
            assert len(reconcile(nb, network(f"s{ports}", ports), timeout_s=timeout_s).changes) == ports + 1
        waiting = [threading.Thread(target=nb.wait, args=("sb", 1), kwargs={"timeout_s": timeout_s}) for _ in "ab"]
        for thread in waiting:
            thread.start()
        wait_until(lambda: nb._line._sleepers)
        local_ovn_nb.nbctl("init", "--", "set", "NB_Global", ".", "sb_cfg=1")
        for thread in waiting:
            thread.join(LIMIT_S)
            assert not thread.is_alive()


def test_a_reader_that_comes_between_two_transactions_sees_whole_ones(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        stop = threading.Event()
        seen: set[tuple[int, int]] = set()

        def look() -> None:
            while not stop.is_set():
                actual = read(nb)
                switches = list(actual.table("Logical_Switch"))
                seen.add((len(switches), sum(len(actual.children(switch.uuid)) for switch in switches)))

        readers = [threading.Thread(target=look) for _ in range(3)]
        for reader in readers:
            reader.start()
        try:
            for number in range(30):
                reconcile(nb, network("a", 20) if number % 2 else [], prune=True)
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert seen <= {(0, 0), (1, 20)}


def test_one_object_may_be_used_from_several_threads(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        failures: list[BaseException] = []

        def write(owner: str) -> None:
            try:
                for number in range(25):
                    reconcile(nb, network(owner, number % 3), owner)
                    (switch,) = nb.snapshot(timeout_s=0).named(Key("Logical_Switch", owner))
                    assert switch.row.get("name") == owner
            except BaseException as failure:
                failures.append(failure)

        writers = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert failures == []
        assert names(read(nb), "Logical_Switch") == ["w0", "w1", "w2", "w3"]


# --- servers that only know older ways ---


class OldServer(FaultyLink):
    """A link behind which some methods are not known."""

    def __init__(self, connection: str, unknown: list[bytes]) -> None:
        super().__init__(connection)
        self.unknown = unknown

    def request(self, received: bytes) -> bytes:
        for method in self.unknown:
            self.fired += received.count(b'"' + method + b'"')
            received = received.replace(b'"' + method + b'"', b'"' + b"x" * len(method) + b'"')
        return received


@pytest.mark.parametrize("unknown", [[b"monitor_cond_since"], [b"monitor_cond_since", b"monitor_cond"]])
def test_servers_before_ovs_2_12_and_2_6(local_ovn_nb: LocalOvn, unknown: list[bytes]) -> None:
    with OldServer(local_ovn_nb.nb, unknown) as link, connected(DirectNb, link.connection) as nb:
        reconcile(nb, [*network("a", 400), *routed("b")])
        reconcile(nb, [*network("a", 3), *network("c")], prune=True)
        local_ovn_nb.nbctl("set", "Logical_Switch", "a", "external_ids:k=v")
        wait_until(lambda: "k" in external_ids(read(nb), "a"))
        with connected(OvsdbNb, local_ovn_nb.nb) as other:
            assert read(nb) == other.snapshot(timeout_s=LIMIT_S)
        link.drop()
        assert names(read(nb), "Logical_Switch") == ["a", "c"]
        assert link.fired >= 2 * len(unknown)


def test_a_broken_connection_costs_events_only_what_has_changed(local_ovn_nb: LocalOvn) -> None:
    pods = [Pod(name=f"p{number}", node="n", networks="l2") for number in range(4)]
    topology = Topology(networks=[Layer2(name="l2", subnets="10.0.0.0/24")], nodes=[Node(name="n")], pods=pods[:2])
    with FaultyLink(local_ovn_nb.nb) as link, connected(DirectNb, link.connection) as nb:
        me = Reconciler(nb, timeout_s=LIMIT_S)
        me.apply(topology)
        me.put(pods[2])
        engine = me._engine
        assert engine is not None
        link.drop()
        me.put(pods[3])
        ways = [engine.way]
        link.close()
        wait_until(lambda: not nb._line._follower.complete)
        local_ovn_nb.nbctl("lsp-set-type", "default.l2_default_p0", "router")
        link.is_open = True
        changed = me.remove(pods[3]).changes
        ways.append(engine.way)
        assert [change.key.name for change in changed] == ["default.l2_default_p0", "default.l2_default_p3"]
        assert ways == ["attachments", "networks"]
        assert me._engine is engine
        wanted = Topology(networks=topology.networks, nodes=topology.nodes, pods=pods[:3])
        assert me.verify(wanted).changes.is_empty


def test_a_pod_that_comes_or_goes_alone_is_not_looked_for_again(
    local_ovn_nb: LocalOvn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (Pod(name=f"p{number}", node="n", uid=f"u{number}", networks="l2") for number in range(3))
    topology = Topology(networks=[Layer2(name="l2", subnets="10.0.0.0/24")], nodes=[Node(name="n")], pods=[first])
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        me = Reconciler(nb, timeout_s=LIMIT_S)
        me.apply(topology)
        me.put(second)
        me.put(third)  # looks for what the first event of all has done
        me.remove(third)
        monkeypatch.setattr(Watch, "confirms", lambda *_: pytest.fail("looked for"))
        for _ in range(3):
            me.put(third)
            me.remove(third)
        assert me.verify(topology.model_copy(update={"pods": (first, second)})).changes.is_empty


def test_what_others_did_between_reading_and_sending_is_seen_by_the_next_event(
    local_ovn_nb: LocalOvn, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [Pod(name=f"p{number}", node="n", networks="l2") for number in range(4)]
    topology = Topology(networks=[Layer2(name="l2", subnets="10.0.0.0/24")], nodes=[Node(name="n")], pods=pods[:2])
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        me = Reconciler(nb, timeout_s=LIMIT_S)
        me.apply(topology)
        me.put(pods[2])

        def decided(decide: Decide, **options: Any) -> Committed:
            def late(actual: Snapshot) -> ChangeSet:
                changes = decide(actual)
                local_ovn_nb.nbctl("lsp-del", "default.l2_default_p0")
                wait_until(lambda: len(read(nb).rows) < len(actual.rows))
                return changes

            return commit(late, **options)

        commit = nb.commit
        with monkeypatch.context() as patch:
            patch.setattr(nb, "commit", decided)
            assert [change.key.name for change in me.put(pods[3]).changes] == ["default.l2_default_p3"]
        changed = me.remove(pods[3]).changes
        assert [change.key.name for change in changed] == ["default.l2_default_p0", "default.l2_default_p3"]


def external_ids(actual: Snapshot, name: str) -> Any:
    (stored,) = actual.named(Key("Logical_Switch", name))
    return stored.row.get("external_ids")


# --- clusters ---


def test_a_cluster_whose_leader_goes() -> None:
    with Cluster(3) as cluster, connected(DirectNb, ",".join(cluster.remotes)) as nb:
        reconcile(nb, network("a"))
        leader = cluster.leader()
        with DirectNb(cluster.remotes[leader - 1]) as stranger, pytest.raises(BackendUnavailable, match="leader"):
            stranger.snapshot(timeout_s=0.5)
        with connected(DirectNb, cluster.remotes[leader - 1], leader_only=False) as reader:
            wait_until(lambda: names(read(reader), "Logical_Switch") == ["a"])
        cluster.servers[leader].kill()
        reconcile(nb, [*network("a"), *network("b")])
        assert names(read(nb), "Logical_Switch") == ["a", "b"]
        assert cluster.leader() != leader


def test_a_reconnect_to_a_cluster_brings_only_what_is_new() -> None:
    with Cluster(1) as cluster, FaultyLink(cluster.remotes[0]) as link, connected(DirectNb, link.connection) as nb:
        reconcile(nb, network("a"))
        before = read(nb)
        with DirectNb(cluster.remotes[0]) as other:
            link.close()
            with pytest.raises(BackendUnavailable):
                nb.snapshot(timeout_s=0.3)
            reconcile(other, [*network("a"), *network("b", 0)])
            link.is_open = True
            actual = read(nb)
            (b,) = actual.named(Key("Logical_Switch", "b"))
            assert actual.changed_since(before.serial) == frozenset({b.uuid})
            assert dict(before.rows) == {uuid: stored for uuid, stored in actual.rows.items() if uuid != b.uuid}
            reconcile(nb, network("b", 1))
        assert link.fired


# --- memory and live ---


def test_serials_of_both_kinds_of_backends_tell_the_same(local_ovn_nb: LocalOvn) -> None:
    worlds = [network("a"), [*network("a", 3), *routed("b")], routed("b"), [], routed("b")]
    found: list[list[Any]] = []
    with connected(DirectNb, local_ovn_nb.nb) as live, MemoryNb() as memory:
        for nb in (live, memory):
            start, changes = nb.snapshot(timeout_s=LIMIT_S), []
            for world in worlds:
                before = nb.snapshot(timeout_s=LIMIT_S)
                reconcile(nb, world, prune=True)
                after = nb.snapshot(timeout_s=LIMIT_S)
                assert after.serial > before.serial > 0
                changes.append([sorted(after.changed_since(s.serial) or ()) for s in (before, start)])
                assert before.changed_since(after.serial) is None
            found.append(changes)
    assert found[0] == found[1]


def test_deciding_on_a_snapshot_of_before_is_found_out(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb:
        old = read(nb)
        reconcile(nb, network("a"))
        seen: list[int] = []

        def late(actual: Snapshot) -> ChangeSet:
            seen.append(actual.serial)
            return decide(network("a"))(old if len(seen) == 1 else actual)

        committed = nb.commit(late, timeout_s=LIMIT_S)
        assert (committed.attempts, committed.changes.is_empty) == (2, True)
        assert json.dumps(sorted(old.rows)) == "[]"


def test_a_snapshot_shows_all_that_happened_while_nobody_looked(local_ovn_nb: LocalOvn) -> None:
    """Also what the server could not send yet, since more had happened than fits into the socket."""
    with connected(DirectNb, local_ovn_nb.nb) as nb, connected(DirectNb, local_ovn_nb.nb) as other:
        for _ in range(20):
            reconcile(other, network("come and gone", 300))
            reconcile(other, [], prune=True)
        # The server tells others after the one who wrote, but before it serves him again.
        reconcile(other, network("last"))
        assert "come and gone" not in names(read(nb), "Logical_Switch")


def test_a_look_without_time_takes_in_what_is_there(local_ovn_nb: LocalOvn) -> None:
    with connected(DirectNb, local_ovn_nb.nb) as nb, connected(DirectNb, local_ovn_nb.nb) as other:
        for ports in (400, 0, 400):
            reconcile(other, network("a", ports), prune=True)
            local_ovn_nb.nbctl("show")
            assert len(nb.snapshot(timeout_s=0).rows) in (1, 401)


def test_a_link_that_breaks_now_and_then_is_not_waited_for_longer_each_time(local_ovn_nb: LocalOvn) -> None:
    with FaultyLink(local_ovn_nb.nb) as link, connected(DirectNb, link.connection) as nb:
        backoffs = []
        for _ in range(4):
            time.sleep(0.3)
            link.drop()
            reconcile(nb, network("a"))
            backoffs.append(nb._line._session.reconnect.backoff)
        assert set(backoffs) == {100}
