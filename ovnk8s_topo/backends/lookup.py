"""Texts, and the uuids that go with them.

Law: a text without uuids is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

T = TypeVar("T")


class Lookup:
    """From a text to the uuids that go with it: nearly always one, which then needs no container of its own."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, str | frozenset[str]] = {}

    def get(self, text: str) -> Collection[str]:
        """Return the uuids, none if there are none."""
        found = self._found.get(text)
        if found is None:
            return ()
        return (found,) if isinstance(found, str) else found

    def add(self, text: str, uuid: str) -> None:
        """Add a uuid; to add it again changes nothing."""
        found = self._found.setdefault(text, uuid)
        if found is not uuid and found != uuid:
            self._found[text] = frozenset((uuid, *self.get(text)))

    def add_to_all(self, texts: Collection[str], uuid: str) -> None:
        """Add one uuid to many texts; most have none."""
        if self._found.keys().isdisjoint(texts):
            self._found.update(dict.fromkeys(texts, uuid))
            return
        for text in texts:
            self.add(text, uuid)

    def discard(self, text: str, uuid: str) -> None:
        """Remove a uuid if it is there."""
        left = [found for found in self.get(text) if found != uuid]
        if len(left) > 1:
            self._found[text] = frozenset(left)
        elif left:
            self._found[text] = left[0]
        else:
            self._found.pop(text, None)

    def different(self, other: Lookup) -> set[str]:
        """Return the texts that other uuids go with there."""
        return different(self._found, other._found)


def different(after: Mapping[str, T], before: Mapping[str, T]) -> set[str]:
    """Return the keys that have another value, or are in one of two mappings only."""
    known = before.get
    return {key for key, value in after.items() if known(key) != value} | (before.keys() - after.keys())
