"""The last plan of everything, beside what has become of the rows.

Law: until somebody else writes, every row is as the plan wants it.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator

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

    def made(self, among: Container[str]) -> list[tuple[str, Row]]:
        """Return the rows that the plan has made, with their uuids, in the order in which they lie in memory."""
        inserts = (change for change in self._plan.changes if isinstance(change, Insert)) if among else ()
        return [(change.uuid, change.row) for change in inserts if change.uuid in among]

    def differing(self, uuids: frozenset[str], made: Collection[tuple[str, Row]], snapshot: Snapshot) -> set[str]:
        """Return those of some rows that are not as the plan wants them.

        made  those of them that it has made
        """
        others, found = dict[str, Row](), set[str]()
        for uuid in uuids.difference(uuid for uuid, _ in made) if len(made) < len(uuids) else ():
            stored = snapshot.rows.get(uuid)
            row = self._plan.desired.rows.get(stored.key) if stored else None
            if row is not None:
                others[uuid] = row
            elif stored or uuid not in self.departed:
                found.add(uuid)
        for some in (made, others.items()):
            found |= snapshot.unlike(some)
            # Others may bear a name that the schema does not keep unique.
            rivals = ((uuid, row.key) for uuid, row in some if not row.TABLE.indexed)
            found |= {uuid for uuid, key in rivals if len(snapshot.named(key)) != 1}
        return found

    def found(self, changed: Container[str]) -> Iterator[tuple[str, Row]]:
        """Yield the rows that the plan has found as it wants them, by uuid.

        changed  what has changed since
        """
        uuids = self._plan.changes.uuids
        found = ((uuids.get(key), row) for key, row in self._plan.desired.rows.items())
        return ((uuid, row) for uuid, row in found if uuid and uuid not in changed)
