"""A program that starts anew: what annotations and rows say is united, and no address has two owners after it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from planning import ME, addresses, again, fresh, pod, pods_left_alone, problems, stored, topology

from ovnk8s_topo import AllocationError, Reconciler
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, LogicalSwitchPort
from ovnk8s_topo.planner import Desired
from ovnk8s_topo.spec import Given, Layer2, Pod, Topology

L2 = Layer2(name="l2", subnets="10.22.0.0/28")
X = "10.22.0.1"


def wanted(*pods: Pod, **more: Any) -> Topology:
    return topology(*pods, networks=(L2,), **more)


def told(name: str, address: str, **fields: Any) -> Pod:
    return pod(name, given={"default/l2": Given(ips=(f"{address}/28",))}, **fields)


def sharing(*names: str) -> Snapshot:
    """Return a database in which several ports have the first address."""
    before = stored(fresh(wanted(*map(pod, names))).rows)
    text = frozenset({f"0a:58:0a:16:00:01 {X}"})

    def shared(found: Stored) -> Stored:
        if not isinstance(found.row, LogicalSwitchPort):
            return found
        return found._replace(row=replace(found.row, addresses=text, port_security=text))

    return Snapshot.of(shared(found) for found in before.rows.values())


def without(snapshot: Snapshot, *pods: str) -> Snapshot:
    gone = {Key("Logical_Switch_Port", f"default.l2_default_{name}") for name in pods}
    return Snapshot.of(found for found in snapshot.rows.values() if found.key not in gone)


# United -----------------------------------------------------------------------------------------------------------


def test_annotations_and_rows_are_united() -> None:
    before = fresh(wanted(pod("row")))
    done = again(wanted(pod("a"), told("note", "10.22.0.2"), pod("row")), before)
    assert addresses(done) == {"a": "10.22.0.3", "note": "10.22.0.2", "row": "10.22.0.1"}


def test_rows_alone_and_annotations_alone_tell_the_same() -> None:
    pods = [pod(name) for name in "abc"]
    first = addresses(fresh(wanted(*pods)))
    noted = [told(name, address) for name, address in first.items()]
    newcomer = pod("A")
    from_rows = again(wanted(newcomer, *pods), fresh(wanted(*pods)))
    from_notes = fresh(wanted(newcomer, *noted))
    from_both = again(wanted(newcomer, *noted), fresh(wanted(*pods)))
    assert addresses(from_rows) == addresses(from_notes) == addresses(from_both) == first | {"A": "10.22.0.4"}


def test_an_address_of_one_in_an_annotation_and_of_another_in_a_row_is_reported() -> None:
    before = fresh(wanted(pod("row")))
    done = again(wanted(told("note", X), pod("row"), pod("a")), before)
    assert addresses(done) == {"a": "10.22.0.2"}
    assert [problem.subject for problem in done.problems] == [
        "Pod default/note (default/l2)",
        "Pod default/row (default/l2)",
    ]


# Owners -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prune", [False, True])
def test_a_pod_of_the_same_name_and_another_uid_is_another_owner(prune: bool) -> None:
    before = fresh(wanted(pod("a"), pod("b", uid="u1")))
    done = again(wanted(pod("a"), pod("b", uid="u2"), pod("c")), before, prune=prune)
    # The old b is gone for sure, for its row becomes the new one's: its address is free.
    assert addresses(done) == {"a": "10.22.0.1", "b": "10.22.0.2", "c": "10.22.0.3"}
    late = again(wanted(told("c", "10.22.0.2"), pod("b", uid="u2")), before, prune=True)
    assert addresses(late) == {"c": "10.22.0.2", "b": "10.22.0.1"}


def test_a_pod_of_the_same_name_in_another_namespace_is_another_owner() -> None:
    before = fresh(wanted(pod("p")))
    done = again(wanted(pod("p", "default/l2", namespace="other"), pod("p")), before)
    assert {port: str(grant.addresses[0]) for port, grant in done.grants.items()} == {
        "default.l2_default_p": "10.22.0.1",
        "default.l2_other_p": "10.22.0.2",
    }


def test_the_nad_key_tells_a_pods_attachments_apart() -> None:
    twice = wanted(pod("p", "l2,l2"))
    before = fresh(twice)
    expected = {"default.l2_default_p": "10.22.0.1", "default.l2.1_default_p": "10.22.0.2"}
    only_second = without(stored(before.rows), "p")
    done = again(twice, only_second)
    assert {port: str(grant.addresses[0]) for port, grant in done.grants.items()} == expected
    # One attachment less: the first one's address stays, the second one's is free when its port goes.
    after = again(wanted(pod("p"), pod("q")), before, prune=True)
    assert addresses(after) == {"p": "10.22.0.1", "q": "10.22.0.2"}


# Release ----------------------------------------------------------------------------------------------------------


def test_a_finished_pod_does_not_free_the_address_of_a_running_one() -> None:
    # ovn-kubernetes#3919: the annotation of a finished pod names an address that another has by now.
    before = fresh(wanted(pod("running")))
    finished = told("finished", X, phase="Succeeded")
    done = again(wanted(finished, pod("a"), pod("running")), before, prune=True)
    assert addresses(done) == {"a": "10.22.0.2", "running": X}


def test_a_pod_that_goes_twice_frees_nothing_of_others() -> None:
    # ovn-kubernetes#6954: a cleanup that is repeated must not release what somebody else has got meanwhile.
    first = fresh(wanted(pod("old")))
    second = again(wanted(pod("new")), first, prune=True)
    assert addresses(second) == {"new": X}
    for _ in range(2):
        second = again(wanted(pod("new"), told("old", X, phase="Failed"), pod("a")), second, prune=True)
        assert addresses(second) == {"a": "10.22.0.2", "new": X}


def test_two_owners_of_one_address_are_reported_and_neither_moves() -> None:
    for names in ("bc", "cb"):
        done = again(wanted(pod("a"), *map(pod, names)), sharing("b", "c"))
        assert addresses(done) == {"a": "10.22.0.2"}
        assert problems(done) == [
            f"Pod default/{one} (default/l2): networks: provided IP is already allocated: "
            f"{X} is claimed by Pod default/{other} (default/l2) too"
            for one, other in ("bc", "cb")
        ]
        assert done.gaps == pods_left_alone(done)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_the_address_is_freed_only_with_the_last_owner(number: int) -> None:
    names = "bcde"[:number]
    for gone in product([False, True], repeat=number):
        left = [name for name, is_gone in zip(names, gone, strict=True) if not is_gone]
        done = again(wanted(pod("a"), *map(pod, left)), sharing(*names), prune=True)
        assert addresses(done)["a"] == (X if not left else "10.22.0.2")
        kept = dict.fromkeys(left, X) if len(left) == 1 else {}
        assert {name: found for name, found in addresses(done).items() if name != "a"} == kept


def test_an_owner_that_is_gone_but_whose_row_stays_is_an_owner() -> None:
    done = again(wanted(pod("a"), pod("b")), sharing("b", "c"))
    assert addresses(done) == {"a": "10.22.0.2"}
    assert problems(done) == [
        f"Pod default/b (default/l2): networks: provided IP is already allocated: "
        f"{X} is claimed by port default.l2_default_c too"
    ]


def test_in_a_database_both_stay_until_one_goes() -> None:
    nb = MemoryNb()
    reconciler = Reconciler(nb, owner=ME)
    reconciler.apply(wanted(pod("b"), pod("c")))
    text = f"0a:58:0a:16:00:01 {X}"
    row = {"addresses": text, "port_security": text}
    nb.transact([{"op": "update", "table": "Logical_Switch_Port", "where": [], "row": row}])

    def ports() -> dict[str, str]:
        rows = (found.row for found in nb.snapshot(timeout_s=1).table("Logical_Switch_Port"))
        return {row.name[-1]: next(iter(row.addresses)) for row in rows if isinstance(row, LogicalSwitchPort)}

    with pytest.raises(AllocationError):
        reconciler.apply(wanted(pod("b"), pod("c")), prune=True)
    reconciler.apply(wanted(pod("a"), pod("b"), pod("c")), prune=True, keep_going=True)
    second = "0a:58:0a:16:00:02 10.22.0.2"
    assert ports() == {"a": second, "b": text, "c": text}
    reconciler.apply(wanted(pod("a"), pod("c"), pod("d")), prune=True)
    assert ports() == {"a": second, "c": text, "d": "0a:58:0a:16:00:03 10.22.0.3"}
    reconciler.apply(wanted(pod("a"), pod("e")), prune=True)
    assert ports() == {"a": second, "e": text}


def test_planning_again_and_again_moves_nobody() -> None:
    done: Desired = fresh(wanted(*(pod(name) for name in "bdf")))
    for names in ("bdf", "abdf", "abf", "abcef"):
        before = addresses(done)
        done = again(wanted(*map(pod, names)), done, prune=True)
        assert {name: addresses(done)[name] for name in names if name in before} == {
            name: before[name] for name in names if name in before
        }
