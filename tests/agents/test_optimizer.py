"""Adam, and its steps on gradients of zero, against the paper's algorithm in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.agents.optimizer import coast, init_adam, plain_adam_step

RATE = 1e-2


def test_steps_and_coasting_follow_the_published_algorithm():
    """Coasting: m <- 0.9 m, v <- 0.999 v, t <- t + 1, and the parameters go on."""
    rng = np.random.default_rng(0)
    begin = rng.normal(size=4)
    params, state = jnp.float32(begin), init_adam(jnp.float32(begin), 1e-8)
    expected, mean, square = begin.copy(), np.zeros(4), np.zeros(4)
    for t, is_real in enumerate([True, False, True, True, False, False, False, False, True, False], 1):
        gradient = rng.normal(size=4) if is_real else np.zeros(4)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        expected -= RATE * mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        if is_real:
            params, state = plain_adam_step(params, jnp.float32(gradient), state, RATE)
        else:
            params, state = coast(params, state, RATE)
        assert int(state.count) == t
        np.testing.assert_allclose(state.mu, mean, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(state.nu, square, rtol=1e-5)
        np.testing.assert_allclose(params, expected, rtol=1e-5)


@pytest.mark.parametrize(("real", "idle", "factor"), [(1, 4, np.sqrt(5.0)), (4, 1, np.sqrt(1.25))])
def test_coasting_between_steps_goes_further_by_the_root_of_steps_per_real_one(real, idle, factor, key):
    """On gradients that are noise, which is what presets that do not coast make up for by their rates."""
    rounds, size = 1200, 2048

    def course(keys, idle):
        def one_round(carry, keys):
            for key in keys:
                carry = plain_adam_step(carry[0], jax.random.normal(key, (size,)), carry[1], RATE)
            for _ in range(idle):
                carry = coast(*carry, RATE)
            return carry, None

        begin = jnp.zeros(size)
        return jax.lax.scan(one_round, (begin, init_adam(begin, 1e-8)), keys)[0][0]

    keys = jax.random.split(key, (rounds, real))
    coasting, steady = (jax.jit(course, static_argnums=1)(keys, count) for count in (idle, 0))
    lengths = [float(jnp.linalg.norm(x)) for x in (coasting, steady)]
    np.testing.assert_allclose(lengths[0] / lengths[1], factor, rtol=0.03)
