"""Whatever is lost, restarted, moved or used up: nobody gets what another one has, and nothing is lost for good.

The laws and the actions are in `recovery_world`. Two drivers run them. Hypothesis draws short stories and shrinks those
that fail; a seeded walk makes many long ones in a crowded cluster, which is what gives the volume: 50,000 steps, where
a step is somebody getting or giving back its addresses, and 1,000,000 in the nightly profile. A walk that fails says
its seed and the actions so far.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from recovery_world import VARIANTS, World

PROFILE = settings.get_current_profile_name()
STEPS = 1_000_000 if PROFILE == "nightly" else 50_000
FIRST_SEED = 0 if PROFILE == "ci" else random.SystemRandom().randrange(1 << 32)
"""`ci` always takes the same walks."""

ACTIONS: dict[str, int] = {
    "add_pods": 10,
    "delete_pods": 10,
    "replace_pods": 12,
    "move_pods": 2,
    "add_nodes": 3,
    "delete_node": 2,
    "change_network": 3,
    "exhaust_and_free": 1,
    "lose_rows": 2,
    "restart_from_nb": 2,
    "restart_from_annotations": 2,
    "restart": 1,
}
"""What a walk does, and how often in relation to the others."""

AT_ONCE = 140
"""How many pods one action of a walk deals with at most."""

PICKS = st.integers(0, 99)
FEW = st.integers(1, 12)


class Recovery(RuleBasedStateMachine):
    """The actions one by one, with few pods."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def teardown(self) -> None:
        self.world.end()


def _rule_of(name: str) -> Callable[..., None]:
    def act(self: Recovery, pick: int, count: int) -> None:
        getattr(self.world, name)(pick, count)

    act.__name__ = name
    return act


for _name in ACTIONS:
    setattr(Recovery, _name, rule(pick=PICKS, count=FEW)(_rule_of(_name)))

TestRecovery = Recovery.TestCase
TestRecovery.settings = settings(max_examples=40, stateful_step_count=25)


def test_many_steps() -> None:
    seed, steps = FIRST_SEED, 0
    while steps < STEPS:
        steps += walk(seed)
        seed += 1


def walk(seed: int) -> int:
    """Make one long story and return its number of steps."""
    chance, world = random.Random(seed), World()
    story: list[tuple[str, int, int]] = []
    names, weights = list(ACTIONS), list(ACTIONS.values())
    try:
        for name in chance.choices(names, weights, k=100):
            story.append((name, chance.randrange(1_000), chance.randint(1, AT_ONCE)))
            getattr(world, name)(*story[-1][1:])
        world.end()
    except Exception as error:
        error.add_note(f"seed {seed}, after {story}")
        raise
    return world.steps


def test_what_the_refused_were_told_is_given_to_nobody() -> None:
    """A story that walks hardly ever come to: no rows, too few IPv6 addresses, and newcomers that are served first."""
    world = World()
    for number in range(160, 100, -1):
        world.put_pod(f"p{number}", 1, "ns/lan")
        world.settle(prune=True)
    world.networks["lan"] = VARIANTS["lan"][3]
    world.settle(prune=True)
    world.restart_from_annotations(1, 1)
    for number in range(1, 10):
        world.drop_pod(f"p{100 + number}")
        world.put_pod(f"p100{number}", 1, "ns/lan")
    world.settle(prune=True)
    world.networks["lan"] = VARIANTS["lan"][0]
    world.settle(prune=True)
    world.end()
