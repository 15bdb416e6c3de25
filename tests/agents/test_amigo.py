"""AMIGo's environment with goals and its teacher of goals: episodes by script, rewards and thresholds by hand."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.amigo.goal_env import NO_GOAL, goal_vector, has_changed, with_goals
from palaestra.agents.amigo.goals import Goals, Pursued
from palaestra.envs.stepping import reset, step

from . import little_grid

STAY, BACK, ON, TURN = range(4)
SIZE = (little_grid.WIDTH, little_grid.HEIGHT)


def cell(column, row=1):
    return column * little_grid.HEIGHT + row


def grid(place, direction):
    """The whole of the little grid's corridor."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[-1, 1, 0] = little_grid.GOAL
    image[place, 1] = (little_grid.AGENT, 0, direction)
    return image


@pytest.mark.parametrize(
    ("direction", "ahead", "right"), [(0, 2, 1), (1, 1, -2), (2, -2, -1), (3, -1, 2)], ids=["E", "S", "W", "N"]
)
def test_the_way_to_a_goal_is_told_as_the_agent_faces(direction, ahead, right):
    """The goal is two columns to the east and one row to the south."""
    whole = jnp.asarray(np.stack([grid(1, direction)] * 2))
    vectors = goal_vector(whole, jnp.array([cell(3, 2), NO_GOAL]))
    np.testing.assert_array_equal(vectors, [[ahead, right], [0, 0]])


def test_a_cell_has_changed_when_any_of_its_three_numbers_differ():
    before = jnp.asarray(grid(1, 0))
    for number in range(3):
        after = before.at[2, 1, number].add(1)
        assert bool(has_changed(before, after, jnp.asarray(cell(2))))
        assert not bool(has_changed(before, after, jnp.asarray(cell(1))))


def test_an_episode_by_script(key):
    """A goal stands until its cell changes, whatever is proposed meanwhile; then the next one begins anew."""
    env = with_goals(little_grid.LittleGrid(horizon=20))
    take = jax.jit(lambda key, state, move, goal: step(env, key, state, {"move": move, "goal": goal}))
    state, obs = jax.jit(lambda k: reset(env, k))(key)
    turn = int(obs["direction"])
    assert int(obs["cell"]) == NO_GOAL and int(obs["since"]) == 0 and int(obs["reached"]) == 0
    np.testing.assert_array_equal(obs["whole"], grid(0, turn))
    np.testing.assert_array_equal(obs["goal"], [0, 0])

    later = (turn + 1) % 4
    script = [  # move, proposal; then the goal that stands, steps, reached, grid at its start, grid now
        (STAY, cell(1), cell(1), 1, 0, (0, turn), (0, turn)),
        (TURN, cell(3), cell(1), 2, 0, (0, turn), (0, later)),
        (ON, cell(0), NO_GOAL, 3, 1, (0, turn), (1, later)),
        (STAY, cell(3, 0), cell(3, 0), 1, 0, (1, later), (1, later)),
        (ON, cell(1), cell(3, 0), 2, 0, (1, later), (2, later)),
    ]
    for move, proposal, *expected, start, now in script:
        state, timestep = take(key, state, move, proposal)
        obs = timestep.obs
        assert [int(obs[name]) for name in ("cell", "since", "reached")] == expected
        np.testing.assert_array_equal(obs["start"], grid(*start))
        np.testing.assert_array_equal(obs["whole"], grid(*now))
        np.testing.assert_array_equal(obs["goal"], goal_vector(obs["whole"], obs["cell"]))
        assert env.observation_space["since"].contains(np.asarray(obs["since"]))

    state, timestep = take(key, state, ON, cell(1))  # the environment's own end, goal or no goal
    assert bool(timestep.terminated) and bool(timestep.success) and float(timestep.reward) == 1.0
    assert int(timestep.obs["reached"]) == 0 and int(timestep.obs["since"]) == 3


def test_turning_on_the_goal_reaches_it(key):
    env = with_goals(little_grid.LittleGrid())
    state, _ = reset(env, key)
    _, timestep = step(env, key, state, {"move": jnp.asarray(TURN), "goal": jnp.asarray(cell(0))})
    assert int(timestep.obs["reached"]) == 1 and int(timestep.obs["since"]) == 1


@dataclasses.dataclass(frozen=True)
class Looking(little_grid.LittleGrid):
    """Remembers how often its whole grid is asked for."""

    looks: ClassVar[list[int]] = []
    render_fps = 7

    def observation(self, state, rng, params=None):
        if self.view == "full":
            self.looks.append(1)
        return super().observation(state, rng, params)


def test_the_whole_grid_is_encoded_once_a_step_and_pictures_keep_their_pace(key):
    env = with_goals(Looking())
    assert env.render_fps == 7
    state, _ = jax.eval_shape(lambda k: reset(env, k), key)
    Looking.looks.clear()
    action = {"move": jnp.asarray(ON), "goal": jnp.asarray(0)}
    jax.eval_shape(lambda k, s: step(env, k, s, action), key, state)
    assert len(Looking.looks) == 1


