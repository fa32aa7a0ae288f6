"""What ovsdb-server does when a transaction is complete: references, garbage, weak references, unique names.

The order is the server's (ovsdb/transaction.c, ovsdb_txn_precommit), because it decides which fault is reported.
The rules are those of RFC 7047 section 3.2 (refType, isRoot, indexes, maxRows).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from ovnk8s_topo.backends.catalog import CATALOG, POINTING_AT, Reference
from ovnk8s_topo.backends.datum import Datum, OpError, check_count
from ovnk8s_topo.backends.draft import Change, Draft, Place, StoredRow

_NOTHING: set[str] = set()


def settle(draft: Draft) -> dict[Place, Change]:
    """Complete a transaction and return what it changed in the end, garbage and emptied weak references included.

    OpError  `referential integrity violation` or `constraint violation`; the caller undoes the draft
    """
    changes = draft.changes()
    if not changes:
        return {}
    _relink(draft, changes)
    _check_strong(draft, changes)
    _collect(draft, changes)
    _check_sizes(draft, changes)
    _empty_weak(draft)
    final = draft.changes()
    _check_names(draft, final)
    return final


def _counts(ref: Reference, source: str, target: str) -> bool:
    # A strong reference to the row's own uuid is not counted, nor missed (ovsdb/transaction.c: "Self-references don't
    # count"), even if it names another table.
    return not (ref.strong and source == target)


def _targets(row: StoredRow | None, ref: Reference) -> set[str]:
    return _NOTHING if row is None else cast(set[str], row[ref.column])


def _relink(draft: Draft, changes: dict[Place, Change]) -> None:
    for place, (before, after) in changes.items():
        for ref in CATALOG[place.table].references:
            old, new = _targets(before, ref), _targets(after, ref)
            if old is not new:
                _relink_column(draft, ref, place.uuid, old - new, new - old)


def _relink_column(draft: Draft, ref: Reference, source: str, gone: Iterable[str], come: Iterable[str]) -> None:
    for target in gone:
        draft.unlink(ref, source, target)
    for target in come:
        if _counts(ref, source, target):
            draft.link(ref, source, target)


def _check_strong(draft: Draft, changes: dict[Place, Change]) -> None:
    for place, (before, after) in changes.items():
        if after is None:
            _check_unnamed(draft, place)
            continue
        for ref in CATALOG[place.table].references:
            if ref.strong:
                _check_targets(draft, ref, place, _targets(after, ref) - _targets(before, ref))


def _check_unnamed(draft: Draft, place: Place) -> None:
    holders = draft.store.holders(place, strong=True)
    if holders:
        why = f"because of {len(holders)} remaining reference(s)"
        raise OpError("referential integrity violation", f"cannot delete {place.table} row {place.uuid} {why}")


def _check_targets(draft: Draft, ref: Reference, place: Place, targets: set[str]) -> None:
    for target in sorted(targets):
        if target not in draft.store.rows[ref.target] and _counts(ref, place.uuid, target):
            why = f"references nonexistent row {target} in table {ref.target}."
            where = f"Table {ref.table} column {ref.column} row {place.uuid}"
            raise OpError("referential integrity violation", f"{where} {why}")


def _collect(draft: Draft, changes: dict[Place, Change]) -> None:
    """Remove rows of non-root tables that nothing names, and then those that only these had named."""
    suspects = [place for place, change in changes.items() if change.after is not None]
    suspects += [place for change in changes.items() for place in _let_go(*change)]
    while suspects:
        place = suspects.pop()
        if _is_garbage(draft, place):
            row = draft.remove(place)
            suspects += _let_go(place, Change(row, None))
            for ref in CATALOG[place.table].references:
                _relink_column(draft, ref, place.uuid, _targets(row, ref), ())


def _let_go(place: Place, change: Change) -> Iterator[Place]:
    for ref in CATALOG[place.table].references:
        if ref.strong:
            for target in _targets(change.before, ref) - _targets(change.after, ref):
                yield Place(ref.target, target)


def _is_garbage(draft: Draft, place: Place) -> bool:
    if CATALOG[place.table].root or place.uuid not in draft.store.rows[place.table]:
        return False
    return not any(draft.store.sources[ref].get(place.uuid) for ref in POINTING_AT[place.table] if ref.strong)


def _check_sizes(draft: Draft, changes: dict[Place, Change]) -> None:
    for table in {place.table for place in changes}:
        count, most = len(draft.store.rows[table]), CATALOG[table].max_rows
        if count > most:
            raise OpError("constraint violation", f'"{table}" would contain {count} rows, more than its {most}')


def _empty_weak(draft: Draft) -> None:
    """Take uuids of rows that do not exist out of weak references."""
    for place, (_, after) in draft.changes().items():
        for ref in CATALOG[place.table].references:
            if after is not None and not ref.strong:
                for target in _targets(after, ref) - draft.store.rows[ref.target].keys():
                    _take_out(draft, ref, place.uuid, target)
        if after is None:
            for ref, source in draft.store.holders(place, strong=False):
                _take_out(draft, ref, source, place.uuid)


def _take_out(draft: Draft, ref: Reference, source: str, target: str) -> None:
    datum: Datum = draft.column(Place(ref.table, source), ref.column)
    cast(set[str], datum).discard(target)
    draft.unlink(ref, source, target)
    check_count(CATALOG[ref.table].columns[ref.column], datum)


def _check_names(draft: Draft, changes: dict[Place, Change]) -> None:
    """Check unique names at the end, so that two rows may swap theirs within one transaction."""
    renamed = [
        (place, _name(change.before), _name(change.after))
        for place, change in changes.items()
        if CATALOG[place.table].indexed and _name(change.before) != _name(change.after)
    ]
    for place, old, _ in renamed:
        if old is not None:
            draft.free(place, old)
    for place, _, new in renamed:
        if new is not None:
            if new in draft.store.names[place.table]:
                what = f'identical values ("{new}") for index on column "name".'
                why = f'Transaction causes multiple rows in "{place.table}" table to have {what}'
                raise OpError("constraint violation", why)
            draft.bear(place, new)


def _name(row: StoredRow | None) -> str | None:
    return None if row is None else cast(str, next(iter(row["name"])))
