"""AMIGo's agent: the goals it learns from, its rewards, and that it does not depend on how it is run."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.amigo.agent import Amigo, Config, amigo, first_true, goal_reward
from palaestra.agents.amigo.goal_env import NO_GOAL, goal_vector
from palaestra.agents.amigo.goals import Goals
from palaestra.agents.contract import OnlineAgent
from palaestra.curricula import Fixed, Random
from palaestra.envs.classic.pendulum import Pendulum
from palaestra.envs.errors import OptionError
from palaestra.experiments.checkpoint import from_arrays, to_arrays
from palaestra.experiments.program import Program

from . import little_grid
from .test_ppo_bonuses import same_bits

ENV = little_grid.LittleGrid()
SMALL = Config(
    hidden=(8,), num_envs=4, rollout_length=8, epochs=2, num_minibatches=2, episode_log=4, goals=Goals(capacity=32)
)


def agent_with(**goals):
    return amigo(ENV, Random(), dataclasses.replace(SMALL, goals=dataclasses.replace(SMALL.goals, **goals)))


@pytest.fixture(scope="module")
def played():
    """(agent, its state, two rollouts (8, 4) one after the other, with rewards as if by chance)."""
    agent = agent_with()

    gather = jax.jit(lambda state, keys: agent._gather(tuple(keys), state)[:2])
    state, first = gather(jax.jit(agent.init)(jax.random.key(0)), jax.random.split(jax.random.key(1), 3))
    state, second = gather(state, jax.random.split(jax.random.key(2), 3))
    rollouts = [jax.device_get(rollout) for rollout in (first, second)]
    generator = np.random.default_rng(0)
    paid = [(generator.random((8, 4)) < 0.3).astype(np.float32) for _ in rollouts]
    rollouts = [r.replace(reward=p) for r, p in zip(rollouts, paid, strict=True)]
    return agent, state, rollouts


def pursuits_of(rollout, running):
    """The pursuits that ended, in order of time, then of lanes, by a loop.

    `running` is {lane: (goal, start, steps)}.
    """
    rows = []
    for t in range(8):
        for lane in range(4):
            goal, start, steps = running.get(lane) or (int(rollout.action["goal"][t, lane]), None, 0)
            assert int(rollout.action["goal"][t, lane]) == goal  # it stands while it is pursued
            start = rollout.obs["whole"][t, lane] if start is None else start
            now = rollout.next_obs["whole"][t, lane]
            reached = not np.array_equal(*(x.reshape(-1, 3)[goal] for x in (start, now)))
            ended = bool(rollout.terminated[t, lane] or rollout.truncated[t, lane])
            running[lane] = (goal, start, steps + 1)
            if reached or ended:
                rows.append((start, goal, steps + 1, reached, rollout.reward[t, lane] > 0.0))
                running[lane] = None
    return rows


def test_pursuits_equal_a_loops_across_rollouts(played):
    agent, _, both = played
    running = {}
    for rollout in both:
        expected = pursuits_of(rollout, running)
        assert any(running.values())  # the rollout's end interrupts pursuits, which go on in the next
        pursued = jax.jit(agent.pursued)(rollout)
        count = len(expected)
        np.testing.assert_array_equal(pursued.valid, np.arange(32) < count)
        fields = (pursued.start, pursued.goal, pursued.steps, pursued.reached, pursued.paid)
        for field, wanted in zip(fields, zip(*expected, strict=True), strict=True):
            np.testing.assert_array_equal(field[:count], np.stack(wanted))


def test_only_so_many_goals_are_learned_from_however_lanes_are_spread(played):
    _, _, (rollout, _) = played
    agent = agent_with(capacity=3)
    alone = agent.pursued(rollout)
    assert alone.goal.shape == (3,) and bool(alone.valid.all())
    config = dataclasses.replace(agent.config, axis_name="devices")
    spread = dataclasses.replace(agent, config=config)
    halves = jax.tree.map(lambda x: jnp.stack(jnp.split(x, 2, axis=1)), rollout)
    together = jax.jit(jax.vmap(spread.pursued, axis_name="devices"))(halves)
    assert int(together.valid.sum()) == 3

    def rows(pursued):
        valid = np.asarray(pursued.valid).reshape(-1)
        return sorted(zip(*(np.asarray(x).reshape(-1)[valid] for x in (pursued.goal, pursued.steps)), strict=True))

    assert rows(together) == rows(alone)


def test_the_first_flags_are_counted_by_time_then_by_lane():
    flags = jnp.array([[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]], bool)
    expected = np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    np.testing.assert_array_equal(first_true(flags, 3, None), expected)
    halves = jnp.stack(jnp.split(flags, 2, axis=1))
    parts = jax.vmap(lambda half: first_true(half, 3, "devices"), axis_name="devices")(halves)
    np.testing.assert_array_equal(np.concatenate(parts, 1), expected)


def test_the_agents_total_reward_and_the_goals_it_learns_with(played):
    agent, _, (rollout, _) = played
    pay = goal_reward(rollout, ENV.horizon)
    reached = rollout.next_obs["reached"] > 0
    np.testing.assert_allclose(pay, np.where(reached, 1.0 - 0.9 * rollout.next_obs["since"] / 6, 0.0), rtol=1e-6)
    assert reached.any() and not reached.all() and (rollout.reward > 0).any()

    seen = agent._for_agent(rollout, jnp.asarray(pay))
    reward = rollout.reward
    np.testing.assert_allclose(seen.reward, np.clip(reward + pay, -1.0, 1.0) + (reward > 0.0), rtol=1e-6)
    np.testing.assert_array_equal(seen.action, rollout.action["move"])
    np.testing.assert_array_equal(seen.obs["goal"], goal_vector(rollout.obs["whole"], rollout.action["goal"]))
    for t in range(8):
        for lane in range(4):
            goes_on = t < 7 and not rollout.ended[t, lane]
            expected = seen.obs["goal"][t + 1, lane] if goes_on else rollout.next_obs["goal"][t, lane]
            np.testing.assert_array_equal(seen.next_obs["goal"][t, lane], expected)


def test_a_proposal_is_taken_up_only_where_no_goal_stands(played):
    agent, state, (rollout, _) = played
    obs = jax.tree.map(lambda x: x[3], rollout.obs) | {"cell": jnp.array([NO_GOAL, 7, NO_GOAL, 2])}
    act = jax.jit(agent.act, static_argnums=3)
    likeliest = np.asarray(agent._cells(state, obs["whole"]).logits).argmax(-1)
    sure = act(jax.random.key(0), state, obs, True)
    np.testing.assert_array_equal(sure["goal"], [likeliest[0], 7, likeliest[2], 2])
    other = obs | {"cell": sure["goal"]}  # the same goals, standing: the same moves
    np.testing.assert_array_equal(act(jax.random.key(0), state, other, True)["move"], sure["move"])


def test_amigo_resumes_with_the_same_bits():
    agent = agent_with(capacity=5)
    assert isinstance(agent, OnlineAgent)
    hash(agent)
    program = Program(agent, 1, 2, num_devices=1)
    whole, chunk = program.advance(program.init(3), 2)
    assert np.all(np.asarray(chunk.finite)[:2]) and float(chunk.metrics["goals/pursued"][1, 0]) > 0.0
    half, _ = program.advance(program.init(3), 1)
    assert not same_bits(half.goals.params, whole.goals.params)
    restored = from_arrays(to_arrays(half)[0], program.template())
    assert same_bits(whole, program.advance(restored, 1)[0])


@pytest.mark.slow
def test_amigo_agrees_over_devices():
    agent = agent_with(capacity=5)  # fewer than end, so that it matters which are taken
    alone, spread = (Program(agent, 1, 2, num_devices=count) for count in (1, 2))
    assert spread.layout.shared == "lanes"
    one, two = (program.advance(program.init(3), 2) for program in (alone, spread))
    for left, right in zip(*(jax.tree.leaves((s.params, s.goals)) for s in (one[0], two[0])), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-4)
    for name in ("goals/reward", "goals/score", "goals/pursued"):
        np.testing.assert_allclose(one[1].metrics[name][:2], two[1].metrics[name][:2], rtol=1e-4)
    np.testing.assert_array_equal(one[1].metrics["goals/pursued"][:2], 5.0)


def test_environments_without_a_whole_grid_are_refused(key):
    with pytest.raises(OptionError, match="AMIGo: env; got Pendulum; expected a grid"):
        amigo(Pendulum(), Fixed(), SMALL)
    with pytest.raises(OptionError, match="AMIGo: env; got LittleGrid; expected a GoalEnv"):
        Amigo(ENV, Fixed(), SMALL).init(key)
