"""A transaction under a deadline: decide, send, and try again when somebody else was faster.

Law: every attempt reads, decides and encodes anew, and the error at the end says what is known: not sent, refused, or
perhaps applied. How messages travel is the business of a `Way`.
"""

from __future__ import annotations

import abc
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ovnk8s_topo.backends.operations import Joined, Operation, Operations
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.errors import BackendError, BackendUnavailable, ConflictError, OutcomeUnknown, TopoError

S = TypeVar("S")
"""What is read."""

C = TypeVar("C")
"""What is decided: changes."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.5
"""Pauses after a conflict: they grow from the first to the longest."""

_STALE_ATTEMPTS = 3
"""Conflicts in a row, without any change arriving, after which the replica is taken for stale and fetched anew."""

_INTEGRITY_ATTEMPTS = 3
"""How often a broken reference may be somebody else's change that we have not seen yet."""

_LEAST_ROUND_TRIP_S = 0.02
"""What a transaction takes at the least, for the question whether there is time for one more."""


class Deadline:
    """The end of the time that a call was given."""

    __slots__ = ("_end", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    def left(self) -> float:
        """Return how many seconds there are."""
        return max(0.0, self._end - time.monotonic())

    def at_most(self, seconds: float) -> Deadline:
        """Return a deadline in so many seconds, but not after this one."""
        return Deadline(min(seconds, self.left()))


class Base(NamedTuple, Generic[S]):
    """What one attempt to commit starts from.

    stamp    tells two states of the replica apart
    numbers  columns of NB_Global; nothing if the database has no such row
    """

    snapshot: S
    schema: Schema
    stamp: object
    numbers: Mapping[str, int]


class Done(NamedTuple, Generic[S, C]):
    """What a transaction did.

    changes   what was written
    attempts  how often was decided
    base      what the last attempt started from
    answers   the server's results for what was added to the changes; nothing if no answer is at hand
    shown_at  see `Pending`
    """

    changes: C
    attempts: int
    base: Base[S]
    answers: list[Any]
    shown_at: int = 0


class Refusal(NamedTuple):
    """Why the server did not apply a transaction.

    text      what it said
    attempts  how many refusals of this kind may be a race; 0 for no limit but the deadline
    lost      the server itself does not know whether it was applied
    """

    text: str
    attempts: int = 0
    lost: bool = False


def refusal_of(results: list[Any]) -> Refusal | None:
    """Return what the server's results say against the transaction, None if it was applied (RFC 7047 section 4.1.3)."""
    for result in results:
        if isinstance(result, dict) and result.get("error"):
            return _refusal(result)
    return None


def _refusal(fault: dict[str, Any]) -> Refusal:
    error, details = str(fault["error"]), str(fault.get("details", ""))
    text = f"{error}: {details}" if details else error
    match error:
        case "timed out" | "duplicate uuid":  # a `wait` that failed; a uuid that is taken
            return Refusal(text)
        case "constraint violation" if "identical values" in details:  # of a unique index
            return Refusal(text)
        case "constraint violation" if '"NB_Global" table to contain' in details:  # somebody has made its only row
            return Refusal(text)
        case "cluster error" | "not leader":
            return Refusal(text, lost=True)
        case "referential integrity violation":
            return Refusal(text, _INTEGRITY_ATTEMPTS)
        case _:
            return Refusal(text, 1)


class Decision(abc.ABC, Generic[S, C]):
    """Changes that are computed anew in every attempt.

    decide     computes the changes from the database as it is in this very attempt
    meanwhile  called when they have been sent; None: nothing is
    result     the changes of the last attempt
    attempts   how often `decide` was asked
    """

    decide: Callable[[S], C]
    meanwhile: Callable[[], None] | None = None
    result: C
    attempts: int = 0

    def decided(self, actual: S) -> C:
        """Ask for the changes."""
        self.attempts += 1
        self.result = self.decide(actual)
        return self.result

    def operations(self, actual: S, schema: Schema) -> Operations:
        """Ask for the changes and return them as operations; see `encode` for what it raises."""
        return self.encode(self.decided(actual), actual, schema)

    @abc.abstractmethod
    def encode(self, changes: C, actual: S, schema: Schema) -> Operations:
        """Return the operations that make the changes, with all guards; none if there are no changes.

        RowError  something cannot be written: raised here or while they are made
        """


class Pending(Protocol):
    """A transaction on its way.

    shown_at  the state of the copy to which the transaction alone has led, as far as the server has told; 0: unknown
    """

    shown_at: int


class Carrier(Protocol):
    """A connection to a database, as it carries transactions."""

    def send(self, operations: Operations, deadline: Deadline) -> Pending | None:
        """Send one transaction, None if it could not be sent. What is raised while they are made goes to the caller."""
        ...

    def results(self, pending: Any, deadline: Deadline) -> list[Any] | None:
        """Return the server's results, [] if the connection broke first, None at the deadline.

        BackendUnavailable  closed
        """
        ...

    def give_up(self, pending: Any) -> None:
        """Make a new connection, unless the one that carries `pending` is gone already."""
        ...


class Way(Carrier, Protocol[S]):
    """A connection to a database and a complete copy of it, as attempts see them."""

    connection: str

    def base(self, deadline: Deadline) -> Base[S] | None:
        """Return the copy as soon as it is complete, None at the deadline. BackendUnavailable  closed."""
        ...

    def carrier(self, operations: int) -> AbstractContextManager[Carrier]:
        """Return what is to carry so many operations: this connection, or another one for as long as it takes."""
        ...

    def moved(self, base: Base[S], deadline: Deadline) -> bool:
        """Wait until the copy is another than `base`; tell whether it is. BackendUnavailable  closed."""
        ...

    def refetch(self, why: str) -> None:
        """Forget the copy and fetch it again."""
        ...

    def unavailable(self, timeout_s: float) -> BackendUnavailable:
        """Return the error that says why there is no complete copy."""
        ...


def nothing_more(_: object) -> list[Operation]:
    """Add no operations to a transaction."""
    return []


class Attempts(Generic[S, C]):
    """Attempts to send what was decided, until one is through or the deadline has come.

    also  operations to add, when there is something to send at all
    """

    def __init__(
        self,
        way: Way[S],
        decision: Decision[S, C],
        timeout_s: float,
        also: Callable[[Base[S]], list[Operation]] = nothing_more,
    ) -> None:
        self.way, self.decision, self.also = way, decision, also
        self.deadline = Deadline(timeout_s)
        self.lost: C | None = None
        self.refusal: Refusal | None = None
        self.integrity = self.still = 0
        self.round_trip_s = 0.0

    def run(self) -> Done[S, C]:
        """Return what was done; see `contract.NbBackend.commit` for what it raises."""
        while True:
            base = self.way.base(self.deadline)
            if base is None or (self.decision.attempts and not self.has_time()):
                raise self.failure()
            done = self.attempt(base)
            if done is not None:
                return done
            self.settle(base)

    def has_time(self) -> bool:
        """Tell whether another attempt is likely to be answered in time.

        A refused transaction is known not to be applied; to send it once more and not hear of it would lose that.
        """
        needed = max(_LEAST_ROUND_TRIP_S, 2 * self.round_trip_s) if self.refusal is not None else 0.0
        return self.deadline.left() > needed

    def attempt(self, base: Base[S]) -> Done[S, C] | None:
        """Try once; None if it must be tried again."""
        operations = self.operations(base)
        changes, count = self.decision.result, len(operations)
        if not count:
            # An attempt whose reply was lost has done it: what is wanted is there, and something was sent.
            return Done(changes if self.lost is None else self.lost, self.decision.attempts, base, [])
        also = self.also(base)
        with self.way.carrier(count) as carrier:
            pending = carrier.send(Joined(operations, also) if also else operations, self.deadline)
            if pending is None:
                return None
            if self.decision.meanwhile is not None:
                self.decision.meanwhile()
            reply = self.reply(pending, changes, carrier)
        refusal = refusal_of(reply)
        if reply and refusal is None:
            return Done(changes, self.decision.attempts, base, reply[count : count + len(also)], pending.shown_at)
        if refusal is not None:
            self.refused(refusal, changes)
        return None

    def operations(self, base: Base[S]) -> Operations:
        """Ask for what is to be sent; what is refused then must not say that nothing was written if nobody knows."""
        try:
            return self.decision.operations(base.snapshot, base.schema)
        except TopoError as refusal:
            if self.lost is None:
                raise
            raise self.failure() from refusal

    def reply(self, pending: Pending, changes: C, carrier: Carrier) -> list[Any]:
        """Wait for the server's results; [] if the connection broke before they came."""
        sent = time.monotonic()
        self.lost, before = changes, self.lost
        try:
            found = carrier.results(pending, self.deadline)
        except BackendUnavailable as closed:
            raise self.failure() from closed
        self.round_trip_s = time.monotonic() - sent
        if found:
            self.lost = before
        if found is None:
            # ground facts 7, 10: probes alone do not help against a server that is stuck; only a new connection does.
            carrier.give_up(pending)
            raise self.failure()
        return found

    def refused(self, refusal: Refusal, changes: C) -> None:
        """Remember why; raise if trying again cannot help."""
        self.refusal = refusal
        if refusal.lost:
            self.lost = changes
        self.integrity += bool(refusal.attempts)
        if refusal.attempts and self.integrity >= refusal.attempts:
            raise self.failure()

    def settle(self, base: Base[S]) -> None:
        """Wait until the copy has moved on from what the attempt was based on, or for a pause, with jitter."""
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self.decision.attempts, 10))
        moved = self.way.moved(base, self.deadline.at_most(longest))
        self.still = 0 if moved else self.still + 1
        if self.still == _STALE_ATTEMPTS:
            self.way.refetch("its rows did not fit the server's any more")
        time.sleep(min(self.deadline.left(), random.uniform(0, longest / 4)))

    def failure(self) -> BackendError:
        """Return the error that says what is known when the deadline has come."""
        within = f"within {self.deadline.timeout_s:g} s, {self.decision.attempts} attempts"
        if self.lost is not None:
            return OutcomeUnknown(f"{self.way.connection} gave no answer {within}; it may or may not have been applied")
        if self.refusal is not None:
            return ConflictError(f"{self.way.connection} refused the transaction {within}: {self.refusal.text}")
        return self.way.unavailable(self.deadline.timeout_s)
