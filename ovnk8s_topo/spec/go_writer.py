"""Writing JSON as Go's encoding/json does, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring

from ovnk8s_topo.spec.go_json import Json

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPES = str.maketrans(_ESCAPED)
_TO_ESCAPE = re.compile(f"[{''.join(_ESCAPED)}]")
_EXPONENT_FROM, _EXPONENT_BELOW = 1e21, 1e-6


def json_text(value: object, *, indent: int = 0) -> str:
    """Write a value: no blanks, or one member a line with `indent` columns a level.

    value  None, bool, int, float, text, mappings of text in the order that they have, sequences

    ``<``, ``>`` and ``&`` are escaped, as are U+2028 and U+2029, which JavaScript takes for line ends.
    """
    return _text(value, "\n", " " * indent)


def _text(value: object, line: str, step: str) -> str:
    """Write a value; `line` starts a new line at its level, `step` indents one level more, "" keeps one line."""
    inner, colon = line + step, ": " if step else ":"
    match value:
        case str():
            return _text_of_text(value)
        case float():
            return text_from_float(value)
        # The usual kinds by name, for to ask after an abstract one takes longer than to write a short text.
        case dict() | Mapping():
            members = [f"{_text_of_key(key)}{colon}{_text(item, inner, step)}" for key, item in value.items()]
            return "{" + _lines(members, line, step) + "}"
        case tuple() | list() | Sequence():
            return "[" + _lines([_text(item, inner, step) for item in value], line, step) + "]"
        case _:
            return json.dumps(value)


def _text_of_text(value: str) -> str:
    text = encode_basestring(value)
    return text.translate(_ESCAPES) if _TO_ESCAPE.search(text) else text


# Of keys there are few, and every one comes over and over.
_text_of_key = lru_cache(maxsize=1024)(_text_of_text)


def _lines(parts: Sequence[str], line: str, step: str) -> str:
    if not parts or not step:
        return ",".join(parts)
    return line + step + f",{line}{step}".join(parts) + line


def text_from_float(value: float) -> str:
    """Write a finite float64: the shortest digits, with an exponent only below 1e-6 and from 1e21."""
    text = repr(value)
    if value and not _EXPONENT_BELOW <= abs(value) < _EXPONENT_FROM:
        return text.replace("e-0", "e-").replace(".0e", "e")
    return format(Decimal(text), "f").removesuffix(".0")


def generic(node: Json) -> object:
    """Return a tree as Go reads it into interface{}: all numbers are float64, maps have their keys sorted.

    ValueError  `json: cannot unmarshal number <n> into Go value of type float64`: too large
    """
    if node.kind == "object":
        members = {key: generic(value) for key, value in node.members}
        return {key: members[key] for key in sorted(members)}
    if node.kind == "array":
        return [generic(item) for item in node.items]
    return _float(str(node.value)) if node.kind == "number" else node.value


def _float(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return value
