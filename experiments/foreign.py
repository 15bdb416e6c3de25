"""Gymnasium environments that are not ours, as what an off-policy agent learns in."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import Space

from ..envs.tasks import TaskSpace
from .errors import UsageError, problem


@dataclasses.dataclass(frozen=True)
class ForeignEnv:
    """A Gymnasium id with its arguments; two that are equal make the same environments.

    Attributes:
      id: of Gymnasium's registry; "module:id" imports the module first.
      arguments: of the environment's constructor, sorted by name.
    """

    id: str
    arguments: tuple[tuple[str, Any], ...] = ()

    task_space: ClassVar[TaskSpace] = TaskSpace(())
    compiler_options: ClassVar[dict[str, Any]] = {}

    @functools.cached_property
    def _sample(self) -> gymnasium.Env:
        return self.make()

    def make(self, **extra: Any) -> gymnasium.Env:
        """A fresh environment.

        Raises:
          UsageError: no such id, or arguments that it does not take.
        """
        try:
            return gymnasium.make(self.id, **dict(self.arguments), **extra)
        except Exception as error:  # constructors of others may fail in any way
            raise UsageError(
                f"environment {self.id}: {type(error).__name__}: {error}",
                hint="See `palaestra check-env`.",
                key="--env",
            ) from error

    @property
    def observation_space(self) -> Space:
        return self._sample.observation_space

    @property
    def action_space(self) -> Space:
        return self._sample.action_space

    @property
    def horizon(self) -> int:
        """Steps until truncation.

        Raises:
          UsageError: an environment whose episodes may go on for ever.
        """
        spec = self._sample.spec
        limit = None if spec is None else spec.max_episode_steps
        if limit is None:
            raise UsageError(
                problem("no time limit", f"environment {self.id}", None, "one"),
                hint="Give --env-kwargs max_episode_steps=N.",
                key="--env",
            )
        return int(limit)

    @property
    def render_fps(self) -> int:
        return int(self._sample.metadata.get("render_fps", 30))


def foreign(id: str, kwargs: Mapping[str, Any]) -> ForeignEnv:
    """The environment of a Gymnasium id."""
    return ForeignEnv(id, tuple(sorted(kwargs.items())))


def is_foreign(id: str) -> bool:
    """Whether Gymnasium knows this id and it is not one of ours."""
    if id.startswith("palaestra/"):
        return False
    if ":" in id:
        return True
    return id in gymnasium.registry or (register_robotics() and id in gymnasium.registry)


def register_robotics() -> bool:
    """Imports gymnasium-robotics, whose ids are known only then. Returns whether it is installed."""
    try:
        import gymnasium_robotics
    except ImportError:
        return False
    gymnasium.register_envs(gymnasium_robotics)
    return True


def episode_seed(seed: int, episode: int) -> int:
    """What an environment with this seed is reset with for this one of its episodes."""
    return int(np.random.SeedSequence((seed, episode)).generate_state(1)[0] >> 1)


def succeeded(info: Mapping[str, Any]) -> bool:
    """Whether a step's info says that the task is solved, by the names in use."""
    return any(bool(np.any(info[name])) for name in ("success", "is_success") if name in info)
