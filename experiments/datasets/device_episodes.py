"""Whole episodes of an environment of ours, many at a time on the device.

Episode `i` has a seed of its own and starts and moves as the Gymnasium door does under that seed: neither the number
of lanes nor the order in which episodes end changes what is in it. Episodes come in the order of their numbers, because
the order of their ends would favor short ones.

Letters: B lanes, C steps of a round, D task parameters.
"""

import dataclasses
import functools
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ...envs import seats, stepping
from ...envs.compilation import compile_for
from ...envs.contract import TaskEnv
from ...envs.exchange import clip_action
from ...envs.tasks import TaskSpace
from .behaviours import Behaviour, put_together, take_apart
from .episodes import Episode

LANES = 64
ROUND = 256  # C
ACTOR_STREAM, TASK_STREAM = 2, 4  # component numbers under an episode's seed, beside those of `envs/seats.py`

Tasks = Literal["default", "space"]


class Lane(struct.PyTreeNode):
    """An episode at work; leading axis B in every leaf."""

    setting: seats.Setting
    episode: stepping.EpisodeState
    obs: Any
    task: Any
    memory: Any
    key: jax.Array
    running: jax.Array  # () bool


class Row(struct.PyTreeNode):
    """One step; leading axes (C, B)."""

    obs: Any  # after the step
    action: Any
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    success: jax.Array


def episode_seed(seed: int, number: int | np.integer[Any]) -> int:
    """The 31-bit seed of an episode."""
    return int(np.random.SeedSequence((seed, int(number))).generate_state(1)[0] >> 1)


def device_episodes(
    env: TaskEnv, behaviour: Behaviour, seed: int, tasks: Tasks = "default", lanes: int = LANES
) -> Iterator[Episode]:
    """Episodes 0, 1, 2, ... without end.

    Args:
      tasks: "default", or "space" for a task per episode, drawn evenly from the task space.
      lanes: B.
    """
    compiled_for, arrays = take_apart(behaviour)
    begin, advance = (partial(program, arrays) for program in _programs(env, compiled_for, tasks))
    numbers = np.arange(lanes)
    seeds = np.array([episode_seed(seed, number) for number in numbers], np.uint32)
    state = begin(seeds)
    desks = [_Desk.of(env, int(seeds[lane]), _row((state.obs, state.task), lane)) for lane in range(lanes)]
    finished: dict[int, Episode] = {}
    due = 0
    while True:
        state, rows, steps = advance(state)
        rows, steps = jax.device_get(rows), int(steps)
        ended = [desk.take(rows, steps, lane) for lane, desk in enumerate(desks)]
        for lane in np.flatnonzero(ended):
            finished[int(numbers[lane])] = desks[lane].episode()
        while due in finished:
            yield finished.pop(due)
            due += 1
        numbers = np.where(ended, numbers.max() + np.cumsum(ended), numbers)
        seeds = np.array([episode_seed(seed, number) for number in numbers], np.uint32)
        state, shown = _refill(np.array(ended), state, begin(seeds))
        shown = jax.device_get(shown)
        for lane in np.flatnonzero(ended):
            desks[lane] = _Desk.of(env, int(seeds[lane]), _row(shown, lane))


@dataclasses.dataclass
class _Desk:
    """Where the parts of a lane's episode gather."""

    env: TaskEnv
    seed: int
    task: Any
    parts: list[Row]
    first: Any

    @classmethod
    def of(cls, env: TaskEnv, seed: int, start: tuple[Any, Any]) -> "_Desk":
        first, task = jax.tree.map(np.asarray, start)
        return cls(env, seed, task, [], first)

    def take(self, rows: Row, steps: int, lane: int) -> bool:
        """Adds a lane's steps up to the episode's end, if there is one; says whether there is."""
        ends = np.flatnonzero((rows.terminated | rows.truncated)[:steps, lane])
        count = int(ends[0]) + 1 if len(ends) else steps
        self.parts.append(jax.tree.map(lambda x: np.array(x[:count, lane]), rows))
        return bool(len(ends))

    def episode(self) -> Episode:
        """The episode; both ends at once count as the task's own."""
        whole: Row = jax.tree.map(lambda *parts: np.concatenate(parts), *self.parts)
        rows = len(whole.reward) + 1
        infos: dict[str, np.ndarray] = {}
        options = None
        if isinstance(self.env.task_space, TaskSpace):
            infos["env_params"] = np.tile(self.task, (rows, 1))
            options = {"task": self.task.tolist()}
        if knows_success(self.env):
            infos["success"] = np.concatenate([[False], whole.success])
        terminated = bool(whole.terminated[-1])
        return Episode(
            observations=jax.tree.map(lambda a, b: np.concatenate([a[None], b]), self.first, whole.obs),
            actions=whole.action,
            rewards=np.asarray(whole.reward),
            terminated=terminated,
            truncated=not terminated,
            seed=self.seed,
            infos=infos or None,
            options=options,
        )


