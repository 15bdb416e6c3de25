"""The squashed Gaussian: a density, the same drawn as asked, finite wherever actions and networks may go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.distributions import Normal, TanhNormal
from palaestra.agents.off_policy.transitions import ACTION_LIMIT


def squashed(mean, std):
    return TanhNormal(Normal(mean=jnp.atleast_1d(jnp.float32(mean)), log_std=jnp.log(jnp.atleast_1d(jnp.float32(std)))))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.7, 0.3), (-1.2, 0.8), (0.0, 0.05), (2.0, 0.5)])
def test_density_integrates_to_one(mean, std):
    action = np.tanh(np.linspace(-6.0, 6.0, 20_001))[:, None].astype(np.float32)
    density = np.exp(np.float64(jax.vmap(squashed(mean, std).log_prob)(action)))
    np.testing.assert_allclose(np.trapezoid(density, np.float64(action[:, 0])), 1.0, atol=2e-3)


def test_log_prob_is_the_change_of_variables():
    mean, std, action = np.array([0.3, -0.5]), np.array([0.6, 1.5]), np.array([0.9, -0.2])
    before = np.arctanh(action)
    normal = -0.5 * ((before - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    expected = np.sum(normal - np.log(1.0 - action**2))
    np.testing.assert_allclose(squashed(mean, std).log_prob(jnp.float32(action)), expected, rtol=1e-5)


def test_draws_have_the_log_prob_of_where_they_fell(key):
    distribution = squashed(np.linspace(-1.0, 1.0, 3), np.array([0.2, 0.5, 1.0]))
    action, log_prob = jax.vmap(distribution.sample_and_log_prob)(jax.random.split(key, 1000))
    np.testing.assert_array_equal(action, jax.vmap(distribution.sample)(jax.random.split(key, 1000)))
    inside = np.max(np.abs(action), -1) < 0.999  # beyond, an action's own digits do not say enough
    assert inside.mean() > 0.9
    again = jax.vmap(distribution.log_prob)(action)
    np.testing.assert_allclose(log_prob[inside], again[inside], rtol=1e-3, atol=2e-3)


def test_log_prob_and_its_gradient_are_finite_at_the_actions_limits():
    action = jnp.array([ACTION_LIMIT, -ACTION_LIMIT], jnp.float32)
    distribution = squashed([0.0, 0.5], [1e-5, 10.0])
    value, gradient = jax.value_and_grad(lambda d: d.log_prob(action))(distribution)
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(gradient))


@pytest.mark.parametrize("mean", [-1e4, -60.0, -9.0, 9.0, 60.0, 1e4])
def test_draws_are_finite_for_networks_that_say_huge_numbers(mean, key):
    def total(distribution):
        action, log_prob = distribution.sample_and_log_prob(key)
        return jnp.sum(action) + log_prob, log_prob

    (_, log_prob), gradient = jax.value_and_grad(total, has_aux=True)(squashed(mean, 1.0))
    # log(1 - tanh(x)^2) -> log 4 - 2 |x|
    noise = jax.random.normal(key, (1,))
    normal = -0.5 * float(noise[0]) ** 2 - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(log_prob, normal - np.log(4.0) + 2.0 * abs(mean + float(noise[0])), rtol=1e-4)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(gradient))


def test_mode_is_the_squashed_mean():
    np.testing.assert_allclose(squashed([0.5, -3.0], [0.1, 2.0]).mode(), np.tanh([0.5, -3.0]), rtol=1e-6)
