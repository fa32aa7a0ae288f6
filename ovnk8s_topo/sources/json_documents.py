"""JSON texts, one behind the other or between ``---`` lines; fast when they are right, exact when they are not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ovnk8s_topo.errors import Position, Problem
from ovnk8s_topo.sources.documents import Document, Lines, Path, Place, Step, Stream, text_of_path
from ovnk8s_topo.spec.go_json import GoJsonError, Json, Scanner, whole_text

_BETWEEN = re.compile(r"(?:[ \t\r\n]|^---[ \t]*$)*", re.MULTILINE)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _Unsure(ValueError):
    """The fast reader met something that it cannot judge."""


def read_json(text: str, name: str, stream: Stream) -> None:
    """Read every JSON value of the text; behind a broken one nothing can be read any more."""
    at, lines = _after_blanks(text, 0), Lines(text)
    while at < len(text):
        at = _after_blanks(text, _read_one(text, at, lines, name, stream))


def _after_blanks(text: str, at: int) -> int:
    match = _BETWEEN.match(text, at)
    return match.end() if match else at


def _read_one(text: str, at: int, lines: Lines, name: str, stream: Stream) -> int:
    try:
        value, end = _fast(text, at)
        stream.documents.append(Document(value, name, text, _Places(text, at, lines)))
        return end
    except (ValueError, RecursionError):
        return _read_exactly(text, at, lines, name, stream)


def _fast(text: str, at: int) -> tuple[Any, int]:
    value, end = _STRICT.raw_decode(text, at)
    return (_mended(value) if _SURROGATE.search(text, at, end) else value), end


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unsure
    return found


def _refuse(constant: str) -> Any:
    raise _Unsure(constant)


def _number(text: str) -> Any:
    # Python refuses to convert very long ones.
    return int(text) if len(text) < 400 else float(text)


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse, parse_int=_number)
"""Takes exactly what Go takes, apart from objects that give a key twice."""


def _mended(value: Any) -> Any:
    """Put U+FFFD for half a surrogate pair, as Go does; Python keeps it and fails much later."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    return {_mended(key): _mended(item) for key, item in value.items()} if isinstance(value, dict) else value


class _Skimmer(Scanner):
    """Reads only what `_STRICT` refuses; a big document with one fault costs little more than one without."""

    def nested(self, depth: int) -> Json:
        """Read a value, sound containers without what is in them."""
        self._skip()
        start = self.at
        if self._peek() in ("{", "["):
            try:
                self.at = _STRICT.raw_decode(self.text, start)[1]
                return Json("null", start)
            except (ValueError, RecursionError):
                self.at = start
        return super().nested(depth)


def _read_exactly(text: str, at: int, lines: Lines, name: str, stream: Stream) -> int:
    """Read again, slowly, to say what is wrong and where."""
    skimmer = _Skimmer(text, at)
    try:
        problems = _duplicates(skimmer.value(), (), lines, name)
    except GoJsonError as error:
        place = lines(error.offset)
        problems = [Problem("", str(error), position=Position(name, place.line, place.column))]
        skimmer.at = len(text)
    stream.problems += problems
    return skimmer.at


def _duplicates(tree: Json, path: Path, lines: Lines, name: str) -> list[Problem]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for key, value in tree.members:
        if key in seen:
            place = lines(value.offset)
            where = Position(name, place.line, place.column)
            problems.append(Problem(text_of_path((*path, key)), "is given twice", position=where))
        seen.add(key)
        problems += _duplicates(value, (*path, key), lines, name)
    for index, item in enumerate(tree.items):
        problems += _duplicates(item, (*path, index), lines, name)
    return problems


class _Places:
    """Finds values by skipping over their elder siblings; asked only when there is something to report."""

    def __init__(self, text: str, at: int, lines: Lines) -> None:
        self._text = text
        self._at = at
        self._lines = lines
        self._known: dict[Path, dict[Step, int]] = {}

    def __call__(self, path: Path) -> Place:
        at = self._at
        for depth, step in enumerate(path):
            children = self._children(path[:depth], at)
            if step not in children:
                break
            at = children[step]
        return self._lines(at)

    def _children(self, path: Path, at: int) -> dict[Step, int]:
        if path not in self._known:
            self._known[path] = dict(self._steps(at))
        return self._known[path]

    def _steps(self, at: int) -> Iterator[tuple[Step, int]]:
        """Yield the keys or indexes of the container at an offset, with the offsets of the values."""
        text, is_list = self._text, self._text[at] == "["
        if text[at] not in "[{":
            return
        at, index = _skip(text, at + 1), 0
        while text[at] not in "]}":
            step: Step = index
            if not is_list:
                step, at = _SKIPPER.raw_decode(text, at)
                at = _skip(text, _skip(text, at) + 1)
            yield step, at
            at = _skip(text, _SKIPPER.raw_decode(text, at)[1])
            at = _skip(text, at + 1) if text[at] == "," else at
            index += 1


# Numbers are only skipped; Python refuses to convert very long ones.
_SKIPPER = json.JSONDecoder(parse_int=str, parse_float=str)
_BLANKS = re.compile(r"[ \t\r\n]*")


def _skip(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at
