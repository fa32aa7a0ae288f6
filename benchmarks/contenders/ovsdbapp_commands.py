"""ovsdbapp: its commands for switches, routers and ports, with the columns in the add, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ovsdbapp.backend.ovs_idl.connection import Connection, OvsdbIdl
from ovsdbapp.schema.ovn_northbound.impl_idl import OvnNbApiIdlImpl

from benchmarks.child import Job
from benchmarks.contenders.wanted import Ref, Wanted, wanted
from benchmarks.usage import Figures, metered
from benchmarks.wire import DATABASE, Wire


def ready(job: Job) -> partial[Figures]:
    """Read the rows and connect; the round makes the commands and waits for the reply."""
    rows = wanted(job.operations)
    api = OvnNbApiIdlImpl(Connection(OvsdbIdl.from_server(job.connection, DATABASE), timeout=600))
    return partial(metered, partial(_write, api, rows), Wire(job.connection).server)


def _write(api: Any, rows: dict[str, Wanted]) -> None:
    with api.transaction(check_error=True) as transaction:
        made: dict[str, Any] = {}
        for row in rows.values():
            for command in _commands(api, row, rows, made):
                transaction.add(command)


def _commands(api: Any, row: Wanted, rows: dict[str, Wanted], made: dict[str, Any]) -> Iterator[Any]:
    holder = rows[row.holder[0].uuid].name if row.holder else ""
    given = {column: _value(value, made) for column, value in row.rest("name").items()}
    match row.table:
        case "Logical_Switch":
            yield api.ls_add(row.name, **given)
        case "Logical_Router":
            yield api.lr_add(row.name, **given)
        case "Logical_Switch_Port":
            yield api.lsp_add(holder, row.name, **given)
        case "Logical_Router_Port":
            mac, networks = given.pop("mac"), given.pop("networks")
            yield api.lrp_add(holder, row.name, mac, networks, **given)
        case table:
            named = {"name": row.name} if row.name else {}
            made[row.uuid] = api.db_create(table, **named, **given)
            yield made[row.uuid]
            if row.holder:
                yield api.db_add(rows[row.holder[0].uuid].table, holder, row.holder[1], made[row.uuid])


def _value(value: Any, made: dict[str, Any]) -> Any:
    match value:
        case Ref(uuid):
            return made[uuid]
        case list(members):
            return [_value(member, made) for member in members]
        case _:
            return value
