"""The same random transactions to the in-memory engine and to a real ovsdb-server: same replies, same contents."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ovnk8s_topo.backends.catalog import CATALOG, TableSchema
from ovnk8s_topo.backends.datum import Type
from ovnk8s_topo.backends.engine import Database
from ovnk8s_topo.nb.tables import TABLES
from ovnk8s_topo.testing import LocalOvn, OvnNotInstalled

Op = dict[str, Any]
Json = Any

# Columns whose targets we do not have: the engine takes any uuid there, the server only uuids of existing rows.
UNCHECKED = {(t.name, c.name) for t in TABLES.values() for c in t.columns.values() if not c.ours}
COLUMNS = {name: sorted(c for c in schema.columns if (name, c) not in UNCHECKED) for name, schema in CATALOG.items()}
ROOTS = [name for name, schema in CATALOG.items() if schema.root]
POOL = {
    name: [f"00000000-0000-4000-8000-0000000{number:x}000{i}" for i in range(3)] for number, name in enumerate(CATALOG)
}
KNOWN = {uuid for uuids in POOL.values() for uuid in uuids}
NAMES = ["a", "b", "é☃"]


class Server:
    """A blocking client, framed on whole JSON values; nothing of the code under test."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.count = 0

    def transact(self, ops: list[Op]) -> list[Json]:
        self.count += 1
        message = {"method": "transact", "params": ["OVN_Northbound", *ops], "id": self.count}
        self.socket.sendall(json.dumps(message).encode())
        received = b""
        while True:
            received += self.socket.recv(1 << 20)
            try:
                reply = json.loads(received)
            except ValueError:
                continue
            assert reply["error"] is None
            return list(reply["result"])

    def clear(self) -> None:
        self.transact([{"op": "delete", "table": table, "where": []} for table in ROOTS])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    try:
        ovn = LocalOvn().start()
    except OvnNotInstalled as missing:
        pytest.skip(str(missing))
    with ovn:
        client = Server(ovn.nb.removeprefix("unix:"))
        yield client
        client.socket.close()


SELECT_ALL: list[Op] = [
    {"op": "select", "table": table, "where": [], "columns": columns} for table, columns in COLUMNS.items()
]


# --- what is sent ---


def atoms(schema: TableSchema, column: str, kind: Type) -> st.SearchStrategy[Json]:
    match kind.base:
        case "string":
            return st.sampled_from(list(kind.enum) or NAMES)
        case "boolean":
            return st.booleans()
        case "integer":
            return st.sampled_from([kind.low or 0, (kind.low or 0) + 1, 7, kind.high or 9])
        case "uuid":
            return uuids(next((ref.target for ref in schema.references if ref.column == column), schema.name))


def uuids(table: str) -> st.SearchStrategy[Json]:
    known = [["uuid", uuid] for uuid in POOL[table]]
    return st.sampled_from([*known, *known, *known, ["named-uuid", "n0"], ["uuid", POOL[table][0].upper()]])


@st.composite
def values(draw: st.DrawFn, schema: TableSchema, column: str) -> Json:
    kind = schema.columns[column]
    atom = atoms(schema, column, kind)
    if kind.is_map:
        pairs = draw(st.dictionaries(st.sampled_from([*NAMES, "c"]), st.sampled_from(NAMES), max_size=3))
        return ["map", [list(pair) for pair in pairs.items()]]
    if kind.is_scalar or (kind.least <= 1 and draw(st.booleans())):
        return draw(atom)
    members = draw(st.lists(atom, min_size=kind.least, max_size=min(kind.most, 3), unique_by=repr))
    return ["set", members]


BAD: list[Json] = [
    None,
    5,
    -1,
    4096,
    1.5,
    2.0,
    True,
    "zz",
    ["set", [1, 2]],
    ["set", ["a", "a"]],
    ["set", []],
    ["map", [["a", "b"], ["a", "c"]]],
    ["map", ["a"]],
    ["uuid", "zz"],
    ["named-uuid", "1"],
    ["set", 5],
    {},
]
bad_values = st.sampled_from(BAD)


