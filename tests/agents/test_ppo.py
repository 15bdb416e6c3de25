"""PPO: its equations, its independence of layout, and that every setting moves something."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.contract import OnlineAgent
from palaestra.agents.ppo import PPO, Config, Hyper, policy_loss, standardize
from palaestra.curricula import Fixed, Random
from palaestra.envs.classic.cartpole import CartPole
from palaestra.envs.classic.pendulum import Pendulum

SMALL = Config(hidden=(8,), num_envs=8, rollout_length=8, epochs=2, num_minibatches=2)


@functools.cache
def programs(agent):
    """(init, train_step), compiled once for all tests."""
    return jax.jit(agent.init), jax.jit(agent.train_step)


def trained(agent, key, **hyper):
    """Parameters after two iterations, with other hyperparameters than the agent's if some are given."""
    init, train_step = programs(agent)
    state = init(key)
    state = state.replace(hyper=state.hyper.replace(**{name: jnp.float32(value) for name, value in hyper.items()}))
    for _ in range(2):
        state, _ = train_step(state)
    return state.params


def leaves_differ(a, b):
    return any(not np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_policy_loss_clips_only_where_clipping_makes_it_worse():
    ratio = jnp.array([1.5, 1.5, 0.5, 0.5])
    advantage = jnp.array([1.0, -1.0, 1.0, -1.0])
    np.testing.assert_allclose(policy_loss(ratio, advantage, 0.2), [-1.2, 1.5, -0.5, 0.8], rtol=1e-6)


def test_standardized_advantages_have_mean_zero_and_deviation_one():
    standard = standardize(jnp.array([1.0, 2.0, 3.0, 10.0]), None)
    np.testing.assert_allclose(standard.mean(), 0.0, atol=1e-6)
    np.testing.assert_allclose(standard.std(), 1.0, rtol=1e-5)


@pytest.mark.parametrize("env", [CartPole(), Pendulum()], ids=["discrete", "continuous"])
def test_follows_the_agent_contract(env, key):
    agent = PPO(env, Random(), SMALL)
    assert isinstance(agent, OnlineAgent)
    init, train_step = programs(agent)
    state = init(key)
    obs = jnp.zeros((3, *env.observation_space.shape))
    action = agent.act(key, state, obs)
    assert env.action_space.contains(np.asarray(action[0]))
    same = agent.act(key, state, obs, deterministic=True)
    np.testing.assert_array_equal(same, agent.act(jax.random.key(5), state, obs, deterministic=True))
    after, metrics = train_step(state)
    assert float(after.steps) == agent.steps_per_iteration
    assert all(np.all(np.isfinite(v)) for k, v in metrics.items() if k != "episodes")
    assert jax.tree.structure(after) == jax.tree.structure(state)
    jax.tree.map(lambda a, b: np.testing.assert_equal((a.shape, a.dtype), (b.shape, b.dtype)), after, state)


def test_same_key_same_learner_and_other_key_other_learner(key):
    agent = PPO(Pendulum(), Random(), SMALL)
    assert not leaves_differ(trained(agent, key), trained(agent, key))
    assert leaves_differ(trained(agent, key), trained(agent, jax.random.key(1)))


def test_training_compiles_once(key):
    agent = PPO(Pendulum(), Random(), SMALL)
    traces = []

    def train_step(state):
        traces.append(1)
        return agent.train_step(state)

    step = jax.jit(train_step)
    state = jax.jit(agent.init)(key)
    for _ in range(10):
        state, _ = step(state)
    assert len(traces) == 1


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Hyper)])
def test_every_hyper_field_changes_the_update(field, key):
    agent = PPO(Pendulum(), Random(), SMALL)
    base = {"learning_rate": 1e-2, "decay_steps": 1e6}
    other = {"decay_steps": 200.0, "max_grad_norm": 0.01, "clip": 0.001, "entropy_cost": 0.5}
    value = other.get(field, 0.5 * float(getattr(Hyper(**base), field)))
    assert leaves_differ(trained(agent, key, **base), trained(agent, key, **base | {field: value}))


@pytest.mark.parametrize(
    "change",
    [
        {"normalize_observations": False},
        {"normalize_rewards": False},
        {"normalize_advantages": False},
        {"bootstrap_truncated": False},
        {"adam_epsilon": 1e-2},
        {"initial_log_std": -1.0},
        {"epochs": 3},
    ],
)
def test_every_switch_changes_the_update(change, key):
    env = Pendulum(horizon=6)  # the clock cuts episodes off
    base, other = (PPO(env, Fixed(), config) for config in (SMALL, dataclasses.replace(SMALL, **change)))
    assert leaves_differ(trained(base, key), trained(other, key))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_minibatches": 3}, "num_minibatches=3 must divide rollout_length=8"),
        ({"num_envs": 0}, "num_envs=0"),
        ({"adam_epsilon": 0.0}, "adam_epsilon=0.0; expected a positive number"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)
