"""What a generator of data is asked for, and what it answers."""

import dataclasses
from collections.abc import Iterator

from ..errors import UsageError, problem
from .about import About
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

    Raises:
      UsageError: no steps, or a negative seed.
    """

    env_id: str
    quality: str
    steps: int
    seed: int = 0
    tasks: Tasks = "default"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(problem("bad value", "--steps", self.steps, "at least 1"), key="--steps")
        if self.seed < 0:
            raise UsageError(problem("bad value", "--seed", self.seed, "at least 0"), key="--seed")
        if self.tasks not in ("default", "space"):
            raise UsageError(problem("bad value", "--tasks", self.tasks, "default or space"), key="--tasks")


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
