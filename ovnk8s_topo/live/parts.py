"""The plan of some networks, or of some nodes of a layer3 network, as a part of the whole plan.

Law: what is left out neither changes the plan of the part nor is changed by it, or there is no such plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ovnk8s_topo.diff import Delete
from ovnk8s_topo.live.occupancy import Occupancy
from ovnk8s_topo.live.roll import Event, Roll, key_of_pod
from ovnk8s_topo.live.standing import Open, Standing, Step, is_settled, is_shared, units_of
from ovnk8s_topo.nb.ownership import owned_by
from ovnk8s_topo.nb.rowset import RowSet, Snapshot, Stored
from ovnk8s_topo.nb.tables import Key
from ovnk8s_topo.plan import Plan
from ovnk8s_topo.planner import Claims, Desired, Unit, claims_from_snapshot, desired_from_topology, wanted_ports
from ovnk8s_topo.planner.claims import Held, names_of_claims, slices_from_snapshot
from ovnk8s_topo.planner.desired import PORTS
from ovnk8s_topo.planner.macs import behind_chosen_macs
from ovnk8s_topo.planner.topologies import BUILDERS
from ovnk8s_topo.planner.wanted import Wanted
from ovnk8s_topo.planning import Options, network_of, unguarded_plan
from ovnk8s_topo.spec import Gaps, Layer3, Network, Topology

Scope = Mapping[str, frozenset[str] | None]
"""Network -> the nodes of it that are concerned; None: all of it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What parts are planned on.

    odd  networks in whose switches somebody has ports that name another network
    """

    roll: Roll
    standing: Standing
    occupancy: Occupancy
    odd: set[str]
    snapshot: Snapshot
    owner: str
    options: Options
    still_open: Open


def scope_of(event: Event, gone: Sequence[Wanted], come: Sequence[Wanted], ground: Ground) -> Scope:
    """Return what an event touches.

    gone, come  the attachments of its pods, before and after
    """
    nodes: dict[str, set[str]] = {}
    for item in (*gone, *come):
        nodes.setdefault(item.network.name, set()).add(item.pod.node)
    if event.nodes:
        for network in ground.roll.networks.values():
            if isinstance(network, Layer3):
                nodes.setdefault(network.name, set()).update(event.nodes)
    networks = ground.roll.networks
    divided = {name for name in nodes if isinstance(networks.get(name), Layer3) and name not in ground.odd}
    scope = {name: frozenset(found) if name in divided else None for name, found in nodes.items()}
    return scope | dict.fromkeys(event.networks)


# Each network by itself ------------------------------------------------------------------------------------------


def plan_apart(scope: Scope, event: Event, ground: Ground) -> Step | None:
    """Plan every network of a scope by itself; None if somebody gets nothing, so that they must be seen together."""
    steps: list[Step] = []
    for name in sorted(scope):
        network = ground.roll.networks.get(name)
        step = _step_of(network, scope[name], event, ground) if network else _farewell(name, ground)
        if step is None:
            return None
        steps.append(step)
    made = [key for step in steps for key in step.desired.rows if not is_shared(key)]
    return _joined(steps, ground) if len(made) == len(set(made)) else None


def _joined(steps: Sequence[Step], ground: Ground) -> Step:
    parts = [step.desired for step in steps]
    desired = Desired(
        RowSet({key: row for part in parts for key, row in part.rows.items()}.values()),
        gaps=ground.roll.gaps,
        grants={port: grant for part in parts for port, grant in part.grants.items()},
        slices={name: slices for part in parts for name, slices in part.slices.items()},
        units={key: unit for part in parts for key, unit in part.units.items()},
        claims={port: claim for part in parts for port, claim in part.claims.items()},
        ipam_claims={claim: ips for part in parts for claim, ips in part.ipam_claims.items()},
        notices=tuple(notice for part in parts for notice in part.notices),
    )
    return Step(
        desired,
        [unit for step in steps for unit in step.units],
        [item for step in steps for item in step.items],
        [item for step in steps for item in step.come],
        frozenset(name for step in steps for name in step.gone),
    )


def _farewell(name: str, ground: Ground) -> Step:
    """Return what is left of a network that goes: nothing."""
    standing = ground.standing
    units, items = standing.of_network.get(name, set()), standing.members.get(name, {})
    return Step(Desired(RowSet()), sorted(units, key=str), list(items.values()), (), frozenset({name}))


def _step_of(network: Network, nodes: frozenset[str] | None, event: Event, ground: Ground) -> Step | None:
    if nodes is None or ground.standing.avoided.get(network.name):
        return _whole(network, ground)
    switches = [BUILDERS[network.topology].switch_of(network, node) for node in nodes]
    items = [item for switch in switches for item in ground.standing.places.get(switch, {}).values()]
    known = {key_of_pod(item.pod) for item in items} | event.pods.keys()
    pods = [pod for pod in known if pod in ground.roll.pods and ground.roll.pods[pod].node in nodes]
    topology = ground.roll.part([network.name], pods)
    come = list(wanted_ports(topology))
    ports: dict[str, Held] = {}
    for switch in switches:
        ports |= ground.occupancy.by_switch.get(switch, {})
    desired = _planned(topology, _claims(ports, come, ground), ground)
    if desired is None:
        return None
    if _meets_others(network, come, desired, ports, ground):
        return _whole(network, ground)
    # The nodes that are not concerned have what they had.
    rows = [row for key, row in desired.rows.items() if not desired.units[key].node or desired.units[key].node in nodes]
    units = [unit for node in nodes if (unit := Unit(network.name, node)) in ground.standing.keys]
    return Step(replace(desired, rows=RowSet(rows)), [*units, *units_of(items)], items, come)


def _whole(network: Network, ground: Ground) -> Step | None:
    topology = ground.roll.part([network.name])
    come = list(wanted_ports(topology))
    desired = _planned(topology, _claims(_ports_of(network, ground), come, ground), ground)
    return None if desired is None else replace(_farewell(network.name, ground), desired=desired, come=come)


def _planned(topology: Topology, claims: Claims, ground: Ground) -> Desired | None:
    desired = desired_from_topology(topology, claims, owner=ground.owner, released_by=ground.owner)
    return None if desired.problems or desired.gaps != ground.roll.gaps else desired


def _meets_others(
    network: Network, come: Sequence[Wanted], desired: Desired, ports: Mapping[str, Held], ground: Ground
) -> bool:
    """Whether MACs on the concerned nodes matter on other nodes."""
    if any(behind_chosen_macs(item, ground.standing.honours_wishes) for item in come):
        return True
    borne = ground.occupancy.macs.get(network.name, {})
    here: dict[str, int] = {}
    # Ports that come from another node bear their MAC there until they have moved.
    moving = [held for item in come if (held := ground.occupancy.ports.get(item.port)) and held.port not in ports]
    for held in (*ports.values(), *moving):
        here[held.mac] = here.get(held.mac, 0) + (held.network == network.name)
    return any(borne.get(grant.mac, 0) > here.get(grant.mac, 0) for grant in desired.grants.values())


# Several networks together ---------------------------------------------------------------------------------------


def plan_together(names: Iterable[str], ground: Ground) -> tuple[Step, Plan, Open] | None:
    """Plan whole networks together with what could not be had before; None if that does not do.

    AllocationError, OwnershipError  as for the plan of everything
    """
    concerned = sorted({*names, *ground.still_open.networks})
    networks = [ground.roll.networks[name] for name in concerned if name in ground.roll.networks]
    topology = ground.roll.part(concerned)
    come = list(wanted_ports(topology))
    ports = {port: held for network in networks for port, held in _ports_of(network, ground).items()}
    farewells = [_farewell(name, ground) for name in concerned]
    units = [unit for step in farewells for unit in step.units]
    items = [item for step in farewells for item in step.items]
    among = [*given_up(units, items, ground), *_stale(ground)]
    options = replace(ground.options, prune=True, allow_mass_delete=True)
    claims = _claims(ports, come, ground)
    plan = unguarded_plan(topology, ground.snapshot, ground.owner, options, claims=claims, among=among)
    if any(_is_of_others(key, concerned, ground) for key in plan.desired.rows):
        return None
    step = Step(plan.desired, units, items, come, frozenset(concerned))
    return step, plan, _open_after(plan, come, among, networks, ground)


def plan_among(
    keys: Iterable[Key], doomed: Sequence[Stored], topology: Topology, snapshot: Snapshot, owner: str, options: Options
) -> tuple[Plan, list[Stored]]:
    """Return the plan of everything that deletes only rows with some keys, and doomed ones, and the rows meant.

    AllocationError, OwnershipError  as for any plan of everything
    """
    among = [stored for key in keys if not is_shared(key) for stored in snapshot.named(key)] + list(doomed)
    claims = claims_from_snapshot(snapshot, owner).disowned(owner, names_of_claims(among, snapshot))
    return unguarded_plan(topology, snapshot, owner, options, claims=claims, among=among), among


def _is_of_others(key: Key, concerned: Sequence[str], ground: Ground) -> bool:
    unit = ground.standing.units.get(key)
    return unit is not None and not is_shared(key) and unit.network not in concerned


def _open_after(
    plan: Plan, come: Sequence[Wanted], among: Sequence[Stored], networks: Sequence[Network], ground: Ground
) -> Open:
    stale = left_standing(plan, among)
    unsettled = unsettled_networks(plan.desired, come, networks, ground.roll.nodes, ground.roll.gaps)
    unsettled |= {network_of(stored, ground.snapshot) or "" for stored in stale}
    return Open(unsettled, frozenset(stored.uuid for stored in stale), plan.problems, plan.desired.gaps)


def left_standing(plan: Plan, among: Iterable[Stored]) -> list[Stored]:
    """Return rows of the owner that should have gone and stay."""
    deleted = {change.stored.uuid for change in plan.changes if isinstance(change, Delete)}
    rows = plan.desired.rows
    staying = (stored for stored in among if stored.uuid not in deleted and stored.key not in rows)
    return [stored for stored in staying if owned_by(stored, plan.owner)]


def unsettled_networks(
    desired: Desired, items: Iterable[Wanted], networks: Sequence[Network], nodes: Collection[str], gaps: Gaps
) -> frozenset[str]:
    """Return the networks of a plan in which something could not be had.

    nodes, gaps  of the topology
    """
    by_network: dict[str, list[Wanted]] = {network.name: [] for network in networks}
    for item in items:
        by_network[item.network.name].append(item)
    found = {each.name for each in networks if not is_settled(each, desired, by_network[each.name], nodes)}
    if any(problem.subject.startswith("IPAMClaim ") for problem in desired.problems):
        found |= {network.name for network in networks if network.honours_claims}
    is_clean = not desired.problems and desired.gaps == gaps
    return frozenset(found if found or is_clean else by_network)


# What both need --------------------------------------------------------------------------------------------------


def given_up(units: Iterable[Unit], items: Iterable[Wanted], ground: Ground) -> list[Stored]:
    """Return the rows in the database that were made for some units, or bear the names of attachments' ports."""
    keys = {key: None for unit in units for key in ground.standing.keys.get(unit, ())}
    # One that got nothing has no row of its own plan, but may have one from before.
    keys |= dict.fromkeys(Key(PORTS, item.port) for item in items)
    return [stored for key in keys if not is_shared(key) for stored in ground.snapshot.named(key)]


def _stale(ground: Ground) -> list[Stored]:
    rows = ground.snapshot.rows
    return [rows[uuid] for uuid in ground.still_open.stale if uuid in rows]


def _ports_of(network: Network, ground: Ground) -> dict[str, Held]:
    switch_of = BUILDERS[network.topology].switch_of
    nodes = ground.roll.nodes if isinstance(network, Layer3) else ("",)
    return ground.occupancy.of(network.name, [switch_of(network, node) for node in nodes])


def _claims(ports: dict[str, Held], items: Iterable[Wanted], ground: Ground) -> Claims:
    """Return what some ports hold, those of the attachments included, and the slices of all nodes.

    Without `prune`, rows of ours that nobody has wanted since the topology was applied stay as if they were others'.
    """
    known = ground.occupancy.ports
    ports |= {item.port: known[item.port] for item in items if item.port in known}
    slices = slices_from_snapshot(ground.snapshot, ground.owner)
    claims = Claims(ports, slices)
    if ground.options.prune:
        return claims
    doomed = names_of_claims(_stale(ground), ground.snapshot)
    return claims.disowned(ground.owner, doomed | {name for name in (*ports, *slices) if ground.standing.wants(name)})