@st.composite
def rows(draw: st.DrawFn, table: str, *, full: bool = False) -> Op:
    """A row; at most one value is bad, for the server reads columns in an order of its own."""
    schema = CATALOG[table]
    usable = [column for column in COLUMNS[table] if column != "_uuid"]
    chosen = set(draw(st.lists(st.sampled_from(usable), max_size=3, unique=True)))
    chosen |= {"name"} & set(usable) if full else set()
    chosen |= set(schema.unset) if full and draw(st.integers(0, 9)) else set()
    row = {column: draw(values(schema, column)) for column in sorted(chosen)}
    if row and draw(st.integers(0, 24)) == 0:
        row[draw(st.sampled_from(sorted(row)))] = draw(bad_values)
    if draw(st.integers(0, 60)) == 0:
        return {draw(st.sampled_from(["_uuid", "no_such"])): ["uuid", POOL[table][0]]}
    return row


@st.composite
def wheres(draw: st.DrawFn, table: str) -> list[Json]:
    match draw(st.integers(0, 9)):
        case 0:
            return []
        case 1:
            return draw(
                st.sampled_from([[], [], [True], [True], [False], ["x"], [["name", "=="]], [["nope", "==", 1]]])
            )
        case 2 | 3 | 4 | 5:
            return [["_uuid", draw(st.sampled_from(["==", "==", "==", "!=", "includes"])), draw(uuids(table))]]
        case _:
            return [draw(conditions(table)) for _ in range(draw(st.integers(1, 2)))]


@st.composite
def conditions(draw: st.DrawFn, table: str) -> Json:
    column = draw(st.sampled_from(COLUMNS[table]))
    functions = ["==", "!=", "includes", "excludes"]
    if CATALOG[table].columns[column].base == "integer" or draw(st.integers(0, 9)) == 0:
        functions += ["<", "<=", ">", ">=", "~"]
    value = draw(bad_values) if draw(st.integers(0, 19)) == 0 else draw(values(CATALOG[table], column))
    return [column, draw(st.sampled_from(functions)), value]


@st.composite
def inserts(draw: st.DrawFn, table: str) -> list[Op]:
    """An insert, most often with everything that keeps the row alive."""
    uuid = draw(st.sampled_from(POOL[table]))
    op: Op = {"op": "insert", "table": table, "row": draw(rows(table, full=True)), "uuid": uuid}
    if draw(st.integers(0, 5)) == 0:
        op["uuid-name"] = draw(st.sampled_from(["n0", "n1"]))
    if draw(st.integers(0, 60)) == 0:
        op["uuid"] = "zz"
    return [op, *draw(holding(table, uuid))]


@st.composite
def holding(draw: st.DrawFn, table: str, uuid: str) -> list[Op]:
    parent = ("Meter", "bands") if table == "Meter_Band" else TABLES[table].parent if table in TABLES else ()
    if not parent or draw(st.integers(0, 5)) == 0:
        return []
    where = [["_uuid", "==", draw(uuids(parent[0]))]] if draw(st.booleans()) else []
    mutations = [[parent[1], "insert", ["uuid", uuid]]]
    return [{"op": "mutate", "table": parent[0], "where": where, "mutations": mutations}]


