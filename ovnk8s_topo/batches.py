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
    later = [change for change in changes if isinstance(change, Insert) and _is_part_of_a_network(change, units)]
    by_unit = _grouped(later, units)
    for unit in _needed_by_updates(changes, later, units):
        by_unit.pop(unit, None)
    waiting = {id(change) for group in by_unit.values() for change in group}
    first = tuple(change for change in changes if id(change) not in waiting)
    if first:
        yield ChangeSet(first, changes.uuids)
    for bundle in _bundles(_by_switch(by_unit), size):
        yield ChangeSet(bundle, changes.uuids)


def _is_part_of_a_network(change: Insert, units: Mapping[Key, Unit]) -> bool:
    unit = units.get(change.key)
    return unit is not None and not unit.is_network


def _grouped(inserts: Iterable[Insert], units: Mapping[Key, Unit]) -> dict[Unit, list[Change]]:
    by_unit: dict[Unit, list[Change]] = {}
    for insert in inserts:
        by_unit.setdefault(units[insert.key], []).append(insert)
    return by_unit


def _needed_by_updates(changes: ChangeSet, inserts: Iterable[Insert], units: Mapping[Key, Unit]) -> Iterator[Unit]:
    """Yield the units of new rows into which existing ones move."""
    updates = (change for change in changes if isinstance(change, Update))
    homes = {uuid for update in updates for part in update.parts if isinstance(part, Move) for uuid in part.after}
    return (units[insert.key] for insert in inserts if insert.uuid in homes)


def _by_switch(by_unit: Mapping[Unit, list[Change]]) -> Iterator[list[Change]]:
    """Yield the rows of every unit; after a node's those of the pods in its switch, which may be new itself."""
    tenants: dict[str, list[Unit]] = {}
    for unit, group in by_unit.items():
        home = unit.pod and next(
            (uuid for change in group if isinstance(change, Insert) for uuid in change.holders), ""
        )
        tenants.setdefault(home, []).append(unit)
    for unit in tenants.pop("", ()):
        yield by_unit[unit]
        for change in by_unit[unit]:
            for tenant in tenants.pop(change.uuid, ()) if isinstance(change, Insert) else ():
                yield by_unit[tenant]
    for units in tenants.values():
        yield from (by_unit[unit] for unit in units)


def _bundles(groups: Iterable[list[Change]], size: int) -> Iterator[tuple[Change, ...]]:
    bundle: list[Change] = []
    for group in groups:
        if bundle and len(bundle) + len(group) > size:
            yield tuple(bundle)
            bundle = []
        bundle += group
    if bundle:
        yield tuple(bundle)
