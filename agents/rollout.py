"""Collecting experience on the device: B lanes, T steps, tasks from a teacher.

Letters: T time, B lanes on this device, O flat observation, D task parameters.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ..envs.contract import TaskEnv
from ..envs.stepping import Ended, Lane, advance, prepare, replace_rows
from ..envs.tasks import Outcome, TaskSource


class Rollout(struct.PyTreeNode):
    """Experience (T, B, ...); `obs` and `next_obs` are what the environment showed, neither flat nor normalised."""

    obs: Any
    action: jax.Array  # as the distribution drew it
    log_prob: jax.Array
    reward: jax.Array
    next_obs: Any  # the true observation after the step, also where the episode ended
    terminated: jax.Array
    truncated: jax.Array

    @property
    def ended(self) -> jax.Array:
        return self.terminated | self.truncated


def lane_indices(count: int, axis_name: str | None) -> jax.Array:
    """Global indices of this device's `count` lanes, so that randomness does not depend on how lanes are spread."""
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * count
    return first + jnp.arange(count, dtype=jnp.int32)


def lane_keys(key: jax.Array, lanes: jax.Array) -> jax.Array:
    """One key per lane (B,). `key` is consumed."""
    return jax.vmap(partial(jax.random.fold_in, key))(lanes)


def prepare_starts(
    env: TaskEnv,
    teacher: TaskSource,
    teacher_state: Any,
    key: jax.Array,
    lanes: jax.Array,
    num_lanes: int,
) -> tuple[Any, Lane]:
    """Asks the teacher for one task per lane and makes the start of an episode on each.

    Every device draws all `num_lanes` tasks, so that teachers stay replicated, and prepares its own.

    Args:
      key: consumed.
      lanes: (B,) global indices of this device's lanes.
      num_lanes: on all devices together.

    Returns:
      (teacher_state, starts) with B rows.
    """
    key_task, key_start = jax.random.split(key)
    teacher_state, tasks, meta = teacher.sample(teacher_state, key_task, num_lanes)
    own_tasks, own_meta = jax.tree.map(lambda x: x[lanes], (tasks, meta))
    return teacher_state, prepare(env, lane_keys(key_start, lanes), own_tasks, own_meta)


def vacant_lanes(env: TaskEnv, teacher: TaskSource, teacher_state: Any, num_lanes: int) -> Lane:
    """Lanes without an episode, which `occupy` gives one: a program that only makes these compiles soon."""

    def begun() -> Lane:
        everyone = jnp.arange(num_lanes, dtype=jnp.int32)
        return prepare_starts(env, teacher, teacher_state, jax.random.key(0), everyone, num_lanes)[1]

    lanes: Lane = jax.tree.map(jnp.zeros_like, jax.eval_shape(begun))
    return lanes.replace(episode=lanes.episode.replace(steps=lanes.episode.steps - 1))


def occupy(lanes: Lane, starts: Lane) -> Lane:
    """Moves vacant lanes to their row of `starts`."""
    return replace_rows(lanes.episode.steps < 0, lanes, starts)


def collect(
    env: TaskEnv,
    policy: Callable[[jax.Array, Any], tuple[jax.Array, jax.Array, Any]],
    key: jax.Array,
    lanes: Lane,
    starts: Lane,
    indices: jax.Array,
    length: int,
) -> tuple[Lane, Rollout, Ended]:
    """Steps every lane `length` times.

    Args:
      policy: (keys (B,), obs) -> (action drawn, its log-probability, action for the environment).
      key: consumed.
      lanes, starts: B rows; a lane that is vacant or whose episode ends continues from its row of `starts`.
      indices: (B,) global lane indices.

    Returns:
      (lanes, rollout (T, B, ...), ended (T, B, ...)).
    """

    def one_step(lanes: Lane, key: jax.Array) -> tuple[Lane, tuple[Rollout, Ended]]:
        key_act, key_step = jax.random.split(key)
        action, log_prob, env_action = policy(lane_keys(key_act, indices), lanes.obs)
        after, timestep, ended = advance(env, lane_keys(key_step, indices), lanes, env_action, starts)
        record = Rollout(
            obs=lanes.obs,
            action=action,
            log_prob=log_prob,
            reward=timestep.reward,
            next_obs=timestep.obs,
            terminated=timestep.terminated,
            truncated=timestep.truncated,
        )
        return after, (record, ended)

    lanes, (rollout, ended) = jax.lax.scan(one_step, occupy(lanes, starts), jax.random.split(key, length))
    return lanes, rollout, ended


def outcomes(ended: Ended, axis_name: str | None) -> Outcome:
    """Episodes that ended anywhere in the rollout, on all devices, as T * B rows in order of time then lane."""
    if axis_name is not None:
        ended = jax.tree.map(lambda x: jax.lax.all_gather(x, axis_name, axis=1, tiled=True), ended)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), ended)
    return Outcome(
        task=flat.task,
        return_=flat.return_,
        length=flat.length,
        success=flat.success.astype(jnp.float32),
        valid=flat.valid,
        meta=flat.meta,
    )


def episode_metrics(outcome: Outcome) -> dict[str, jax.Array]:
    """Sums over finished episodes; a host adds them up and divides."""

    def total(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(outcome.valid, x.astype(jnp.float32), 0.0))

    return {
        "rollout/episodes": jnp.sum(outcome.valid.astype(jnp.float32)),
        "rollout/return_sum": total(outcome.return_),
        "rollout/length_sum": total(outcome.length),
        "rollout/success_sum": total(outcome.success),
    }


def first_valid(outcome: Outcome, capacity: int) -> Outcome:
    """The first `capacity` valid rows, for a log; unused rows have `valid` False."""
    (rows,) = jnp.nonzero(outcome.valid, size=capacity, fill_value=0)
    count = jnp.sum(outcome.valid, dtype=jnp.int32)
    kept = jax.tree.map(lambda x: x[rows], outcome)
    return kept.replace(valid=jnp.arange(capacity) < count)
