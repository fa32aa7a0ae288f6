from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from ovnk8s_topo.backends import DirectNb, OvsdbNb

pytest_plugins = ["ovnk8s_topo.testing", "ovnk8s_topo.lab.fixtures"]

_INTEGRATION = Path(__file__).parent / "integration"
_LAB = Path(__file__).parent / "lab"

# No deadlines: a slow machine is not a wrong result. `ci` always tries the same examples, so that a red build is about
# the change and not about luck; `dev` and `nightly` look for new ones.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("nightly", deadline=None, print_blob=True, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "live" in metafunc.fixturenames:
        # The two ways to a live database promise the same.
        metafunc.parametrize("live", [DirectNb, OvsdbNb], ids=lambda live: str(live.__name__))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_INTEGRATION):
            item.add_marker(pytest.mark.ovn)
        if item.path.is_relative_to(_LAB):
            item.add_marker(pytest.mark.root)
        if "container_nb" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.docker)
