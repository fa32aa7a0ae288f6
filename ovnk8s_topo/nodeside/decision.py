"""From a node's database as it is, and a wish, to the changes that are missing.

Sources: ovn-kubernetes pkg/libovsdb/ops/vswitchdb.go, CreateOrUpdatePodPort; pkg/cni/helper_linux.go, ConfigureOVS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ovnk8s_topo.errors import NodeNotReady, OwnershipError, Problem, SpecError
from ovnk8s_topo.nodeside.bridge_mappings import (
    BRIDGE_MAPPINGS,
    bridge_mappings_key,
    merged_bridge_mappings,
    without_bridge_mappings,
)
from ovnk8s_topo.nodeside.interface import DEFAULT, IFACE_ID, NAD, OvsInterface, is_ordinary
from ovnk8s_topo.nodeside.rows import (
    Assign,
    BridgeRow,
    Cell,
    Change,
    Insert,
    InterfaceRow,
    Members,
    NewRow,
    PortRow,
    PutKeys,
    Reference,
    Relied,
    VswitchRows,
    WiringChanges,
)
from ovnk8s_topo.nodeside.wiring import GonePort, Wiring
from ovnk8s_topo.spec.go_json import TextError

_OPEN_VSWITCH, _BRIDGE, _PORT, _INTERFACE = "Open_vSwitch", "Bridge", "Port", "Interface"


def wiring_changes(actual: VswitchRows, wanted: Wiring) -> WiringChanges:
    """Work out what is missing; nothing once it was applied.

    Mappings: entries of others stay, in order. They go into the plain key, which the CNI plug-in reads, and into the
    chassis' own one if there is one, which then is the only one that ovn-controller reads.

    Ports: a missing row is made, and a reference repaired; keys and columns of others stay. Other ports of the bridge
    that hold the same `iface-id` go: a pod may have older sandboxes, and the latest has it.

    TextError, SpecError  `ovn-bridge-mappings` cannot be read, or has a physical network at another bridge
    NodeNotReady          a bridge, or the row of Open_vSwitch, is not there
    OwnershipError        all ports that cannot be had: a bridge's own, on another bridge, added for another port or
                          definition, a tunnel or the like, or with an interface that another port holds
    """
    return _Decision(actual, wanted).run()


class _Decision:
    def __init__(self, actual: VswitchRows, wanted: Wiring) -> None:
        self.actual, self.wanted = actual, wanted
        self.bridges = {row.name: row for row in actual.bridges.values()}
        self.ports = {row.name: row for row in actual.ports.values()}
        self.interfaces = {row.name: row for row in actual.interfaces.values()}
        self.changes: list[Change] = []
        self.relied: list[Relied] = []
        self.leaving: dict[str, set[Reference]] = {}
        self.coming: dict[str, set[Reference]] = {}
        self.refused: dict[tuple[str, str], Problem] = {}

    def run(self) -> WiringChanges:
        self.check_bridges()
        self.map()
        for gone in self.wanted.unplugged:
            self.unplug(gone)
        for wanted in self.wanted.interfaces:
            self.plug(wanted, self.bridges[wanted.bridge])
        if self.refused:
            raise OwnershipError(self.refused.values(), self.refused)
        return WiringChanges((*self.changes, *self.members()), tuple(self.relied))

    def check_bridges(self) -> None:
        missing = sorted({wanted.bridge for wanted in self.wanted.interfaces} - self.bridges.keys())
        if missing:
            there = ", ".join(sorted(self.bridges)) or "none"
            raise NodeNotReady(
                f"Bridge {', '.join(missing)}: must exist before a port is plugged in (bridges here: {there}); "
                "ovn-controller makes br-int when it starts, other bridges are the node's administrator's"
            )

    # --- bridge mappings ---

    def map(self) -> None:
        if not self.wanted.mappings and not self.wanted.unmapped:
            return
        if not self.actual.uuid:
            raise NodeNotReady(f"{_OPEN_VSWITCH}: must have its row; it is made when Open vSwitch is started")
        present = self.actual.external_ids
        own = bridge_mappings_key(present, present.get("system-id", ""))
        after = {key: self.mappings_in(key) for key in (BRIDGE_MAPPINGS, own)}
        if own != BRIDGE_MAPPINGS and after[own] is None:
            after[own] = ""  # Without it ovn-controller would turn to the plain key, and map what is there.
        self.put(_OPEN_VSWITCH, self.actual.uuid, "external_ids", present, after)

    def mappings_in(self, key: str) -> str | None:
        """Return what a key becomes."""
        try:
            kept = without_bridge_mappings(self.actual.external_ids.get(key), self.wanted.unmapped)
            return merged_bridge_mappings(kept, self.wanted.mappings)
        except SpecError as error:
            where = f"{_OPEN_VSWITCH} external_ids:{key}"
            problems = [replace(problem, subject=where) for problem in error.problems]
            if isinstance(error, TextError):
                raise TextError(zip(problems, error.offsets, strict=True)) from None
            raise SpecError(problems) from None

    # --- ports ---

    def plug(self, wanted: OvsInterface, bridge: BridgeRow) -> None:
        port, interface = self.ports.get(wanted.name), self.interfaces.get(wanted.name)
        stale = [row for row in self.claiming(wanted.iface_id, bridge) if row.name != wanted.name]
        problem = self.fault(wanted, port, interface, stale)
        if problem:
            self.refused[_PORT, wanted.name] = problem
            return
        before = len(self.changes)
        held = self.hold_interface(wanted, interface)
        reference = self.hold_port(wanted, port, held)
        if reference not in bridge.ports:
            self.coming.setdefault(bridge.uuid, set()).add(reference)
        for row in stale:
            self.take(row, bridge)
        if len(self.changes) > before or stale or reference not in bridge.ports:
            self.rely_on(wanted, port, interface, bridge)

    def hold_interface(self, wanted: OvsInterface, present: InterfaceRow | None) -> Reference:
        put: dict[str, str | None] = {**dict.fromkeys(wanted.removed_ids), **wanted.external_ids}
        if present is None:
            columns: dict[str, Cell] = {"name": wanted.name, "external_ids": dict(wanted.external_ids)}
            columns |= {"type": wanted.type} if wanted.type else {}
            columns |= {} if wanted.mtu_request is None else {"mtu_request": wanted.mtu_request}
            return self.insert(NewRow(_INTERFACE, wanted.name), columns)
        if present.type != wanted.type and not (is_ordinary(present.type) and is_ordinary(wanted.type)):
            self.changes.append(Assign(_INTERFACE, present.uuid, "type", present.type, wanted.type))
        if wanted.mtu_request not in (None, present.mtu_request):
            mtus = present.mtu_request, wanted.mtu_request
            self.changes.append(Assign(_INTERFACE, present.uuid, "mtu_request", *mtus))
        self.put(_INTERFACE, present.uuid, "external_ids", present.external_ids, put)
        return present.uuid

    def hold_port(self, wanted: OvsInterface, present: PortRow | None, held: Reference) -> Reference:
        interfaces = frozenset({held})
        if present is None:
            columns: dict[str, Cell] = {
                "name": wanted.name,
                "interfaces": interfaces,
                "other_config": dict(wanted.other_config),
            }
            return self.insert(NewRow(_PORT, wanted.name), columns)
        if present.interfaces != interfaces:
            before: frozenset[Reference] = frozenset(present.interfaces)
            self.changes.append(Assign(_PORT, present.uuid, "interfaces", before, interfaces))
        self.put(_PORT, present.uuid, "other_config", present.other_config, wanted.other_config)
        return present.uuid

    def unplug(self, gone: GonePort) -> None:
        port = self.ports.get(gone.name)
        if port is None:
            return
        bridges = self.bridges_of(port)
        if gone.name in self.bridges:
            self.refused[_PORT, gone.name] = _own_of_bridge(gone.name)
        elif gone.bridge not in bridges:
            self.refused[_PORT, gone.name] = _elsewhere(gone.name, gone.bridge, bridges)
        elif gone.iface_id in ("", *(row.external_ids.get(IFACE_ID) for row in self.interfaces_of(port))):
            self.take(port, self.bridges[gone.bridge])

    # --- what others have ---

    def fault(
        self, wanted: OvsInterface, port: PortRow | None, interface: InterfaceRow | None, stale: Iterable[PortRow]
    ) -> Problem | None:
        """Return why a port cannot be had."""
        if wanted.name in self.bridges:
            return _own_of_bridge(wanted.name)
        others = [name for name in self.bridges_of(port) if name != wanted.bridge] if port else []
        if others:
            return _elsewhere(wanted.name, wanted.bridge, others)
        holders = {row.name for row in self.actual.ports.values() if interface and interface.uuid in row.interfaces}
        foreign = sorted(holders - {wanted.name} - {row.name for row in stale})
        if foreign:
            why = f"must not hold the interface {wanted.name!r}: whoever made that port must take it out"
            return Problem("interfaces", why, subject=f"Port {', '.join(foreign)}")
        rows = [*(self.interfaces_of(port) if port else ()), *([interface] if interface else ())]
        return next((problem for row in rows if (problem := _added_for_another(wanted, row))), None)

    def claiming(self, iface_id: str, bridge: BridgeRow) -> Iterator[PortRow]:
        """Yield the bridge's ports with an interface that has this `iface-id`."""
        claimed = {row.uuid for row in self.claims(iface_id)}
        ports = (self.actual.ports[uuid] for uuid in sorted(bridge.ports) if claimed and uuid in self.actual.ports)
        return (port for port in ports if port.interfaces & claimed)

    def claims(self, iface_id: str) -> Iterator[InterfaceRow]:
        rows = self.actual.interfaces.values() if iface_id else ()
        return (row for row in rows if row.external_ids.get(IFACE_ID) == iface_id)

    def bridges_of(self, port: PortRow) -> list[str]:
        return sorted(bridge.name for bridge in self.actual.bridges.values() if port.uuid in bridge.ports)

    def interfaces_of(self, port: PortRow) -> list[InterfaceRow]:
        return [self.actual.interfaces[uuid] for uuid in sorted(port.interfaces) if uuid in self.actual.interfaces]

    # --- changes, and what they rely on ---

    def insert(self, row: NewRow, columns: Mapping[str, Cell]) -> NewRow:
        self.changes.append(Insert(row, columns))
        return row

    def put(
        self, table: str, uuid: str, column: str, present: Mapping[str, str], wanted: Mapping[str, str | None]
    ) -> None:
        after = {key: value for key, value in wanted.items() if present.get(key) != value}
        if after:
            self.changes.append(PutKeys(table, uuid, column, present, after))

    def take(self, port: PortRow, bridge: BridgeRow) -> None:
        """Take a port out of its bridge; the server deletes rows that nobody refers to."""
        self.leaving.setdefault(bridge.uuid, set()).add(port.uuid)
        self.rely_on_port(port, bridge)
        for interface in self.interfaces_of(port):
            self.rely_on_ids(interface)

    def members(self) -> Iterator[Members]:
        for uuid in dict.fromkeys((*self.leaving, *self.coming)):
            leaving, coming = self.leaving.get(uuid, ()), self.coming.get(uuid, ())
            yield Members(_BRIDGE, uuid, "ports", frozenset(leaving), frozenset(coming))

    def rely_on(
        self, wanted: OvsInterface, port: PortRow | None, interface: InterfaceRow | None, bridge: BridgeRow
    ) -> None:
        if wanted.iface_id:
            uuids = frozenset(row.uuid for row in self.claims(wanted.iface_id))
            ids = {IFACE_ID: wanted.iface_id}
            self.relied.append(Relied(_INTERFACE, "external_ids", ids, uuids, includes=True))
        self.relied.append(Relied(_BRIDGE, "name", bridge.name, frozenset({bridge.uuid})))
        if port and port.uuid in bridge.ports:
            self.rely_on_port(port, bridge)
        if interface:
            self.rely_on_ids(interface)

    def rely_on_port(self, port: PortRow, bridge: BridgeRow) -> None:
        held: frozenset[Reference] = frozenset({port.uuid})
        interfaces: frozenset[Reference] = frozenset(port.interfaces)
        on_bridge = Relied(_BRIDGE, "ports", held, frozenset({bridge.uuid}), row=bridge.uuid, includes=True)
        as_read = Relied(_PORT, "interfaces", interfaces, frozenset({port.uuid}), row=port.uuid)
        self.relied += [on_bridge, as_read]

    def rely_on_ids(self, interface: InterfaceRow) -> None:
        uuids, ids = frozenset({interface.uuid}), interface.external_ids
        self.relied.append(Relied(_INTERFACE, "external_ids", ids, uuids, row=interface.uuid))


