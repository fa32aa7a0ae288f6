"""The clusters of the examples, by packets: every pod reaches every other one of its networks."""

from __future__ import annotations

import pytest
from examples_here import DOCUMENTS

from ovnk8s_topo import Topology
from ovnk8s_topo.lab.fixtures import StartLab
from ovnk8s_topo.spec import Style


@pytest.mark.parametrize("style", ["2023", "2024"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_everybody_reaches_everybody(start_lab: StartLab, name: str, style: Style) -> None:
    topology = Topology.from_manifests(*DOCUMENTS[name], style=style)
    lab = start_lab(topology.nodes)
    lab.apply(topology)
    assert lab.pods
    assert lab.unreachable() == ()
    assert lab.unreachable(version=6) == ()
