"""Events that are broken off at any moment: what is wanted and what is there agree after the next one."""

from __future__ import annotations

from itertools import count, cycle
from typing import Any

import pytest
from interrupting import ERRORS, interrupted, undisturbed

from ovnk8s_topo import Attachment, Layer2, Layer3, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.contract import Committed
from ovnk8s_topo.errors import OutcomeUnknown
from ovnk8s_topo.nb.rowset import Snapshot

LAYER3 = Layer3(name="a", subnets="10.0.0.0/16/24", nads="ns/a")
LAYER2 = Layer2(name="a", subnets="10.0.0.0/16", nads="ns/a")
NETWORKS = pytest.mark.parametrize("network", [LAYER3, LAYER2], ids=["layer3", "layer2"])


def pod(name: str) -> Pod:
    return Pod(namespace="ns", name=name, node="n", networks=(Attachment(namespace="ns", name="a"),))


STANDING = (pod("s1"), pod("s2"))
VICTIM, NEXT = pod("victim"), pod("next")


def topology(network: Layer3 | Layer2, *pods: Pod) -> Topology:
    return Topology(networks=(network,), nodes=(Node(name="n"),), pods=pods)


def begun(network: Layer3 | Layer2, nb: MemoryNb) -> Reconciler:
    reconciler = Reconciler(nb)
    reconciler.apply(topology(network, *STANDING))
    reconciler.put(NEXT)
    reconciler.remove(NEXT)
    return reconciler


class Steadfast(MemoryNb):
    """A database in memory that is never interrupted: a server does not stop in the midst of a transaction either."""

    def _read(self, *arguments: Any) -> Snapshot:
        with undisturbed():
            return super()._read(*arguments)

    def _send(self, *arguments: Any) -> Any:
        with undisturbed():
            return super()._send(*arguments)


@NETWORKS
@pytest.mark.parametrize(
    ("kind", "step"), [("put", 1), ("remove", 1), ("two", 7), ("same", 3), ("other", 11)], ids=lambda it: str(it)
)
def test_an_event_may_be_interrupted_at_any_moment(network: Layer3 | Layer2, kind: str, step: int) -> None:
    errors = cycle(ERRORS)
    with Steadfast() as nb:
        reconciler = begun(network, nb)
        for point in count(1, step):
            if kind == "remove":
                reconciler.put(VICTIM)
            events = {
                "put": lambda: reconciler.put(VICTIM),
                "remove": lambda: reconciler.remove(VICTIM),
                "two": lambda: reconciler.put(VICTIM, pod("second")),
                "same": lambda: reconciler.apply(topology(network, *STANDING)),
                "other": lambda: reconciler.apply(topology(network, *STANDING, VICTIM)),
            }
            where = interrupted(events[kind], point, next(errors))
            reconciler.put(NEXT)
            reconciler.remove(NEXT)
            with_it = (*STANDING, VICTIM, pod("second")) if kind == "two" else (*STANDING, VICTIM)
            without, whole = (reconciler.verify(topology(network, *pods)) for pods in (STANDING, with_it))
            assert without.changes.is_empty or whole.changes.is_empty, where
            reconciler.remove(VICTIM, pod("second"))
            assert reconciler.verify(topology(network, *STANDING)).changes.is_empty, where
            if not where:
                break
        assert point > 50


class Unsure(MemoryNb):
    """Applies what it is given, and says that nobody knows."""

    is_unsure = False

    def commit(self, *arguments: object, **options: object) -> Committed:
        done = super().commit(*arguments, **options)  # type: ignore[arg-type]
        if self.is_unsure:
            raise OutcomeUnknown("the reply was lost")
        return done


@NETWORKS
@pytest.mark.parametrize("is_warm", [True, False])
def test_a_pod_that_may_have_been_written_and_is_not_wanted_goes(network: Layer3 | Layer2, is_warm: bool) -> None:
    with Unsure() as nb:
        reconciler = begun(network, nb)
        if not is_warm:
            reconciler = Reconciler(nb)
            reconciler.apply(topology(network, *STANDING))
        nb.is_unsure = True
        with pytest.raises(OutcomeUnknown):
            reconciler.put(VICTIM)
        nb.is_unsure = False
        reconciler.remove(VICTIM)
        assert reconciler.verify(topology(network, *STANDING)).changes.is_empty


@NETWORKS
def test_a_pod_that_may_have_been_written_keeps_what_it_got(network: Layer3 | Layer2) -> None:
    with Unsure() as nb:
        reconciler = begun(network, nb)
        nb.is_unsure = True
        with pytest.raises(OutcomeUnknown):
            reconciler.put(VICTIM)
        nb.is_unsure = False
        assert reconciler.put(VICTIM).status == "unchanged"
        reconciler.put(NEXT)
        assert reconciler.verify(topology(network, *STANDING, VICTIM, NEXT)).changes.is_empty
