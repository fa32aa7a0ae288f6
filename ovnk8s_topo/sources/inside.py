"""Where a character of a text value stands in the file: through block scalars and escapes, when it can be told."""

from __future__ import annotations

import re

from ovnk8s_topo.sources.documents import Place

_JSON_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)|[^\\]", re.DOTALL)
_LITERAL_HEAD = re.compile(r"\|[0-9+-]*[ \t]*(?:#[^\n]*)?\r?\n")


def place_inside(text: str, start: Place, value: str, offset: int) -> Place:
    """Return the place of `value[offset]`, given where the value starts in `text`; its start if that is uncertain."""
    sign = text[start.index : start.index + 1]
    if sign == "|":
        return _in_literal(text, start, value, offset) or start
    if sign == '"':
        return _in_quotes(text, start, value, offset) or start
    at = start.index + (sign == "'")
    return _shifted(text, start, at, value, offset) or start


def _shifted(text: str, start: Place, at: int, value: str, offset: int) -> Place | None:
    """Find a value that stands in the file as it is, on one line."""
    head = value[: offset + 1]
    if "\n" in head or not text.startswith(head, at):
        return None
    return Place(at + offset, start.line, start.column + at - start.index + offset)


def _in_quotes(text: str, start: Place, value: str, offset: int) -> Place | None:
    """Walk over the escapes of JSON, which are YAML's too; give up where YAML folds lines."""
    at = start.index + 1
    done = ""
    while len(done) < offset:
        match = _JSON_ESCAPE.match(text, at)
        if not match or match.group() in "\r\n" or not _continues(match.group(), value[len(done)]):
            return None
        done += value[len(done)]
        at = match.end()
    return Place(at, start.line, start.column + at - start.index)


def _continues(piece: str, char: str) -> bool:
    if not piece.startswith("\\"):
        return piece == char
    if piece[1] == "u":
        return chr(int(piece[2:], 16)) == char
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(piece[1], piece[1]) == char


def _in_literal(text: str, start: Place, value: str, offset: int) -> Place | None:
    """Line k of a literal block is line k below its head, indented."""
    head = _LITERAL_HEAD.match(text, start.index)
    if not head:
        return None
    before = value[:offset]
    number, column = before.count("\n"), offset - (before.rfind("\n") + 1)
    wanted = value.split("\n")[number]
    begin = head.end()
    for _ in range(number):
        begin = text.find("\n", begin) + 1
        if not begin:
            return None
    end = text.find("\n", begin)
    line = text[begin : end if end >= 0 else len(text)].rstrip("\r")
    indent = len(line) - len(wanted)
    if indent < 0 or line[:indent].strip(" ") or not line.endswith(wanted):
        return None
    return Place(begin + indent + column, start.line + 1 + number, indent + column + 1)
