"""From pieces of text to JSON-RPC messages, without holding a long one as a whole.

Law: any division of a stream into pieces gives the same messages, in time proportional to the stream.

JSON has no frames: a message ends where its value ends. Short messages go to the C scanner of the standard library in
one go. A long one (the first copy of a database has 56 MB at 100,000 ports) is walked: the scanner is given one row
at a time, the row goes to a `Keeper`, and its text is forgotten.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Generator, Iterator
from typing import Any, Protocol


class Keeper(Protocol):
    """Takes the rows of a message that is still on its way."""

    def keep(self, table: str, uuid: str, update: dict[str, Any], text: str) -> None:
        """Take the update of a row, and the text of the row; "" where it is not a new one."""
        ...

    def known_at(self, table: str, uuid: str, text: str, at: int) -> str:
        """Return the text of a new row if it is known and stands at this place: then it is not read; else ""."""
        ...

    def keep_known(self, table: str, uuid: str, text: str) -> None:
        """Take a row that is known, and its text as it came."""
        ...


NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading and handling a message raises that is not as it should be.

Nothing else is expected there: other errors may be those of a caller's signal handler.
"""

_LONG = 1 << 16
"""Characters of an incomplete message from which on it is walked."""

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_IS_UUID = re.compile(_UUID)
_SPACE = re.compile(r"[ \t\r\n]*")
_ROW = re.compile(rf'[ \t\r\n,]*"({_UUID})"\s*:\s*')
_NEW_ROW = re.compile(r'\{\s*"(initial|insert|new)"\s*:\s*(?=\{)')
_CLOSE = re.compile(r"\s*\}")

_LONGEST_TOKEN = 16
"""More characters than any piece of JSON has that the scanner may find cut off, strings apart."""

_scan = json.JSONDecoder().raw_decode


class _Cut(Exception):
    """The text ends inside a value."""


