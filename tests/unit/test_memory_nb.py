from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo.backends.contract import Decide
from ovnk8s_topo.backends.faults import Fault, Faults, Transact
from ovnk8s_topo.backends.memory import GLOBAL_UUID, MemoryNb
from ovnk8s_topo.diff import ChangeSet, Rules, diff
from ovnk8s_topo.errors import (
    BackendError,
    BackendUnavailable,
    ConflictError,
    NotReached,
    OutcomeUnknown,
    OwnershipError,
)
from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import RowSet, Snapshot
from ovnk8s_topo.nb.tables import OWNER_KEY, LogicalSwitch, LogicalSwitchPort, Row

LIMIT_S = 10.0
UUID = "00000000-0000-4000-8000-00000000000a"
PORT_UUID = "00000000-0000-4000-8000-00000000000b"


def decide(*rows: Row, **rules: Any) -> Decide:
    desired = RowSet(marked(row, "me") for row in rows)
    return lambda actual: diff(desired, actual, Rules(owner="me", **rules))


def switch(name: str = "s", **config: str) -> LogicalSwitch:
    return LogicalSwitch(name=name, other_config=config)


def port(name: str = "p", parent: str = "s") -> LogicalSwitchPort:
    return LogicalSwitchPort(name=name, parent=parent, external_ids={"pod": "ü☃"})


def commit(nb: MemoryNb, *rows: Row, **rules: Any) -> int:
    return nb.commit(decide(*rows, **rules), timeout_s=LIMIT_S).attempts


def names(nb: MemoryNb) -> list[str]:
    return sorted(stored.key.name for stored in nb.snapshot(timeout_s=LIMIT_S).rows.values())


def theirs(name: str, uuid: str = UUID) -> list[dict[str, Any]]:
    ids = ["map", [[OWNER_KEY, "them"]]]
    return [{"op": "insert", "table": "Logical_Switch", "uuid": uuid, "row": {"name": name, "external_ids": ids}}]


# --- reading and confirming ---


def test_a_snapshot_is_shared_until_something_changes() -> None:
    nb = MemoryNb()
    commit(nb, switch(), port())
    before = nb.snapshot(timeout_s=0)
    assert nb.snapshot(timeout_s=0) is before
    nb.transact(theirs("x"))
    after = nb.snapshot(timeout_s=0)
    assert (len(before.rows), len(after.rows)) == (2, 3)
    assert all(after.rows[uuid] is stored for uuid, stored in before.rows.items())


def test_a_row_that_refers_to_itself_is_read() -> None:
    nb = MemoryNb()
    nb.transact([{"op": "insert", "table": "Logical_Switch", "uuid": UUID, "row": {"ports": ["uuid", UUID]}}])
    assert list(nb.snapshot(timeout_s=0).rows) == [UUID]


def test_numbers_are_confirmed_at_once_whoever_raises_them() -> None:
    nb = MemoryNb()
    committed = nb.commit(decide(switch()), timeout_s=LIMIT_S, confirm=True)
    nb.wait("hv", committed.nb_cfg, timeout_s=0)
    with pytest.raises(NotReached, match="sb_cfg is 1, not 2"):
        nb.wait("sb", 2, timeout_s=0)
    nb.transact([{"op": "mutate", "table": "NB_Global", "where": [], "mutations": [["nb_cfg", "+=", 1]]}])
    nb.wait("sb", 2, timeout_s=0)
    assert nb.transactions == 1


def test_a_chassis_that_does_not_follow_can_be_played() -> None:
    nb = MemoryNb()
    committed = nb.commit(decide(switch()), timeout_s=LIMIT_S, confirm=True)
    nb.transact([{"op": "update", "table": "NB_Global", "where": [], "row": {"hv_cfg": 0}}])
    nb.wait("sb", committed.nb_cfg, timeout_s=0)
    with pytest.raises(NotReached, match="hv_cfg is 0, not 1"):
        nb.wait("hv", committed.nb_cfg, timeout_s=0)


