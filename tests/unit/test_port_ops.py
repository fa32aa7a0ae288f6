from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.backends.operations import texts_of
from ovnk8s_topo.backends.ops import encode, operations
from ovnk8s_topo.backends.port_ops import Echo, OneRow, PortEncoder
from ovnk8s_topo.backends.replica_rows import ReplicaRows, row_change
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.changes import ChangeSet, Delete, Insert
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, GatewayChassis, LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, Row

FULL = Schema.full()
IDS = {OWNER_KEY: "me", "a": 'with "quotes" and é'}
SWITCH, ROUTER, PORT = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(3))
BEFORE = Snapshot.of(
    [
        Stored(SWITCH, LogicalSwitch(name="s", external_ids=IDS)),
        Stored(ROUTER, LogicalRouterPort(name="r", parent="", external_ids={"b": "2", **IDS})),
    ]
)

some_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
ports: st.SearchStrategy[Row] = st.builds(
    LogicalSwitchPort,
    name=some_text,
    parent=st.just("s"),
    type=st.sampled_from(["", "router"]),
    addresses=st.frozensets(some_text, max_size=3),
    port_security=st.frozensets(some_text, max_size=3),
    options=st.dictionaries(some_text, some_text, max_size=2),
    external_ids=st.sampled_from([IDS, {}]) | st.dictionaries(some_text, some_text, max_size=2),
    tag_request=st.none() | st.integers(0, 4095),
    tag=st.none() | st.integers(1, 4095),
)
gateways: st.SearchStrategy[Row] = st.builds(
    GatewayChassis, name=some_text, parent=st.just("r"), chassis_name=some_text, priority=st.integers(0, 32767)
)


def holder_of(row: Row) -> str:
    return SWITCH if row.TABLE.name == "Logical_Switch_Port" else ROUTER


def encoded(change: Insert | Delete, actual: Snapshot) -> OneRow:
    changes = ChangeSet((change,))
    found = PortEncoder(FULL).encode(changes, actual)
    assert found is not None
    assert list(found) == json.loads(json.dumps(encode(changes, actual, FULL)))
    assert list(found) == json.loads(f"[{','.join(texts_of(operations(changes, actual, FULL)))}]")
    assert (len(found), found[0]) == (3, next(iter(found)))
    assert list(texts_of(found)) == [found.text]  # it is text already: it is not decoded to be sent
    return found


def heard(rows: ReplicaRows, echo: Echo) -> bool:
    foreseen = rows.foresee(echo)
    return foreseen is not None and rows.apply_echo(foreseen)


@given(ports | gateways)
def test_one_row_is_encoded_and_heard_of_as_by_the_general_way(row: Row) -> None:
    holder = holder_of(row)
    there, direct = ReplicaRows(), ReplicaRows()
    for rows in (there, direct):
        for stored in BEFORE.rows.values():
            known = {"initial": {"name": stored.row.name}}
            rows.load(row_change(stored.key.table, stored.uuid, known))
    for change in (Insert(PORT, row, (holder,)), Delete(Stored(PORT, row, (holder,)))):
        echo = encoded(change, BEFORE).echo
        told: Any = echo.told()
        assert heard(direct, echo)
        there.apply([row_change(table, uuid, update) for table, rows in told.items() for uuid, update in rows.items()])
        assert not heard(direct, echo), "the same again"
        mine, theirs = direct.snapshot(), there.snapshot()
        assert dict(mine.rows) == dict(theirs.rows)
        assert mine.named(row.key) == theirs.named(row.key)
        assert mine.children(holder) == theirs.children(holder)
        assert mine.changed_since(mine.serial - 1) == theirs.changed_since(theirs.serial - 1)
        assert direct.contents == there.contents
        # What was recognised means what its text means.
        direct._decoded.clear()
        assert dict(direct.snapshot().rows) == dict(mine.rows)


SWITCH_PORT = LogicalSwitchPort(name="p", parent="s", external_ids=IDS)


