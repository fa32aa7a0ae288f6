"""A large change set as several smaller ones, cut between units only.

Law: pure. Made one after the other, the parts do what the whole does, and no unit is ever half there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ovnk8s_topo.changes import Change, ChangeSet, Insert, Move, Update
from ovnk8s_topo.nb.tables import Key
from ovnk8s_topo.planner import Unit

BATCH = 200
"""Rows in one batch, if units allow: ovsdb-server is at its best with some dozens to some hundreds of operations."""


def batches(changes: ChangeSet, units: Mapping[Key, Unit], size: int = BATCH) -> Iterator[ChangeSet]:
    """Yield change sets that are to be made one after the other.

    changes  as `diff` returns them
    units    what each new row was made for (`Desired.units`)
    size     number of rows in a batch; a unit with more rows is a batch of its own

    The first holds whatever changes or deletes existing rows, so that nobody is given what somebody else still has,
    and the rows of networks as a whole. The others hold new nodes and attachments, those of one switch together.
    """
    parts = _parts_of_networks(changes, units)
    for unit in _needed_by_updates(changes, parts):
        parts.pop(unit, None)
    waiting = {id(change) for group in parts.values() for change in group}
    first = tuple(change for change in changes if id(change) not in waiting)
    if first:
        yield ChangeSet(first, changes.uuids)
    for bundle in _bundles(_by_switch(parts), size):
        yield ChangeSet(bundle, changes.uuids)


def _parts_of_networks(changes: ChangeSet, units: Mapping[Key, Unit]) -> dict[Unit, list[Insert]]:
    """Return the new rows of each node of a network, and of each attachment."""
    found: dict[Unit, list[Insert]] = {}
    for change in changes:
        if isinstance(change, Insert):
            unit = units.get(change.row.key)
            if unit is not None and (unit.pod or unit.node):
                found.setdefault(unit, []).append(change)
    return found


def _needed_by_updates(changes: ChangeSet, parts: Mapping[Unit, list[Insert]]) -> list[Unit]:
    """Return the units of new rows into which existing ones move."""
    updates = (change for change in changes if isinstance(change, Update))
    homes = {uuid for update in updates for part in update.parts if isinstance(part, Move) for uuid in part.after}
    return [unit for unit, group in parts.items() if homes and any(insert.uuid in homes for insert in group)]


def _by_switch(parts: Mapping[Unit, list[Insert]]) -> Iterator[list[Insert]]:
    """Yield the rows of every unit; after a node's those of the pods in its switch, which may be new itself."""
    nodes: list[list[Insert]] = []
    tenants: dict[str, list[list[Insert]]] = {}
    for unit, group in parts.items():
        if unit.pod:
            # An attachment has but one row, its port.
            tenants.setdefault(next(iter(group[0].holders), ""), []).append(group)
        else:
            nodes.append(group)
    for group in nodes:
        yield group
        for insert in group:
            yield from tenants.pop(insert.uuid, ())
    for groups in tenants.values():
        yield from groups


def _bundles(groups: Iterable[list[Insert]], size: int) -> Iterator[tuple[Change, ...]]:
    bundle: list[Change] = []
    for group in groups:
        if bundle and len(bundle) + len(group) > size:
            yield tuple(bundle)
            bundle = []
        bundle += group
    if bundle:
        yield tuple(bundle)
