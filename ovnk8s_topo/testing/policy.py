"""What to do when a test cannot run here: skip it aloud, or fail where the program was promised.

A skip is easy to overlook, and a CI that skips everything is green. So on a CI machine (``CI=true``, which all common
ones set) a missing program is a failure. REQUIRE_OVN, REQUIRE_DOCKER and REQUIRE_LAB say so one by one, and have the
last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pytest

Need = Literal["OVN", "DOCKER", "LAB"]

_YES = frozenset({"1", "true", "yes", "on"})


def is_required(need: Need, environ: Mapping[str, str]) -> bool:
    """Say whether tests that need this must run: ``REQUIRE_<need>`` if it is set, else ``CI``."""
    answer = environ.get(f"REQUIRE_{need}") or environ.get("CI", "")
    return answer.lower() in _YES


def unavailable(need: Need, reason: str, environ: Mapping[str, str]) -> BaseException:
    """Give what to raise in a test that needs what is not here: a failure where it is required, else a skip.

    reason  what is missing and what to install
    """
    if is_required(need, environ):
        return pytest.fail.Exception(f"{reason} (required: CI or REQUIRE_{need} is set)", pytrace=False)
    return pytest.skip.Exception(reason)
