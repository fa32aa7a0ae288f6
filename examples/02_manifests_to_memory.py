"""Read what `kubectl get -o yaml` printed, write the rows into memory, and show them as ovn-nbctl would.

The manifests are those of a 2023 article that prints its cluster's rows; the style "2023" makes the same ones.
"""

from pathlib import Path

from ovnk8s_topo import Reconciler, Topology
from ovnk8s_topo.backends import MemoryNb
from ovnk8s_topo.render.text import text_from_snapshot

manifests = sorted(Path(__file__).with_name("article").glob("*.yaml"))
topology = Topology.from_manifests(*manifests, style="2023")

with Reconciler(MemoryNb(), owner="example") as reconciler:
    reconciler.apply(topology)
    print(text_from_snapshot(reconciler.nb.snapshot(timeout_s=5)))
