"""Calls to a live database that a signal handler breaks off, at any moment: the next call finds everything right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count, cycle

import pytest
from interrupting import ERRORS, Interrupt, interrupted
from nb_world import LIMIT_S, Live, connected, network, reconcile

from ovnk8s_topo import Attachment, Layer2, Layer3, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import DirectNb
from ovnk8s_topo.backends import line as line_module
from ovnk8s_topo.backends.attempts import Deadline
from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.errors import BackendUnavailable, NotReached
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.testing import LocalOvn

MANY = 10_000
"""More operations than there are rows."""

SOON_S = 5.0
"""For what is fetched anew in a moment; one that waits for nothing would wait for ever."""

TRIES = 10
"""For a change that nobody but the caller reads."""


def read(nb: NbBackend) -> Snapshot:
    return nb.snapshot(timeout_s=SOON_S)


def shows_soon(nb: NbBackend, expected: Snapshot) -> bool:
    end = time.monotonic() + SOON_S
    while read(nb) != expected:
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


@pytest.mark.parametrize("much", [1, line_module._MUCH], ids=["behind", "plain"])
def test_a_look_at_what_others_have_changed(
    live: Live, local_ovn_nb: LocalOvn, monkeypatch: pytest.MonkeyPatch, much: int
) -> None:
    monkeypatch.setattr(line_module, "_MUCH", much)
    # Or the thread would now and then have read it first.
    monkeypatch.setattr(line_module, "_IDLE_S", LIMIT_S)
    errors, rounds = cycle(ERRORS), count()
    with connected(live, local_ovn_nb.nb) as nb, connected(DirectNb, local_ovn_nb.nb) as other:
        for point in count(1, 1 if live is DirectNb else 7):
            # The change is there to be read, and what is read tells of it.
            for _ in range(TRIES):
                reconcile(other, network("a", 3, other_config={"round": str(next(rounds))}))
                if is_told(local_ovn_nb, nb):
                    break
            where = interrupted(lambda: read(nb), point, next(errors))
            assert shows_soon(nb, read(other)), where
            if not where:
                break
        assert point > 40


def is_told(ovn: LocalOvn, nb: NbBackend) -> bool:
    """Let a server come to the end of what it has to tell everybody; tell whether a change is left to be read."""
    ovn.nbctl("--timeout=5", "show")
    if not isinstance(nb, DirectNb):
        return True
    wire = nb._line._wire
    return nb._line._reader is None and wire is not None and wire.poll(SOON_S / 10)


def test_an_event(live: Live, local_ovn_nb: LocalOvn) -> None:
    layer3 = Layer3(name="a", subnets="10.0.0.0/16/24", nads="ns/a")
    standing, victim, other = (pod("s"),), pod("victim"), pod("other")

    def topology(*pods: Pod) -> Topology:
        return Topology(networks=(layer3,), nodes=(Node(name="n"),), pods=pods)

    errors = cycle(ERRORS)
    with Reconciler(live(local_ovn_nb.nb), timeout_s=SOON_S) as reconciler:
        reconciler.apply(topology(*standing))
        for point in count(1, 2 if live is DirectNb else 31):
            where = interrupted(lambda: reconciler.put(victim), point, next(errors))
            reconciler.put(other)
            reconciler.remove(victim, other)
            # What was sent before the error may have come later than all of that was planned.
            reconciler.remove(victim)
            assert reconciler.verify(topology(*standing)).changes.is_empty, where
            if not where:
                break
        assert point > 100


def pod(name: str) -> Pod:
    return Pod(namespace="ns", name=name, node="n", networks=(Attachment(namespace="ns", name="a"),))


def test_a_transaction_on_a_lane(local_ovn_nb: LocalOvn) -> None:
    layer2 = Layer2(name="a", subnets="10.0.0.0/16", nads="ns/a")
    topology = Topology(networks=(layer2,), nodes=(Node(name="n"),), pods=tuple(pod(f"p{i}") for i in range(600)))
    errors = cycle(ERRORS)
    with DirectNb(local_ovn_nb.nb) as nb:
        reconciler = Reconciler(nb, timeout_s=LIMIT_S)
        for point in count(1, 1999):
            where = interrupted(lambda: reconciler.apply(topology), point, next(errors))
            assert not nb._line._lanes, where
            reconciler.apply(topology)
            assert reconciler.verify(topology).changes.is_empty, where
            reconciler.destroy()
            if not where:
                break
        assert point > 20_000


def a_lane(nb: DirectNb) -> None:
    with nb._line._lane(MANY):
        pass


def a_conflict(nb: DirectNb) -> None:
    base = nb._line.base(Deadline(SOON_S))
    assert base is not None
    with nb._line._lane(MANY):
        nb._line.moved(base, Deadline(0.005))


def a_confirmation(nb: DirectNb) -> None:
    with nb._line._lane(MANY), suppress(NotReached):
        nb.wait("sb", MANY, timeout_s=0.005)


def a_commit(nb: DirectNb) -> None:
    with nb._line._lane(MANY):
        reconcile(nb, network("b", 2), prune=True)
        reconcile(nb, [], prune=True)


@pytest.mark.parametrize(
    ("act", "step"),
    [(a_lane, 1), (a_conflict, 1), (a_confirmation, 1), (a_commit, 13)],
    ids=["a lane", "a conflict", "a confirmation", "a commit"],
)
def test_what_is_done_while_the_server_is_left_alone(
    local_ovn_nb: LocalOvn, act: Callable[[DirectNb], None], step: int
) -> None:
    errors = cycle(ERRORS)
    with connected(DirectNb, local_ovn_nb.nb) as nb, connected(DirectNb, local_ovn_nb.nb) as other:
        for point in count(1, step):
            where = interrupted(lambda: act(nb), point, next(errors))
            reconcile(other, network("a", 1, other_config={"round": str(point)}), "other", prune=True)
            assert shows_soon(nb, read(other)), where
            if not where:
                break
        assert point > 40


def test_closing_after_an_interrupted_call_ends_the_thread(live: Live, local_ovn_nb: LocalOvn) -> None:
    for point in range(1, 30):
        before = threading.active_count()
        nb = live(local_ovn_nb.nb)
        interrupted(lambda nb=nb: read(nb), point, Interrupt)  # type: ignore[misc]
        nb.close()
        assert threading.active_count() == before


def test_closing_that_was_interrupted_is_made_up_for(live: Live, local_ovn_nb: LocalOvn) -> None:
    closed = []
    for point in count(1):
        before = threading.active_count()
        nb = live(local_ovn_nb.nb)
        read(nb)
        where = interrupted(nb.close, point, Interrupt)
        nb.close()
        assert threading.active_count() == before, where
        if isinstance(nb, DirectNb):
            assert nb._line._session.wire is None, where
        closed.append(nb)  # what is forgotten is closed, too
        if not where:
            break
    assert point > 3


@pytest.mark.parametrize("remote", ["unix:/tmp/" + "x" * 200, "unix:/tmp/a\0b", "tcp:" + "a" * 63 + ".invalid:6641"])
def test_a_remote_that_cannot_be_is_a_server_that_is_not_there(live: Live, remote: str) -> None:
    with live(remote) as nb:
        with pytest.raises(BackendUnavailable, match="no complete copy"):
            nb.snapshot(timeout_s=0.3)
        assert (nb._line._thread if isinstance(nb, DirectNb) else nb._thread).is_alive()