def test_threads_that_write_the_same_make_it_once() -> None:
    nb = MemoryNb()
    rows = [switch(f"s{i}") for i in range(5)]

    def write() -> None:
        for i in range(5):
            nb.commit(decide(*rows[: i + 1]), timeout_s=LIMIT_S)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(nb) == ["s0", "s1", "s2", "s3", "s4"]


def test_the_lock_is_not_held_while_deciding() -> None:
    nb = MemoryNb()
    read: list[int] = []

    def deciding(_: Snapshot) -> ChangeSet:
        reader = threading.Thread(target=lambda: read.append(len(nb.snapshot(timeout_s=0).rows)))
        reader.start()
        reader.join(LIMIT_S)
        return ChangeSet()

    nb.commit(deciding, timeout_s=LIMIT_S)
    assert read == [0]


# --- content as a document ---


def test_a_dump_is_loaded_again() -> None:
    nb = MemoryNb()
    nb.commit(decide(switch(subnet="10.0.0.0/24"), port()), timeout_s=LIMIT_S, confirm=True)
    document = json.loads(json.dumps(nb.dump()))
    loaded = MemoryNb.load(document)
    assert loaded.dump() == document
    assert loaded.snapshot(timeout_s=0) == nb.snapshot(timeout_s=0)
    assert commit(loaded, switch(subnet="10.0.0.0/24"), port()) == 1
    assert loaded.transactions == 0


def test_equal_contents_give_equal_dumps() -> None:
    one, two = MemoryNb(), MemoryNb()
    commit(one, switch(), switch("t"), port())
    commit(two, switch("t"))
    commit(two, switch("u"), switch("t"))
    commit(two, port(), switch(), switch("t"), prune=True)
    assert json.dumps(one.dump()) == json.dumps(two.dump())


def test_a_file_keeps_the_content(tmp_path: Path) -> None:
    path = tmp_path / "nb.json"
    commit(MemoryNb(file=path), switch(), port())
    text = path.read_text()
    assert '"format": "ovnk8s-topo/nb-snapshot/1"' in text
    assert "ü☃" in text
    again = MemoryNb(file=str(path))
    assert names(again) == ["p", "s"]
    assert path.read_text() == text  # reading writes nothing
    assert commit(again, switch(), port()) == 1
    assert path.read_text() == text
    again.transact(theirs("x"))
    assert "them" in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["nb.json"]


def test_nothing_is_written_before_something_changes(tmp_path: Path) -> None:
    path = tmp_path / "nb.json"
    commit(MemoryNb(file=path))
    assert not path.exists()


def test_a_file_keeps_its_permissions_and_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "nb.json", tmp_path / "link.json"
    commit(MemoryNb(file=path), switch())
    path.chmod(0o600)
    link.symlink_to(path)
    commit(MemoryNb(file=link), switch("t"))
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(MemoryNb(file=path)) == ["s", "t"]


def test_a_change_that_cannot_be_saved_is_undone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    nb = MemoryNb(file=folder / "nb.json")
    commit(nb, switch())
    (folder / "nb.json").unlink()
    folder.rmdir()
    with pytest.raises(BackendUnavailable, match=r"nb\.json: cannot be written, nothing was changed"):
        commit(nb, switch("t"))
    assert names(nb) == ["s"]
    folder.mkdir()
    commit(nb, switch("t"))
    assert names(MemoryNb(file=folder / "nb.json")) == ["s", "t"]


