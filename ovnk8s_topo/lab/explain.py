"""Why a packet does not arrive: what to look at, gathered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ovnk8s_topo.lab.endpoints import Endpoint, LabPod
from ovnk8s_topo.lab.errors import LabError
from ovnk8s_topo.testing.tools import OvnToolError

if TYPE_CHECKING:
    from ovnk8s_topo.lab.lab import Lab

_COUNT = re.compile(r"n_packets=([1-9]\d*)")
_MOST_DROPS = 8
_NB = "name,addresses,port_security,options,tag,type,up"
_SB = "logical_port,chassis,requested_chassis,port_security,tag,tunnel_key,up"


def explain(lab: Lab, source: Endpoint, target: Endpoint | str) -> str:
    """Return a text with the rows of both ports, what ovn-trace says, the drops and the complaints of both nodes.

    What cannot be had is left out, with the reason.
    """
    other = target if isinstance(target, Endpoint) else _owner(lab, target)
    address = target if isinstance(target, str) else target.addresses[0].partition("/")[0]
    ends = [end for end in (source, other) if isinstance(end, LabPod)]
    parts = [f"{source.name} to {other.name if other else address} ({address})"]
    for end in ends:
        parts += _sections(lab, end)
    if isinstance(source, LabPod) and other is not None:
        parts.append(_section("ovn-trace", lambda: _trace(lab, source, other, address)))
    parts.append(_section("chassis", lambda: lab.ovn.sbctl("--columns=_uuid,name,hostname", "list", "Chassis")))
    parts.append(_section("northd complains", lambda: "\n".join(lab.ovn.northd_warnings()[-5:])))
    return "\n".join(parts)


def _sections(lab: Lab, pod: LabPod) -> Iterator[str]:
    port = f"name={pod.port}"
    yield _section(
        "Logical_Switch_Port", lambda: lab.ovn.nbctl(f"--columns={_NB}", "find", "Logical_Switch_Port", port)
    )
    bound = f"logical_port={pod.port}"
    yield _section("Port_Binding", lambda: lab.ovn.sbctl(f"--columns={_SB}", "find", "Port_Binding", bound))
    yield _section(f"in {pod.name}", lambda: pod.run("ip", "-br", "addr") + pod.run("ip", "neigh"))
    yield _section(f"drops on {pod.node.name}", lambda: "\n".join(_drops(pod)))
    yield _section(f"logs of {pod.node.name}", lambda: "\n".join(pod.node.switches.logs()))


def _drops(pod: LabPod) -> list[str]:
    """Return the flows of the node that have dropped packets, the busiest first."""
    flows = pod.node.switches.ofctl("dump-flows", str(pod.node.switches.directory / "br-int.mgmt")).splitlines()
    counted = [
        (int(found[1]), flow.strip()) for flow in flows if "actions=drop" in flow and (found := _COUNT.search(flow))
    ]
    return [flow for _, flow in sorted(counted, reverse=True)[:_MOST_DROPS]]


def _trace(lab: Lab, source: LabPod, target: Endpoint, address: str) -> str:
    version = ip_address(address).version
    fields = {
        "inport": f'"{source.port}"',
        "eth.src": source.mac,
        "eth.dst": source.next_hop_mac(target),
        f"ip{version}.src": source.address(version),
        f"ip{version}.dst": address,
        "ip.ttl": "64",
    }
    return lab.ovn.trace(source.switch, " && ".join(f"{name} == {value}" for name, value in fields.items()))


def _owner(lab: Lab, address: str) -> Endpoint | None:
    owners = (end for end in lab.endpoints if address in (text.partition("/")[0] for text in end.addresses))
    return next(owners, None)


def _section(title: str, content: Callable[[], str]) -> str:
    try:
        text = content().rstrip()
    except (OvnToolError, LabError, OSError, ValueError) as error:
        text = f"not to be had: {error}"
    return f"--- {title}\n{text or 'nothing'}"
