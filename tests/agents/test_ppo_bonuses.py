"""PPO with bonuses: what stays the same, what every learner must do, and the stream of its own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.bonuses.contract import BonusState
from palaestra.agents.bonuses.count import Count
from palaestra.agents.bonuses.noveld import NovelD
from palaestra.agents.bonuses.ride import RIDE
from palaestra.agents.bonuses.rnd import RND
from palaestra.agents.bonuses.training import Training
from palaestra.agents.contract import OnlineAgent
from palaestra.agents.ppo import PPO, Config
from palaestra.agents.returns import generalized_advantage
from palaestra.agents.spaces import flatten_observation
from palaestra.curricula import Random
from palaestra.experiments.checkpoint import from_arrays, to_arrays
from palaestra.experiments.program import Program

from . import little_grid

ENV = little_grid.LittleGrid()
ONCE = Training(learning_rate=1e-3, num_minibatches=2)
BONUSES = {
    "count": Count(coefficient=0.1, bits=8),
    "rnd": RND(training=ONCE),
    "ride": RIDE(training=ONCE),
    "noveld": NovelD(training=ONCE),
}
SMALL = Config(network="grid", hidden=(8,), num_envs=4, rollout_length=8, epochs=2, num_minibatches=2, episode_log=4)


def agent_with(bonus, **changes):
    return PPO(ENV, Random(), dataclasses.replace(SMALL, bonus=bonus, **changes))


def steps(agent, count=2):
    def many(state):
        return jax.lax.scan(lambda s, _: agent.train_step(s), state, None, length=count)

    return many


def same_bits(a, b):
    left, right = to_arrays(a)[0], to_arrays(b)[0]
    return {k: v.tobytes() for k, v in left.items()} == {k: v.tobytes() for k, v in right.items()}


@dataclasses.dataclass(frozen=True)
class Constant:
    """Pays the same for every step."""

    coefficient: float = 1.0
    separate_value: bool = False
    discount: float = 0.9

    def init(self, key, env, num_lanes):
        return BonusState(jnp.asarray(self.coefficient), jnp.zeros(()), shared=(), lanes=jnp.zeros((num_lanes,)))

    def reward(self, env, state, rollout, axis_name):
        return state, jnp.ones_like(rollout.reward)

    def learn(self, key, env, state, rollout, axis_name):
        return state, {}


def test_a_bonus_that_counts_nothing_changes_nothing(key):
    plain = jax.jit(lambda k: steps(agent_with(None))(agent_with(None).init(k))[0])(key)
    bonus = agent_with(Constant(coefficient=0.0))
    other = jax.jit(lambda k: steps(bonus)(bonus.init(k))[0])(key)
    assert plain.bonus is None
    assert same_bits(plain, other.replace(bonus=None))


@pytest.mark.parametrize("name", ["ride", *(pytest.param(n, marks=pytest.mark.slow) for n in BONUSES if n != "ride")])
def test_every_bonus_resumes_with_the_same_bits(name):
    agent = agent_with(BONUSES[name])
    assert isinstance(agent, OnlineAgent)
    hash(agent)
    program = Program(agent, 1, 2, num_devices=1)
    whole, chunk = program.advance(program.init(3), 2)
    assert np.all(np.asarray(chunk.finite)[:2])
    assert float(chunk.metrics["bonus/reward"][1, 0]) > 0.0

    half, _ = program.advance(program.init(3), 1)
    restored = from_arrays(to_arrays(half)[0], program.template())
    assert same_bits(whole, program.advance(restored, 1)[0])


@pytest.mark.parametrize("name", ["count", *(pytest.param(n, marks=pytest.mark.slow) for n in BONUSES if n != "count")])
def test_every_bonus_agrees_over_seeds_and_devices(name):
    agent = agent_with(BONUSES[name])
    alone = Program(agent, 1, 2, num_devices=1)
    whole, _ = alone.advance(alone.init(3), 2)

    spread = Program(agent, 3, 2, num_devices=2)
    assert spread.layout.shared == "lanes"
    seeds, _ = spread.advance(spread.init(3), 2)
    for leaf, rows in zip(*(jax.tree.leaves((s.params, s.bonus)) for s in (whole, seeds)), strict=True):
        np.testing.assert_allclose(rows[0], leaf, rtol=1e-3, atol=1e-4)


def targets(bonus, key, **changes):
    """(rollout, batch, what the value function missed, values, values after) of a fresh learner's first rollout."""
    agent = agent_with(bonus, normalize_rewards=False, normalize_observations=False, **changes)

    def make(key):
        key_init, *keys = jax.random.split(key, 4)
        state, rollout, _ = agent._gather(tuple(keys), agent.init(key_init))
        flat = flatten_observation(agent.network.view, rollout.obs)
        batch, error = agent._targets(state, rollout, flat, rollout.reward, jnp.ones_like(rollout.reward))
        return rollout, batch, error, *agent._values(state, rollout, flat)

    return jax.jit(make)(key)


def test_an_episode_that_is_cut_off_may_count_as_terminated(key):
    rollout, batch, error, values, _ = targets(None, key, bootstrap_truncated=False)
    assert bool((rollout.truncated & ~rollout.terminated).any()) and not bool(rollout.ended[-1].all())
    *_, next_values = targets(None, key)  # the same rollout, with the value of every observation that a step led to
    after = 0.0
    for t in reversed(range(8)):
        goes_on = 1.0 - np.asarray(rollout.ended[t], np.float32)
        missed = rollout.reward[t] + 0.99 * goes_on * next_values[t, :, 0] - values[t, :, 0]
        after = missed + 0.99 * 0.95 * goes_on * after
        np.testing.assert_allclose(error[t], after, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(batch.return_[t], after + values[t, :, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(batch.advantage, error)


def test_rewards_are_added_to_the_environments(key):
    rollout, batch, _, values, next_values = targets(Constant(coefficient=0.5), key)
    expected = generalized_advantage(
        rollout.reward + 0.5, values[..., 0], next_values[..., 0], rollout.terminated, rollout.ended, 0.99, 0.95
    )
    np.testing.assert_allclose(batch.advantage, expected, atol=1e-5)
    assert values.shape[-1] == 1 and batch.bonus_return is None


def test_a_stream_of_its_own_has_its_own_value_and_is_not_cut_by_ends(key):
    rollout, batch, error, values, next_values = targets(Constant(coefficient=0.5, separate_value=True), key)
    assert values.shape[-1] == 2 and bool(rollout.ended.any())
    after = 0.0
    for t in reversed(range(8)):
        next_value = values[t + 1, :, 1] if t < 7 else next_values[-1, :, 1]
        after = 1.0 + 0.9 * next_value - values[t, :, 1] + 0.9 * 0.95 * after
        np.testing.assert_allclose(batch.bonus_return[t], after + values[t, :, 1], rtol=1e-4)
        np.testing.assert_allclose(batch.advantage[t], error[t] + 0.5 * after, rtol=1e-4, atol=1e-5)
    plain = targets(Constant(coefficient=0.0, separate_value=True), key)
    np.testing.assert_allclose(plain[1].advantage, plain[2], atol=1e-6)
