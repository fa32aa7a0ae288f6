"""JSON as Go's encoding/json reads it: the same texts, and a place for every value.

Kubernetes, OVN-Kubernetes and Multus are written in Go; what they accept and how they refuse it is observable, so it
is reproduced here. Two steps: `parse` makes a tree that knows its offsets, `Decoder` reads it into named fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ovnk8s_topo.errors import Problem, SpecError

Kind = Literal["object", "array", "string", "number", "bool", "null"]

MAX_DEPTH = 200
"""Levels of nesting; Go stops at 10000, nothing meant for a CNI plugin comes near either."""

_BLANKS = re.compile(r"[ \t\r\n]*", re.ASCII)
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS: dict[str, tuple[str, Kind, bool | None]] = {
    "t": ("true", "bool", True),
    "f": ("false", "bool", False),
    "n": ("null", "null", None),
}
_GO_ESCAPES = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 0x5C: r"\\", 0x27: r"\'"}
_END = "unexpected end of JSON input"


class GoJsonError(ValueError):
    """The text is not JSON; `offset` counts characters from its start."""

    def __init__(self, why: str, offset: int) -> None:
        super().__init__(why)
        self.offset = offset


class TextError(SpecError):
    """A text inside of a document says something wrong; `offsets` are the places of the problems in it."""

    def __init__(self, faults: Iterable[tuple[Problem, int]]) -> None:
        faults = [*faults]
        super().__init__(problem for problem, _ in faults)
        self.offsets = tuple(offset for _, offset in faults)


@dataclass(frozen=True, slots=True)
class Json:
    """One value and where it starts.

    value  the text of a string or of a number, a bool, None, or the children: `members` of an object (duplicates
           included, in order), `items` of an array
    """

    kind: Kind
    offset: int
    value: str | bool | None = None
    members: tuple[tuple[str, Json], ...] = ()
    items: tuple[Json, ...] = ()

    def get(self, key: str) -> Json | None:
        """Return the last member of exactly this name."""
        found = [value for name, value in self.members if name == key]
        return found[-1] if found else None

    def near(self, path: str) -> Json:
        """Return the value at a path like ``ips[1]``, or the last one on the way to it."""
        node = self
        for name, index in re.findall(r"([^.\[\]]+(?![^\[]*\]))|\[([0-9]+)\]", path):
            child = node.get(name) if name else node.items[int(index)] if int(index) < len(node.items) else None
            if child is None:
                break
            node = child
        return node

    def plain(self) -> object:
        """Return the value as Python objects; of duplicates the last one counts, numbers become int or float."""
        if self.kind == "object":
            return {key: value.plain() for key, value in self.members}
        if self.kind == "array":
            return [item.plain() for item in self.items]
        return number_from_text(str(self.value)) if self.kind == "number" else self.value


def number_from_text(text: str) -> int | float:
    """Return a JSON number; whole numbers of up to 40 digits stay exact."""
    return int(text) if len(text) <= 40 and text.lstrip("-").isdigit() else float(text)


def parse(text: str) -> Json:
    """Parse one JSON text.

    GoJsonError  with the text of Go's scanner, e.g. ``invalid character '#' looking for beginning of value``
    """
    return Scanner(text).document()


def quoted(char: str) -> str:
    """Quote a character as Go's messages do: of a multi-byte character the first byte, as if it were Latin-1."""
    byte = char.encode("utf-8", "surrogatepass")[0]
    if byte in _GO_ESCAPES:
        return f"'{_GO_ESCAPES[byte]}'"
    if byte < 0x20 or byte == 0x7F:
        return f"'\\x{byte:02x}'"
    return f"'\\u{byte:04x}'" if 0x80 <= byte <= 0xA0 or byte == 0xAD else f"'{chr(byte)}'"


