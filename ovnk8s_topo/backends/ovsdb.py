"""A live Northbound database, through python-ovs and ovsdbapp."""

from __future__ import annotations

from ovnk8s_topo.backends.attempts import Deadline
from ovnk8s_topo.backends.contract import Committed, Cut, Decide, Level, Work, idle
from ovnk8s_topo.backends.nb_commit import commit, not_reached
from ovnk8s_topo.backends.operations import Operation
from ovnk8s_topo.backends.ops import encode
from ovnk8s_topo.backends.ovsdb_client import OvsdbClient
from ovnk8s_topo.backends.ovsdb_command import DecisionCommand
from ovnk8s_topo.backends.ovsdb_replica import NORTHBOUND
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.diff import ChangeSet
from ovnk8s_topo.nb.rowset import Snapshot


class ReconcileCommand(DecisionCommand[Snapshot, ChangeSet]):
    """An ovsdbapp command that makes the changes `decide` asks for in the Northbound database.

    See `DecisionCommand`; `result` is a ChangeSet, and `ops.encode` says what it raises.
    """

    copied = NORTHBOUND

    def encode(self, changes: ChangeSet, actual: Snapshot, schema: Schema) -> list[Operation]:
        """Return the operations; see `ops.encode`."""
        return encode(changes, actual, schema)


class OvsdbNb(OvsdbClient[Snapshot]):
    """A Northbound database on a live ovsdb-server; see `contract.NbBackend` for what its methods promise.

    What it is made from, and how that can fail, is said at `OvsdbClient`.
    """

    copied = NORTHBOUND

    def snapshot(self, *, timeout_s: float) -> Snapshot:
        """Return all rows of our tables; see `contract.NbBackend.snapshot`."""
        return self._read(timeout_s)

    def commit(
        self, decide: Decide, *, timeout_s: float, confirm: bool = False, cut: Cut | None = None, meanwhile: Work = idle
    ) -> Committed:
        """Write what `decide` returns; see `contract.NbBackend.commit`."""
        command = ReconcileCommand(None, decide)
        command.meanwhile = meanwhile
        return commit(self._way, command, timeout_s, confirm=confirm, cut=cut)

    def wait(self, level: Level, nb_cfg: int, *, timeout_s: float) -> None:
        """Wait for northd or the chassis; see `contract.NbBackend.wait`."""
        known = 0

        def reached() -> bool | None:
            nonlocal known
            known = self._replica.numbers().get(f"{level}_cfg", 0)
            return True if self._replica.complete and known >= nb_cfg else None

        if self._when(reached, Deadline(timeout_s)) is None:
            raise not_reached(level, known, nb_cfg, timeout_s)
