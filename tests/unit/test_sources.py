"""Reading manifests: what comes out, where faults are, what is left out, and that order and bytes never matter."""

from __future__ import annotations

import io
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovnk8s_topo.errors import SpecError
from ovnk8s_topo.sources import Manifests, read_manifests, read_text
from ovnk8s_topo.sources.comments import without_comments
from ovnk8s_topo.sources.documents import stream_from_bytes, stream_from_text
from ovnk8s_topo.spec import Attachment, Cluster, Gaps, Layer2, Layer3, Localnet, Node, Pod, Topology
from ovnk8s_topo.spec.selection import attachments_from_text

ARTICLE = """\
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: l3-network
  namespace: kube-system
spec:
  config: |2
    {
            "cniVersion": "0.3.1",
            "name": "l3-network",
            "type": "ovn-k8s-cni-overlay",
            "topology": "layer3",
            "subnets": "10.33.0.0/16/24", #subnets 属性指示跨集群和每个节点的子网
            "mtu": 1400,
            "netAttachDefName": "kube-system/l3-network"
    }
---
apiVersion: v1
kind: Pod
metadata:
  name: nginx1-l3
  annotations:
    k8s.v1.cni.cncf.io/networks: kube-system/l3-network@eth1 #格式
spec:
  containers:
  - image: nginx
    name: nginx1-l3
  nodeSelector:
    kubernetes.io/hostname: work001
"""
L3 = Layer3(name="l3-network", subnets="10.33.0.0/16/24", mtu=1400, nads="kube-system/l3-network")


def _nad(name: str, network: str = "blue", namespace: str = "ns1", **fields: Any) -> dict[str, Any]:
    config = {
        "cniVersion": "0.3.1",
        "name": network,
        "type": "ovn-k8s-cni-overlay",
        "topology": "layer2",
        "netAttachDefName": f"{namespace}/{name}",
        **fields,
    }
    return {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"config": json.dumps(config)},
    }


def _node(name: str, **annotations: str) -> dict[str, Any]:
    keys = {key.replace("_", "-"): value for key, value in annotations.items()}
    notes = {f"k8s.ovn.org/{key}": value for key, value in keys.items()}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": notes}}


