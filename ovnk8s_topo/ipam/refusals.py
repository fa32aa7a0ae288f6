"""Why the allocators say no.

Law: every refusal carries OVN-Kubernetes' own text in `upstream` and, behind it, whom or what it is about.
"""

from __future__ import annotations

from bisect import bisect_left

from ovnk8s_topo.errors import AllocationError, Problem

_NAMED = 3


class Refused(AllocationError):
    """Base of this room's errors.

    upstream  OVN-Kubernetes' text, word for word, to compare with
    detail    what it leaves out: the range, the owner, the exclude
    """

    upstream: str = ""
    path: str = "subnets"

    def __init__(self, detail: str = "", *, upstream: str = "", subject: str = "") -> None:
        self.upstream = upstream or type(self).upstream
        self.detail = detail
        why = ": ".join(part for part in (self.upstream, detail) if part)
        super().__init__([Problem(self.path, why, subject=subject)])


class PoolExhausted(Refused):
    """A subnet has no address left to give."""

    upstream = "subnet address pool exhausted"


class NotInRange(Refused):
    """The address asked for is outside the pool, or is its network or broadcast address."""

    upstream = "not in range"


class AddressTaken(Refused):
    """The address asked for has an owner, is excluded or is withheld; `owner` is empty for the last two."""

    upstream = "provided IP is already allocated"

    def __init__(self, detail: str, *, owner: str = "") -> None:
        self.owner = owner
        super().__init__(detail)


class RequestRefused(Refused):
    """A list of addresses does not fit the subnets: none, one from elsewhere, or two from one pool."""


class SubnetsRefused(Refused):
    """The subnets, excludes or slice ranges of a network contradict each other."""


class SlicesExhausted(Refused):
    """No range of a family has a node subnet left."""

    upstream = "no subnets available"


class SliceTaken(Refused):
    """A node subnet, or one that overlaps it, belongs to another node; `owner` names it."""

    def __init__(self, upstream: str, *, owner: str) -> None:
        self.owner = owner
        super().__init__(upstream=upstream)


class IdRefused(Refused):
    """An id is taken, outside its range, or none is left."""

    path = "ids"


def others_of(holders: list[str], owner: str) -> str:
    """Name the other holders of something: ``b``, or ``b, c, d and 7 more``; empty when there are none.

    holders  everyone who claims it, sorted; `owner` itself may be among them
    """
    named = [holder for holder in holders[: _NAMED + 1] if holder != owner][:_NAMED]
    place = bisect_left(holders, owner)
    more = len(holders) - (holders[place : place + 1] == [owner]) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
