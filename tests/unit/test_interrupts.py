"""Events that are broken off at any moment: what is wanted and what is there agree after the next one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import count, cycle
from typing import Any

import pytest
from interrupting import ERRORS, interrupted, undisturbed

from ovnk8s_topo import Attachment, Layer2, Layer3, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.batches import BATCH
from ovnk8s_topo.errors import BackendUnavailable, OutcomeUnknown
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import OWNER_KEY
from ovnk8s_topo.planner.desired import PORTS

LAYER3 = Layer3(name="a", subnets="10.0.0.0/16/24", nads="ns/a")
LAYER2 = Layer2(name="a", subnets="10.0.0.0/16", nads="ns/a")
NETWORKS = pytest.mark.parametrize("network", [LAYER3, LAYER2], ids=["layer3", "layer2"])


def pod(name: str) -> Pod:
    return Pod(namespace="ns", name=name, node="n", networks=(Attachment(namespace="ns", name="a"),))


STANDING = (pod("s1"), pod("s2"))
VICTIM, NEXT, OTHER = pod("victim"), pod("next"), pod("other")


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


@NETWORKS
@pytest.mark.parametrize(("kind", "step"), [("remove", 3), ("network", 83)])
def test_what_is_told_at_once_after_an_interrupt_leaves_nothing(network: Layer3 | Layer2, kind: str, step: int) -> None:
    """Nothing comes between that plans everything while it is still wanted."""
    other = network.model_copy(update={"mtu": 1300})
    for point in count(1, step):
        with Steadfast() as nb:
            reconciler = begun(network, nb)
            if kind == "remove":
                reconciler.put(VICTIM)
                where = interrupted(lambda reconciler=reconciler: reconciler.remove(VICTIM), point)  # type: ignore[misc]
                reconciler.remove(VICTIM)
                left = topology(network, *STANDING)
            else:
                where = interrupted(lambda reconciler=reconciler: reconciler.put(other), point)  # type: ignore[misc]
                reconciler.remove(*STANDING, networks=["a"])
                left = Topology(nodes=(Node(name="n"),))
            reconciler.put(Node(name="n"))
            assert reconciler.verify(left).changes.is_empty, where
            if not where:
                break
    assert point > 50


class Unsure(MemoryNb):
    """Loses replies, and requests that arrive when a test lets them.

    loses  "reply": applied, and nobody is told; "request": kept in `late`
    """

    loses = ""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[Any] = []

    def _exchange(self, operations: Any, actual: Snapshot, fault: Any) -> Any:
        loses, self.loses = self.loses, ""
        if loses == "request":
            self.late.append(operations)
        if loses == "reply":
            self.transact(operations)
        if loses:
            raise OutcomeUnknown("no answer")
        return super()._exchange(operations, actual, fault)

    def lose(self, what: str, call: Callable[[], object]) -> None:
        self.loses = what
        with pytest.raises(OutcomeUnknown):
            call()

    def arrive(self) -> None:
        self.transact(self.late.pop(0))


def holds(reconciler: Reconciler, network: Layer3 | Layer2, *pods: Pod) -> bool:
    """Tell whether the database is what is wanted after one more event."""
    reconciler.put(NEXT)
    reconciler.remove(NEXT)
    return reconciler.verify(topology(network, *STANDING, *pods)).changes.is_empty


@NETWORKS
@pytest.mark.parametrize("is_warm", [True, False])
def test_a_pod_that_may_have_been_written_and_is_not_wanted_goes(network: Layer3 | Layer2, is_warm: bool) -> None:
    with Unsure() as nb:
        reconciler = begun(network, nb)
        if not is_warm:
            reconciler = Reconciler(nb)
            reconciler.apply(topology(network, *STANDING))
        nb.lose("reply", lambda: reconciler.put(VICTIM))
        reconciler.remove(VICTIM)
        assert reconciler.verify(topology(network, *STANDING)).changes.is_empty


@NETWORKS
def test_a_pod_that_may_have_been_written_keeps_what_it_got(network: Layer3 | Layer2) -> None:
    with Unsure() as nb:
        reconciler = begun(network, nb)
        nb.lose("reply", lambda: reconciler.put(VICTIM))
        assert reconciler.put(VICTIM).status == "unchanged"
        assert holds(reconciler, network, VICTIM)


def put_again(reconciler: Reconciler, nb: Unsure) -> None:
    nb.lose("request", lambda: reconciler.put(VICTIM))
    reconciler.put(VICTIM)
    reconciler.remove(VICTIM)


def lost_twice(reconciler: Reconciler, nb: Unsure) -> None:
    nb.lose("request", lambda: reconciler.put(VICTIM))
    nb.lose("request", lambda: reconciler.put(VICTIM))
    nb.arrive()


def applied_between(reconciler: Reconciler, nb: Unsure) -> None:
    nb.lose("request", lambda: reconciler.put(VICTIM))
    reconciler.apply(topology(LAYER3, *STANDING, OTHER))


@pytest.mark.parametrize("before", [put_again, lost_twice, applied_between], ids=lambda it: str(it.__name__))
def test_a_transaction_that_comes_late_gives_no_address_twice(before: Callable[[Reconciler, Unsure], None]) -> None:
    with Unsure() as nb:
        reconciler = begun(LAYER3, nb)
        before(reconciler, nb)
        reconciler.put(OTHER)
        nb.arrive()
        assert holds(reconciler, LAYER3, OTHER)


@NETWORKS
def test_a_row_that_may_have_been_adopted_and_is_not_wanted_goes(network: Layer3 | Layer2) -> None:
    with Unsure() as nb:
        begun(network, nb).put(VICTIM)
        unmark = [["external_ids", "delete", ["set", [OWNER_KEY]]]]
        nb.transact(
            [{"op": "mutate", "table": PORTS, "where": [["name", "==", "ns.a_ns_victim"]], "mutations": unmark}]
        )
        reconciler = Reconciler(nb)
        reconciler.apply(topology(network, *STANDING), adopt=True)
        nb.lose("reply", lambda: reconciler.put(VICTIM))
        assert holds(reconciler, network)


class HalfWay(MemoryNb):
    """Takes so many transactions, and is not there for the next one."""

    left = 1000

    def _send(self, operations: Any, actual: Snapshot) -> Any:
        self.left -= 1
        if self.left < 0:
            self.left = 1000
            raise BackendUnavailable("gone")
        return super()._send(operations, actual)


def test_what_an_apply_has_written_before_it_failed_goes() -> None:
    many = [pod(f"p{number}") for number in range(3 * BATCH)]
    with HalfWay() as nb:
        reconciler = begun(LAYER2, nb)
        nb.left = 2
        with pytest.raises(BackendUnavailable) as gone:
            reconciler.apply(topology(LAYER2, *STANDING, *many), atomic="unit")
        assert gone.value.written
        assert holds(reconciler, LAYER2)


def test_what_somebody_else_uses_by_now_is_no_reason_to_refuse_other_events() -> None:
    with Unsure() as nb:
        reconciler = begun(LAYER2, nb)
        nb.lose("reply", lambda: reconciler.put(Layer2(name="b", subnets="10.9.0.0/16", nads="ns/b")))
        theirs = {"op": "insert", "table": PORTS, "row": {"name": "vm"}, "uuid-name": "vm"}
        held = [["ports", "insert", ["named-uuid", "vm"]]]
        where = [["name", "==", "b_ovn_layer2_switch"]]
        nb.transact([theirs, {"op": "mutate", "table": "Logical_Switch", "where": where, "mutations": held}])
        for name in ("one", "two", "three"):
            reconciler.put(pod(name))
        assert reconciler._engine
        assert reconciler._engine.way == "attachments"


@NETWORKS
def test_taking_back_may_be_interrupted_too(network: Layer3 | Layer2) -> None:
    for point in count(1, 2):
        with Unsure() as nb:
            reconciler = begun(network, nb)
            nb.loses = "request"

            def put(reconciler: Reconciler = reconciler) -> None:
                with contextlib.suppress(OutcomeUnknown):
                    reconciler.put(VICTIM)

            where = interrupted(put, point)
            nb.loses = ""
            reconciler.put(network.model_copy(update={"mtu": 1300}))
            assert VICTIM.name not in {each.name for each in reconciler._known().roll.pods.values()}, where
            if not where:
                break
    assert point > 50
