"""Drives played in double precision, for the tests of their physics.

Letters: T steps, S measured quantities.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

STEPS = 100

# Viscous friction and a fan; static friction has a kink that no integrator of high order can cross exactly.
LOAD = {"a": 0.0, "b": 0.01, "c": 1e-5, "j_load": 1e-3}


def exact_params(env, **tasks):
    """The drive of a task in double precision; parameters that are not named keep their default."""
    values = [tasks.get(p.name, p.default) for p in env.task_space.parameters]
    return env.task_params(jnp.asarray(values, jnp.float64))


def random_actions(env, steps, seed=0):
    """Actions (T, ...) over the action space, one-sided where the machine is."""
    rng, space = np.random.default_rng(seed), env.action_space
    if hasattr(space, "low"):
        low = np.zeros(space.shape) if env.machine.family == "SeriesDc" else space.low
        return rng.uniform(low, space.high, (steps, *space.shape))
    counts = getattr(space, "nvec", None)
    return rng.integers(0, space.n if counts is None else counts, steps if counts is None else (steps, len(counts)))


@functools.cache
def player(env):
    """(start state, actions, params) -> states over time."""

    @jax.jit
    def play(start, actions, params):
        def body(state, action):
            after = env.transition(state, action, jax.random.key(0), params)
            return after, after

        return jax.lax.scan(body, start, actions)[1]

    return play


def rollout(env, actions, params=None):
    """(first state, states over time), from the configured start."""
    params = exact_params(env) if params is None else params
    start = env.initial(jax.random.key(0), params)
    actions = jnp.asarray(actions)
    actions = actions.astype(jnp.int32) if jnp.issubdtype(actions.dtype, jnp.integer) else actions
    return start, player(env)(start, actions, params)
