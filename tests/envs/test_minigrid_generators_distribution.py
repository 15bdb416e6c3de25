"""Levels made on the device are distributed as those of the package."""

import dataclasses

import numpy as np
import pytest
from palaestra.envs.minigrid.generators.catalog import NATIVE

from . import minigrid_levels as levels

SIGNIFICANT = 0.001  # over all comparisons together
MOST_FEATURES = 70  # that a level has
FAST = (
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-KeyCorridorS3R2-v0",
    "MiniGrid-LavaCrossingS9N2-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
    "MiniGrid-ObstructedMaze-1Dlhb-v0",
    "MiniGrid-PutNear-6x6-N2-v0",
    "BabyAI-GoToObjMazeS4R2-v0",
    "BabyAI-PickupLoc-v0",
)


def check(name, count, num_comparisons):
    told = levels.compare(levels.ours(NATIVE[name], count, seed=7), levels.theirs(name, count))
    assert len(told) <= MOST_FEATURES
    unlikely = {feature: p for feature, p in told.items() if p < SIGNIFICANT / num_comparisons}
    assert not unlikely, unlikely


@pytest.mark.parametrize("name", FAST)
def test_levels_are_distributed_as_in_the_package(name):
    check(name, 500, MOST_FEATURES * len(FAST))


@pytest.mark.slow
@pytest.mark.parametrize("name", NATIVE)
def test_many_levels_are_distributed_as_in_the_package(name):
    check(name, 5000, MOST_FEATURES * len(NATIVE))


def least(a, b):
    return min(levels.compare(a, b).values())


def test_the_comparison_sees_small_differences():
    """Each pair is alike but for one thing; the threshold is the one above."""
    threshold = SIGNIFICANT / (MOST_FEATURES * len(NATIVE))
    maze = NATIVE["MiniGrid-ObstructedMaze-2Dlhb-v1"]
    pairs = (
        (maze, dataclasses.replace(maze, keys_last=False)),
        (NATIVE["BabyAI-GoToRedBall-v0"], dataclasses.replace(NATIVE["BabyAI-GoToRedBall-v0"], num_distractors=6)),
        (NATIVE["BabyAI-OpenDoor-v0"], NATIVE["BabyAI-OpenDoorLoc-v0"]),
    )
    for a, b in pairs:
        assert least(levels.ours(a, 5000), levels.ours(b, 5000, seed=1)) < threshold, a


def test_the_comparison_sees_a_door_that_is_lower_by_a_row():
    """DoorKey never has its door beside the lower wall."""
    made = levels.ours(NATIVE["MiniGrid-DoorKey-6x6-v0"], 500)
    mirrored = made.replace(grid=made.grid[:, ::-1], y=5 - made.y)
    assert least(mirrored, levels.theirs("MiniGrid-DoorKey-6x6-v0", 500)) < 1e-9


def test_equal_samples_are_not_told_apart():
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 40, (400, 2, 300))
    p = np.array([levels.significance(a, b) for a, b in draws])
    assert 0.02 < np.mean(p < 0.05) < 0.09
