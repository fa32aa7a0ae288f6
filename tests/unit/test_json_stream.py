from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.backends import json_stream
from ovnk8s_topo.backends.json_stream import MessageStream

Row = tuple[str, str, dict[str, Any], str]

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(['}{"[,:\\', "é漢😀", "null", "1e5"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
uuids = st.uuids().map(str)
rows = st.dictionaries(texts, values, max_size=4)
updates = (
    st.fixed_dictionaries({"initial": rows})
    | st.fixed_dictionaries({"insert": rows})
    | st.fixed_dictionaries({"modify": rows})
    | st.fixed_dictionaries({"delete": st.none()})
    | st.fixed_dictionaries({"new": rows, "old": rows})
)
tables = st.dictionaries(
    st.sampled_from(["Logical_Switch", "Logical_Switch_Port", "Meter"]),
    st.dictionaries(uuids, updates, max_size=5),
    max_size=3,
)
messages = (
    st.builds(lambda found, found_rows: {"id": 3, "result": [found, "x", found_rows], "error": None}, values, tables)
    | st.builds(lambda found_rows: {"method": "update3", "params": ["m", "x", found_rows], "id": None}, tables)
    | st.builds(lambda found_rows: {"result": found_rows, "error": None, "id": 1}, tables)
    | st.builds(lambda result: {"id": 1, "result": result, "error": None}, values)
)


class Rows:
    """Keeps rows, and knows some by their texts."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.kept: list[Row] = []
        self.known = known or {}

    def keep(self, table: str, uuid: str, update: dict[str, Any], text: str) -> None:
        self.kept.append((table, uuid, update, text))

    def known_at(self, table: str, uuid: str, text: str, at: int) -> str:
        known = self.known.get(uuid, "")
        return known if text.startswith(known, at) else ""

    def keep_known(self, table: str, uuid: str, text: str) -> None:
        self.kept.append((table, uuid, KNOWN, text))


KNOWN: dict[str, Any] = {"known": {}}


class Reader:
    """What a stream gives, whichever way: rows that it has kept are put back where they belong."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.messages: list[Any] = []
        self.stream = MessageStream(self.rows)

    def feed(self, piece: str) -> None:
        for message in self.stream.feed(piece):
            self.messages.append(self.completed(message))

    def completed(self, message: Any) -> Any:
        result, params = message.get("result"), message.get("params")
        outer = params or result
        found = outer[-1] if isinstance(outer, list) and outer else outer
        for table, uuid, update, text in self.rows.kept:
            assert not text or json.loads(text) == next(iter(update.values()))
            found[table][uuid] = update
        self.rows.kept.clear()
        return message


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in pairwise(edges)]


@given(
    st.lists(messages, min_size=1, max_size=4),
    st.lists(st.integers(0, 5000), max_size=30),
    st.sampled_from([0, 20, 1 << 16]),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.sampled_from([None, (",", ":")]),
)
def test_any_division_gives_the_same_messages(
    sent: list[Any],
    places: list[int],
    long: int,
    indent: int | None,
    ascii_only: bool,
    separators: tuple[str, str] | None,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_LONG", long)
        texts = (json.dumps(message, indent=indent, ensure_ascii=ascii_only, separators=separators) for message in sent)
        text = "".join(texts)
        reader = Reader()
        for piece in cut(text, places):
            reader.feed(piece)
        assert reader.messages == sent


@given(st.lists(messages, min_size=1, max_size=2))
def test_single_characters_give_the_same_messages(sent: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_LONG", 10)
        reader = Reader()
        for character in "".join(map(json.dumps, sent)):
            reader.feed(character)
        assert reader.messages == sent


def kept_of(pieces: list[str], known: Mapping[str, str]) -> list[Row]:
    rows = Rows(known)
    stream = MessageStream(rows)
    for piece in pieces:
        list(stream.feed(piece))
    return rows.kept


@given(
    st.lists(messages, min_size=1, max_size=3),
    st.lists(st.integers(0, 3000), max_size=30),
    st.sampled_from([None, 1]),
    st.integers(1, 3),
)
def test_rows_that_are_known_are_the_same(sent: list[Any], places: list[int], indent: int | None, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_LONG", 0)
        pieces = cut("".join(json.dumps(message, indent=indent) for message in sent), places)
        read = kept_of(pieces, {})
        known = {uuid: text for _, uuid, _, text in read[::step] if text}
        assert kept_of(pieces, known) == [
            (table, uuid, KNOWN if text and known.get(uuid) == text else update, text)
            for table, uuid, update, text in read
        ]


@pytest.mark.parametrize("update", [{"initial": {"a": 1}}, {"new": {"a": 1}, "old": {}}], ids=str)
def test_a_known_row_that_is_cut_anywhere(monkeypatch: pytest.MonkeyPatch, update: dict[str, Any]) -> None:
    monkeypatch.setattr(json_stream, "_LONG", 4)
    port = str(UUID(int=1))
    text = json.dumps({"id": 1, "result": {"Port": {port: update}}, "error": None})
    known = {port: json.dumps({"a": 1})}
    for place in range(60, len(text)):
        pieces = [text[:60], text[60:place], text[place:]]
        expected = [(*row[:2], KNOWN, row[3]) if row[3] else row for row in kept_of(pieces, {})]
        assert kept_of(pieces, known) == expected, place
        assert any(KNOWN in row for row in expected) is ("initial" in update)


def test_rows_of_a_long_message_are_kept_before_it_ends() -> None:
    held = {str(UUID(int=number)): {"initial": {"name": f"port {number}"}} for number in range(10_000)}
    text = json.dumps({"id": 1, "result": [False, "x", {"Logical_Switch_Port": held}], "error": None})
    rows = Rows()
    stream = MessageStream(rows)
    end = len(text) - 10
    for start in range(0, end, 1000):
        assert list(stream.feed(text[start : min(start + 1000, end)])) == []
        assert len(stream._text) < 140_000 < len(text) / 4, "what was kept is held as text, too"
    assert len(list(stream.feed(text[end:]))) == 1
    assert [(table, uuid) for table, uuid, _, _ in rows.kept] == [("Logical_Switch_Port", uuid) for uuid in held]


def test_a_long_row_in_small_pieces_is_not_read_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = ["set", [["uuid", str(UUID(int=number))] for number in range(20_000)]]
    text = json.dumps({"id": 1, "result": {"Logical_Switch": {str(UUID(int=1)): {"initial": {"ports": ports}}}}})
    read = 0
    scan = json_stream._scan

    def counted(text: str, at: int) -> tuple[Any, int]:
        nonlocal read
        read += len(text) - at
        return scan(text, at)

    monkeypatch.setattr(json_stream, "_scan", counted)
    stream = MessageStream(Rows())
    found = [message for start in range(0, len(text), 500) for message in stream.feed(text[start : start + 500])]
    assert len(found) == 1
    assert read < 10 * len(text)


@pytest.mark.parametrize(
    "member", [{"uuid": ["uuid", "a"]}, {"rows": [{"a": {}}, {"b": "},{"}]}, ["},{"], "},{", 7], ids=str
)
@pytest.mark.parametrize("size", [500, 1 << 17])
def test_members_of_a_long_array_are_not_read_again_and_again(
    monkeypatch: pytest.MonkeyPatch, member: Any, size: int
) -> None:
    text = json.dumps({"id": 1, "result": [member] * 20_000}, separators=(",", ":"))
    read = 0
    scan, loads = json_stream._scan, json.loads

    def scanned(text: str, at: int) -> tuple[Any, int]:
        nonlocal read
        value, end = scan(text, at)
        read += end - at
        return value, end

    def loaded(text: str) -> Any:
        nonlocal read
        read += len(text)
        return loads(text)

    monkeypatch.setattr(json_stream, "_scan", scanned)
    monkeypatch.setattr(json, "loads", loaded)
    stream = MessageStream(Rows())
    found = [message for start in range(0, len(text), size) for message in stream.feed(text[start : start + size])]
    assert found == [{"id": 1, "result": [member] * 20_000}]
    assert read < 4 * len(text)


@pytest.mark.parametrize("long", [0, 1 << 16])
@pytest.mark.parametrize(
    "text",
    [
        "}" * 40,
        '{"a" 1}' + " " * 40,
        '{"a": tru, "b": "some more text that follows it"}',
        '{1: 2, "b": "some more text that follows it"}',
        '{"result": {"T": {"00000000-0000-0000-0000-000000000000": {"initial": {}} what' + "x" * 120,
        '[1 2, "some more text that follows it", "and a bit more"]',
    ],
)
def test_what_is_not_json_is_a_fault(monkeypatch: pytest.MonkeyPatch, text: str, long: int) -> None:
    monkeypatch.setattr(json_stream, "_LONG", long)
    stream = MessageStream(Rows())
    with pytest.raises(ValueError, match="not"):
        list(stream.feed(text))


@pytest.mark.parametrize(
    "results", [[{}, {"uuid": ["uuid", "a,]"]}, 12, "x", [], [1, 2]], [1.5, -2], [[]], [{"a": [{}]}]]
)
def test_results_that_servers_write_without_spaces(monkeypatch: pytest.MonkeyPatch, results: list[Any]) -> None:
    monkeypatch.setattr(json_stream, "_LONG", 4)
    message = {"id": 1, "result": results, "error": None}
    text = json.dumps(message, separators=(",", ":"))
    for first in range(1, len(text)):
        for second in range(first, len(text), 3):
            reader = Reader()
            for piece in (text[:first], text[first:second], text[second:]):
                reader.feed(piece)
            assert reader.messages == [message], (text[:first], text[first:second])
