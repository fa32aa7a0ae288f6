"""A node: a namespace with Open vSwitch and ovn-controller in it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ovnk8s_topo.backends import OvsdbVswitch
from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.lab.namespaces import Namespace
from ovnk8s_topo.lab.switches import Switches
from ovnk8s_topo.lab.underlay import MTU, WIRE, Underlay
from ovnk8s_topo.nodeside import BridgeMapping, Wiring
from ovnk8s_topo.spec import Node

TUNNEL_BRIDGE = "br-tun"
_WIRE_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node's files and addresses are.

    number  from 1; the last part of its tunnel address
    sb      connection method of the Southbound database. A unix socket crosses namespaces; TCP would have to go
            through the switch that ovn-controller is about to set up
    """

    number: int
    directory: Path
    group: int
    sb: str

    @property
    def tunnel_address(self) -> str:
        """The node's end of its tunnels."""
        return f"172.31.0.{self.number}"


class LabNode:
    """One node of a lab: what OVN calls a chassis."""

    def __init__(self, node: Node, place: Place, underlay: Underlay) -> None:
        self.node, self.place = node, place
        self.namespace = Namespace(f"node {node.name}", place.group)
        self.switches = Switches(self.namespace, place.directory, place.group)
        self._underlay = underlay
        self._mapped: list[BridgeMapping] = []
        self._vswitch: OvsdbVswitch | None = None

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    def start(self) -> None:
        """Start everything; ovn-controller then registers the chassis by itself."""
        self.switches.start()
        self._vswitch = OvsdbVswitch(self.switches.database)
        self._introduce()
        self._connect_tunnels()
        for name in self._underlay.physical_networks:
            self.map_physical_network(name)
        self.switches.serve("ovn-controller", self.switches.database, controlled=False)

    def stop(self) -> None:
        """Kill its daemons and give up the namespace."""
        if self._vswitch is not None:
            self._vswitch.close()
        self.switches.stop()
        self.namespace.close()

    def leave(self) -> None:
        """Stop, and take away what would stay until the end of the lab: cables to the underlay, and files."""
        self._underlay.unplug(self.namespace)
        self.stop()
        shutil.rmtree(self.place.directory)

    def _introduce(self) -> None:
        ids = {
            "system-id": self.node.chassis,
            "hostname": self.name,
            "ovn-remote": self.place.sb,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.place.tunnel_address,
            "ovn-bridge-datapath-type": "netdev",
            "ovn-monitor-all": "true",
        }
        told = (f'external_ids:{key}="{ids[key]}"' for key in ids)
        self.switches.vsctl("set", "Open_vSwitch", ".", *told)
        self.switches.add_bridge("br-int")
        self.switches.vsctl("set", "bridge", "br-int", "fail_mode=secure")

    def wire(self, wanted: Wiring) -> None:
        """Have the node's Open_vSwitch database hold what attachments need; see `OvsdbVswitch.apply`."""
        if self._vswitch is None:
            raise LabError(f"node {self.name} has not been started")
        self._vswitch.apply(wanted, timeout_s=_WIRE_S)

    def _connect_tunnels(self) -> None:
        self._underlay.plug(WIRE, self.namespace, "eth0")
        self.switches.add_bridge(TUNNEL_BRIDGE, "eth0")
        self.switches.vsctl("set", "interface", TUNNEL_BRIDGE, f"mtu_request={MTU}")
        self.namespace.ip(
            f"addr add {self.place.tunnel_address}/24 dev {TUNNEL_BRIDGE}", f"link set {TUNNEL_BRIDGE} up"
        )

    def map_physical_network(self, name: str) -> None:
        """Give the node an interface in a physical network of the underlay, and tell ovn-controller of it."""
        bridge, interface = self._underlay.bridge_of(name), f"eth{len(self._mapped) + 1}"
        self._underlay.plug(bridge, self.namespace, interface)
        self.switches.add_bridge(bridge, interface)
        self._mapped.append(BridgeMapping(name, bridge))
        self.wire(Wiring(mappings=(self._mapped[-1],)))

    def physical_interface(self, physical_network: str) -> str:
        """Return the name of the node's interface in a physical network, to listen on.

        KeyError  the lab has no such physical network
        """
        names = [mapping.physical_network for mapping in self._mapped]
        if physical_network not in names:
            raise KeyError(physical_network)
        return f"eth{names.index(physical_network) + 1}"

    def meet(self, other: LabNode) -> None:
        """Tell the switch the MAC behind the other end of a tunnel: else the first packet is lost over the question."""
        mac = other.switches.vsctl("get", "interface", TUNNEL_BRIDGE, "mac_in_use").strip().strip('"')
        self.switches.appctl("tnl/neigh/set", TUNNEL_BRIDGE, other.place.tunnel_address, mac)
