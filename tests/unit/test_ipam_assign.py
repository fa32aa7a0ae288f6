from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest

from ovnk8s_topo.addresses import Address, address_from_text, subnet_from_text
from ovnk8s_topo.ipam import SubnetsRefused, assign, gateway_of, management_of, withheld_on_node

DUAL = ("10.1.1.0/29", "fd00::/64")


def ips(*texts: str) -> tuple[Address, ...]:
    return tuple(address_from_text(text) for text in texts)


def run(
    subnets: Sequence[str],
    claims: Mapping[str, tuple[str, ...]],
    wanted: Sequence[str],
    excluded: Sequence[str] = (),
    withheld: Sequence[str] = (),
    reserved: Sequence[str] = (),
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    outcome = assign(
        [subnet_from_text(text) for text in subnets],
        [subnet_from_text(text) for text in excluded],
        ips(*withheld),
        {owner: ips(*texts) for owner, texts in claims.items()},
        wanted,
        reserved=[subnet_from_text(text) for text in reserved],
    )
    given = {owner: tuple(str(address) for address in addresses) for owner, addresses in outcome.given.items()}
    return given, dict(outcome.problems)


def test_new_owners_get_the_lowest_free_in_the_order_of_wanted() -> None:
    given, problems = run(DUAL, {"x": ("10.1.1.2", "fd00::2")}, ["b", "a", "b"])
    assert given == {"b": ("10.1.1.1", "fd00::1"), "a": ("10.1.1.3", "fd00::3")}
    assert problems == {}


def test_a_claim_is_kept_in_its_own_order() -> None:
    given, _ = run(DUAL, {"a": ("fd00::9", "10.1.1.5")}, ["a"])
    assert given == {"a": ("fd00::9", "10.1.1.5")}


@pytest.mark.parametrize(
    ("claim", "a", "b"),
    [
        (("10.1.1.3",), ("10.1.1.3", "fd00::1"), ("10.1.1.2", "fd00::2")),
        (("fd00::2",), ("fd00::2", "10.1.1.2"), ("10.1.1.3", "fd00::1")),
        (("10.1.1.3", "10.1.1.2"), ("10.1.1.3", "fd00::1"), ("10.1.1.2", "fd00::2")),
        (("10.1.1.2", "fd00::2", "fd00::3"), ("10.1.1.2", "fd00::2"), ("10.1.1.3", "fd00::1")),
        (("10.1.1.2", "10.1.1.2", "fd00::2"), ("10.1.1.2", "fd00::2"), ("10.1.1.3", "fd00::1")),
        (("10.9.9.9", "fd00::2"), ("fd00::2", "10.1.1.2"), ("10.1.1.3", "fd00::1")),
        (("10.1.1.0", "fd00::2"), ("fd00::2", "10.1.1.2"), ("10.1.1.3", "fd00::1")),
        (("10.1.1.7", "fd00::2"), ("fd00::2", "10.1.1.2"), ("10.1.1.3", "fd00::1")),
        (("10.1.1.4", "fd00::2"), ("fd00::2", "10.1.1.2"), ("10.1.1.3", "fd00::1")),
        (("10.1.1.6", "fd00::2"), ("fd00::2", "10.1.1.2"), ("10.1.1.3", "fd00::1")),
        ((), ("10.1.1.2", "fd00::1"), ("10.1.1.3", "fd00::2")),
    ],
)
def test_what_fits_of_a_claim_is_kept_and_the_rest_is_free(
    claim: tuple[str, ...], a: tuple[str, ...], b: tuple[str, ...]
) -> None:
    given, problems = run(
        DUAL, {"a": claim}, ["a", "b"], excluded=["10.1.1.4/31"], withheld=["10.1.1.6"], reserved=["10.1.1.1/32"]
    )
    assert given == {"a": a, "b": b}
    assert problems == {}


def test_a_second_subnet_moves_nobody() -> None:
    given, _ = run(DUAL[:1], {}, ["a", "b"])
    claims = {owner: tuple(str(address) for address in addresses) for owner, addresses in given.items()}
    again, _ = run(DUAL, claims, ["0-newcomer", "a", "b"])
    assert all(again[owner][:1] == given[owner] for owner in given)


def test_a_claim_on_a_reserved_subnet_is_kept() -> None:
    given, _ = run(["10.1.1.0/29"], {"a": ("10.1.1.1",)}, ["a", "b"], reserved=["10.1.1.0/30"])
    assert given == {"a": ("10.1.1.1",), "b": ("10.1.1.4",)}


def test_claims_of_others_block_even_where_they_do_not_fit() -> None:
    given, _ = run(DUAL, {"x": ("10.1.1.1", "10.9.9.9", "10.1.1.0"), "y": ("10.1.1.2",)}, ["a"])
    assert given == {"a": ("10.1.1.3", "fd00::1")}


def test_two_owners_of_one_address_are_both_reported_and_neither_moves() -> None:
    # ovn-kubernetes#5411: the error was swallowed and two pods ran with one address.
    claims = {
        "a": ("10.1.1.1",),
        "b": ("10.1.1.1",),
        "c": ("10.1.1.2",),
        "gone": ("10.1.1.2", "10.1.1.2"),
        "d": ("10.1.1.3",),
    }
    given, problems = run(["10.1.1.0/29"], claims, ["new", "d", "c", "b", "a"])
    assert given == {"new": ("10.1.1.4",), "d": ("10.1.1.3",)}
    assert problems == {
        "a": "provided IP is already allocated: 10.1.1.1 is claimed by b too",
        "b": "provided IP is already allocated: 10.1.1.1 is claimed by a too",
        "c": "provided IP is already allocated: 10.1.1.2 is claimed by gone too",
    }


def test_a_crowd_on_one_address_is_named_briefly() -> None:
    claims = {f"p{index:02}": ("10.1.1.1",) for index in range(20)}
    _, problems = run(["10.1.1.0/29"], claims, sorted(claims))
    assert problems["p01"].endswith("claimed by p00, p02, p03 and 16 more too")
    assert problems["p19"].endswith("claimed by p00, p01, p02 and 16 more too")


def test_exhaustion_names_the_subnet_and_how_full_it_is() -> None:
    given, problems = run(
        ["10.1.0.0/16", "10.2.2.0/29"], {}, ["a", "b", "c", "d"], excluded=["10.2.2.4/31"], withheld=["10.2.2.1"]
    )
    assert given == {"a": ("10.1.0.1", "10.2.2.2"), "b": ("10.1.0.2", "10.2.2.3"), "c": ("10.1.0.3", "10.2.2.6")}
    assert problems == {"d": "subnet address pool exhausted: 10.2.2.0/29: 3 in use, 3 held back"}


def test_without_subnets_everybody_gets_nothing() -> None:
    assert run([], {"a": ("10.1.1.1",)}, ["a", "b"]) == ({"a": (), "b": ()}, {})


def test_contradicting_excludes_are_an_error_of_the_network() -> None:
    with pytest.raises(SubnetsRefused, match="failed to exclude subnet"):
        run(["10.1.1.0/29"], {}, [], excluded=["10.1.2.0/24"])


def test_the_order_of_claims_does_not_matter() -> None:
    claims = {f"p{index}": (f"10.1.0.{index % 40 + 1}", f"fd00::{index + 1:x}") for index in range(60)}
    wanted = [f"p{index}" for index in range(20, 100)]
    expected = run(["10.1.0.0/24", "fd00::/64"], claims, wanted)
    shuffle = random.Random(1)
    for _ in range(5):
        items = list(claims.items())
        shuffle.shuffle(items)
        assert run(["10.1.0.0/24", "fd00::/64"], dict(items), wanted) == expected


def test_assigning_again_from_the_outcome_changes_nothing() -> None:
    wanted = [f"p{index}" for index in range(2000)]
    subnets = [subnet_from_text(text) for text in ("10.1.0.0/16", "fd00::/64")]
    once = assign(subnets, [], [], {}, wanted)
    assert assign(subnets, [], [], once.given, wanted[::-1]).given == once.given


def test_addresses_of_a_node_subnet() -> None:
    subnet = subnet_from_text("10.33.2.0/24")
    assert str(gateway_of(subnet)) == "10.33.2.1"
    assert str(management_of(subnet)) == "10.33.2.2"
    assert withheld_on_node(subnet) == ips("10.33.2.1", "10.33.2.2")
    assert withheld_on_node(subnet, hybrid_overlay=True) == ips("10.33.2.1", "10.33.2.2", "10.33.2.3")
    assert withheld_on_node(subnet_from_text("10.33.2.0/31")) == ips("10.33.2.1")
    assert withheld_on_node(subnet_from_text("10.33.2.0/32")) == ()
    assert run(["10.33.2.0/24", "fd01::/64"], {}, ["p"], withheld=["10.33.2.1", "10.33.2.2", "fd01::1", "fd01::2"]) == (
        {"p": ("10.33.2.3", "fd01::3")},
        {},
    )


# Requests and addresses that are an owner's own -----------------------------------------------------------------------


def addresses_of(texts: Mapping[str, Sequence[str]]) -> dict[str, tuple[Address, ...]]:
    return {owner: tuple(map(address_from_text, some)) for owner, some in texts.items()}


def ask(
    requests: Mapping[str, Sequence[str]],
    wanted: Sequence[str],
    claims: Mapping[str, Sequence[str]] | None = None,
    exact: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, tuple[str, ...]], Mapping[str, str]]:
    subnets = [subnet_from_text(text) for text in DUAL]
    done = assign(
        subnets,
        [],
        [],
        addresses_of(claims or {}),
        wanted,
        requests=addresses_of(requests),
        exact=addresses_of(exact or {}),
    )
    return {owner: tuple(map(str, given)) for owner, given in done.given.items()}, done.problems


