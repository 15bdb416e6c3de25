"""The yardsticks of the fast solver's benchmark."""

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.envs.registration import make_functional
from palaestra.envs.stepping import reset
from palaestra.experiments.bench.fast_solver import foot_under_ground, velocity_error


def test_the_error_is_the_largest_of_any_body_and_component():
    env = make_functional("palaestra/BipedalWalker-v0")
    state = jax.jit(lambda key: reset(env, key)[0].env)(jax.random.key(0))
    a = jax.tree.map(lambda x: x[None], state.physics)
    b = a.replace(velocity=a.velocity.at[0, 2, 1].add(0.5), spin=a.spin.at[0, 4].add(-0.25))
    np.testing.assert_allclose(velocity_error(a, b), [0.5], rtol=1e-5)


def test_a_foot_is_under_ground_when_the_middle_of_its_shin_is():
    env = make_functional("palaestra/BipedalWalker-v0")
    state = jax.jit(lambda key: reset(env, key)[0].env)(jax.random.key(0))
    assert not foot_under_ground(state)
    position = state.physics.position
    sunk = state.replace(physics=state.physics.replace(position=position - jnp.array([[0.0, 1.0]])))
    assert foot_under_ground(sunk)
