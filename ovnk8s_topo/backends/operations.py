"""Single operations and values of a transaction, as RFC 7047 sections 5.1 and 5.2 write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, cast

from ovnk8s_topo.backends.schema import GLOBAL
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.tables import Row

Operation = dict[str, object]
"""One operation of a transaction, ready for a JSON encoder."""


class Operations(Protocol):
    """The operations of one transaction in their order; they may be made while somebody asks for them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Operation]: ...


to_text = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""Returns JSON as text."""


Note = Callable[[str, str, Row], object]
"""Takes the uuid of a new row, its text, and the row."""


def texts_of(operations: Operations, note: Note | None = None) -> Iterator[str]:
    """Return operations as JSON texts, of one operation or, joined by commas, of several.

    Some have a method `texts` that gives them for less than making the operations and their texts then.

    note  takes what is at hand of new rows
    """
    # Not a protocol: to ask whether something fulfils one takes longer than half of planning a pod.
    texts: Callable[[Note | None], Iterator[str]] | None = getattr(operations, "texts", None)
    return map(to_text, operations) if texts is None else texts(note)


@dataclass(frozen=True, slots=True)
class Joined:
    """Operations, and some more behind them."""

    first: Operations
    more: Sequence[Operation]

    def __len__(self) -> int:
        return len(self.first) + len(self.more)

    def __iter__(self) -> Iterator[Operation]:
        return chain(self.first, self.more)

    def texts(self, note: Note | None = None) -> Iterator[str]:
        """Yield the same as JSON texts."""
        return chain(texts_of(self.first, note), texts_of(self.more))


def confirmation(*, exists: bool = True) -> list[Operation]:
    """Return the operations that raise NB_Global.nb_cfg by one and read the new number back, in this order.

    exists  False when the database has no NB_Global row yet: then it is made, as ovn-nbctl(8) and northd do
    """
    raised: Operation = {"op": "mutate", "table": GLOBAL, "where": [], "mutations": [["nb_cfg", "+=", 1]]}
    made: Operation = {"op": "insert", "table": GLOBAL, "row": {"nb_cfg": 1}}
    return [raised if exists else made, {"op": "select", "table": GLOBAL, "where": [], "columns": ["nb_cfg"]}]


def to_json(column: Column, value: Value, uuids: Mapping[str, str] | None = None) -> object:
    """Return a column's value as RFC 7047 section 5.1 writes it.

    uuids  target's name -> uuid, needed for references
    """
    match column.shape:
        case "map":
            return map_json(cast(Mapping[str, str], value))
        case "set":
            members = sorted(cast(frozenset[str], value))
            return ["set", members if column.base != "uuid" else [_uuid_json(member, uuids) for member in members]]
        case "optional" if value is None:
            return ["set", []]
        case _:
            return value if column.base != "uuid" else _uuid_json(cast(str, value), uuids)


def _uuid_json(name: str, uuids: Mapping[str, str] | None) -> object:
    return ["uuid", name if uuids is None else uuids[name]]


def map_json(value: Mapping[str, str]) -> object:
    """Return a map of texts as RFC 7047 section 5.1 writes it."""
    return ["map", [[key, value[key]] for key in sorted(value)]]


def uuid_set(uuids: Iterable[str]) -> object:
    """Return a set of references as RFC 7047 section 5.1 writes it."""
    return ["set", [["uuid", uuid] for uuid in sorted(set(uuids))]]


def uuid_set_text(uuids: Iterable[str]) -> str:
    """Return the same as text, in a third of the time: a switch may hold thousands of ports."""
    members = ",".join([f'["uuid","{uuid}"]' for uuid in sorted(set(uuids))])
    return f'["set",[{members}]]'


def where_uuid(uuid: str) -> list[object]:
    """Return the condition that one row meets."""
    return [["_uuid", "==", ["uuid", uuid]]]


def wait(table: str, where: object, columns: list[str], rows: list[dict[str, object]]) -> Operation:
    """Return the guard that fails at once unless these columns of the rows that meet `where` are exactly `rows`."""
    return {
        "op": "wait",
        "table": table,
        "timeout": 0,
        "where": where,
        "columns": columns,
        "until": "==",
        "rows": rows,
    }
