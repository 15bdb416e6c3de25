"""Every id beside the `minigrid` package: same levels, same actions, no difference in anything it says."""

import pytest
from palaestra.envs.minigrid.ids import FAMILIES

from .minigrid_mixed import PLANLESS, mixed_play
from .minigrid_play import LIMIT, differences, differences_after_all, play, random_policy, shows_empty_hands_first

NAMES = [name for family in FAMILIES for name in family.names if "-WFC-" not in name]

# One id of every rule, and of every kind of instruction: the default selection.
FAST = (
    *(
        "MiniGrid-Empty-8x8-v0",
        "MiniGrid-LavaCrossingS9N2-v0",
        "MiniGrid-ObstructedMaze-1Dlhb-v0",
        "MiniGrid-Unlock-v0",
    ),
    *("MiniGrid-Fetch-6x6-N2-v0", "MiniGrid-GoToObject-6x6-N2-v0", "MiniGrid-PutNear-6x6-N2-v0"),
    *("MiniGrid-MemoryS7-v0", "MiniGrid-RedBlueDoors-6x6-v0", "MiniGrid-Dynamic-Obstacles-6x6-v0"),
    *("BabyAI-MiniBossLevel-v0", "BabyAI-OpenDoorsOrderN4Debug-v0", "BabyAI-PutNextS5N2Carrying-v0"),
)

# Of each rule an id with short episodes.
FAST_MIXED = (
    *("MiniGrid-DoorKey-5x5-v0", "MiniGrid-Fetch-5x5-N2-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0"),
    *("MiniGrid-PutNear-6x6-N2-v0", "MiniGrid-MemoryS7-v0", "BabyAI-GoToSeqS5R2-v0"),
)


def test_the_list_of_ids_is_the_packages():
    import gymnasium
    import minigrid  # noqa: F401  # registers them

    there = {name for name in gymnasium.registry if name.startswith(("MiniGrid-", "BabyAI-"))}
    assert {name for family in FAMILIES for name in family.names} == there
    assert len(NAMES) == 172


@pytest.mark.parametrize("name", FAST)
def test_random_play_is_the_same(name):
    compare(name, steps=500)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_long_random_play_is_the_same(name):
    """172 ids x 2,000 steps."""
    compare(name, steps=2000)


def compare(name, steps):
    episodes = play(name, random_policy, LIMIT, steps)
    assert_same(episodes)
    assert episodes.steps >= steps


def assert_same(episodes):
    assert not differences_after_all(episodes)
    if shows_empty_hands_first(episodes.name):
        assert 0 < differences(episodes)["image"] <= len(episodes.seeds)


@pytest.mark.parametrize("name", FAST_MIXED)
def test_solved_and_failed_episodes_are_the_same(name):
    compare_mixed(name, episodes=6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_solved_and_failed_episodes_are_the_same(name):
    """Whole episodes, of which plans solve about half: rewards, ends and limits of time."""
    compare_mixed(name, episodes=12)


def compare_mixed(name, episodes):
    played = mixed_play(name, episodes)
    assert_same(played)
    ended = played.later["terminated"].any(1) | played.later["truncated"].any(1)
    assert ended.all()
    if name in PLANLESS:
        assert played.successes == 0
    else:
        assert 0.3 * episodes <= played.successes <= 0.7 * episodes
