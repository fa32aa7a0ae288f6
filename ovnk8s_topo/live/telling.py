"""What the caller of an event is told: the objects that it concerns, and no others."""

from __future__ import annotations

from collections.abc import Iterable

from ovnk8s_topo.live.roll import Event, Roll
from ovnk8s_topo.live.standing import Standing
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Desired, wanted_ports
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.spec import Layer3


def plan_to_tell(plan: Plan, event: Event, roll: Roll, standing: Standing | None, given_up: Iterable[Wanted]) -> Plan:
    """Return the plan of an event, about the pods that it names or whose rows it changes, and its nodes.

    standing  where the grants are that the plan does not speak of; None: it speaks of everything
    given_up  the attachments that it does speak of, from before
    """
    desired = plan.desired
    units = [desired.units[change.key] for change in plan.changes if change.key in desired.units]
    pods = {pod for pod in (*event.pods, *(unit.pod for unit in units)) if pod in roll.pods}
    nodes = {node for node in (*event.nodes, *(unit.node for unit in units)) if node in roll.nodes}
    networks = roll.networks_of(pods) | {unit.network for unit in units}
    topology = roll.part(networks, pods, nodes)
    items = list(wanted_ports(topology))
    others = {} if standing is None else standing.grants
    spoken_of = {item.port for item in given_up}
    grants = {}
    for port in (item.port for item in items):
        if grant := desired.grants.get(port) or (None if port in spoken_of else others.get(port)):
            grants[port] = grant
    nodes |= {item.pod.node for item in items}
    slices = {}
    for network in topology.networks:
        if isinstance(network, Layer3):
            # A network whose nodes got nothing is spoken of, too.
            known = desired.slices.get(network.name)
            if known is None:
                known = {} if standing is None else standing.slices.get(network.name, {})
            slices[network.name] = {node: known[node] for node in nodes if node in known}
    claims = {port: claim for port, claim in desired.claims.items() if port in grants}
    told = Desired(
        desired.rows,
        plan.problems,
        desired.gaps,
        grants,
        slices,
        desired.units,
        claims,
        {claim: desired.ipam_claims[claim] for claim in claims.values()},
        desired.notices,
    )
    return Plan(plan.owner, plan.changes, told, plan.leftovers, topology)
