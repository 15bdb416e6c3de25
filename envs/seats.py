"""One environment with its own stream of randomness: the pure programs behind the Gymnasium doors.

Every random draw of a door is a function of (seed, index of the environment, number of the episode, step), so what
environment i does depends neither on how many others stand beside it nor on when they reset. Programs are compiled
once per setting of a family and shared by all doors of the process.

Letters: B environments, K rows of a partial reset.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from . import stepping
from .compilation import compile_for
from .contract import TaskEnv
from .exchange import clip_action
from .packing import Packed, Packing

ENVIRONMENT_STREAM = 1  # component number of environments under one seed


class Setting(struct.PyTreeNode):
    """What stays the same through an episode; kept apart so that a step need not hand it back."""

    key: jax.Array  # () typed key of the episode; step t folds in t
    params: Any


class Report(struct.PyTreeNode):
    """What a step tells the host besides observation and info; all () float32, bool or small int32."""

    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    success: jax.Array
    end_reason: jax.Array


def seed_key(seed: int) -> jax.Array:
    """The stream of a non-negative seed of any size; `jax.random.key(seed)` for 32-bit seeds."""
    seed, low = divmod(seed, 2**32)
    key = jax.random.key(np.uint32(low))
    while seed:
        seed, low = divmod(seed, 2**32)
        key = jax.random.fold_in(key, np.uint32(low))
    return key


def environment_key(key: jax.Array, index: jax.Array) -> jax.Array:
    """The stream of environment `index` under a seed's stream."""
    return jax.random.fold_in(jax.random.fold_in(key, ENVIRONMENT_STREAM), index)


def start(
    env: TaskEnv, key: jax.Array, number: jax.Array, task: Any
) -> tuple[Setting, stepping.EpisodeState, Any, dict[str, Any]]:
    """Starts episode `number` of the environment whose stream is `key`. Returns (setting, episode, obs, info)."""
    key_reset, key_steps = jax.random.split(jax.random.fold_in(key, number))
    params = env.task_params(task)
    episode, obs = stepping.reset(env, key_reset, params)
    info = env.state_info(episode.env, params)
    setting, episode = _strong((Setting(key=key_steps, params=params), episode))
    return setting, episode, obs, info


def move(
    env: TaskEnv, setting: Setting, episode: stepping.EpisodeState, action: Any
) -> tuple[stepping.EpisodeState, Any, Report, dict[str, Any]]:
    """Takes one step and never resets; Box actions are clipped. Returns (episode, obs, report, info)."""
    key = jax.random.fold_in(setting.key, episode.steps)
    action = clip_action(env.action_space, action)
    episode, timestep = stepping.step(env, key, episode, action, setting.params)
    report = Report(timestep.reward, timestep.terminated, timestep.truncated, timestep.success, timestep.end_reason)
    return _strong(episode), timestep.obs, report, timestep.info


