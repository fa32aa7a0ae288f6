"""Rows and reconciliations that the tests of the live backend share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ovnk8s_topo.backends import DirectNb, OvsdbNb
from ovnk8s_topo.backends.contract import Committed, Decide, NbBackend
from ovnk8s_topo.diff import Rules, diff
from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import RowSet, Snapshot
from ovnk8s_topo.nb.tables import LogicalRouter, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, Row

Live = type[DirectNb] | type[OvsdbNb]
"""One of the two ways to a live database; tests that take `live` run on both."""

N = TypeVar("N", bound=DirectNb | OvsdbNb)

LIMIT_S = 30.0
"""For calls that are meant to succeed: far more than they need."""


@contextmanager
def connected(live: type[N], connection: str, **options: Any) -> Iterator[N]:
    nb = live(connection, **options)
    with nb:
        nb.snapshot(timeout_s=LIMIT_S)
        yield nb


def network(name: str, ports: int = 2, **columns: Any) -> list[Row]:
    held = [
        LogicalSwitchPort(name=f"{name}-p{i}", parent=name, addresses=frozenset({f"0a:00:00:00:00:{i:02x}"}))
        for i in range(ports)
    ]
    return [LogicalSwitch(name=name, **columns), *held]


def routed(name: str) -> list[Row]:
    uplink = LogicalRouterPort(
        name=f"{name}-rp", parent=f"{name}-r", mac="0a:00:00:00:00:01", networks=frozenset({"10.0.0.1/24"})
    )
    return [*network(name), LogicalRouter(name=f"{name}-r"), uplink]


def decide(rows: list[Row], owner: str = "me", *, prune: bool = False) -> Decide:
    desired = RowSet(marked(row, owner) for row in rows)
    return lambda actual: diff(desired, actual, Rules(owner=owner, prune=prune))


def reconcile(
    nb: NbBackend, rows: list[Row], owner: str = "me", *, prune: bool = False, timeout_s: float = LIMIT_S
) -> Committed:
    return nb.commit(decide(rows, owner, prune=prune), timeout_s=timeout_s)


def meddled(deciding: Decide, meddle: Callable[[], object]) -> Decide:
    """Let somebody else act between the first look at the database and the transaction."""
    acts = iter([meddle])

    def decision(actual: Snapshot) -> Any:
        for act in acts:
            act()
        return deciding(actual)

    return decision


def names(actual: Snapshot, table: str) -> list[str]:
    return sorted(stored.key.name for stored in actual.table(table))


def wait_until(seen: Callable[[], object]) -> None:
    """Return when it is so; an AssertionError if it does not come to that."""
    deadline = time.monotonic() + LIMIT_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def changed_schema(source: Path, target: Path, *, without: tuple[str, ...] = (), unknown: bool = False) -> Path:
    """Write a Northbound schema that lacks tables ("Copp") and columns ("Meter.fair"), or has some nobody knows."""
    document = json.loads(source.read_text())
    tables = document["tables"]
    for table in without:
        tables.pop(table, None)
    for name, table in tables.items():
        for column, definition in list(table["columns"].items()):
            if f"{name}.{column}" in without or any(
                f'"refTable": "{gone}"' in json.dumps(definition) for gone in without
            ):
                del table["columns"][column]
    if unknown:
        tables["Brand_New"] = {"columns": {"name": {"type": "string"}}, "isRoot": True}
        tables["Logical_Switch"]["columns"]["brand_new"] = {
            "type": {"key": {"type": "uuid", "refTable": "Brand_New"}, "min": 0, "max": "unlimited"}
        }
    document["version"] = "99.0.0" if unknown else "5.20.0"
    document.pop("cksum", None)
    target.write_text(json.dumps(document))
    return target
