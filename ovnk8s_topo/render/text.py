"""Plans and databases as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from ovnk8s_topo.diff import Assign, Change, ChangeSet, Delete, Insert, Members, Move, Part, PutKeys, Update
from ovnk8s_topo.nb.columns import Value
from ovnk8s_topo.nb.ownership import external_ids_of, owned_by
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Row, children_of


def text_from_changes(changes: ChangeSet, leftovers: int = 0) -> str:
    """Return a plan: `+` new, `~` changed, `-` deleted; the columns indented below; a summary last.

    New rows that the whole database shares, always the same ones, take a single line.
    """
    told = [change for change in changes if not _is_new_and_shared(change)]
    lines = [line for change in told for line in _change_lines(change)]
    return "\n".join([*_shared_line(changes), *lines, summary(changes, leftovers)])


def _is_new_and_shared(change: Change) -> bool:
    return isinstance(change, Insert) and change.row.TABLE.mark == "shared"


def _shared_line(changes: ChangeSet) -> Iterator[str]:
    tables = Counter(change.key.table for change in changes if _is_new_and_shared(change))
    if tables:
        counts = ", ".join(f"{count} {table}" for table, count in tables.items())
        yield f"+ {tables.total()} rows shared by all networks: {counts}"


def summary(changes: ChangeSet, leftovers: int = 0) -> str:
    """Return how many rows change, in a line."""
    new, changed, gone = (len(changes.of(kind)) for kind in (Insert, Update, Delete))
    text = f"{new} to insert, {changed} to update, {gone} to delete" if not changes.is_empty else "nothing to do"
    if leftovers:
        rows, them = ("row is", "it") if leftovers == 1 else ("rows are", "them")
        text += f"; {leftovers} {rows} no longer described (delete {them} with prune)"
    return text


def _change_lines(change: Change) -> Iterator[str]:
    match change:
        case Insert(_, row, _):
            yield f"+ {_title(row)}"
            yield from _column_lines(row)
        case Delete(stored):
            yield f"- {_title(stored.row)}"
        case Update(stored, parts):
            yield f"~ {_title(stored.row)}"
            for part in parts:
                yield from _part_lines(part)


def _title(row: Row) -> str:
    parent = row.parent_key
    return f"{row.key}" + (f" in {parent}" if parent else "")


def _column_lines(row: Row) -> Iterator[str]:
    for column, value in row.values():
        if value != column.default and column.name != "name":
            yield f"    {column.name} = {text_from_value(value)}"


def _part_lines(part: Part) -> Iterator[str]:
    match part:
        case Assign(column, before, after):
            yield f"    {column}: {text_from_value(before)} -> {text_from_value(after)}"
        case PutKeys(column, before_keys, after_keys):
            for key in after_keys:
                yield f"    {column}:{key}: {_or_absent(before_keys[key])} -> {_or_absent(after_keys[key])}"
        case Members(column, removed, added):
            yield from (f"    {column}: - {name}" for name in sorted(removed))
            yield from (f"    {column}: + {name}" for name in sorted(added))
        case Move(before_holders, after_holders):
            yield f"    parent: {', '.join(before_holders) or 'none'} -> {', '.join(after_holders) or 'none'}"


def _or_absent(text: str | None) -> str:
    return "(absent)" if text is None else text


def text_from_value(value: Value) -> str:
    """Return a column's value as `ovn-nbctl` would write it, more or less."""
    match value:
        case None:
            return "[]"
        case bool():
            return "true" if value else "false"
        case frozenset():
            return "[" + ", ".join(sorted(value)) + "]"
        case Mapping():
            return "{" + ", ".join(f"{key}={text}" for key, text in sorted(value.items())) + "}"
        case _:
            return str(value)


def text_from_snapshot(snapshot: Snapshot, owner: str | None = None) -> str:
    """Return the switches and routers of a database with their ports, like `ovn-nbctl show`.

    owner  only rows of this owner; None: all
    """
    lines: list[str] = []
    for table, word in (("Logical_Switch", "switch"), ("Logical_Router", "router")):
        for stored in sorted(snapshot.table(table), key=lambda stored: (stored.key, stored.uuid)):
            if owner is None or owned_by(stored, owner):
                lines += [f"{word} {stored.uuid} ({stored.key.name}){_network_note(stored)}"]
                lines += _child_lines(snapshot, stored, 1)
    return "\n".join(lines)


def _network_note(stored: Stored) -> str:
    ids = external_ids_of(stored.row)
    network = ids.get("k8s.ovn.org/network")
    return f"  # {ids.get('k8s.ovn.org/topology', '?')} network {network}" if network else ""


def _child_lines(snapshot: Snapshot, stored: Stored, depth: int) -> Iterator[str]:
    words = {"Gateway_Chassis": "gateway chassis"}
    tables = {table.name for table in children_of(stored.key.table)}
    children = [child for child in snapshot.children(stored.uuid) if child.key.table in tables]
    for child in sorted(children, key=lambda child: child.key):
        yield f"{'    ' * depth}{words.get(child.key.table, 'port')} {child.key.name}"
        for name in _SHOWN:
            value = child.row.get(name) if name in child.row.TABLE.columns else None
            if value:
                yield f"{'    ' * (depth + 1)}{name.replace('_request', '')}: {text_from_value(value)}"
        yield from _child_lines(snapshot, child, depth + 1)


_SHOWN = ("type", "mac", "networks", "addresses", "tag_request", "chassis_name")
