"""Who owns a row.

A row says so itself (`OWNER_KEY` in its external_ids). In a table without external_ids the uuid says it: ours are
functions of owner, table and name. Shared rows belong to nobody.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from ovnk8s_topo.nb.rowset import RowSet, Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, TABLES, Key, R, Row

_NAMESPACE = uuid.UUID("6f7666b8-7473-5f74-906f-6f766e6b3873")
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit that holds the variant of a uuid: its upper two bits are 10."""


def marked(row: Row, owner: str) -> Row:
    """Return the row with its owner's mark, if its table has a place for one."""
    return next(marked_rows([row], owner))


def marked_rows(rows: Iterable[Row], owner: str) -> Iterator[Row]:
    """Yield the rows with their owner's mark, those whose tables have a place for one.

    Rows that share their external_ids, as the ports of one network do, share them marked, too.
    """
    with_mark: dict[int, Mapping[str, str]] = {}
    unmarked = []  # keeps them alive, so that no two of them have one id
    for row in rows:
        if row.TABLE.mark != "external_ids":
            yield row
            continue
        before = external_ids_of(row)
        if (external_ids := with_mark.get(id(before))) is None:
            external_ids = with_mark[id(before)] = {**before, OWNER_KEY: owner}
            unmarked.append(before)
        yield with_external_ids(row, external_ids)


def with_external_ids(row: R, external_ids: Mapping[str, str]) -> R:
    """Return the row with other external_ids."""
    table, made = row.TABLE, object.__new__(type(row))
    for put, value in zip(table.puts.values(), table.everything(row), strict=True):
        put(made, value)
    table.puts["external_ids"](made, external_ids)
    return made


def marked_set(rows: RowSet, owner: str) -> RowSet:
    """Return the same rows with their owner's mark; see `marked_rows`."""
    return RowSet.by_key(dict(zip(rows, marked_rows(rows.values(), owner), strict=True)))


def external_ids_of(row: Row) -> Mapping[str, str]:
    """Return the row's external_ids, empty where its table has none."""
    if "external_ids" not in row.TABLE.columns:
        return {}
    external_ids: Mapping[str, str] = getattr(row, "external_ids")  # noqa: B009 - not every table has them
    return external_ids


def uuid_of(owner: str, key: Key) -> str:
    """Return the uuid that a new row gets: a function of owner, table and name, of name alone in shared tables.

    Two writers of one owner, or one writer that repeats itself, collide on the server instead of making two rows.
    """
    digest = _digest_of(owner, key.table).copy()
    digest.update(key.name.encode())
    text = digest.hexdigest()
    # As uuid.uuid5 does (RFC 9562 section 5.5), which makes an object of its own first and takes three times as long.
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:32]}"


@lru_cache(maxsize=64)
def _digest_of(owner: str, table: str) -> hashlib._Hash:
    """Return the digest of all that the uuids of one owner's rows in one table have in common."""
    scope = "" if TABLES[table].mark == "shared" else owner
    return hashlib.sha1(_NAMESPACE.bytes + f"{scope}\0{table}\0".encode(), usedforsecurity=False)


def owned_by(stored: Stored, owner: str) -> bool:
    """Tell whether `owner` made the row or took it over."""
    match stored.row.TABLE.mark:
        case "external_ids":
            return external_ids_of(stored.row).get(OWNER_KEY) == owner
        case "uuid":
            return stored.uuid == uuid_of(owner, stored.key)
        case "shared":
            return False


def named_owner(stored: Stored) -> str | None:
    """Return the owner that the row itself names, None if it names none."""
    return external_ids_of(stored.row).get(OWNER_KEY)
