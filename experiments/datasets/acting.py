"""Episodes under a behaviour, wherever the environment is stepped, and what they return."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import UsageError, problem
from ..foreign import ForeignEnv
from .behaviours import Behaviour
from .device_episodes import Tasks, device_episodes
from .episodes import Episode
from .host_episodes import host_episodes

REFERENCE_SEED = 40_011


def episodes_under(env: Any, behaviour: Behaviour, seed: int, tasks: Tasks = "default") -> Iterator[Episode]:
    """Episodes 0, 1, 2, ... without end: on the device of an environment of ours, on the host of a `ForeignEnv`.

    Raises:
      UsageError: tasks of an environment that has no task space.
    """
    check_tasks(env, tasks)
    if isinstance(env, ForeignEnv):
        return host_episodes(env, behaviour, seed)
    return device_episodes(env, behaviour, seed, tasks)


def check_tasks(env: Any, tasks: Tasks) -> None:
    """Refuses tasks of an environment that has no task space.

    Raises:
      UsageError
    """
    if isinstance(env, ForeignEnv) and tasks != "default":
        expected = "default: an environment of others has no task space"
        raise UsageError(problem("bad value", "--tasks", tasks, expected), key="--tasks")


@dataclasses.dataclass(frozen=True)
class Returns:
    """What a behaviour comes to.

    Attributes:
      mean: undiscounted return.
      episodes: over how many.
    """

    mean: float
    episodes: int


def returns_under(
    env: Any,
    behaviour: Behaviour,
    episodes: int,
    tasks: Tasks = "default",
    steps: int | None = None,
    seed: int = REFERENCE_SEED,
) -> Returns:
    """The mean return of a behaviour; equal seeds begin alike for every behaviour.

    Args:
      episodes: at most.
      steps: no further episode begins to count after so many; None for no limit.
    """
    found: list[float] = []
    left = float("inf") if steps is None else steps
    for episode in itertools.islice(episodes_under(env, behaviour, seed, tasks), episodes):
        found.append(episode.return_)
        left -= len(episode)
        if left <= 0:
            break
    return Returns(float(np.mean(found)), len(found))
