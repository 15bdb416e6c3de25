"""The host's mechanics and rules against the package, in lock-step."""

import numpy as np
import pytest
from palaestra.envs.minigrid import reference
from palaestra.envs.minigrid.planner.errands import run_errands
from palaestra.envs.minigrid.planner.goals import Outcome
from palaestra.envs.minigrid.planner.tasks import task_of
from palaestra.envs.minigrid.planner.world import CARRIED, GONE, INSIDE

from .minigrid_planned import CHOSEN, levels, start_of

pytest.importorskip("minigrid")


def assert_same_world(task, config, env, objects):
    """The host's world is the live environment's, object by object."""
    where = {id(thing): (i % env.width, i // env.width) for i, thing in enumerate(env.grid.grid) if thing is not None}
    inside = {id(thing.contains) for thing in env.grid.grid if thing is not None and thing.contains is not None}
    for thing, place in zip(task.world.things, config.places, strict=True):
        live = objects[thing.number - 1]
        if place >= 0:
            assert where[id(live)] == task.world.board.position(place)
        else:
            assert id(live) not in where
            assert (env.carrying is live) == (place == CARRIED)
            if place == INSIDE and env.carrying is None:
                assert id(live) in inside
            assert place != GONE or live.type == "box"
    for i, door in enumerate(task.world.doors):
        live = objects[door.number - 1]
        assert (live.is_open, live.is_locked and not live.is_open) == (
            bool(config.opened >> i & 1),
            bool(config.locked >> i & 1),
        )


def play(env, level, rule, actions):
    """Takes actions in both, comparing after each; returns how the episode ended, if it did."""
    task, objects = task_of(level, rule), reference.read(env).objects
    pose, config = task.world.pose, task.start
    env.gen_obs = dict  # takes most of the time, and changes nothing
    for action in actions:
        _, reward, terminated, _, _ = env.step(action)
        outcome, pose, config = task.step(pose, config, action)
        assert terminated == (outcome is not Outcome.GOES_ON)
        assert not terminated or (reward > 0) == (outcome is Outcome.SUCCESS)
        assert task.world.board.position(pose.cell) == tuple(map(int, env.agent_pos))
        assert pose.direction == env.agent_dir
        assert_same_world(task, config, env, objects)
        if terminated:
            return outcome
    return Outcome.GOES_ON


@pytest.mark.parametrize("name", CHOSEN)
def test_host_steps_as_the_package(name):
    rng = np.random.default_rng(0)
    for env, level, rule in levels(name, range(5)):
        task = task_of(level, rule)
        clause = (task.first or 1).bit_length() - 1
        guide = run_errands(task, start_of(task), clause, 10_000).actions[: rng.integers(0, 40)]
        noise = rng.choice(7, 100, p=[0.15, 0.15, 0.35, 0.12, 0.08, 0.13, 0.02])
        play(env, level, rule, [*guide, *map(int, noise)][: int(level.max_steps)])


def test_random_play_ends_in_every_way():
    """Else the comparison above would not compare much."""
    rng, seen = np.random.default_rng(1), set()
    for name in ("BabyAI-OpenDoorDebug-v0", "MiniGrid-Fetch-8x8-N3-v0", "BabyAI-PutNextLocalS5N3-v0"):
        for env, level, rule in levels(name, range(12)):
            seen.add(play(env, level, rule, map(int, rng.integers(0, 7, int(level.max_steps)))))
    assert seen == set(Outcome)
