from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pytest

from ovnk8s_topo.addresses import Subnet, subnet_from_text
from ovnk8s_topo.ipam import (
    SliceAllocator,
    SliceRange,
    SlicesExhausted,
    SliceTaken,
    SubnetsRefused,
    allocate_node_subnets,
    assign_slices,
    needs_allocation,
)


def net(text: str) -> Subnet:
    return subnet_from_text(text)


def nets(*texts: str) -> tuple[Subnet, ...]:
    return tuple(subnet_from_text(text) for text in texts)


def ranges(*texts: str) -> list[tuple[Subnet, int]]:
    parts = [text.rpartition("/") for text in texts]
    return [(net(cidr), int(host_len)) for cidr, _, host_len in parts]


def strings(subnets: Sequence[Subnet]) -> list[str]:
    return [str(subnet) for subnet in subnets]


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [
        ("10.1.0.0/16/24", ["10.1.0.0/24", "10.1.1.0/24"], 256),
        ("10.1.0.0/16/26", ["10.1.0.0/26", "10.1.1.0/26"], 1024),
        ("10.1.0.0/16/30", ["10.1.0.0/30", "10.1.1.0/30"], 1 << 14),
        ("10.1.2.0/24/28", ["10.1.2.0/28", "10.1.2.16/28"], 16),
        ("10.1.2.0/23/28", ["10.1.2.0/28", "10.1.3.0/28", "10.1.2.16/28"], 32),
        ("10.0.0.0/8/20", ["10.0.0.0/20", "10.1.0.0/20", "10.2.0.0/20"], 4096),
        (
            "10.128.0.0/14/23",
            ["10.128.0.0/23", "10.129.0.0/23", "10.130.0.0/23", "10.131.0.0/23", "10.128.2.0/23"],
            512,
        ),
        ("10.128.0.0/14/16", ["10.128.0.0/16", "10.129.0.0/16"], 4),
        ("10.1.0.0/16/16", ["10.1.0.0/16"], 1),
        ("0.0.0.0/0/31", ["0.0.0.0/31", "0.0.1.0/31"], 1 << 31),
        ("fd01::/48/64", ["fd01:0:0:1::/64", "fd01:0:0:2::/64"], 65536),
        ("fd01::/49/64", ["fd01::/64", "fd01:0:0:1::/64"], 32768),
        ("fd01::/47/64", ["fd01:0:0:1::/64"], 131072),
        ("2001:db2::/56/64", ["2001:db2::/64", "2001:db2:0:1::/64"], 256),
        ("fd01::/48/70", ["fd01:0:0:0:400::/70"], 1 << 22),
        ("::/0/127", ["::2/127"], 1 << 127),
        ("2000::/127/127", ["2000::/127"], 1),
    ],
)
def test_numbering(text: str, first: list[str], count: int) -> None:
    allocator = SliceAllocator(ranges(text))
    version = allocator.versions[0]
    assert allocator.count(version) == count
    assert strings(list(islice(allocator.slices(version), len(first)))) == [str(net(item)) for item in first]
    assert strings([allocator.allocate("n")[0] for _ in first]) == [str(net(item)) for item in first]


@pytest.mark.parametrize("prefix_len", range(12, 31))
@pytest.mark.parametrize("bits", [1, 2, 3, 7, 8, 9, 10])
def test_numbers_and_slices_are_one_to_one(prefix_len: int, bits: int) -> None:
    if prefix_len + bits >= 32:
        return
    subnet = Subnet(4, 0x0A01F3A7 >> (32 - prefix_len) << (32 - prefix_len), prefix_len)
    cut = SliceRange(subnet, prefix_len + bits)
    found = {cut.slice(number) for number in range(cut.numbers)}
    assert len(found) == 1 << bits
    assert all(one in subnet for one in found)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [("10.1.0.0/16/26", range(14, 33)), ("10.0.0.0/12/21", range(10, 33)), ("10.1.0.0/20/28", range(18, 33))],
)
def test_runs_are_exactly_the_overlapping_slices(text: str, lengths: range) -> None:
    cut = SliceRange(*ranges(text)[0])
    for length in lengths:
        first = (cut.subnet.first + 0x5A5) >> (32 - length) << (32 - length)
        blocked = Subnet(4, first, length)
        numbers = [number for low, high in cut.runs(blocked) for number in range(low, high + 1)]
        assert len(numbers) == len(set(numbers))
        assert set(numbers) == {number for number in range(cut.numbers) if cut.slice(number).overlaps(blocked)}


