"""What becomes of an event that has failed.

Law: what is wanted is what was wanted before it; what nobody knows to be written is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.errors import OutcomeUnknown, TopoError
from ovnk8s_topo.live.engine import Engine
from ovnk8s_topo.live.outcome import Outcome
from ovnk8s_topo.live.roll import Event


def take_back(undo: Event, engine: Engine, fault: BaseException, changes: Iterable[ChangeSet]) -> None:
    """Want what was wanted before.

    undo     what takes back the event
    changes  that were planned for it
    """
    if isinstance(fault, TopoError):
        engine.retract()
        engine.enter(undo)
    else:
        engine.start_over(undo)
    if may_have_written(fault):
        for some in changes:
            engine.doubt(some)


def may_have_written(fault: BaseException) -> bool:
    """Tell whether changes may be made all the same: what a signal handler raises may come at any point."""
    return isinstance(fault, OutcomeUnknown) or not isinstance(fault, TopoError)


def changes_of(planned: Engine | Outcome) -> ChangeSet:
    """Return the changes of a plan of everything, or of an event's."""
    return planned.base.changes if isinstance(planned, Engine) else planned.changes
