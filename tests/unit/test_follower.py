from __future__ import annotations

import json
from typing import Any

import pytest

from ovnk8s_topo.backends.follower import WANTED, Follower, Pending
from ovnk8s_topo.backends.replica_rows import Astray
from ovnk8s_topo.backends.schema import DATABASE
from ovnk8s_topo.backends.service import SERVER, Unfit
from ovnk8s_topo.nb.rowset import Stored
from ovnk8s_topo.nb.tables import Key, LogicalSwitch, LogicalSwitchPort

SWITCH = "00000000-0000-4000-8000-000000000001"
PORT, OTHER = "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"
DATABASE_ROW = "00000000-0000-4000-8000-0000000000d0"
NOWHERE = "00000000-0000-0000-0000-000000000000"
SCHEMA = {
    "name": DATABASE,
    "version": "7.0.0",
    "tables": {table: {"columns": {column: {} for column in columns}} for table, columns in WANTED.items()},
}


class Server:
    """Answers what a follower asks; what it answers can be changed before."""

    def __init__(self, *, leader_only: bool = True, unknown: tuple[str, ...] = ()) -> None:
        self.sent: list[Any] = []
        self.follower = Follower(lambda message: self.sent.append(json.loads(message)), leader_only=leader_only)
        self.row: dict[str, Any] = {"name": DATABASE, "model": "standalone", "connected": True, "leader": True}
        self.schema: Any = SCHEMA
        self.unknown = unknown
        self.rows: Any = {"Logical_Switch": {SWITCH: {"initial": {"name": "s"}}}}
        self.found = False
        self.last = "00000000-0000-4000-8000-00000000aaaa"

    def connect(self) -> None:
        self.sent.clear()
        self.follower.begin()
        while self.sent:
            self.answer(self.sent.pop(0))

    def answer(self, asked: Any) -> None:
        self.follower.handle({"id": asked["id"], **self.reply(asked["method"], asked["params"])})

    def reply(self, method: str, params: Any) -> Any:
        if method in self.unknown:
            return {"error": "unknown method", "result": None}
        match method:
            case "monitor_cond" if params[0] == SERVER:
                return {"result": {"Database": {DATABASE_ROW: {"initial": self.row}}}, "error": None}
            case "get_schema":
                return {"result": self.schema, "error": None}
            case "monitor_cond_since":
                self.since = params[3]
                return {"result": [self.found, self.last, self.rows], "error": None}
            case "monitor_cond" | "monitor":
                return {"result": self.rows, "error": None}
            case _:
                return {"result": {}, "error": None}

    def say(self, method: str, *params: Any) -> None:
        self.follower.handle({"method": method, "params": list(params), "id": None})

    def names(self) -> list[str]:
        base = self.follower.base()
        assert base is not None
        return sorted(stored.key.name for stored in base.snapshot.rows.values())


@pytest.mark.parametrize(
    ("unknown", "update", "rows"),
    [
        ((), "update3", {"initial": {"name": "s"}}),
        (("monitor_cond_since",), "update2", {"initial": {"name": "s"}}),
        (("monitor_cond_since", "monitor_cond"), "update", {"new": {"name": "s"}}),
    ],
    ids=["with transaction ids", "without them", "RFC 7047"],
)
def test_every_way_to_be_told_of_changes(unknown: tuple[str, ...], update: str, rows: Any) -> None:
    server = Server(unknown=unknown)
    server.rows = {"Logical_Switch": {SWITCH: rows}}
    server.connect()
    assert server.names() == ["s"]
    changed = {"old": {"name": "s"}, "new": {"name": "t"}} if update == "update" else {"modify": {"name": "t"}}
    ids = ["a transaction"] if update == "update3" else []
    server.say(update, DATABASE, *ids, {"Logical_Switch": {SWITCH: changed}})
    assert server.names() == ["t"]
    server.say(update, DATABASE, *ids, {"Logical_Switch": {SWITCH: {"delete": None} if ids else {"old": {}}}})
    assert server.names() == []


def test_a_reconnect_goes_on_where_the_last_one_stopped() -> None:
    server = Server()
    server.connect()
    assert server.since == NOWHERE
    base = server.follower.base()
    assert base is not None
    server.say("update3", DATABASE, "the last one", {"Logical_Switch": {SWITCH: {"modify": {"name": "t"}}}})
    server.follower.end()
    assert server.follower.base() is None
    server.found, server.rows = True, {"Logical_Switch": {SWITCH: {"modify": {"name": "u"}}}}
    server.connect()
    assert server.since == "the last one"
    again = server.follower.base()
    assert again is not None
    assert server.names() == ["u"]
    assert again.snapshot.changed_since(base.snapshot.serial) == frozenset({SWITCH})