def test_runs_outside_the_range_or_beyond_the_cap_are_none() -> None:
    assert list(SliceRange(*ranges("10.1.0.0/16/24")[0]).runs(net("10.2.0.0/24"))) == []
    assert list(SliceRange(*ranges("fd00::/8/64")[0]).runs(net("fdff::/16"))) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fd01::/64/62", "subnet capacity cannot be larger than number of networks available"),
        ("10.1.0.0/16/8", "subnet capacity cannot be larger than number of networks available"),
        ("fd01::/64/128", "host capacity cannot be zero"),
        ("10.1.0.0/16/32", "host capacity cannot be zero"),
    ],
)
def test_invalid_ranges(text: str, why: str) -> None:
    with pytest.raises(SubnetsRefused) as refused:
        SliceAllocator(ranges(text))
    assert refused.value.upstream == why


def test_no_slice_is_given_twice_until_none_is_left() -> None:
    allocator = SliceAllocator(ranges("10.1.0.0/20/26", "10.2.0.0/24/27"))
    given = [allocator.allocate(f"n{index}")[0] for index in range(64 + 8)]
    assert len(set(given)) == 72
    with pytest.raises(SlicesExhausted, match=r"10\.1\.0\.0/20/26, 10\.2\.0\.0/24/27 \(72 node subnets, 72 in use\)"):
        allocator.allocate("late")


def test_ten_thousand_nodes_come_and_go() -> None:
    # ovn-kubernetes#5798, #2532: node subnets leaked until the cluster CIDR was empty.
    allocator = SliceAllocator(ranges("10.1.0.0/16/26", "fd01::/48/64"))
    for index in range(10_000):
        allocator.release("n", *allocator.allocate("n"))
        assert allocator.used(4) == allocator.used(6) == 0, index
    assert len({allocator.allocate(f"n{index}")[0] for index in range(1024)}) == 1024


def test_ten_thousand_nodes_at_once() -> None:
    # kubernetes/kubernetes#29058: 27 of 800 nodes had another node's range.
    outcome = assign_slices(ranges("10.0.0.0/8/24"), {}, [f"n{index}" for index in range(10_000)])
    assert len({subnet for subnets in outcome.given.values() for subnet in subnets}) == 10_000


def test_a_range_added_twice_keeps_its_state() -> None:
    allocator = SliceAllocator(ranges("10.1.0.0/16/24"))
    allocator.allocate("a")
    allocator.add_range(net("10.1.0.0/16"), 24)
    assert allocator.count(4) == 256
    assert strings(allocator.allocate("b")) == ["10.1.1.0/24"]


def test_a_range_added_over_subnets_in_use_does_not_give_them() -> None:
    allocator = SliceAllocator(ranges("10.1.0.0/24/24"))
    allocator.allocate("a")
    allocator.add_range(net("10.1.0.0/22"), 23)
    assert strings(allocator.allocate("b")) == ["10.1.2.0/23"]
    with pytest.raises(SlicesExhausted):
        allocator.allocate("c")


@pytest.mark.parametrize(
    ("blocked", "given"),
    [
        ("10.1.0.0/25", "10.1.1.0/24"),
        ("10.1.0.0/22", "10.1.4.0/24"),
        ("10.1.0.77/32", "10.1.1.0/24"),
        ("10.0.0.0/15", None),
        ("10.1.0.0/16", None),
        ("10.2.0.0/16", "10.1.0.0/24"),
    ],
)
def test_overlap_blocks_whatever_the_mask(blocked: str, given: str | None) -> None:
    outcome = assign_slices(ranges("10.1.0.0/16/24"), {"other": nets(blocked)}, ["n"])
    assert [str(subnet) for subnet in outcome.given.get("n", ())] == ([given] if given else [])


