from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from itertools import count

import pytest
from interrupting import interrupted

from ovnk8s_topo import Layer2, Layer3, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.contract import Committed
from ovnk8s_topo.backends.operations import texts_of
from ovnk8s_topo.backends.ops import operations
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.collector import paused
from ovnk8s_topo.errors import ConflictError

TOPOLOGY = Topology(networks=[Layer2(name="l2", subnets="10.22.0.0/16")])


@pytest.fixture(params=[True, False], ids=["on", "off"])
def was_on(request: pytest.FixtureRequest) -> Iterator[bool]:
    """The collector as somebody has left it."""
    before, is_on = gc.isenabled(), bool(request.param)
    (gc.enable if is_on else gc.disable)()
    yield is_on
    (gc.enable if before else gc.disable)()


def test_a_pause_ends_as_it_began(was_on: bool) -> None:
    with paused():
        assert not gc.isenabled()
    assert gc.isenabled() == was_on


def test_pauses_in_pauses(was_on: bool) -> None:
    with paused():
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled() == was_on


def test_a_pause_that_ends_in_an_error(was_on: bool) -> None:
    with pytest.raises(LookupError), paused(), paused():
        raise LookupError
    assert gc.isenabled() == was_on
    with paused():
        assert not gc.isenabled()
    assert gc.isenabled() == was_on


def test_a_pause_that_is_broken_off_at_any_moment(was_on: bool) -> None:
    def pause() -> None:
        with paused():
            pass

    for point in count(1):
        where = interrupted(pause, point)
        pause()
        assert gc.isenabled() == was_on, where
        if not where:
            break
    assert point > 5


def test_pauses_that_overlap(was_on: bool) -> None:
    """The one that began first ends first: the other one is still to be heeded."""
    first, second = paused(), paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled() == was_on


def test_pauses_of_many_threads(was_on: bool) -> None:
    found: list[bool] = []

    def work() -> None:
        for _ in range(300):
            with paused():
                found.append(gc.isenabled())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [False] * 1800
    assert gc.isenabled() == was_on


@pytest.mark.parametrize(("size", "frozen", "looks"), [(150_000, 0, 0), (150_000, 375, 0), (5_000, 0, 1)])
def test_what_a_large_block_has_made_is_not_looked_at_at_once(
    size: int, frozen: int, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.12 begins with some hundred frozen objects of its own."""
    monkeypatch.setattr(gc, "get_freeze_count", lambda: frozen)
    seen: list[str] = []
    gc.collect()
    with paused():
        made: list[object] = [[] for _ in range(size)]
        gc.callbacks.append(lambda phase, _: seen.append(phase))
    try:
        made.append([])
        assert seen.count("start") == looks
    finally:
        gc.callbacks.pop()
    assert gc.collect() == 0
    made.append(made)
    del made
    assert gc.collect() > size  # it is collected later, as everything


def test_what_a_program_hides_from_the_collector_stays_hidden() -> None:
    gc.collect()
    gc.freeze()
    try:
        hidden = gc.get_freeze_count()
        with paused():
            made: list[object] = [[] for _ in range(150_000)]
        assert (gc.get_freeze_count(), len(made)) == (hidden, 150_000)
    finally:
        gc.unfreeze()


class Refusing(MemoryNb):
    """Refuses every commit, after the decision."""

    def commit(self, decide: object, **_: object) -> Committed:
        assert callable(decide)
        for _attempt in range(3):
            decide(self.snapshot(timeout_s=0))
            assert not gc.isenabled()
        raise ConflictError("refused")


def test_a_reconciler_leaves_the_collector_as_it_was(was_on: bool) -> None:
    with Reconciler(MemoryNb()) as reconciler:
        reconciler.plan(TOPOLOGY)
        reconciler.apply(TOPOLOGY)
        assert reconciler.verify(TOPOLOGY).is_empty
    assert gc.isenabled() == was_on
    with Reconciler(Refusing()) as refused, pytest.raises(ConflictError):
        refused.apply(TOPOLOGY)
    assert gc.isenabled() == was_on


def test_nothing_that_a_call_has_made_waits_for_the_collector() -> None:
    """What refers to itself stays in memory until the collector comes, with all the rows that it knows."""
    reconciler = Reconciler(MemoryNb())
    gc.collect()
    gc.disable()
    try:
        _do_everything(reconciler)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert {type(left).__name__ for left in gc.garbage if _is_ours(left)} == set()
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _do_everything(reconciler: Reconciler) -> None:
    pods = [Pod(name=f"p{number}", node="n1", networks="l2,l3") for number in range(20)]
    networks = [Layer2(name="l2", subnets="10.22.0.0/16"), Layer3(name="l3", subnets="10.23.0.0/16/24")]
    topology = Topology(networks=networks, nodes=[Node(name="n1")], pods=pods)
    plan = reconciler.plan(topology)
    assert str(plan)
    assert plan.told.pod_annotations()
    assert list(texts_of(operations(plan.changes, reconciler.nb.snapshot(timeout_s=0), Schema.full())))
    reconciler.apply(topology, atomic="unit")
    reconciler.put(Pod(name="one", node="n1", networks="l2"))
    reconciler.remove(pods=["default/p3"])
    reconciler.verify(topology)
    reconciler.apply(topology.model_copy(update={"pods": topology.pods[:5]}), prune=True, allow_mass_delete=True)
    reconciler.destroy()
    reconciler.apply(topology)


def _is_ours(value: object) -> bool:
    return type(value).__module__.startswith("ovnk8s_topo")