def _pod(name: str, networks: str = "", *, node: str = "n1", **metadata: Any) -> dict[str, Any]:
    annotations = {"k8s.v1.cni.cncf.io/networks": networks} if networks else {}
    meta = {"name": name, "namespace": "ns1", "annotations": annotations, **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": node}}


def _read(*objects: dict[str, Any], **options: Any) -> Manifests:
    return read_text("\n---\n".join(json.dumps(each) for each in objects), **options)


def _whys(text: str, **options: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read_text(text, "f.yaml", **options)
    return [str(problem) for problem in caught.value.problems]


# --- what comes out


def test_article_is_refused_as_kubernetes_does() -> None:
    (text,) = _whys(ARTICLE)
    assert text == (
        "f.yaml:13:43: NetworkAttachmentDefinition kube-system/l3-network: spec.config: "
        "error parsing Network Attachment Definition kube-system/l3-network: "
        "invalid character '#' looking for beginning of object key string "
        "(got a comment: JSON has none and Kubernetes refuses it; lenient mode (--lenient) takes comments out)"
    )


def test_article_in_lenient_mode() -> None:
    found = read_text(ARTICLE, lenient=True)
    pod = Pod(name="nginx1-l3", node="work001", networks="kube-system/l3-network@eth1")
    assert found.topology == Topology(networks=[L3], pods=[pod])
    assert [notice.text for notice in found.notices] == ["taken as its node: work001 (it has no spec.nodeName)"]


def test_every_kind_of_object() -> None:
    given = '{"default": {"mac_address": "zz"}, "ns1/lan": {"ip_addresses": ["10.1.0.5/16"], "mac_address": "%s"}}'
    found = _read(
        _nad("lan", "lan", topology="localnet", vlanID=100, physicalNetworkName="phys", mtu=1500),
        _nad("flat", "flat", subnets="10.1.0.0/16", excludeSubnets="10.1.9.0/24", allowPersistentIPs=True),
        _nad("deep", "deep", topology="layer3", subnets="10.2.0.0/16, fd01::/48", joinSubnet="100.70.0.0/16"),
        _node("n1", node_chassis_id="abc", node_subnets='{"default": "10.3.0.0/24", "deep": ["10.2.1.0/24"]}'),
        {**_pod("web"), "status": {"phase": "Running"}},
        _pod(
            "db",
            "lan,lan",
            uid="u1",
            labels={"app": "db"},
            annotations={
                "k8s.v1.cni.cncf.io/networks": "lan,lan",
                "k8s.ovn.org/pod-networks": given % "0A:58:0a:01:00:05",
            },
        ),
    )
    assert found.topology == Topology(
        networks=[
            Layer3(name="deep", nads="ns1/deep", subnets="10.2.0.0/16,fd01::/48", join_subnets="100.70.0.0/16"),
            Layer2(
                name="flat",
                nads="ns1/flat",
                subnets="10.1.0.0/16",
                exclude_subnets="10.1.9.0/24",
                allow_persistent_ips=True,
            ),
            Localnet(name="lan", nads="ns1/lan", vlan_id=100, physical_network_name="phys", mtu=1500),
        ],
        nodes=[Node(name="n1", chassis_id="abc", subnets={"deep": "10.2.1.0/24"})],
        pods=[
            Pod(
                namespace="ns1",
                name="db",
                uid="u1",
                node="n1",
                labels={"app": "db"},
                networks=[Attachment(name="lan", namespace="ns1")] * 2,
                given={"ns1/lan": {"ips": ["10.1.0.5/16"], "mac": "0a:58:0a:01:00:05"}},
            ),
            Pod(namespace="ns1", name="web", node="n1", phase="Running"),
        ],
    )
    assert not found.notices


def test_lists_of_all_sorts() -> None:
    bare = {"metadata": {"name": "n2"}}
    found = _read(
        {"apiVersion": "v1", "kind": "List", "items": [_node("n1"), {"apiVersion": "v1", "kind": "List", "items": []}]},
        {"apiVersion": "v1", "kind": "NodeList", "items": [bare]},
        {"apiVersion": "v1", "kind": "PodList", "items": None},
        {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinitionList", "items": [_nad("a")]},
    )
    assert [node.name for node in found.topology.nodes] == ["n1", "n2"]
    assert [network.name for network in found.topology.networks] == ["blue"]


def test_other_kinds_are_counted() -> None:
    others: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Service"},
        {"apiVersion": "config.example.com/v1", "kind": "Node"},
        _nad("bridge", type="bridge"),
        _nad("default", topology=""),
    ]
    found = _read(*others)
    assert found.ignored == {"NetworkAttachmentDefinition": 2, "Node": 1, "Service": 2}
    assert found.topology == Topology()
    assert [notice.text for notice in found.notices] == [
        "ignored: its plugin is not ovn-k8s-cni-overlay",
        "ignored: it has no topology: it is about the cluster's default network",
    ]


def test_several_definitions_of_one_network() -> None:
    found = _read(_nad("b", subnets="10.1.0.0/16,fd01::/64"), _nad("a", subnets="10.1.0.0/16,fd01::/64"))
    assert found.topology.networks == (Layer2(name="blue", nads=("ns1/a", "ns1/b"), subnets="10.1.0.0/16,fd01::/64"),)


def test_notices() -> None:
    found = _read(
        _nad("a", vlanID=5, physicalNetworkName="x"),
        _nad("l3", "l3", topology="layer3", subnets="10.1.0.0/16", excludeSubnets="10.1.0.0/24"),
        _node("n1"),
        _pod("p", "a,none"),
        _pod("q", "none"),
    )
    assert [str(notice).partition(": ")[2] for notice in found.notices] == [
        "NetworkAttachmentDefinition ns1/a: vlanID has no effect on a layer2 network",
        "NetworkAttachmentDefinition ns1/a: physicalNetworkName has no effect on a layer2 network",
        "NetworkAttachmentDefinition ns1/l3: excludeSubnets has no effect on a layer3 network",
        "Pod ns1/p: attaches to NetworkAttachmentDefinition ns1/none, which is not described: "
        "no port is made for it (and 1 more pods)",
        "Node n1: has no annotation k8s.ovn.org/node-chassis-id: using its name as its chassis",
    ]


def test_cluster_is_looked_at() -> None:
    cluster = Cluster(cluster_subnets="10.128.0.0/14")
    with pytest.raises(SpecError, match=r'"10\.129\.0\.0/16" overlaps cluster subnet "10\.128\.0\.0/14"'):
        _read(_nad("a", subnets="10.129.0.0/16"), cluster=cluster)


def test_short_document() -> None:
    found = read_text("""\
ovnk8s-topo: 1
networks:
  - {name: blue, topology: layer2, subnets: 10.22.0.0/16}
  - {name: lan, topology: localnet, subnets: [10.1.0.0/24, fd01::/64], vlanID: 5, nads: ns1/lan}
nodes: [n1, {name: n2, chassis: abc, subnets: {l3: 10.33.2.0/24}}]
pods:
  - {name: web, namespace: default, node: n1, networks: "blue,ns1/lan@eth5"}
""")
    assert found.topology == Topology(
        networks=[
            Layer2(name="blue", subnets="10.22.0.0/16"),
            Localnet(name="lan", subnets="10.1.0.0/24,fd01::/64", vlan_id=5, nads="ns1/lan"),
        ],
        nodes=[Node(name="n1"), Node(name="n2", chassis_id="abc", subnets={"l3": "10.33.2.0/24"})],
        pods=[Pod(name="web", node="n1", networks="blue,ns1/lan@eth5")],
    )


def test_two_files_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps(_node("n1")))
    (tmp_path / "b.yaml").write_bytes(b"\xef\xbb\xbfapiVersion: v1\r\nkind: Node\r\nmetadata:\r\n  name: n2\r\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(_node("n3")).encode())))
    found = read_manifests([tmp_path / "a.json", str(tmp_path / "b.yaml"), "-"])
    assert [node.name for node in found.topology.nodes] == ["n1", "n2", "n3"]


def test_topology_from_manifests(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ARTICLE, "utf-8")
    assert Topology.from_manifests(tmp_path / "a.yaml", lenient=True, style="2023").style == "2023"


# --- scalars and streams


def test_core_schema() -> None:
    text = "[yes, 0x1F, 0o17, 1e3, 012, ~, 2020-01-01, !!str 5, '5', .inf, 1_000, TRUE, +1, ]"
    (document,) = stream_from_text(f"a: {text}", "f").documents
    assert document.value["a"] == [
        *("yes", 31, 15, 1000.0, 12, None, "2020-01-01", "5", "5", float("inf"), "1_000", True, 1)
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("---\n---\n...\n", [None]),
        ("# only a comment\n", []),
        ("a: 1\n...\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        ("%YAML 1.2\n# c\n---\na: 1\n", [{"a": 1}]),
        ("--- {a: 1}\n--- x", [{"a": 1}, "x"]),
        ("a: |\n  ---\n  b\n", [{"a": "---\nb\n"}]),
        ("a: [1\n---\nb: 2\n", [{"b": 2}]),
        ('{"a": 1}{"b": 2}\n---\n[3]', [{"a": 1}, {"b": 2}, [3]]),
        ('{"a": "\\ud83d\\ude00\\ud800"}', [{"a": "\U0001f600\ufffd"}]),
        ("a: &x {b: 1}\nc: *x\n", [{"a": {"b": 1}, "c": {"b": 1}}]),
    ],
)
def test_streams(text: str, values: list[Any]) -> None:
    assert [document.value for document in stream_from_text(text, "f").documents] == values


def test_every_equal_key_is_named() -> None:
    assert _whys("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n") == [
        "f.yaml:2:1: a: is given twice",
        "f.yaml:5:3: b.c: is given twice",
    ]


# --- positions


@pytest.mark.parametrize(
    ("scalar", "place"),
    [
        ("|\n    ab\n    cd#e\n", (3, 7)),
        ("|2\n      ab\n      cd#e\n", (3, 9)),
        ("|-  # why\n    ab\n    cd#e\n", (3, 7)),
        ("'ab cd#e'\n", (1, 11)),
        ('"ab\\ncd#e"\n', (1, 12)),
        ("ab cd#e\n", (1, 10)),
        (">\n    ab\n    cd#e\n", (1, 5)),
        ('"ab\n  cd#e"\n', (1, 5)),
    ],
)
def test_places_inside_of_texts(scalar: str, place: tuple[int, int]) -> None:
    (document,) = stream_from_text(f"  a: {scalar}".replace("  a: ", " a: ", 1), "f").documents
    value = document.value["a"]
    position = document.position_inside(("a",), value.index("#"))
    assert (position.line, position.column) == place


def test_places_in_json() -> None:
    (document,) = stream_from_text('{"a": [1, {"b": "q\\n\\u0041#"}, {"c":  5}]}', "f").documents
    assert str(document.position(("a", 2, "c"))) == "f:1:39"
    assert str(document.position_inside(("a", 1, "b"), 3)) == "f:1:27"
    assert str(document.position(("a", 7, "c"))) == "f:1:7"


def test_places_after_carriage_returns() -> None:
    assert _whys("apiVersion: v1\r\nkind: Node\r\nmetadata:\r\n  name: 5\r\n") == [
        "f.yaml:4:9: metadata.name: must be a text (got 5)"
    ]


# --- going on


def test_bad_objects_are_left_out() -> None:
    found = _read(
        _nad("a", "red", mtu=5),
        _nad("b", "blue"),
        _node("n1", node_subnets="{"),
        _node("n2"),
        _pod("p", "a/b/c"),
        _pod("q", "b"),
        keep_going=True,
    )
    topology = found.topology
    assert topology.gaps == Gaps(networks={"red"}, nodes={"n1"}, pods={"ns1/p"})
    assert [network.name for network in topology.networks] == ["blue"]
    assert [node.name for node in topology.nodes] == ["n2"]
    assert [pod.name for pod in topology.pods] == ["q"]
    assert len(found.problems) == 3


def test_what_cannot_be_named_stops_all_deleting() -> None:
    assert not _read({"kind": "Pod", "apiVersion": "v1"}, keep_going=True).topology.gaps.complete
    assert not read_text("a: [", keep_going=True).topology.gaps.complete
    assert not read_manifests(["/does/not/exist"], keep_going=True).topology.gaps.complete
    unnamed = _nad("a")
    unnamed["spec"]["config"] = "{"
    assert not _read(unnamed, keep_going=True).topology.gaps.complete


def test_comment_does_not_hide_the_name_of_the_network() -> None:
    assert read_text(ARTICLE, keep_going=True).topology.gaps == Gaps(networks={"l3-network"})


def test_odd_definition_leaves_its_users_alone() -> None:
    found = _read(_nad("a"), _nad("b", mtu=1300), _pod("p", "a"), _pod("q", "a,b"), keep_going=True)
    assert [network.nads for network in found.topology.networks] == [("ns1/a",)]
    assert [pod.name for pod in found.topology.pods] == ["p"]
    assert found.topology.gaps == Gaps(pods={"ns1/q"})
    assert [problem.subject for problem in found.problems] == ["NetworkAttachmentDefinition ns1/b"]


def test_conflicts_leave_out_both() -> None:
    found = _read(
        _nad("a", "x-y"),
        _nad("b", "x.y"),
        _nad("c", "z"),
        _node("n"),
        _node("n"),
        _pod("p"),
        _pod("p"),
        keep_going=True,
    )
    assert found.topology.gaps == Gaps(networks={"x-y", "x.y"}, nodes={"n"}, pods={"ns1/p"})
    assert [network.name for network in found.topology.networks] == ["z"]
    assert all(problem.position and problem.position.line for problem in found.problems)


@pytest.mark.parametrize(
    "text",
    [
        'apiVersion: v1\nkind: Node\nmetadata: {name: "\\e[31m"}\n',
        'apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {"\\e[31m": 5}}\n',
        'apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {k8s.v1.cni.cncf.io/networks: "x\\e\\n"}}\n',
        'ovnk8s-topo: 1\nnodes: ["\\e[31m"]\n',
        "a: !%1b[31m b\n",
        '{"a": {"\\u001b": 1, "\\u001b": 2}}',
    ],
)
def test_messages_never_steer_a_terminal(text: str) -> None:
    assert all(why.isprintable() for why in _whys(text))


# --- order and noise

OBJECTS = [
    _nad("a"),
    _nad("b"),
    _nad("c", mtu=1300),
    _nad("d", "d", vlanID=9999, topology="localnet"),
    _nad("e", "e.e"),
    _nad("f", "e-e"),
    _nad("g", "l3", topology="layer3", subnets="10.9.0.0/16"),
    _nad("g", "l3", topology="layer3", subnets="10.8.0.0/16"),
    _node("n1"),
    _node("n2", node_subnets="[]"),
    _pod("p", "a,c"),
    _pod("q", "a"),
    _pod("q", "b"),
    {"apiVersion": "v1", "kind": "Service"},
]


@given(st.permutations(OBJECTS))
def test_order_of_documents_does_not_matter(objects: list[dict[str, Any]]) -> None:
    wanted, found = _read(*OBJECTS, keep_going=True), _read(*objects, keep_going=True)
    assert found.topology == wanted.topology
    assert found.ignored == wanted.ignored
    assert sorted(problem.why for problem in found.problems) == sorted(problem.why for problem in wanted.problems)


def test_order_of_files_does_not_matter(tmp_path: Path) -> None:
    for index, each in enumerate(OBJECTS):
        (tmp_path / f"{index}.json").write_text(json.dumps(each))
    files = sorted(tmp_path.iterdir())
    forth, back = read_manifests(files, keep_going=True), read_manifests(files[::-1], keep_going=True)
    assert forth.topology == back.topology


def _only_spec_errors(text: str) -> None:
    """Whatever else is raised fails the test that asks."""
    assert all(str(problem) for problem in read_text(text, keep_going=True).problems)
    for lenient in (False, True):
        with suppress(SpecError):
            read_text(text, lenient=lenient)


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    _only_spec_errors(text)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@` \n\t,?~0", max_size=40))
def test_any_yaml_punctuation(text: str) -> None:
    _only_spec_errors(text)


@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    stream = stream_from_bytes(content, "f")
    assert all(problem.position for problem in stream.problems)


@given(st.data())
def test_mutated_documents(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([ARTICLE, "\n---\n".join(json.dumps(each, indent=1) for each in OBJECTS)]))
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 20))
    put = data.draw(st.text(alphabet="{}[]\"',:|#\\nul0-9\n \x7f\ud7ff", max_size=5))
    _only_spec_errors(text[:at] + put + text[at + length :])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["apiVersion", "kind", "metadata", "spec", "status", "items"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.sampled_from([*OBJECTS, OBJECTS[0]]))
def test_objects_with_fields_of_any_type(noise: dict[str, Any], base: dict[str, Any]) -> None:
    _only_spec_errors(json.dumps({**base, **noise}))


@given(JSON, st.sampled_from(["name", "subnets", "mtu", "ipam", "evpn", "plugins", "role", "vlanID", "joinSubnet"]))
def test_configurations_with_fields_of_any_type(value: Any, key: str) -> None:
    _only_spec_errors(json.dumps(_nad("a", **({key: value} if key != "name" else {"cniVersion": value}))))


@given(st.dictionaries(st.sampled_from(["ovnk8s-topo", "networks", "nodes", "pods"]), JSON))
def test_short_documents_of_any_type(value: dict[str, Any]) -> None:
    _only_spec_errors(json.dumps({"ovnk8s-topo": 1, **value}))


FIELDS = st.sampled_from(["name", "ips", "mac", "bandwidth", "portMappings", "cni-args", "default-route", "namespace"])


@given(st.lists(st.dictionaries(FIELDS, JSON, max_size=4) | JSON, max_size=3))
def test_selections_of_any_type(value: Any) -> None:
    with suppress(SpecError):
        attachments_from_text(json.dumps(value), "ns1")


@given(JSON)
@settings(max_examples=200)
def test_json_and_yaml_mean_the_same(value: Any) -> None:
    text = json.dumps({"a": value})
    (as_json,) = stream_from_text(text, "f").documents
    quoted = stream_from_text(f"--- {text}", "f")
    if not quoted.problems:
        assert quoted.documents[0].value == as_json.value


def test_comments_leave_strings_alone() -> None:
    text = '{"a": "#x // y \\" /*", # one\n "b": 1 /* two\n */ } // three'
    assert json.loads(without_comments(text)) == {"a": '#x // y " /*', "b": 1}
    assert len(without_comments(text)) == len(text)
