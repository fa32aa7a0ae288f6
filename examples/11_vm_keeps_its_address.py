"""A virtual machine moves from pod to pod and keeps its address, for an IPAMClaim holds it."""

from collections.abc import Sequence

from ovnk8s_topo import IpamClaim, Layer2, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb

NETWORK = Layer2(name="blue", subnets="10.22.0.0/24", exclude_subnets="10.22.0.1/32", allow_persistent_ips=True)


def launcher(name: str) -> Pod:
    """Return a pod that runs the machine."""
    return Pod(name=name, node="work001", networks='[{"name": "blue", "ipam-claim-reference": "vm"}]')


def show(step: str, claim: IpamClaim, pods: Sequence[Pod]) -> tuple[str, ...]:
    """Apply and print who has which address; return what the claim holds now."""
    result = reconciler.apply(Topology(networks=[NETWORK], pods=pods, ipam_claims=[claim]), prune=True)
    desired = result.plan.desired
    print(
        step, *(f"  {port} {' '.join(map(str, grant.addresses))}" for port, grant in desired.grants.items()), sep="\n"
    )
    return desired.ipam_claims.get(claim.key, claim.ips)


with Reconciler(MemoryNb(), owner="example") as reconciler:
    held = show("the first pod of the machine:", IpamClaim(name="vm", network="blue"), [launcher("vm-1")])
    # On a cluster this goes into the claim's status.ips.
    claim = IpamClaim(name="vm", network="blue", ips=held)
    print(f"the claim holds {', '.join(claim.ips)}")

    other = Pod(name="other", node="work001", networks="blue")
    show("the machine is down, and somebody else comes:", claim, [other])
    show("the machine is up again:", claim, [other, launcher("vm-2")])