def _own_of_bridge(name: str) -> Problem:
    # As ovs-vsctl refuses it: the port has the bridge's name, and goes with the bridge alone.
    why = f"must not be had or deleted: it is the local port of bridge {name!r}; take another name"
    return Problem("name", why, subject=f"{_PORT} {name}")


def _elsewhere(name: str, bridge: str, others: Iterable[str]) -> Problem:
    there = ", ".join(f'"{other}"' for other in others) or "none"
    why = f'port "{name}" is already attached to bridge {there}; it is not moved to or taken from "{bridge}"'
    return Problem("ports", f"{why}: whoever plugged it in there must take it out", subject=f"Bridge {bridge}")


def _added_for_another(wanted: OvsInterface, row: InterfaceRow) -> Problem | None:
    """Return whose an interface is if it is another's, in the CNI plug-in's words where it has some.

    Without `iface-id` it is nobody's, unless its type tells that it is no pod's.
    """
    old = row.external_ids.get(IFACE_ID, "")
    if old and old != wanted.iface_id:
        why = f"OVS port {wanted.name} was added for iface-id ({old}), now readding it for ({wanted.iface_id})"
        return Problem("external_ids:iface-id", why, subject=f"Interface {row.name}")
    if not old and not is_ordinary(row.type) and row.type not in ("internal", wanted.type):
        why = f"OVS port {wanted.name} is of type {row.type} and of no pod: whoever made it must take it out"
        return Problem("type", why, subject=f"Interface {row.name}")
    nad, expected = row.external_ids.get(NAD, DEFAULT), wanted.external_ids.get(NAD, DEFAULT)
    if old and nad != expected:
        why = f"OVS port {wanted.name} was added for NAD ({nad}), expect ({expected})"
        return Problem(f"external_ids:{NAD}", why, subject=f"Interface {row.name}")
    return None
