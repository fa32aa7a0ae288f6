"""Attachments that get nothing, however many addresses there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ovnk8s_topo.errors import Problem
from ovnk8s_topo.ipam.refusals import others_of
from ovnk8s_topo.planner.faults import Fault
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Gaps, IpamClaim


def colliding(items: Sequence[Wanted]) -> Iterator[tuple[Wanted, Fault]]:
    """Find attachments whose ports would have one name: ``a/b-c`` and ``a-b/c``, ``ns/nad/1`` and ``ns/nad-1``."""
    counts = Counter(item.port for item in items)
    sharing: dict[str, list[Wanted]] = {}
    for item in items:
        if counts[item.port] > 1:
            sharing.setdefault(item.port, []).append(item)
    for port, group in sharing.items():
        labels = sorted(item.label for item in group)
        for item in group:
            others = others_of(labels, item.label)
            yield item, item.fault(f"its port {port} is that of {others} too: `-`, `/` and `.` are one in OVN names")


def homeless(item: Wanted, described: set[str], gaps: Gaps) -> Fault:
    """Return the fault of a pod whose node has no switch; the rows of a node that is not described stay with it."""
    node = item.pod.node
    gap = item.gap if node in described else item.gap | Gaps(nodes={node})
    why = f"its node {node} has no subnet of network {item.network.name}"
    return Fault(gap, None if node in gaps.nodes else Problem("node", why, subject=item.label))


def strange_wishes(item: Wanted, claim: IpamClaim | None) -> str:
    """Return why an attachment must not ask for what it asks for beside its IPAMClaim, "" if it may."""
    if not (claim and claim.ips):
        return ""
    strange = [str(wish) for wish in item.attachment.addresses if wish not in claim.addresses]
    return f"asks for {', '.join(strange)}, but {claim} holds {', '.join(claim.ips)}" if strange else ""
