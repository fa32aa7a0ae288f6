"""What is said between us and a server, so that our copy of its rows follows it.

Law: messages in, messages out; no socket, no clock, no lock. A copy is complete from the reply to our request to be
told of changes, and the word that the schema is still the same, until the connection ends. Each message after that
reply moves it by one whole transaction; while we are away it stays as it is.

The requests: ovsdb-server(7) sections 4.1.12 to 4.1.17 (monitor_cond_since and older ways), 4.1.9 (set_db_change_aware)
and RFC 7047 section 4.1.7 (monitor_cancel).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ovnk8s_topo.backends.attempts import Base
from ovnk8s_topo.backends.operations import Operations, texts_of
from ovnk8s_topo.backends.port_ops import Echo, OneRow
from ovnk8s_topo.backends.replica_rows import HOLDING, Foreseen, ReplicaRows, RowChange, row_change
from ovnk8s_topo.backends.schema import DATABASE, GLOBAL, GLOBAL_COLUMNS, Schema, wanted_columns
from ovnk8s_topo.backends.service import SERVER, SERVER_COLUMNS, Service, Unfit
from ovnk8s_topo.backends.told_rows import SentRows
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import TABLES

WANTED: Mapping[str, tuple[str, ...]] = {
    **{table.name: tuple(wanted_columns(table)) for table in TABLES.values()},
    GLOBAL: GLOBAL_COLUMNS,
}
"""Table -> columns that are copied, as far as the server has them."""

_METHODS = ("monitor_cond_since", "monitor_cond", "monitor")
"""Newest first: the second has no transaction ids, the third is that of RFC 7047 (servers before OVS 2.6)."""

_NO_TRANSACTION = "00000000-0000-0000-0000-000000000000"

_BALLAST = " " * (1 << 20)
"""More than a unix socket takes, at once and when somebody has read from it (net.core.wmem_default is some 200 kB)."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

Answer = Callable[[Any, Any], None]
"""Takes result and error of a reply."""


class Pending:
    """A transaction on its way.

    results   the server's, one for each operation and perhaps one for the commit; [] if the connection broke, None yet
    shown_at  see `attempts.Pending`
    """

    __slots__ = ("results", "shown_at")

    def __init__(self) -> None:
        self.results: list[Any] | None = None
        self.shown_at = 0

    def seen(self) -> list[Any] | None:
        """Return the results as far as they are known."""
        return self.results

    def answered(self, result: Any, error: Any) -> None:
        """Take the server's reply."""
        if isinstance(result, list):
            self.results = result
            return
        refused = [{"error": "transaction refused", "details": str(error)}]
        self.results = refused


def request(method: str, params: list[Any], number: int) -> bytes:
    """Return a request of JSON-RPC 1.0, as RFC 7047 section 4 uses it."""
    return _encode({"method": method, "params": params, "id": number}).encode("ascii")


