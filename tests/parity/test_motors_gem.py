"""The drives against gym-electric-motor, step by step over open-loop episodes in double precision.

Ours runs in its gem form, from the same start, with the same actions and references; only currents, torque, speed,
voltages and angle are at stake, not the random references.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import motor_ids

from .gem_capture import STEPS, UNSTABLE_STEPS, make_gem, random_actions, record

pytest.importorskip("gym_electric_motor", reason="the extra gem is not installed")

TOLERANCE = 1e-8
UNSTABLE_TOLERANCE = 1e-6


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def exact_params(env):
    """The default drive in double precision: a task of Python's numbers, not of float32."""
    task = jnp.asarray([p.default for p in env.task_space.parameters], jnp.float64)
    return env.task_params(task)


@functools.cache
def player(env):
    """(params, start, actions, references) -> (states, rewards, degrees) over time, references put in from outside."""

    @jax.jit
    def play(params, start, actions, references):
        def body(state, inputs):
            action, reference = inputs
            state = state.replace(references=state.references.replace(shown=reference[None]))
            after = env.transition(state, action, jax.random.key(0), params)
            reward = env.reward(state, action, after, jax.random.key(0), params)
            return after, (after.measured, reward, after.degrees)

        return jax.lax.scan(body, start, (actions, references))[1]

    return play


def play(env, recording):
    """Ours under a recording's actions: (states (T + 1, S), rewards (T,))."""
    params = exact_params(env)
    start = jax.jit(env.initial)(jax.random.key(0), params)
    actions = jnp.asarray(recording.actions)
    if np.issubdtype(recording.actions.dtype, np.integer):
        actions = actions.astype(jnp.int32)
    states, rewards, _ = player(env)(params, start, actions, jnp.asarray(recording.references[:-1]))
    return np.concatenate([start.measured[None], states]), np.asarray(rewards)


def errors(env, ours, theirs):
    """Largest difference of every measured quantity; angles modulo a turn."""
    difference = np.abs(ours - theirs)
    for i, name in enumerate(env.layout.names):
        if name == "epsilon":
            difference[:, i] = np.minimum(difference[:, i], 2 - difference[:, i])
    return dict(zip(env.layout.names, difference.max(0), strict=True))


def compare(family, action, task, steps=None, ours=None, theirs=None):
    """(errors per quantity, largest reward error) of one id."""
    steps = steps or (UNSTABLE_STEPS if family == "EESM" else STEPS)
    gem = make_gem(family, action, task, **(theirs or {}))
    recording = record(gem, random_actions(gem, family, steps))
    env = make_motor(family, action, task, compat="gem", watched=(), solver="tsit5", substeps=4, **(ours or {}))
    states, rewards = play(env, recording)
    return errors(env, states, recording.states), np.abs(rewards - recording.rewards).max()


@pytest.mark.parametrize("family, action, task", motor_ids())
def test_every_id_follows_the_original(family, action, task):
    found, reward = compare(family, action, task)
    tolerance = UNSTABLE_TOLERANCE if family == "EESM" else TOLERANCE
    assert max(found.values()) <= tolerance, found
    assert reward <= tolerance
