"""What became of batches whose connection broke before their answer."""

from __future__ import annotations

from typing import Any, cast

from ovnk8s_topo.backends.attempts import Decision, Way, nothing_more
from ovnk8s_topo.backends.batched import BatchedAttempts, whole
from ovnk8s_topo.changes import ChangeSet, Insert, apply_changes
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import LogicalSwitch

NOTHING = Snapshot.of([])
FIRST, SECOND = (ChangeSet((Insert(name, LogicalSwitch(name=name)),)) for name in ("a", "b"))


def attempts() -> BatchedAttempts:
    nowhere = cast("Way[Snapshot]", None)
    undecided = cast("Decision[Snapshot, ChangeSet]", None)
    return BatchedAttempts(nowhere, undecided, 1.0, nothing_more, lambda changes: whole(changes))


def done(*parts: ChangeSet) -> Snapshot:
    return apply_changes(NOTHING, [change for part in parts for change in part])


def inserted(found: Any) -> list[str]:
    return [change.uuid for part in found for change in part]


def test_a_batch_that_a_server_comes_to_late_is_found_in_a_later_attempt() -> None:
    trying = attempts()
    trying.unanswered = [FIRST, SECOND]
    trying.find_late(done(FIRST))
    assert (inserted(trying.written), inserted(trying.unanswered)) == (["a"], ["b"])
    trying.find_late(done(FIRST))
    trying.find_late(done(FIRST, SECOND))
    assert (inserted(trying.written), inserted(trying.unanswered)) == (["a", "b"], [])


def test_a_batch_that_was_made_anew_counts_once() -> None:
    trying = attempts()
    trying.unanswered = [FIRST, SECOND]
    trying.written = [ChangeSet((*FIRST, *SECOND))]
    trying.find_late(done(FIRST, SECOND))
    assert (inserted(trying.written), trying.unanswered) == (["a", "b"], [])
