"""Who sends and receives in a lab: pods, and hosts outside of the cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from pathlib import Path

from ovnk8s_topo.addresses import address_from_text, mac_from_address
from ovnk8s_topo.lab.captures import Capture
from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.lab.frames import echo_request
from ovnk8s_topo.lab.namespaces import Namespace
from ovnk8s_topo.lab.node import LabNode
from ovnk8s_topo.lab.pings import Ping, RunningPing
from ovnk8s_topo.planner import names
from ovnk8s_topo.results import AttachmentResult

_REPLY_S = 2
_TCP_S = 10.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody has sent something to an address; whether an answer is known to be missing."""

    source: Endpoint
    target: str
    unanswered: bool


@dataclass(eq=False)
class Scratch:
    """Where captures and pings write, and what has to be ended with the lab."""

    directory: Path
    closers: list[Callable[[], None]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    _count: int = 0

    def file(self, what: str) -> Path:
        """Return the path of a file that is not there yet."""
        self._count += 1
        return self.directory / f"{what}{self._count}.out"


@dataclass(frozen=True, kw_only=True, eq=False)
class Endpoint:
    """One interface in a namespace of its own kind.

    name       what it is called in messages
    interface  its name in the namespace
    addresses  with prefix length
    """

    name: str
    namespace: Namespace = field(repr=False)
    interface: str
    mac: str
    addresses: tuple[str, ...]
    scratch: Scratch = field(repr=False)

    def address(self, version: int = 4) -> str:
        """Return its first address of a family, without prefix length. LabError  it has none."""
        for text in self.addresses:
            if ip_interface(text).version == version:
                return text.partition("/")[0]
        raise LabError(f"{self.name} has no IPv{version} address")

    def add_address(self, address: str) -> None:
        """Give the interface an address (with prefix length) that nobody has planned."""
        self.namespace.ip(f"addr add {address} dev {self.interface} nodad")

    def run(self, *command: str) -> str:
        """Run a program in the namespace and return what it prints. OvnToolError  it failed."""
        return self.namespace.run(*command)

    # --- well-behaved traffic ---

    def ping(
        self,
        target: Endpoint | str,
        *,
        count: int = 1,
        interval_s: float = 0.2,
        size: int | None = None,
        fragment: bool = True,
        version: int = 4,
        timeout_s: int = _REPLY_S,
    ) -> Ping:
        """Send echo requests and return what came of them.

        target    an address, or an endpoint: its first address of the family
        size      of the whole IP packet, in bytes
        fragment  False: a packet that is too large for the way is not sent in pieces
        version   IP version, if the target is an endpoint
        timeout_s how long to wait for the last reply
        """
        address = _address(target, version)
        options = [*_size(address, size), "-c", str(count), "-W", str(timeout_s), "-i", str(interval_s)]
        running = self._ping(address, *options, *([] if fragment else ["-M", "do"]))
        done = running.finish(timeout_s=count * interval_s + timeout_s + 30)
        self._remember(address, unanswered=done.lost > 0)
        return done

    def start_ping(
        self, target: Endpoint | str, *, count: int | None = None, interval_s: float = 0.05, version: int = 4
    ) -> RunningPing:
        """Start to send echo requests and return after the first reply.

        count  how many; None: until the ping is stopped or the lab ends

        LabError  there is no reply
        """
        limit, address = [] if count is None else ["-c", str(count)], _address(target, version)
        self._remember(address)
        running = self._ping(address, *limit, "-i", str(interval_s), "-W", str(_REPLY_S))
        running.wait_for(1)
        return running

    def probe(self, target: Endpoint, *, version: int = 4) -> RunningPing:
        """Start to send one echo request, without waiting for the reply."""
        address = _address(target, version)
        self._remember(address)
        return self._ping(address, "-c", "1", "-W", str(_REPLY_S))

    def _ping(self, address: str, *options: str) -> RunningPing:
        running = RunningPing(self.namespace, (*options, "-I", self.interface, address), self.scratch.file("ping"))
        self.scratch.closers.append(running.kill)
        return running

    def _remember(self, target: str, *, unanswered: bool = False) -> None:
        self.scratch.attempts.append(Attempt(self, target, unanswered))

    def listen(self, port: int, *, version: int = 4) -> socket.socket:
        """Return a TCP socket that listens in the namespace; `accept` it from here."""
        address = (self.address(version), port)
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        server = self.namespace.inside(lambda: socket.create_server(address, family=family))
        server.settimeout(_TCP_S)
        return server

    def connect(self, target: Endpoint, port: int, *, version: int = 4) -> socket.socket:
        """Return a TCP connection from the namespace. OSError  nobody answers within 10 s, or refuses."""
        address = (target.address(version), port)
        self._remember(address[0])
        return self.namespace.inside(lambda: socket.create_connection(address, timeout=_TCP_S))

    def capture(self, expression: str = "") -> Capture:
        """Return a tcpdump on the interface, to be used in a ``with`` block; expression as in pcap-filter(7)."""
        return Capture(self.namespace, self.interface, expression, self.scratch.file("capture"))

    # --- anything else ---

    def send(self, frame: bytes, *, count: int = 1) -> None:
        """Send raw Ethernet frames, whoever they claim to be from. OSError  they are larger than the MTU allows."""
        with self.namespace.packet_socket(self.interface) as packets:
            for _ in range(count):
                packets.send(frame)

    def send_echo(
        self,
        target: Endpoint,
        *,
        source: str | None = None,
        source_mac: str | None = None,
        target_address: str | None = None,
        version: int = 4,
        count: int = 3,
        vlan: int | None = None,
    ) -> None:
        """Send echo requests as raw frames, with another source than one's own.

        source, source_mac  what to pretend; None: the truth
        target_address      one that nobody has planned; None: the target's
        vlan                puts an 802.1Q tag into the frames
        """
        address = target_address or target.address(version)
        self._remember(address)
        frame = echo_request(
            source_mac=source_mac or self.mac,
            target_mac=self.next_hop_mac(target),
            source=source or self.address(version),
            target=address,
            vlan=vlan,
        )
        self.send(frame, count=count)

    def next_hop_mac(self, target: Endpoint) -> str:
        """Return the MAC that a frame to the target is sent to."""
        return target.mac


@dataclass(frozen=True, kw_only=True, eq=False)
class OutsideHost(Endpoint):
    """A host in a physical network, outside of the cluster."""

    physical_network: str
    vlan: int | None
    cable: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class LabPod(Endpoint):
    """One attachment of a pod, plugged in.

    result  what it was plugged in as
    uid     of the pod: OVN binds the port only if it is the one that the port names
    node    where it is
    cable   the interface's other end, on the node
    """

    result: AttachmentResult
    uid: str
    node: LabNode = field(repr=False)
    cable: str

    @property
    def port(self) -> str:
        """The name of its Logical_Switch_Port."""
        return port_of(self.result)

    @property
    def switch(self) -> str:
        """The name of its Logical_Switch."""
        network = self.result.network
        if self.result.topology == "layer3":
            return names.node_switch(network, self.result.node)
        return {"layer2": names.layer2_switch, "localnet": names.localnet_switch}[self.result.topology](network)

    def next_hop_mac(self, target: Endpoint) -> str:
        """Return the MAC that a frame to the target is sent to: on a layer3 network often the router's."""
        if self.result.topology != "layer3" or self._is_neighbour(target):
            return target.mac
        gateways = [address_from_text(route.next_hop) for route in self.result.routes]
        return mac_from_address(min(gateways, key=lambda gateway: gateway.version))

    def _is_neighbour(self, target: Endpoint) -> bool:
        own = [ip_interface(text).network for text in self.addresses]
        return any(ip_interface(text).ip in subnet for text in target.addresses for subnet in own)


def port_of(result: AttachmentResult) -> str:
    """Return the name of an attachment's Logical_Switch_Port."""
    namespace, _, name = result.pod.partition("/")
    return names.pod_port(result.nad_key, namespace, name)


def interface_lines(result: AttachmentResult) -> Iterator[str]:
    """Yield what ip(8) has to be told for an attachment, in the pod's namespace: addresses and routes."""
    interface = result.interface
    for address in result.addresses:
        yield f"addr add {address} dev {interface} nodad"
    for route in result.routes:
        yield f"route add {route.dest} via {route.next_hop} dev {interface}"
    for gateway in result.gateways:
        yield f"route append default via {gateway} dev {interface}"


def route_by_source(namespace: Namespace, result: AttachmentResult, table: int) -> None:
    """Have an interface's addresses send through it although another one leads to the same network.

    That is what the CNI plug-in ``sbr`` is for: Linux would take the first interface for both, and port security would
    drop what comes from the wrong one.
    """
    interface = result.interface
    for address in map(ip_interface, result.addresses):
        lines = [f"route add {address.network} dev {interface} table {table}"]
        lines += [
            f"route add {route.dest} via {route.next_hop} dev {interface} table {table}"
            for route in result.routes
            if ip_address(route.next_hop).version == address.version
        ]
        namespace.ip(f"rule add from {address.ip} lookup {table}", *lines, version=address.version)


def _address(target: Endpoint | str, version: int) -> str:
    return target if isinstance(target, str) else target.address(version)


def _size(address: str, size: int | None) -> list[str]:
    headers = {4: 28, 6: 48}[ip_address(address).version]
    return [] if size is None else ["-s", str(size - headers)]
