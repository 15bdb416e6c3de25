"""Quality "random": actions drawn evenly from the action box, on the device for our environments, else on the host."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces

from ...envs import registration
from ..errors import UsageError, problem
from .about import about_env
from .device_episodes import device_episodes, episode_seed
from .episodes import Episode
from .requests import Recipe, Request
from .scores import own_reference

ALGORITHM = "actions drawn evenly from the action space"


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A behaviour without memory or eyes."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, space: Any, env_id: str) -> "Uniform":
        """Of a bounded Box.

        Raises:
          UsageError: another space.
        """
        if not isinstance(space, spaces.Box) or not space.is_bounded() or space.dtype.kind != "f":
            raise UsageError(
                problem("environment without bounded continuous actions", env_id, space, "a bounded Box"), key="--env"
            )
        return cls(tuple(map(float, space.low.ravel())), tuple(map(float, space.high.ravel())), space.shape)

    def start(self, key: jax.Array) -> tuple[()]:
        return ()

    def act(self, key: jax.Array, memory: tuple[()], obs: Any) -> tuple[tuple[()], jax.Array]:
        low, high = (np.array(bound, np.float32).reshape(self.shape) for bound in (self.low, self.high))
        return memory, jax.random.uniform(key, self.shape, minval=low, maxval=high)


def generate(request: Request) -> Recipe:
    """Random episodes of any id."""
    refs = own_reference(request.env_id) or (None, None)
    about = about_env(
        request.env_id,
        algorithm_name=ALGORITHM,
        description=f"Episodes of {request.env_id} with random actions.",
        ref_min_score=refs[0],
        ref_max_score=refs[1],
    )
    uniform = Uniform.of(about.action_space, request.env_id)
    if any(entry.id == request.env_id for entry in registration.ENVIRONMENTS):
        env = registration.make_functional(request.env_id)
        return Recipe(about, device_episodes(env, uniform, request.seed, request.tasks))
    if request.tasks != "default":
        expected = "default: an environment of others has no task space"
        raise UsageError(problem("bad value", "--tasks", request.tasks, expected), key="--tasks")
    return Recipe(about, host_episodes(request.env_id, request.seed))


def host_episodes(env_id: str, seed: int) -> Iterator[Episode]:
    """Episodes 0, 1, 2, ... of a Gymnasium id without end, by evenly drawn actions, each with a seed of its own."""
    env = gymnasium.make(env_id)
    try:
        for number in itertools.count():
            yield _host_episode(env, episode_seed(seed, number))
    finally:
        env.close()


def _host_episode(env: Any, seed: int) -> Episode:
    space, draws = env.action_space, np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    observations, actions, rewards, successes = [obs], [], [], [False]
    terminated = truncated = False
    while not (terminated or truncated):
        action = draws.uniform(space.low, space.high).astype(space.dtype)
        obs, reward, terminated, truncated, info = env.step(action)
        observations.append(obs)
        actions.append(action)
        rewards.append(float(reward))
        told = info.get("success", info.get("is_success"))
        successes.append(bool(told))
    infos = None if told is None else {"success": np.array(successes)}
    return Episode(
        observations=jax.tree.map(lambda *rows: np.stack(rows), *observations),
        actions=np.stack(actions),
        rewards=np.array(rewards),
        terminated=bool(terminated),
        truncated=not terminated,
        seed=seed,
        infos=infos,
    )
