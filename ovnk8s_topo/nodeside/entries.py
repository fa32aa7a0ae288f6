"""Texts of the form ``name:value[,name:value...]``, as Open_vSwitch external_ids hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `index` counts from 0, `offset` counts characters from the start of the whole text."""

    index: int
    offset: int
    text: str

    @property
    def parts(self) -> tuple[str, ...]:
        """What stands between the colons; two parts, if the entry is one."""
        return tuple(self.text.split(":"))


def entries_from_text(text: str | None) -> Iterator[Entry]:
    """Yield the entries, whatever is in them; nothing for "" and for None. Blanks belong to names."""
    offset = 0
    for index, part in enumerate(text.split(",") if text else ()):
        yield Entry(index, offset, part)
        offset += len(part) + 1
