"""Distributions against SciPy-free closed forms and their own samples."""

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.agents.distributions import Categorical, Normal


def test_normal_log_prob_and_entropy_are_the_textbook_values():
    distribution = Normal(mean=jnp.array([1.0, -1.0]), log_std=jnp.log(jnp.array([2.0, 0.5])))
    # -1/2 * (0.5**2 + 2**2) - ln(2) - ln(0.5) - ln(2 pi)
    np.testing.assert_allclose(distribution.log_prob(jnp.array([2.0, 0.0])), -2.125 - np.log(2 * np.pi), rtol=1e-6)
    np.testing.assert_allclose(distribution.entropy(), 1.0 + np.log(2 * np.pi), rtol=1e-6)


def test_normal_samples_have_the_stated_mean_and_deviation(key):
    distribution = Normal(mean=jnp.array([3.0]), log_std=jnp.log(jnp.array([0.2])))
    draws = jax.vmap(distribution.sample)(jax.random.split(key, 20_000))
    np.testing.assert_allclose(draws.mean(), 3.0, atol=0.01)
    np.testing.assert_allclose(draws.std(), 0.2, atol=0.01)


def test_categorical_log_prob_entropy_and_mode():
    distribution = Categorical(logits=jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])))
    np.testing.assert_allclose(distribution.log_prob(jnp.array([0, 2])), np.log([0.5, 0.8]), rtol=1e-5)
    np.testing.assert_allclose(distribution.entropy()[0], 1.5 * np.log(2), rtol=1e-5)
    np.testing.assert_array_equal(distribution.mode(), [0, 2])


def test_categorical_samples_follow_the_probabilities(key):
    distribution = Categorical(logits=jnp.log(jnp.array([0.5, 0.3, 0.2])))
    draws = jax.vmap(distribution.sample)(jax.random.split(key, 20_000))
    np.testing.assert_allclose(np.bincount(draws) / 20_000, [0.5, 0.3, 0.2], atol=0.02)
