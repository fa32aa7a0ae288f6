"""What every backend promises. The same contract tests run on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.nb.rowset import Snapshot

Decide = Callable[[Snapshot], ChangeSet]
"""Computes the changes from the database as it is in this very attempt."""

Cut = Callable[[ChangeSet], Iterable[ChangeSet]]
"""Cuts changes into batches that may be made one after the other; each is a transaction."""

Work = Callable[[], None]
"""What is done while the server works. It has no say in what happens, and must not raise."""


def idle() -> None:
    """Do nothing while the server works."""


Level = Literal["sb", "hv"]
"""How far a change must have come: written to the southbound by northd, or realised by every chassis."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did.

    changes   what was written, empty if there was nothing to do (then nothing was sent at all)
    attempts  how often `decide` was asked, at least 1
    nb_cfg    the number to wait for, 0 if the commit did not ask northd for a confirmation
    shown_at  `Snapshot.serial` of the state that came of what was decided on by the changes, and by nothing else, as
              the backend has seen; 0 if it has not
    """

    changes: ChangeSet
    attempts: int
    nb_cfg: int = 0
    shown_at: int = 0


class NbBackend(Protocol):
    """A Northbound database.

    Every call has a deadline, `timeout_s` in seconds, and ends by it plus the time of one local computation.
    A reader never waits for a writer. One object is one connection; two objects share nothing.
    """

    def snapshot(self, *, timeout_s: float) -> Snapshot:
        """Return all rows of our tables at one point in time.

        It is complete: after a (re)connect the call waits until the replica is whole again, so that nobody plans
        from half a picture. It includes everything that this object committed before.

        BackendUnavailable  no complete replica by the deadline
        """
        ...

    def commit(
        self, decide: Decide, *, timeout_s: float, confirm: bool = False, cut: Cut | None = None, meanwhile: Work = idle
    ) -> Committed:
        """Write the changes that `decide` returns, in one transaction, all or nothing.

        Each attempt reads a snapshot, calls `decide` with it and sends the result with guards; when a guard fails,
        because another writer was faster, the next attempt starts from a new snapshot. An empty change set sends
        nothing. What `decide` raises goes to the caller and nothing is written.

        Guards: a row is created only while no other bears its uuid or, where the schema has no unique index, its
        name; a row is updated or deleted only while its external_ids and the columns relied on are as read; maps
        and sets change by key; a parent gains a child only while it exists.

        confirm    ask for a confirmation: raise NB_Global.nb_cfg in the same transaction (see `wait`)
        cut        make the batches that it returns, each all or nothing, in their order. Of those that do not get
                   through the next attempt decides anew; an error says how much is written
        meanwhile  called when what `decide` returned has been sent, in each attempt, before its answer is waited for.
                   Not called where there is nothing to send, nor with `cut`

        RowError            a row breaks the schema's types or ranges, or needs a column that the server lacks
        ConflictError       guards kept failing until the deadline
        BackendUnavailable  not connected, nothing was sent
        OutcomeUnknown      sent, and no answer by the deadline; it may or may not have been applied
        """
        ...

    def wait(self, level: Level, nb_cfg: int, *, timeout_s: float) -> None:
        """Wait until northd (`sb`) or all chassis (`hv`) have confirmed `nb_cfg` or a higher number.

        NotReached  not confirmed by the deadline; for `hv` the text says how far they are
        """
        ...

    def close(self) -> None:
        """Close the connection and stop its thread. Calling it again is no error."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
