"""Addresses: after a restart, in pools of every size and state, and very many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from benchmarks.clusters import Cluster, cluster
from benchmarks.measure import MEBIBYTE, Block, Effort, Line, in_turns, line, memory_line, peak_memory, ratio_line
from ovnk8s_topo import Layer2, Layer3
from ovnk8s_topo.addresses import Subnet, subnet_from_text
from ovnk8s_topo.collector import paused
from ovnk8s_topo.ipam import AddressPool, SliceAllocator, assign, withheld_on_node
from ovnk8s_topo.nb.rowset import Snapshot
from ovnk8s_topo.planner.claims import Claims, claims_from_snapshot
from ovnk8s_topo.planner.desired import desired_from_topology

PORTS, NODES = 22_500, 150
"""150 ports on each of 150 nodes."""

EXCLUSIONS = 65_000
STEADY = 2_000
"""How many allocations one sample of a single one is the mean of."""

SMALL = subnet_from_text("10.0.0.0/16")
LARGE = subnet_from_text("10.0.0.0/8")
IPV6 = subnet_from_text("fd00::/64")


def blocks(effort: Effort) -> Iterator[Block]:
    """Measure this section."""
    yield Block("addresses", tuple(_lines(effort)))


def _lines(effort: Effort) -> Iterator[Line]:
    yield from rebuild_lines(effort, Layer3(name="net", subnets="10.0.0.0/16/24"), "layer3, 150 nodes")
    yield from rebuild_lines(effort, Layer2(name="net", subnets="10.0.0.0/16"), "one layer2 switch")
    yield from single_lines(effort)
    yield from linear_lines(effort)
    yield from whole_internet_lines(effort)


# After a restart ------------------------------------------------------------------------------------------------


def rebuild_lines(effort: Effort, network: Layer2 | Layer3, what: str) -> Iterator[Line]:
    """From the rows of a replica to pools that know every owner, and on to a whole plan."""
    count, tenth = effort.of(PORTS), effort.of(PORTS // 10)
    part, whole = (cluster(network, size, NODES).snapshot for size in (tenth, count))
    taken = in_turns({"part": lambda: rebuild(network, part), "whole": lambda: rebuild(network, whole)}, effort.rounds)
    yield line(f"rebuild {count:,} ports, {what}", taken["whole"], at_most_s=0.5)
    yield ratio_line(
        "  the same, growth", taken["whole"], taken["part"], f"10 x {tenth:,} ports", at_most=1.5, factor=count / tenth
    )
    yield from plan_lines(effort, cluster(network, count, NODES))


def plan_lines(effort: Effort, known: Cluster) -> Iterator[Line]:
    """Plan the same cluster as a whole. Not next to the rebuilding, which must not pay for the memory of pods."""
    taken = in_turns(
        {
            "claims": lambda: claims_from_snapshot(known.snapshot),
            "plan": lambda: desired_from_topology(known.topology, claims_from_snapshot(known.snapshot)),
        },
        effort.rounds,
    )
    yield ratio_line("  the whole plan of it", taken["plan"], taken["claims"], "reading the claims")


def rebuild(network: Layer2 | Layer3, snapshot: Snapshot) -> int:
    """Read a replica and give every port what it has; return how many kept it."""
    claims = claims_from_snapshot(snapshot)
    return sum(_kept(network, claims, switch, ports) for switch, ports in _by_switch(claims).items())


def _by_switch(claims: Claims) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for held in claims.ports.values():
        found.setdefault(held.switch, []).append(held.port)
    return found


def _kept(network: Layer2 | Layer3, claims: Claims, switch: str, ports: list[str]) -> int:
    flat = isinstance(network, Layer2)
    subnets = network.ranges if flat else claims.slices[switch].slices
    withheld = () if flat else [address for subnet in subnets for address in withheld_on_node(subnet)]
    held = {port: claims.ports[port].addresses for port in ports if claims.ports[port].is_pod}
    given = assign(subnets, (), withheld, held, tuple(held)).given
    if given != held:
        raise AssertionError(f"a port of {switch} lost its address")
    return len(given)


# One allocation -------------------------------------------------------------------------------------------------


def single_lines(effort: Effort) -> Iterator[Line]:
    """One address taken and given back, in pools that are empty, nearly full, or nearly all excluded."""
    excluded = exclusions(effort.of(EXCLUSIONS))
    pools = {
        "an empty /16": AddressPool(SMALL),
        "a nearly full /16": nearly_full(),
        "an empty /64": AddressPool(IPV6),
        "a full /64": AddressPool(IPV6, excluded=excluded),
    }
    taken = in_turns({name: partial(steady, pool) for name, pool in pools.items()}, effort.rounds)
    each = {name: samples.each(STEADY) for name, samples in taken.items()}
    yield line("one allocation, an empty /16", each["an empty /16"])
    name = f"one allocation, a /16 with {pools['a nearly full /16'].free} free"
    yield ratio_line(name, each["a nearly full /16"], each["an empty /16"], "an empty /16", at_most=2)
    yield line("one allocation, an empty /64", each["an empty /64"])
    name = f"one allocation, a /64 with {len(excluded):,} exclusions"
    yield ratio_line(name, each["a full /64"], each["an empty /64"], "an empty /64", at_most=2)


def nearly_full() -> AddressPool:
    """Return a /16 in which one address in 4,096 is free."""
    pool = AddressPool(SMALL)
    for offset in range(1, SMALL.size - 1):
        if offset % 4096 != 1:
            pool.keep(SMALL.address(offset), "somebody")
    return pool


def exclusions(count: int) -> list[Subnet]:
    """Return so many single addresses of a /64, with a gap after every 200."""
    offsets = (1 + number + number // 200 for number in range(count))
    return [Subnet(6, IPV6.first + offset, 128) for offset in offsets]


def steady(pool: AddressPool) -> None:
    """Take an address and give it back, over and over."""
    for _ in range(STEADY):
        pool.release(pool.next("owner"), "owner")


# Very many ------------------------------------------------------------------------------------------------------


def linear_lines(effort: Effort) -> Iterator[Line]:
    """Ten times as many allocations take ten times as long: step by step, and by the pure function."""
    few, many = effort.of(10_000), effort.of(100_000)
    ways: Mapping[str, Callable[[int], object]] = {"one by one": allocated, "in one call": assigned}
    for name, way in ways.items():
        taken = in_turns({"few": partial(way, few), "many": partial(way, many)}, effort.rounds)
        reference = f"10 x {few:,}"
        yield ratio_line(
            f"{many:,} allocations {name}", taken["many"], taken["few"], reference, at_most=1.5, factor=many / few
        )
    taken = in_turns({"few": partial(built, few // 2), "many": partial(built, few * 5)}, effort.rounds)
    name, reference = f"a pool with {few * 5:,} exclusions built", f"10 x {few // 2:,}"
    yield ratio_line(name, taken["many"], taken["few"], reference, at_most=1.5, factor=10)


def allocated(count: int) -> None:
    """Give so many addresses of one pool."""
    pool = AddressPool(LARGE)
    for number in range(count):
        pool.next(f"pod-{number}")


def assigned(count: int) -> None:
    """Give so many newcomers an address, with the collector at rest, as it is while the planner does that."""
    with paused():
        given = assign([LARGE], (), (), {}, [f"pod-{number}" for number in range(count)]).given
    if len(given) != count:
        raise AssertionError(f"{count} wanted, {len(given)} given")


def built(count: int) -> None:
    """Build a pool with so many exclusions."""
    AddressPool(IPV6, excluded=exclusions(count))


# The largest pools ----------------------------------------------------------------------------------------------


def whole_internet_lines(effort: Effort) -> Iterator[Line]:
    """`0.0.0.0/0` and `::/0`, as a pool and cut into slices, cost what small ones do."""
    pairs = {
        "a pool of 0.0.0.0/0": (used_pool, "0.0.0.0/0", "10.0.0.0/20"),
        "a pool of ::/0": (used_pool, "::/0", "fd00::/116"),
        "slices of 0.0.0.0/0": (used_slices, "0.0.0.0/0/24", "10.0.0.0/12/24"),
        "slices of ::/0": (used_slices, "::/0/64", "fd00::/52/64"),
    }
    for name, (use, all_of_it, small) in pairs.items():
        cases = {"all": partial(use, all_of_it), "small": partial(use, small)}
        taken = in_turns(cases, effort.rounds)
        yield ratio_line(f"{name}, 1,000 given", taken["all"], taken["small"], small, at_most=2)
        yield memory_line(f"{name}, peak memory", peak_memory(cases["all"]), at_most=MEBIBYTE)


def used_pool(subnet: str) -> None:
    """Give 1,000 addresses of a pool in which the upper half is excluded."""
    whole = subnet_from_text(subnet)
    half = Subnet(whole.version, whole.first + whole.size // 2, whole.prefix_len + 1)
    # An IPv6 pool refuses excludes behind its 65,535 addresses, as OVN-Kubernetes does.
    pool = AddressPool(whole, excluded=[half] if whole.version == 4 else [])
    for _ in range(1_000):
        pool.next("owner")


def used_slices(text: str) -> None:
    """Give 1,000 nodes a slice, with a quarter of the range in use by somebody else."""
    subnet_text, _, host_len = text.rpartition("/")
    subnet = subnet_from_text(subnet_text)
    slices = SliceAllocator([(subnet, int(host_len))])
    # The last quarter: of ::/0, OVN-Kubernetes gives no slice behind number 2^24.
    quarter = subnet.size // 4
    slices.block("somebody", Subnet(subnet.version, subnet.first + 3 * quarter, subnet.prefix_len + 2))
    for number in range(1_000):
        slices.allocate(f"node-{number}")
