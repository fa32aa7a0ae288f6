"""No address is given twice, none leaks, none moves while its owner lives: whatever happens in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ovnk8s_topo.addresses import Address, Subnet, subnet_from_text
from ovnk8s_topo.ipam import (
    AddressTaken,
    NotInRange,
    PoolExhausted,
    SliceAllocator,
    SlicesExhausted,
    SliceTaken,
    SubnetPools,
    SubnetsRefused,
    assign,
    assign_slices,
)
from ovnk8s_topo.ipam.numbers import FreeNumbers

SUBNETS = [subnet_from_text("10.1.1.0/28"), subnet_from_text("fd00::/124")]
EXCLUDED = [subnet_from_text("10.1.1.4/31"), subnet_from_text("fd00::8/127")]
WITHHELD = [Address(4, SUBNETS[0].first + 1), Address(6, SUBNETS[1].first + 1)]
CAPACITY = 11
OWNERS = st.sampled_from([f"pod-{index}" for index in range(14)])
HOSTS = st.integers(0, 15)

RANGES = [
    (subnet_from_text("10.0.0.0/28"), 30),
    (subnet_from_text("10.0.1.0/29"), 30),
    (subnet_from_text("fd00::/124"), 126),
]


def fresh_pools() -> SubnetPools:
    return SubnetPools(SUBNETS, excluded=EXCLUDED, withheld=WITHHELD)


class Addresses(RuleBasedStateMachine):
    """The pools beside the plainest possible model: a dict owner -> addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = fresh_pools()
        self.model: dict[str, tuple[Address, ...]] = {}

    @rule(owner=OWNERS)
    def allocate(self, owner: str) -> None:
        if owner in self.model:
            return
        try:
            addresses = self.pools.next(owner)
        except PoolExhausted:
            assert min(pool.free for pool in self.pools.pools) == 0
            return
        assert not set(addresses) & self.in_use()
        self.model[owner] = addresses

    @rule(owner=OWNERS, v4=HOSTS, v6=HOSTS)
    def reserve(self, owner: str, v4: int, v6: int) -> None:
        wanted = (SUBNETS[0].address(v4), SUBNETS[1].address(v6))
        blocked = any(address in subnet for address in wanted for subnet in EXCLUDED) or set(wanted) & set(WITHHELD)
        outside = v4 in (0, 15) or v6 == 0
        try:
            self.pools.reserve(wanted, owner)
        except (AddressTaken, NotInRange):
            assert blocked or outside or set(wanted) & self.in_use()
            return
        assert not blocked
        assert not outside
        assert not set(wanted) & self.in_use()
        self.model[owner] = (*self.model.get(owner, ()), *wanted)

    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        self.pools.release(self.model.pop(owner, ()), owner)

    @rule(thief=OWNERS, v4=HOSTS)
    def release_of_others(self, thief: str, v4: int) -> None:
        address = SUBNETS[0].address(v4)
        if address not in self.model.get(thief, ()):
            self.pools.release([address], thief)

    @rule(extra=st.lists(OWNERS, unique=True))
    def restart_from_claims(self, extra: list[str]) -> None:
        claims = {owner: held for owner, held in self.model.items() if len(held) == len(SUBNETS)}
        others = {owner: held for owner, held in self.model.items() if owner not in claims}
        wanted = [*claims, *(owner for owner in extra if owner not in self.model)]
        outcome = assign(SUBNETS, EXCLUDED, WITHHELD, self.model, wanted)
        assert set(outcome.given) | set(outcome.problems) == set(wanted)
        assert {owner: outcome.given[owner] for owner in claims} == claims
        self.model = dict(outcome.given) | others
        self.pools = fresh_pools()
        for owner, held in self.model.items():
            for address in held:
                self.pools.reserve([address], owner)

    @rule()
    def describe_again(self) -> None:
        self.pools = self.pools.updated(SUBNETS, excluded=EXCLUDED, withheld=WITHHELD)

    def in_use(self) -> set[Address]:
        return {address for held in self.model.values() for address in held}

    @invariant()
    def model_and_pools_agree(self) -> None:
        held = [address for addresses in self.model.values() for address in addresses]
        assert len(held) == len(set(held))
        assert sorted(held) == sorted(self.pools.allocated())
        assert all(self.pools.owner_of(address) == owner for owner, mine in self.model.items() for address in mine)

    @invariant()
    def nothing_leaks(self) -> None:
        v4, v6 = self.pools.pools
        assert v4.free + v4.in_use == CAPACITY
        assert v6.free + v6.in_use == CAPACITY + 1  # no broadcast address


