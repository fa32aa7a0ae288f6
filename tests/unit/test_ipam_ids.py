from __future__ import annotations

import pytest

from ovnk8s_topo.ipam import IdPool, IdRefused, TunnelKeys, transit_switch_key


def test_round_robin_and_wrap() -> None:
    pool = IdPool(1, 3)
    assert pool.allocate("a") == (1,)
    assert pool.release("a") == (1,)
    assert [pool.allocate(name) for name in ("b", "c", "d")] == [(2,), (3,), (1,)]
    with pytest.raises(IdRefused, match=r"failed to allocate the id for the resource e: 1 more wanted, 0 of 1-3 left"):
        pool.allocate("e")
    assert pool.allocate("b") == (2,)
    assert pool.free == 0


@pytest.mark.parametrize(
    ("owner", "ids", "text"),
    [
        ("b", [2], "id 2 is already reserved by another resource: it belongs to a"),
        ("b", [4, 2], "id 2 is already reserved"),
        ("b", [4, 4], "id 4 is already reserved"),
        ("b", [9], "it is not one of 1-5"),
        ("a", [3, 2], r"can't reserve ids \[3, 2\] for the resource a. .* different ids \[2, 3\]"),
        ("a", [2], "can't reserve ids"),
    ],
)
def test_refused_reservations_change_nothing(owner: str, ids: list[int], text: str) -> None:
    pool = IdPool(1, 5)
    pool.reserve("a", [2, 3])
    pool.reserve("a", [2, 3])
    with pytest.raises(IdRefused, match=text):
        pool.reserve(owner, ids)
    assert (pool.free, pool.ids_of("b"), pool.owner_of(4)) == (3, (), None)


def test_empty_reservations_and_releases_are_fine() -> None:
    pool = IdPool(1, 0)
    pool.reserve("a", [])
    assert pool.release("a") == ()
    assert pool.allocate("a", 0) == ()


def test_derived_key_of_another_network_is_not_given() -> None:
    keys = TunnelKeys()
    keys.reserve("old", [16711684])
    with pytest.raises(IdRefused, match="belongs to old"):
        keys.allocate_for("new", 1, 1)
    assert keys.release("old") == (16711684,)
    assert keys.allocate_for("new", 1, 2) == (16711684, 16715779)


def test_too_many_tunnel_keys_take_nothing() -> None:
    keys = TunnelKeys()
    with pytest.raises(IdRefused):
        keys.allocate_for("net", 1, 61439)
    assert keys.owner_of(16711684) is None
    assert len(keys.allocate_for("net", 1, 61438)) == 61438


def test_transit_switch_key_ends_at_4096() -> None:
    assert (transit_switch_key(0), transit_switch_key(4095), transit_switch_key(4096)) == (16711683, 16715778, None)
