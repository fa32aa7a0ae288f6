"""Events about one pod, where somebody meddles with what the last one has done: the next one mends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ovnk8s_topo import Attachment, Layer2, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.diff import Assign, Change, ChangeSet, Delete, Insert, Update
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
