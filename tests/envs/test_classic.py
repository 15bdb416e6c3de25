"""The classic tasks move exactly as Gymnasium's."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.classic import cartpole, pendulum


def test_cartpole_follows_gymnasium_step_by_step(key):
    env, reference = cartpole.CartPole(), gymnasium.make("CartPole-v1").unwrapped
    reference.reset(seed=1)
    generator = np.random.default_rng(0)
    transition = jax.jit(env.transition)
    for _ in range(300):
        state = cartpole.State(*jnp.asarray(reference.state, jnp.float32))
        action = int(generator.integers(2))
        obs, reward, terminated, _, _ = reference.step(action)
        after = transition(state, jnp.int32(action), key)
        np.testing.assert_allclose(env.observation(after, key), obs, atol=1e-5)
        assert float(env.reward(state, action, after, key)) == reward
        assert bool(env.terminal(after, key)) == terminated
        if terminated:
            reference.reset()


def test_pendulum_follows_gymnasium_step_by_step(key):
    env, reference = pendulum.Pendulum(), gymnasium.make("Pendulum-v1").unwrapped
    reference.reset(seed=1)
    generator = np.random.default_rng(0)
    step = jax.jit(lambda s, a: (env.transition(s, a, key), env.reward(s, a, s, key)))
    for _ in range(300):
        angle, spin = reference.state
        state = pendulum.State(angle=jnp.float32(angle), spin=jnp.float32(spin))
        action = generator.uniform(-1.2, 1.2, 1).astype(np.float32)
        obs, reward, _, _, _ = reference.step(2 * action)
        after, ours = step(state, jnp.asarray(action))
        np.testing.assert_allclose(env.observation(after, key), obs, atol=1e-4)
        np.testing.assert_allclose(ours, reward, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("env", [cartpole.CartPole(), pendulum.Pendulum()])
def test_pictures_follow_the_state(env, key):
    state = env.initial(key)
    _, first = env.render_image(state)
    _, second = env.render_image(state.replace(angle=state.angle + 1.0))
    assert first.shape == (400, 600, 3)
    assert first.dtype == np.uint8
    assert np.any(first != second)