@st.composite
def mutations(draw: st.DrawFn, table: str) -> Json:
    schema = CATALOG[table]
    changeable = [c for c in COLUMNS[table] if not schema.columns[c].is_scalar or schema.columns[c].base == "integer"]
    columns = changeable if changeable and draw(st.integers(0, 30)) > 0 else COLUMNS[table]
    column = draw(st.sampled_from(columns))
    kind = schema.columns[column]
    can_count = kind.base == "integer" or draw(st.integers(0, 20)) == 0
    numbers = ["+=", "-=", "*=", "/=", "%="] if can_count else []
    mutator = draw(st.sampled_from([*([] if kind.is_scalar else ["insert", "delete"]), *numbers] or ["insert", "?"]))
    if draw(st.integers(0, 19)) == 0:
        return [column, mutator, draw(bad_values)]
    if mutator in numbers:
        return [column, mutator, draw(st.sampled_from([0, 1, -2, 5000]))]
    if mutator == "delete" and kind.is_map and draw(st.booleans()):
        return [column, mutator, draw(st.sampled_from(["a", ["set", ["a", "b"]], ["set", []]]))]
    return [column, mutator, draw(values(schema, column))]


@st.composite
def waits(draw: st.DrawFn, table: str) -> list[Op]:
    columns = draw(st.lists(st.sampled_from(COLUMNS[table]), min_size=1, max_size=2, unique=True))
    schema = CATALOG[table]
    expected = [
        {column: draw(values(schema, column)) for column in columns if draw(st.integers(0, 5))}
        for _ in range(draw(st.integers(0, 2)))
    ]
    until = draw(st.sampled_from(["==", "!=", "!=", "!="]))
    return [
        {
            "op": "wait",
            "table": table,
            "timeout": 0,
            "where": draw(wheres(table)),
            "columns": columns,
            "until": until,
            "rows": expected,
        }
    ]


ODD_OPS: list[Json] = [
    {"op": "abort"},
    {"op": "comment", "comment": "x"},
    {"op": "comment"},
    {"op": "assert", "lock": "x"},
    {"op": "nonsense"},
    {"table": "Meter"},
    {"op": "commit", "durable": False},
    {"op": "delete", "table": "No_Such", "where": []},
    {"op": "delete", "table": "Meter"},
    {"op": "insert", "table": "Meter", "row": {}, "uuid-name": "0"},
    {"op": "insert", "table": "Logical_Switch", "row": [], "x": 1},
    {"op": "wait", "table": "Meter", "timeout": -1, "where": [], "until": "==", "rows": []},
    {"op": "wait", "table": "Meter", "timeout": 0, "where": [], "until": "<", "rows": []},
    {"op": "select", "table": "Meter", "where": [], "columns": ["name", "name"]},
    {"op": "select", "table": "Meter", "where": [], "columns": ["nope"]},
]


@st.composite
def steps(draw: st.DrawFn) -> list[Op]:
    table = draw(st.sampled_from(sorted(CATALOG)))
    match draw(st.integers(0, 13)):
        case 0 | 1 | 2 | 3 | 4:
            return draw(inserts(table))
        case 5 | 6:
            return [{"op": "update", "table": table, "where": draw(wheres(table)), "row": draw(rows(table))}]
        case 7 | 8:
            found = [draw(mutations(table)) for _ in range(draw(st.integers(1, 2)))]
            return [{"op": "mutate", "table": table, "where": draw(wheres(table)), "mutations": found}]
        case 9:
            return draw(waits(table))
        case 10 | 11:
            columns = draw(st.lists(st.sampled_from(COLUMNS[table]), max_size=3, unique=True))
            return [{"op": "select", "table": table, "where": draw(wheres(table)), "columns": columns}]
        case 12:
            return draw(removals(table))
        case _:
            return [draw(st.sampled_from(ODD_OPS))] if draw(st.booleans()) else []


@st.composite
def removals(draw: st.DrawFn, table: str) -> list[Op]:
    """A delete, sometimes after the row has been taken from its holders, as a client must."""
    uuid = draw(st.sampled_from(POOL[table]))
    gone: Op = {"op": "delete", "table": table, "where": [["_uuid", "==", ["uuid", uuid]]]}
    parent = TABLES[table].parent if table in TABLES else ()
    if not parent or draw(st.booleans()):
        return [gone]
    taken = [[parent[1], "delete", ["uuid", uuid]]]
    return [{"op": "mutate", "table": parent[0], "where": [], "mutations": taken}, gone]


