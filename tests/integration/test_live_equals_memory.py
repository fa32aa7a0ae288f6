"""The same topologies, one after the other, to the in-memory database and to a real one: equal rows, equal uuids."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import permutations

import pytest
from nb_world import Live
from ovn_chassis import register_chassis

from ovnk8s_topo import Layer2, Layer3, Localnet, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.backends.contract import NbBackend
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import LogicalSwitchPort
from ovnk8s_topo.spec import Network
from ovnk8s_topo.testing import LocalOvn

SHARED = {"Meter", "Meter_Band", "Copp"}

NETWORKS: list[Network] = [
    Layer3(name="l3", subnets="10.33.0.0/16/24"),
    Layer3(name="l3-dual", subnets="10.34.0.0/16/24,fd01::/48"),
    Layer2(name="l2", subnets="10.22.0.0/16", exclude_subnets="10.22.0.1/32"),
    Layer2(name="bare"),
    Localnet(name="lan", subnets="192.168.100.0/24", exclude_subnets="192.168.100.1/32", vlan_id=100),
]
NODES = [Node(name=f"n{number}") for number in range(3)]


def random_topology(dice: random.Random) -> Topology:
    networks = [network for network in NETWORKS if dice.random() < 0.8]
    nodes = [node for node in NODES if dice.random() < 0.8] or NODES[:1]
    names = [network.name for network in networks]
    pods = [
        Pod(
            name=f"p{number}",
            uid=f"uid-{number}-{dice.randrange(2)}",
            node=dice.choice(nodes).name,
            networks=",".join(dice.sample(names, dice.randint(1, len(names)))),
        )
        for number in range(8)
        if names and dice.random() < 0.7
    ]
    return Topology(networks=networks, nodes=nodes, pods=pods, style=dice.choice(["2023", "2024"]))


def reconcile(nb: NbBackend, topology: Topology) -> None:
    reconciler = Reconciler(nb)
    if topology.networks:
        reconciler.apply(topology, prune=True, allow_mass_delete=True)
        assert reconciler.verify(topology).is_empty
    else:
        reconciler.destroy()


def without_tags(snapshot: Snapshot) -> dict[str, Stored]:
    """All rows, without northd's own column."""
    return {
        uuid: stored._replace(row=replace(stored.row, tag=None))
        if isinstance(stored.row, LogicalSwitchPort)
        else stored
        for uuid, stored in snapshot.rows.items()
    }


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_gives_equal_rows(live: Live, local_ovn_nb: LocalOvn, seed: int) -> None:
    dice = random.Random(seed)
    memory = MemoryNb()
    with live(local_ovn_nb.nb) as nb:
        for _ in range(6):
            topology = random_topology(dice)
            for each in (memory, nb):
                reconcile(each, topology)
            assert without_tags(nb.snapshot(timeout_s=5)) == without_tags(memory.snapshot(timeout_s=5))


def test_northd_likes_every_random_topology(live: Live, local_ovn: LocalOvn) -> None:
    register_chassis(local_ovn, [node.name for node in NODES])
    dice = random.Random(1)
    with live(local_ovn.nb) as nb:
        for _ in range(10):
            reconcile(nb, random_topology(dice))
            local_ovn.sync()
    assert local_ovn.northd_warnings() == []


WHOLE = Topology(
    networks=NETWORKS,
    nodes=NODES,
    pods=[Pod(name=f"p{i}", node=f"n{i}", networks="l3,l3-dual,l2,bare,lan") for i in range(3)],
)


def removed(topology: Topology, what: str) -> Topology:
    match what:
        case "pod":
            return topology.model_copy(update={"pods": topology.pods[:-1]})
        case "node":
            return topology.model_copy(
                update={
                    "nodes": topology.nodes[:-1],
                    "pods": tuple(pod for pod in topology.pods if pod.node != topology.nodes[-1].name),
                }
            )
        case _:
            return topology.model_copy(update={"networks": topology.networks[1:]})


@pytest.mark.parametrize("order", list(permutations(["pod", "node", "network"])), ids="-".join)
def test_removal_in_any_order_leaves_what_the_rest_would_have_made(
    live: Live, local_ovn_nb: LocalOvn, order: tuple[str, ...]
) -> None:
    local_ovn_nb.nbctl("ls-add", "foreign", "--", "lsp-add", "foreign", "foreign-port")
    local_ovn_nb.nbctl(
        "set", "Logical_Switch", "foreign", "external_ids:neutron=yes", "other_config:subnet=10.22.0.0/16"
    )
    foreign = local_ovn_nb.nbctl("--format=json", "find", "Logical_Switch", "name=foreign")
    with live(local_ovn_nb.nb) as nb:
        topology = WHOLE
        reconcile(nb, topology)
        for what in order:
            topology = removed(topology, what)
            reconcile(nb, topology)
        fresh = MemoryNb()
        reconcile(fresh, topology)
        assert owned(nb.snapshot(timeout_s=5)) == owned(fresh.snapshot(timeout_s=5))
        Reconciler(nb).destroy()
        left = nb.snapshot(timeout_s=5)
    assert {stored.key.table for stored in left.rows.values()} == SHARED | {"Logical_Switch", "Logical_Switch_Port"}
    assert local_ovn_nb.nbctl("--format=json", "find", "Logical_Switch", "name=foreign") == foreign


def owned(snapshot: Snapshot) -> dict[str, Stored]:
    return {
        uuid: stored
        for uuid, stored in without_tags(snapshot).items()
        if not stored.key.name.startswith("foreign") and stored.key.table not in SHARED
    }
