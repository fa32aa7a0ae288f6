"""The engine by example. That it is like ovsdb-server is proved by tests/integration/test_engine_differential.py."""

from __future__ import annotations

from typing import Any

import pytest

from ovnk8s_topo.backends.catalog import CATALOG
from ovnk8s_topo.backends.draft import Change, Place
from ovnk8s_topo.backends.engine import Database
from ovnk8s_topo.nb.tables import TABLES

Op = dict[str, Any]
A, B, C, D = (f"00000000-0000-4000-8000-00000000000{digit}" for digit in "abcd")


def insert(table: str, uuid: str, **row: Any) -> Op:
    return {"op": "insert", "table": table, "uuid": uuid, "row": row}


def at(uuid: str) -> list[Any]:
    return [["_uuid", "==", ["uuid", uuid]]]


def mutate(table: str, uuid: str, *mutations: Any) -> Op:
    return {"op": "mutate", "table": table, "where": at(uuid), "mutations": list(mutations)}


def delete(table: str, uuid: str) -> Op:
    return {"op": "delete", "table": table, "where": at(uuid)}


def wait(table: str, uuid: str, until: str = "==", **columns: Any) -> Op:
    row = {"op": "wait", "table": table, "timeout": 0, "where": at(uuid), "until": until}
    return {**row, "columns": sorted(columns), "rows": [columns]}


def network() -> list[Op]:
    return [
        insert("Logical_Switch", A, name="s", ports=["uuid", B], other_config=["map", [["k", "v"]]]),
        insert("Logical_Switch_Port", B, name="p", addresses=["set", ["y", "x"]], tag_request=7),
    ]


@pytest.fixture
def database() -> Database:
    database = Database()
    run(database, *network())
    return database


def run(database: Database, *ops: Op) -> list[Any]:
    return database.transact(list(ops))


def error(database: Database, *ops: Op) -> str:
    """The error of the last result; everything stays as it was."""
    before = database.dump()
    results = run(database, *ops)
    assert results[-1] is not None
    assert set(results[-1]) == {"error", "details"}
    assert database.dump() == before
    return str(results[-1]["error"])


def column(database: Database, table: str, uuid: str, name: str) -> Any:
    return database.dump()[table][uuid][name]


# --- the schema ---


def test_every_table_and_column_of_ours_is_there_with_the_columns_that_hold_children() -> None:
    assert set(CATALOG) == {"NB_Global", *TABLES}
    assert set(CATALOG["Logical_Router_Port"].columns) == {
        "_uuid",
        "gateway_chassis",
        *TABLES["Logical_Router_Port"].columns,
    }
    assert CATALOG["NB_Global"].max_rows == 1


# --- replies ---


def test_results_in_the_server_s_form(database: Database) -> None:
    assert run(
        database,
        {"op": "select", "table": "Logical_Switch_Port", "where": [], "columns": ["addresses", "name", "tag"]},
        {"op": "comment", "comment": "x"},
        mutate("Logical_Switch", A, ["other_config", "insert", ["map", [["a", "b"], ["k", "new"]]]]),
        {"op": "select", "table": "Logical_Switch", "where": [], "columns": ["other_config", "ports"]},
        {"op": "update", "table": "Logical_Switch", "where": [], "row": {"name": "t"}},
        delete("Logical_Switch", C),
        insert("Logical_Router", C.upper()),
    ) == [
        {"rows": [{"addresses": ["set", ["x", "y"]], "name": "p", "tag": ["set", []]}]},
        {},
        {"count": 1},
        {"rows": [{"other_config": ["map", [["a", "b"], ["k", "v"]]], "ports": ["uuid", B]}]},
        {"count": 1},
        {"count": 0},
        {"uuid": ["uuid", C]},
    ]


def test_after_a_failed_operation_the_rest_is_null(database: Database) -> None:
    before = database.dump()
    results = run(database, insert("Logical_Switch", C), {"op": "abort"}, insert("Logical_Switch", D))
    assert results == [{"uuid": ["uuid", C]}, {"error": "aborted", "details": "aborted by request"}, None]
    assert database.dump() == before


