"""Losses against their formulas in NumPy and float64, and what the learners make of them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.off_policy import losses
from palaestra.agents.off_policy.networks import Critics, apply
from palaestra.agents.off_policy.sac import Conservative

from .cases import ACTION, COUNTED, CQL, NORMED, OBS, assert_trees_close, made_learned, made_transitions, quick

RNG = np.random.default_rng(0)


def log_sum_exp(x):
    top = x.max(-1, keepdims=True)
    return np.log(np.exp(x - top).sum(-1)) + top[..., 0]


def test_targets_count_what_follows_unless_the_episode_terminated():
    reward, value = jnp.array([1.0, 2.0, 3.0]), jnp.array([10.0, 20.0, 30.0])
    mask = jnp.array([1.0, 0.0, 1.0])  # goes on; terminated; cut off by the clock
    np.testing.assert_allclose(losses.td_target(reward, mask, value, 0.9), [10.0, 2.0, 30.0], rtol=1e-6)


def test_td_error_is_the_mean_over_critics_and_transitions():
    values, target = RNG.normal(size=(3, 4)), RNG.normal(size=4)
    expected = np.mean((values - target) ** 2)
    np.testing.assert_allclose(losses.td_error(jnp.float32(values), jnp.float32(target)), expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("importance", [True, False])
def test_conservative_penalty(importance, temperature):
    drawn, density, data = 20 * RNG.normal(size=(2, 3, 5)), RNG.normal(size=(3, 5)), RNG.normal(size=(2, 3))
    counted = np.concatenate([drawn, data[..., None]], -1) - np.log(6) * temperature
    inside = drawn - density if importance else counted
    expected = np.mean(temperature * log_sum_exp(inside / temperature) - data)
    given = (jnp.float32(drawn), jnp.float32(density) if importance else None, jnp.float32(data))
    np.testing.assert_allclose(losses.conservative_penalty(*given, temperature), expected, rtol=1e-5)


def test_even_draws_have_the_density_of_their_box():
    np.testing.assert_allclose(np.exp(losses.uniform_log_density(3)) * 2.0**3, 1.0, rtol=1e-12)


@pytest.mark.parametrize("value", [1e-3, 0.5, 1.0, 5.0, 80.0])
def test_multipliers_begin_where_they_are_told(value):
    np.testing.assert_allclose(losses.multiplier(jnp.asarray(losses.raw_multiplier(value))), value, rtol=1e-5)


def test_learners_begin_with_a_temperature_of_one_and_the_weight_asked_for(key):
    learned = quick(lambda key: CALIBRATED.init(key, OBS, ACTION))(key)
    for name, value in (("temperature", 1.0), ("weight", 1.0)):
        np.testing.assert_allclose(losses.multiplier(learned.params[name]), value, rtol=1e-6)


def test_temperature_rises_while_entropy_is_too_low():
    slope = jax.grad(lambda temperature: losses.temperature_loss(temperature, jnp.asarray(-3.0), -2.0))(1.0)
    assert float(slope) == -1.0


def test_actor_loss_weighs_entropy_by_the_temperature():
    found = losses.actor_loss(jnp.array([1.0, 2.0]), jnp.array([5.0, 7.0]), 0.5)
    np.testing.assert_allclose(found, np.mean([0.5 - 5.0, 1.0 - 7.0]), rtol=1e-6)


def test_expectile_loss():
    error = RNG.normal(size=50)
    expected = np.mean(np.abs(0.9 - (error < 0)) * error**2)
    np.testing.assert_allclose(losses.expectile_loss(jnp.float32(error), 0.9), expected, rtol=1e-5)
    np.testing.assert_allclose(losses.expectile_loss(jnp.float32(error), 0.5), np.mean(error**2) / 2, rtol=1e-5)


def test_the_least_expectile_loss_is_at_the_expectile():
    """0.8 of the pull from above, 0.2 from below: of {0, 1}, a constant of 0.8."""
    values, constants = jnp.array([0.0, 1.0]), jnp.linspace(0.0, 1.0, 101)
    found = jax.vmap(lambda c: losses.expectile_loss(values - c, 0.8))(constants)
    np.testing.assert_allclose(constants[jnp.argmin(found)], 0.8, atol=0.011)


def test_advantage_weights_are_bounded():
    found = losses.advantage_weight(jnp.array([-1.0, 0.0, 1.0, 2.0, 1e6]), 3.0)
    np.testing.assert_allclose(found, [np.exp(-3.0), 1.0, np.exp(3.0), 100.0, 100.0], rtol=1e-5)


def test_some_critics_alone_say_what_they_say_among_all():
    """Values, and gradients with respect to all weights, also where one was drawn twice."""
    params, batch = made_learned(CQL, 1).params["critic"], made_transitions(0, 8)
    members, seed = jnp.array([7, 2, 7]), jnp.float32(RNG.normal(size=(3, 8)))

    def of_all(params):
        values = apply(Critics(10, NORMED.critic, True), params, batch.obs, batch.action)[members]
        return jnp.sum(seed * values), values

    def alone(params):
        own = jax.tree.map(lambda x: x[members], params)
        values = apply(Critics(3, NORMED.critic, True), own, batch.obs, batch.action)
        return jnp.sum(seed * values), values

    found, expected = (quick(jax.grad(f, has_aux=True))(params) for f in (alone, of_all))
    assert_trees_close(found, expected, rtol=2e-4, atol=1e-4)
    untouched = jax.tree.map(lambda x: np.asarray(x)[[0, 1, 3, 4, 5, 6, 8, 9]], found[0])
    assert not any(np.any(x) for x in jax.tree.leaves(untouched))


SMALL = Conservative(weight=1.0, draws=2, calibrated=True, gap=0.8)
CALIBRATED = dataclasses.replace(COUNTED, target_draws=1, conservative=SMALL)


@functools.cache
def critic_step(learner):
    return quick(learner.critic_step)


def step_of(learner, returns):
    """A critic step where every transition has this return."""
    batch = made_transitions(0, 16).replace(return_to_go=jnp.full(16, returns))
    learned = made_learned(learner, 1)
    return learned, batch, *critic_step(learner)(jax.random.key(2), learned, batch)


def test_calibration_by_no_return_at_all_changes_nothing():
    free = dataclasses.replace(CALIBRATED, conservative=dataclasses.replace(SMALL, calibrated=False))
    _, _, after, metrics = step_of(CALIBRATED, -jnp.inf)
    _, _, expected, same = step_of(free, -jnp.inf)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(after.params))
    assert_trees_close((after, metrics), (expected, same), rtol=1e-6, atol=1e-7)


def test_returns_bound_what_the_policy_would_do_and_not_even_draws():
    """Far above all values, 2 n draws count as the return, and n even ones and the data's action as nothing."""
    learner = dataclasses.replace(CALIBRATED, conservative=dataclasses.replace(SMALL, importance=False))
    learned, batch, _, metrics = step_of(learner, 1000.0)
    data = np.mean(learner.values(learned, batch.obs, batch.action))
    expected = 1000.0 + np.log(4) - np.log(7) - data
    np.testing.assert_allclose(metrics["train/conservative_penalty"], expected, rtol=1e-5)


def test_adjusted_weights_rise_where_the_penalty_is_above_the_gap():
    for returns, sign in ((1000.0, 1.0), (-1000.0, None)):
        learned, _, after, metrics = step_of(CALIBRATED, returns)
        excess = float(metrics["train/conservative_penalty"]) - SMALL.gap
        assert sign is None or np.sign(excess) == sign
        moved = float(after.params["weight"] - learned.params["weight"])
        np.testing.assert_allclose(moved, np.sign(excess) * SMALL.rate, rtol=1e-3)
