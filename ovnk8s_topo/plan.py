"""A plan: what a reconcile would change, as a value that people and programs can read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ovnk8s_topo.diff import ChangeSet, Delete, Insert, Update
from ovnk8s_topo.errors import Problem
from ovnk8s_topo.planner import Desired
from ovnk8s_topo.render.json import json_from_changes, json_from_problem
from ovnk8s_topo.render.text import text_from_changes
from ovnk8s_topo.spec import Topology

if TYPE_CHECKING:
    from ovnk8s_topo.told import Told


@dataclass(frozen=True, slots=True)
class Plan:
    """What must change in a database for a topology.

    owner      whose rows they are
    changes    in the order in which they are made; every row that they touch is pinned as it was read
    desired    all rows as they shall be, and who got no address
    topology   what was planned
    leftovers  number of rows of the owner that the topology does not describe and that stay, for want of `prune`
    """

    owner: str
    changes: ChangeSet
    desired: Desired = field(repr=False)
    leftovers: int = 0
    topology: Topology = field(default_factory=Topology, repr=False)

    @property
    def told(self) -> Told:
        """What pods and nodes are to be told: addresses, annotations, CNI results."""
        # Imported on first use: most plans are made to be applied, and the texts for CNI plug-ins take a while to load.
        from ovnk8s_topo.told import Told

        return Told(self.topology, self.desired)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.changes.is_empty

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be planned; empty unless the plan was asked to keep going."""
        return self.desired.problems

    @property
    def counts(self) -> dict[str, int]:
        """How many rows are inserted, updated and deleted."""
        return {kind.__name__.lower(): len(self.changes.of(kind)) for kind in (Insert, Update, Delete)}

    def __str__(self) -> str:
        return text_from_changes(self.changes, self.leftovers)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values.

        `changes` with tables, names and columns, `counts`, `problems`, `notices`, and under `ipam_claims` what belongs
        into `status.ips` of the IPAMClaims that pods refer to.
        """
        return {
            "owner": self.owner,
            "is_empty": self.is_empty,
            "counts": self.counts,
            "leftovers": self.leftovers,
            "changes": json_from_changes(self.changes),
            "problems": [json_from_problem(problem) for problem in self.problems],
            "notices": list(self.desired.notices),
            "ipam_claims": {claim: list(ips) for claim, ips in sorted(self.desired.ipam_claims.items())},
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)
