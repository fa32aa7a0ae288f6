"""Whose rows are left alone follows from the ends of their names, however many ends there are."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import LogicalSwitch, LogicalSwitchPort, Row
from ovnk8s_topo.planner.scope import scope_from_gaps
from ovnk8s_topo.spec import Gaps

# A `_` is in no name that Kubernetes allows; what could not be read may have any.
parts = st.text("ab_", max_size=3)


def is_spoken_for(gaps: Gaps, row: Row) -> bool:
    stored = Stored("uuid", row)
    return scope_from_gaps(gaps, Snapshot.of([stored]))(stored)


@given(st.sets(st.tuples(parts, parts), min_size=1), st.text("ab_", max_size=8))
@example({("a", "b")}, "net_a_b")
@example({("a", "b")}, "a_b")
@example({("a_a", "b")}, "net_a_a_b")
def test_a_port_is_left_alone_if_it_ends_in_one_of_the_pods(pods: set[tuple[str, str]], name: str) -> None:
    ends = tuple(f"_{namespace}_{pod}" for namespace, pod in pods)
    gaps = Gaps(pods={f"{namespace}/{pod}" for namespace, pod in pods})
    row = LogicalSwitchPort(name=name, parent="switch")
    assert is_spoken_for(gaps, row) != name.endswith(ends)


@given(st.sets(parts, min_size=1), st.text("ab_", max_size=8))
@example({"a"}, "net_a")
@example({"a_b"}, "net_a_b")
def test_a_switch_is_left_alone_if_it_ends_in_one_of_the_nodes(nodes: set[str], name: str) -> None:
    ends = tuple(f"_{node}" for node in nodes)
    assert is_spoken_for(Gaps(nodes=nodes), LogicalSwitch(name=name)) != name.endswith(ends)