@pytest.mark.parametrize(
    ("changes", "schema"),
    [
        ((), FULL),
        ((Insert(PORT, SWITCH_PORT, (SWITCH,)), Insert(ROUTER, SWITCH_PORT, (SWITCH,))), FULL),
        ((Insert(PORT, LogicalSwitch(name="new")),), FULL),
        ((Insert(PORT, SWITCH_PORT, ("nowhere",)),), FULL),
        ((Insert(PORT, SWITCH_PORT, ()),), FULL),
        ((Insert(PORT, LogicalSwitchPort(name="a\0b", parent="s"), (SWITCH,)),), FULL),
        ((Insert(PORT, LogicalRouterPort(name="p", parent="r"), (ROUTER,)),), FULL),
        ((Delete(Stored(PORT, SWITCH_PORT, ())),), FULL),
        ((Delete(Stored(PORT, SWITCH_PORT, (SWITCH, ROUTER))),), FULL),
        ((Delete(Stored(SWITCH, LogicalSwitch(name="s"))),), FULL),
        ((Insert(PORT, SWITCH_PORT, (SWITCH,)),), Schema({"Logical_Switch": frozenset({"external_ids"})}, "old")),
        ((Insert(PORT, SWITCH_PORT, (SWITCH,)),), Schema({"Logical_Switch_Port": frozenset({"name"})}, "old")),
    ],
    ids=[
        "nothing",
        "two rows",
        "a row without a holder",
        "a holder that is not there",
        "nobody holds it",
        "a value that is refused",
        "a row that may hold others",
        "held by nobody",
        "held twice",
        "a root row",
        "no such table",
        "no such column",
    ],
)
def test_all_else_is_for_the_general_way(changes: Any, schema: Schema) -> None:
    assert PortEncoder(schema).encode(ChangeSet(changes), BEFORE) is None


def test_an_echo_that_does_not_fit_changes_nothing() -> None:
    echo = encoded(Insert(PORT, SWITCH_PORT, (SWITCH,)), BEFORE).echo
    empty = ReplicaRows()
    assert not heard(empty, echo)
    elsewhere = ReplicaRows()
    elsewhere.load(row_change("Logical_Switch", SWITCH, {"initial": {"name": "s", "ports": ["uuid", PORT]}}))
    assert not heard(elsewhere, echo)
    assert (empty.serial, elsewhere.serial) == (1, 1)


def test_what_is_foreseen_is_looked_at_again_where_something_else_comes_first() -> None:
    echo = encoded(Insert(PORT, SWITCH_PORT, (SWITCH,)), BEFORE).echo
    switch = row_change("Logical_Switch", SWITCH, {"initial": {"name": "s"}})

    def after(update: dict[str, Any]) -> tuple[ReplicaRows, bool]:
        rows = ReplicaRows()
        rows.load(switch)
        foreseen = rows.foresee(echo)
        assert foreseen is not None
        rows.apply([row_change("Logical_Switch", SWITCH, update)])
        return rows, rows.apply_echo(foreseen)

    gone, is_applied = after({"delete": None})
    assert not is_applied
    assert not gone.snapshot().rows
    _, is_applied = after({"modify": {"ports": ["uuid", PORT]}})
    assert not is_applied
    renamed, is_applied = after({"modify": {"name": "t"}})
    assert is_applied
    row = renamed.snapshot().rows[PORT].row
    assert isinstance(row, LogicalSwitchPort)
    assert row.parent == "t"


def test_a_holder_of_another_name_is_read() -> None:
    """The plan has seen it under the name that the row names."""
    renamed = ReplicaRows()
    renamed.load(row_change("Logical_Switch", SWITCH, {"initial": {"name": "t"}}))
    assert heard(renamed, encoded(Insert(PORT, SWITCH_PORT, (SWITCH,)), BEFORE).echo)
    row = renamed.snapshot().rows[PORT].row
    assert isinstance(row, LogicalSwitchPort)
    assert row.parent == "t"
