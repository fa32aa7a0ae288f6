from __future__ import annotations

from collections.abc import Sequence

import pytest

from ovnk8s_topo.addresses import Address, Subnet, address_from_text, subnet_from_text
from ovnk8s_topo.ipam import (
    AddressPool,
    AddressTaken,
    NotInRange,
    PoolExhausted,
    Refused,
    RequestRefused,
    SubnetPools,
    SubnetsRefused,
    hybrid_overlay_addresses,
)


def ip(text: str) -> Address:
    return address_from_text(text)


def net(text: str) -> Subnet:
    return subnet_from_text(text)


def nets(*texts: str) -> list[Subnet]:
    return [subnet_from_text(text) for text in texts]


def drain(pool: AddressPool) -> list[str]:
    return [str(pool.next("pod")) for _ in range(pool.free)]


def texts(addresses: Sequence[Address]) -> list[str]:
    return [str(address) for address in addresses]


@pytest.mark.parametrize(
    ("subnet", "free", "first", "last"),
    [
        ("192.168.1.0/24", 254, "192.168.1.1", "192.168.1.254"),
        ("192.168.1.8/29", 6, "192.168.1.9", "192.168.1.14"),
        ("192.168.1.4/30", 2, "192.168.1.5", "192.168.1.6"),
        ("192.168.1.4/31", 0, "", ""),
        ("192.168.1.4/32", 0, "", ""),
        ("255.255.255.254/31", 0, "", ""),
        ("255.255.255.255/32", 0, "", ""),
        ("fd00::/112", 65535, "fd00::1", "fd00::ffff"),
        ("fd00::/64", 65535, "fd00::1", "fd00::ffff"),
        ("fd00::/120", 255, "fd00::1", "fd00::ff"),
        ("fd00::8/125", 7, "fd00::9", "fd00::f"),
        ("fd00::4/126", 3, "fd00::5", "fd00::7"),
        ("fd00::4/127", 1, "fd00::5", "fd00::5"),
        ("fd00::4/128", 0, "", ""),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 0, "", ""),
    ],
)
def test_hosts(subnet: str, free: int, first: str, last: str) -> None:
    pool = AddressPool(net(subnet))
    assert pool.free == free
    given = drain(pool)
    assert (given[0], given[-1]) == (first, last) if free else given == []
    with pytest.raises(PoolExhausted, match="subnet address pool exhausted"):
        pool.next("pod")


@pytest.mark.parametrize("subnet", ["0.0.0.0/0", "::/0", "10.0.0.0/8"])
def test_giant_subnets_cost_nothing(subnet: str) -> None:
    pool = AddressPool(net(subnet), excluded=[net(subnet)] if subnet[0] != ":" else nets("::/112"))
    assert pool.free == 0
    pool = AddressPool(net(subnet))
    assert pool.next("a").value == net(subnet).first + 1


def test_cursor_goes_round_before_a_released_address_comes_back() -> None:
    pool = AddressPool(net("10.1.1.0/29"))
    assert texts([pool.next("a"), pool.next("a")]) == ["10.1.1.1", "10.1.1.2"]
    pool.release(ip("10.1.1.1"), "a")
    pool.reserve(ip("10.1.1.4"), "b")
    assert drain(pool) == ["10.1.1.3", "10.1.1.5", "10.1.1.6", "10.1.1.1"]


@pytest.mark.parametrize(
    ("address", "error", "upstream", "detail"),
    [
        ("10.1.1.0", NotInRange, "not in range", "10.1.1.1-10.1.1.254 of 10.1.1.0/24"),
        ("10.1.1.255", NotInRange, "not in range", "10.1.1.1-10.1.1.254"),
        ("10.1.2.1", NotInRange, "not in range", "10.1.1.1-10.1.1.254"),
        ("fd00::1", NotInRange, "not in range", "10.1.1.1-10.1.1.254"),
        ("10.1.1.9", AddressTaken, "provided IP is already allocated", "excluded by 10.1.1.8/29"),
        ("10.1.1.1", AddressTaken, "provided IP is already allocated", "withheld"),
        ("10.1.1.77", AddressTaken, "provided IP is already allocated", "belongs to default/other"),
    ],
)
def test_refused_reservation_says_why(address: str, error: type[Refused], upstream: str, detail: str) -> None:
    pool = AddressPool(net("10.1.1.0/24"), excluded=nets("10.1.1.8/29"), withheld=[ip("10.1.1.1"), ip("fd00::1")])
    pool.reserve(ip("10.1.1.77"), "default/other")
    before = pool.free
    with pytest.raises(error) as refused:
        pool.reserve(ip(address), "default/me")
    assert refused.value.upstream == upstream
    assert detail in str(refused.value)
    assert pool.free == before