HEAD = '{"format": "ovnk8s-topo/nb-snapshot/1",\n "tables": '


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"nb.json:1:1: must be JSON"),
        ('{"format":\n  oops}', r"nb.json:2:3: must be JSON"),
        ("[]", r'nb.json:1:1: must be a Northbound snapshot, with "format": "ovnk8s-topo/nb-snapshot/1"'),
        ('{"format": "ovnk8s-topo/nb-snapshot/9"}', r"\(got format 'ovnk8s-topo/nb-snapshot/9'\)"),
        (HEAD + "[]}", r'nb.json:1:1: must have an object under "tables"'),
        (HEAD + '{"Meter":\n []}}', r"nb.json:2:13: the rows of Meter must be an object"),
        (HEAD + f'{{"Nope": {{\n"{UUID}": {{}}}}}}}}', rf"nb.json:3:1: Nope {UUID}: .*No table named Nope"),
        (HEAD + '{"Logical_Switch":\n{"x": {}}}}', r"nb.json:3:2: Logical_Switch x: .*bad uuid"),
        (HEAD + f'{{"Logical_Switch": {{\n "{UUID}": {{"name": 5}}}}}}}}', r"nb.json:3:2: .*expected string"),
        (
            HEAD + f'{{"Logical_Switch": {{"{UUID}": {{"ports": ["uuid", "{PORT_UUID}"]}}}}}}}}',
            "references nonexistent row",
        ),
        (HEAD + f'{{"Logical_Switch_Port": {{"{UUID}": {{}}}}}}}}', "must be a row that another row refers to"),
    ],
    ids=["empty", "not JSON", "list", "version", "tables", "rows", "table", "uuid", "value", "dangling", "garbage"],
)
def test_a_file_that_is_no_snapshot(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "nb.json"
    path.write_text(text)
    with pytest.raises(BackendError, match=said) as refusal:
        MemoryNb(file=path)
    assert str(path) in str(refusal.value)
    assert path.read_text() == text


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "nb.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BackendError, match="must be UTF-8"):
        MemoryNb(file=path)
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        MemoryNb(file=tmp_path)


def test_a_document_of_another_format_is_not_loaded() -> None:
    with pytest.raises(BackendError, match="<dump>:1:1: must be a Northbound snapshot"):
        MemoryNb.load({})


def test_the_global_row_is_there_from_the_start() -> None:
    assert MemoryNb().dump()["tables"] == {"NB_Global": {GLOBAL_UUID: {"hv_cfg": 0, "nb_cfg": 0, "sb_cfg": 0}}}


# --- faults ---


def faulty(*commits: Fault | None, **options: Any) -> tuple[MemoryNb, Faults]:
    faults = Faults(commits=commits, **options)
    return MemoryNb(faults=faults), faults


def test_a_lost_reply_leaves_the_change_and_the_next_look_finds_it() -> None:
    nb, faults = faulty("reply_lost")
    with pytest.raises(OutcomeUnknown):
        commit(nb, switch())
    assert (names(nb), faults.fired["reply_lost"]) == (["s"], 1)
    assert nb.commit(decide(switch()), timeout_s=LIMIT_S).changes.is_empty
    assert nb.transactions == 1


def test_a_lost_request_leaves_nothing() -> None:
    nb, faults = faulty("request_lost")
    with pytest.raises(OutcomeUnknown):
        commit(nb, switch())
    assert (names(nb), faults.fired["request_lost"]) == ([], 1)
    assert commit(nb, switch()) == 1
    assert (names(nb), nb.transactions) == (["s"], 2)


def test_an_unreachable_database() -> None:
    faults = Faults(commits=["unavailable"], reads=[None, "unavailable"])
    nb = MemoryNb(faults=faults)
    with pytest.raises(BackendUnavailable):
        commit(nb, switch())
    assert names(nb) == []
    with pytest.raises(BackendUnavailable):
        nb.snapshot(timeout_s=0)
    assert (faults.fired["unavailable"], nb.transactions) == (2, 0)


def test_another_writer_who_is_faster() -> None:
    nb, faults = faulty("meddle", meddle=lambda transact: transact(theirs("s")))
    with pytest.raises(OwnershipError):
        commit(nb, switch())
    assert (names(nb), faults.fired["meddle"], nb.transactions) == (["s"], 1, 1)


def test_a_meddler_must_be_told_what_to_do() -> None:
    nb, _ = faulty("meddle")
    with pytest.raises(ValueError, match="Faults\\(meddle="):
        commit(nb, switch())


def test_another_writer_who_is_always_faster() -> None:
    def rename(transact: Transact) -> None:
        row = {"external_ids": ["map", [[OWNER_KEY, "me"], ["turn", str(faults.fired["meddle"])]]]}
        transact([{"op": "update", "table": "Logical_Switch", "where": [], "row": row}])

    always: list[Fault] = ["meddle"] * 1000
    nb, faults = faulty(None, *always, meddle=rename)
    commit(nb, switch())
    with pytest.raises(ConflictError, match="timed out"):
        nb.commit(decide(switch(subnet="x")), timeout_s=0.01)
    assert faults.fired["meddle"] >= 1
    assert nb.transactions == faults.fired["meddle"] + 1


def test_an_update_that_is_late_is_caught_by_the_guards() -> None:
    nb, faults = faulty(None, "delayed_update", delay=3)
    commit(nb, switch())
    gone: Sequence[dict[str, Any]] = [{"op": "delete", "table": "Logical_Switch", "where": []}]
    nb.transact(gone)
    assert commit(nb, switch(), port()) == 4  # three that saw the switch, one that did not
    assert (names(nb), faults.fired["delayed_update"]) == (["p", "s"], 3)


def test_a_late_read_still_shows_one_s_own_writes() -> None:
    faults = Faults(reads=["delayed_update", "delayed_update"])
    nb = MemoryNb(faults=faults)
    commit(nb, switch())
    assert names(nb) == ["s"]
    assert faults.fired["delayed_update"] == 0  # nobody else has written: nothing to be late
    nb.transact(theirs("x"))
    assert names(nb) == ["s"]
    assert names(nb) == ["s", "x"]
    assert faults.fired["delayed_update"] == 1


def storm(seed: int) -> tuple[Faults, dict[str, Any], int]:
    """Go on until everything is written, whatever goes wrong."""
    turn = iter(range(10_000))

    def meddle(transact: Transact) -> None:
        transact(theirs("x", f"{UUID[:-4]}{next(turn):04x}"))

    faults = Faults(seed=seed, rate=0.5, meddle=meddle)
    nb = MemoryNb(faults=faults)
    failures = 0
    for number in range(8):
        meddle(nb.transact)
        wanted = [*(switch(f"s{i}") for i in range(number + 1)), *(port(f"p{i}", f"s{i}") for i in range(number))]
        while True:
            try:
                if nb.commit(decide(*wanted, prune=True), timeout_s=LIMIT_S).changes.is_empty:
                    break
            except (OutcomeUnknown, BackendUnavailable):
                failures += 1
    return faults, nb.dump(), failures


@pytest.mark.parametrize("seed", range(10))
def test_a_storm_ends_with_every_row_once(seed: int) -> None:
    faults, document, failures = storm(seed)
    rows = [row["name"] for row in document["tables"]["Logical_Switch"].values() if row["name"] != "x"]
    assert sorted(rows) == [f"s{i}" for i in range(8)]
    assert sorted(row["name"] for row in document["tables"]["Logical_Switch_Port"].values()) == [
        f"p{i}" for i in range(7)
    ]
    assert failures
    assert faults.fired.total() >= failures


def test_a_seed_gives_the_same_storm_again() -> None:
    (one, first, _), (two, second, _) = storm(3), storm(3)
    assert (one.fired, first) == (two.fired, second)
    assert storm(4)[0].fired != one.fired


def test_storms_reach_every_fault() -> None:
    reached = {fault for seed in range(10) for fault in storm(seed)[0].fired}
    assert reached >= {"unavailable", "meddle", "request_lost", "reply_lost", "delayed_update"}
