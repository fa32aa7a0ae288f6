"""OVN-Kubernetes' own allocator tests, as data: every step of every case runs here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ovnk8s_topo.addresses import (
    Address,
    Subnet,
    Version,
    address_from_text,
    interface_from_text,
    mac_from_address,
    subnet_from_text,
)
from ovnk8s_topo.ipam import (
    AddressPool,
    IdPool,
    Refused,
    SliceAllocator,
    SubnetPools,
    TunnelKeys,
    allocate_node_subnets,
    assign_slices,
    hybrid_overlay_addresses,
    needs_allocation,
    withheld_on_node,
)

Case = dict[str, Any]
Step = Mapping[str, Any]

FILES = ("ip_allocator", "node_subnet_allocator", "ids_and_mac")
CASES: dict[str, tuple[Case, ...]] = {
    name: tuple(json.loads((Path(__file__).parent / "ipam" / f"{name}.json").read_text())) for name in FILES
}

HYBRID_SUBNET = "k8s.ovn.org/hybrid-overlay-node-subnet"


def cases(file: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in CASES[file]]


# --- the interpreter -------------------------------------------------------------------------------------------------


def check(step: Step, action: Callable[[], Any], saved: dict[str, Any] | None = None) -> None:
    """Run one step and compare its outcome with what the step expects."""
    if "error" in step or "error_contains" in step:
        with pytest.raises(Refused) as refused:
            action()
        assert step.get("error", "any") in ("any", refused.value.upstream)
        assert step.get("error_contains", "") in str(refused.value)
        return
    outcome = action()
    if "save" in step and saved is not None:
        saved[step["save"]] = outcome
    expected = step.get("result", "ok")
    if isinstance(expected, str) and expected.startswith("$") and saved is not None:
        expected = saved[expected[1:]]
    if expected != "ok":
        assert outcome == expected, step


def subnets(texts: Sequence[str]) -> list[Subnet]:
    return [subnet_from_text(text) for text in texts]


def hosts(texts: Sequence[str]) -> list[Address]:
    return [interface_from_text(text)[0] if "/" in text else address_from_text(text) for text in texts]


# --- address pools ---------------------------------------------------------------------------------------------------


class OnePool:
    """Steps on the pool of one CIDR."""

    def __init__(self, case: Case) -> None:
        self.pool = AddressPool(subnet_from_text(case["input"]["cidr"]))
        for text in case["input"].get("allocated", []):
            self.pool.reserve(address_from_text(text), "pod")

    def run(self, step: Step) -> None:
        if "allocate_all" in step:
            self.allocate_all()
        elif "allocate_next" in step:
            check(step, lambda: str(self.pool.next("pod")))
        elif "allocate" in step:
            check(step, lambda: self.pool.reserve(address_from_text(step["allocate"]), "pod"))
        elif "release" in step:
            self.pool.release(address_from_text(step["release"]), "pod")
        else:
            pytest.fail(f"unknown step {step}")

    def allocate_all(self) -> None:
        given = {self.pool.next("pod") for _ in range(self.pool.free)}
        assert len(given) == len(self.pool.allocated())
        assert all(address in self.pool.subnet for address in given)


class ManyPools:
    """Steps on the pools of a list of subnets, or of a switch."""

    def __init__(self, case: Case) -> None:
        given = case["input"]
        withheld: list[Address] = []
        if given.get("manager", "").startswith(("per-node", "layer2 primary")):
            withheld = [address for subnet in subnets(given["subnets"]) for address in withheld_on_node(subnet)]
        self.pools = SubnetPools(
            subnets(given["subnets"]),
            excluded=subnets(given.get("exclude_subnets", [])),
            reserved=subnets(given.get("reserved_subnets", [])),
            withheld=withheld,
            name="subnet1",
        )

    def run(self, step: Step) -> None:
        if "next" in step:
            check({**step, "result": self.plain(step)}, lambda: self.next_texts())
        elif "allocate" in step:
            check(step, lambda: self.pools.reserve(hosts(step["allocate"]), "pod"))
        elif "release" in step:
            self.pools.release(hosts(step["release"]), "pod")
        elif "update_subnets" in step:
            self.pools = self.pools.updated(subnets(step["update_subnets"]))
        elif "hybrid_overlay" in step:
            count = len(step["result"])  # upstream's tests look at the first address only
            check(step, lambda: self.hybrid_texts(step["hybrid_overlay"])[:count])
        else:
            pytest.fail(f"unknown step {step}")

    @staticmethod
    def plain(step: Step) -> list[str]:
        return [str(address) for address in hosts(step.get("result", []))]

    def next_texts(self) -> list[str]:
        return [str(address) for address in self.pools.next("pod")]

    def hybrid_texts(self, annotated: Sequence[str]) -> list[str]:
        return [str(address) for address in hybrid_overlay_addresses(self.pools, hosts(annotated), "hybrid-overlay")]


def is_reserved(cidr: str, address: str) -> bool:
    """Upstream's word for network and broadcast address."""
    return not AddressPool(subnet_from_text(cidr)).fits(address_from_text(address))