def knows_success(env: TaskEnv) -> bool:
    """Whether the family says when a task counts as solved."""
    return type(env).success is not TaskEnv.success or env.success_return is not None


@functools.lru_cache(maxsize=8)
def _programs(env: TaskEnv, compiled_for: Any, tasks: Tasks) -> tuple[Any, Any]:
    """Compiled `_begin` and `_advance`, which take the behaviour's arrays first."""

    def begin(arrays: Any, seeds: jax.Array) -> Lane:
        return _begin(env, put_together(compiled_for, arrays), tasks, seeds)

    def advance(arrays: Any, lanes: Lane) -> tuple[Lane, Row, jax.Array]:
        return _advance(env, put_together(compiled_for, arrays), lanes)

    return compile_for(env, begin), compile_for(env, advance)


def _begin(env: TaskEnv, behaviour: Behaviour, tasks: Tasks, seeds: jax.Array) -> Lane:
    def one(seed: jax.Array) -> Lane:
        key = jax.random.key(seed)
        task = jax.tree.map(jnp.asarray, env.task_space.default)
        if tasks == "space":
            task = env.task_space.sample(jax.random.fold_in(key, TASK_STREAM))
        first = jnp.zeros((), jnp.uint32)
        setting, episode, obs, _ = seats.start(env, seats.environment_key(key, first), first, task)
        key_actor, key_memory = jax.random.split(jax.random.fold_in(key, ACTOR_STREAM))
        memory = behaviour.start(key_memory)
        return Lane(setting, episode, obs, task, memory, key_actor, jnp.ones((), bool))

    return jax.vmap(one)(seeds)


def _advance(env: TaskEnv, behaviour: Behaviour, lanes: Lane) -> tuple[Lane, Row, jax.Array]:
    """Steps until half of the lanes have ended or C steps are taken; what ended lanes do then does not count."""

    def move(lane: Lane) -> tuple[Lane, Row]:
        key = jax.random.fold_in(lane.key, lane.episode.steps)
        memory, action = behaviour.act(key, lane.memory, lane.obs)
        action = clip_action(env.action_space, action)
        episode, obs, report, _ = seats.move(env, lane.setting, lane.episode, action)
        running = lane.running & ~(report.terminated | report.truncated)
        row = Row(obs, action, report.reward, report.terminated, report.truncated, report.success)
        return lane.replace(episode=episode, obs=obs, memory=memory, running=running), row

    def unfinished(carry: tuple[jax.Array, Lane, Row]) -> jax.Array:
        steps, lanes, _ = carry
        return (steps < ROUND) & (2 * jnp.sum(lanes.running, dtype=jnp.int32) > lanes.running.shape[0])

    def step(carry: tuple[jax.Array, Lane, Row]) -> tuple[jax.Array, Lane, Row]:
        steps, lanes, rows = carry
        lanes, row = jax.vmap(move)(lanes)
        rows = jax.tree.map(lambda all, one: jax.lax.dynamic_update_index_in_dim(all, one, steps, 0), rows, row)
        return steps + 1, lanes, rows

    shapes = jax.eval_shape(jax.vmap(move), lanes)[1]
    rows = jax.tree.map(lambda x: jnp.zeros((ROUND, *x.shape), x.dtype), shapes)
    steps, lanes, rows = jax.lax.while_loop(unfinished, step, (jnp.zeros((), jnp.int32), lanes, rows))
    return lanes, rows, steps


@jax.jit
def _refill(ended: jax.Array, lanes: Lane, fresh: Lane) -> tuple[Lane, tuple[Any, Any]]:
    """Ended lanes start anew. Returns (lanes, (observation, task) of each)."""

    def select(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(ended.reshape(ended.shape + (1,) * (old.ndim - 1)), new, old)

    lanes = jax.tree.map(select, fresh, lanes)
    return lanes, (lanes.obs, lanes.task)


def _row(tree: Any, index: int | np.integer[Any]) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[index], tree)
