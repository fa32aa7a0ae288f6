"""Pods that choose their addresses: freely where the network has no subnets, from the pool where it has some."""

from ovnk8s_topo import AllocationError, Cluster, Layer2, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb


def asking(name: str, network: str, address: str, mac: str = "") -> Pod:
    """Return a pod as its annotation k8s.v1.cni.cncf.io/networks would describe it."""
    text = f'[{{"name": "{network}", "ips": ["{address}"], "mac": "{mac}"}}]'
    return Pod(name=name, node="work001", networks=text)


networks = [Layer2(name="free"), Layer2(name="pool", subnets="10.22.0.0/24", exclude_subnets="10.22.0.0/28")]
# OVN-Kubernetes refuses addresses asked for on a network that has subnets; "honour" takes them from the pool.
cluster = Cluster(fixed_addresses="honour")
pods = [
    asking("camera", "free", "192.0.2.7/24", "02:00:00:00:00:07"),
    asking("printer", "pool", "10.22.0.16/24"),
    Pod(name="anybody", node="work001", networks="pool"),
]

with Reconciler(MemoryNb(), owner="example") as reconciler:
    for port, grant in reconciler.apply(
        Topology(networks=networks, pods=pods, cluster=cluster)
    ).plan.desired.grants.items():
        print(port, grant.mac, *grant.addresses)

    for pod in (
        asking("late", "pool", "10.22.0.16/24"),
        asking("early", "pool", "10.22.0.1/24"),
        asking("far", "pool", "10.99.0.1/24"),
        asking("twin", "free", "192.0.2.8/24", "02:00:00:00:00:07"),
    ):
        try:
            reconciler.apply(Topology(networks=networks, pods=[*pods, pod], cluster=cluster))
        except AllocationError as error:
            print(f"refused: {error}")
