"""The last plan of everything, beside what has become of the rows.

Law: until somebody else writes, every row is as the plan wants it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Set

from ovnk8s_topo.diff import Delete, Insert
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import Row
from ovnk8s_topo.plan import Plan


class LastPlan:
    """A plan that was carried out.

    departed  uuids of rows that it has deleted, until they were seen to be gone
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.departed = {change.stored.uuid for change in plan.changes if isinstance(change, Delete)}

    def compared(self, uuids: Set[str], snapshot: Snapshot) -> Iterator[tuple[str, bool, Row | None]]:
        """Compare rows with what the plan wants.

        Yields the uuid, whether the row is as it was planned, and the row if the plan has made it.
        """
        # In the order in which they were made, in which they lie in memory: a set has none.
        inserts = (change for change in self._plan.changes if isinstance(change, Insert)) if uuids else ()
        made = {change.uuid: change.row for change in inserts if change.uuid in uuids}
        for uuid, row in made.items():
            yield uuid, self._is_as_planned(uuid, row, snapshot), row
        for uuid in uuids - made.keys():
            yield uuid, self._is_as_planned(uuid, None, snapshot), None

    def found(self, changed: Container[str]) -> Iterator[tuple[str, Row]]:
        """Yield the rows that the plan has found as it wants them, by uuid.

        changed  what has changed since
        """
        uuids = self._plan.changes.uuids
        found = ((uuids.get(key), row) for key, row in self._plan.desired.rows.items())
        return ((uuid, row) for uuid, row in found if uuid and uuid not in changed)

    def _is_as_planned(self, uuid: str, row: Row | None, snapshot: Snapshot) -> bool:
        """Whether a row is as the plan wants it.

        row  as the plan has made it; None: it has not
        """
        if row is None:
            stored = snapshot.rows.get(uuid)
            if stored is None:
                return uuid in self.departed
            wanted = self._plan.desired.rows.get(stored.key)
            if wanted is None:
                return False
            row = wanted
        return snapshot.shows(uuid, row) and (row.TABLE.indexed or len(snapshot.named(row.key)) == 1)
