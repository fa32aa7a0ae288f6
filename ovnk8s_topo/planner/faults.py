"""What could not be planned, and whose rows to leave alone for it."""

from __future__ import annotations

from dataclasses import dataclass

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.spec import Gaps


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that gets no rows.

    gap      what to leave alone
    problem  why; None if that has been told already
    """

    gap: Gaps
    problem: Problem | None = None