transactions = st.lists(steps(), min_size=1, max_size=4).map(lambda found: [op for step in found for op in step])


# --- what is compared ---


def plain(value: Json) -> Json:
    """A value without what the server draws at random: uuids of rows that were named and never made."""
    match value:
        case ["uuid", uuid]:
            return ["uuid", uuid if uuid in KNOWN else "?"]
        case ["set", members]:
            return ["set", sorted((plain(member) for member in members), key=repr)]
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case _:
            return value


def outcome(result: Json) -> Json:
    """A result without the texts that are the server's own, and with rows in an order."""
    if result is None:
        return None
    if "error" in result:
        return result["error"]
    if "rows" in result:
        return sorted((plain(row) for row in result["rows"]), key=lambda row: json.dumps(row, sort_keys=True))
    return plain(result)


def by_uuid(rows: list[Json]) -> dict[str, Json]:
    return {row["_uuid"][1]: row for row in rows}


KNOWN_ROUTER = POOL["Logical_Router"][0]
SELF_REFERENCE: list[Op] = [
    {"op": "insert", "table": "Logical_Router", "uuid": KNOWN_ROUTER, "row": {"ports": ["uuid", KNOWN_ROUTER]}}
]

SEEN: Counter[str] = Counter()


def count(results: list[Json], ops: list[Op]) -> None:
    SEEN["transactions"] += 1
    errors = [str(result["error"]) for result in results if result and "error" in result]
    SEEN["committed"] += not errors
    SEEN.update(errors)
    SEEN.update(f"{op.get('op')} run" for op, result in zip(ops, results, strict=False) if result)


@settings(suppress_health_check=list(HealthCheck))
@example(run=[SELF_REFERENCE])  # found by a long run: the server does not miss it
@given(run=st.lists(transactions, min_size=3, max_size=10))
def test_engine_replies_and_holds_what_the_server_does(server: Server, run: list[list[Op]]) -> None:
    server.clear()
    database = Database()
    for ops in run:
        expected, found = server.transact(ops), database.transact(ops)
        count(expected, ops)
        assert list(map(outcome, found)) == list(map(outcome, expected)), ops
        # As they are: values in the server's own form and order.
        contents = zip(server.transact(SELECT_ALL), database.transact(SELECT_ALL), strict=True)
        for real, ours in contents:
            assert ours is not None
            assert by_uuid(ours["rows"]) == by_uuid(real["rows"]), ops


def test_the_random_transactions_reached_every_reply() -> None:
    """Runs after the test above: a generator that only makes refused transactions proves nothing."""
    if not SEEN:
        pytest.skip("the differential test did not run")
    assert SEEN["transactions"] >= 300
    assert SEEN["committed"] >= SEEN["transactions"] / 4
    wanted = {"constraint violation", "referential integrity violation", "duplicate uuid", "syntax error", "timed out"}
    assert wanted <= SEEN.keys()


def test_large_transaction_is_the_same(server: Server) -> None:
    server.clear()
    database = Database()
    switch = POOL["Logical_Switch"][0]
    ops: list[Op] = [{"op": "insert", "table": "Logical_Switch", "row": {"name": "a"}, "uuid": switch}]
    for number in range(500):
        uuid = f"00000000-0000-4000-9000-{number:012x}"
        row = {"name": f"p{number}", "addresses": "dynamic", "tag_request": number}
        ops.append({"op": "insert", "table": "Logical_Switch_Port", "row": row, "uuid": uuid})
        where, members = [["_uuid", "==", ["uuid", switch]]], [["ports", "insert", ["uuid", uuid]]]
        ops.append({"op": "mutate", "table": "Logical_Switch", "where": where, "mutations": members})
    assert database.transact(ops) == server.transact(ops)
    real, ours = server.transact(SELECT_ALL), database.transact(SELECT_ALL)
    assert [list(map(outcome, replies)) for replies in (ours,)] == [list(map(outcome, replies)) for replies in (real,)]