class SinglePrograms:
    """Compiled programs of one environment that hand over few arrays: each costs time, on an accelerator a transfer.

    Settings and episodes stay packed on the device; what the host is told comes as one packed array or two.
    """

    def __init__(self, env: TaskEnv):
        self._env = env
        self._packing: dict[str, Packing] = {}  # how the programs below pack, noted while they are traced
        self._start = compile_for(env, self._start_packed)
        self._move = compile_for(env, self._move_packed)
        self._unpack = jax.jit(self._unpacked)

    def start(self, key: jax.Array, index: Any, number: Any, task: Any) -> tuple[Packed, Packed, Any, dict[str, Any]]:
        """`start` of environment `index` under a seed's stream: (setting, episode, obs, info), the last two NumPy."""
        setting, episode, told = self._start(key, index, number, task)
        obs, info = self._read("start", told)
        return setting, episode, obs, info

    def move(self, setting: Packed, episode: Packed, action: Any) -> tuple[Packed, Any, Report, dict[str, Any]]:
        """`move`: (episode, obs, report, info), all but the first NumPy."""
        episode, told = self._move(setting, episode, action)
        return episode, *self._read("move", told)

    def unpack(self, setting: Packed, episode: Packed) -> tuple[Setting, stepping.EpisodeState]:
        """Both as structs."""
        return self._unpack(setting, episode)

    def _read(self, name: str, told: Packed) -> Any:
        return self._packing[name].unpack({dtype: np.asarray(array) for dtype, array in told.items()})

    def _pack(self, name: str, tree: Any) -> Packed:
        return self._packing.setdefault(name, Packing.of(tree)).pack(tree)

    def _start_packed(self, key: jax.Array, index: jax.Array, number: jax.Array, task: Any) -> Any:
        setting, episode, obs, info = start(self._env, environment_key(key, index), number, task)
        return self._pack("setting", setting), self._pack("episode", episode), self._pack("start", (obs, info))

    def _move_packed(self, setting: Packed, episode: Packed, action: Any) -> Any:
        now = self._unpacked(setting, episode)
        after, obs, report, info = move(self._env, *now, action)
        report = report.replace(end_reason=jnp.asarray(report.end_reason, jnp.float32))  # goes with the rest
        return self._pack("episode", after), self._pack("move", (obs, report, info))

    def _unpacked(self, setting: Packed, episode: Packed) -> tuple[Setting, stepping.EpisodeState]:
        if "setting" not in self._packing:  # an episode that was begun elsewhere and came here pickled
            jax.eval_shape(
                self._start_packed, jax.random.key(0), np.int32(0), np.uint32(0), self._env.task_space.default
            )
        return self._packing["setting"].unpack(setting), self._packing["episode"].unpack(episode)


@functools.cache
def single_programs(env: TaskEnv) -> SinglePrograms:
    """The programs all single doors with this setting share."""
    return SinglePrograms(env)


@dataclasses.dataclass(frozen=True)
class VectorPrograms:
    """Compiled programs of B environments.

    Attributes:
      keys: (key, B) -> key data (B, words) of the environments' streams, for the host to keep.
      start: (key data (K, words), numbers (K,), tasks (K, ...)) -> (settings, episodes, obs, info) of K rows.
      place: (tree (B,), rows (K,), fresh (K,)) -> tree; rows outside the batch are dropped. Consumes `tree`.
      move: (settings, episodes, actions) -> (episodes, obs, report, info). Consumes `episodes`.
    """

    keys: Callable[..., Any]
    start: Callable[..., Any]
    place: Callable[..., Any]
    move: Callable[..., Any]


@functools.cache
def vector_programs(env: TaskEnv) -> VectorPrograms:
    """The programs all vector doors with this setting share; donated states are updated in place."""

    def start_row(words: jax.Array, number: jax.Array, task: Any) -> Any:
        return start(env, jax.random.wrap_key_data(words), number, task)

    return VectorPrograms(
        keys=_environment_keys,
        start=compile_for(env, jax.vmap(start_row)),
        place=_place,
        move=compile_for(env, jax.vmap(functools.partial(move, env)), donate_argnums=1),
    )


@functools.partial(jax.jit, static_argnums=1)
def _environment_keys(key: jax.Array, num_envs: int) -> jax.Array:
    keys = jax.vmap(environment_key, (None, 0))(key, jnp.arange(num_envs, dtype=jnp.int32))
    return jax.random.key_data(keys)


@functools.partial(jax.jit, donate_argnums=0)
def _place(tree: Any, rows: jax.Array, fresh: Any) -> Any:
    return jax.tree.map(lambda old, new: old.at[rows].set(new, mode="drop"), tree, fresh)


def _strong(tree: Any) -> Any:
    """Python numbers and weakly typed arrays as plain arrays, so that start and step share one compilation."""

    def strengthen(x: Any) -> jax.Array:
        x = jnp.asarray(x)
        return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else jax.lax.convert_element_type(x, x.dtype)

    return jax.tree.map(strengthen, tree)