class NodeSlices(RuleBasedStateMachine):
    """The slice allocator beside a dict owner -> subnets."""

    def __init__(self) -> None:
        super().__init__()
        self.allocator = SliceAllocator(RANGES)
        self.model: dict[str, list[Subnet]] = {}

    @rule(owner=OWNERS)
    def allocate(self, owner: str) -> None:
        if owner in self.model:
            return
        try:
            self.take(owner, *self.allocator.allocate(owner))
        except SlicesExhausted:
            v4 = [subnet for held in self.model.values() for subnet in held if subnet.version == 4]
            assert v4 or self.allocator.used(6)

    @rule(owner=OWNERS, offset=HOSTS, length=st.integers(27, 32))
    def mark(self, owner: str, offset: int, length: int) -> None:
        shift = 32 - length
        subnet = Subnet(4, RANGES[0][0].first + offset >> shift << shift, length)
        try:
            self.allocator.mark(owner, subnet)
        except SubnetsRefused:
            assert length < 28
        except SliceTaken:
            assert any(other.overlaps(subnet) for name, held in self.model.items() if name != owner for other in held)
        else:
            if subnet not in self.model.get(owner, []):
                self.take(owner, subnet)

    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        self.allocator.release(owner, *self.model.pop(owner, []))

    @rule(extra=st.lists(OWNERS, unique=True))
    def restart_from_claims(self, extra: list[str]) -> None:
        claims = {owner: tuple(held) for owner, held in self.model.items()}
        outcome = assign_slices(RANGES, claims, [owner for owner in extra if owner not in self.model])
        self.allocator = SliceAllocator(RANGES)
        for owner, held in claims.items():
            self.allocator.mark(owner, *held)
        for owner, subnets in outcome.given.items():
            self.allocator.mark(owner, *subnets)
            self.model[owner] = list(subnets)
        again = assign_slices(RANGES, outcome.given, list(outcome.given))
        assert again.given == outcome.given

    def take(self, owner: str, *subnets: Subnet) -> None:
        for subnet in subnets:
            assert not any(
                other.overlaps(subnet) for name, held in self.model.items() if name != owner for other in held
            )
            self.model.setdefault(owner, []).append(subnet)

    @invariant()
    def model_and_allocator_agree(self) -> None:
        held = {(subnet, owner) for owner, subnets in self.model.items() for subnet in subnets}
        assert held == set(self.allocator.owned())

    @invariant()
    def nothing_leaks(self) -> None:
        """What a fresh allocator with the same marks could still give, this one can give too."""
        fresh = SliceAllocator(RANGES)
        for owner, subnets in self.model.items():
            fresh.mark(owner, *subnets)
        free = [stock._free.count for stock in self.allocator._ranges]
        assert free == [stock._free.count for stock in fresh._ranges]


TestAddresses = Addresses.TestCase
TestAddresses.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestNodeSlices = NodeSlices.TestCase
TestNodeSlices.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

SPANS = st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 12)), max_size=20)


@settings(max_examples=200, deadline=None)
@given(steps=SPANS, probe=st.integers(0, 45))
def test_free_numbers_behave_like_a_set(steps: list[tuple[bool, int, int]], probe: int) -> None:
    free, model = FreeNumbers([(0, 40)]), set(range(41))
    for put_back, first, length in steps:
        span = set(range(first, first + length + 1))
        (free.add if put_back else free.remove)(first, first + length)
        model = model | span if put_back else model - span
    expected = min((number for number in model if number >= probe), default=None)
    assert free.count == len(model)
    # Neighbouring spans are merged, or a long life would leave one span per number.
    assert len(free._first_by_last) == sum(number + 1 not in model for number in model)
    assert (probe in free) == (probe in model)
    assert free.at_or_after(probe) == expected
    assert free.pop(probe) == expected
    assert free.count == len(model) - (expected is not None)
