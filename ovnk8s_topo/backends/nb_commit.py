"""A commit to a live Northbound database, whichever way it goes."""

from __future__ import annotations

import logging
import time
from typing import Any

from ovnk8s_topo.backends.attempts import Base, Decision, Done, Way, nothing_more
from ovnk8s_topo.backends.batched import attempts
from ovnk8s_topo.backends.contract import Committed, Cut, Level
from ovnk8s_topo.backends.operations import Operation, confirmation
from ovnk8s_topo.diff import ChangeSet, Delete, Insert, Update
from ovnk8s_topo.errors import NotReached
from ovnk8s_topo.nb.rowset import Snapshot

LOG = logging.getLogger(__name__)


def commit(
    way: Way[Snapshot], decision: Decision[Snapshot, ChangeSet], timeout_s: float, *, confirm: bool, cut: Cut | None
) -> Committed:
    """Write what is decided, say in the log what that was, and return it; see `contract.NbBackend.commit`."""
    started = time.monotonic()
    done = attempts(way, decision, timeout_s, _confirmation if confirm else nothing_more, cut).run()
    changes = done.changes
    if changes.is_empty:
        return Committed(changes, done.attempts)
    if LOG.isEnabledFor(logging.INFO):
        inserts, updates, deletes = (len(changes.of(kind)) for kind in (Insert, Update, Delete))
        took_ms = (time.monotonic() - started) * 1000
        LOG.info("commit: +%d ~%d -%d, %d attempts, %.0f ms", inserts, updates, deletes, done.attempts, took_ms)
    # Between what was decided on and what was sent somebody else's changes may have come in.
    shown_at = done.shown_at if done.shown_at == done.base.snapshot.serial + 1 else 0
    return Committed(changes, done.attempts, _number(done) if confirm else 0, shown_at)


def not_reached(level: Level, known: int, nb_cfg: int, timeout_s: float) -> NotReached:
    """Return the error that says how far a confirmation has come."""
    who = "northd has" if level == "sb" else "all chassis have"
    return NotReached(f"{who} confirmed {known}, not {nb_cfg}, within {timeout_s:g} s")


def _confirmation(base: Base[Snapshot]) -> list[Operation]:
    return confirmation(exists=bool(base.numbers))


def _number(done: Done[Snapshot, Any]) -> int:
    # Without answers the reply was lost, and the changes were found to be there: so was the number. Without a row,
    # somebody has deleted it.
    rows = done.answers[-1]["rows"] if done.answers else ()
    number: int = rows[0]["nb_cfg"] if rows else done.base.snapshot.nb_cfg
    return number
