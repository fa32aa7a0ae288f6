"""What a pod's annotation says and no row shows: it reaches the planner's attachments as it was written."""

from __future__ import annotations

import json

import pytest

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.planner.wanted import Wanted, wanted_ports
from ovnk8s_topo.sources import read_text
from ovnk8s_topo.spec import Attachment, Layer2, Pod, Topology

ELEMENT = {
    "name": "bare",
    "namespace": "default",
    "interface": "eth7",
    "ips": ["192.0.2.7/24"],
    "mac": "02:00:00:00:00:07",
    "default-route": ["192.0.2.1"],
    "ipam-claim-reference": "vm",
    "infiniband-guid": "c2:11:22:33:44:55:66:77",
    "cni-args": {"a": {"b": [1, None]}},
    "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
    "bandwidth": {"ingressRate": 1, "ingressBurst": 2, "egressRate": 3, "egressBurst": 4},
}
ATTACHMENT = Attachment(
    name="bare",
    namespace="default",
    interface="eth7",
    ips=("192.0.2.7/24",),
    mac="02:00:00:00:00:07",
    default_route=("192.0.2.1",),
    ipam_claim_reference="vm",
    infiniband_guid="c2:11:22:33:44:55:66:77",
    cni_args={"a": {"b": [1, None]}},
    port_mappings=({"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},),
    bandwidth={"ingressRate": 1, "ingressBurst": 2, "egressRate": 3, "egressBurst": 4},
)


def pod_document(**annotations: str) -> str:
    keys = {"networks": "k8s.v1.cni.cncf.io/networks", "default_network": "v1.multus-cni.io/default-network"}
    metadata = {"name": "p", "annotations": {keys[key]: text for key, text in annotations.items()}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n1"}})


def read_pod(**annotations: str) -> Pod:
    (pod,) = read_text(pod_document(**annotations)).topology.pods
    return pod


def wanted_of(pod: Pod) -> list[Wanted]:
    return [*wanted_ports(Topology(networks=[Layer2(name="bare")], pods=[pod]))]


def test_every_field_of_a_selection_reaches_the_planner() -> None:
    pod = read_pod(networks=json.dumps([ELEMENT, ELEMENT]))
    assert [(item.nad_key, item.attachment) for item in wanted_of(pod)] == [
        ("default/bare", ATTACHMENT),
        ("default/bare/1", ATTACHMENT),
    ]
    assert wanted_of(Pod(**json.loads(pod.model_dump_json())))[0].attachment == ATTACHMENT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("other", Attachment(name="other", namespace="")),
        ("ns/other@eth9", Attachment(name="other", namespace="ns", interface="eth9")),
        ('[{"name": "other", "ips": ["10.0.0.7/24"]}]', Attachment(name="other", namespace="", ips=("10.0.0.7/24",))),
    ],
)
def test_the_selection_of_the_default_network_is_carried_and_makes_no_port(text: str, expected: Attachment) -> None:
    pod = read_pod(networks="bare", default_network=text)
    assert pod.default_network == expected
    assert [item.nad_key for item in wanted_of(pod)] == ["default/bare"]


@pytest.mark.parametrize("text", ["", None])
def test_without_one_there_is_none(text: str | None) -> None:
    assert read_pod(**({} if text is None else {"default_network": text})).default_network is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b", "more than one default network is specified: a,b"),
        ("[]", "no default network is specified: [] (Multus crashes on it)"),
        ("a/b/c", "Invalid network object (failed at '/')"),
    ],
)
def test_a_selection_that_a_reader_refuses(text: str, why: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_pod(default_network=text)
    (problem,) = caught.value.problems
    assert why in problem.why
    assert problem.path.startswith("metadata.annotations")
    assert problem.position