def test_clash_carries_the_owner() -> None:
    pool = AddressPool(net("10.1.1.0/24"))
    pool.reserve(ip("10.1.1.7"), "a")
    with pytest.raises(AddressTaken) as refused:
        pool.reserve(ip("10.1.1.7"), "a")
    assert refused.value.owner == "a"


def test_only_the_owner_releases() -> None:
    # ovn-kubernetes#6954: a retried clean-up freed an address that somebody else had got meanwhile.
    pool = AddressPool(net("10.1.1.0/24"))
    address = pool.next("a")
    for owner, what in (("b", address), ("a", ip("10.1.1.9")), ("a", ip("10.9.9.9")), ("a", ip("fd00::1"))):
        pool.release(what, owner)
    assert pool.owner_of(address) == "a"
    pool.release(address, "a")
    pool.release(address, "a")
    assert pool.owner_of(address) is None
    assert pool.free == 254


@pytest.mark.parametrize(
    ("subnet", "excluded", "given"),
    [
        ("10.1.1.0/29", ["10.1.1.0/30"], ["10.1.1.4", "10.1.1.5", "10.1.1.6"]),
        ("10.1.1.0/29", ["10.1.1.4/30"], ["10.1.1.1", "10.1.1.2", "10.1.1.3"]),
        ("10.1.1.0/29", ["10.1.1.0/32"], ["10.1.1.1", "10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.1.5", "10.1.1.6"]),
        ("10.1.1.0/29", ["10.1.1.7/32", "10.1.1.1/32"], ["10.1.1.2", "10.1.1.3", "10.1.1.4", "10.1.1.5", "10.1.1.6"]),
        ("10.1.1.0/29", ["10.1.1.6/31", "10.1.1.2/31"], ["10.1.1.1", "10.1.1.4", "10.1.1.5"]),
        ("10.1.1.0/29", ["10.1.1.0/29"], []),
        ("fd00::/125", ["fd00::/126"], ["fd00::4", "fd00::5", "fd00::6", "fd00::7"]),
        ("fd00::/125", ["fd00::4/126"], ["fd00::1", "fd00::2", "fd00::3"]),
    ],
)
def test_excludes(subnet: str, excluded: list[str], given: list[str]) -> None:
    pool = AddressPool(net(subnet), excluded=nets(*excluded))
    assert drain(pool) == given
    assert texts(pool.allocated()) == given


@pytest.mark.parametrize(
    ("excluded", "reserved", "upstream"),
    [
        (
            ["10.1.2.0/24"],
            [],
            "failed to exclude subnet 10.1.2.0/24 for blue: not contained in any of the subnets",
        ),
        (
            ["10.1.0.0/16"],
            [],
            "failed to exclude subnet 10.1.0.0/16 for blue: not contained in any of the subnets",
        ),
        (
            ["10.1.1.0/28", "10.1.1.0/30"],
            [],
            "failed to exclude subnet 10.1.1.0/30 for blue: failed to reserve IP 10.1.1.1: "
            "provided IP is already allocated",
        ),
        (
            ["10.1.1.40/32", "10.1.1.0/24"],
            [],
            "failed to exclude subnet 10.1.1.0/24 for blue: failed to reserve IP 10.1.1.40: "
            "provided IP is already allocated",
        ),
        (
            ["10.1.1.64/27"],
            ["10.1.1.64/26"],
            "failed to exclude subnet 10.1.1.64/27 for blue: failed to reserve IP 10.1.1.64: "
            "provided IP is already allocated",
        ),
        (
            ["fd00::/64"],
            [],
            "failed to exclude subnet fd00::/64 for blue: failed to reserve IP fd00::1:1: not in range",
        ),
        (
            ["fd00::2:0/112"],
            [],
            "failed to exclude subnet fd00::2:0/112 for blue: failed to reserve IP fd00::2:0: not in range",
        ),
    ],
)
def test_contradicting_excludes(excluded: list[str], reserved: list[str], upstream: str) -> None:
    with pytest.raises(SubnetsRefused) as refused:
        SubnetPools(nets("10.1.1.0/24", "fd00::/64"), excluded=nets(*excluded), reserved=nets(*reserved), name="blue")
    assert refused.value.upstream == upstream


def test_repeated_exclude_of_a_network_address_is_no_overlap() -> None:
    assert AddressPool(net("10.1.1.0/24"), excluded=nets("10.1.1.0/32", "10.1.1.0/32")).free == 254


def test_reserved_subnets_serve_requests_only() -> None:
    pool = AddressPool(net("10.1.1.0/28"), reserved=nets("10.1.1.8/29"), withheld=[ip("10.1.1.9")])
    assert drain(pool) == [f"10.1.1.{last}" for last in range(1, 8)]
    pool.reserve(ip("10.1.1.8"), "a")
    pool.release(ip("10.1.1.8"), "a")
    assert pool.free == 0
    with pytest.raises(AddressTaken, match="withheld"):
        pool.reserve(ip("10.1.1.9"), "a")
    with pytest.raises(NotInRange):
        pool.reserve(ip("10.1.1.15"), "a")


