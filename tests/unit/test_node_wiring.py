"""What is missing on a node: decided on values, checked by a model of the server, and written as guarded operations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vswitch_model import applied, bridge, interface, port, rows_of

from ovnk8s_topo.backends.operations import Operation
from ovnk8s_topo.backends.schema import Schema
from ovnk8s_topo.backends.vswitch_ops import SHAPES, encode_wiring
from ovnk8s_topo.errors import NodeNotReady, OwnershipError, Remedy, RowError, SpecError
from ovnk8s_topo.nodeside import (
    BRIDGE_MAPPINGS,
    BridgeMapping,
    GonePort,
    OvsInterface,
    VswitchRows,
    Wiring,
    interface_from_result,
    missing_mapping,
    wiring_changes,
)
from ovnk8s_topo.results import AttachmentResult
from ovnk8s_topo.spec.go_json import TextError

SCHEMA = Schema({table: frozenset(shapes) for table, shapes in SHAPES.items()}, "8.3.1")
EMPTY = rows_of([bridge("br-int"), bridge("br-x")], [], [])
RESULT = AttachmentResult(
    pod="ns/pod",
    nad_key="ns/net",
    network="net",
    topology="layer2",
    node="n1",
    interface="eth1",
    mac="0a:58:0a:16:00:01",
    addresses=("10.22.0.1/16",),
    mtu=1400,
)
PLUGGED = interface_from_result(RESULT, name="v1", uid="u", sandbox="s", pod_interface="eth1")
PLUG = Wiring(interfaces=(PLUGGED,))


def wired(rows: VswitchRows, wanted: Wiring) -> VswitchRows:
    """Apply what is missing; then nothing is."""
    after = applied(rows, wiring_changes(rows, wanted))
    assert wiring_changes(after, wanted).is_empty
    return after


def mapped(**external_ids: str) -> VswitchRows:
    return replace(EMPTY, external_ids={key.replace("_", "-"): value for key, value in external_ids.items()})


def ports(rows: VswitchRows, name: str = "br-int") -> list[str]:
    (found,) = (row for row in rows.bridges.values() if row.name == name)
    return sorted(rows.ports[uuid].name for uuid in found.ports)


# --- mappings ---

A, B = BridgeMapping("a", "br-a"), BridgeMapping("b", "br-b")


def test_mappings_join_those_of_others() -> None:
    after = wired(mapped(ovn_bridge_mappings="physnet:br-ex", system_id="n1"), Wiring(mappings=(A, B)))
    assert after.external_ids == {BRIDGE_MAPPINGS: "physnet:br-ex,a:br-a,b:br-b", "system-id": "n1"}


def test_the_key_goes_with_its_last_entry() -> None:
    after = wired(mapped(ovn_bridge_mappings="a:br-a", system_id="n1"), Wiring(unmapped=(A, B)))
    assert after.external_ids == {"system-id": "n1"}


def test_a_physical_network_moves_in_one_step() -> None:
    moved = Wiring(unmapped=(A,), mappings=(BridgeMapping("a", "br-new"),))
    assert wired(mapped(ovn_bridge_mappings="a:br-a,b:br-b"), moved).external_ids == {
        BRIDGE_MAPPINGS: "b:br-b,a:br-new"
    }


def test_the_key_of_the_chassis_is_the_one_that_ovn_controller_reads() -> None:
    own = {"system-id": "n1", f"{BRIDGE_MAPPINGS}-n1": "x:br-x", f"{BRIDGE_MAPPINGS}-n2": "y:br-y"}
    after = wired(replace(EMPTY, external_ids=own), Wiring(mappings=(A,)))
    assert after.external_ids == own | {BRIDGE_MAPPINGS: "a:br-a", f"{BRIDGE_MAPPINGS}-n1": "x:br-x,a:br-a"}


def test_the_chassis_own_key_stays_lest_ovn_controller_turns_to_the_plain_one() -> None:
    own = f"{BRIDGE_MAPPINGS}-n1"
    rows = replace(EMPTY, external_ids={"system-id": "n1", BRIDGE_MAPPINGS: "x:br-x,a:br-a", own: "a:br-a"})
    after = wired(rows, Wiring(unmapped=(A,)))
    assert after.external_ids == {"system-id": "n1", BRIDGE_MAPPINGS: "x:br-x", own: ""}
    assert wired(after, Wiring(mappings=(A,))).external_ids[own] == "a:br-a"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("x:br,,", r"\[1\]: must be <physical network>:<bridge> \(got ''\)", id="malformed"),
        pytest.param("a:br-b", "'a' cannot be mapped to bridge 'br-a': it is mapped to 'br-b'", id="mapped elsewhere"),
    ],
)
def test_a_fault_of_mappings_names_the_key_that_has_it(text: str, why: str) -> None:
    own = f"{BRIDGE_MAPPINGS}-n1"
    rows = replace(EMPTY, external_ids={"system-id": "n1", BRIDGE_MAPPINGS: "a:br-a", own: text})
    with pytest.raises(SpecError, match=f"^Open_vSwitch external_ids:{own}: .*{why}") as refused:
        wiring_changes(rows, Wiring(mappings=(A,)))
    assert getattr(refused.value, "offsets", (5, 6)) == (5, 6)


def test_mappings_that_cannot_be_read_stop_only_those_who_need_them() -> None:
    odd = mapped(ovn_bridge_mappings="a:b,,c")
    with pytest.raises(TextError, match=r"ovn-bridge-mappings\[1\]"):
        wiring_changes(odd, Wiring(mappings=(A,)))
    assert ports(wired(odd, PLUG)) == ["v1"]


def test_a_physical_network_at_another_bridge_is_refused() -> None:
    with pytest.raises(SpecError, match=r"'br-a'.*mapped to 'br-old'"):
        wiring_changes(mapped(ovn_bridge_mappings="a:br-old"), Wiring(mappings=(A,)))


def test_without_the_row_there_is_nowhere_to_write() -> None:
    with pytest.raises(NodeNotReady, match="Open_vSwitch"):
        wiring_changes(VswitchRows(), Wiring(mappings=(A,)))


# --- ports ---


def test_a_port_is_made_as_the_cni_plugin_does() -> None:
    after = wired(EMPTY, PLUG)
    assert ports(after) == ["v1"]
    ((made,), (held,)) = after.ports.values(), after.interfaces.values()
    assert (made.name, made.other_config) == ("v1", {"transient": "true"})
    assert (held.name, held.type, held.mtu_request) == ("v1", "", None)
    assert held.external_ids == PLUGGED.external_ids


def test_the_early_form_is_made_alike() -> None:
    early = interface_from_result(RESULT, name="v1", early=True)
    (held,) = wired(EMPTY, Wiring(interfaces=(early,))).interfaces.values()
    assert held.external_ids == {
        "attached_mac": "0a:58:0a:16:00:01",
        "iface-id": "ns_pod",
        "ip_address": "10.22.0.1/16",
    }


def test_what_others_write_into_our_rows_stays() -> None:
    before = wired(EMPTY, PLUG)
    ((made,), (held,)) = before.ports.values(), before.interfaces.values()
    theirs = {**held.external_ids, "ovn-installed": "true", "sandbox": "old"}
    rows = rows_of(
        before.bridges.values(),
        [replace(made, other_config={"transient": "true", "theirs": "kept"})],
        [replace(held, external_ids=theirs, mtu_request=9000)],
    )
    after = wired(rows, PLUG)
    assert next(iter(after.interfaces.values())) == replace(
        held, external_ids={**held.external_ids, "ovn-installed": "true"}, mtu_request=9000
    )
    assert next(iter(after.ports.values())).other_config == {"transient": "true", "theirs": "kept"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"type": "system"}, "system", id="means the same"),
        pytest.param({"type": "internal"}, "", id="is another"),
    ],
)
def test_an_ordinary_device_has_two_names(before: dict[str, Any], after: str) -> None:
    rows = rows_of([bridge("br-int", "v1")], [port("v1")], [interface("v1", PLUGGED.external_ids, **before)])
    (held,) = wired(rows, PLUG).interfaces.values()
    assert held.type == after


def test_a_representor_that_is_polled() -> None:
    wanted = replace(PLUGGED, type="dpdk", mtu_request=1400)
    for rows in (EMPTY, wired(EMPTY, PLUG)):
        (held,) = wired(rows, Wiring(interfaces=(wanted,))).interfaces.values()
        assert (held.type, held.mtu_request) == ("dpdk", 1400)


@pytest.mark.parametrize("held", [("stale",), ("stale", "v1")])
def test_a_wrong_reference_is_repaired(held: tuple[str, ...]) -> None:
    rows = rows_of([bridge("br-int", "v1")], [port("v1", *held)], [interface(name) for name in held])
    after = wired(rows, PLUG)
    assert [row.name for row in after.interfaces.values()] == ["v1"]


def test_a_port_on_no_bridge_comes_to_its_own() -> None:
    rows = rows_of([bridge("br-int")], [port("v1")], [interface("v1")])
    assert ports(wired(rows, PLUG)) == ["v1"]


def test_the_latest_sandbox_has_the_port() -> None:
    ids = {"iface-id": PLUGGED.iface_id}
    rows = rows_of(
        [bridge("br-int", "old", "older", "foreign"), bridge("br-x", "elsewhere")],
        [port("old"), port("older", "older", "bonded"), port("foreign"), port("elsewhere")],
        [*(interface(name, ids) for name in ("old", "older", "elsewhere")), interface("bonded"), interface("foreign")],
    )
    after = wired(rows, PLUG)
    assert (ports(after), ports(after, "br-x")) == (["foreign", "v1"], ["elsewhere"])


def test_an_interface_comes_back_from_a_port_of_another_name() -> None:
    rows = rows_of([bridge("br-int", "bond")], [port("bond", "v1")], [interface("v1", PLUGGED.external_ids)])
    after = wired(rows, PLUG)
    assert ports(after) == ["v1"]
    assert next(iter(after.ports.values())).interfaces == rows.interfaces.keys()


# --- what is refused ---


def on(name: str, external_ids: dict[str, str] | None = None, *, holder: str = "v1") -> VswitchRows:
    bridges = [bridge("br-int"), bridge("br-x")]
    bridges = [bridge(each.name, holder) if each.name == name else each for each in bridges]
    return rows_of(bridges, [port(holder, "v1")], [interface("v1", external_ids)])


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        pytest.param(on("br-x"), 'already attached to bridge "br-x".*"br-int"', id="on another bridge"),
        pytest.param(
            on("br-int", {"iface-id": "other"}),
            r"was added for iface-id \(other\), now readding it for \(ns.net_ns_pod\)",
            id="of another attachment",
        ),
        pytest.param(
            on("br-int", {**PLUGGED.external_ids, "k8s.ovn.org/nad": "ns/other"}),
            r"was added for NAD \(ns/other\), expect \(ns/net\)",
            id="of another definition",
        ),
        pytest.param(on("br-int", holder="bond"), "Port bond: interfaces: must not hold .*'v1'", id="held by another"),
    ],
)
def test_a_port_of_somebody_else_is_refused(rows: VswitchRows, why: str) -> None:
    with pytest.raises(OwnershipError, match=why) as refused:
        wiring_changes(rows, PLUG)
    assert refused.value.keys == (("Port", "v1"),)


@pytest.mark.parametrize(
    "wanted", [Wiring(interfaces=(replace(PLUGGED, name="br-int"),)), Wiring(unplugged=(GonePort(name="br-int"),))]
)
def test_a_bridges_own_port_is_neither_had_nor_deleted(wanted: Wiring) -> None:
    rows = rows_of([bridge("br-int", "br-int")], [port("br-int")], [interface("br-int", type="internal")])
    with pytest.raises(OwnershipError, match=r"Port br-int: .*local port of bridge 'br-int'"):
        wiring_changes(rows, wanted)


@pytest.mark.parametrize("kind", ["geneve", "patch"])
def test_what_is_of_no_pod_by_its_type_is_refused(kind: str) -> None:
    rows = rows_of([bridge("br-int", "v1")], [port("v1")], [interface("v1", {}, type=kind)])
    with pytest.raises(OwnershipError, match=f"Interface v1: type: OVS port v1 is of type {kind} and of no pod"):
        wiring_changes(rows, PLUG)


def test_all_that_is_refused_is_told() -> None:
    rows = rows_of([bridge("br-int"), bridge("br-x", "v1", "v2")], [port("v1"), port("v2")], [])
    other = replace(PLUGGED, name="v2", external_ids={"iface-id": "2"})
    with pytest.raises(OwnershipError) as refused:
        wiring_changes(rows, Wiring(interfaces=(PLUGGED, other)))
    assert len(refused.value.problems) == 2


def test_without_the_bridge_it_is_too_early() -> None:
    with pytest.raises(NodeNotReady, match=r"br-int: must exist.*bridges here: br-x.*ovn-controller") as early:
        wiring_changes(rows_of([bridge("br-x")], [], []), PLUG)
    assert early.value.remedy is Remedy.RETRY


# --- removal ---


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        pytest.param(GonePort(name="v1"), [], id="by name"),
        pytest.param(GonePort(name="v1", iface_id=PLUGGED.iface_id), [], id="as ours"),
        pytest.param(GonePort(name="v1", iface_id="ours once"), ["v1"], id="somebody else's by now"),
        pytest.param(GonePort(name="v2"), ["v1"], id="not there"),
    ],
)
def test_removal(gone: GonePort, left: list[str]) -> None:
    after = wired(wired(EMPTY, PLUG), Wiring(unplugged=(gone,)))
    assert ports(after) == left
    assert len(after.interfaces) == len(left)


def test_a_port_is_not_taken_from_another_bridge() -> None:
    with pytest.raises(OwnershipError, match=r'"br-x".*"br-int"'):
        wiring_changes(on("br-x"), Wiring(unplugged=(GonePort(name="v1"),)))


# --- the wish itself ---


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"interfaces": (PLUGGED, replace(PLUGGED, external_ids={"iface-id": "2"}))}, "interfaces.name: .*'v1'"),
        ({"interfaces": (PLUGGED, replace(PLUGGED, name="v2"))}, "iface-id: must be there once only"),
        ({"interfaces": (PLUGGED,), "unplugged": (GonePort(name="v1"),)}, "unplugged: must not name"),
        ({"interfaces": (replace(PLUGGED, mtu_request=0),)}, "Interface v1: .*mtu_request: must be 1..65536"),
        ({"interfaces": (replace(PLUGGED, mtu_request=2**70),)}, "Interface v1: .*mtu_request: must be 1..65536"),
        ({"interfaces": (replace(PLUGGED, name=""),)}, "interfaces.name: must have 1..15 characters"),
        ({"interfaces": (replace(PLUGGED, name="", type="dpdk"),)}, "interfaces.name: must have 1..15 characters"),
        ({"interfaces": (replace(PLUGGED, name="n" * 63),)}, r"1..15 characters.*\(got 'n{63}'\)"),
        ({"interfaces": (replace(PLUGGED, name="漢" * 6),)}, "1..15 characters, or bytes in UTF-8"),
        *(
            ({"interfaces": (replace(PLUGGED, name=bad),)}, "must not hold blanks")
            for bad in ("a/b", "a:b", "a b", "..")
        ),
        ({"mappings": (A,), "unmapped": (A,)}, "unmapped: must not hold .*'a:br-a'"),
        ({"mappings": (A, BridgeMapping("a", "br-b"))}, "cannot be mapped"),
    ],
)
def test_a_wish_that_contradicts_itself(columns: dict[str, Any], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        Wiring(**columns)


@pytest.mark.parametrize(
    ("network", "topology", "physical", "missing"),
    [
        ("net", "localnet", "", "net"),
        ("net", "localnet", "physnet", ""),
        ("net", "localnet", "other", "other"),
        ("net", "layer2", "", ""),
        ("default", "localnet", "", ""),
    ],
)
def test_the_mapping_that_one_attachment_needs(network: str, topology: str, physical: str, missing: str) -> None:
    asked = missing_mapping("physnet:br", replace(RESULT, network=network, topology=topology), physical)
    assert (asked.physical_network if asked else "") == missing


# --- a law over all small worlds ---

NAMES = st.sampled_from(["v1", "v2", "v3"])
IDS = st.sampled_from(["", "p1", "p2"])
WANTED = st.builds(
    lambda name, iface_id: OvsInterface(name=name, external_ids={"iface-id": iface_id}, removed_ids=("k",)), NAMES, IDS
)


@st.composite
def worlds(draw: st.DrawFn) -> VswitchRows:
    names = draw(st.lists(NAMES, unique=True))
    held = [(name, draw(st.lists(NAMES, min_size=1, max_size=2, unique=True))) for name in names]
    homes = {name: draw(st.sampled_from(["br-int", "br-int", "br-x"])) for name in names}
    ids = {name: draw(IDS) for _, each in held for name in each}
    return rows_of(
        [bridge(home, *(name for name in names if homes[name] == home)) for home in ("br-int", "br-x")],
        [port(name, *each) for name, each in held],
        [interface(name, {"iface-id": ids[name], "k": "v"} if ids[name] else {"k": "v"}) for name in ids],
    )


@given(worlds(), st.lists(WANTED, max_size=2), st.lists(st.builds(GonePort, name=NAMES, iface_id=IDS), max_size=1))
def test_once_applied_nothing_is_missing_and_other_bridges_are_as_before(
    rows: VswitchRows, wanted: list[OvsInterface], gone: list[GonePort]
) -> None:
    try:
        wiring = Wiring(interfaces=tuple(wanted), unplugged=tuple(gone))
        after = wired(rows, wiring)
    except (SpecError, OwnershipError):
        return
    assert ports(after, "br-x") == ports(rows, "br-x")
    for each in wanted:
        assert each.name in ports(after)
        (held,) = (row for row in after.interfaces.values() if row.name == each.name)
        assert held.external_ids == {"iface-id": each.iface_id}
        claiming = [row for row in after.interfaces.values() if row.external_ids.get("iface-id") == each.iface_id]
        on_bridge = {
            uuid for name in ports(after) for row in after.ports.values() if row.name == name for uuid in row.interfaces
        }
        assert not each.iface_id or [row.name for row in claiming if row.uuid in on_bridge] == [each.name]


# --- operations ---


def operations(rows: VswitchRows, wanted: Wiring) -> list[Operation]:
    return encode_wiring(wiring_changes(rows, wanted), SCHEMA)


def test_nothing_is_sent_when_nothing_is_missing() -> None:
    assert operations(wired(EMPTY, PLUG), PLUG) == []


def test_keys_change_one_by_one_under_the_map_as_read() -> None:
    rows = mapped(ovn_bridge_mappings="x:br-x", system_id="n1")
    where = [["_uuid", "==", ["uuid", "root"]]]
    read = ["map", [[BRIDGE_MAPPINGS, "x:br-x"], ["system-id", "n1"]]]
    guard = {"columns": ["external_ids"], "until": "==", "rows": [{"external_ids": read}]}
    mutations = [
        ["external_ids", "delete", ["set", [BRIDGE_MAPPINGS]]],
        ["external_ids", "insert", ["map", [[BRIDGE_MAPPINGS, "x:br-x,a:br-a"]]]],
    ]
    assert operations(rows, Wiring(mappings=(A,))) == [
        {"op": "wait", "table": "Open_vSwitch", "timeout": 0, "where": where, **guard},
        {"op": "mutate", "table": "Open_vSwitch", "where": where, "mutations": mutations},
    ]


def test_guards_come_first_once_each_and_never_wait() -> None:
    rows = wired(EMPTY, PLUG)
    other = replace(PLUGGED, name="v2")
    sent = operations(rows, Wiring(interfaces=(other,), unplugged=(GonePort(name="v1"),)))
    guards = [operation for operation in sent if operation["op"] == "wait"]
    assert sent[: len(guards)] == guards
    assert {operation["timeout"] for operation in guards} == {0}
    assert [operation for operation in guards if guards.count(operation) > 1] == []


def lacking(table: str, column: str) -> Schema:
    return Schema({**SCHEMA.tables, table: SCHEMA.tables[table] - {column}}, "1.0")


def test_a_port_of_open_vswitch_itself_may_have_a_long_name() -> None:
    wanted = replace(PLUGGED, name="vhost-user-of-a-machine", type="dpdkvhostuserclient")
    assert ports(wired(EMPTY, Wiring(interfaces=(wanted,)))) == [wanted.name]


def test_a_column_that_is_only_written_is_needed_only_then() -> None:
    old, polled = lacking("Interface", "mtu_request"), Wiring(interfaces=(replace(PLUGGED, mtu_request=1400),))
    assert encode_wiring(wiring_changes(EMPTY, PLUG), old) == operations(EMPTY, PLUG)
    with pytest.raises(RowError, match=r"^Interface.mtu_request: .*1\.0.*$"):
        encode_wiring(wiring_changes(EMPTY, polled), old)


def test_from_what_is_not_seen_nobody_concludes_that_nothing_is_missing() -> None:
    gone = wiring_changes(EMPTY, Wiring(unplugged=(GonePort(name="v1"),)))
    assert gone.is_empty
    with pytest.raises(RowError, match=r"Port.name: .*not watched"):
        encode_wiring(gone, lacking("Port", "name"))


def test_a_text_that_the_server_cannot_hold_is_refused() -> None:
    odd = replace(PLUGGED, external_ids={"iface-id": "a\0b"})
    with pytest.raises(RowError, match=r"Interface\.external_ids: must not contain a NUL"):
        operations(EMPTY, Wiring(interfaces=(odd,)))
