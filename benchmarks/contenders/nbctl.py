"""ovn-nbctl: the usual commands, many in one call as far as a command line is long, or a call for each port."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from benchmarks.child import Job
from benchmarks.contenders.wanted import Ref, Wanted, wanted
from benchmarks.usage import Figures, metered
from benchmarks.wire import Wire
from ovnk8s_topo.testing.tools import program

MODES = ("many commands in a call", "a call for each port")

_LONGEST = 1 << 20
"""Bytes of one command line; Linux allows two million by default (execve(2), _SC_ARG_MAX)."""

Command = list[str]


def ready(job: Job) -> partial[Figures]:
    """Read the rows; the round makes the commands and runs ovn-nbctl."""
    rows = wanted(job.operations)
    longest = _LONGEST if job.mode == MODES[0] else 0
    return partial(metered, partial(_write, job.connection, rows, longest), Wire(job.connection).server)


def _write(connection: str, rows: dict[str, Wanted], longest: int) -> None:
    # A reference cannot leave its call: whatever is referred to goes first, together with those who do.
    ports = ("Logical_Switch_Port", "Logical_Router_Port", "Gateway_Chassis")
    first = [part for row in rows.values() if row.table not in ports for part in _commands(row, rows)]
    groups = [list(_commands(row, rows)) for row in rows.values() if row.table in ports]
    for call in (first, *_calls(groups, longest)):
        arguments = (argument for command in call for argument in ("--", *command))
        command = [program("ovn-nbctl"), f"--db={connection}", *arguments]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError(f"ovn-nbctl: exit code {done.returncode}")


def _calls(groups: Iterable[list[Command]], longest: int) -> Iterator[list[Command]]:
    """Join groups of commands to calls that are not too long; 0: each for itself."""
    call: list[Command] = []
    size = 0
    for group in groups:
        added = sum(len(argument.encode()) + 16 for command in group for argument in command)
        if call and size + added > longest:
            yield call
            call, size = [], 0
        call += group
        size += added
    yield call


def _commands(row: Wanted, rows: dict[str, Wanted]) -> Iterator[Command]:
    holder = rows[row.holder[0].uuid].name if row.holder else ""
    match row.table:
        case "Logical_Switch":
            yield from _added(["ls-add", row.name], row)
        case "Logical_Router":
            yield from _added(["lr-add", row.name], row)
        case "Logical_Switch_Port":
            yield from _added(["lsp-add", holder, row.name], row)
        case "Logical_Router_Port":
            networks = row.columns["networks"]
            yield from _added(["lrp-add", holder, row.name, row.columns["mac"], *networks], row, "mac", "networks")
        case table:
            yield [f"--id=@{_id(row.uuid)}", "create", table, *_texts(row.columns)]
            if row.holder:
                yield ["add", rows[row.holder[0].uuid].table, holder, row.holder[1], f"@{_id(row.uuid)}"]


def _added(command: Command, row: Wanted, *given: str) -> Iterator[Command]:
    yield command
    if texts := _texts(row.rest("name", *given)):
        yield ["set", row.table, row.name, *texts]


def _texts(columns: dict[str, Any]) -> list[str]:
    return [f"{column}={_text(value)}" for column, value in columns.items()]


def _text(value: Any) -> str:
    """Return a value as ovs-vsctl(8), "Database Values", wants it."""
    match value:
        case Ref(uuid):
            return f"@{_id(uuid)}"
        case list(members):
            return f"[{','.join(_text(member) for member in members)}]"
        case dict(pairs):
            return f"{{{','.join(f'{_text(key)}={_text(held)}' for key, held in pairs.items())}}}"
        case _:
            return json.dumps(value)


def _id(uuid: str) -> str:
    return f"r{uuid.replace('-', '')}"