class Scanner:
    """A recursive-descent reader; every method starts at `self.at` and leaves it behind what it read."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at

    def document(self) -> Json:
        """Read the whole text."""
        found = self.value()
        self._skip()
        if self.at < len(self.text):
            raise self._invalid("after top-level value")
        return found

    def value(self) -> Json:
        """Read one value."""
        return self.nested(0)

    def _skip(self) -> None:
        match = _BLANKS.match(self.text, self.at)
        assert match
        self.at = match.end()

    def _invalid(self, context: str) -> GoJsonError:
        if self.at >= len(self.text):
            return GoJsonError(_END, len(self.text))
        return GoJsonError(f"invalid character {quoted(self.text[self.at])} {context}", self.at)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def nested(self, depth: int) -> Json:
        """Read a value that is inside of `depth` others."""
        if depth > MAX_DEPTH:
            raise GoJsonError("exceeded max depth", self.at)
        self._skip()
        char, start = self._peek(), self.at
        if char == "{":
            return Json("object", start, members=tuple(self._members(depth)))
        if char == "[":
            return Json("array", start, items=tuple(self._items(depth)))
        if char == '"':
            return Json("string", start, self._string())
        if char in _LITERALS:
            return self._literal(char)
        if char == "-" or (char.isascii() and char.isdigit()):
            return Json("number", start, self._number())
        raise self._invalid("looking for beginning of value")

    def _members(self, depth: int) -> Iterator[tuple[str, Json]]:
        self.at += 1
        self._skip()
        if self._peek() == "}":
            self.at += 1
            return
        while True:
            self._skip()
            if self._peek() != '"':
                raise self._invalid("looking for beginning of object key string")
            key = self._string()
            self._skip()
            if self._peek() != ":":
                raise self._invalid("after object key")
            self.at += 1
            yield key, self.nested(depth + 1)
            if self._closes("}", "after object key:value pair"):
                return

    def _items(self, depth: int) -> Iterator[Json]:
        self.at += 1
        self._skip()
        if self._peek() == "]":
            self.at += 1
            return
        while True:
            yield self.nested(depth + 1)
            if self._closes("]", "after array element"):
                return

    def _closes(self, bracket: str, context: str) -> bool:
        self._skip()
        char = self._peek()
        if char not in (",", bracket) or not char:
            raise self._invalid(context)
        self.at += 1
        return char == bracket

    def _literal(self, first: str) -> Json:
        word, kind, value = _LITERALS[first]
        start = self.at
        for expected in word[1:]:
            self.at += 1
            if self._peek() != expected:
                raise self._invalid(f"in literal {word} (expecting {quoted(expected)})")
        self.at += 1
        return Json(kind, start, value)

    def _digits(self, context: str) -> None:
        start = self.at
        while (char := self._peek()) and "0" <= char <= "9":
            self.at += 1
        if self.at == start:
            raise self._invalid(context)

    def _number(self) -> str:
        start = self.at
        if self._peek() == "-":
            self.at += 1
        if self._peek() == "0":
            self.at += 1
        else:
            self._digits("in numeric literal")
        if self._peek() == ".":
            self.at += 1
            self._digits("after decimal point in numeric literal")
        if self._peek() in ("e", "E"):
            self.at += 1
            if self._peek() in ("+", "-"):
                self.at += 1
            self._digits("in exponent of numeric literal")
        return self.text[start : self.at]

    def _string(self) -> str:
        self.at += 1
        parts: list[str] = []
        while True:
            match = _PLAIN.match(self.text, self.at)
            assert match
            parts.append(match.group())
            self.at = match.end()
            if self._peek() == '"':
                self.at += 1
                return whole_text("".join(parts))
            if self._peek() != "\\":
                raise self._invalid("in string literal")
            self.at += 1
            parts.append(self._escape())

    def _escape(self) -> str:
        char = self._peek()
        if char == "u":
            return self._unicode_escape()
        if char not in _ESCAPES:
            raise self._invalid("in string escape code")
        self.at += 1
        return _ESCAPES[char]

    def _unicode_escape(self) -> str:
        start = self.at + 1
        for self.at in range(start, start + 4):
            if self._peek() not in tuple("0123456789abcdefABCDEF"):
                raise self._invalid("in \\u hexadecimal character escape")
        self.at = start + 4
        return chr(int(self.text[start : self.at], 16))


def whole_text(text: str) -> str:
    """Join surrogate pairs and put U+FFFD for surrogates that stand alone, as Go does."""
    if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
