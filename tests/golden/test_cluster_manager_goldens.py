"""What OVN-Kubernetes' cluster manager decides, as data: every case runs here by its shape, or says why not.

The cluster manager serves events one after the other and remembers; here every state is planned from what there is.
Tunnel ids are for clusters whose zones are interconnected, so results about them are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo.ipam import NETWORK_IDS, IdPool
from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.planner import Desired, claims_from_snapshot, desired_from_topology
from ovnk8s_topo.results import stale_networks
from ovnk8s_topo.results.node_subnets import PER_NETWORK
from ovnk8s_topo.sources import Manifests, read_text
from ovnk8s_topo.spec import Attachment, Cluster, Given, IpamClaim, Layer2, Network, Pod, Topology
from ovnk8s_topo.spec.network import network_from_fields

FILE = Path(__file__).parent / "cluster_manager.json"
OWNER = "me"

PRIMARY = "about a primary network, which is read but not built yet"

LEFT_OUT = {
    "nad-two-primary-one-namespace": PRIMARY,
    "nad-incompatible-second": PRIMARY,
    "nad-incompatible-update-shared": "which of two definitions that differ was there first is memory; the first by "
    "name counts here (tests/unit/test_sources.py)",
    "network-id-inherited": "network ids are annotations of interconnected zones, and nobody here writes them",
}


def _read() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _cases(*prefixes: str) -> list[Any]:
    chosen = [case for case in _read() if case["name"].startswith(prefixes) and case["name"] not in LEFT_OUT]
    return [pytest.param(case, id=case["name"]) for case in chosen]


KINDS = ("l2-", "stale-", "claim", "pod-", "nad-", "network-id-")


def test_every_case_runs_or_is_left_out() -> None:
    names = [case["name"] for case in _read()]
    assert len(names) == len(set(names))
    assert set(LEFT_OUT) <= set(names)
    assert all(name.startswith(KINDS) for name in names)


# --- explicit addresses, and what IPAMClaims keep from them


@pytest.mark.parametrize("case", _cases("l2-", "claim"))
def test_allocating_addresses(case: dict[str, Any]) -> None:
    source = case["input"]
    claims = {f"{found['namespace']}/{found['name']}": _claim(found) for found in source.get("ipam_claims", ())}
    network, served = _network(source), list[Pod]()
    for index, step in enumerate(case["expect"]["steps"]):
        if "delete_claim" in step:
            del claims[step["delete_claim"]]
            continue
        asked = Attachment(name="nad", ips=step["allocate"])
        pod = Pod(namespace="test", name=f"pod{index}", node="node1", networks=(asked,))
        done = desired_from_topology(_topology(network, *served, pod, claims=[*claims.values()]))
        if "error" in step:
            assert [step["error"] in problem.why for problem in done.problems] == [True]
        else:
            assert step["result"] == "ok"
            assert not done.problems
            assert done.grants[f"test.nad_test_pod{index}"].addresses == asked.addresses
            served.append(pod)


def _claim(found: Mapping[str, Any]) -> IpamClaim:
    return IpamClaim(
        namespace=found["namespace"], name=found["name"], network=found["network"], ips=found["status_ips"]
    )


def _network(source: Mapping[str, Any]) -> Network:
    fields = dict(source["netconf"])
    allowed = fields.get("allowPersistentIPs", False) and source.get("config", {}).get("enable_persistent_ips", False)
    fields["allowPersistentIPs"] = allowed
    return network_from_fields(fields.pop("topology"), **fields, nads="test/nad")


def _topology(network: Network, *pods: Pod, claims: list[IpamClaim] | None = None) -> Topology:
    cluster = Cluster(fixed_addresses="honour")
    return Topology(networks=[network], pods=pods, ipam_claims=claims or [], cluster=cluster)


# --- networks that are gone


@pytest.mark.parametrize("case", _cases("stale-"))
def test_stale_networks(case: dict[str, Any]) -> None:
    expect = case["expect"]
    for node in case["input"]["nodes"]:
        for step in expect.get("steps", ()):
            gone = stale_networks(node["annotations"], step["cleanup_stale"]["still_valid"])
            assert gone == set(step["result"]["removed_from_every_node"])
        if "result" in expect:
            removed = expect["result"]["removed_annotation_entries"]
            assert removed.keys() <= set(PER_NETWORK)
            assert stale_networks(node["annotations"], []) == {name for names in removed.values() for name in names}


# --- one pod after another


L2 = Layer2(name="l2", subnets="192.168.200.0/24", nads="namespace/nad", allow_persistent_ips=True)


@pytest.mark.parametrize("case", _cases("pod-"))
def test_the_pod_allocator(case: dict[str, Any]) -> None:
    source, expect = case["input"], case["expect"]
    (described,) = source["pods"]
    if "error" in expect:
        _check_refusal(described, expect["error"])
        return
    outcome = _outcome(described, [_claim({"network": "l2", **source["ipam_claim"]})] if "ipam_claim" in source else [])
    ignored = {"releases_tunnel_id", "remembered_as_released"}
    wanted = {key: value for key, value in expect["result"].items() if key not in ignored}
    assert wanted
    assert {key: outcome[key] for key in wanted} == wanted


def _outcome(described: Mapping[str, Any], claims: list[IpamClaim]) -> dict[str, object]:
    """Plan a pod, then its end together with a newcomer that asks for its address."""
    pod = _pod("pod", **described)
    before = desired_from_topology(_topology(L2, pod.model_copy(update={"phase": ""}), claims=claims))
    if not before.grants:
        return {"allocates": False}
    (made,) = before.grants.values()
    # What was released before may be somebody else's by now.
    others = [_pod("other", scheduled=True, network={"name": "nad"})] if described.get("already_released") else []
    written = desired_from_topology(_topology(L2, *others)) if others else before
    newcomer = _pod("newcomer", scheduled=True, network={"name": "nad", "ips": [str(ip) for ip in made.addresses]})
    rest = [newcomer, *others, *([] if described.get("deleted") else [pod])]
    after = desired_from_topology(
        _topology(L2, *rest, claims=claims), claims_from_snapshot(_stored(written)), released_by=OWNER
    )
    released = after.grants.get("namespace.nad_namespace_newcomer") == made
    return {"allocates": True, "releases_ip": released, "reserves_mac": made.mac}


def _pod(
    name: str,
    /,
    *,
    scheduled: bool = False,
    network: Mapping[str, Any] | None = None,
    completed: bool = False,
    annotated_ips: list[str] | None = None,
    **_: object,
) -> Pod:
    fields = {key.replace("-", "_"): value for key, value in (network or {}).items()}
    return Pod(
        namespace="namespace",
        name=name,
        node="node" if scheduled else "",
        phase="Succeeded" if completed else "Running",
        networks=(Attachment(**fields),) if fields else (),
        given={"namespace/nad": Given(ips=annotated_ips)} if annotated_ips else {},
    )


def _check_refusal(described: Mapping[str, Any], error: str) -> None:
    """Let somebody have all addresses, and the MAC, before the pod comes."""
    mac = described["network"].get("mac", "")
    network = L2 if mac else Layer2(name="l2", subnets="10.1.130.0/30", nads="namespace/nad")
    fill = [_pod(name, scheduled=True, network={"name": "nad", **({"mac": mac} if mac else {})}) for name in "ab"]
    crowd = fill[:1] if mac else fill
    before = _stored(desired_from_topology(_topology(network, *crowd)))
    pod = _pod("pod", **described)
    done = desired_from_topology(_topology(network, *crowd, pod), claims_from_snapshot(before))
    (problem,) = done.problems
    text = error.removeprefix("failed to update pod namespace/pod: ")
    # What comes before the allocator's own text names the pod; problems do so by themselves.
    assert problem.why.startswith((text, text.rpartition(": ")[2]))
    assert problem.subject == "Pod namespace/pod (namespace/nad)"


def _stored(written: Desired) -> Snapshot:
    rows = [(row, marked(row, OWNER)) for row in written.rows.values()]
    return Snapshot.of(
        Stored(f"{row.key}", ours, () if row.parent_key is None else (f"{row.parent_key}",)) for row, ours in rows
    )


# --- which definitions lead to which network


@pytest.mark.parametrize("case", _cases("nad-"))
def test_networks_of_definitions(case: dict[str, Any]) -> None:
    expect, latest = case["expect"], dict[str, dict[str, Any]]()
    for step in case["expect"]["steps"]:
        # Kubernetes takes no `_` in a name.
        latest[step["nad"].replace("_", "-")] = case["input"]["netconfs"][step["netconf"]]
    found = _read_nads(latest)
    assert not found.problems
    names = {
        case["input"]["netconfs"][key]["name"]: [nad.replace("_", "-") for nad in nads]
        for key, nads in expect["result"]["networks"].items()
    }
    assert {network.name: [*network.nad_keys] for network in found.topology.networks} == names


def _read_nads(netconfs: Mapping[str, Mapping[str, Any]]) -> Manifests:
    return read_text("\n".join(_documents(netconfs)), keep_going=True)


def _documents(netconfs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for key, netconf in netconfs.items():
        namespace, name = key.split("/")
        config = {"cniVersion": "0.4.0", "type": "ovn-k8s-cni-overlay", "netAttachDefName": key, **netconf}
        definition = {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"config": json.dumps(config)},
        }
        yield "---"
        yield json.dumps(definition)


@pytest.mark.parametrize("case", _cases("network-id-"))
def test_network_ids(case: dict[str, Any]) -> None:
    assert IdPool(*NETWORK_IDS).allocate(case["input"]["netconf"]["name"]) == (case["expect"]["result"]["network_id"],)
