"""Plan a network, look at the plan, apply it, and see that nothing is left to do. No server needed."""

from ovnk8s_topo import Localnet, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb

topology = Topology(
    networks=[Localnet(name="lan", subnets="192.168.100.0/24", exclude_subnets="192.168.100.1/32", vlan_id=100)],
    pods=[
        Pod(namespace="shop", name="web", node="work001", networks="default/lan"),
        Pod(namespace="shop", name="db", node="work002", networks="default/lan"),
    ],
)

with Reconciler(MemoryNb(), owner="example") as reconciler:
    plan = reconciler.plan(topology)
    print(plan)
    result = reconciler.apply(plan)
    print(f"\n{result.status}, and now: {reconciler.plan(topology)}")
