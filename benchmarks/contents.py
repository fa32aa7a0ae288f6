"""What a database holds, without what is left to chance: names stand for uuids."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from benchmarks.wire import Wire, transaction

Contents = Counter[str]
"""A text for each row, with how often it is there."""


def contents(connection: str, tables: Iterable[str]) -> Contents:
    """Return the rows of tables, all columns of them."""
    names = list(tables)
    asked = transaction({"op": "select", "table": table, "where": []} for table in names)
    with Wire(connection) as wire:
        results = json.loads(wire.read(asked))["result"]
    rows = {row["_uuid"][1]: (table, row) for table, found in zip(names, results, strict=True) for row in found["rows"]}
    labels = {uuid: str(row.get("name", table)) for uuid, (table, row) in rows.items()}
    return Counter(json.dumps([table, _named(row, labels)], sort_keys=True) for table, row in rows.values())


def difference(expected: Contents, found: Contents) -> int:
    """Return how many rows are not as expected, missing, or too many."""
    return max((expected - found).total(), (found - expected).total())


def _named(row: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    return {column: _value(value, labels) for column, value in row.items() if column not in ("_uuid", "_version")}


def _value(value: Any, labels: dict[str, str]) -> Any:
    match value:
        case ["uuid", uuid]:
            return ["uuid", labels[uuid]]
        case ["set", members]:
            return ["set", sorted((_value(member, labels) for member in members), key=str)]
        case _:
            return value
