"""From one transition to episodes: clock, truncation, and auto-reset to the next task.

`reset` and `step` add the clock to the functional verbs. `Lane` is an environment at work on a task; `advance` steps
it and, when its episode ends, moves it to a *prepared* start. Starts are prepared in bulk (`prepare`), because making
an episode (level generation, settling physics) can cost as much as stepping it: a training loop prepares one per lane
every so many steps, and a lane that ends more than once before the next `prepare` replays its start.

Letters: B lanes, D task parameters.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.custom_batching import custom_vmap

from .contract import TaskEnv

NARROW = 150  # numbers in a row; those of grids at the default window are wider


class EpisodeState(struct.PyTreeNode):
    """A family's state with the clock beside it."""

    env: Any
    steps: jax.Array  # () int32, steps taken in this episode
    return_: jax.Array  # () float32, undiscounted sum of rewards so far


class Timestep(struct.PyTreeNode):
    """What one step says. `obs` is the observation after the step, also when the episode ends with it."""

    obs: Any
    reward: jax.Array  # () float32
    terminated: jax.Array  # () bool, the task's own end
    truncated: jax.Array  # () bool, the clock's
    success: jax.Array  # () bool, meaningful at the end of an episode
    end_reason: jax.Array  # () int32 into the family's `end_reasons`, meaningful where terminated
    info: dict[str, jax.Array]

    @property
    def ended(self) -> jax.Array:
        """() bool: terminated or truncated."""
        return self.terminated | self.truncated


def reset(env: TaskEnv, key: jax.Array, params: Any = None) -> tuple[EpisodeState, Any]:
    """Starts an episode. `key` is consumed. Returns (state, obs)."""
    params = env.default_params if params is None else params
    key_initial, key_observation = jax.random.split(key)
    state = env.initial(key_initial, params)
    obs = env.observation(state, key_observation, params)
    return EpisodeState(env=state, steps=jnp.zeros((), jnp.int32), return_=jnp.zeros((), jnp.float32)), obs


def step(
    env: TaskEnv, key: jax.Array, state: EpisodeState, action: Any, params: Any = None
) -> tuple[EpisodeState, Timestep]:
    """Takes one step and never resets. `key` is consumed."""
    params = env.default_params if params is None else params
    key_transition, key_observation, key_reward, key_terminal = jax.random.split(key, 4)
    after = env.transition(state.env, action, key_transition, params)
    obs = env.observation(after, key_observation, params)
    reward = jnp.asarray(env.reward(state.env, action, after, key_reward, params), jnp.float32)
    terminated = jnp.asarray(env.terminal(after, key_terminal, params), bool)
    steps = state.steps + 1
    return_ = state.return_ + reward
    success = jnp.asarray(env.success(after, params), bool)
    if env.success_return is not None:
        success = success | (return_ > env.success_return)
    timestep = Timestep(
        obs=obs,
        reward=reward,
        terminated=terminated,
        truncated=steps >= env.time_limit(after, params),
        success=success,
        end_reason=env.end_reason(after, params),
        info=env.transition_info(state.env, action, after, params),
    )
    return EpisodeState(env=after, steps=steps, return_=return_), timestep


class Lane(struct.PyTreeNode):
    """An environment at work: the running episode, its latest observation and the task it was made from."""

    episode: EpisodeState
    obs: Any
    params: Any
    task: Any
    meta: Any  # what the teacher handed out with the task


class Ended(struct.PyTreeNode):
    """What a step tells about the episode it ended; meaningless where `valid` is False."""

    task: Any
    meta: Any
    return_: jax.Array
    length: jax.Array
    success: jax.Array
    valid: jax.Array


def begin(env: TaskEnv, key: jax.Array, task: Any, meta: Any = ()) -> Lane:
    """Makes the start of an episode on `task`. `key` is consumed."""
    params = env.task_params(task)
    episode, obs = reset(env, key, params)
    return Lane(episode=episode, obs=obs, params=params, task=task, meta=meta)


def prepare(env: TaskEnv, keys: jax.Array, tasks: Any, meta: Any = ()) -> Lane:
    """`begin` over B lanes: keys (B,), tasks and meta with leading axis B."""
    return jax.vmap(partial(begin, env))(keys, tasks, meta)


def advance(env: TaskEnv, keys: jax.Array, lanes: Lane, actions: Any, starts: Lane) -> tuple[Lane, Timestep, Ended]:
    """Steps B lanes; those whose episode ends continue from their row of `starts`.

    The returned `Timestep` keeps the true last observation of an ended episode, so that a truncated one can be
    bootstrapped; the lane's own `obs` is already the next episode's first.

    Args:
      keys: (B,) consumed.
      lanes, starts: leading axis B.
      actions: leading axis B.
    """
    episode, timestep = jax.vmap(partial(step, env))(keys, lanes.episode, actions, lanes.params)
    ended = Ended(
        task=lanes.task,
        meta=lanes.meta,
        return_=episode.return_,
        length=episode.steps,
        success=timestep.success,
        valid=timestep.ended,
    )
    stepped = lanes.replace(episode=episode, obs=timestep.obs)
    return replace_rows(timestep.ended, stepped, starts), timestep, ended


@jax.jit
def take_row(tree: Any, index: int) -> Any:
    """Row `index` of every leaf, by one program for all: outside of `jit`, each leaf would be one to compile."""
    return jax.tree.map(lambda x: x[index], tree)


def replace_rows(mask: jax.Array, old: Any, new: Any) -> Any:
    """Rows of `new` where `mask` (B,), else rows of `old`; leading axis B in every leaf.

    States can be thousands of numbers wide and few lanes end at a time, so on a CPU the rows are copied one by one,
    in place; an accelerator selects, because there bandwidth is cheap and loops are not. Narrow rows are selected
    everywhere: copying one costs a call per leaf.
    """
    if sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(old)) <= NARROW:
        return _select_rows(mask, old, new)
    return jax.lax.platform_dependent(mask, old, new, cpu=_copy_rows, default=_select_rows)


def _select_rows(mask: jax.Array, old: Any, new: Any) -> Any:
    def select(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (a.ndim - 1)), b, a)

    return jax.tree.map(select, old, new)


@custom_vmap
def _copy_rows(mask: jax.Array, old: Any, new: Any) -> Any:
    (rows,) = jnp.nonzero(mask, size=mask.shape[0], fill_value=0)

    def copy(i: jax.Array, state: Any) -> Any:
        row = rows[i]
        return jax.tree.map(
            lambda a, b: jax.lax.dynamic_update_index_in_dim(
                a, jax.lax.dynamic_index_in_dim(b, row, 0, keepdims=False), row, 0
            ),
            state,
            new,
        )

    return jax.lax.fori_loop(0, jnp.sum(mask, dtype=jnp.int32), copy, old)


@_copy_rows.def_vmap
def _copy_rows_vmap(axis_size: int, in_batched: list[Any], mask: jax.Array, old: Any, new: Any) -> tuple[Any, Any]:
    """Seeds become more rows: a batched loop condition would select the whole state in every round."""
    arrays = jax.tree.map(
        lambda x, is_batched: x if is_batched else jnp.broadcast_to(x, (axis_size, *x.shape)),
        (mask, old, new),
        tuple(in_batched),
    )
    flat = jax.tree.map(lambda x: x.reshape(axis_size * x.shape[1], *x.shape[2:]), arrays)
    copied = _copy_rows(*flat)
    out = jax.tree.map(lambda x: x.reshape(axis_size, x.shape[0] // axis_size, *x.shape[1:]), copied)
    return out, jax.tree.map(lambda _: True, out)