def test_many_excludes() -> None:
    excluded = [Subnet(4, (10 << 24) + index * 4, 31) for index in range(65_000)]
    pool = AddressPool(net("10.0.0.0/8"), excluded=excluded)
    given = [pool.next("a").value & 3 for _ in range(100_000)]
    assert set(given) == {2, 3}


def test_released_addresses_of_a_full_pool_come_again() -> None:
    pool = AddressPool(net("10.0.0.0/16"))
    drain(pool)
    for index in range(20_000):
        address = Address(4, (10 << 24) + 1 + index * 7919 % 65534)
        pool.release(address, "pod")
        assert pool.next("pod") == address


def test_several_subnets_are_all_or_nothing() -> None:
    pools = SubnetPools(nets("10.1.1.0/24", "10.1.2.0/30"))
    assert [texts(pools.next("a")) for _ in range(2)] == [["10.1.1.1", "10.1.2.1"], ["10.1.1.2", "10.1.2.2"]]
    before = pools.allocated()
    with pytest.raises(PoolExhausted, match=r"10\.1\.2\.0/30: 2 in use, 0 held back"):
        pools.next("b")
    with pytest.raises(AddressTaken):
        pools.reserve([ip("10.1.1.9"), ip("10.1.2.1")], "b")
    assert pools.allocated() == before
    pools.release([ip("10.1.1.1"), ip("10.1.2.1")], "a")
    assert texts(pools.next("b")) == ["10.1.1.3", "10.1.2.1"]


@pytest.mark.parametrize(
    ("addresses", "upstream"),
    [
        ([], "failed to allocate IPs for blue: no IPs provided"),
        (["10.9.0.1"], "failed to allocate IP 10.9.0.1 for blue: not contained in any known subnet"),
        (
            ["10.1.1.1", "10.1.1.2"],
            "failed to allocate IP 10.1.1.2 for blue: attempted to reserve multiple IPs in the same continuous IPAM "
            "instance",
        ),
        (
            ["10.1.1.17", "10.1.1.18"],
            "failed to allocate IP 10.1.1.18 for blue: attempted to reserve multiple IPs in the same static IPAM "
            "instance",
        ),
    ],
)
def test_refused_lists(addresses: list[str], upstream: str) -> None:
    pools = SubnetPools(nets("10.1.1.0/24", "fd00::/64"), reserved=nets("10.1.1.16/28"), name="blue")
    with pytest.raises(RequestRefused) as refused:
        pools.reserve([ip(text) for text in addresses], "a")
    assert refused.value.upstream == upstream
    assert pools.allocated() == ()


def test_no_subnets_no_addresses() -> None:
    with pytest.raises(RequestRefused, match="has no IPAM"):
        SubnetPools([]).next("a")


def test_overlapping_subnets_are_refused() -> None:
    with pytest.raises(SubnetsRefused, match=r"10\.1\.0\.0/16 and 10\.1\.1\.0/24 overlap"):
        SubnetPools(nets("10.1.1.0/24", "fd00::/64", "10.1.0.0/16"))


def test_update_keeps_owners_and_cursor_of_subnets_that_stay() -> None:
    # openshift/ovn-kubernetes#1132: describing a subnet again re-initialised its allocator.
    pools = SubnetPools(nets("10.1.1.0/24", "fd00::/64"))
    pools.next("a")
    pools.next("b")
    pools.release([ip("10.1.1.1")], "a")
    changed = pools.updated(nets("10.1.2.0/24", "10.1.1.0/24"), excluded=nets("10.1.1.2/31"))
    assert changed.owner_of(ip("10.1.1.2")) == "b"
    assert texts(changed.next("c")) == ["10.1.2.1", "10.1.1.4"]
    changed.release([ip("10.1.1.2")], "b")
    with pytest.raises(AddressTaken, match=r"excluded by 10\.1\.1\.2/31"):
        changed.reserve([ip("10.1.1.2")], "b")


@pytest.mark.parametrize(
    ("annotated", "taken", "given"),
    [
        ([], [], ["10.1.1.3", "2000::3"]),
        ([], ["10.1.1.3"], ["10.1.1.1", "2000::1"]),
        (["10.1.1.53"], [], ["10.1.1.53"]),
        (["10.1.1.53"], ["10.1.1.53"], ["10.1.1.53"]),
    ],
)
def test_hybrid_overlay(annotated: list[str], taken: list[str], given: list[str]) -> None:
    pools = SubnetPools(nets("10.1.1.0/24", "2000::/64"))
    for text in taken:
        pools.reserve([ip(text)], "pod")
    assert texts(hybrid_overlay_addresses(pools, [ip(text) for text in annotated], "hybrid-overlay")) == given
