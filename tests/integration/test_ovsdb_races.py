from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from nb_world import LIMIT_S, Live, connected, decide, names, network, reconcile, routed

from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.errors import OwnershipError
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import OWNER_KEY, Key, LogicalSwitchPort, Row
from ovnk8s_topo.testing import LocalOvn


def together(works: list[Callable[[], None]]) -> None:
    """Run all at once; the first failure of any of them is raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Writers:
    """Several connections that all make the same networks, name by name, at the same time."""

    def __init__(self, connections: Sequence[NbBackend], owners: list[str], rows: Callable[[str], list[Row]]) -> None:
        self.connections, self.owners, self.rows = connections, owners, rows
        self.barrier = threading.Barrier(len(connections))
        self.attempts = self.commits = self.refused = 0
        self.lock = threading.Lock()

    def run(self, wanted: list[str]) -> None:
        pairs = zip(self.connections, self.owners, strict=True)
        together([lambda nb=nb, owner=owner: self.write(nb, owner, wanted) for nb, owner in pairs])  # type: ignore[misc]

    def write(self, nb: NbBackend, owner: str, wanted: list[str]) -> None:
        for name in wanted:
            self.barrier.wait(LIMIT_S)
            try:
                attempts, refused = reconcile(nb, self.rows(name), owner).attempts, 0
            except OwnershipError:
                attempts, refused = 1, 1
            with self.lock:
                self.commits += 1
                self.attempts += attempts
                self.refused += refused


def listed(ovn: LocalOvn, table: str) -> list[str]:
    return sorted(ovn.nbctl("--bare", "--columns=name", "list", table).split())


@pytest.mark.parametrize(("writers", "count"), [(2, 100), (8, 25)])
def test_writers_of_one_owner_make_every_row_once(live: Live, local_ovn_nb: LocalOvn, writers: int, count: int) -> None:
    wanted = [f"net{number:02}" for number in range(count)]
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(live, local_ovn_nb.nb)) for _ in range(writers)]
        race = Writers(connections, ["me"] * writers, routed)
        race.run(wanted)
        assert listed(local_ovn_nb, "Logical_Switch") == wanted
        assert listed(local_ovn_nb, "Logical_Router") == [f"{name}-r" for name in wanted]
        assert len(listed(local_ovn_nb, "Logical_Switch_Port")) == 2 * count
        assert all(names(nb.snapshot(timeout_s=LIMIT_S), "Logical_Switch") == wanted for nb in connections)
    assert race.attempts > race.commits, "nobody ever lost a race"


def test_writers_of_two_owners_make_every_row_once(live: Live, local_ovn_nb: LocalOvn) -> None:
    wanted = [f"net{number:02}" for number in range(40)]
    with connected(live, local_ovn_nb.nb) as one, connected(live, local_ovn_nb.nb) as other:
        race = Writers([one, other], ["me", "you"], lambda name: network(name, 0))
        race.run(wanted)
    assert listed(local_ovn_nb, "Logical_Switch") == wanted
    assert race.refused == len(wanted)


def test_writers_that_undo_each_other_end_in_one_of_their_states(live: Live, local_ovn_nb: LocalOvn) -> None:
    worlds = [routed("a"), [*network("a", 4), *network("b")]]

    def work(nb: NbBackend, rows: list[Row]) -> None:
        for _ in range(20):
            reconcile(nb, rows, prune=True)

    with connected(live, local_ovn_nb.nb) as one, connected(live, local_ovn_nb.nb) as other:
        together([lambda: work(one, worlds[0]), lambda: work(other, worlds[1])])
        changes = [decide(world, prune=True)(one.snapshot(timeout_s=LIMIT_S)) for world in worlds]
        assert any(change.is_empty for change in changes)


def put_foreign_key(ovn: LocalOvn, column: str, key: str) -> None:
    """Write a key as another program would: one request, straight to the server."""
    mutation = [column, "insert", ["map", [[key, "theirs"]]]]
    where = [["name", "==", "a-p0"]]
    operation = {"op": "mutate", "table": "Logical_Switch_Port", "where": where, "mutations": [mutation]}
    request = json.dumps(["OVN_Northbound", operation])
    subprocess.run(["ovsdb-client", "transact", ovn.nb, request], check=True, capture_output=True)


@pytest.mark.parametrize("column", ["external_ids", "options"])
def test_keys_of_others_in_our_maps_stay(live: Live, local_ovn_nb: LocalOvn, column: str) -> None:
    # T29
    count = 40
    done = threading.Event()
    key = "pod" if column == "external_ids" else "requested-chassis"
    written = ["0"]

    def hammer() -> None:
        for number in range(count):
            put_foreign_key(local_ovn_nb, column, f"their-{number}")
        done.set()

    def rows(number: int) -> list[Row]:
        columns: dict[str, Any] = {column: {key: str(number)}}
        return [*network("a", 0), LogicalSwitchPort(name="a-p0", parent="a", **columns)]

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            reconcile(nb, rows(number))
            written.append(str(number))

    with connected(live, local_ovn_nb.nb) as nb:
        reconcile(nb, rows(0))
        together([hammer, write])
        (stored,) = nb.snapshot(timeout_s=LIMIT_S).named(Key("Logical_Switch_Port", "a-p0"))
    found = stored.row.get(column)
    assert isinstance(found, dict)
    assert {key for key, value in found.items() if value == "theirs"} == {f"their-{number}" for number in range(count)}
    assert found[key] == written[-1]
    assert column != "external_ids" or found[OWNER_KEY] == "me"


def test_what_was_committed_is_in_the_next_snapshot(live: Live, local_ovn_nb: LocalOvn) -> None:
    with connected(live, local_ovn_nb.nb) as nb, connected(live, local_ovn_nb.nb) as other:
        stop = threading.Event()

        def noise() -> None:
            for number in range(1000):
                reconcile(other, network("noise", number % 5), prune=True, owner="other")
                if stop.is_set():
                    return

        def work() -> None:
            for number in range(100):
                reconcile(nb, network("a", 0, other_config={"subnet": f"10.0.{number}.0/24"}))
                (stored,) = nb.snapshot(timeout_s=0).named(Key("Logical_Switch", "a"))
                assert stored.row.get("other_config") == {"subnet": f"10.0.{number}.0/24"}
            stop.set()

        together([noise, work])


def test_a_snapshot_never_shows_half_a_transaction(live: Live, local_ovn_nb: LocalOvn) -> None:
    with connected(live, local_ovn_nb.nb) as writer, connected(live, local_ovn_nb.nb) as reader:
        stop = threading.Event()

        def work() -> None:
            for number in range(40):
                reconcile(writer, network("a", 20) if number % 2 else [], prune=True)
            stop.set()

        def look() -> None:
            counts = set()
            while not stop.is_set():
                counts.add(len(reader.snapshot(timeout_s=LIMIT_S).rows))
            assert counts <= {0, 21}

        together([work, look])


def test_deciding_may_take_its_time_without_keeping_readers(live: Live, local_ovn_nb: LocalOvn) -> None:
    with connected(live, local_ovn_nb.nb) as nb:
        asked, answer = threading.Event(), threading.Event()

        def slow(actual: Snapshot) -> ChangeSet:
            asked.set()
            assert answer.wait(LIMIT_S)
            return decide(network("a"))(actual)

        def read() -> None:
            assert asked.wait(LIMIT_S)
            assert nb.snapshot(timeout_s=LIMIT_S).rows == {}
            answer.set()

        def write() -> None:
            nb.commit(slow, timeout_s=LIMIT_S)

        together([write, read])
        assert names(nb.snapshot(timeout_s=0), "Logical_Switch") == ["a"]
