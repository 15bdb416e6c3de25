"""The yardsticks of the fast solver's benchmark."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.compilation import compile_for
from palaestra.envs.registration import make_functional
from palaestra.envs.stepping import reset
from palaestra.experiments.bench.fast_solver import foot_under_ground, velocity_error


@pytest.fixture(scope="module")
def state():
    """A walker's first state; which solver let it settle does not matter here."""
    env = make_functional("palaestra/BipedalWalker-v0", solver="fast")
    return compile_for(env, lambda key: reset(env, key)[0].env)(jax.random.key(0))


def test_the_error_is_the_largest_of_any_body_and_component(state):
    a = jax.tree.map(lambda x: x[None], state.physics)
    b = a.replace(velocity=a.velocity.at[0, 2, 1].add(0.5), spin=a.spin.at[0, 4].add(-0.25))
    np.testing.assert_allclose(velocity_error(a, b), [0.5], rtol=1e-5)


def test_a_foot_is_under_ground_when_the_middle_of_its_shin_is(state):
    assert not foot_under_ground(state)
    position = state.physics.position
    sunk = state.replace(physics=state.physics.replace(position=position - jnp.array([[0.0, 1.0]])))
    assert foot_under_ground(sunk)
