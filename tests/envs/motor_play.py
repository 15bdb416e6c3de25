"""Drives for tests: with a constant reference, and played a few steps."""

import jax
import jax.numpy as jnp
import palaestra  # noqa: F401  (registers the ids)
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.references import Constant


def start(env, params=None):
    """A first state; a few steps without `jit` take less time than compiling them."""
    return env.initial(jax.random.key(0), env.default_params if params is None else params)


def play(env, actions, params=None):
    """(first state, state after each action) from the configured start."""
    params = env.default_params if params is None else params
    first = start(env, params)
    states, state = [], first
    for action in actions:
        action = jnp.asarray(action, jnp.int32 if env.converter.finite else jnp.float32)
        state = env.transition(state, action, jax.random.key(1), params)
        states.append(state)
    return first, states


def held(family, task="CC", value=0.3, action="Cont", **options):
    """A drive whose references stay at `value`."""
    return make_motor(family, action, task, reference=Constant(value), **options)
