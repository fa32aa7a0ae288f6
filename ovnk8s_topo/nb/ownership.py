"""Who owns a row.

A row says so itself (`OWNER_KEY` in its external_ids). In a table without external_ids the uuid says it: ours are
functions of owner, table and name. Shared rows belong to nobody.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ovnk8s_topo.nb.rowset import Stored
from ovnk8s_topo.nb.tables import OWNER_KEY, TABLES, Key, Row

_NAMESPACE = uuid.UUID("6f7666b8-7473-5f74-906f-6f766e6b3873")


def marked(row: Row, owner: str) -> Row:
    """Return the row with its owner's mark, if its table has a place for one."""
    if row.TABLE.mark != "external_ids":
        return row
    external_ids = {**external_ids_of(row), OWNER_KEY: owner}
    return replace(row, **cast(dict[str, Any], {"external_ids": external_ids}))


def external_ids_of(row: Row) -> Mapping[str, str]:
    """Return the row's external_ids, empty where its table has none."""
    return cast(Mapping[str, str], row.get("external_ids")) if "external_ids" in row.TABLE.columns else {}


def uuid_of(owner: str, key: Key) -> str:
    """Return the uuid that a new row gets: a function of owner, table and name, of name alone in shared tables.

    Two writers of one owner, or one writer that repeats itself, collide on the server instead of making two rows.
    """
    scope = "" if TABLES[key.table].mark == "shared" else owner
    return str(uuid.uuid5(_NAMESPACE, "\0".join((scope, *key))))


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
