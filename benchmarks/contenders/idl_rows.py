"""The IDL of python-ovs, bare: rows inserted and columns set, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import ovs.db.idl
import ovs.poller

from benchmarks.child import Job
from benchmarks.contenders.wanted import Ref, Wanted, wanted
from benchmarks.usage import Figures, metered
from benchmarks.wire import DATABASE, Wire
from ovnk8s_topo.testing.tools import schema


def ready(job: Job) -> partial[Figures]:
    """Read the rows and connect; the round inserts them and waits for the reply."""
    rows = list(wanted(job.operations).values())
    idl = connected(job.connection, {(row.table, column) for row in rows for column in row.columns})
    return partial(metered, partial(_write, idl, rows), Wire(job.connection).server)


def connected(connection: str, columns: Iterable[tuple[str, str]]) -> Any:
    """Return an IDL whose copy of these columns is complete."""
    helper = ovs.db.idl.SchemaHelper(str(schema("ovn-nb")))
    by_table: dict[str, list[str]] = {}
    for table, column in columns:
        by_table.setdefault(table, []).append(column)
    for table, names in by_table.items():
        helper.register_columns(table, names)
    idl = ovs.db.idl.Idl(connection, helper)
    while not idl.has_ever_connected():
        poller = ovs.poller.Poller()
        if not idl.run():
            idl.wait(poller)
            poller.block()
    return idl


def _write(idl: Any, rows: list[Wanted]) -> None:
    transaction = ovs.db.idl.Transaction(idl)
    made = {row.uuid: transaction.insert(idl.tables[row.table]) for row in rows}
    for row in rows:
        for column, value in row.columns.items():
            setattr(made[row.uuid], column, _value(value, made))
    status = transaction.commit_block()
    if status != ovs.db.idl.Transaction.SUCCESS:
        raise RuntimeError(f"{DATABASE}: {status}: {transaction.get_error()}")


def _value(value: Any, made: dict[str, Any]) -> Any:
    match value:
        case Ref(uuid):
            return made[uuid]
        case list(members):
            return [_value(member, made) for member in members]
        case _:
            return value