@pytest.mark.parametrize("fault", [False, True], ids=["the connection broke", "something was wrong"])
def test_rows_that_are_fetched_anew_are_a_later_state(fault: bool) -> None:
    server = Server()
    server.connect()
    before = server.follower.base()
    server.rows = {}
    if fault:
        server.follower.forget()
    server.connect()
    after = server.follower.base()
    assert before is not None
    assert after is not None
    assert after.snapshot.serial > before.snapshot.serial
    assert after.snapshot.changed_since(before.snapshot.serial) == (None if fault else frozenset({SWITCH}))
    assert [list(before.snapshot.rows), list(after.snapshot.rows)] == [[SWITCH], []]


def test_another_schema_means_other_columns_and_all_rows_anew() -> None:
    server = Server()
    server.connect()
    server.schema = {"version": "5.0.0", "tables": {"Logical_Switch": {"columns": {"name": {}}}}}
    server.connect()
    assert server.since == NOWHERE
    assert server.follower.schema.version == "5.0.0"


def test_what_happens_before_the_schema_is_confirmed_is_not_missed() -> None:
    server = Server()
    server.follower.begin()
    for _ in range(4):
        server.answer(server.sent.pop(0))
    assert server.follower.base() is None
    server.say("update3", DATABASE, server.last, {"Logical_Switch": {SWITCH: {"modify": {"name": "t"}}}})
    server.answer(server.sent.pop(0))
    assert server.names() == ["t"]


def test_another_schema_that_came_before_we_were_told_of_changes() -> None:
    server = Server()
    server.follower.begin()
    for _ in range(3):
        server.answer(server.sent.pop(0))
    server.schema = {**SCHEMA, "version": "7.0.1"}
    server.answer(server.sent.pop(0))
    with pytest.raises(Unfit, match="another schema"):
        server.answer(server.sent.pop(0))
    assert server.follower.base() is None
    server.connect()
    assert server.follower.schema.version == "7.0.1"
    assert server.names() == ["s"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"name": "Other"}, "no database"),
        ({"model": "clustered", "connected": False}, "not connected"),
        ({"model": "relay", "connected": False}, "not connected"),
        ({"model": "clustered", "leader": False}, "not the leader"),
    ],
)
def test_a_server_that_is_of_no_use(row: dict[str, Any], why: str) -> None:
    server = Server()
    server.row |= row
    with pytest.raises(Unfit, match=why):
        server.connect()
    assert server.follower.base() is None


def test_followers_of_a_cluster_will_do_if_that_is_wanted() -> None:
    server = Server(leader_only=False)
    server.row |= {"model": "clustered", "leader": False}
    server.connect()
    assert server.names() == ["s"]


def test_a_leader_that_is_one_no_more() -> None:
    server = Server()
    server.row |= {"model": "clustered"}
    server.connect()
    server.say("update2", SERVER, {"Database": {DATABASE_ROW: {"modify": {"index": 5}}}})
    with pytest.raises(Unfit, match="leader"):
        server.say("update2", SERVER, {"Database": {DATABASE_ROW: {"modify": {"leader": False}}}})


def test_a_server_that_is_behind_what_another_one_told() -> None:
    server = Server()
    server.row |= {"model": "clustered", "cid": ["uuid", "one"], "index": 7}
    server.connect()
    server.row["index"] = 6
    with pytest.raises(Unfit, match="behind"):
        server.connect()
    server.row["cid"] = ["uuid", "another cluster"]
    server.connect()
    assert server.names() == ["s"]


def test_a_server_without_the_database_server() -> None:
    server = Server(unknown=("monitor_cond_since", "monitor_cond"))
    server.rows = {"Logical_Switch": {SWITCH: {"new": {"name": "s"}}}}
    server.connect()
    assert server.names() == ["s"]


@pytest.mark.parametrize("what", ["monitor", "get_schema"])
def test_a_server_that_cannot_be_followed(what: str) -> None:
    server = Server(unknown=("monitor_cond_since", "monitor_cond", what))
    with pytest.raises(Unfit, match=r"unknown method"):
        server.connect()


def test_a_database_that_goes() -> None:
    server = Server()
    server.connect()
    with pytest.raises(Unfit, match=DATABASE):
        server.say("monitor_canceled", DATABASE)


def test_an_update_that_does_not_fit() -> None:
    server = Server()
    server.connect()
    with pytest.raises(Astray):
        server.say("update3", DATABASE, "x", {"Logical_Switch": {DATABASE_ROW: {"modify": {"name": "t"}}}})


def test_probes_are_answered() -> None:
    server = Server()
    server.connect()
    server.follower.handle({"method": "echo", "params": ["are you there"], "id": "echo"})
    assert server.sent == [{"id": "echo", "result": ["are you there"], "error": None}]


