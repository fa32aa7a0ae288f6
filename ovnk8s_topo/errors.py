"""Every error that this library raises, in one tree.

Law: an error says where, what must hold, what was given, and (by its class) who can put it right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Remedy(Enum):
    """Who can put an error right."""

    PERMANENT = "change the input"
    REPLAN = "plan again: the database has moved on"
    RETRY = "try again later"
    REREAD = "outcome unknown: read the database, then decide"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a document: file name, and line and column counted from 1 (0: not known)."""

    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.file or "<input>"]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of the input.

    path      the field, e.g. ``networks[0].vlanID`` or ``spec.config.subnets``
    why       what must hold; OVN-Kubernetes' own text where it has one
    given     the offending value, as text ("" when naming it would not help)
    subject   the object at fault, e.g. ``Pod default/nginx1``
    position  where the document says so, if it came from one
    """

    path: str
    why: str
    given: str = ""
    subject: str = ""
    position: Position | None = None

    def __str__(self) -> str:
        where = [str(part) for part in (self.position, self.subject, self.path) if part]
        tail = f" (got {self.given})" if self.given else ""
        return ": ".join([*where, self.why]) + tail


class TopoError(Exception):
    """Base of all errors of this library; `remedy` says who can put it right.

    written  changes that had been written in earlier batches of the same call (``atomic="unit"``), which stay; where a
             class says that nothing was written it means: but for these
    """

    remedy: Remedy = Remedy.PERMANENT
    written: int = 0

    @property
    def can_retry(self) -> bool:
        """Whether the very same call may succeed later without a change of its input."""
        return self.remedy in (Remedy.RETRY, Remedy.REPLAN)


class SpecError(TopoError, ValueError):
    """The described topology is not valid; `problems` holds every fault found, in document order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class AllocationError(TopoError, LookupError):
    """No address, or no node subnet, can be given; `problems` names who got nothing and why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class OwnershipError(TopoError, PermissionError):
    """A row that the topology needs, or would take along, belongs to somebody else; nothing was written.

    keys  (table, name) of our rows that cannot be written or deleted for that reason, one for each problem
    """

    def __init__(self, problems: Iterable[Problem], keys: Iterable[tuple[str, str]] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.keys: tuple[tuple[str, str], ...] = tuple(keys)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PruneRefused(TopoError):
    """Deleting what is no longer described would take more than was allowed; nothing was written."""


class RowError(TopoError, ValueError):
    """A row breaks a type, range or reference rule of the database's schema; nothing was written."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BackendError(TopoError):
    """Base of the errors that the database or the way to it causes."""


class ConflictError(BackendError):
    """The database changed under us and the change set no longer fits; nothing was written."""

    remedy = Remedy.REPLAN


class BackendUnavailable(BackendError, ConnectionError):
    """The database cannot be reached, or has not answered in time; nothing was sent."""

    remedy = Remedy.RETRY


class NodeNotReady(BackendError):
    """A node's Open vSwitch lacks what others make there, such as br-int; nothing was written."""

    remedy = Remedy.RETRY


class OutcomeUnknown(BackendError, TimeoutError):
    """A transaction was sent and no answer came: it may or may not have been applied."""

    remedy = Remedy.REREAD


class NotReached(BackendError, TimeoutError):
    """The rows are written, but northd or the chassis did not follow before the deadline."""

    remedy = Remedy.RETRY
