"""Bridge mappings: read with all faults, merged without touching what is there, and checked against networks."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.nodeside import (
    BRIDGE_MAPPINGS,
    BridgeMapping,
    MissingMapping,
    bridge_mappings_from_text,
    bridge_mappings_key,
    bridge_mappings_text,
    merged_bridge_mappings,
    missing_mappings,
    physical_networks,
    without_bridge_mappings,
)
from ovnk8s_topo.spec import Layer2, Localnet, Network, Style
from ovnk8s_topo.spec.go_json import TextError

ARTICLE = "physnet:brens3f2,localnet.network_br-localnet:br-out"


def mappings(text: str) -> list[BridgeMapping]:
    return [BridgeMapping(*each.split(":")) for each in text.split()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(None, "", id="no key"),
        pytest.param("", "", id="empty"),
        pytest.param("a:b", "a:b", id="one"),
        pytest.param(ARTICLE, "physnet:brens3f2 localnet.network_br-localnet:br-out", id="the article's"),
        pytest.param("a:b,c:b", "a:b c:b", id="two networks on one bridge"),
        pytest.param("a:b,a:b", "a:b a:b", id="said twice"),
    ],
)
def test_reading(text: str | None, expected: str) -> None:
    assert bridge_mappings_from_text(text) == tuple(mappings(expected))


def test_blanks_belong_to_names() -> None:
    assert bridge_mappings_from_text("a:b, c:d ")[1] == BridgeMapping(" c", "d ")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        pytest.param(",", [("[0]", 0, "''"), ("[1]", 1, "''")], id="nothing twice"),
        pytest.param("a:b,,c:d", [("[1]", 4, "''")], id="ovn-controller would stop here"),
        pytest.param("a:b,", [("[1]", 4, "''")], id="comma at the end"),
        pytest.param("a", [("[0]", 0, "'a'")], id="no colon"),
        pytest.param(":b,a:,:", [("[0]", 0, "':b'"), ("[1]", 3, "'a:'"), ("[2]", 6, "':'")], id="empty names"),
        pytest.param("net:br:x", [("[0]", 0, "'net:br:x'")], id="read differently by its two readers"),
        pytest.param("a:b,x,a:c", [("[1]", 4, "'x'"), ("[2]", 6, "")], id="another bridge, after a fault"),
    ],
)
def test_all_faults_with_their_places(text: str, faults: list[tuple[str, int, str]]) -> None:
    with pytest.raises(TextError) as caught:
        bridge_mappings_from_text(text)
    found = zip(caught.value.problems, caught.value.offsets, strict=True)
    assert [(each.path, offset, each.given) for each, offset in found] == [
        (BRIDGE_MAPPINGS + index, offset, text) for index, offset, text in faults
    ]
    for action in (merged_bridge_mappings, without_bridge_mappings):
        with pytest.raises(TextError):
            action(text, [])


@pytest.mark.parametrize(("name", "bridge"), [("", "b"), ("a", ""), ("a:b", "c"), ("a,b", "c"), ("a", "b,c")])
def test_what_cannot_be_written(name: str, bridge: str) -> None:
    with pytest.raises(SpecError, match="must not be empty and must not hold"):
        BridgeMapping(name, bridge)


def test_writing_keeps_the_order_and_refuses_contradictions() -> None:
    assert bridge_mappings_text(mappings("z:1 a:2")) == "z:1,a:2"
    assert bridge_mappings_text([]) == ""
    with pytest.raises(SpecError, match="'a' cannot be mapped to bridge '2': it is mapped to '1'"):
        bridge_mappings_text(mappings("a:1 a:2"))


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        pytest.param(None, "", None, id="nothing"),
        pytest.param("", "", "", id="nothing into an empty text"),
        pytest.param(None, "a:b", "a:b", id="first"),
        pytest.param("", "a:b", "a:b", id="first into an empty text"),
        pytest.param("z:1", "a:b c:d", "z:1,a:b,c:d", id="to the end"),
        pytest.param("a:b,z:1", "a:b", "a:b,z:1", id="there already"),
        pytest.param("a:b,a:b", "a:b", "a:b,a:b", id="there twice"),
        pytest.param(None, "a:b a:b", "a:b", id="wanted twice"),
        pytest.param(" z: 1", "z:1", " z: 1,z:1", id="blanks make another name"),
    ],
)
def test_merging(text: str | None, wanted: str, expected: str | None) -> None:
    assert merged_bridge_mappings(text, mappings(wanted)) == expected


def test_another_bridge_is_refused_for_every_network() -> None:
    with pytest.raises(SpecError) as caught:
        merged_bridge_mappings("a:1,b:2", mappings("a:9 c:3 b:8 c:4"))
    assert str(caught.value).splitlines() == [
        f"{BRIDGE_MAPPINGS}[0]: physical network 'a' cannot be mapped to bridge '9': it is mapped to '1'",
        f"{BRIDGE_MAPPINGS}[2]: physical network 'b' cannot be mapped to bridge '8': it is mapped to '2'",
        f"{BRIDGE_MAPPINGS}[3]: physical network 'c' cannot be mapped to bridge '4': it is mapped to '3'",
    ]


@pytest.mark.parametrize(
    ("text", "gone", "expected"),
    [
        pytest.param(None, "a:b", None, id="no key"),
        pytest.param("", "a:b", "", id="nothing there"),
        pytest.param("a:b", "a:b", None, id="last"),
        pytest.param("x:1,a:b,y:2", "a:b", "x:1,y:2", id="one of three"),
        pytest.param("a:b,x:1,a:b", "a:b", "x:1", id="all of the same"),
        pytest.param("a:c", "a:b", "a:c", id="somebody else's bridge"),
    ],
)
def test_removing(text: str | None, gone: str, expected: str | None) -> None:
    assert without_bridge_mappings(text, mappings(gone)) == expected


def test_which_key_counts() -> None:
    own = {BRIDGE_MAPPINGS: "a:b", f"{BRIDGE_MAPPINGS}-c1": "a:c"}
    assert bridge_mappings_key(own, "c1") == f"{BRIDGE_MAPPINGS}-c1"
    assert bridge_mappings_key(own, "c2") == BRIDGE_MAPPINGS
    assert bridge_mappings_key({f"{BRIDGE_MAPPINGS}-": ""}) == BRIDGE_MAPPINGS


# --- laws

names = st.text(st.characters(exclude_characters=",:", exclude_categories=["Cs"]), min_size=1, max_size=4)
dictionaries = st.dictionaries(names, names, max_size=5)
junk = st.text(max_size=30) | st.text("ab:, \x00é", max_size=12)


def from_dict(found: dict[str, str]) -> tuple[BridgeMapping, ...]:
    return tuple(BridgeMapping(*item) for item in found.items())


@given(dictionaries.map(from_dict))
def test_what_is_written_is_read_back(found: tuple[BridgeMapping, ...]) -> None:
    assert bridge_mappings_from_text(bridge_mappings_text(found)) == found


@given(junk)
def test_any_text_is_read_to_the_byte_or_refused(text: str) -> None:
    offsets: tuple[int, ...] = ()
    try:
        assert bridge_mappings_text(bridge_mappings_from_text(text)) == text
    except TextError as error:
        offsets = error.offsets
    assert [*offsets] == sorted(offset for offset in offsets if 0 <= offset <= len(text))


@given(dictionaries, dictionaries)
def test_merging_keeps_what_is_there_and_can_be_taken_back(before: dict[str, str], wanted: dict[str, str]) -> None:
    ours = {name: before.get(name, bridge) for name, bridge in wanted.items()}
    text = bridge_mappings_text(from_dict(before)) or None
    merged = merged_bridge_mappings(text, from_dict(ours))
    assert (merged or "").startswith(text or "")
    assert {*bridge_mappings_from_text(merged)} == {*from_dict(before | ours)}
    assert merged_bridge_mappings(merged, from_dict(ours)) == merged
    new = {name: bridge for name, bridge in ours.items() if name not in before}
    assert without_bridge_mappings(merged, from_dict(new)) == text


# --- what networks need

LAN = Localnet(name="localnet-network", subnets="192.168.100.0/24")
VLAN = Localnet(name="vlan", vlan_id=5, physical_network_name="tenant")
WIRE = Localnet(name="wire", physical_network_name="tenant")
ALL: tuple[Network, ...] = (WIRE, LAN, VLAN, Layer2(name="l2", subnets="10.22.0.0/16"))


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        pytest.param("2024", {"localnet-network": ("localnet-network",), "tenant": ("vlan", "wire")}, id="2024"),
        pytest.param(
            "2023",
            {
                "localnet.network_br-localnet": ("localnet-network",),
                "vlan_br-localnet": ("vlan",),
                "wire_br-localnet": ("wire",),
            },
            id="2023",
        ),
    ],
)
def test_needed_physical_networks(style: Style, expected: dict[str, tuple[str, ...]]) -> None:
    assert physical_networks(ALL, style) == expected


def test_what_is_missing() -> None:
    assert missing_mappings("tenant:br1", ALL) == (
        MissingMapping(physical_network="localnet-network", networks=("localnet-network",)),
    )
    assert missing_mappings("tenant:br1,localnet-network:br2", ALL) == ()
    (tenant,) = missing_mappings(None, [VLAN, WIRE])
    assert tenant.networks == ("vlan", "wire")
    with pytest.raises(TextError):
        missing_mappings("a:b,", [])


def test_the_articles_mapping_is_for_its_release() -> None:
    assert missing_mappings(ARTICLE, [LAN], "2023") == ()
    (missing,) = missing_mappings(ARTICLE, [LAN])
    assert str(missing.problem) == (
        "Network localnet-network: external_ids:ovn-bridge-mappings: failed to find OVN bridge-mapping for network: "
        '"localnet-network"; "localnet.network_br-localnet", which is mapped, is its name in other releases'
    )
    (missing,) = missing_mappings("localnet-network:br-out", [LAN], "2023")
    assert missing.other_style == "localnet-network"


@given(junk)
def test_any_text_is_checked_or_refused(text: str) -> None:
    with suppress(TextError):
        missing = missing_mappings(text, ALL)
        assert {each.physical_network for each in missing} <= physical_networks(ALL).keys()