@pytest.mark.parametrize("case", cases("ip_allocator"))
def test_ip_allocator(case: Case) -> None:
    expect = case["expect"]
    if "error" in expect or "error_contains" in expect:
        check(expect, lambda: (OnePool if "cidr" in case["input"] else ManyPools)(case))
        return
    subject = OnePool(case) if "cidr" in case["input"] else ManyPools(case)
    if "free" in expect and isinstance(subject, OnePool):
        assert subject.pool.free == expect["free"]
    for address, reserved in expect.get("reserved", {}).items():
        assert is_reserved(case["input"]["cidr"], address) == reserved
    if "result" in expect and isinstance(subject, OnePool):
        assert [str(address) for address in subject.pool.allocated()] == expect["result"]["allocated"]
    for step in expect.get("steps", []):
        subject.run(step)


# --- node subnets ----------------------------------------------------------------------------------------------------

FAMILY: dict[str, Version] = {"v4": 4, "v6": 6}


def ranges_of(case: Case) -> list[tuple[Subnet, int]]:
    given = case["input"]
    if "cluster_subnets" in given:
        parts = [text.rpartition("/") for text in given["cluster_subnets"]]
        return [(subnet_from_text(cidr), int(host_len)) for cidr, _, host_len in parts]
    return [(subnet_from_text(item["cidr"]), item["host_subnet_length"]) for item in given["ranges"]]


def texts(found: Sequence[Subnet]) -> list[str]:
    return [str(subnet) for subnet in found]


class Slices:
    """Steps on the node subnets of a cluster."""

    def __init__(self, case: Case) -> None:
        self.allocator = SliceAllocator(ranges_of(case))
        self.saved: dict[str, Any] = {}

    def run(self, step: Step) -> None:
        if "allocate" in step:
            check(step, lambda: texts(self.allocator.allocate(step["allocate"])), self.saved)
        elif "release" in step:
            check(step, lambda: self.allocator.release(step["release"], *self.named(step)))
        elif "mark" in step:
            check(step, lambda: self.allocator.mark(step["mark"], *self.named(step)))
        elif "set_cursor" in step:
            cursor = step["set_cursor"]
            self.allocator.set_cursor(FAMILY[cursor["family"]], cursor["range"], cursor["next"])
        else:
            pytest.fail(f"unknown step {step}")
        if "used" in step:
            self.check_used(step["used"])

    def named(self, step: Step) -> list[Subnet]:
        found: list[str] = []
        for text in step["subnets"]:
            found += self.saved[text[1:]] if text.startswith("$") else [text]
        return subnets(found)

    def check_used(self, used: Mapping[str, int]) -> None:
        assert {family: self.allocator.used(FAMILY[family]) for family in used} == used


def run_node_allocation(case: Case) -> None:
    given, expect = case["input"], case["expect"]
    allocator = SliceAllocator(ranges_of(case))
    for node in given.get("hybrid_overlay_nodes", []):
        allocator.block(node["name"], subnet_from_text(node["annotations"][HYBRID_SUBNET]))
    owned = given.get("already_owned")
    if owned:
        allocator.mark(owned["owner"], subnet_from_text(owned["subnet"]))
    used = {version: allocator.used(version) for version in FAMILY.values()}
    versions: list[Version] = [version for family, version in FAMILY.items() if given[f"ip{family}"]]
    existing = subnets(given["existing_annotation"])

    def allocate() -> dict[str, Any]:
        outcome = allocate_node_subnets(allocator, given["node"], existing, versions)
        return {"subnets": texts(outcome.subnets), "newly_allocated": len(outcome.new)}

    check(expect, allocate)
    if expect.get("used_unchanged"):
        assert {version: allocator.used(version) for version in FAMILY.values()} == used
    if owned:
        assert allocator.owner_of(subnet_from_text(owned["subnet"])) == owned["owner"]
    if "result" in expect:
        check_pure(case, existing)