def pursuits(steps, reached, paid, valid, goal=None):
    count = len(steps)
    return Pursued(
        start=jnp.asarray(np.stack([grid(i % 4, 0) for i in range(count)])),
        goal=jnp.arange(count, dtype=jnp.int32) if goal is None else jnp.asarray(goal),
        steps=jnp.asarray(steps, jnp.int32),
        reached=jnp.asarray(reached, bool),
        paid=jnp.asarray(paid, bool),
        valid=jnp.asarray(valid, bool),
    )


def test_goals_are_paid_for_when_reached_no_sooner_than_the_threshold():
    goals = pursuits([7, 6, 9, 9, 3], [1, 1, 1, 0, 0], [0, 0, 1, 0, 1], [1] * 5)
    teacher, threshold = Goals(reward=0.7, penalty=0.3), jnp.float32(7.0)
    np.testing.assert_allclose(teacher.challenge(goals, threshold), [0.7, -0.3, 0.7, -0.3, -0.3])
    np.testing.assert_allclose(teacher.rewards(goals, threshold), [0.7, -0.3, 1.0, -0.3, 1.0])


def test_the_threshold_rises_after_enough_good_rollouts_in_a_row():
    teacher = Goals(good_enough=0.1, patience=3, last_threshold=8.0)
    threshold, streak, seen = jnp.float32(7.0), jnp.int32(0), []
    for score in (0.1, 0.5, 0.0, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3):
        threshold, streak = teacher.next_threshold(threshold, streak, jnp.float32(score))
        seen.append((float(threshold), int(streak)))
    assert seen[:6] == [(7, 1), (7, 2), (7, 0), (7, 1), (7, 2), (8, 0)]
    assert seen[6:] == [(8, 1), (8, 2), (9, 0), (9, 1), (9, 2), (9, 3)]  # beyond the last threshold it stays


def test_the_published_numbers():
    """Of the source's code and README; a mean below -0.5 cannot be, so that every rollout with goals counts."""
    assert Goals() == Goals(
        learning_rate=0.002,
        entropy_cost=0.05,
        reward=0.7,
        penalty=0.3,
        first_threshold=7.0,
        last_threshold=100.0,
        good_enough=-0.5,
        patience=10,
    )


@pytest.fixture(scope="module")
def taught():
    """(a teacher that has learned once, its state, one to call `learn` with, on four goals each time)."""
    teacher = Goals(good_enough=0.1, patience=3)
    learn = jax.jit(teacher.learn, static_argnums=2)
    state = jax.jit(lambda k: teacher.init(k, *SIZE))(jax.random.key(0))
    good = pursuits([9, 9, 1, 1], [1, 1, 0, 0], [0] * 4, [1, 1, 0, 0])
    return teacher, learn(state, good, None)[0], learn


def test_a_rollout_in_which_no_pursuit_ended_leaves_the_teacher_as_it_is(taught):
    _, state, learn = taught
    assert int(state.streak) == 1
    after, metrics = learn(state, pursuits([9, 1, 1, 1], [1, 0, 0, 0], [0] * 4, [0] * 4), None)
    jax.tree.map(np.testing.assert_array_equal, after, state)
    assert float(metrics["goals/pursued"]) == 0.0 and float(metrics["goals/threshold"]) == 7.0


def test_rows_that_mean_nothing_change_nothing_and_devices_agree(taught):
    teacher, state, learn = taught
    goals = pursuits([9, 9, 5, 3], [1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0])
    alone, metrics = learn(state, goals, None)
    assert any(not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (alone, state)), strict=True))
    np.testing.assert_allclose(metrics["goals/score"], 0.2, rtol=1e-5)
    others, _ = learn(state, pursuits([9, 9, 9, 9], [1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 0], goal=[0, 1, 7, 9]), None)
    jax.tree.map(np.testing.assert_array_equal, alone, others)

    halves = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), goals)  # the second device has no goals at all
    share = jax.jit(jax.vmap(lambda half: teacher.learn(state, half, "devices"), axis_name="devices"))
    together, counted = share(halves)
    for row in range(2):
        jax.tree.map(lambda x, y, row=row: np.testing.assert_allclose(x[row], y, atol=1e-5), together, alone)
    np.testing.assert_allclose(counted["goals/score"], [metrics["goals/score"]] * 2, rtol=1e-5)


def test_the_teacher_comes_to_set_the_goals_that_are_paid_for(taught):
    teacher, state, learn = taught
    goals = pursuits([9, 9, 9, 9], [1, 0, 0, 0], [0] * 4, [1] * 4, goal=[cell(2), cell(0), cell(1), cell(2, 0)])
    goals = goals.replace(start=jnp.broadcast_to(goals.start[0], goals.start.shape))
    after = state
    for _ in range(100):
        after, _ = learn(after, goals, None)
    first, last = (np.asarray(teacher.propose(s, goals.start[:1]).logits)[0] for s in (state, after))
    assert last.argmax() == cell(2) and last[cell(2)] - last[cell(0)] > first[cell(2)] - first[cell(0)] + 1.0


@pytest.mark.parametrize("name", ["patience", "capacity"])
def test_impossible_numbers_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}=0; expected at least 1"):
        Goals(**{name: 0})
