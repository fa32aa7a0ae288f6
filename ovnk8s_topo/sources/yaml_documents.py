"""YAML documents, composed here from the parser's events.

ruamel.yaml is asked for events only: so one pass gives values and places, the nesting needs no recursion, aliases share
what they stand for instead of copying it, and scalars mean what the core schema of YAML 1.2 says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML, events
from ruamel.yaml.error import MarkedYAMLError

from ovnk8s_topo.errors import Position, Problem
from ovnk8s_topo.sources.documents import Document, Path, Place, Stream, text_of_path, visible

MAX_DEPTH = 200
MAX_ALIASED = 100_000
"""Values that the aliases of one document may stand for all together: a "billion laughs" ends here."""

_BREAK = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_EMPTY = re.compile(r"(?:---)?(?:[ \t\r\n]|(?<=[ \t\r\n])#[^\n]*)*")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_CORE = "tag:yaml.org,2002:"
_CONTAINER_TAGS = (None, "!", _CORE + "map", _CORE + "seq")

_SHIFT = 32
"""A place is packed into one integer, for a list of many pods has millions: index << 64 | line << 32 | column."""


class _Refused(ValueError):
    """The document breaks a rule of ours; `place` says where, `path` in which field."""

    def __init__(self, why: str, place: int, path: str = "") -> None:
        super().__init__(why)
        self.place = place
        self.path = path


class _NotYaml(ValueError):
    """The parser gave up in an unexpected way."""


def read_yaml(text: str, name: str, stream: Stream) -> None:
    """Read every document; a broken one is reported and the next is read."""
    line, counted = 0, 0
    for start, end in _parts(text):
        line, counted = line + text.count("\n", counted, start), start
        if not _EMPTY.fullmatch(text, start, end):
            _read_part(text[start:end], (start, line), text, name, stream)


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Cut before every ``---`` in the first column: nothing but a document can start there (YAML 1.2 section 9.1.4)."""
    begin = 0
    for found in _BREAK.finditer(text):
        if found.start() > begin and not _only_directives(text, begin, found.start()):
            yield begin, found.start()
            begin = found.start()
    yield begin, len(text)


def _only_directives(text: str, begin: int, end: int) -> bool:
    """Tell whether there are ``%`` lines, which belong to the document behind them, and nothing else."""
    has_one = False
    while begin < end:
        stop = text.find("\n", begin, end)
        stop = end if stop < 0 else stop
        line = text[begin:stop].strip()
        if line and line[0] not in "#%":
            return False
        has_one |= line.startswith("%")
        begin = stop + 1
    return has_one


def _read_part(part: str, shift: tuple[int, int], text: str, name: str, stream: Stream) -> None:
    try:
        for value, marks, twice in _Composer(_events(part), shift).documents():
            stream.problems += [_problem(error, name) for error in twice]
            stream.documents += [] if twice else [Document(value, name, text, marks)]
    except _Refused as error:
        stream.problems.append(_problem(error, name))
    except MarkedYAMLError as error:
        stream.problems.append(_syntax_problem(error, shift, name))
    except _NotYaml as error:
        position = Position(name, shift[1] + 1, 1)
        stream.problems.append(Problem("", f"is not YAML: {error}", position=position))


def _events(part: str) -> Iterator[Any]:
    try:
        yield from YAML(typ="safe", pure=True).parse(part)
    except MarkedYAMLError:
        raise
    except Exception as error:
        # The parser is not ours: whatever else it raises, a document made it do so.
        # What Python says of a number that is no character's differs from release to release.
        no_character = isinstance(error, OverflowError) or "chr()" in str(error)
        raise _NotYaml("an escape stands for no character" if no_character else _first_line(error)) from error


def _problem(error: _Refused, name: str) -> Problem:
    place = _unpacked(error.place)
    return Problem(error.path, visible(str(error)), position=Position(name, place.line, place.column))


def _first_line(error: Exception) -> str:
    return visible((str(error).strip() or type(error).__name__).splitlines()[0])


