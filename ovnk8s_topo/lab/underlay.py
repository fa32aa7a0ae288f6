"""What is between the nodes: the wire that carries tunnels, and the physical networks behind localnet ports."""

from __future__ import annotations

from pathlib import Path

from ovnk8s_topo.lab.namespaces import Namespace, link
from ovnk8s_topo.lab.switches import Switches

WIRE = "wire"
MTU = 9000
"""Of every cable: a tunnel's headers fit in beside the largest packet of a pod."""


class Underlay:
    """One namespace with a bridge for the tunnels and one for each physical network."""

    def __init__(self, directory: Path, group: int) -> None:
        self.namespace = Namespace("underlay", group)
        self.switches = Switches(self.namespace, directory, group)
        self._bridges: dict[str, str] = {}
        self._cables = 0
        self._plugged: list[tuple[Namespace, str]] = []

    def start(self) -> None:
        """Start the switch and the wire."""
        self.switches.start()
        self.switches.add_bridge(WIRE)

    def stop(self) -> None:
        """Stop the switch and give up the namespace."""
        self.switches.stop()
        self.namespace.close()

    @property
    def physical_networks(self) -> tuple[str, ...]:
        """The names of the physical networks there are."""
        return tuple(self._bridges)

    def add_physical_network(self, name: str) -> None:
        """Add a bridge for a physical network."""
        bridge = f"phys{len(self._bridges)}"
        self.switches.add_bridge(bridge)
        self._bridges[name] = bridge

    def bridge_of(self, physical_network: str) -> str:
        """Return the name of its bridge: the same in the underlay and on every node."""
        return self._bridges[physical_network]

    def plug(
        self,
        bridge: str,
        namespace: Namespace,
        interface: str,
        *,
        mtu: int = MTU,
        vlan: int | None = None,
        mac: str = "",
    ) -> str:
        """Lay a cable from a bridge to a new interface of a namespace; return the cable's name in the underlay.

        vlan  what the port takes: None everything, tagged or not; 0 untagged frames; N those of VLAN N, untagged here
        """
        cable, self._cables = f"c{self._cables}", self._cables + 1
        link(self.namespace, cable, namespace, interface, mtu=mtu, mac=mac)
        self._plugged.append((namespace, cable))
        tag = [] if vlan is None else [f"tag={vlan}", "vlan_mode=access"]
        self.switches.vsctl("add-port", bridge, cable, *tag)
        return cable

    def unplug(self, namespace: Namespace) -> None:
        """Take away every cable to a namespace, with the interfaces at both ends."""
        for cable in [cable for owner, cable in self._plugged if owner is namespace]:
            self.switches.vsctl("del-port", cable)
            self.namespace.ip(f"link delete {cable}")
        self._plugged = [(owner, cable) for owner, cable in self._plugged if owner is not namespace]
