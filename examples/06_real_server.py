"""Write to a real Northbound database and wait until ovn-northd has followed.

    python 06_real_server.py unix:/var/run/ovn/ovnnb_db.sock

It deletes its rows again at the end; rows of others stay as they are.
"""

import sys

from ovnk8s_topo import Layer3, Node, Pod, Reconciler, Topology
from ovnk8s_topo.backends import DirectNb

topology = Topology(
    networks=[Layer3(name="example-l3", subnets="10.33.0.0/16/24")],
    nodes=[Node(name="work001"), Node(name="work002")],
    pods=[
        Pod(namespace="shop", name="web", node="work001", networks="default/example-l3"),
        Pod(namespace="shop", name="db", node="work002", networks="default/example-l3"),
    ],
)

with Reconciler(DirectNb(sys.argv[1]), owner="example", timeout_s=20) as reconciler:
    result = reconciler.apply(topology, wait="sb")
    print(result.status, result.plan.counts)
    for port, grant in sorted(result.plan.desired.grants.items()):
        print(port, grant.mac, *grant.addresses)
    print(reconciler.apply(topology).status)
    print(reconciler.destroy(wait="sb").plan.counts)
