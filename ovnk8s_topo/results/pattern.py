"""Texts that differ in a few values only: written once, and filled in for everybody.

Law: a pattern, filled in, is what would have been written with these values.
"""

from __future__ import annotations

from collections.abc import Callable

from ovnk8s_topo.spec.go_writer import json_text


def pattern_of(write: Callable[[str], str], *others: str) -> str:
    """Return a format for ``%``, with a ``"%s"`` wherever a value goes.

    write   returns the JSON text that has a given text for each of these values
    others  every other text in it that may hold anything

    The values must be such that JSON writes them as they are: addresses and MACs.
    """
    # Longer than all others, so that none of them reads like it.
    blank = "\0" * (1 + max(map(len, others)))
    return write(blank).replace("%", "%%").replace(json_text(blank), '"%s"')
