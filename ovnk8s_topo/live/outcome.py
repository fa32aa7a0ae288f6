"""What was planned for an event.

Law: a value; it becomes what is known when the plan has been carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.live.standing import Open, Step
from ovnk8s_topo.plan import Plan

Way = Literal["attachments", "networks", "everything"]
"""How an event was planned."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The plan of an event.

    plan        of all that was planned
    tell        returns the plan of the objects that the event concerns, the same whenever it is asked
    step        what it puts in the place of what was planned before; None: everything
    still_open  what could not be had
    serial      of the snapshot that it was made from
    """

    plan: Plan
    tell: Callable[[], Plan]
    way: Way
    step: Step | None
    still_open: Open
    serial: int

    @property
    def changes(self) -> ChangeSet:
        """What is to be done."""
        return self.plan.changes
