"""New rows as a server tells of them, to be compared as text.

Law: the same text means the same row; another text means nothing. Of text that is not kept, its hash stands for it.
ovsdb-server since OVS 2.17 sorts the members of the updates that it makes once for all its clients (ovsdb/monitor.c,
`json_serialized_object_create`), and leaves out what holds its default (ovsdb-server(7), <table-updates2>).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from ovnk8s_topo.backends.new_rows import Maps, text_of
from ovnk8s_topo.nb.columns import Column, Value
from ovnk8s_topo.nb.tables import Row, Table, reader_of


class _Column(NamedTuple):
    """How one column is written, unless it holds its default; text is None where names stand for uuids."""

    label: str
    default: Value
    text: Callable[[Any], str] | None


class _Writer(NamedTuple):
    """How a row of one table is written: what reads its columns, and what writes them, ordered by name."""

    read: Callable[[Row], tuple[Any, ...]]
    columns: tuple[_Column, ...]


class SentRows:
    """New rows that were sent, to be known again when the server tells of them.

    What was sent has been written as text already, and a hash of it costs a fraction of writing it once more. Rows are
    held until somebody has asked for them once, or others are sent.

    A message has texts of its own for uuids. Whoever keeps rows by the texts that were sent holds each but once, and
    who looks for many of them by these finds them without comparing texts: that is to read the memory of both.
    """

    __slots__ = ("_sent", "_told")

    def __init__(self) -> None:
        self._sent: dict[str, tuple[int, int, Row, str]] = {}
        self._told: dict[str, tuple[str, Row, str]] = {}

    def clear(self) -> None:
        """Forget all."""
        self._sent, self._told = {}, {}

    def note(self, uuid: str, text: str, row: Row) -> None:
        """Note a row as it is sent."""
        self._sent[uuid] = hash(text), len(text), row, uuid

    def at(self, uuid: str, text: str, place: int) -> str:
        """Return the text of a row if it was sent and stands at this place of a longer text, else ""."""
        sent = self._sent.get(uuid)
        if sent is None:
            return ""
        told = text[place : place + sent[1]]
        return told if hash(told) == sent[0] else ""

    def hear(self, uuid: str, text: str) -> tuple[str, Row] | None:
        """Hear of a new row; return it, and its uuid as it was sent, if the row is as it was sent."""
        sent = self._sent.pop(uuid, None)
        if sent is None or sent[0] != hash(text):
            return None
        _, _, row, uuid = sent
        self._told[uuid] = text, row, uuid
        return uuid, row

    def own(self, uuids: Collection[str]) -> Collection[str]:
        """Return equal uuids, as they were sent where they were."""
        if not (self._sent or self._told):
            return uuids
        sent, told = self._sent.get, self._told.get
        return [(sent(uuid) or told(uuid) or (uuid,))[-1] for uuid in uuids]

    def are_one(self, uuid: str, text: str, row: Row) -> bool:
        """Tell whether a row is the one that was sent, and the text is what was told of it; asked once for each."""
        known = self._told.pop(uuid, None) if self._told else None
        return known is not None and known[0] is text and known[1] is row


class ToldRows:
    """Writes rows as they are told of."""

    def __init__(self) -> None:
        self._maps = Maps()
        self._writers: dict[str, _Writer] = {}

    def text(self, row: Row) -> str:
        """Return what is told of a row, "" if that takes a closer look."""
        read, columns = self._writers.get(row.TABLE.name) or self._writer(row.TABLE)
        members: list[str] = []
        try:
            for (label, default, text), value in zip(columns, read(row), strict=True):
                if value != default:
                    if text is None:
                        return ""
                    members.append(label + text(value))
        except TypeError:  # a member is no text
            return ""
        return "{" + ",".join(members) + "}"

    def _writer(self, table: Table) -> _Writer:
        names = sorted(table.columns)
        writer = _Writer(reader_of(names), tuple(self._column(table.columns[name]) for name in names))
        self._writers[table.name] = writer
        return writer

    def _column(self, column: Column) -> _Column:
        text = None if column.base == "uuid" else text_of(column, self._maps)
        return _Column(f'"{column.name}":', column.default, text)
