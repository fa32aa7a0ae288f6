"""Planning in tests: a topology, the rows that it comes to, and planning again on top of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovnk8s_topo.nb.ownership import marked
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Key, Row
from ovnk8s_topo.planner import Desired, claims_from_snapshot, desired_from_topology
from ovnk8s_topo.spec import Attachment, Cluster, Gaps, Network, Node, Pod, Topology

ME = "me"
NODES = ("n1", "n2")
HONOUR = Cluster(fixed_addresses="honour")


def pod(name: str, networks: str | tuple[Attachment, ...] = "l2", node: str = "n1", **fields: Any) -> Pod:
    return Pod(name=name, node=node, networks=networks, **fields)


def asking(name: str, *ips: str, network: str = "l2", node: str = "n1", mac: str = "", **fields: Any) -> Pod:
    """Return a pod with one attachment that asks for addresses or a MAC."""
    return pod(name, (Attachment(name=network, ips=ips, mac=mac),), node, **fields)


def topology(*pods: Pod, networks: tuple[Network, ...], **more: Any) -> Topology:
    return Topology(networks=networks, nodes=[Node(name=name) for name in NODES], pods=pods, **more)


def stored(rows: Mapping[Key, Row], owner: str = ME) -> Snapshot:
    """Return the rows as somebody has written them."""
    return Snapshot.of(
        Stored(f"{key}", marked(row, owner), () if row.parent_key is None else (f"{row.parent_key}",))
        for key, row in rows.items()
    )


def fresh(wanted: Topology) -> Desired:
    return desired_from_topology(wanted)


def again(wanted: Topology, before: Snapshot | Desired, *, prune: bool = False) -> Desired:
    """Plan on top of what is there; with `prune`, what nobody wants goes."""
    snapshot = stored(before.rows) if isinstance(before, Desired) else before
    return desired_from_topology(wanted, claims_from_snapshot(snapshot), released_by=ME if prune else None)


def addresses(done: Desired) -> dict[str, str]:
    """Return pod -> addresses, for pods with one attachment in the namespace default."""
    return {port.rpartition("_")[2]: " ".join(map(str, grant.addresses)) for port, grant in done.grants.items()}


def problems(done: Desired) -> list[str]:
    return [str(problem) for problem in done.problems]


def pods_left_alone(done: Desired) -> Gaps:
    return Gaps(pods={problem.subject.split()[1] for problem in done.problems})
