from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from ovnk8s_topo import Layer2, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.contract import Committed
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
