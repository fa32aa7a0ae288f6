"""The in-memory database as a JSON document: sorted, so that two of them can be compared line by line.

Law: what is read is checked as a server would check it, and every fault says where and what must hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ovnk8s_topo.backends.engine import Database
from ovnk8s_topo.errors import BackendError, BackendUnavailable, Position

FORMAT = "ovnk8s-topo/nb-snapshot/1"
"""Names the format and its version; any other document is refused."""

Dump = dict[str, Any]
"""``{"format": FORMAT, "tables": {table: {uuid: {column: value}}}}``, values as RFC 7047 section 5.1 writes them."""


def dump(database: Database) -> Dump:
    """Return the whole database as a JSON document."""
    return {"format": FORMAT, "tables": database.dump()}


def fill(database: Database, document: object) -> None:
    """Put the rows of a document into an empty database.

    BackendError  the document is of another format, or holds what ovsdb-server would refuse or drop
    """
    _fill(database, document, "", "<dump>")


def read_file(database: Database, path: Path) -> bool:
    """Put the rows of a file into an empty database; return whether there is such a file.

    BackendError        the file is not such a document; the text says path, line and column
    BackendUnavailable  the file is there and cannot be read
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except UnicodeDecodeError as error:
        raise BackendError(f"{path}: must be UTF-8 text: {error}") from error
    except OSError as error:
        raise BackendUnavailable(f"{path}: cannot be read: {error}") from error
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BackendError(f"{_position(path, error)}: must be JSON: {error}") from error
    _fill(database, document, text, str(path))
    return True


def write_file(database: Database, path: Path) -> None:
    """Write the database to a file, in one step: whoever reads it sees the old or the new content.

    BackendUnavailable  the file cannot be written; the old one is as it was
    """
    text = json.dumps(dump(database), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        _replace(path, text.encode())
    except OSError as error:
        raise BackendUnavailable(f"{path}: cannot be written, nothing was changed: {error}") from error


def _replace(path: Path, content: bytes) -> None:
    target = path.resolve()  # a symbolic link stays one
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _mode(path: Path) -> int:
    # mkstemp makes files for their owner only; the permissions of the file that is replaced are the user's choice.
    return path.stat().st_mode & 0o777 if path.exists() else 0o644


def _position(path: Path, error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return str(Position(str(path), error.lineno, error.colno))
    return str(path)


def _fill(database: Database, document: object, text: str, name: str) -> None:
    tables = _tables(document, name)
    rows = list(_rows(tables, text, name))
    results = database.transact([_insert(table, uuid, row) for table, uuid, row in rows])
    for number, result in enumerate(results):
        if result and "error" in result:
            where = _where(rows[number], text, name) if number < len(rows) else name
            raise BackendError(f"{where}: must be rows that ovsdb-server takes: {result['error']}: {result['details']}")
    for table, uuid, row in rows:
        if uuid.lower() not in database.store.rows[table]:
            raise BackendError(f"{_where((table, uuid, row), text, name)}: must be a row that another row refers to")


def _tables(document: object, name: str) -> Mapping[str, object]:
    found = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or found != FORMAT:
        given = f" (got format {found!r})" if found is not None else ""
        raise BackendError(f'{name}:1:1: must be a Northbound snapshot, with "format": "{FORMAT}"{given}')
    tables = document.get("tables")
    if not isinstance(tables, dict):
        raise BackendError(f'{name}:1:1: must have an object under "tables"')
    return tables


def _rows(tables: Mapping[str, object], text: str, name: str) -> Iterator[tuple[str, str, object]]:
    for table, rows in tables.items():
        if not isinstance(rows, dict):
            raise BackendError(f"{_place(text, table, name)}: the rows of {table} must be an object")
        for uuid, row in rows.items():
            yield table, uuid, row


def _insert(table: str, uuid: str, row: object) -> dict[str, Any]:
    return {"op": "insert", "table": table, "uuid": uuid, "row": row}


def _where(row: tuple[str, str, object], text: str, name: str) -> str:
    table, uuid, _ = row
    return f"{_place(text, uuid, name)}: {table} {uuid}"


def _place(text: str, key: str, name: str) -> str:
    """Return file, line and column of an object's key, just the file if there is no text."""
    offset = text.find(f"{json.dumps(key, ensure_ascii=False)}:")
    if offset < 0:
        return name
    line_start = text.rfind("\n", 0, offset) + 1
    return str(Position(name, text.count("\n", 0, offset) + 1, offset - line_start + 1))
