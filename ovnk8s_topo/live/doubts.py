"""Rows that nobody knows whether they were made, or will be.

Law: counted by key, for a transaction whose reply was lost may be applied much later, and more than one may be. See
docs/decisions/0014-what-may-have-been-written.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from ovnk8s_topo.diff import ChangeSet, Delete, Insert
from ovnk8s_topo.nb.ownership import owned_by
from ovnk8s_topo.nb.tables import Key

_MOST = 10_000
"""How many rows may be in doubt; the oldest ones are given up."""


class Doubts:
    """How often rows of some names may be made without our knowing."""

    def __init__(self) -> None:
        self._times: dict[Key, int] = {}

    @property
    def keys(self) -> Set[Key]:
        """The rows in doubt."""
        return self._times.keys()

    def add(self, attempts: Iterable[ChangeSet], owner: str) -> None:
        """Add the rows that one of several attempts makes, or makes the owner's."""
        changes = (change for attempt in attempts for change in attempt)
        for key in {each.key for each in changes if isinstance(each, Insert) or not owned_by(each.stored, owner)}:
            self._times[key] = self._times.get(key, 0) + 1
        for key in list(self._times)[: max(0, len(self._times) - _MOST)]:
            del self._times[key]

    def recount(self, changes: ChangeSet) -> None:
        """Take in what is known to be made: a row that was made now was not the one in doubt, which may yet come."""
        if not self._times:
            return
        for change in changes:
            if change.key in self._times and isinstance(change, Insert | Delete):
                self._times[change.key] += 1 if isinstance(change, Insert) else -1
                if not self._times[change.key]:
                    del self._times[change.key]

    def copy(self) -> Doubts:
        """Return the same, to be counted by itself."""
        doubts = Doubts()
        doubts._times = dict(self._times)
        return doubts
