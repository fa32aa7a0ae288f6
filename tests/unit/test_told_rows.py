"""A row whose text is the one that a server tells is that row; of every other one nothing is said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.backends.told_rows import SentRows, ToldRows
from ovnk8s_topo.nb.tables import LogicalRouterPort, LogicalSwitch, LogicalSwitchPort, MeterBand, Row

texts = st.sampled_from(["", "a", "b", 'a","b', "é", "\\"])
sets = st.frozensets(texts, max_size=2)
maps = st.dictionaries(texts, texts, max_size=2)
ports = st.builds(
    LogicalSwitchPort,
    parent=st.just("s"),
    name=texts,
    addresses=sets,
    port_security=sets,
    options=maps,
    external_ids=maps,
    tag_request=st.none() | st.integers(1, 3),
)


@given(ports, ports)
def test_two_rows_have_one_text_if_they_are_the_same(one: Row, other: Row) -> None:
    told = ToldRows()
    assert (told.text(one) == told.text(other)) == (one == other)


@given(st.lists(maps, min_size=1, max_size=4))
def test_maps_that_rows_share_are_written_as_they_are(shared: list[dict[str, str]]) -> None:
    told = ToldRows()
    rows = [
        LogicalSwitchPort(name="p", parent="s", options=one, external_ids=other) for one in shared for other in shared
    ]
    assert [told.text(row) for row in rows] == [ToldRows().text(row) for row in rows]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (LogicalSwitchPort(name="p", parent="s"), '{"name":"p"}'),
        (
            LogicalSwitchPort(
                name='p"',
                parent="s",
                type="localnet",
                tag_request=7,
                addresses=frozenset({"b", "a"}),
                port_security=frozenset({"one"}),
                options={"y": "2", "x": "1"},
            ),
            '{"addresses":["set",["a","b"]],"name":"p\\"","options":["map",[["x","1"],["y","2"]]],'
            '"port_security":"one","tag_request":7,"type":"localnet"}',
        ),
        (LogicalSwitch(name="s", other_config={"b": "c"}), '{"name":"s","other_config":["map",[["b","c"]]]}'),
        (MeterBand(action="drop", rate=25), '{"action":"drop","rate":25}'),
        (
            LogicalRouterPort(name="r", parent="r", mac="m", networks=frozenset({"n"})),
            '{"mac":"m","name":"r","networks":"n"}',
        ),
        (LogicalSwitch(name="s", load_balancer_group=frozenset({"group"})), ""),
        (LogicalSwitchPort(name=1, parent="s"), ""),  # type: ignore[arg-type]
        (LogicalSwitchPort(name="p", parent="s", addresses=frozenset({1})), ""),  # type: ignore[arg-type]
        (LogicalSwitchPort(name="p", parent="s", addresses=frozenset({1, "a"})), ""),  # type: ignore[arg-type]
        (LogicalSwitchPort(name="p", parent="s", options={"x": 1}), ""),  # type: ignore[dict-item]
    ],
)
def test_a_row_is_written_as_servers_write_it(row: Row, told: str) -> None:
    assert ToldRows().text(row) == told


ROW = LogicalSwitchPort(name="p", parent="s")
EQUAL = LogicalSwitchPort(name="p", parent="s")
UUID, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


def sent_and_heard(heard: str) -> SentRows:
    sent = SentRows()
    sent.note(UUID, '{"name":"p"}', ROW)
    sent.hear(UUID, heard)
    return sent


def test_a_row_that_is_told_of_as_it_was_sent_is_known_once() -> None:
    heard = json.dumps({"name": "p"}, separators=(",", ":"))
    sent = sent_and_heard(heard)
    assert sent.are_one(UUID, heard, ROW)
    assert not sent.are_one(UUID, heard, ROW)


def test_rows_that_are_not_known() -> None:
    heard = json.dumps({"name": "p"}, separators=(",", ":"))
    changed = json.dumps({"name": "p"}, separators=(",", ":"))
    assert not sent_and_heard('{"name":"q"}').are_one(UUID, '{"name":"q"}', ROW)
    assert not sent_and_heard(heard).are_one(OTHER, heard, ROW)
    assert not sent_and_heard(heard).are_one(UUID, heard, EQUAL)  # it takes a closer look
    assert not sent_and_heard(heard).are_one(UUID, changed, ROW)  # told of anew: it may be another one by now
    sent = sent_and_heard(heard)
    sent.clear()
    assert not sent.are_one(UUID, heard, ROW)


def test_uuids_that_were_sent_are_told_as_the_very_same_texts() -> None:
    """Not merely as equal ones: to compare two texts is to read the memory of both."""
    sent = SentRows()
    for uuid in (UUID, OTHER):
        sent.note(uuid, '{"name":"p"}', ROW)
    alike = ["".join(list(uuid)) for uuid in (UUID, OTHER, "alien")]
    heard = sent.hear(alike[0], '{"name":"p"}')
    assert heard is not None
    assert heard[0] is UUID
    assert [mine is theirs for mine, theirs in zip(sent.own(alike), (UUID, OTHER, alike[2]), strict=True)] == [True] * 3
    sent.clear()
    assert sent.own(alike) is alike
