"""What comes out of a plan for Kubernetes, and that it leads back to the same rows."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Pod, Reconciler, Topology, cli
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.sources.pod_networks import given_from_text
from ovnk8s_topo.told import NODE_SUBNETS, POD_NETWORKS, Told

ARTICLE = Path(__file__).parents[2] / "examples" / "article"
MANIFESTS = [str(ARTICLE / name) for name in ("nads.yaml", "nodes.yaml", "pods.yaml")]

TOPOLOGY = Topology(
    networks=[
        Layer3(name="l3", subnets="10.33.0.0/16/24,fd01::/48"),
        Layer2(name="l2", subnets="10.22.0.0/16", mtu=1300),
        Localnet(name="lan"),
    ],
    nodes=[Node(name="n1"), Node(name="n2")],
    pods=[
        Pod(name="p1", node="n1", networks="l3@eth1,l2"),
        Pod(name="p2", node="n2", networks="l3,l3,lan"),
        Pod(name="done", node="n2", networks="l3", phase="Succeeded"),
        Pod(name="other", node="n2", networks="sriov"),
    ],
)


def told(topology: Topology = TOPOLOGY) -> Told:
    return Reconciler(MemoryNb()).plan(topology).told


def test_attachments_in_the_order_of_the_annotation() -> None:
    assert [(result.pod, result.nad_key, result.interface, result.mtu) for result in told().attachments] == [
        ("default/p1", "default/l3", "eth1", 1400),
        ("default/p1", "default/l2", "net2", 1300),
        ("default/p2", "default/l3", "net1", 1400),
        ("default/p2", "default/l3/1", "net2", 1400),
        ("default/p2", "default/lan", "net3", 1400),
    ]


def test_one_pod() -> None:
    assert [result.nad_key for result in told().of_pod("default", "p1")] == ["default/l3", "default/l2"]
    assert told().of_pod("default", "done") == ()


def test_pod_networks_has_routes_to_all_nodes() -> None:
    entries = json.loads(told().pod_annotations()["default/p1"][POD_NETWORKS])
    assert entries["default/l3"] == {
        "ip_addresses": ["10.33.0.3/24", "fd01:0:0:1::3/64"],
        "mac_address": "0a:58:0a:21:00:03",
        "routes": [
            {"dest": "10.33.0.0/16", "nextHop": "10.33.0.1"},
            {"dest": "fd01::/48", "nextHop": "fd01:0:0:1::1"},
        ],
        "role": "secondary",
    }


def test_node_subnets_are_lists() -> None:
    assert told().node_annotations() == {
        "n1": {NODE_SUBNETS: '{"l3":["10.33.0.0/24","fd01:0:0:1::/64"]}'},
        "n2": {NODE_SUBNETS: '{"l3":["10.33.1.0/24","fd01:0:0:2::/64"]}'},
    }


def test_cni_results() -> None:
    result = told().cni_results(sandbox="/run/netns/p1")["default/p1"]["default/l2"].as_json()
    assert result["cniVersion"] == "1.0.0"
    assert result["interfaces"] == [
        {"name": "net2", "mac": "0a:58:0a:16:00:01", "mtu": 1300, "sandbox": "/run/netns/p1"}
    ]
    assert result["ips"] == [{"interface": 0, "address": "10.22.0.1/16"}]


def test_what_was_told_leads_to_the_same_rows() -> None:
    """A controller that writes the annotations, loses the database and starts again, moves nobody."""
    first = Reconciler(MemoryNb()).plan(TOPOLOGY)
    annotations = first.told.pod_annotations()
    newcomers = [Pod(name="a-newcomer", node=node.name, networks="l3,l2") for node in TOPOLOGY.nodes]
    again = TOPOLOGY.model_copy(
        update={
            "nodes": tuple(
                Node(name=node.name, subnets=first.told.node_subnets()[node.name]) for node in reversed(TOPOLOGY.nodes)
            ),
            "pods": (
                *(
                    pod.model_copy(update={"given": given_from_text(text)})
                    for pod in TOPOLOGY.pods
                    if (text := annotations.get(f"{pod.namespace}/{pod.name}", {}).get(POD_NETWORKS))
                ),
                newcomers[0],
            ),
        }
    )
    second = Reconciler(MemoryNb()).plan(again)
    assert first.desired.grants.items() <= second.desired.grants.items()
    assert {pod: second.told.pod_annotations()[pod] for pod in annotations} == annotations


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["annotations", "--format", "json", *MANIFESTS]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["nodes"]["work001"]["annotations"] == {NODE_SUBNETS: '{"l3-network":["10.33.2.0/24"]}'}
    assert set(printed["pods"]["default/nginx1-l3"]["cni"]) == {"kube-system/l3-network"}


def test_the_command_prints_commands_that_a_shell_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["annotations", "--style", "2023", *MANIFESTS]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == [
        "kubectl", "annotate", "--overwrite", "node", "master001",
        'k8s.ovn.org/node-subnets={"l3-network":["10.33.0.0/24"]}',
    ]  # fmt: skip
    assert [line[:7] for line in lines[3:]] == [
        ["kubectl", "annotate", "--overwrite", "-n", "default", "pod", f"nginx{number}-{kind}"]
        for number in (1, 2)
        for kind in ("l2", "l3", "lo")
    ]
