"""Ours in its gem form beside gym-electric-motor: same start, same actions, same references.

Letters: T steps, S measured quantities, C limits.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.envs.motors.build import make_motor

from .gem_capture import STEPS, UNSTABLE_STEPS, inner, make_gem, random_actions, record

TOLERANCE = 1e-8

# tsit5 steps per control period. Static friction has a kink at the speed where it begins to slip, so integration across
# it is of second order only; the light reluctance machine passes it most often.
SUBSTEPS = {"": 4, "SC": 512, "Cont-SC-SynRM": 4096}


def substeps(family, action, task):
    """tsit5 steps per control period that an id needs."""
    return SUBSTEPS.get(f"{action}-{task}-{family}", SUBSTEPS.get(task, SUBSTEPS[""]))


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


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Ours and theirs of one episode: states (T + 1, S), rewards (T,), terminated (T,)."""

    names: tuple[str, ...]
    ours: np.ndarray
    theirs: np.ndarray
    rewards: np.ndarray
    their_rewards: np.ndarray
    degrees: np.ndarray  # (T, C + 1)
    terminated: np.ndarray

    @property
    def errors(self):
        """Largest difference of every measured quantity; angles modulo a turn."""
        difference = np.abs(self.ours - self.theirs)
        for i, name in enumerate(self.names):
            if name in ("epsilon", "psi_angle"):
                difference[:, i] = np.minimum(difference[:, i], 2 - difference[:, i])
        return dict(zip(self.names, difference.max(0), strict=True))

    @property
    def reward_error(self):
        return np.abs(self.rewards - self.their_rewards).max()

    def assert_equal(self, tolerance=TOLERANCE):
        assert max(self.errors.values()) <= tolerance, self.errors
        assert self.reward_error <= tolerance


def compare(family, action, task, ours=None, theirs=None, steps=None, share=0.6, hold=1, dq=False):
    """One episode of an id with options, in both simulators; `share` and `hold` as in `random_actions`."""
    steps = steps or (UNSTABLE_STEPS if family == "EESM" else STEPS)
    gem = make_gem(family, action, task, **(theirs or {}))
    if dq:  # its environments cannot pass the argument on
        inner(gem).control_space, gem.action_space = "dq", make_dq_space()
    recording = record(gem, random_actions(gem, family, steps, share, hold))
    ours = {"watched": (), "substeps": substeps(family, action, task)} | (ours or {})
    env = make_motor(family, action, task, compat="gem", solver="tsit5", **ours)
    params = exact_params(env)
    start = env.initial(jax.random.key(0), params)
    actions = jnp.asarray(recording.actions)
    if np.issubdtype(recording.actions.dtype, np.integer):
        actions = actions.astype(jnp.int32)
    states, rewards, degrees = player(env)(params, start, actions, jnp.asarray(recording.references[:-1]))
    assert env.layout.names == recording.names
    return Comparison(
        names=recording.names,
        ours=np.concatenate([start.measured[None], states]),
        theirs=recording.states,
        rewards=np.asarray(rewards),
        their_rewards=recording.rewards,
        degrees=np.asarray(degrees),
        terminated=recording.terminated,
    )


def make_dq_space():
    from gymnasium.spaces import Box

    return Box(-1.0, 1.0, (2,), np.float64)


def bridge(ps, action, name, **kwargs):
    return getattr(ps, f"{action}{name}Converter")(**kwargs)


def both(ps, action, first, second, **kwargs):
    parts = [getattr(ps, f"{action}{name}Converter") for name in (first, second)]
    return getattr(ps, f"{action}MultiConverter")(parts, **kwargs)


B6, QC4, QC2, QC1 = "B6Bridge", "FourQuadrant", "TwoQuadrant", "OneQuadrant"