def test_a_fault_seen_at_the_end_is_one_result_more(database: Database) -> None:
    results = run(database, delete("Logical_Switch_Port", B))
    assert [set(result) for result in results] == [{"count"}, {"error", "details"}]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (insert("Logical_Switch", A), "duplicate uuid"),
        (insert("Logical_Switch", "zz"), "syntax error"),
        (insert("No_Such", C), "syntax error"),
        (insert("Logical_Switch", C, nope=1), "unknown column"),
        (insert("Logical_Switch", C, name=5), "syntax error"),
        (insert("Logical_Switch", C, ports=["uuid", D]), "referential integrity violation"),
        (insert("Logical_Switch", C, ports=["named-uuid", "nobody"]), "referential integrity violation"),
        (insert("Logical_Switch_Port", C, tag_request=4096), "constraint violation"),
        (insert("Logical_Switch_Port", C, tag_request=["set", [1, 2]]), "syntax error"),
        (insert("Logical_Switch_Port", C, addresses=["set", ["a", "a"]]), "ovsdb error"),
        (insert("Meter", C, name="m", unit="furlongs"), "constraint violation"),
        (insert("Meter", C, name="m"), "constraint violation"),
        (insert("Meter", C, name="m", unit="kbps"), "referential integrity violation"),
        ({"op": "assert", "lock": "x"}, "not owner"),
        ({"op": "select", "table": "Meter", "where": [["name", "~", "x"]]}, "unknown function"),
        ({"op": "select", "table": "Meter", "where": [["name", "<", "x"]]}, "syntax error"),
        ({"op": "select", "table": "Meter"}, "syntax error"),
        ({"op": "select", "table": "Meter", "where": [], "extra": 1}, "syntax error"),
        (mutate("Logical_Switch", A, ["name", "?", 1]), "unknown mutator"),
        (mutate("Logical_Switch", A, ["_uuid", "insert", 1]), "constraint violation"),
        (mutate("Logical_Switch_Port", B, ["tag_request", "+=", 5000]), "constraint violation"),
        (mutate("Logical_Switch_Port", B, ["tag_request", "/=", 0]), "domain error"),
        (mutate("Logical_Switch_Port", B, ["tag_request", "*=", 2**62]), "range error"),
        (mutate("Logical_Switch_Port", B, ["tag_request", "insert", 8]), "constraint violation"),
        ({"op": "update", "table": "Meter", "where": [], "row": {"_uuid": ["uuid", C]}}, "constraint violation"),
        (wait("Logical_Switch", A, name="t"), "timed out"),
        (wait("Logical_Switch", A, "!=", name="s"), "timed out"),
    ],
)
def test_refusals(database: Database, op: Op, expected: str) -> None:
    assert error(database, op) == expected


def test_a_wait_compares_rows_as_sets_so_only_the_uuid_tells_namesakes_apart(database: Database) -> None:
    run(database, insert("Logical_Switch", C, name="s"))
    op: Op = {"op": "wait", "table": "Logical_Switch", "timeout": 0, "where": [["name", "==", "s"]], "until": "=="}
    assert run(database, {**op, "columns": ["name"], "rows": [{"name": "s"}]}) == [{}]
    assert error(database, {**op, "columns": ["_uuid"], "rows": [{"_uuid": ["uuid", A]}]}) == "timed out"
    both = [{"_uuid": ["uuid", A]}, {"_uuid": ["uuid", C]}]
    assert run(database, {**op, "columns": ["_uuid"], "rows": both}) == [{}]


# --- uuids ---


def test_a_uuid_may_come_again_but_not_in_the_transaction_that_deleted_it(database: Database) -> None:
    assert error(database, delete("Logical_Switch", A), insert("Logical_Switch", A)) == "duplicate uuid"
    run(database, delete("Logical_Switch", A))
    assert run(database, insert("Logical_Switch", A)) == [{"uuid": ["uuid", A]}]


def test_named_uuids_may_be_used_before_their_row_is_made(database: Database) -> None:
    made: Op = {"op": "insert", "table": "Logical_Switch_Port", "row": {"name": "1"}, "uuid-name": "one"}
    _, one = run(database, insert("Logical_Switch", C, ports=["named-uuid", "one"]), made)
    assert column(database, "Logical_Switch", C, "ports") == one["uuid"]
    assert error(database, made, made) == "duplicate uuid-name"


def test_a_name_that_is_used_before_its_row_gets_a_chosen_uuid_dangles_as_on_the_server(database: Database) -> None:
    made: Op = {**insert("Logical_Switch_Port", D, name="1"), "uuid-name": "one"}
    holder = insert("Logical_Switch", C, ports=["named-uuid", "one"])
    assert error(database, holder, made) == "referential integrity violation"
    run(database, made, holder)
    assert column(database, "Logical_Switch", C, "ports") == ["uuid", D]


def test_uuids_that_nobody_chose_are_the_same_in_every_run() -> None:
    ops: list[Op] = [{"op": "insert", "table": "Logical_Switch", "row": {}}] * 3
    assert Database().transact(ops) == Database().transact(ops)


# --- what happens at the end ---


def test_children_go_with_their_last_holder(database: Database) -> None:
    run(database, insert("Logical_Switch", C, name="t", ports=["uuid", B]))
    run(database, delete("Logical_Switch", A))
    assert list(database.dump()["Logical_Switch_Port"]) == [B]
    run(database, delete("Logical_Switch", C))
    assert database.dump() == {}


def test_garbage_takes_its_own_children_along() -> None:
    database = Database()
    run(
        database,
        insert("Logical_Router", A, name="r", ports=["uuid", B]),
        insert("Logical_Router_Port", B, name="rp", networks="n", gateway_chassis=["uuid", C]),
        insert("Gateway_Chassis", C, name="gw"),
    )
    assert set(database.dump()) == {"Logical_Router", "Logical_Router_Port", "Gateway_Chassis"}
    run(database, delete("Logical_Router", A))
    assert database.dump() == {}


