"""What the desired rows speak for: never conclude from the absence of what could not be described."""

from __future__ import annotations

from collections.abc import Callable, Collection

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


class _Endings:
    """Ends of names, behind a `_`, that may be very many: a name is looked up and not compared with each of them.

    fields  how many parts with a `_` between them an end has; the odd one that has more or fewer is compared
    """

    def __init__(self, fields: int, ends: Collection[str]) -> None:
        self.fields = fields
        self.regular = {end for end in ends if end.count("_") == fields - 1}
        self.odd = tuple(f"_{end}" for end in ends if end not in self.regular)

    def has_end_of(self, name: str) -> bool:
        """Whether one of them is how the name ends."""
        _, *last = name.rsplit("_", self.fields)
        return (len(last) == self.fields and "_".join(last) in self.regular) or name.endswith(self.odd)


class _Scope:
    def __init__(self, gaps: Gaps, snapshot: Snapshot) -> None:
        self.gaps, self.snapshot = gaps, snapshot
        self.groups = {
            Key("Load_Balancer_Group", name)
            for network in gaps.networks
            for name in names.load_balancer_groups(network)
        }
        # A node's name has no `_`, nor has a pod's.
        self.of_pods = _Endings(2, {names.pod_suffix(*pod.split("/", 1)) for pod in gaps.pods})
        self.of_nodes = _Endings(1, gaps.nodes)
        self.prefixes = tuple(names.prefix(network) for network in gaps.networks)

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
        # Names decide, for what a row says of itself may be spoilt.
        match stored.key.table:
            case "Logical_Switch" | "Logical_Router_Port":
                return self.is_network_gap(stored) or self.of_nodes.has_end_of(stored.key.name)
            case "Logical_Switch_Port":
                return self.is_network_gap(stored) or self.of_pods.has_end_of(stored.key.name)
            case _:
                return self.is_network_gap(stored)

    def is_network_gap(self, stored: Stored) -> bool:
        network = external_ids_of(stored.row).get("k8s.ovn.org/network")
        if network is not None:
            return network in self.gaps.networks
        return stored.key.table in ("Logical_Switch", "Logical_Router") and stored.key.name.startswith(self.prefixes)