def test_who_asks_goes_before_who_does_not_and_after_who_has() -> None:
    given, problems = ask({"y": ["10.1.1.2"], "z": ["10.1.1.1"]}, ["a", "b", "y", "z"], {"b": ["10.1.1.1"]})
    assert {owner: ips[0] for owner, ips in given.items()} == {"a": "10.1.1.3", "b": "10.1.1.1", "y": "10.1.1.2"}
    assert problems == {"z": "provided IP is already allocated: 10.1.1.1 belongs to b"}


def test_a_request_counts_where_nothing_is_kept() -> None:
    given, problems = ask({"a": ["10.1.1.5", "fd00::5"]}, ["a"], {"a": ["fd00::2"]})
    assert (given, problems) == ({"a": ("fd00::2", "10.1.1.5")}, {})


def test_what_two_ask_for_nobody_gets() -> None:
    given, problems = ask({"b": ["10.1.1.1"], "c": ["10.1.1.1", "fd00::9"]}, ["a", "b", "c"])
    assert given == {"a": ("10.1.1.2", "fd00::1")}
    assert problems == {
        "b": "provided IP is already allocated: 10.1.1.1 is asked for by c too",
        "c": "provided IP is already allocated: 10.1.1.1 is asked for by b too",
    }


def test_an_owner_of_exact_addresses_gets_no_others() -> None:
    given, problems = ask({}, ["a", "v"], exact={"v": ["fd00::1"]})
    assert given == {"a": ("10.1.1.1", "fd00::2"), "v": ("fd00::1",)}
    _, problems = ask({}, ["v"], {"x": ["fd00::1"]}, exact={"v": ["fd00::1"]})
    assert problems == {"v": "provided IP is already allocated: fd00::1 is claimed by x too"}
    _, problems = ask({}, ["v"], exact={"v": ["10.9.9.9"]})
    assert "10.9.9.9 for subnets: not contained in any known subnet: there are 10.1.1.0/29, fd00::/64" in problems["v"]
