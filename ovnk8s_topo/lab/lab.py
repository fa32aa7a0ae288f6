"""The lab itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from ipaddress import ip_interface
from itertools import permutations
from types import TracebackType
from typing import Self, TypeVar

from ovnk8s_topo.backends import DirectNb
from ovnk8s_topo.lab.captures import Capture
from ovnk8s_topo.lab.endpoints import Endpoint, LabPod, OutsideHost, Scratch, interface_lines, port_of, route_by_source
from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.lab.explain import explain
from ovnk8s_topo.lab.namespaces import Namespace, lab_program, link
from ovnk8s_topo.lab.node import LabNode, Place
from ovnk8s_topo.lab.underlay import Underlay
from ovnk8s_topo.nb.tables import GatewayChassis, LogicalSwitchPort
from ovnk8s_topo.nodeside import GonePort, Wiring, interface_from_result
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.reconciler import Reconciler, Result
from ovnk8s_topo.results import AttachmentResult
from ovnk8s_topo.spec import Node, Topology
from ovnk8s_topo.testing.local import LocalOvn
from ovnk8s_topo.testing.processes import Playground
from ovnk8s_topo.testing.tools import OvnToolError

PROGRAMS = ("ip", "unshare", "nsenter", "ping", "tcpdump", "ovs-vswitchd", "ovs-vsctl", "ovn-controller")
WAIT_S = 30
_EXPLAINED = 2

Part = TypeVar("Part", LabNode, Underlay)

Plug = tuple[str, str]
"""``namespace/name`` of a pod, and the NAD key of its attachment."""


class Lab:
    """A cluster's network on this machine, for as long as the ``with`` block lasts: OVN, nodes, pods, packets.

    nodes              names, or `Node`s, whose chassis id then is the system-id
    physical_networks  names of physical networks that all nodes are connected to; `apply` adds those that a
                       localnet network asks for
    timeout_s          how long a single step may take

    OvnNotInstalled  a program is missing
    LabError         not root, or a step took too long

    Any number of labs can run at once, on one machine and in one process: nothing of a lab is visible outside of its
    own namespaces but its processes, and these end with the lab, however it ends.
    """

    def __init__(
        self,
        nodes: Iterable[str | Node] = ("n1", "n2"),
        *,
        physical_networks: Iterable[str] = (),
        timeout_s: float = WAIT_S,
    ) -> None:
        self._wanted_nodes = tuple(nodes)
        self._wanted_physical = tuple(physical_networks)
        self._timeout_s = timeout_s
        self._stack = ExitStack()
        self._nodes: dict[str, LabNode] = {}
        self._pods: dict[Plug, LabPod] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._hosts: dict[str, OutsideHost] = {}
        self._cables = 0

    # --- life ---

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start everything and return when every node is known to OVN; after a failure nothing is left."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End everything; may be called twice."""
        self._stack.close()
        for registered in (self._nodes, self._pods, self._namespaces, self._hosts):
            registered.clear()

    def _start(self) -> None:
        for name in PROGRAMS:
            lab_program(name)
        self.ovn = self._stack.enter_context(LocalOvn(northd=True))
        self._playground = Playground()
        self._stack.callback(self._playground.close)
        self.scratch = Scratch(self._playground.directory)
        self._stack.callback(self._end_traffic)
        self.underlay = self._kept(Underlay(self._playground.directory / "underlay", self._playground.group))
        self.underlay.start()
        for name in self._wanted_physical:
            self.add_physical_network(name)
        for node in self._wanted_nodes:
            self.add_node(node)
        self.reconciler = self._stack.enter_context(Reconciler(DirectNb(self.nb), timeout_s=self._timeout_s))

    def _kept(self, part: Part) -> Part:
        self._stack.callback(part.stop)
        return part

    def _end_traffic(self) -> None:
        for close in self.scratch.closers:
            close()

    # --- nodes and what is between them ---

    @property
    def nb(self) -> str:
        """Connection method of the Northbound database."""
        return self.ovn.nb

    @property
    def nodes(self) -> Mapping[str, LabNode]:
        """The nodes by name."""
        return self._nodes

    def add_node(self, node: str | Node) -> LabNode:
        """Start one more node, and return when it is known to OVN and has a tunnel to every other one."""
        wanted = Node(name=node) if isinstance(node, str) else node
        if wanted.name in self._nodes:
            raise LabError(f"there is a node {wanted.name} already")
        number = min({*range(1, len(self._nodes) + 2)} - {other.place.number for other in self._nodes.values()})
        directory = self._playground.directory / f"node{number}"
        place = Place(number, directory, self._playground.group, self.ovn.sb)
        added = self._kept(LabNode(wanted, place, self.underlay))
        added.start()
        self._sb_until("Chassis", wanted.chassis, f"hostname={wanted.name}")
        for other in self._nodes.values():
            added.meet(other)
            other.meet(added)
        self._nodes[wanted.name] = added
        return added

    def remove_node(self, name: str) -> None:
        """Take a node away while the others run on: end its daemons and its pods, and have OVN forget its chassis.

        Its pods' rows stay in the Northbound database until a topology without them is applied. A ping or a capture
        that is at work in one of them goes on, with nobody there, until it is stopped or the lab ends.

        LabError  there is no node of this name
        """
        if name not in self._nodes:
            raise LabError(f"there is no node {name}")
        leaving = self._nodes.pop(name)
        leaving.leave()
        for pod in [pod for pod in self.pods if pod.node is leaving]:
            self._forget(pod)
        # Its ovn-controller would do that if it were asked to end; this is also right for one that hangs.
        self.ovn.sbctl("--if-exists", "chassis-del", leaving.node.chassis)
        self.settle()

    def add_physical_network(self, name: str) -> None:
        """Connect all nodes to a physical network; nothing happens if they are."""
        if name not in self.underlay.physical_networks:
            self.underlay.add_physical_network(name)
            for node in self._nodes.values():
                node.map_physical_network(name)

    def outside_host(
        self, name: str, *addresses: str, physical_network: str, vlan: int | None = None, mtu: int = 1500
    ) -> OutsideHost:
        """Put a host into a physical network, behind an access port.

        addresses  with prefix length
        vlan       the VLAN of its port; None: untagged frames

        LabError  there is a host of this name already
        """
        if name in self._hosts:
            raise LabError(f"there is a host {name} already")
        self.add_physical_network(physical_network)
        namespace = Namespace(f"host {name}", self._playground.group)
        self._stack.callback(namespace.close)
        namespace.prepare_for_pods()
        mac = f"02:00:00:00:00:{len(self._hosts) + 1:02x}"
        bridge = self.underlay.bridge_of(physical_network)
        cable = self.underlay.plug(bridge, namespace, "eth0", mtu=mtu, vlan=vlan or 0, mac=mac)
        namespace.checksum_itself("eth0")
        namespace.ip(*(f"addr add {address} dev eth0 nodad" for address in addresses))
        self._hosts[name] = OutsideHost(
            name=name,
            namespace=namespace,
            interface="eth0",
            mac=mac,
            addresses=addresses,
            scratch=self.scratch,
            physical_network=physical_network,
            vlan=vlan,
            cable=cable,
        )
        return self._hosts[name]

    def capture_on_node(self, node: str, interface: str, expression: str = "") -> Capture:
        """Return a tcpdump on an interface of a node: ``eth0`` carries its tunnels."""
        return Capture(self._nodes[node].namespace, interface, expression, self.scratch.file("capture"))

    def capture_on_wire(self, node: str, physical_network: str, expression: str = "") -> Capture:
        """Return a tcpdump where a node is connected to a physical network; 802.1Q tags are seen there."""
        interface = self._nodes[node].physical_interface(physical_network)
        return self.capture_on_node(node, interface, expression)

    # --- topologies ---

    def apply(self, topology: Topology, *, prune: bool = False, allow_mass_delete: bool = False) -> Result:
        """Apply a topology, and plug and unplug pods until they are as it says.

        Whatever `Reconciler.apply` raises; LabError  a pod's port does not come up
        """
        done = self.reconciler.apply(topology, prune=prune, allow_mass_delete=allow_mass_delete, wait="sb")
        for row in done.plan.desired.rows.values():
            if isinstance(row, LogicalSwitchPort) and row.type == "localnet":
                self.add_physical_network(row.options["network_name"])
        self.plug_all(done.plan)
        return done

    def plug_all(self, plan: Plan) -> None:
        """Plug in every attachment of a plan, unplug all others, and wait until OVN has done its part."""
        uids = {f"{pod.namespace}/{pod.name}": pod.uid for pod in plan.topology.pods}
        wanted = {(result.pod, result.nad_key): result for result in plan.told.attachments}
        for key, pod in [*self._pods.items()]:
            if (pod.result, pod.uid) != (wanted.get(key), uids.get(pod.result.pod)):
                self.unplug(pod)
        new = [self._plug(wanted[key], uids[key[0]]) for key in wanted if key not in self._pods]
        self._wait_for_gateways(plan)
        self._wait_for(new)

    def plug(self, result: AttachmentResult, *, uid: str = "") -> LabPod:
        """Plug one attachment in: a namespace for the pod, an interface as the result says, a port on the node.

        uid  of the pod, as the port's iface-id-ver

        LabError  the port does not come up
        """
        pod = self._plug(result, uid)
        self._wait_for([pod])
        return pod

    def unplug(self, pod: LabPod) -> None:
        """Take an interface away from its node; the pod's namespace goes with its last one."""
        pod.node.wire(Wiring(unplugged=(GonePort(name=pod.cable, iface_id=pod.port),)))
        pod.node.namespace.ip(f"link delete {pod.cable}")
        self._forget(pod)

    def _forget(self, pod: LabPod) -> None:
        del self._pods[pod.result.pod, pod.result.nad_key]
        if not any(name == pod.result.pod for name, _ in self._pods):
            self._namespaces.pop(pod.result.pod).close()

    @property
    def pods(self) -> tuple[LabPod, ...]:
        """Every attachment that is plugged in."""
        return tuple(self._pods.values())

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every attachment that is plugged in, and every outside host."""
        return (*self._pods.values(), *self._hosts.values())

    def pod(self, name: str, network: str = "") -> LabPod:
        """Return a pod's attachment.

        name     ``namespace/name``, or the name of a pod in `default`
        network  which one, if it has several

        LabError  there is none, or more than one
        """
        full = name if "/" in name else f"default/{name}"
        found = [pod for pod in self.pods if pod.result.pod == full and network in ("", pod.result.network)]
        if len(found) != 1:
            raise LabError(f"{len(found)} attachments of {full}" + (f" to {network}" if network else ""))
        return found[0]

    def _plug(self, result: AttachmentResult, uid: str) -> LabPod:
        if result.node not in self._nodes:
            raise LabError(f"{result.pod} is on node {result.node}, which is not in this lab")
        node, namespace = self._nodes[result.node], self._namespace_of(result.pod)
        self._cables += 1
        cable = f"v{self._cables}"
        link(node.namespace, cable, namespace, result.interface, mtu=result.mtu, mac=result.mac)
        namespace.checksum_itself(result.interface)
        namespace.ip(*interface_lines(result))
        if any((pod.result.pod, pod.result.network) == (result.pod, result.network) for pod in self.pods):
            route_by_source(namespace, result, table=100 + self._cables)
        told = interface_from_result(result, name=cable, port=port_of(result), uid=uid, pod_interface=result.interface)
        node.wire(Wiring(interfaces=(told,)))
        pod = LabPod(
            name=f"{result.pod} ({result.network})",
            namespace=namespace,
            interface=result.interface,
            mac=result.mac,
            addresses=result.addresses,
            scratch=self.scratch,
            result=result,
            uid=uid,
            node=node,
            cable=cable,
        )
        self._pods[result.pod, result.nad_key] = pod
        return pod

    def _namespace_of(self, pod: str) -> Namespace:
        if pod not in self._namespaces:
            made = Namespace(f"pod {pod}", self._playground.group)
            self._stack.callback(made.close)
            made.prepare_for_pods()
            self._namespaces[pod] = made
        return self._namespaces[pod]

    def _wait_for_gateways(self, plan: Plan) -> None:
        """Wait until each node has taken the router ports that are pinned to it: nobody else delivers to its pods."""
        here = {node.node.chassis for node in self._nodes.values()}
        for row in plan.desired.rows.values():
            if isinstance(row, GatewayChassis) and row.chassis_name in here:
                self._sb_until("Port_Binding", f"cr-{row.parent}", "chassis!=[]")

    @property
    def _timeout(self) -> str:
        return f"--timeout={max(1, round(self._timeout_s))}"

    def _sb_until(self, *condition: str) -> None:
        self.ovn.sbctl(self._timeout, "wait-until", *condition)

    def _wait_for(self, pods: Iterable[LabPod]) -> None:
        for pod in pods:
            try:
                self.ovn.nbctl(self._timeout, "wait-until", "Logical_Switch_Port", pod.port, "up=true")
            except OvnToolError as error:
                raise LabError(f"{pod.port} does not come up: {error}\n{explain(self, pod, pod)}") from None
        # Every node has to know where the others' pods are.
        self.settle()

    def settle(self) -> None:
        """Wait until every node has done what the Northbound database says."""
        self.ovn.nbctl(self._timeout, "--wait=hv", "sync")

    # --- when something does not arrive ---

    def explain(self, source: Endpoint, target: Endpoint | str) -> str:
        """Say what OVN thinks of packets from one endpoint to another: rows of the ports, ovn-trace, drops, logs."""
        return explain(self, source, target)

    def explain_last(self) -> str:
        """Explain the last pings that were not answered, or the last packets of all if there are none."""
        attempts = self.scratch.attempts
        last = [attempt for attempt in attempts if attempt.unanswered][-_EXPLAINED:] or attempts[-1:]
        return "\n\n".join(explain(self, attempt.source, attempt.target) for attempt in last) or "nothing was sent"

    def unreachable(self, *, version: int = 4) -> tuple[str, ...]:
        """Have every pod ping every other one of its networks, all at once; return the pairs that cannot.

        version  of IP; pods without such an address are left out
        """
        pairs = [
            (source, target)
            for network in {pod.result.network for pod in self.pods}
            for source, target in permutations(self._with_address(network, version), 2)
            if source.result.pod != target.result.pod
        ]
        running = [(source, target, source.probe(target, version=version)) for source, target in pairs]
        failed = [(source, target) for source, target, probe in running if probe.finish().received == 0]
        return tuple(f"{source.name} to {target.name}" for source, target in failed)

    def _with_address(self, network: str, version: int) -> list[LabPod]:
        found = [pod for pod in self.pods if pod.result.network == network]
        return [pod for pod in found if any(ip_interface(text).version == version for text in pod.addresses)]
