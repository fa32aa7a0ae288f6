"""What becomes of an event that has failed.

Law: what is wanted is what was wanted before it; what nobody knows to be written is looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ovnk8s_topo.errors import OutcomeUnknown, TopoError
from ovnk8s_topo.live.engine import Engine
from ovnk8s_topo.live.lone import Lone
from ovnk8s_topo.live.outcome import Outcome
from ovnk8s_topo.live.roll import Event
from ovnk8s_topo.plan import Plan

Planned = Engine | Outcome | Lone
"""What an attempt has planned: everything anew, or what an event asks for."""


class Underway:
    """An event that is being carried out.

    planned  in each attempt
    undo     what takes it back; None: what is wanted has not changed yet
    """

    def __init__(self, event: Event, engine: Engine, planned: Sequence[Planned]) -> None:
        self.event, self.engine, self.planned = event, engine, planned
        self.undo: Event | None = None

    def enter(self) -> Event:
        """Want what the event says from now on; return what takes it back. It counts once."""
        if self.undo is None:
            self.undo = self.engine.undo_of(self.event)
            self.engine.enter(self.event)
        return self.undo

    def take_back(self, fault: BaseException | None) -> None:
        """Want what was wanted before. It may be done again if it was broken off itself.

        fault  None: taking back was broken off
        """
        engine = self.engine
        if isinstance(fault, TopoError):
            engine.retract()
            if self.undo is not None:
                engine.enter(self.undo)
        else:
            engine.start_over(self.undo, map(_plan_of, self.planned))
        doubt(engine, self.planned, fault)


def doubt(engine: Engine, planned: Iterable[Planned], fault: BaseException | None) -> None:
    """Let an engine doubt what was planned, if it may have been written: an interrupt may come at any point."""
    if isinstance(fault, TopoError) and not isinstance(fault, OutcomeUnknown) and not fault.written:
        return
    engine.doubts.add((_plan_of(each).changes for each in planned), engine.owner)


def inherit(engine: Engine, known: Engine | None) -> Engine:
    """Let an engine doubt what the one does whose place it takes; return it."""
    if known is not None:
        engine.doubts = known.doubts.copy()
        engine.doubts.recount(engine.base.changes)
    return engine


def _plan_of(planned: Planned) -> Plan:
    match planned:
        case Engine():
            return planned.base
        case Outcome():
            return planned.plan
        case Lone():
            return planned.tell()
