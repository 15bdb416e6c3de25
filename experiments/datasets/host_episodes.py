"""Whole episodes of environments that the host steps: several side by side, so that one compiled call acts for all.

Episode `i` has a seed of its own, as on the device: the number of lanes does not change what is in it.

Letters: B lanes.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..foreign import ForeignEnv
from ..worlds import stack
from .behaviours import Behaviour, put_together, take_apart
from .device_episodes import ACTOR_STREAM, episode_seed
from .episodes import Episode

LANES = 8


def host_episodes(env: ForeignEnv, behaviour: Behaviour, seed: int, lanes: int = LANES) -> Iterator[Episode]:
    """Episodes 0, 1, 2, ... without end.

    Args:
      lanes: B.
    """
    compiled_for, arrays = take_apart(behaviour)
    act = _program(compiled_for)
    worlds: list[_World] = []
    finished: dict[int, Episode] = {}
    due, memory = 0, None
    try:
        for number in range(lanes):
            worlds.append(_World(env, seed, number))
        begun = lanes
        while True:
            seeds, steps = np.array([[w.seed, len(w.rewards)] for w in worlds], np.uint32).T
            memory, actions = act(arrays, seeds, steps, memory, stack([w.observations[-1] for w in worlds]))
            for world, action in zip(worlds, np.asarray(actions), strict=True):
                if world.step(action):
                    finished[world.number] = world.episode()
                    world.begin(seed, begun)
                    begun += 1
            while due in finished:
                yield finished.pop(due)
                due += 1
    finally:
        for world in worlds:
            world.env.close()


class _World:
    """An environment and its episode so far."""

    def __init__(self, env: ForeignEnv, seed: int, number: int):
        self.env, self.space = env.make(), env.action_space
        self.begin(seed, number)

    def begin(self, seed: int, number: int) -> None:
        self.number, self.seed = number, episode_seed(seed, number)
        obs, _ = self.env.reset(seed=self.seed)
        self.observations, self.actions = [_copied(obs)], list[np.ndarray]()
        self.rewards, self.successes = list[float](), [False]
        self.terminated = self.tells_success = False

    def step(self, action: np.ndarray) -> bool:
        """Whether the episode has ended."""
        action = np.clip(action.astype(self.space.dtype), self.space.low, self.space.high)  # type: ignore[attr-defined]
        obs, reward, terminated, truncated, info = self.env.step(action)
        told = info.get("success", info.get("is_success"))
        self.observations.append(_copied(obs))
        self.actions.append(action)
        self.rewards.append(float(reward))
        self.successes.append(bool(told))
        self.terminated, self.tells_success = bool(terminated), told is not None
        return bool(terminated or truncated)

    def episode(self) -> Episode:
        """The episode; both ends at once count as the task's own."""
        return Episode(
            observations=jax.tree.map(lambda *rows: np.stack(rows), *self.observations),
            actions=np.stack(self.actions),
            rewards=np.array(self.rewards),
            terminated=self.terminated,
            truncated=not self.terminated,
            seed=self.seed,
            infos={"success": np.array(self.successes)} if self.tells_success else None,
        )


def _copied(obs: Any) -> Any:
    """Some environments go on writing into the arrays they have shown."""
    return jax.tree.map(np.array, obs)


@functools.lru_cache(maxsize=8)
def _program(compiled_for: Any) -> Any:
    """(arrays, seeds (B,), steps (B,), memory or None, observations) -> (memory, actions (B, ...))."""

    def one(behaviour: Behaviour, seed: jax.Array, step: jax.Array, memory: Any, obs: Any) -> tuple[Any, Any]:
        key_actor, key_memory = jax.random.split(jax.random.fold_in(jax.random.key(seed), ACTOR_STREAM))
        fresh = behaviour.start(key_memory)
        memory = fresh if memory is None else jax.tree.map(lambda a, b: jnp.where(step == 0, a, b), fresh, memory)
        return behaviour.act(jax.random.fold_in(key_actor, step), memory, obs)

    @jax.jit
    def act(arrays: Any, seeds: jax.Array, steps: jax.Array, memory: Any, obs: Any) -> tuple[Any, Any]:
        behaviour = put_together(compiled_for, arrays)
        return jax.vmap(functools.partial(one, behaviour))(seeds, steps, memory, obs)

    return act
