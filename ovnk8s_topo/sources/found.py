"""One object as a document describes it: typed access to its fields, and problems that know where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ovnk8s_topo.errors import Position, Problem
from ovnk8s_topo.sources.documents import Document, Path, text_of_path, value_at, visible
from ovnk8s_topo.spec.go_json import TextError

_NOUNS = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}

MAX_SHOWN = 120
"""Characters of a value that a message repeats."""


def noun(value: object) -> str:
    """Say what kind of value this is."""
    return "nothing" if value is None else _NOUNS.get(type(value), type(value).__name__)


def shown(value: object) -> str:
    """Write a value for a message: short ones as they are, others by their kind."""
    if isinstance(value, dict | list) or value is None:
        return noun(value)
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is no fault but that the reader of the result should know."""

    text: str
    subject: str = ""
    position: Position | None = None

    def __str__(self) -> str:
        where = [str(part) for part in (self.position, self.subject) if part]
        return ": ".join([*where, self.text])


@dataclass(slots=True)
class Found:
    """An object in a document. Reading a field of the wrong type notes a problem and returns the empty value.

    document, path  where it is
    subject         how messages name it, e.g. ``Pod default/web``
    """

    document: Document
    path: Path
    subject: str = ""
    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    @property
    def value(self) -> Any:
        """What the document says, unchecked."""
        return value_at(self.document.value, self.path)

    def position(self, *path: str | int) -> Position:
        """Return where a field stands, or would stand."""
        return self.document.position((*self.path, *path))

    def refuse(self, path: Path, why: str, given: str = "", *, tail: str = "", offset: int | None = None) -> None:
        """Note a problem of the field at `path`.

        tail    what the field path says beyond the document, e.g. ``.subnets`` inside of a JSON text
        offset  of the character at fault, if the value is a text
        """
        whole = (*self.path, *path)
        at = self.document.position(whole) if offset is None else self.document.position_inside(whole, offset)
        given = given if len(given) <= MAX_SHOWN else given[:MAX_SHOWN] + "..."
        where = text_of_path(path) + visible(tail)
        self.problems.append(Problem(where, visible(why), visible(given), visible(self.subject), at))

    def refuse_text(self, path: Path, error: TextError) -> None:
        """Note the faults inside of the text at `path`."""
        for problem, offset in zip(error.problems, error.offsets, strict=True):
            self.refuse(path, problem.why, problem.given, tail=problem.path, offset=offset)

    def refuse_all(self, path: Path, problems: Iterable[Problem], names: Mapping[str, str] | None = None) -> None:
        """Note the problems of a value that was made from the field at `path`.

        names  field of the value -> what the document calls it
        """
        for problem in problems:
            steps = steps_of_path(problem.path)
            if steps and names:
                steps = (names.get(str(steps[0]), steps[0]), *steps[1:])
            whole = (*path, *steps)
            at = self.document.position((*self.path, *whole))
            given = problem.given[:MAX_SHOWN]
            why, subject = visible(problem.why), visible(self.subject)
            self.problems.append(Problem(text_of_path(whole), why, visible(given), subject, at))

    def notice(self, path: Path, text: str) -> None:
        """Note something that is no fault."""
        self.notices.append(Notice(visible(text), visible(self.subject), self.position(*path)))

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """Read a mapping; absent is empty."""
        value = self._typed(dict, path)
        return value if isinstance(value, dict) else {}

    def text(self, *path: str | int) -> str:
        """Read a text; absent is empty."""
        value = self._typed(str, path)
        return value if isinstance(value, str) else ""

    def flag(self, *path: str | int) -> bool:
        """Read a truth value; absent is false."""
        return self._typed(bool, path) is True

    def texts(self, *path: str | int) -> dict[str, str]:
        """Read a mapping of texts, such as labels; entries that are none are problems and left out."""
        found: dict[str, str] = {}
        for key, value in self.mapping(*path).items():
            if isinstance(value, str):
                found[key] = value
            else:
                self.refuse((*path, key), "must be a text: put it in quotes", shown(value))
        return found

    def _typed(self, kind: type, path: Path) -> object:
        value = value_at(self.value, path)
        if value is None or type(value) is kind:
            return value
        self.refuse(path, f"must be {_NOUNS[kind]}", shown(value))
        return None


def steps_of_path(path: str) -> Path:
    """Take a field path like ``subnets[0]`` apart."""
    steps: list[str | int] = []
    for part in path.replace("[", ".[").split("."):
        if part.startswith("[") and part[1:-1].isdigit():
            steps.append(int(part[1:-1]))
        elif part:
            steps.append(part)
    return tuple(steps)
