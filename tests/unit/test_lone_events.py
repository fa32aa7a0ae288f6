"""Events about one pod, where somebody meddles with what the last one has done: the next one mends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tracked_nb import TrackedNb

from ovnk8s_topo import Attachment, Layer2, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.contract import Committed, Decide
from ovnk8s_topo.backends.faults import Faults, Transact
from ovnk8s_topo.diff import Assign, Change, ChangeSet, Delete, Insert, Update
from ovnk8s_topo.nb.ownership import uuid_of
from ovnk8s_topo.nb.rowset import Stored
from ovnk8s_topo.nb.tables import Key

NET = Layer2(name="net", subnets="10.0.0.0/24", nads="ns/net")


def pod(name: str) -> Pod:
    return Pod(namespace="ns", name=name, node="n", networks=(Attachment(namespace="ns", name="net"),))


def topology(*pods: Pod) -> Topology:
    return Topology(networks=(NET,), nodes=(Node(name="n"),), pods=pods)


def port(nb: MemoryNb, name: str) -> Stored:
    (found,) = nb.snapshot(timeout_s=1).named(Key("Logical_Switch_Port", f"ns.net_ns_{name}"))
    return found


def change(nb: MemoryNb, it: Change) -> None:
    nb.commit(lambda _: ChangeSet((it,)), timeout_s=1)


@pytest.fixture
def me() -> Reconciler:
    me = Reconciler(MemoryNb())
    me.apply(topology(pod("first")), prune=True)
    me.put(pod("second"))  # from now on lone events are told from others
    return me


def addresses_of_another(stored: Stored) -> Change:
    return Update(stored, (Assign("addresses", stored.row.get("addresses"), frozenset({"unknown"})),))


@pytest.mark.parametrize("meddle", [Delete, addresses_of_another], ids=["deleted", "another"])
def test_what_came_last_is_looked_at_again(me: Reconciler, meddle: Callable[[Stored], Change]) -> None:
    assert isinstance(me.nb, MemoryNb)
    me.put(pod("a"))
    change(me.nb, meddle(port(me.nb, "a")))
    me.put(pod("b"))
    assert me.verify(topology(*map(pod, ("first", "second", "a", "b")))).changes.is_empty


def test_what_went_last_is_looked_at_again(me: Reconciler) -> None:
    assert isinstance(me.nb, MemoryNb)
    me.put(pod("a"))
    gone = port(me.nb, "a")
    me.remove(pod("a"))
    change(me.nb, Insert(*gone))
    me.put(pod("b"))
    assert me.verify(topology(*map(pod, ("first", "second", "b")))).changes.is_empty


def test_what_others_do_while_it_is_sent_is_looked_at() -> None:
    def delete_the_first(transact: Transact) -> None:
        port = ["uuid", uuid_of("ovnk8s-topo", Key("Logical_Switch_Port", "ns.net_ns_first"))]
        # A port goes with the last switch that holds it.
        transact([{"op": "mutate", "table": "Logical_Switch", "where": [], "mutations": [["ports", "delete", port]]}])

    faults = Faults(commits=[None, None, "meddle"], meddle=delete_the_first)
    me = Reconciler(MemoryNb(faults=faults))
    me.apply(topology(pod("first")), prune=True)
    me.put(pod("second"))
    me.put(pod("a"))
    assert faults.fired["meddle"]
    assert [each.key.name for each in me.put(pod("b")).changes] == ["ns.net_ns_b", "ns.net_ns_first"]


class Undone(TrackedNb):
    """What it writes somebody else undoes while the connection is broken, once: nobody is told of either."""

    undoes = False

    def commit(self, decide: Decide, **options: Any) -> Committed:
        if not self.undoes:
            return super().commit(decide, **options)
        self.undoes = False
        return Committed(decide(self.content), 1)


def test_what_was_undone_unseen_is_made_again() -> None:
    nb = Undone()
    me = Reconciler(nb)
    me.apply(topology(pod("first")), prune=True)
    me.put(pod("second"))
    nb.undoes = True
    me.put(pod("a"))
    assert [each.key.name for each in me.put(pod("b")).changes] == ["ns.net_ns_a", "ns.net_ns_b"]
    nb.undoes = True
    me.remove(pod("a"))
    assert [each.key.name for each in me.remove(pod("b")).changes] == ["ns.net_ns_a", "ns.net_ns_b"]
