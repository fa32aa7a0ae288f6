"""One pod too many: all or nothing by default; with `keep_going` the rest is done and the fault is reported."""

from ovnk8s_topo import AllocationError, Layer2, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb

topology = Topology(
    networks=[Layer2(name="tiny", subnets="10.0.0.0/30")],
    pods=[Pod(name=name, node="work001", networks="tiny") for name in ("anna", "bob", "cleo")],
)

with Reconciler(MemoryNb(), owner="example") as reconciler:
    try:
        reconciler.apply(topology)
    except AllocationError as error:
        print(f"refused, nothing written: {error}")

    plan = reconciler.apply(topology, keep_going=True).plan
    for port, grant in plan.desired.grants.items():
        print(port, grant.mac, *grant.addresses)
    for problem in plan.problems:
        print(f"left out: {problem}")
