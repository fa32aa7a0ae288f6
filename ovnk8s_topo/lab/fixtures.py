"""Labs as pytest fixtures, and why packets did not arrive in the report of a failed test.

pytest_plugins = ["ovnk8s_topo.lab.fixtures"]

@pytest.fixture(scope="module")
def lab(start_lab):
    return start_lab(nodes=["n1", "n2"])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.lab.lab import Lab
from ovnk8s_topo.testing.policy import unavailable
from ovnk8s_topo.testing.tools import OvnNotInstalled

StartLab = Callable[..., Lab]
"""Takes the arguments of `Lab` and returns it, started."""

_RUNNING = pytest.StashKey[list[Lab]]()


@pytest.fixture(scope="module")
def start_lab(request: pytest.FixtureRequest) -> Iterator[StartLab]:
    """Give a function that starts labs; all end with the module.

    Where there can be none, the test is skipped with the reason, or fails if CI=true or REQUIRE_LAB=1 is set.
    """
    running = request.session.stash.setdefault(_RUNNING, [])
    with ExitStack() as stack:
        stack.callback(running.clear)
        yield lambda *arguments, **options: _started(stack, running, Lab(*arguments, **options))


def _started(stack: ExitStack, running: list[Lab], lab: Lab) -> Lab:
    if os.geteuid() != 0:
        raise unavailable("LAB", "a lab needs root, for its network namespaces", os.environ)
    try:
        stack.enter_context(lab)
    except (OvnNotInstalled, LabError) as error:
        raise unavailable("LAB", str(error), os.environ) from None
    running.append(lab)
    return lab


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what the labs know about its last unanswered pings."""
    report = yield
    if report.when == "call" and report.failed:
        for lab in item.session.stash.get(_RUNNING, []):
            report.sections.append(("lab", lab.explain_last()))
    return report
