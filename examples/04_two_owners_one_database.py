"""Two owners in one database: each deletes only its own rows, and neither can take the other's."""

from ovnk8s_topo import Localnet, OwnershipError, Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.render.text import text_from_snapshot

nb = MemoryNb()
red, blue = Reconciler(nb, owner="red"), Reconciler(nb, owner="blue")
lan, dmz, lab = Localnet(name="lan", vlan_id=100), Localnet(name="dmz", vlan_id=200), Localnet(name="lab")

red.apply(Topology(networks=[lan, lab]))
blue.apply(Topology(networks=[dmz]))

print("red no longer describes `lab`:")
print(red.apply(Topology(networks=[lan]), prune=True).plan)

print("\nblue asks for a network that red has:")
try:
    blue.apply(Topology(networks=[dmz, lan]))
except OwnershipError as error:
    print(error)

blue.destroy()
print("\nblue has destroyed all that is blue's:")
print(text_from_snapshot(nb.snapshot(timeout_s=1)))
