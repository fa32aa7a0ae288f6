"""A JSON object in an annotation, whose members belong to different networks."""

from __future__ import annotations

from collections.abc import Mapping

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.spec.go_json import GoJsonError, Scanner, TextError, parse
from ovnk8s_topo.spec.go_writer import json_text


def members_from_text(text: str | None) -> dict[str, str]:
    """Return every member as the text that stands there; of duplicates the last one counts.

    text  None and "" have no members, as has ``null``

    TextError  not a JSON object
    """
    if not text:
        return {}
    try:
        tree = parse(text)
    except GoJsonError as error:
        raise TextError([(Problem("", str(error)), error.offset)]) from error
    if tree.kind not in ("object", "null"):
        raise TextError([(Problem("", "must be a JSON object", tree.kind), tree.offset)])
    return {key: _raw(text, value.offset) for key, value in tree.members}


def _raw(text: str, start: int) -> str:
    scanner = Scanner(text, start)
    scanner.value()
    return text[start : scanner.at]


def text_from_members(members: Mapping[str, str]) -> str:
    """Write an object from the texts of its members, sorted by key as Go writes its maps."""
    return "{" + ",".join(f"{json_text(key)}:{members[key]}" for key in sorted(members)) + "}"


def edited(text: str | None, changes: Mapping[str, str | None]) -> str | None:
    """Put members in (a text) or take them out (None); the others keep their bytes.

    returns  the text itself if nothing changes, None if no member is left: then the annotation goes

    TextError  as for members_from_text
    """
    before = members_from_text(text)
    after = {key: value for key, value in {**before, **changes}.items() if value is not None}
    if after == before:
        return text if after else None
    return text_from_members(after) if after else None
