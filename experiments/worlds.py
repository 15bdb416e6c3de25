"""Gymnasium environments at work, brought to where a state says they are.

Letters: W environments (of all seeds), each with the running episode that a `Tape` tells.
"""

import dataclasses
from typing import Any

import gymnasium
import jax
import numpy as np

from ..agents.off_policy.outside import Seen
from .foreign import ForeignEnv, episode_seed, succeeded


@dataclasses.dataclass(frozen=True)
class Finished:
    """An episode that has ended."""

    world: int
    return_: float
    length: int
    success: bool


class Worlds:
    """W environments, stepped one after another.

    Args:
      env: makes them.
      seeds: (W,) of all their episodes.
      episodes: (W,) numbers of the running ones.
    """

    def __init__(self, env: ForeignEnv, seeds: np.ndarray, episodes: np.ndarray):
        self._env, self._seeds, self._episodes = env, seeds.tolist(), episodes.tolist()
        self._worlds: list[gymnasium.Env] = [env.make() for _ in self._seeds]
        self._returns, self._lengths = [0.0] * len(self._worlds), [0] * len(self._worlds)
        self.obs = [self._reset(i) for i in range(len(self._worlds))]

    def __len__(self) -> int:
        return len(self._worlds)

    def replay(self, index: int, actions: np.ndarray) -> bool:
        """Repeats the running episode's steps. False, and a fresh start of it, where it ends sooner than it did."""
        for action in actions:
            self.obs[index], ended, _ = self._step(index, action)
            if ended:
                return False
        return True

    def skip(self, index: int) -> None:
        """Goes on to the next episode."""
        self._episodes[index] += 1
        self.obs[index] = self._reset(index)

    def step(self, actions: np.ndarray) -> tuple[Seen, list[Finished]]:
        """One step of every environment with actions (W, *shape); those whose episode ends begin the next one."""
        finished, rows = [], []
        for i, action in enumerate(actions):
            next_obs, ended, row = self._step(i, action)
            self.obs[i] = next_obs
            if ended:
                finished.append(Finished(i, self._returns[i], self._lengths[i], succeeded(row[-1])))
                self.skip(i)
            rows.append((*row[:-1], next_obs))
        rewards, terminated, truncated, next_obs = zip(*rows, strict=True)
        seen = Seen(
            reward=np.array(rewards, np.float32),  # type: ignore[arg-type]
            terminated=np.array(terminated, bool),  # type: ignore[arg-type]
            truncated=np.array(truncated, bool),  # type: ignore[arg-type]
            next_obs=stack(next_obs),
            obs=stack(self.obs),
        )
        return seen, finished

    def close(self) -> None:
        for world in self._worlds:
            world.close()

    def _reset(self, index: int) -> Any:
        self._returns[index], self._lengths[index] = 0.0, 0
        return self._worlds[index].reset(seed=episode_seed(self._seeds[index], self._episodes[index]))[0]

    def _step(self, index: int, action: np.ndarray) -> tuple[Any, bool, tuple[float, bool, bool, Any]]:
        obs, reward, terminated, truncated, info = self._worlds[index].step(action.astype(self._env.action_space.dtype))
        self._returns[index] += float(reward)
        self._lengths[index] += 1
        return obs, bool(terminated or truncated), (float(reward), bool(terminated), bool(truncated), info)


def stack(observations: Any) -> Any:
    """Observations of several environments as arrays with a leading axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *observations)


def worlds_of(env: ForeignEnv, tape: Any) -> tuple[Worlds, list[int]]:
    """Environments at the point that a tape with leading axis W tells.

    Returns:
      (environments, those that could not be brought there: they stand at the start of their next episode).
    """
    tape = jax.tree.map(np.asarray, tape)
    worlds, lost = Worlds(env, tape.seed, tape.episode), []
    for i, length in enumerate(tape.length):
        if not worlds.replay(i, tape.actions[i, :length]):
            worlds.skip(i)
            lost.append(i)
    return worlds, lost
