"""The environment contract: pure functions of arrays, with a task.

`TaskEnv` is Gymnasium's `FuncEnv` plus a task space. A family implements the functional verbs for *one* environment;
batches come from `vmap` outside (a family that has a faster batched form hides it behind `jax.custom_batching`).
Nothing here resets, counts steps or truncates: that is `stepping.py`.

Letters: B environments, D task parameters.
"""

from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import Space, spaces
from gymnasium.experimental.functional import FuncEnv

from .tasks import TaskSpace


class LevelSpace(Protocol):
    """The task space of a family whose tasks are structured (a maze, a graph): a pytree instead of a vector."""

    default: Any

    def sample(self, key: jax.Array) -> Any:
        """One level. `key` is consumed."""

    def mutate(self, key: jax.Array, level: Any, num_edits: int) -> Any:
        """A level a few edits away. `key` is consumed."""

    def validate(self, level: Any) -> None:
        """Raises a `TaskError` where a level of the right shapes makes no sense."""


class CodedSpace(Space[Any]):
    """A space whose members are no arrays, as sentences are: the device holds a code (length,) uint8 of each.

    Attributes:
      length: of a code.
      num_codes: codes are below this; 0 stands for nothing.
    """

    length: int
    num_codes: int

    @property
    def codes(self) -> spaces.MultiDiscrete:
        """The space of the codes."""
        return spaces.MultiDiscrete(np.full(self.length, self.num_codes))

    def to_host(self, codes: np.ndarray) -> Any:
        """The member that a code (length,) stands for, or a tuple of those of (B, length)."""
        raise NotImplementedError


def space_of_codes(space: Space) -> Space:
    """The space with the codes of coded parts in their place, for learners that take numbers alone."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: space_of_codes(sub) for name, sub in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple(space_of_codes(sub) for sub in space.spaces)
    return space.codes if isinstance(space, CodedSpace) else space


class TaskEnv(FuncEnv):
    """One environment, without batch axis and without clock.

    Subclasses are frozen dataclasses whose fields fix array shapes and loop counts (equal settings compile once) and
    implement `initial`, `transition`, `observation`, `reward`, `terminal`; where useful also `transition_info`,
    `success`, `render_image`. Every verb is a pure function; `rng` is a typed key, consumed; `params` is the family's
    `Params` struct, every leaf of which may be traced and batched. `params=None` means `default_params`.

    Class or instance attributes a family defines:
      observation_space, action_space: Gymnasium spaces of one environment.
      task_space: what a teacher may schedule: a `TaskSpace`, or a `LevelSpace` for structured tasks.
      horizon: steps until truncation, at most; `time_limit` may say fewer.
      reward_range_hint: (low, high) of a typical episode return, for teachers that normalise; None if unknown.
      success_return: an episode whose undiscounted return exceeds this counts as success; None if success is
        defined by `success` or not at all.
      end_reasons: names of the ways in which an episode terminates, for `end_reason`; () if the family tells none.
      compiler_options: XLA options under which the family's code runs best, per platform.
    """

    observation_space: Space
    action_space: Space
    task_space: TaskSpace | LevelSpace
    horizon: int
    reward_range_hint: ClassVar[tuple[float, float] | None] = None
    success_return: ClassVar[float | None] = None
    end_reasons: tuple[str, ...] = ()
    compiler_options: ClassVar[dict[str, dict[str, str | bool]]] = {}
    render_fps: ClassVar[int] = 30

    @property
    def default_params(self) -> Any:  # type: ignore[override]  # Gymnasium sets it in a constructor
        """The Params of the default task."""
        return self.task_params(self.task_space.default)

    def get_default_params(self, **kwargs: Any) -> Any:
        """Gymnasium's name for `default_params`; takes no options."""
        if kwargs:
            raise TypeError(f"get_default_params() got {sorted(kwargs)}; set tasks with task_params(task)")
        return self.default_params

    def task_params(self, task: Any) -> Any:
        """The Params a task stands for; pure, so a teacher can produce tasks inside `jit`."""
        raise NotImplementedError

    def time_limit(self, state: Any, params: Any = None) -> jax.Array:
        """() int32: after how many steps this episode is truncated; the horizon unless levels bring their own limit."""
        del state, params
        return jnp.asarray(self.horizon, jnp.int32)

    def success(self, state: Any, params: Any = None) -> jax.Array:
        """() bool: whether the task counts as solved in this state. False where the family has no such notion."""
        del state, params
        return jnp.zeros((), bool)

    def end_reason(self, state: Any, params: Any = None) -> jax.Array:
        """() int32: which of `end_reasons` ended the episode in this terminal state; of no meaning in others."""
        del state, params
        return jnp.zeros((), jnp.int32)

    def for_rendering(self) -> "TaskEnv":
        """The form of this environment whose states hold what pictures need; itself unless they show a history."""
        return self

    def render_image(self, state: Any, render_state: Any = None, params: Any = None) -> tuple[Any, np.ndarray]:
        """Draws one concrete (not traced) state: returns (render_state, uint8 (height, width, 3))."""
        raise NotImplementedError(f"{type(self).__name__} has no pictures")

    def render_init(self, params: Any = None, **kwargs: Any) -> Any:
        """Pictures need no preparation by default."""
        return None

    def render_close(self, render_state: Any = None, params: Any = None) -> None:
        """Nor clean-up."""
