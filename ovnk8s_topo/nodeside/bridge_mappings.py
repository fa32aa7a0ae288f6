"""`external_ids:ovn-bridge-mappings` of Open_vSwitch: ``<physical network>:<bridge>[,...]``.

Sources: OVN controller/patch.c, add_ovs_bridge_mappings; ovn-kubernetes pkg/cni/cni.go, checkBridgeMapping, and
pkg/node/bridgeconfig/bridgeconfig.go. They read odd texts differently: ovn-controller stops at the first empty or
malformed entry and takes ``net:br:x`` for the bridge ``br:x``, the CNI plug-in refuses both. So do we.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ovnk8s_topo.errors import Problem, SpecError
from ovnk8s_topo.nodeside.entries import Entry, entries_from_text
from ovnk8s_topo.spec.go_json import TextError

BRIDGE_MAPPINGS = "ovn-bridge-mappings"

_FORM = "must be <physical network>:<bridge>"


@dataclass(frozen=True, slots=True)
class BridgeMapping:
    """A physical network and the bridge through which a node reaches it; blanks count in both.

    SpecError  one of them is empty, or holds `,` or `:`
    """

    physical_network: str
    bridge: str

    def __post_init__(self) -> None:
        parts = {"physical_network": self.physical_network, "bridge": self.bridge}
        problems = [
            Problem(path, "must not be empty and must not hold `,` or `:`", given=repr(name))
            for path, name in parts.items()
            if not name or "," in name or ":" in name
        ]
        if problems:
            raise SpecError(problems)

    def __str__(self) -> str:
        return f"{self.physical_network}:{self.bridge}"


def bridge_mappings_key(external_ids: Mapping[str, str], chassis: str = "") -> str:
    """Return which key ovn-controller reads: `ovn-bridge-mappings-<chassis>` if there is one, else the plain one.

    external_ids  of Open_vSwitch
    chassis       the node's system-id; "": not known

    The CNI plug-in knows the plain key only.
    """
    own = f"{BRIDGE_MAPPINGS}-{chassis}"
    return own if chassis and own in external_ids else BRIDGE_MAPPINGS


def bridge_mappings_from_text(text: str | None) -> tuple[BridgeMapping, ...]:
    """Read the text; None and "" hold nothing.

    TextError  all faults, each with its entry (``ovn-bridge-mappings[1]``) and its offset: an entry that is not of the
               form, or one that maps the same physical network to another bridge

    The same entry twice is none: it says nothing new.
    """
    entries = [*entries_from_text(text)]
    faults = sorted([*_malformed(entries), *_contradictions(entries)], key=lambda fault: fault[1])
    if faults:
        raise TextError(faults)
    return tuple(BridgeMapping(*entry.parts) for entry in entries)


def _is_mapping(entry: Entry) -> bool:
    return len(entry.parts) == 2 and all(entry.parts)


def _malformed(entries: Iterable[Entry]) -> Iterator[tuple[Problem, int]]:
    for entry in entries:
        if not _is_mapping(entry):
            yield Problem(f"{BRIDGE_MAPPINGS}[{entry.index}]", _FORM, given=repr(entry.text)), entry.offset


def _contradictions(entries: Iterable[Entry]) -> Iterator[tuple[Problem, int]]:
    first: dict[str, str] = {}
    for entry in filter(_is_mapping, entries):
        name, bridge = entry.parts
        if first.setdefault(name, bridge) != bridge:
            yield _conflict(entry.index, name, bridge, first[name]), entry.offset


def _conflict(index: int, name: str, bridge: str, before: str) -> Problem:
    why = f"physical network {name!r} cannot be mapped to bridge {bridge!r}: it is mapped to {before!r}"
    return Problem(f"{BRIDGE_MAPPINGS}[{index}]", why)


def bridge_mappings_text(mappings: Iterable[BridgeMapping]) -> str:
    """Write mappings in the order given; "" for none.

    SpecError  two of them contradict each other
    """
    text = ",".join(map(str, mappings))
    bridge_mappings_from_text(text)
    return text


def merged_bridge_mappings(text: str | None, wanted: Iterable[BridgeMapping]) -> str | None:
    """Put mappings into the text: those that are there stay where they are, new ones go to its end.

    text     as it is, None if there is none
    returns  the new text; `text` itself if nothing is missing in it

    TextError  the text cannot be read
    SpecError  all physical networks that are, or are also wanted, at another bridge; each with both bridges. `[N]` in
               such a problem counts the wanted mappings from 0
    """
    present = bridge_mappings_from_text(text)
    bridges = {mapping.physical_network: mapping.bridge for mapping in present}
    problems, added = [], []
    for index, mapping in enumerate(wanted):
        name, bridge = mapping.physical_network, mapping.bridge
        if name not in bridges:
            bridges[name] = bridge
            added.append(mapping)
        elif bridges[name] != bridge:
            problems.append(_conflict(index, name, bridge, bridges[name]))
    if problems:
        raise SpecError(problems)
    return ",".join(map(str, (*present, *added))) if added else text


def without_bridge_mappings(text: str | None, gone: Collection[BridgeMapping]) -> str | None:
    """Take mappings out of the text; an entry that leads to another bridge is somebody else's and stays.

    text     as it is, None if there is none
    returns  the new text, None if nothing is left and the key goes; `text` itself if none of them is in it

    TextError  the text cannot be read
    """
    present = bridge_mappings_from_text(text)
    left = [mapping for mapping in present if mapping not in gone]
    if len(left) == len(present):
        return text
    return ",".join(map(str, left)) or None
