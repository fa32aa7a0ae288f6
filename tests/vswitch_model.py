"""What a server makes of wiring changes, in a few lines: the model that decisions are tested against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ovnk8s_topo.nodeside import BridgeRow, InterfaceRow, PortRow, VswitchRows, WiringChanges
from ovnk8s_topo.nodeside.rows import Assign, Insert, Members, NewRow, PutKeys, Reference, Relied

TABLES = {"Bridge": "bridges", "Port": "ports", "Interface": "interfaces"}
KINDS: Mapping[str, Any] = {"Bridge": BridgeRow, "Port": PortRow, "Interface": InterfaceRow}


def rows_of(bridges: Iterable[Any], ports: Iterable[Any], interfaces: Iterable[Any], **columns: Any) -> VswitchRows:
    """Rows by uuid; the uuid of what is called x is "Port x" and so on, and so references may be written as names."""
    return VswitchRows(
        uuid="root",
        bridges={row.uuid: row for row in bridges},
        ports={row.uuid: row for row in ports},
        interfaces={row.uuid: row for row in interfaces},
        **columns,
    )


def uuid_of(table: str, name: str) -> str:
    return f"{table} {name}"


def bridge(name: str, *ports: str) -> BridgeRow:
    return BridgeRow(uuid=uuid_of("Bridge", name), name=name, ports=frozenset(uuid_of("Port", port) for port in ports))


def port(name: str, *interfaces: str, **other_config: str) -> PortRow:
    held = frozenset(uuid_of("Interface", interface) for interface in interfaces or (name,))
    return PortRow(uuid=uuid_of("Port", name), name=name, interfaces=held, other_config=other_config)


def interface(name: str, external_ids: Mapping[str, str] | None = None, **columns: Any) -> InterfaceRow:
    return InterfaceRow(uuid=uuid_of("Interface", name), name=name, external_ids=external_ids or {}, **columns)


def applied(rows: VswitchRows, changes: WiringChanges) -> VswitchRows:
    """Check all that the changes rely on, make them, and delete what nobody refers to, as the server would."""
    for relied in changes.relied:
        assert _meeting(rows, relied) == relied.uuids, relied
    tables: dict[str, dict[str, Any]] = {name: dict(getattr(rows, field)) for name, field in TABLES.items()}
    root = rows
    for change in changes.changes:
        match change:
            case Insert(NewRow(table, name) as new, columns):
                uuid = _uuid(new)
                assert name not in {row.name for row in tables[table].values()}
                tables[table][uuid] = KINDS[table](uuid=uuid, **{key: _cell(cell) for key, cell in columns.items()})
            case PutKeys("Open_vSwitch", uuid, "external_ids", before, after):
                assert (uuid, before) == (root.uuid, root.external_ids)
                root = replace(root, external_ids=_put(before, after))
            case PutKeys(table, uuid, column, before, after):
                assert getattr(tables[table][uuid], column) == before
                tables[table][uuid] = replace(tables[table][uuid], **{column: _put(before, after)})
            case Assign(table, uuid, column, value, cell):
                assert getattr(tables[table][uuid], column) == value
                tables[table][uuid] = replace(tables[table][uuid], **{column: _cell(cell)})
            case Members(table, uuid, column, removed, added):
                row = tables[table][uuid]
                members = (getattr(row, column) - removed) | {_uuid(reference) for reference in added}
                tables[table][uuid] = replace(row, **{column: members})
    bridges, ports, interfaces = (tables[name] for name in TABLES)
    return _collected(replace(root, bridges=bridges, ports=ports, interfaces=interfaces))


def _collected(rows: VswitchRows) -> VswitchRows:
    on_bridges = {uuid for row in rows.bridges.values() for uuid in row.ports}
    ports = {uuid: row for uuid, row in rows.ports.items() if uuid in on_bridges}
    held = {uuid for row in ports.values() for uuid in row.interfaces}
    return replace(rows, ports=ports, interfaces={uuid: row for uuid, row in rows.interfaces.items() if uuid in held})


def _meeting(rows: VswitchRows, relied: Relied) -> frozenset[str]:
    table: Mapping[str, Any] = getattr(rows, TABLES[relied.table])
    return frozenset(uuid for uuid, row in table.items() if relied.row in ("", uuid) and _meets(row, relied))


def _meets(row: Any, relied: Relied) -> bool:
    held = getattr(row, relied.column)
    if not relied.includes:
        return bool(held == relied.value)
    if isinstance(relied.value, Mapping):
        return bool(relied.value.items() <= held.items())
    assert isinstance(relied.value, frozenset)
    return bool(relied.value <= held)


def _put(before: Mapping[str, str], after: Mapping[str, str | None]) -> dict[str, str]:
    kept = {key: value for key, value in before.items() if key not in after}
    return kept | {key: value for key, value in after.items() if value is not None}


def _cell(cell: Any) -> Any:
    return frozenset(map(_uuid, cell)) if isinstance(cell, frozenset) else cell


def _uuid(reference: Reference) -> str:
    return uuid_of(reference.table, reference.name) if isinstance(reference, NewRow) else reference
