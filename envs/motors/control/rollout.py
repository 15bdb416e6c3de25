"""A controller at work on its drive: transitions, and how well it follows.

Letters: T time, O observation, A action entries, R references.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ... import stepping
from ..env import Motor
from .controller import Controller


class Rollout(struct.PyTreeNode):
    """Transitions in the order of time; leading axis T in every leaf."""

    obs: Any  # (T, O)
    action: jax.Array  # (T, A)
    reward: jax.Array  # (T,)
    next_obs: Any  # (T, O), the true last observation where an episode ends
    terminated: jax.Array  # (T,) bool
    truncated: jax.Array  # (T,) bool
    end_reason: jax.Array  # (T,) int32 into the environment's `end_reasons`, meaningful where terminated
    error: jax.Array  # (T, R) referenced quantity after the step minus its reference before, shares of the limit


@partial(jax.jit, static_argnames=("env", "controller", "steps"))
def rollout(
    env: Motor, controller: Any, key: jax.Array, steps: int, task: jax.Array | None = None, memory: Any = None
) -> Rollout:
    """Runs a controller; an episode that ends is followed by a new one on the same task.

    Args:
      env: functional environment.
      controller: of `make_controller`, or anything hashable with its `init` and `act`.
      key: consumed.
      steps: T.
      task: (D,) of `env.task_space`; the default if None.
      memory: the controller's state at every start instead of `controller.init`; a learned policy's parameters, say.
    """
    params = env.default_params if task is None else env.task_params(task)
    key_start, key_run = jax.random.split(key)
    episode, obs = stepping.reset(env, key_start, params)
    fresh = controller.init(episode.env.omega.dtype) if memory is None else memory

    def step(carry: Any, key_step: jax.Array) -> tuple[Any, Rollout]:
        episode, obs, state = carry
        key_move, key_reset = jax.random.split(key_step)
        state, action = controller.act(state, obs)
        moved, timestep = stepping.step(env, key_move, episode, action, params)
        transition = Rollout(
            obs=obs,
            action=action,
            reward=timestep.reward,
            next_obs=timestep.obs,
            terminated=timestep.terminated,
            truncated=timestep.truncated,
            end_reason=timestep.end_reason,
            error=_error(env, episode.env, moved.env),
        )
        started = (*stepping.reset(env, key_reset, params), fresh)
        following = jax.tree.map(
            lambda new, old: jnp.where(timestep.ended, new, old), started, (moved, timestep.obs, state)
        )
        return following, transition

    return jax.lax.scan(step, (episode, obs, fresh), jax.random.split(key_run, steps))[1]


def _error(env: Motor, before: Any, after: Any) -> jax.Array:
    """(R,)"""
    indices = jnp.asarray(env.reward_terms.indices)
    return after.measured[indices] - before.references.shown[0]


class Score(struct.PyTreeNode):
    """How well a controller follows; ()."""

    mean_error: jax.Array  # mean |e|, shares of the limits
    terminations: jax.Array  # int32


def score(run: Rollout) -> Score:
    """Of a rollout, with or without batch axes."""
    return Score(mean_error=jnp.mean(jnp.abs(run.error)), terminations=jnp.sum(run.terminated, dtype=jnp.int32))


@partial(jax.jit, static_argnames=("env", "controller", "steps", "seeds"))
def mean_error(
    env: Motor,
    controller: Controller,
    key: jax.Array,
    steps: int = 2000,
    seeds: int = 20,
    task: jax.Array | None = None,
) -> Score:
    """The score over several seeds at once. `key` is consumed."""
    runs = jax.vmap(lambda k: rollout(env, controller, k, steps, task))(jax.random.split(key, seeds))
    return score(runs)
