"""A controller that follows watch events: each one is a small transaction, whatever else there is."""

from typing import Literal

from ovnk8s_topo import AllocationError, Layer2, Pod, Reconciler, Result, Topology
from ovnk8s_topo.backends import MemoryNb

BLUE = Layer2(name="blue", subnets="10.22.0.0/29")


def on_event(reconciler: Reconciler, kind: Literal["ADDED", "DELETED"], pod: Pod) -> None:
    """Do what a watch event asks for; on a cluster the annotations would be written to the pod."""
    try:
        result: Result = reconciler.put(pod) if kind == "ADDED" else reconciler.remove(pod)
    except AllocationError as error:
        print(f"{kind} {pod}: {error}")
        return
    addresses = [address for it in result.plan.told.attachments for address in it.addresses]
    print(f"{kind} {pod}: {result.status} {result.plan.counts}", *addresses)


def pod(name: str) -> Pod:
    """Return a pod on the network."""
    return Pod(name=name, uid=f"uid-of-{name}", node="n1", networks="blue")


with Reconciler(MemoryNb(), owner="controller") as reconciler:
    # After a start: what is there already, all at once. Rows of pods that went meanwhile go.
    listed = Topology(networks=[BLUE], pods=[pod(f"web-{number}") for number in range(5)])
    print(reconciler.apply(listed, prune=True).status)

    on_event(reconciler, "ADDED", pod("db"))
    on_event(reconciler, "ADDED", pod("late"))
    on_event(reconciler, "DELETED", pod("web-2"))
    on_event(reconciler, "ADDED", pod("late"))
    on_event(reconciler, "DELETED", pod("web-2"))