def check_pure(case: Case, existing: Sequence[Subnet]) -> None:
    """The planner's pure function must agree with the allocator that runs step by step."""
    given = case["input"]
    claims = {given["node"]: tuple(existing)}
    for node in given.get("hybrid_overlay_nodes", []):
        claims[node["name"]] = (subnet_from_text(node["annotations"][HYBRID_SUBNET]),)
    if "already_owned" in given:
        claims[given["already_owned"]["owner"]] = (subnet_from_text(given["already_owned"]["subnet"]),)
    outcome = assign_slices(ranges_of(case), claims, [given["node"]])
    assert texts(outcome.given[given["node"]]) == case["expect"]["result"]["subnets"]


@pytest.mark.parametrize("case", cases("node_subnet_allocator"))
def test_node_subnet_allocator(case: Case) -> None:
    given, expect = case["input"], case["expect"]
    if "node" in given:
        run_node_allocation(case)
    elif "node_subnets" in given:
        needs = needs_allocation(ranges_of(case), subnets(given["node_subnets"]))
        assert needs == expect["result"]["needs_allocation"]
    elif "error" in expect:
        check(expect, lambda: Slices(case))
    else:
        run_slice_steps(case)


def run_slice_steps(case: Case) -> None:
    slices, expect = Slices(case), case["expect"]
    for family, count in expect.get("count", {}).items():
        assert slices.allocator.count(FAMILY[family]) == count
    for family, listed in expect.get("result", {}).items():
        assert texts(list(slices.allocator.slices(FAMILY[family]))) == listed
    for step in expect.get("steps", []):
        slices.run(step)
    slices.check_used(expect.get("used_at_end", {}))


# --- ids, tunnel keys, MAC addresses ---------------------------------------------------------------------------------


def single(ids: Sequence[int]) -> int:
    """Upstream's single-id allocator says -1 where we say ()."""
    return ids[0] if ids else -1


class Ids:
    """Steps on an id pool: `size` is upstream's one-id-per-name allocator, `range` the one for several."""

    def __init__(self, case: Case) -> None:
        first, last = case["input"].get("range") or (0, case["input"].get("size", 1) - 1)
        self.pool = IdPool(first, last) if "range" in case["input"] or "size" in case["input"] else TunnelKeys()
        self.saved: dict[str, Any] = {}

    def run(self, step: Step) -> None:
        if "network_id" in step:
            check(step, lambda: list(self.allocate_for(step)))
        elif "count" in step:
            check(step, lambda: list(self.pool.allocate(step["allocate"], step["count"])))
        elif "allocate" in step:
            check(step, lambda: single(self.pool.allocate(step["allocate"])), self.saved)
        elif "reserve" in step:
            ids = step.get("ids", [step.get("id")])
            check(step, lambda: self.pool.reserve(step["reserve"], ids))
        elif "release" in step:
            check(step, lambda: single(self.pool.release(step["release"])), self.saved)
        elif "get" in step:
            check(step, lambda: single(self.pool.ids_of(step["get"])), self.saved)
        else:
            pytest.fail(f"unknown step {step}")

    def allocate_for(self, step: Step) -> tuple[int, ...]:
        assert isinstance(self.pool, TunnelKeys)
        return self.pool.allocate_for(step["allocate"], step["network_id"], step["count"])


def run_first_network(case: Case) -> None:
    netconf, expect = case["input"]["netconf"], case["expect"]
    networks, keys = IdPool(1, 4095), TunnelKeys()
    (network_id,) = networks.allocate(netconf["name"])
    wanted = 2 if (netconf["topology"], netconf.get("role")) == ("layer2", "primary") else 1
    assert list(keys.allocate_for(netconf["name"], network_id, wanted)) == expect["result"]["tunnel_keys"]
    assert network_id == expect["result"]["network_id"]
    # The text of `on_annotation_failure` is the annotation writer's; ours is that everything can be taken back.
    if expect.get("on_annotation_failure", {}).get("released"):
        networks.release(netconf["name"])
        keys.release(netconf["name"])
        assert networks.free == 4095
        assert keys.free == TunnelKeys().free
        assert keys.owner_of(16711684) is None


@pytest.mark.parametrize("case", cases("ids_and_mac"))
def test_ids_and_mac(case: Case) -> None:
    if "ip" in case["input"]:
        assert mac_from_address(address_from_text(case["input"]["ip"])) == case["expect"]["result"]
    elif "netconf" in case["input"]:
        run_first_network(case)
    else:
        subject = Ids(case)
        for step in case["expect"]["steps"]:
            subject.run(step)
