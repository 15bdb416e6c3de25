"""What a generator of data is asked for, and what it answers."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..assemble import make_env
from ..errors import UsageError, problem
from ..foreign import ForeignEnv
from .about import About, about_env
from .device_episodes import Tasks
from .episodes import Episode


@dataclasses.dataclass(frozen=True)
class Request:
    """A data set that shall be.

    Attributes:
      env_id: of Gymnasium's registry, in full.
      quality: of the behaviour, one that the generator knows.
      steps: transitions in all.
      seed: of everything random; equal requests give equal arrays.
      tasks: "default", or "space" for a task per episode, drawn evenly from the task space.
      env_kwargs: arguments of the environment, in the types that it takes.
      run: folder of the training run whose policies are to act; None for one that is made.
      train_steps: how long one that is made trains; None for the generator's own choice.

    Raises:
      UsageError: no steps, a negative seed, or a run with a length.
    """

    env_id: str
    quality: str
    steps: int
    seed: int = 0
    tasks: Tasks = "default"
    env_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    run: Path | None = None
    train_steps: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(problem("bad value", "--steps", self.steps, "at least 1"), key="--steps")
        if self.seed < 0:
            raise UsageError(problem("bad value", "--seed", self.seed, "at least 0"), key="--seed")
        if self.tasks not in ("default", "space"):
            raise UsageError(problem("bad value", "--tasks", self.tasks, "default or space"), key="--tasks")
        if self.train_steps is not None and self.train_steps < 1:
            raise UsageError(problem("bad value", "--train-steps", self.train_steps, "at least 1"), key="--train-steps")
        if self.train_steps is not None and self.run is not None:
            expected = "none with --run, which has been trained"
            raise UsageError(problem("bad value", "--train-steps", self.train_steps, expected), key="--train-steps")

    @functools.cached_property
    def env(self) -> Any:
        """The pure environment, or a `ForeignEnv` for one that is not ours.

        Raises:
          UsageError: arguments that it does not take.
        """
        return make_env(self.env_id, self.env_kwargs)

    @property
    def is_ours(self) -> bool:
        return not isinstance(self.env, ForeignEnv)

    def about(self, **fields: Any) -> About:
        """What data of this environment say about themselves; `fields` are further attributes."""
        return about_env(self.env_id, self.env_kwargs, **fields)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to make it.

    Attributes:
      about: metadata; `make` adds the seed and where the code is.
      episodes: at least as many as the request needs, made when they are asked for; those too many are left, and the
        one in which the count is reached is cut.
    """

    about: About
    episodes: Iterator[Episode]
