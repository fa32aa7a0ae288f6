"""A decision as an ovsdbapp command: the base of all that write to a live database.

Law: a command reads, decides and encodes anew in every attempt; it holds nothing between two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ovsdbapp.backend.ovs_idl.command import BaseCommand

from ovnk8s_topo.backends.attempts import C, Decision, S
from ovnk8s_topo.backends.ovsdb_replica import Copied
from ovnk8s_topo.backends.schema import Schema


class DecisionCommand(BaseCommand, Decision[S, C]):  # type: ignore[misc]
    """An ovsdbapp command that makes the changes `decide` asks for, computed anew in every attempt.

    api      the ovsdbapp API (or anything with its IDL as `.idl`); see `run_idl`
    decide   computes the changes from the database as it is in this very attempt
    result   the changes of the last attempt, once the transaction is through
    attempts how often `decide` was asked

    Add it to a transaction of your own: ``with api.transaction(check_error=True) as txn: txn.add(command)``. ovsdbapp
    repeats the transaction when a guard fails; a uuid or a name that somebody else took first is a RuntimeError there,
    and says so in its text.
    """

    copied: ClassVar[Copied[Any]]

    def __init__(self, api: Any, decide: Callable[[S], C]) -> None:
        super().__init__(api)
        self.decide = decide

    def run_idl(self, txn: Any) -> None:
        """Read, decide, and add the operations to the transaction.

        Rows that other commands of this transaction have made or changed are not seen yet.
        """
        idl = self.api.idl
        for operation in self.operations(self.copied.read(idl.tables), _schema_of(idl)):
            txn.add_op(operation)


def _schema_of(idl: Any) -> Schema:
    """Return what an IDL watches, as a schema: columns it does not watch cannot be guarded, so they do not count."""
    tables = {name: frozenset(table.columns) for name, table in idl.tables.items()}
    return Schema(tables, str(getattr(idl._db, "version", "unknown")))