def test_marking_over_another_owner_names_it() -> None:
    allocator = SliceAllocator(ranges("10.1.0.0/16/24"))
    allocator.mark("a", net("10.1.4.0/24"))
    allocator.mark("a", net("10.1.4.0/25"))
    for text in ("10.1.4.0/24", "10.1.4.128/25", "10.1.4.0/22"):
        with pytest.raises(SliceTaken) as refused:
            allocator.mark("b", net("10.1.9.0/24"), net(text))
        assert refused.value.owner == "a"
    assert allocator.owner_of(net("10.1.9.0/24")) is None
    with pytest.raises(SliceTaken, match=r"network 10\.1\.4\.0/24 already owned by a"):
        allocator.release("b", net("10.1.4.0/24"))


def test_release_of_an_outer_subnet_leaves_the_inner_one_blocked() -> None:
    allocator = SliceAllocator(ranges("10.1.0.0/22/24"))
    allocator.mark("a", *nets("10.1.0.0/22", "10.1.1.0/25"))
    allocator.release("a", net("10.1.0.0/22"))
    allocator.release("a", net("10.1.0.0/22"))
    assert [strings(allocator.allocate("b")) for _ in range(3)] == [["10.1.0.0/24"], ["10.1.2.0/24"], ["10.1.3.0/24"]]
    assert [(str(subnet), owner) for subnet, owner in allocator.owned()][1] == ("10.1.1.0/25", "a")


def test_release_of_half_a_slice_leaves_it_blocked_by_the_other_half() -> None:
    allocator = SliceAllocator(ranges("10.1.0.0/23/24"))
    allocator.mark("a", net("10.1.0.0/25"))
    allocator.mark("b", net("10.1.0.128/25"))
    allocator.release("a", net("10.1.0.0/25"))
    assert strings(allocator.allocate("c")) == ["10.1.1.0/24"]
    with pytest.raises(SlicesExhausted):
        allocator.allocate("d")


def test_release_outside_every_range_is_refused() -> None:
    with pytest.raises(SubnetsRefused, match="does not belong to any known range"):
        SliceAllocator(ranges("10.1.0.0/22/24")).release("a", net("10.2.0.0/24"))


# --- the pure function -----------------------------------------------------------------------------------------------

DUAL = ("10.1.0.0/22/24", "fd01::/48/64")


@pytest.mark.parametrize(
    ("claim", "given"),
    [
        ([], ["10.1.0.0/24", "fd01:0:0:1::/64"]),
        (["10.1.2.0/24"], ["10.1.2.0/24", "fd01:0:0:1::/64"]),
        (["fd01:0:0:9::/64"], ["fd01:0:0:9::/64", "10.1.0.0/24"]),
        (["fd01:0:0:9::/64", "10.1.2.0/24"], ["fd01:0:0:9::/64", "10.1.2.0/24"]),
        (["10.1.2.0/24", "10.1.3.0/24", "fd01:0:0:9::/64"], ["10.1.2.0/24", "fd01:0:0:9::/64"]),
        (["10.9.0.0/24", "10.1.3.0/24"], ["10.1.3.0/24", "fd01:0:0:1::/64"]),
        (["10.9.0.0/24"], ["10.1.0.0/24", "fd01:0:0:1::/64"]),
    ],
)
def test_a_node_keeps_what_fits(claim: list[str], given: list[str]) -> None:
    outcome = assign_slices(ranges(*DUAL), {"n": nets(*claim)}, ["n"])
    assert strings(outcome.given["n"]) == given
    assert outcome.problems == {}


def test_a_family_that_is_gone_is_dropped() -> None:
    outcome = assign_slices(ranges("fd01::/48/64"), {"n": nets("10.1.2.0/24", "fd01:0:0:9::/64")}, ["n"])
    assert strings(outcome.given["n"]) == ["fd01:0:0:9::/64"]


def test_a_node_that_cannot_have_every_family_gets_none_and_uses_nothing_up() -> None:
    claims = {"a": nets("fd01::/64"), "b": nets("10.1.3.0/24")}
    outcome = assign_slices(ranges("10.1.0.0/22/24", "fd01::/64/64"), claims, ["c", "b", "a"])
    assert {node: strings(subnets) for node, subnets in outcome.given.items()} == {"a": ["fd01::/64", "10.1.0.0/24"]}
    assert outcome.problems == {
        node: f"error allocating network for node {node}: no subnets available: fd01::/64/64 (1 node subnets, 1 in use)"
        for node in ("c", "b")
    }