def test_rows_that_came_while_the_message_was_on_its_way() -> None:
    server = Server()
    server.rows = {"Logical_Switch": {}}
    server.sent.clear()
    server.follower.begin()
    for _ in range(3):
        server.answer(server.sent.pop(0))
    server.follower.keep("Logical_Switch", SWITCH, {"initial": {"name": "s"}}, '{"name":"s"}')
    assert server.follower.base() is None
    server.answer(server.sent.pop(0))
    server.answer(server.sent.pop(0))
    assert server.names() == ["s"]
    server.follower.keep("Logical_Switch", SWITCH, {"modify": {"name": "t"}}, "")
    assert server.names() == ["s"]
    server.say("update3", DATABASE, "x", {"Logical_Switch": {}})
    assert server.names() == ["t"]


def test_rows_that_were_sent_are_known_in_what_is_fetched() -> None:
    server = Server()
    server.rows = {"Logical_Switch": {SWITCH: {"initial": {"name": "s", "ports": ["uuid", PORT]}}}}
    text, row = '{"name":"p"}', LogicalSwitchPort(name="p", parent="s")
    follower = server.follower
    follower.sent.note(PORT, text, row)
    follower.sent.note(SWITCH, text, LogicalSwitch(name="p"))
    long = f'{{"initial":{text}}}'
    assert follower.known_at("Logical_Switch_Port", PORT, long, 11) == text
    assert follower.known_at("Logical_Switch_Port", PORT, long, 10) == ""
    assert follower.known_at("Logical_Switch_Port", PORT, long.replace("p", "q"), 11) == ""
    assert follower.known_at("Logical_Switch_Port", OTHER, long, 11) == ""
    assert follower.known_at("Logical_Switch", SWITCH, long, 11) == ""
    server.sent.clear()
    follower.begin()
    for _ in range(3):
        server.answer(server.sent.pop(0))
    follower.keep_known("Logical_Switch_Port", PORT, text)
    while server.sent:
        server.answer(server.sent.pop(0))
    base = follower.base()
    assert base
    assert base.snapshot.rows[PORT] == Stored(PORT, row, (SWITCH,))
    assert [stored.uuid for stored in base.snapshot.named(row.key)] == [PORT]
    assert follower.rows._sent._told
    # What is new from now on may change what is there.
    follower.sent.note(PORT, text, row)
    assert follower.known_at("Logical_Switch_Port", PORT, long, 11) == ""


def sent(server: Server, operations: list[Any]) -> Pending:
    return server.follower.start(*server.follower.prepare(operations))


def test_transactions_are_lost_with_their_connection() -> None:
    server = Server()
    server.connect()
    first, second = (sent(server, [{"op": "comment", "comment": text}]) for text in "ab")
    server.follower.handle({"id": server.sent[1]["id"], "result": [{}], "error": None})
    assert (first.results, second.results) == (None, [{}])
    server.follower.end()
    assert (first.results, second.results) == ([], [{}])
    refused = sent(server, [])
    server.follower.handle({"id": server.sent[-1]["id"], "result": None, "error": {"error": "unknown database"}})
    assert refused.results is not None
    assert "unknown database" in refused.results[0]["details"]
    assert Key("Logical_Switch", "s") in {stored.key for stored in server.follower.rows.snapshot().rows.values()}


def test_a_server_that_is_held_off_has_much_to_say_first() -> None:
    server = Server()
    server.follower.hold_off()
    assert server.sent == []  # not connected: nobody to hold off
    server.connect()
    server.follower.hold_off()
    [asked] = server.sent
    assert asked["method"] == "echo"
    assert len(asked["params"][0]) >= 1 << 20
    assert not server.follower.is_behind  # the rows are as complete as before
    assert server.names() == ["s"]
    server.follower.handle({"id": asked["id"], "result": asked["params"], "error": None})
    assert server.names() == ["s"]


def test_a_copy_that_is_on_its_way_may_be_behind() -> None:
    server = Server()
    server.follower.begin()
    for _ in range(3):
        server.answer(server.sent.pop(0))
    fetch = server.sent.pop(0)
    # A transaction on another connection has ended meanwhile.
    server.follower.catch_up()
    echo = server.sent.pop(0)
    server.answer(fetch)
    server.answer(server.sent.pop(0))
    assert server.follower.base() is None
    server.answer(echo)
    assert server.names() == ["s"]


def test_rows_are_behind_until_the_server_has_caught_up() -> None:
    server = Server()
    server.connect()
    server.follower.catch_up()
    [asked] = server.sent
    assert server.follower.is_behind
    assert server.follower.base() is None
    server.answer(asked)
    assert not server.follower.is_behind
    assert server.names() == ["s"]


