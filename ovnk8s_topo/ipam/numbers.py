"""Free numbers kept as ranges: the arithmetic under every pool of this room.

Law: the cost of an operation depends on the number of gaps, never on how many numbers they span.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sortedcontainers import SortedDict

Span = tuple[int, int]
"""First and last number, both included."""


class FreeNumbers:
    """A set of integers, held as disjoint spans; `count` is how many numbers it holds."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        # Keyed by the last number of a span: taking the lowest one, by far the usual case, keeps the key.
        self._first_by_last: Any = SortedDict({last: first for first, last in spans})
        self.count: int = sum(last - first + 1 for last, first in self._first_by_last.items())

    def __contains__(self, number: int) -> bool:
        return self.at_or_after(number) == number

    def at_or_after(self, number: int) -> int | None:
        """Return the lowest free number that is not below `number`, None if there is none."""
        spans = self._first_by_last
        # Mostly in the first span: what lies before the lowest free number is no span any more.
        last = next(iter(spans), None)
        if last is None or last < number:
            last = next(spans.irange(number), None)
        return None if last is None else max(number, int(spans[last]))

    def pop(self, number: int) -> int | None:
        """Take the lowest free number that is not below `number` out of the set and return it."""
        index = self._first_by_last.bisect_left(number)
        if index == len(self._first_by_last):
            return None
        last, first = self._first_by_last.peekitem(index)
        taken = max(number, int(first))
        self._split(first, last, (taken, taken))
        return taken

    def pop_many(self, number: int, count: int) -> list[int]:
        """Take the `count` lowest free numbers that are not below `number`, or as many as there are, out of the set."""
        taken: list[int] = []
        while len(taken) < count:
            index = self._first_by_last.bisect_left(number)
            if index == len(self._first_by_last):
                break
            last, first = self._first_by_last.peekitem(index)
            start = max(number, int(first))
            end = min(int(last), start + count - len(taken) - 1)
            self._split(first, last, (start, end))
            taken += range(start, end + 1)
        return taken

    def remove_all(self, numbers: Iterable[int]) -> None:
        """Take many numbers out in one walk over all spans; those that are not free are passed over."""
        taken = sorted(set(numbers))
        if not taken:
            return
        left = list(without(((int(first), int(last)) for last, first in self._first_by_last.items()), taken))
        self._first_by_last = SortedDict({last: first for first, last in left})
        self.count = sum(last - first + 1 for first, last in left)

    def remove(self, first: int, last: int) -> None:
        """Take a span out; numbers of it that are not free are passed over."""
        for free_first, free_last in list(self._spans_between(first, last)):
            self._split(free_first, free_last, (max(first, free_first), min(last, free_last)))

    def add(self, first: int, last: int) -> None:
        """Put a span back; numbers of it that are free already are passed over."""
        touched = list(self._spans_between(first - 1, last + 1))
        if touched:
            first, last = min(first, touched[0][0]), max(last, touched[-1][1])
        for free_first, free_last in touched:
            self.count -= free_last - free_first + 1
            if free_last != last:
                del self._first_by_last[free_last]
        self._first_by_last[last] = first
        self.count += last - first + 1

    def _spans_between(self, first: int, last: int) -> Iterator[Span]:
        spans = self._first_by_last
        for index in range(spans.bisect_left(first), len(spans)):
            span_last, span_first = spans.peekitem(index)
            if span_first > last:
                return
            yield span_first, span_last

    def _split(self, first: int, last: int, hole: Span) -> None:
        if hole[1] == last:
            del self._first_by_last[last]
        else:
            self._first_by_last[last] = hole[1] + 1
        if hole[0] > first:
            self._first_by_last[hole[0] - 1] = first
        self.count -= hole[1] - hole[0] + 1


def without(spans: Iterable[Span], numbers: Sequence[int]) -> Iterator[Span]:
    """Yield what is left of the spans without the numbers; both ascend."""
    place = 0
    for first, last in spans:
        place = bisect_left(numbers, first, place)
        while place < len(numbers) and numbers[place] <= last:
            if numbers[place] > first:
                yield first, numbers[place] - 1
            first = numbers[place] + 1
            place += 1
        if first <= last:
            yield first, last


def gaps(first: int, last: int, taken: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans of `first`..`last` that `taken` (ascending, disjoint) leaves free."""
    for taken_first, taken_last in taken:
        if taken_first > first:
            yield first, taken_first - 1
        first = taken_last + 1
    if first <= last:
        yield first, last