def _syntax_problem(error: MarkedYAMLError, shift: tuple[int, int], name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = _unpacked(_packed(mark, shift)) if mark else Place(0, shift[1] + 1, 1)
    why = visible(", ".join(str(part).strip() for part in (error.context, error.problem) if part))
    return Problem("", f"is not YAML: {why}", position=Position(name, place.line, place.column))


def _packed(mark: Any, shift: tuple[int, int]) -> int:
    index, line, column = int(mark.index), int(mark.line), int(mark.column)
    return (index + shift[0]) << 64 | (line + shift[1] + 1) << _SHIFT | (column + 1)


def _unpacked(packed: int) -> Place:
    return Place(packed >> 64, packed >> _SHIFT & 0xFFFFFFFF, packed & 0xFFFFFFFF)


@dataclass(slots=True)
class _Marks:
    """Where every value of one document starts: id of the container -> packed places of its values."""

    root: int = 0
    value: Any = None
    inside: dict[int, dict[Any, int]] = field(default_factory=dict)

    def __call__(self, path: Path) -> Place:
        value, packed = self.value, self.root
        for step in path:
            places = self.inside.get(id(value))
            if places is None or step not in places:
                break
            packed, value = places[step], value[step]
        return _unpacked(packed)


@dataclass(slots=True)
class _Open:
    """A container that is being read.

    key       waits for its value
    done_key  had the last one
    size      number of values inside, itself included
    """

    value: Any
    places: dict[Any, int]
    anchor: str | None
    is_map: bool
    key: str | None = None
    done_key: str | None = None
    size: int = 1


class _Composer:
    """Builds plain values from events."""

    def __init__(self, stream: Iterator[Any], shift: tuple[int, int]) -> None:
        self._events = stream
        self._shift = shift
        self._start()

    def _start(self) -> None:
        self._marks = _Marks()
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliased = 0
        self._twice: list[_Refused] = []

    def documents(self) -> Iterator[tuple[Any, _Marks, list[_Refused]]]:
        """Yield the value and the places of every document, and its keys that are given twice."""
        for event in self._events:
            kind = type(event)
            if kind is events.ScalarEvent:
                self._scalar(event)
            elif kind is events.MappingStartEvent:
                self._begin(event, {}, is_map=True)
            elif kind is events.SequenceStartEvent:
                self._begin(event, [], is_map=False)
            elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
                self._end()
            elif kind is events.AliasEvent:
                self._alias(event)
            elif kind is events.DocumentEndEvent:
                yield self._marks.value, self._marks, self._twice
                self._start()

    def _place(self, event: Any) -> int:
        return _packed(event.start_mark, self._shift)

    def _scalar(self, event: Any) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.is_map and parent.key is None:
            self._take_key(parent, event)
            return
        place = self._place(event)
        value = self._resolved(event, place)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, place, 1)

    def _resolved(self, event: Any, place: int) -> Any:
        try:
            value = _scalar_value(_tag(event), event.value, plain=event.implicit[0])
        except ValueError as error:
            raise _Refused(str(error), place, self._path()) from error
        if isinstance(value, str) and not value.isascii() and _has_surrogate(value):
            raise _Refused("has half of a surrogate pair, which is no character", place, self._path())
        return value

    def _take_key(self, parent: _Open, event: Any) -> None:
        key, place = event.value, self._place(event)
        if key == "<<" and event.implicit[0]:
            why = "merge keys (`<<`) are not YAML 1.2; write the fields out, or use an alias for a whole value"
            raise _Refused(why, place, self._path())
        parent.key = key
        if key in parent.value:
            self._twice.append(_Refused("is given twice", place, self._path()))
        if not key.isascii() and _has_surrogate(key):
            raise _Refused("has half of a surrogate pair, which is no character", place)

    def _begin(self, event: Any, value: Any, *, is_map: bool) -> None:
        place = self._place(event)
        self._need_no_key(place)
        if len(self._open) >= MAX_DEPTH:
            raise _Refused(f"is nested more than {MAX_DEPTH} levels deep", place)
        if _tag(event) not in _CONTAINER_TAGS:
            raise _Refused(f"has the tag {_tag(event)}, which is not one of JSON's types", place, self._path())
        places: dict[Any, int] = {}
        self._marks.inside[id(value)] = places
        if event.anchor:
            self._anchors[event.anchor] = (value, 0)
        self._put(value, place, 0)
        self._open.append(_Open(value, places, event.anchor, is_map))

    def _end(self) -> None:
        done = self._open.pop()
        if done.anchor:
            self._anchors[done.anchor] = (done.value, done.size)
        if self._open:
            self._open[-1].size += done.size

    def _alias(self, event: Any) -> None:
        place = self._place(event)
        self._need_no_key(place)
        if event.anchor not in self._anchors:
            raise _Refused(f"the alias *{event.anchor} has no anchor before it", place, self._path())
        value, size = self._anchors[event.anchor]
        if not size:
            raise _Refused(f"the alias *{event.anchor} stands inside of what it stands for", place, self._path())
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _Refused(f"the aliases of the document stand for more than {MAX_ALIASED} values", place)
        self._put(value, place, size)

    def _need_no_key(self, place: int) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.is_map and parent.key is None:
            raise _Refused("a key must be a text", place, self._path())

    def _put(self, value: Any, place: int, size: int) -> None:
        if not self._open:
            self._marks.value, self._marks.root = value, place
            return
        parent = self._open[-1]
        parent.size += size
        if parent.is_map:
            parent.value[parent.key] = value
            parent.places[parent.key] = place
            parent.key, parent.done_key = None, parent.key
        else:
            parent.places[len(parent.value)] = place
            parent.value.append(value)

    def _path(self) -> str:
        *outer, last = self._open or [_Open(None, {}, None, is_map=True)]
        steps: list[Any] = [step.done_key if step.is_map else len(step.value) - 1 for step in outer]
        here = last.key if last.is_map else len(last.value)
        return text_of_path(steps if here is None else [*steps, here])


def _tag(event: Any) -> str | None:
    return str(event.tag) if event.tag is not None else None


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _scalar_value(tag: str | None, text: str, *, plain: bool) -> Any:
    """Resolve a scalar by the core schema (YAML 1.2 section 10.3); quoted ones are text.

    ValueError  a tag that is not of the core schema, or that the text does not fit
    """
    if tag is None and plain:
        return _core_value(text)
    if tag in (None, "!", _CORE + "str"):
        return text
    value = _core_value(text)
    wanted = {_CORE + "int": int, _CORE + "float": float, _CORE + "bool": bool, _CORE + "null": type(None)}
    if tag not in wanted:
        raise ValueError(f"has the tag {tag}, which is not one of JSON's types")
    if wanted[tag] is float and type(value) is int:
        return float(value)
    if type(value) is not wanted[tag]:
        raise ValueError(f"does not fit its tag {tag}")
    return value


def _core_value(text: str) -> Any:
    if not text or text[0] not in "0123456789+-.":
        return _WORDS.get(text, text) if len(text) < 6 else text
    if len(text) > 400:
        return text
    if _INT.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    return float(text) if _FLOAT.fullmatch(text) else _WORDS.get(text, text)