class MessageStream:
    """The messages of one connection. After a ValueError the stream is of no use any more."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._text = ""
        self._at = 0
        self._pieces: list[str] = []
        self._size = self._due = 0
        self._walk: Generator[None, None, Any] | None = None

    @property
    def is_amid(self) -> bool:
        """Whether a long message is on its way."""
        return self._walk is not None

    def feed(self, piece: str) -> Iterator[Any]:
        """Take the next piece and yield the messages that it completes, each before the next one is looked at.

        ValueError  the stream is not JSON
        """
        if self._walk is None and not self._pieces and self._at == len(self._text):
            # Objects that are there whole, with which nearly all pieces begin and end.
            at = 0
            while piece.startswith("{", at):
                try:
                    value, at = _scan(piece, at)
                except json.JSONDecodeError:
                    break
                yield value
            if at == len(piece):
                return
            piece = piece[at:]
        self._pieces.append(piece)
        self._size += len(piece)
        # Every try reads what there is from the start, so it must have doubled since the last, or look complete.
        if self._size < self._due and not piece.endswith(("}", "\n")):
            return
        self._text = "".join([self._text[self._at :], *self._pieces])
        self._at = 0
        self._pieces.clear()
        try:
            while True:
                yield self._next()
        except _Cut:
            self._size = len(self._text) - self._at
            self._due = 2 * self._size

    def _next(self) -> Any:
        if self._walk is None:
            self._skip_space()
            try:
                return self._take()
            except _Cut:
                if len(self._text) - self._at < _LONG:
                    raise
            self._walk = self._value("")
        try:
            next(self._walk)
        except StopIteration as end:
            self._walk = None
            return end.value
        raise _Cut

    # The scanner ---------------------------------------------------------------------------------------------------

    def _take(self) -> Any:
        value, self._at = self._scanned(self._at)
        return value

    def _scanned(self, at: int) -> tuple[Any, int]:
        """Return the value at a place and where it ends. _Cut  the text ends before."""
        try:
            value, end = _scan(self._text, at)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Unterminated string"):
                self._check_cut(error.pos)
            raise _Cut from None
        rest = self._text[end : end + 3]
        if self._text[end - 1] not in '"}]' and len(rest) < 3 and not rest.strip(".eE+-"):
            raise _Cut  # more digits may come, or a fraction or exponent has only begun
        return value, end

    def _check_cut(self, place: int) -> None:
        if len(self._text) - place > _LONGEST_TOKEN:
            raise ValueError(f"not JSON: {self._text[place : place + 40]!r}")

    def _skip_space(self) -> str:
        """Go to the next character that means something, and return it. _Cut  there is none yet."""
        match = _SPACE.match(self._text, self._at)
        assert match
        self._at = match.end()
        if self._at == len(self._text):
            raise _Cut
        return self._text[self._at]

    # The walk: generators that yield when they need more text --------------------------------------------------------

    def _mark(self) -> Generator[None, None, str]:
        while True:
            try:
                return self._skip_space()
            except _Cut:
                yield

    def _value(self, name: str) -> Generator[None, None, Any]:
        """Read one value, the whole of it if it is there, else its members one by one."""
        mark = yield from self._mark()
        while True:
            try:
                return self._take()
            except _Cut:
                if mark == "{":
                    return (yield from self._object(name))
                if mark == "[":
                    return (yield from self._array())
                yield

    def _array(self) -> Generator[None, None, list[Any]]:
        members: list[Any] = []
        self._at += 1
        seen = ""
        while (yield from self._mark()) != "]":
            if self._text is not seen:
                seen = self._text
                self._run(members)
            members.append((yield from self._value("")))
            yield from self._separator("]")
        self._at += 1
        return members

    def _run(self, members: list[Any]) -> None:
        """Read all members up to the last comma between objects at once: the results of most servers."""
        end = self._text.rfind("},{", self._at) + 1
        if end > self._at:
            # Where that comma is one inside of a string or another value, this is not JSON.
            with contextlib.suppress(ValueError):
                members += json.loads(f"[{self._text[self._at : end]}]")
                self._at = end + 1

    def _object(self, name: str) -> Generator[None, None, dict[str, Any]]:
        """Read an object; members that are called by a uuid are rows of the table `name`, and go to the keeper."""
        members: dict[str, Any] = {}
        self._at += 1
        while (yield from self._mark()) != "}":
            key, end = yield from self._name()
            if _IS_UUID.fullmatch(key):
                yield from self._rows(name)
                continue
            self._at = end
            if (yield from self._mark()) != ":":
                raise ValueError("not JSON: a member without a value")
            self._at += 1
            members[key] = yield from self._value(key)
            yield from self._separator("}")
        self._at += 1
        return members

    def _name(self) -> Generator[None, None, tuple[str, int]]:
        """Return the name of a member and where it ends, without going on."""
        while True:
            try:
                name, end = self._scanned(self._at)
            except _Cut:
                yield
                continue
            if not isinstance(name, str):
                raise ValueError("not JSON: a member without a name")
            return name, end

    def _separator(self, end: str) -> Generator[None, None, None]:
        mark = yield from self._mark()
        if mark == ",":
            self._at += 1
        elif mark != end:
            raise ValueError(f"not JSON: {mark!r} between members")

    def _rows(self, table: str) -> Generator[None, None, None]:
        while True:
            try:
                while match := _ROW.match(self._text, self._at):
                    self._row(table, match[1], match.end())
                if self._skip_space() == "}":
                    return
                if len(self._text) - self._at > 100:
                    raise ValueError(f"not a row: {self._text[self._at : self._at + 40]!r}")
            except _Cut:
                pass
            yield

    def _row(self, table: str, uuid: str, at: int) -> None:
        new = _NEW_ROW.match(self._text, at)
        if new:
            known = self._keeper.known_at(table, uuid, self._text, new.end())
            if known and (close := _CLOSE.match(self._text, new.end() + len(known))):
                self._at = close.end()
                self._keeper.keep_known(table, uuid, known)
                return
            row, end = self._scanned(new.end())
            if close := _CLOSE.match(self._text, end):
                self._at = close.end()
                self._keeper.keep(table, uuid, {new[1]: row}, self._text[new.end() : end])
                return
        update, end = self._scanned(at)
        self._at = end
        self._keeper.keep(table, uuid, update, "")
