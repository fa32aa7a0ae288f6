"""A stream of YAML or JSON as plain values that know where they stand.

Whatever the bytes are, the outcome is documents and problems, never another exception, a hang or a full memory: size,
depth and aliases are bounded.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import IO, Any

from ovnk8s_topo.errors import Position, Problem

MAX_BYTES = 64 << 20
"""Of one file. A list of 20,000 pods as kubectl prints it in JSON is about 60 MiB."""

Step = str | int
Path = tuple[Step, ...]

# YAML 1.2 section 5.1; JSON text is held to the same, for no object of Kubernetes needs more.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Place:
    """An offset in a text: `index` from 0, `line` and `column` from 1."""

    index: int
    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """One document of a stream.

    value   dict, list, str, int, float, bool or None
    name    of the file
    text    the file's whole text
    places  finds where the value at a path starts, or, for a path that leads nowhere, its nearest parent
    """

    value: Any
    name: str
    text: str = field(repr=False)
    places: Callable[[Path], Place] = field(repr=False)

    def position(self, path: Path = ()) -> Position:
        """Return where the value at `path` starts."""
        place = self.places(path)
        return Position(self.name, place.line, place.column)

    def position_inside(self, path: Path, offset: int) -> Position:
        """Return where character number `offset` of the text value at `path` stands, as exactly as can be told."""
        from ovnk8s_topo.sources.inside import place_inside

        place = self.places(path)
        value = value_at(self.value, path)
        if isinstance(value, str):
            place = place_inside(self.text, place, value, offset)
        return Position(self.name, place.line, place.column)


@dataclass
class Stream:
    """What became of one file: its documents, and the problems of the parts that could not be read."""

    name: str
    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def value_at(value: Any, path: Path) -> Any:
    """Follow a path through mappings and lists; None where it leads nowhere."""
    for step in path:
        if not _has(value, step):
            return None
        value = value[step]
    return value


def _has(value: Any, step: Step) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


class Lines:
    """Turns offsets of a text into places; lines end at LF, CR or CRLF."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] = []

    def __call__(self, index: int) -> Place:
        """Return the place of the character at `index`, which may be the end of the text."""
        if not self._starts:
            self._starts = [0, *(found.end() for found in re.finditer("\r\n|\r|\n", self._text))]
        line = bisect_right(self._starts, index)
        return Place(index, line, index - self._starts[line - 1] + 1)


def read_stream(source: str | PathLike[str]) -> Stream:
    """Read a file, or the standard input for ``-``; every fault of it is a problem of the stream."""
    name = "<stdin>" if source == "-" else _printable(str(fspath(source)))
    try:
        content = _bytes_of(source)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Stream(name, problems=[Problem("", f"cannot be read: {why}", position=Position(name))])
    return stream_from_bytes(content, name)


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _bytes_of(source: str | PathLike[str]) -> bytes:
    if source == "-":
        return _at_most(getattr(sys.stdin, "buffer", sys.stdin))
    with open(source, "rb") as file:
        return _at_most(file)


def _at_most(file: IO[Any]) -> bytes:
    content = file.read(MAX_BYTES + 1)
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else bytes(content)


def stream_from_bytes(content: bytes, name: str) -> Stream:
    """Decode UTF-8, with or without a byte order mark, and read the documents in it."""
    position = Position(name)
    if len(content) > MAX_BYTES:
        why = f"is larger than {MAX_BYTES >> 20} MiB; split it, or describe one kind of object in each file"
        return Stream(name, problems=[Problem("", why, position=position)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        place = Lines(before)(len(before))
        why = f"is not UTF-8 text (byte 0x{content[error.start]:02x})"
        return Stream(name, problems=[Problem("", why, position=Position(name, place.line, place.column))])
    return stream_from_text(text, name)


def stream_from_text(text: str, name: str) -> Stream:
    """Read the documents of a text: JSON if it starts with ``{`` or ``[``, as Kubernetes decides, else YAML."""
    from ovnk8s_topo.sources.json_documents import read_json
    from ovnk8s_topo.sources.yaml_documents import read_yaml

    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        return stream_from_bytes(text.encode("utf-8", "replace"), name)
    stream = Stream(name)
    odd = _UNPRINTABLE.search(text)
    if odd:
        place = Lines(text)(odd.start())
        why = f"has the character U+{ord(odd.group()):04X}, which neither YAML nor JSON allows in a text"
        stream.problems.append(Problem("", why, position=Position(name, place.line, place.column)))
        return stream
    reader = read_json if text.lstrip()[:1] in ("{", "[") else read_yaml
    reader(text, name, stream)
    return stream


def visible(text: str) -> str:
    """Write line breaks and control characters as escapes: what a document says must not steer a terminal."""
    return text if text.isprintable() else "".join(map(_visible_char, text))


def _visible_char(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")


def text_of_path(path: Iterable[Step]) -> str:
    """Write a path as ``items[0].metadata.annotations[k8s.ovn.org/node-subnets]``."""
    parts: Iterator[str] = (_step_text(step) for step in path)
    return visible("".join(parts).removeprefix("."))


def _step_text(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    plain = step.replace("-", "").replace("_", "").isalnum()
    return f".{step}" if plain else f"[{step[:80]}]"