def test_a_row_that_nothing_refers_to_is_collected_at_once(database: Database) -> None:
    assert run(database, insert("Logical_Switch_Port", C, name="lone")) == [{"uuid": ["uuid", C]}]
    assert list(database.dump()["Logical_Switch_Port"]) == [B]
    clash = [insert("Logical_Switch_Port", C, name="p")]
    assert "error" not in run(database, *clash)[-1]  # gone before names are compared


def test_a_reference_to_the_row_s_own_uuid_is_not_missed_as_on_the_server() -> None:
    """Found by the differential test: the server compares the uuids only, not the tables."""
    database = Database()
    assert run(database, insert("Logical_Router", A, ports=["uuid", A])) == [{"uuid": ["uuid", A]}]
    assert column(database, "Logical_Router", A, "ports") == ["uuid", A]
    run(database, delete("Logical_Router", A))
    assert database.dump() == {}


def test_weak_references_are_emptied() -> None:
    database = Database()
    run(database, insert("Copp", A, name="c"), insert("Logical_Router", B, copp=["uuid", A]))
    run(database, insert("Logical_Router", C, copp=["uuid", D]))
    assert column(database, "Logical_Router", B, "copp") == ["uuid", A]
    assert column(database, "Logical_Router", C, "copp") == ["set", []]
    run(database, delete("Copp", A))
    assert column(database, "Logical_Router", B, "copp") == ["set", []]


def test_names_are_compared_at_the_end(database: Database) -> None:
    run(
        database,
        insert("Logical_Switch_Port", C, name="q"),
        mutate("Logical_Switch", A, ["ports", "insert", ["uuid", C]]),
    )
    rename: Op = {"op": "update", "table": "Logical_Switch_Port", "where": at(B), "row": {"name": "q"}}
    assert error(database, rename) == "constraint violation"
    swap = [rename, {**rename, "where": at(C), "row": {"name": "p"}}]
    assert run(database, *swap) == [{"count": 1}, {"count": 1}]
    replaced = [
        mutate("Logical_Switch", A, ["ports", "delete", ["uuid", B]], ["ports", "insert", ["uuid", D]]),
        insert("Logical_Switch_Port", D, name="q"),
    ]
    assert "error" not in run(database, *replaced)[-1]
    assert error(database, insert("NB_Global", C), insert("NB_Global", D)) == "constraint violation"


def test_values_are_not_shared_between_rows() -> None:
    database = Database()
    run(database, insert("Logical_Switch", A), insert("Logical_Switch", B))
    rows: Op = {"op": "update", "table": "Logical_Switch", "where": [], "row": {"other_config": ["map", [["a", "b"]]]}}
    run(database, rows, mutate("Logical_Switch", A, ["other_config", "insert", ["map", [["c", "d"]]]]))
    run(database, mutate("Logical_Switch", A, ["external_ids", "insert", ["map", [["c", "d"]]]]))
    assert column(database, "Logical_Switch", B, "other_config") == ["map", [["a", "b"]]]
    assert column(database, "Logical_Switch", B, "external_ids") == ["map", []]
    run(database, insert("Logical_Switch", C))
    assert column(database, "Logical_Switch", C, "external_ids") == ["map", []]


@pytest.mark.parametrize(
    ("mutator", "operand", "expected"),
    [("+=", 3, 10), ("-=", 7, 0), ("*=", 2, 14), ("/=", 2, 3), ("/=", -7, None), ("%=", 4, 3), ("%=", -4, 3)],
)
def test_arithmetic_is_that_of_c(database: Database, mutator: str, operand: int, expected: int | None) -> None:
    op = mutate("Logical_Switch_Port", B, ["tag_request", mutator, operand])
    if expected is None:
        assert error(database, op) == "constraint violation"
    else:
        run(database, op)
        assert column(database, "Logical_Switch_Port", B, "tag_request") == expected


# --- those who listen ---


def test_listeners_are_told_what_changed_garbage_included(database: Database) -> None:
    told: list[dict[Place, Change]] = []
    database.listeners.append(lambda changes: told.append(dict(changes)))
    run(database, {"op": "update", "table": "Logical_Switch", "where": [], "row": {"name": "s"}})
    run(database, {"op": "abort"})
    assert told == []
    run(database, delete("Logical_Switch", A))
    (changes,) = told
    assert set(changes) == {Place("Logical_Switch", A), Place("Logical_Switch_Port", B)}
    assert all(change.before and change.after is None for change in changes.values())


def test_a_change_that_cannot_be_kept_is_undone() -> None:
    def refuse() -> None:
        raise OSError("disk full")

    database = Database(journal=refuse)
    with pytest.raises(OSError, match="disk full"):
        database.transact(network())
    assert database.dump() == {}
