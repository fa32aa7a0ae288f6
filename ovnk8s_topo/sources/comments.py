"""Comments inside JSON, which the documents of many blogs have and Kubernetes refuses."""

from __future__ import annotations

import re

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|(?P<comment>#[^\n]*|//[^\n]*|/\*.*?\*/)', re.DOTALL)


def without_comments(text: str) -> str:
    """Put blanks over ``# ...``, ``// ...`` and ``/* ... */`` outside of strings, so that nothing moves."""
    return _TOKEN.sub(lambda found: _blanks(found.group()) if found.group("comment") else found.group(), text)


def _blanks(comment: str) -> str:
    return re.sub(r"[^\n]", " ", comment)
