"""Somebody spoils rows by hand: `verify` shows it, `apply` repairs it, and what is theirs stays."""

from ovnk8s_topo import Localnet, Pod, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.nb.ownership import external_ids_of

nb = MemoryNb()
reconciler = Reconciler(nb, owner="example")
topology = Topology(
    networks=[Localnet(name="lan", subnets="192.168.100.0/24", vlan_id=100)],
    pods=[Pod(namespace="shop", name="web", node="work001", networks="default/lan")],
)
reconciler.apply(topology)

port = [["name", "==", "default.lan_shop_web"]]
uplink = [["name", "==", "lan_ovn_localnet_port"]]
switch = [["name", "==", "lan_ovn_localnet_switch"]]
nb.transact(
    [
        {"op": "update", "table": "Logical_Switch_Port", "where": port, "row": {"addresses": "unknown"}},
        {"op": "update", "table": "Logical_Switch_Port", "where": uplink, "row": {"tag_request": 7, "tag": 7}},
        {
            "op": "mutate",
            "table": "Logical_Switch",
            "where": switch,
            "mutations": [
                ["other_config", "delete", ["set", ["subnet"]]],
                ["external_ids", "insert", ["map", [["note", "mine"]]]],
            ],
        },
    ]
)

print(reconciler.verify(topology))
print(f"\n{reconciler.apply(topology).status}; verified: {reconciler.verify(topology).is_empty}")
[found] = nb.snapshot(timeout_s=1).table("Logical_Switch")
print("the note is still there:", external_ids_of(found.row)["note"])
