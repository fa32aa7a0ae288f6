"""One definition with several faults tells all of them, each once."""

from __future__ import annotations

import json

import pytest

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources import read_text

GOOD = {
    "name": "net",
    "type": "ovn-k8s-cni-overlay",
    "topology": "localnet",
    "netAttachDefName": "default/net",
    "subnets": "10.0.0.0/24",
}


def faults(**changed: object) -> list[str]:
    nad = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "net", "namespace": "default"},
        "spec": {"config": json.dumps(GOOD | changed)},
    }
    with pytest.raises(SpecError) as caught:
        read_text(json.dumps(nad))
    return [problem.path.removeprefix("spec.config.") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"subnets": "10.0.0.0/33", "vlanID": 5000}, ["subnets[0]", "vlanID"]),
        ({"excludeSubnets": "11.0.0.0/8", "vlanID": 5000, "mtu": 3}, ["excludeSubnets", "mtu", "vlanID"]),
        ({"role": "primary", "vlanID": 5000}, ["role", "vlanID"]),
        ({"role": "primary", "subnets": "10.0.0.0"}, ["role", "subnets[0]"]),
        ({"topology": "layer2", "role": "primary", "subnets": "100.64.0.0/24", "mtu": 3}, ["mtu", "role", "subnets"]),
        ({"topology": "layer3", "subnets": "", "mtu": 3}, ["mtu", "subnets"]),
        (
            {"physicalNetworkName": "a:b", "vlanID": -1, "ipam": {"type": "x"}},
            ["ipam", "physicalNetworkName", "vlanID"],
        ),
        ({"netAttachDefName": "default/other", "vlanID": 5000}, ["netAttachDefName", "vlanID"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_every_fault_is_told_once(changed: dict[str, object], expected: list[str]) -> None:
    assert sorted(faults(**changed)) == expected
