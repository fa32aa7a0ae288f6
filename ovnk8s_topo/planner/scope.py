"""What the desired rows speak for: never conclude from the absence of what could not be described."""

from __future__ import annotations

from collections.abc import Callable

from ovnk8s_topo.nb.ownership import external_ids_of
from ovnk8s_topo.nb.rowset import Snapshot, Stored
from ovnk8s_topo.nb.tables import Key
from ovnk8s_topo.planner import names
from ovnk8s_topo.spec import Gaps


def scope_from_gaps(gaps: Gaps, snapshot: Snapshot) -> Callable[[Stored], bool]:
    """Return whether the topology speaks for a stored row.

    gaps      what the topology leaves open
    snapshot  where the row's holders are found: a port belongs to the network of its switch
    """
    if gaps == Gaps():
        return _everything
    if not gaps.complete:
        return _nothing
    return _Scope(gaps, snapshot).covers


def _everything(_: Stored) -> bool:
    return True


def _nothing(_: Stored) -> bool:
    return False


class _Scope:
    def __init__(self, gaps: Gaps, snapshot: Snapshot) -> None:
        self.gaps, self.snapshot = gaps, snapshot
        self.groups = {
            Key("Load_Balancer_Group", name)
            for network in gaps.networks
            for name in names.load_balancer_groups(network)
        }
        suffixes = (names.pod_suffix(*pod.split("/", 1)) for pod in sorted(gaps.pods))
        self.pod_suffixes = tuple(f"_{suffix}" for suffix in suffixes)

    def covers(self, stored: Stored) -> bool:
        if stored.key in self.groups:
            return False
        return not any(self.is_gap(row) for row in self.with_holders(stored))

    def with_holders(self, stored: Stored) -> list[Stored]:
        found = [stored]
        for holder in stored.holders:
            if holder in self.snapshot.rows:
                found += self.with_holders(self.snapshot.rows[holder])
        return found

    def is_gap(self, stored: Stored) -> bool:
        ids = external_ids_of(stored.row)
        network = ids.get("k8s.ovn.org/network", "")
        if network in self.gaps.networks or self.is_node_gap(stored.key, network):
            return True
        return ids.get("pod") == "true" and stored.key.name.endswith(self.pod_suffixes)

    def is_node_gap(self, key: Key, network: str) -> bool:
        if key.table == "Logical_Router_Port":
            return any(key.name.endswith(f"_{node}") for node in self.gaps.nodes)
        if key.table == "Logical_Switch":
            return any(key.name == names.node_switch(network, node) for node in self.gaps.nodes)
        return False