def test_who_leaves_is_told_of_all_anew_when_it_comes_back() -> None:
    server = Server()
    server.follower.leave()
    assert server.sent == []  # not connected: nobody to leave
    server.connect()
    before = server.follower.base()
    server.follower.leave()
    server.follower.leave()
    [asked] = server.sent
    assert (asked["method"], asked["params"]) == ("monitor_cancel", [DATABASE])
    # What was on its way still comes.
    server.say("update3", DATABASE, "x", {"Logical_Switch": {SWITCH: {"modify": {"name": "t"}}}})
    server.answer(server.sent.pop())
    assert server.follower.is_away
    assert server.names() == ["t"]
    server.rows = {"Logical_Switch": {SWITCH: {"initial": {"name": "u"}}}}
    server.follower.come_back()
    server.follower.come_back()
    assert server.names() == ["t"]  # nobody waits for what nobody here has done
    while server.sent:
        server.answer(server.sent.pop(0))
    after = server.follower.base()
    assert before is not None
    assert after is not None
    assert server.names() == ["u"]
    assert after.snapshot.changed_since(before.snapshot.serial) == frozenset({SWITCH})
    server.say("update3", DATABASE, "y", {"Logical_Switch": {SWITCH: {"modify": {"name": "v"}}}})
    assert server.names() == ["v"]


@pytest.mark.parametrize("comes_back", [False, True], ids=["away", "coming back"])
@pytest.mark.parametrize("has_left", [False, True], ids=["leaving", "left"])
def test_what_was_committed_on_another_connection_is_waited_for(has_left: bool, comes_back: bool) -> None:
    server = Server()
    server.connect()
    server.follower.leave()
    if has_left:
        server.answer(server.sent.pop())
    if comes_back:
        server.follower.come_back()
    server.rows = {"Logical_Switch": {SWITCH: {"initial": {"name": "t"}}}}
    server.follower.catch_up()
    assert server.follower.is_behind
    while server.sent:
        assert server.follower.base() is None
        server.answer(server.sent.pop(0))
    assert not server.follower.is_behind
    assert server.names() == ["t"]


def test_what_was_committed_while_we_were_away_is_waited_for() -> None:
    server = Server()
    server.connect()
    server.follower.leave()
    leaving = server.sent.pop()
    pending = sent(server, [])
    transaction = server.sent.pop()
    server.answer(leaving)
    assert server.names() == ["s"]
    server.rows = {"Logical_Switch": {SWITCH: {"initial": {"name": "t"}}}}
    server.follower.handle({"id": transaction["id"], "result": [{}], "error": None})
    assert pending.results == [{}]
    while server.sent:
        assert server.follower.base() is None
        server.answer(server.sent.pop(0))
    assert server.names() == ["t"]


def test_who_comes_back_before_it_has_left() -> None:
    server = Server()
    server.connect()
    server.follower.leave()
    server.follower.come_back()
    server.say("update3", DATABASE, "x", {"Logical_Switch": {SWITCH: {"modify": {"name": "t"}}}})
    server.rows = {"Logical_Switch": {SWITCH: {"initial": {"name": "t"}}}}
    while server.sent:
        server.answer(server.sent.pop(0))
    assert server.since == "x"  # a cluster tells of what is behind the last update that we have taken in
    server.say("update3", DATABASE, "y", {"Logical_Switch": {SWITCH: {"modify": {"name": "u"}}}})
    assert server.names() == ["u"]


def test_nobody_leaves_again_before_it_has_come_back() -> None:
    server = Server()
    server.connect()
    server.follower.leave()
    server.follower.come_back()
    server.follower.leave()
    assert [asked["method"] for asked in server.sent] == ["monitor_cancel"]
    server.answer(server.sent.pop(0))
    server.follower.leave()
    assert [asked["method"] for asked in server.sent] == ["monitor_cond_since"]
    for _ in range(2):
        server.answer(server.sent.pop(0))
    server.follower.leave()
    assert [asked["method"] for asked in server.sent] == ["monitor_cancel"]


def test_a_connection_that_ends_while_we_are_away() -> None:
    server = Server()
    server.connect()
    server.follower.leave()
    server.follower.end()
    assert not server.follower.is_away
    server.connect()
    assert server.names() == ["s"]


def test_a_server_that_cannot_be_left() -> None:
    server = Server(unknown=("monitor_cancel",))
    server.connect()
    server.follower.leave()
    with pytest.raises(Unfit, match="cannot be left"):
        server.answer(server.sent.pop())


@pytest.mark.parametrize(("operations", "is_local", "asked"), [(2, False, "monitor_cancel"), (1, True, "echo")])
def test_a_server_is_left_where_most_rows_will_be_new(operations: int, is_local: bool, asked: str) -> None:
    server = Server()
    server.connect()
    server.follower.stand_aside(operations, is_local=is_local)
    assert [found["method"] for found in server.sent] == [asked]


def test_a_server_far_away_with_many_rows_is_neither_left_nor_held_off() -> None:
    server = Server()
    server.connect()
    server.follower.stand_aside(1, is_local=False)
    assert server.sent == []
