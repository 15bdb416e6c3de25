"""Advantages against hand calculation and an independent loop."""

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.agents.returns import generalized_advantage


def reference(reward, value, next_value, terminated, ended, discount, lam):
    advantage, after = np.zeros_like(reward), 0.0
    for t in reversed(range(len(reward))):
        delta = reward[t] + discount * (not terminated[t]) * next_value[t] - value[t]
        after = delta + discount * lam * (not ended[t]) * after
        advantage[t] = after
    return advantage


def test_two_steps_by_hand():
    # delta = (1 + 0.5 * 4 - 2, 3 + 0.5 * 8 - 4) = (1, 3); A = (1 + 0.5 * 0.5 * 3, 3)
    advantage = generalized_advantage(
        jnp.array([1.0, 3.0]),
        jnp.array([2.0, 4.0]),
        jnp.array([4.0, 8.0]),
        jnp.array([False, False]),
        jnp.array([False, False]),
        0.5,
        0.5,
    )
    np.testing.assert_allclose(advantage, [1.75, 3.0])


def test_termination_drops_the_next_value_and_truncation_keeps_it():
    one, yes, no = jnp.ones(1), jnp.array([True]), jnp.array([False])
    terminated = generalized_advantage(one, one, 10 * one, yes, yes, 0.9, 0.95)
    truncated = generalized_advantage(one, one, 10 * one, no, yes, 0.9, 0.95)
    np.testing.assert_allclose(terminated, [0.0])
    np.testing.assert_allclose(truncated, [9.0])


def test_equals_a_loop_over_random_episodes_under_jit_and_vmap():
    generator = np.random.default_rng(3)
    shape = (50, 4)
    reward, value, next_value = generator.normal(size=(3, *shape)).astype(np.float32)
    terminated = generator.random(shape) < 0.1
    ended = terminated | (generator.random(shape) < 0.1)
    expected = np.stack(
        [reference(*(x[:, b] for x in (reward, value, next_value, terminated, ended)), 0.97, 0.9) for b in range(4)],
        1,
    )
    arrays = tuple(map(jnp.asarray, (reward, value, next_value, terminated, ended)))
    plain = generalized_advantage(*arrays, 0.97, 0.9)
    mapped = jax.jit(jax.vmap(lambda *x: generalized_advantage(*x, 0.97, 0.9), in_axes=1, out_axes=1))(*arrays)
    np.testing.assert_allclose(plain, expected, atol=1e-5)
    np.testing.assert_allclose(mapped, expected, atol=1e-5)
