"""Subgoals of plans, returns, and regret."""

import numpy as np
import pytest
from palaestra.envs.minigrid.planner import (
    plan,
    regret,
)
from palaestra.envs.minigrid.planner.goals import Outcome
from palaestra.envs.minigrid.planner.tasks import task_of
from palaestra.envs.minigrid.subgoals.schemes import scheme_of

from .minigrid_planned import PLANNED, level_of, levels

pytest.importorskip("minigrid")


@pytest.mark.parametrize("name", [name for name in PLANNED if "WFC" not in name and scheme_of(name) is not None])
def test_subgoals_are_the_published_ones(name):
    """The schemes read them off a level without planning."""
    for _, level, rule in levels(name, range(2)):
        chain, found = scheme_of(name).chain(level), plan(level, rule).subgoals
        count = int(chain.count)
        published = list(zip(np.asarray(chain.x)[:count], np.asarray(chain.y)[:count], strict=True))
        assert [(subgoal.x, subgoal.y) for subgoal in found] == published
        assert [subgoal.word for subgoal in found] == [int(level.grid[y, x]) for x, y in published]


@pytest.mark.parametrize(
    ("name", "seed", "texts"),
    [
        ("MiniGrid-KeyCorridorS3R3-v0", 0, ["key", "locked door", "purple ball"]),
        ("MiniGrid-ObstructedMaze-1Dlhb-v0", 0, ["box", "green ball", "locked door", "blue ball"]),
        ("MiniGrid-LockedRoom-v0", 0, ["grey door", "key", "locked door", "goal"]),
        ("MiniGrid-FourRooms-v0", 0, ["opening", "goal"]),
        ("MiniGrid-RedBlueDoors-8x8-v0", 0, ["red door", "blue door"]),
        ("BabyAI-UnlockToUnlock-v0", 0, ["key", "locked door", "key", "locked door", "red ball"]),
        ("BabyAI-PutNextLocal-v0", 1, ["key", "box"]),
    ],
)
def test_subgoals_have_names(name, seed, texts):
    assert [subgoal.text for subgoal in plan(*level_of(name, seed)).subgoals] == texts


def test_every_clause_has_a_subgoal_at_the_step_that_meets_it():
    """ "go to a key and go to the ball after you go to the red ball and go to a key"."""
    level, rule = level_of("BabyAI-GoToSeqS5R2-v0", 1)
    task, found = task_of(level, rule), plan(level, rule)
    pose, config, met = task.world.pose, task.start, []
    for step, action in enumerate(found.actions, start=1):
        outcome, pose, after = task.step(pose, config, action)
        left = 0 if outcome is Outcome.SUCCESS else after.pending
        met += [step] * (config.pending & ~left).bit_count()
        config = after
    assert len(met) == 4
    assert set(met) <= {subgoal.step for subgoal in found.subgoals}


def test_regret_is_what_was_missed():
    level, rule = level_of("MiniGrid-Unlock-v0")
    best = plan(level, rule).optimal_return
    np.testing.assert_allclose(regret(level, rule, np.array([[0.0, best]])), [[best, 0.0]])
