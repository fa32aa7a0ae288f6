"""What is done for many at once is what would be done one by one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.addresses import Address, Subnet, subnet_from_text
from ovnk8s_topo.backends.operations import texts_of
from ovnk8s_topo.backends.ops import operations
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.changes import ChangeSet, Insert
from ovnk8s_topo.errors import Problem, RowError
from ovnk8s_topo.ipam import AddressPool, PoolExhausted, SubnetPools
from ovnk8s_topo.ipam.numbers import FreeNumbers
from ovnk8s_topo.nb.check import check_rows, check_value
from ovnk8s_topo.nb.ownership import uuid_of
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.nb.tables import TABLES, Key, LogicalSwitch, LogicalSwitchPort

NUMBERS = st.lists(st.integers(0, 60), max_size=40)
POOL = subnet_from_text("10.0.0.0/27")


def free_after(taken: list[int]) -> FreeNumbers:
    free = FreeNumbers([(3, 20), (22, 22), (25, 50)])
    for number in taken:
        free.remove(number, number)
    return free


def all_of(free: FreeNumbers) -> list[int]:
    return [number for number in range(-1, 70) if number in free]


@given(NUMBERS, NUMBERS)
def test_numbers_taken_at_once(before: list[int], taken: list[int]) -> None:
    free = free_after(before)
    free.remove_all(taken)
    assert all_of(free) == all_of(free_after(before + taken))
    assert free.count == len(all_of(free))


@given(NUMBERS, st.integers(0, 60), st.integers(0, 60))
def test_numbers_given_at_once(before: list[int], start: int, count: int) -> None:
    at_once, one_by_one = free_after(before), free_after(before)
    given_singly = [found for _ in range(count) if (found := one_by_one.pop(start)) is not None]
    assert at_once.pop_many(start, count) == given_singly
    assert all_of(at_once) == all_of(one_by_one)
    assert at_once.count == one_by_one.count


def used_pool(held: list[int], given_before: int) -> AddressPool:
    pool = AddressPool(POOL, excluded=[Subnet(4, POOL.first + 8, 30)])
    pool.keep_all({Address(4, POOL.first + number): f"holder-{number}" for number in held})
    for number in range(given_before):
        if pool.free:
            pool.next(f"early-{number}")
    for number in held[::2]:
        pool.release(Address(4, POOL.first + number), f"holder-{number}")
    return pool


@given(NUMBERS, st.integers(0, 30), st.integers(0, 40))
def test_addresses_given_at_once(held: list[int], given_before: int, count: int) -> None:
    owners = [f"owner-{number}" for number in range(count)]
    at_once, one_by_one = (used_pool(held, given_before) for _ in range(2))
    expected = []
    for owner in owners:
        try:
            expected.append(one_by_one.next(owner))
        except PoolExhausted:
            break
    assert at_once.next_for(owners) == expected
    assert [at_once.owner_of(address) for address in at_once.allocated()] == [
        one_by_one.owner_of(address) for address in one_by_one.allocated()
    ]
    if at_once.free:
        assert at_once.next("last") == one_by_one.next("last")


@given(NUMBERS)
def test_addresses_kept_at_once(held: list[int]) -> None:
    holders = {Address(4, POOL.first - 5 + number): f"holder-{number}" for number in held}
    at_once, one_by_one = AddressPool(POOL), AddressPool(POOL)
    at_once.keep_all(holders)
    for address, holder in holders.items():
        one_by_one.keep(address, holder)
    assert at_once.allocated() == one_by_one.allocated()
    assert at_once.free == one_by_one.free


@given(st.integers(0, 20), st.integers(0, 40))
def test_several_subnets_at_once(held: int, count: int) -> None:
    subnets = [POOL, subnet_from_text("10.1.0.0/28"), subnet_from_text("fd00::/64")]
    owners = [f"owner-{number}" for number in range(count)]
    at_once, one_by_one = SubnetPools(subnets), SubnetPools(subnets)
    for pools in (at_once, one_by_one):
        pools.keep_all({subnets[1].address(number): "holder" for number in range(1, min(held, 14))})
    expected = [one_by_one.next(owner) for owner in owners[: min(pool.free for pool in one_by_one.pools)]]
    assert at_once.next_for(owners) == expected


TEXTS = st.text(max_size=8) | st.sampled_from(["", "a\0b", "\ud800", "ü"])
MAPS = st.dictionaries(TEXTS, TEXTS, max_size=3)
SETS = st.frozensets(TEXTS, max_size=3)


@given(MAPS, SETS, TEXTS, st.one_of(st.none(), st.integers(-2, 5000)))
def test_a_glance_finds_the_same_faults(ids: dict[str, str], addresses: frozenset[str], kind: str, tag: int) -> None:
    row = LogicalSwitchPort(
        name="p", parent="s", type=kind, addresses=addresses, external_ids=ids, tag_request=tag, tag=tag
    )
    faults = [
        (f"Logical_Switch_Port.{column.name}", why) for column, v in row.values() for why in check_value(column, v)
    ]
    assert [(problem.path, problem.why) for problem in check_rows([row])] == faults


EASY = st.sampled_from(["", "a", "b"])
LOOSE_SETS: st.SearchStrategy[Any] = st.frozensets(EASY) | SETS | st.sets(EASY) | st.frozensets(st.integers(0, 3))
LOOSE_MAPS: st.SearchStrategy[Any] = st.dictionaries(EASY, EASY) | MAPS | st.dictionaries(EASY, st.integers(0, 3))
LACKING = ["", "tag_request", "options", "type"]


@given(
    LOOSE_MAPS,
    LOOSE_SETS,
    EASY | TEXTS | st.integers(0, 3),
    st.none() | st.integers(-2, 5000),
    st.sampled_from(LACKING),
)
def test_text_is_refused_for_what_values_are_and_says_what_they_say(
    ids: Any, addresses: Any, kind: Any, tag: int | None, lacks: str
) -> None:
    """What is sent is text, made and checked in one go; what everybody else sees are values, checked before."""
    row = LogicalSwitchPort(
        name="p", parent="s", type=kind, addresses=addresses, options=ids, external_ids=ids, tag_request=tag
    )
    changes = ChangeSet((Insert("9" * 8, LogicalSwitch(name="s")), Insert("8" * 8, row, ("9" * 8,))))
    full = Schema.full()
    ports = full.tables["Logical_Switch_Port"] - {lacks}
    schema = Schema({**full.tables, "Logical_Switch_Port": ports}, "7.0.0")
    made = operations(changes, Snapshot.of([]), schema)
    as_text = outcome(lambda: json.loads(f"[{','.join(texts_of(made))}]"))
    assert as_text == outcome(lambda: list(operations(changes, Snapshot.of([]), schema)))


def outcome(make: Callable[[], list[Any]]) -> list[Any] | tuple[Problem, ...]:
    """Return operations, or why there are none."""
    try:
        return make()
    except RowError as refused:
        return refused.problems


@given(st.sampled_from(sorted(TABLES)), st.text(st.characters(exclude_categories=["Cs"])))
def test_uuids_are_those_of_the_standard_library(table: str, name: str) -> None:
    scope = "" if TABLES[table].mark == "shared" else "owner"
    namespace = uuid.UUID("6f7666b8-7473-5f74-906f-6f766e6b3873")
    assert uuid_of("owner", Key(table, name)) == str(uuid.uuid5(namespace, "\0".join((scope, table, name))))