class Follower:
    """A copy of the Northbound rows of whatever server we are connected to.

    send         takes what is to be sent
    leader_only  refuse a cluster's followers

    sent      new rows of ours of which it may tell
    rows      the copy, `complete` or of some earlier time
    schema    what the server can hold
    """

    def __init__(self, send: Callable[[bytes], None], *, leader_only: bool) -> None:
        self.sent = SentRows()
        self.rows = ReplicaRows(sent=self.sent)
        self.schema = Schema({}, "unknown")
        self.complete = self._is_following = self._is_known = False
        self.is_away = self._is_apart = self._is_stale = False
        self._send = send
        self._numbers = itertools.count(1)
        self._answers: dict[object, Answer] = {}
        self._pending: dict[object, Pending] = {}
        self._echoes: dict[object, tuple[Foreseen, Mapping[str, object]]] = {}
        self._document: Any = None
        self._asked_as = ""
        self._last_transaction = _NO_TRANSACTION
        self._service = Service(leader_only=leader_only)
        self._unknown = {"server", "schema"}
        self._behind = 0
        self._fresh = ReplicaRows()
        self._streamed: list[RowChange] = []

    # Connections ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Introduce ourselves on a new connection."""
        self.end()
        columns = [{"columns": list(SERVER_COLUMNS)}]
        self._ask("monitor_cond", [SERVER, SERVER, {"Database": columns}], self._servers_known)
        self._ask("get_schema", [DATABASE], self._schema_known)
        # Without it the server cuts us off whenever any of its databases comes or goes.
        self._ask("set_db_change_aware", [True], lambda *_: None)

    def end(self) -> None:
        """Note that the connection is gone."""
        self.stop()
        self._answers.clear()
        for pending in self._pending.values():
            pending.results = []
        self._pending.clear()
        self._echoes.clear()
        self._streamed.clear()
        self._service.forget()
        self._unknown = {"server", "schema"}
        self._behind = 0

    def stop(self) -> None:
        """Take in nothing more on this connection: it is to end."""
        self.complete = self._is_following = self.is_away = self._is_apart = self._is_stale = False

    def forget(self) -> None:
        """Fetch all rows again on the next connection, as if none had been known."""
        self._last_transaction = _NO_TRANSACTION
        self._is_known = False

    def prepare(self, operations: Operations) -> tuple[int, bytes]:
        """Return number and bytes of a transaction, for `start`; unlike all else here it needs no care of threads."""
        number = next(self._numbers)
        texts = (operations.text,) if isinstance(operations, OneRow) else texts_of(operations)
        text = ",".join((f'"{DATABASE}"', *texts))
        return number, f'{{"method":"transact","params":[{text}],"id":{number}}}'.encode("ascii")

    def start(self, number: int, message: bytes, echo: Echo | None = None) -> Pending:
        """Send a transaction.

        echo  what will be heard of its changes
        """
        pending = self._pending[number] = Pending()
        self._send(message)
        # The server is at work meanwhile.
        if echo is not None and (foreseen := self.rows.foresee(echo)) is not None:
            self._echoes[number] = foreseen, echo.told()
        return pending

    def base(self) -> Base[Snapshot] | None:
        """Return the rows, None while they are not complete."""
        if not self.complete or self.is_behind:
            return None
        snapshot = self.rows.snapshot()
        return Base(snapshot, self.schema, self.rows.serial, self.numbers())

    @property
    def is_behind(self) -> bool:
        """Whether the server has more to tell than the rows show; see `catch_up`."""
        return bool(self._behind or self._is_stale)

    def catch_up(self) -> None:
        """Give no rows until the server has told us all that it knows by now, as after a commit on another connection.

        It flushes what it has to tell a client before it answers that client, be it an echo.
        """

        def caught_up(_result: Any, _error: Any) -> None:
            self._behind -= 1

        if self._is_apart:
            self._lack()
        # Not only of a complete copy: one that is on its way may be older than what was committed meanwhile.
        self._behind += 1
        self._ask("echo", [], caught_up)

    def stand_aside(self, operations: int, *, is_local: bool) -> None:
        """Spare the server the work of telling us what a long transaction on another connection does.

        operations  of that transaction
        is_local    the server is on this machine
        """
        # To be told anew of all that there is by then must not take longer than to be told of what is new.
        if operations > len(self.rows) and not self._is_apart:
            self.leave()
        elif is_local:
            self.hold_off()

    def hold_off(self) -> None:
        """Have the server keep from us what happens from now on, until somebody reads what it has sent.

        It tells a client nothing while something is left to be sent to it (ovsdb/jsonrpc-server.c), and to work out
        what to tell us of a long transaction takes it as long as the transaction itself. So it is given something to
        send that no socket takes at once. Where one does, we are told at once.
        """
        if self.complete:
            self._ask("echo", [_BALLAST], lambda *_: None)

    def leave(self) -> None:
        """Have the server tell us nothing more, and keep no account of what it would tell us, until we `come_back`.

        Meanwhile the rows stay as they are. That account takes it a tenth of the time of a long transaction.
        """
        if self.complete and not self._is_apart:
            self.is_away = self._is_apart = True
            self._ask("monitor_cancel", [DATABASE], self._left)

    def _left(self, _result: Any, error: Any) -> None:
        if error:
            raise Unfit(f"cannot be left: {_said(error)}")
        self._is_following = False
        if not self.is_away:
            self._ask_for_rows(iter(_METHODS))

    def come_back(self) -> None:
        """Have the server tell us anew of all rows, after we have left; until then they stay as they are."""
        if self.is_away:
            self.is_away = False
            # Updates may still come until we have left, and the server is asked for what is behind the last one.
            if not self._is_following:
                self._ask_for_rows(iter(_METHODS))

    def _lack(self) -> None:
        """Come back, and give no rows until then: they lack something that this object has committed."""
        self._is_stale = True
        self.come_back()

    def numbers(self) -> Mapping[str, int]:
        """Return the columns of NB_Global that confirm changes, nothing while there is no such row."""
        return next(iter(self.rows.numbers.values()), {})

    def _ask(self, method: str, params: list[Any], answer: Answer) -> None:
        number = next(self._numbers)
        self._answers[number] = answer
        self._send(request(method, params, number))

    # Messages -------------------------------------------------------------------------------------------------------

    def handle(self, message: Any) -> None:
        """Take a message of the server.

        Unfit   this server is of no use
        Astray  the rows have to be fetched anew
        """
        method = message.get("method")
        if method is None:
            self._answered(message.get("id"), message.get("result"), message.get("error"))
        elif method == "echo":
            reply = {"id": message.get("id"), "result": message.get("params"), "error": None}
            self._send(_encode(reply).encode("ascii"))
        elif method in ("update", "update2", "update3"):
            self._updated(message["params"])
        elif method == "monitor_canceled":
            raise Unfit(f"database {message['params'][0]} was removed or has another schema now")

    def _answered(self, number: object, result: Any, error: Any) -> None:
        if (pending := self._pending.pop(number, None)) is not None:
            self._echoes.pop(number, None)
            if not self._is_following:
                self._lack()
            pending.answered(result, error)
        elif (answer := self._answers.pop(number, None)) is not None:
            answer(result, error)

    def known_at(self, table: str, uuid: str, text: str, at: int) -> str:
        """Return the text of a row that we have sent; see `json_stream.Keeper`."""
        # Before we follow, all rows are new. One that holds others says so by their uuids, which are taken out.
        return "" if self._is_following or HOLDING.get(table, True) else self.sent.at(uuid, text, at)

    def keep_known(self, table: str, uuid: str, text: str) -> None:
        """Take one row of a long message that we have sent; see `json_stream.Keeper`."""
        self._fresh.load_sent(table, uuid, text)

    def keep(self, table: str, uuid: str, update: dict[str, Any], text: str) -> None:
        """Take one row of a long message that is still on its way; see `json_stream.Keeper`."""
        change = row_change(table, uuid, update, text)
        if "initial" in update or (self._asked_as == "monitor" and not self._is_following):
            self._fresh.load(change)
        else:
            self._streamed.append(change)

    def _updated(self, params: list[Any]) -> None:
        if params[0] == SERVER:
            self._service.heard(params[-1])
        elif self._is_following:
            # ovsdb-server writes what changed before it replies to the transaction that changed it: when our own
            # transaction's reply comes, its rows are here.
            if self._streamed or not self._is_echo(params[-1]):
                self.rows.apply(self._changes(params[-1]))
            if len(params) == 3:
                self._last_transaction = params[1]

    def _is_echo(self, tables: Mapping[str, Any]) -> bool:
        """Take in what a transaction of ours has done, if this is just that."""
        for number, (foreseen, told) in self._echoes.items():
            if tables == told:
                if is_taken_in := self.rows.apply_echo(foreseen):
                    self._pending[number].shown_at = self.rows.serial
                return is_taken_in
        return False

    def _changes(self, tables: Mapping[str, Mapping[str, Any]]) -> list[RowChange]:
        """Return what a message says of rows, streamed ones included."""
        changes = [row_change(table, uuid, update) for table, rows in tables.items() for uuid, update in rows.items()]
        streamed, self._streamed = self._streamed, []
        return streamed + changes

    # The server -----------------------------------------------------------------------------------------------------

    def _servers_known(self, result: Any, error: Any) -> None:
        # Servers before OVS 2.9 have no such database, and no clusters.
        if not error:
            self._service.heard(result)
        self._learned("server")

    def _schema_known(self, document: Any, error: Any) -> None:
        if error:
            raise Unfit(f"no database {DATABASE}: {_said(error)}")
        if document != self._document:
            self._document, self.schema = document, Schema.from_json(document)
            self.forget()
        self._learned("schema")

    # The rows -------------------------------------------------------------------------------------------------------

    def _learned(self, what: str) -> None:
        self._unknown.discard(what)
        if not self._unknown:
            self._ask_for_rows(iter(_METHODS))

    def _ask_for_rows(self, methods: Iterator[str]) -> None:
        method = self._asked_as = next(methods)
        columns = {
            table: [column for column in wanted if self.schema.has(table, column)] for table, wanted in WANTED.items()
        }
        params: list[Any] = [DATABASE, DATABASE, {table: [{"columns": c}] for table, c in columns.items() if c}]
        if method == "monitor_cond_since":
            params.append(self._last_transaction)
        self._fresh = ReplicaRows(self.rows.serial + 1, self.sent)

        def answered(result: Any, error: Any) -> None:
            if error:
                if _said(error) != "unknown method" or method == _METHODS[-1]:
                    raise Unfit(f"cannot be followed: {_said(error)}")
                self._ask_for_rows(methods)
            else:
                self._fetched(result, method)

        self._ask(method, params, answered)

    def _fetched(self, result: Any, method: str) -> None:
        found, transaction, tables = result if method == "monitor_cond_since" else (False, _NO_TRANSACTION, result)
        changes = self._changes(tables)
        if found:
            if changes:
                self.rows.apply(changes)
        else:
            for change in changes:
                self._fresh.load(change)
            if self._is_known:
                self._fresh.succeed(self.rows)
            self.rows = self._fresh
        self._fresh = ReplicaRows()
        self._is_known = True
        self._last_transaction = transaction
        self._is_following = True
        self.complete = self._is_stale = self._is_apart = False
        # A server that was given another schema since it told us of one cancels no request that it gets only then.
        self._ask("get_schema", [DATABASE], self._schema_confirmed)

    def _schema_confirmed(self, document: Any, error: Any) -> None:
        if error or document != self._document:
            raise Unfit(f"database {DATABASE} has another schema now")
        self.complete = True


def _said(error: Any) -> str:
    """Return what an <error> says, which is a text or an object (RFC 7047 section 3.1)."""
    return str(error.get("error", error)) if isinstance(error, dict) else str(error)