def test_nodes_that_claim_overlapping_subnets_are_all_reported_and_stay() -> None:
    claims = {
        "a": nets("10.1.0.0/24"),
        "b": nets("10.1.0.0/24"),
        "c": nets("10.1.1.128/25"),
        "gone": nets("10.1.1.0/24"),
        "d": nets("10.1.2.0/24"),
    }
    outcome = assign_slices(ranges("10.1.0.0/22/24"), claims, ["new", "d", "c", "b", "a"])
    assert {node: strings(subnets) for node, subnets in outcome.given.items()} == {
        "new": ["10.1.3.0/24"],
        "d": ["10.1.2.0/24"],
    }
    assert outcome.problems == {
        "a": "network 10.1.0.0/24 already owned by b",
        "b": "network 10.1.0.0/24 already owned by a",
        "c": "network 10.1.1.128/25 overlaps 10.1.1.0/24, already owned by gone",
    }


def test_what_a_refused_node_has_besides_stays_with_it_too() -> None:
    """`b` asks for what `a` has, and stays where it was: so does `c`, that asks for that, and nobody else gets it."""
    claims = {
        "a": nets("10.1.0.0/24"),
        "b": nets("10.1.0.0/24", "10.1.1.0/24"),
        "c": nets("10.1.1.0/24", "10.1.2.0/24"),
    }
    outcome = assign_slices(ranges("10.1.0.0/22/24"), claims, ["new", "c", "b", "a"])
    assert {node: strings(subnets) for node, subnets in outcome.given.items()} == {"new": ["10.1.3.0/24"]}
    assert outcome.problems == {
        "a": "network 10.1.0.0/24 already owned by b",
        "b": "network 10.1.0.0/24 already owned by a",
        "c": "network 10.1.1.0/24 already owned by b",
    }


def test_without_ranges_no_node_gets_a_subnet() -> None:
    outcome = assign_slices([], {}, ["n"])
    assert outcome.problems == {
        "n": "error allocating networks for node n: 1 subnets expected only new 0 subnets allocated"
    }


def test_order_of_wanted_and_independence_of_claim_order() -> None:
    claims = {f"n{index}": nets(f"10.1.{index * 7 % 50}.0/24") for index in range(50)}
    wanted = ["z", "y", *sorted(claims, reverse=True)[:30]]
    outcome = assign_slices(ranges("10.1.0.0/16/24"), claims, wanted)
    assert strings(outcome.given["z"] + outcome.given["y"]) == ["10.1.50.0/24", "10.1.51.0/24"]
    assert assign_slices(ranges("10.1.0.0/16/24"), dict(reversed(claims.items())), wanted) == outcome


@pytest.mark.parametrize(
    ("cluster", "existing", "needs"),
    [
        (["10.244.0.0/16/24"], [], True),
        (["10.244.0.0/16/24"], ["10.244.2.0/24"], False),
        (["10.244.0.0/16/24", "10.245.0.0/16/24"], ["10.244.2.0/24"], False),
        (["10.244.0.0/16/24"], ["10.244.2.0/24", "fd00:10:244:2::/64"], True),
        (["10.244.0.0/16/24"], ["fd00:10:244:2::/64"], True),
        (["10.244.0.0/16/24", "fd00:10:244::/48/64"], ["10.244.2.0/24"], True),
        (["10.244.0.0/16/24", "fd00:10:244::/48/64"], ["fd00:10:244:2::/64", "10.244.2.0/24"], False),
    ],
)
def test_needs_allocation(cluster: list[str], existing: list[str], needs: bool) -> None:
    assert needs_allocation(ranges(*cluster), nets(*existing)) == needs


def test_a_running_allocator_takes_the_second_subnet_when_the_first_is_owned_by_another() -> None:
    allocator = SliceAllocator(ranges("10.1.0.0/22/24"))
    allocator.mark("other", net("10.1.0.0/24"))
    outcome = allocate_node_subnets(allocator, "n", nets("10.1.0.0/24", "10.1.2.0/24", "10.1.2.0/24"), [4])
    assert (strings(outcome.subnets), outcome.new) == (["10.1.2.0/24"], ())
    assert allocator.owner_of(net("10.1.0.0/24")) == "other"
