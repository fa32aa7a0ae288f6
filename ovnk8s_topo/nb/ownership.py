"""Who owns a row.

A row says so itself (`OWNER_KEY` in its external_ids). In a table without external_ids the uuid says it: ours are
functions of owner, table and name. Shared rows belong to nobody.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache

from ovnk8s_topo.nb.rowset import Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, TABLES, Key, Row, row_from_values

_NAMESPACE = uuid.UUID("6f7666b8-7473-5f74-906f-6f766e6b3873")
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit that holds the variant of a uuid: its upper two bits are 10."""


def marked(row: Row, owner: str) -> Row:
    """Return the row with its owner's mark, if its table has a place for one."""
    if row.TABLE.mark != "external_ids":
        return row
    values = {name: getattr(row, name) for name in row.TABLE.puts}
    return row_from_values(type(row), {**values, "external_ids": {**values["external_ids"], OWNER_KEY: owner}})


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
    return uuids_of(owner, key.table)(key.name)


@lru_cache(maxsize=64)
def uuids_of(owner: str, table: str) -> Callable[[str], str]:
    """Return what gives the uuids of one owner's rows in one table, by name; see `uuid_of`."""
    scope = "" if TABLES[table].mark == "shared" else owner
    in_common = hashlib.sha1(_NAMESPACE.bytes + f"{scope}\0{table}\0".encode(), usedforsecurity=False)

    def uuid_from_name(name: str) -> str:
        digest = in_common.copy()
        digest.update(name.encode())
        text = digest.hexdigest()
        # As uuid.uuid5 does (RFC 9562 section 5.5), which makes an object of its own and takes three times as long.
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:32]}"

    return uuid_from_name


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
