"""The Gymnasium doors: every family as an ordinary `gymnasium.Env` or vector environment.

    env = gymnasium.make("palaestra/CartPole-v0", render_mode="rgb_array")
    obs, info = env.reset(seed=0, options={"task": {"half_length": 1.0}})

    envs = gymnasium.make_vec("palaestra/CartPole-v0", num_envs=64)
    obs, infos = envs.reset(seed=0, options={"task": tasks})  # (64, D)

NumPy goes in and out; inside, one compiled program per setting is shared by all instances of the process.
"""

from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.vector import AutoresetMode

from .contract import TaskEnv, space_of_codes
from .errors import OptionError
from .exchange import (
    check_action,
    check_task,
    describe_task,
    end_reasons,
    host_info,
    host_observation,
)
from .gym_base import Door, seed_of
from .gym_vector import VectorEnv
from .gym_window import Window, require_pygame
from .registration import make_functional
from .seats import seed_key, single_programs


class SingleEnv(Door, gymnasium.Env):
    """One environment behind Gymnasium's interface.

    - Truncation is the family's horizon; `spec.max_episode_steps` tells it. The family's `horizon=` changes it, while
      `gymnasium.make(..., max_episode_steps=)` wraps and can only shorten it.
    - A task given to the constructor, to `set_task` or as `reset(options={"task": ...})` holds until another is given.
    - `reset(seed=s)` starts the stream of `s`; a later `reset()` continues it. Equal seeds and actions give equal bits.
    - Actions that are not finite or of the wrong shape or kind raise `InvalidActionError`; Box actions out of range
      are clipped.
    - `info` holds "task" after a reset and in the last step of an episode, there beside "success" and "end_reason"
      (the family's words, or "time limit"); whatever the family reports is in it at every step.

    Args:
      functional: the pure environment.
      render_mode: None, "rgb_array" or "human".
      task: vector (D,), dict {name: value} or level; None for the default task.
      decode: whether observations hold sentences; False gives their codes.
      index: which row of a vector environment with the same seed this one repeats.

    Raises:
      OptionError: a render mode the family does not have.
      TaskError: a task outside the family's task space.
    """

    def __init__(
        self,
        functional: TaskEnv,
        render_mode: str | None = None,
        task: Any = None,
        decode: bool = True,
        index: int = 0,
    ):
        self.functional = functional if render_mode is None else functional.for_rendering()
        self.task_space = functional.task_space
        space = functional.observation_space
        self.observation_space = space if decode else space_of_codes(space)
        self.action_space = functional.action_space
        self.render_mode = self._check_render_mode(render_mode, ("human", "rgb_array"))
        self.metadata = {"render_modes": self._render_modes("human", "rgb_array"), "render_fps": functional.render_fps}
        if render_mode == "human":
            require_pygame()
        self._task = check_task(self.task_space, self.task_space.default if task is None else task)
        self._index = np.int32(index)
        self._key: jax.Array | None = None
        self._episodes = 0
        self._setting: Any = None
        self._episode: Any = None
        self._ended = True
        self._compile()

    def set_task(self, task: Any) -> None:
        """Sets the task of the next and later episodes.

        Raises:
          TaskError: naming the parameter that does not fit.
        """
        self._task = check_task(self.task_space, task)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; `options={"task": ...}` changes the task for this and later episodes."""
        options = dict(options or {})
        if "task" in options:
            self.set_task(options.pop("task"))
        self._refuse_unknown(options, ("task",))
        super().reset(seed=seed)
        if seed is not None or self._key is None:
            self._key = seed_key(seed_of(self))
            self._episodes = 0
        number = np.uint32(self._episodes)
        self._setting, self._episode, obs, info = self._programs.start(self._key, self._index, number, self._task)
        self._episodes += 1
        self._ended = False
        self._running_task = self._task
        if self.render_mode == "human":
            self._show()
        return host_observation(self.observation_space, obs), host_info(info) | self._task_info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes one step.

        Raises:
          InvalidActionError: wrong shape or kind, or not finite.
          gymnasium.error.ResetNeeded: the episode is over or has not begun.
        """
        if self._ended:
            raise gymnasium.error.ResetNeeded("step() after the end of an episode; call reset() first")
        action = check_action(self.action_space, action)
        self._episode, obs, report, info = self._programs.move(self._setting, self._episode, action)
        info = host_info(info)
        terminated, truncated = bool(report.terminated), bool(report.truncated)
        self._ended = terminated or truncated
        if self._ended:
            ends = end_reasons(self.functional, terminated, int(report.end_reason))
            info |= self._task_info() | {"success": bool(report.success), "end_reason": ends}
        if self.render_mode == "human":
            self._show()
        return host_observation(self.observation_space, obs), float(report.reward), terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """The current state as uint8 (height, width, 3); in mode "human", shows it and returns None."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                'render() without a render mode; expected e.g. gym.make(..., render_mode="rgb_array")'
            )
            return None
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("render() before the first reset(); call reset() first")
        if self.render_mode == "human":
            self._show()
            return None
        return self._draw(*self._programs.unpack(self._setting, self._episode))

    def close(self) -> None:
        """Closes the window, if any."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _show(self) -> None:
        if self._window is None:
            self._window = Window(str(self), self.functional.render_fps)
        self._window.show(self._draw(*self._programs.unpack(self._setting, self._episode)))

    def _task_info(self) -> dict[str, Any]:
        return {"task": describe_task(self.task_space, self._running_task)}

    def _compile(self) -> None:
        self._programs = single_programs(self.functional)


def make_env(
    env_id: str, render_mode: str | None = None, task: Any = None, decode: bool = True, **kwargs: Any
) -> SingleEnv:
    """Makes the `gymnasium.Env` of a registered id; other arguments go to the family's class.

    Raises:
      KeyError: no such id.
      TypeError: an argument that the family does not have.
    """
    return SingleEnv(make_functional(env_id, **kwargs), render_mode, task, decode)


# gymnasium.make looks here for what an entry point can render, to serve "rgb_array_list".
make_env.metadata = {"render_modes": ["human", "rgb_array"]}  # type: ignore[attr-defined]


def make_vector_env(
    env_id: str,
    num_envs: int = 1,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    render_mode: str | None = None,
    task: Any = None,
    decode: bool = True,
    max_episode_steps: int | None = None,
    **kwargs: Any,
) -> VectorEnv:
    """Makes the vector environment of a registered id; other arguments go to the family's class.

    Args:
      task: one task for all, or one per environment (num_envs, D).
      decode: whether observations hold sentences; False gives their codes.
      max_episode_steps: Gymnasium's name for the family's `horizon`.

    Raises:
      KeyError: no such id.
      TypeError: an argument that the family does not have.
      OptionError: `horizon` and `max_episode_steps` disagree.
    """
    if max_episode_steps is not None and kwargs.setdefault("horizon", max_episode_steps) != max_episode_steps:
        raise OptionError(
            f"max_episode_steps={max_episode_steps} and horizon={kwargs['horizon']} disagree; expected one of them",
            key="max_episode_steps",
        )
    return VectorEnv(make_functional(env_id, **kwargs), num_envs, autoreset_mode, render_mode, task, decode)
