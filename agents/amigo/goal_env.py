"""A grid environment in which the agent pursues a cell: an environment around another one.

Actions say where to move and, where no goal is set, which cell to pursue; the goal is reached when what the cell shows
is no longer what it showed when the goal was set. The environment's own reward and ends stay as they are.

Letters: W columns and H rows of the grid.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnasium import spaces

from ...envs.contract import TaskEnv
from ...envs.errors import OptionError, short

NO_GOAL = -1
AGENT_KIND = 10  # how MiniGrid's images show the agent, with its direction as the cell's third number
DX = np.array([1, 0, -1, 0], np.int32)  # of directions: right, down, left, up
DY = np.array([0, 1, 0, -1], np.int32)


class GoalState(struct.PyTreeNode):
    """The inner environment with the goal beside it."""

    base: Any
    whole: jax.Array  # (W, H, 3) uint8, the grid as it is
    goal: jax.Array  # () int32, the cell column * H + row, or NO_GOAL
    start: jax.Array  # (W, H, 3) uint8, the grid when the goal was set; zeros before the first one
    since: jax.Array  # () int32, steps since then
    reached: jax.Array  # () bool, whether the last step reached it


@dataclasses.dataclass(frozen=True)
class GoalEnv(TaskEnv):
    """An environment whose agent pursues cells.

    Attributes:
      base: what the agent lives in.
      whole: the same environment with the whole grid, (W, H, 3) codes, for its observation's part "image".
    """

    base: TaskEnv
    whole: TaskEnv

    @functools.cached_property
    def task_space(self) -> Any:  # type: ignore[override]
        return self.base.task_space

    @property
    def horizon(self) -> int:  # type: ignore[override]
        return self.base.horizon

    @property
    def end_reasons(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.base.end_reasons

    @property
    def render_fps(self) -> int:  # type: ignore[override]
        return self.base.render_fps

    @property
    def success_return(self) -> float | None:  # type: ignore[override]
        return self.base.success_return

    @property
    def compiler_options(self) -> dict[str, dict[str, str | bool]]:  # type: ignore[override]
        return self.base.compiler_options

    @functools.cached_property
    def grid_shape(self) -> tuple[int, int]:
        """(W, H)."""
        width, height, _ = _whole_space(self.whole).shape
        return width, height

    @functools.cached_property
    def observation_space(self) -> spaces.Dict:  # type: ignore[override]
        grid, cells = _whole_space(self.whole), int(np.prod(self.grid_shape))
        inner = self.base.observation_space
        assert isinstance(inner, spaces.Dict)
        return spaces.Dict(
            {
                **inner.spaces,
                "goal": spaces.Box(-float(max(self.grid_shape)), float(max(self.grid_shape)), (2,), np.float32),
                "cell": spaces.Discrete(cells + 1, start=NO_GOAL),
                "whole": grid,
                "start": grid,
                "since": spaces.Box(0, self.horizon, (), np.int32),
                "reached": spaces.Discrete(2),
            }
        )

    @functools.cached_property
    def action_space(self) -> spaces.Dict:  # type: ignore[override]
        return spaces.Dict({"move": self.base.action_space, "goal": spaces.Discrete(int(np.prod(self.grid_shape)))})

    def task_params(self, task: Any) -> Any:
        """The inner environment's Params."""
        return self.base.task_params(task)

    def initial(self, rng: jax.Array, params: Any = None) -> GoalState:
        """An episode without a goal. `rng` is consumed."""
        key_base, key_view = jax.random.split(rng)
        base = self.base.initial(key_base, params)
        whole = self._view(base, key_view, params)
        return GoalState(
            base=base,
            whole=whole,
            goal=jnp.asarray(NO_GOAL, jnp.int32),
            start=jnp.zeros_like(whole),
            since=jnp.zeros((), jnp.int32),
            reached=jnp.zeros((), bool),
        )

    def transition(self, state: GoalState, action: Any, rng: jax.Array, params: Any = None) -> GoalState:
        """The agent takes up `action["goal"]` where it has none, then moves. `rng` is consumed."""
        key_move, key_view = jax.random.split(rng)
        is_new = state.goal == NO_GOAL
        goal = jnp.where(is_new, action["goal"], state.goal)
        start = jnp.where(is_new, state.whole, state.start)
        base = self.base.transition(state.base, action["move"], key_move, params)
        whole = self._view(base, key_view, params)  # once a step, kept in the state
        reached = has_changed(start, whole, goal)
        return GoalState(
            base=base,
            whole=whole,
            goal=jnp.where(reached, NO_GOAL, goal),
            start=start,
            since=jnp.where(is_new, 0, state.since) + 1,
            reached=reached,
        )

    def observation(self, state: GoalState, rng: jax.Array, params: Any = None) -> dict[str, jax.Array]:
        """The inner observation, and what agent and teacher know of the goal. `rng` is consumed."""
        return {
            **self.base.observation(state.base, rng, params),
            "goal": goal_vector(state.whole, state.goal),
            "cell": state.goal,
            "whole": state.whole,
            "start": state.start,
            "since": state.since,
            "reached": state.reached.astype(jnp.int32),
        }

    def reward(self, state: Any, action: Any, next_state: Any, rng: jax.Array, params: Any = None) -> jax.Array:
        """() float32, the inner environment's."""
        return self.base.reward(state.base, action["move"], next_state.base, rng, params)

    def terminal(self, state: GoalState, rng: jax.Array, params: Any = None) -> jax.Array:
        """() bool, the inner environment's."""
        return self.base.terminal(state.base, rng, params)

    def time_limit(self, state: GoalState, params: Any = None) -> jax.Array:
        """() int32, the inner environment's."""
        return self.base.time_limit(state.base, params)

    def success(self, state: GoalState, params: Any = None) -> jax.Array:
        """() bool, the inner environment's."""
        return self.base.success(state.base, params)

    def end_reason(self, state: GoalState, params: Any = None) -> jax.Array:
        """() int32, the inner environment's."""
        return self.base.end_reason(state.base, params)

    def render_image(self, state: GoalState, render_state: Any = None, params: Any = None) -> tuple[Any, np.ndarray]:
        """The inner environment's picture."""
        return self.base.render_image(state.base, render_state, params)

    def _view(self, base: Any, key: jax.Array, params: Any) -> jax.Array:
        view: jax.Array = self.whole.observation(base, key, params)["image"]
        return view


def with_goals(env: TaskEnv) -> GoalEnv:
    """The environment with goals.

    Raises:
      OptionError: an environment that cannot show its whole grid.
    """
    if not dataclasses.is_dataclass(env) or "view" not in {field.name for field in dataclasses.fields(env)}:
        raise OptionError(
            f"AMIGo: env; got {type(env).__name__}; expected a grid environment that takes view='full'", key="env"
        )
    goal_env = GoalEnv(base=env, whole=dataclasses.replace(env, view="full"))
    _whole_space(goal_env.whole)
    return goal_env


def has_changed(before: jax.Array, after: jax.Array, cell: jax.Array) -> jax.Array:
    """() bool: whether two grids (W, H, 3) show different things at a cell."""
    return jnp.any(before.reshape(-1, 3)[cell] != after.reshape(-1, 3)[cell])


def goal_vector(whole: jax.Array, cell: jax.Array) -> jax.Array:
    """(..., 2) float32: cells ahead and to the right of the agent, as it faces; zeros where there is no goal.

    Args:
      whole: (..., W, H, 3) grids with the agent in them.
      cell: (...) int32.
    """
    height = whole.shape[-2]
    flat = whole.reshape(*whole.shape[:-3], -1, 3)
    agent = jnp.argmax(flat[..., 0] == AGENT_KIND, axis=-1).astype(jnp.int32)
    direction = jnp.take_along_axis(flat[..., 2], agent[..., None], -1)[..., 0].astype(jnp.int32)
    dx, dy = cell // height - agent // height, cell % height - agent % height
    ahead = dx * jnp.asarray(DX)[direction] + dy * jnp.asarray(DY)[direction]
    right = dx * jnp.asarray(DX)[(direction + 1) % 4] + dy * jnp.asarray(DY)[(direction + 1) % 4]
    vector = jnp.stack([ahead, right], -1).astype(jnp.float32)
    return jnp.where((cell == NO_GOAL)[..., None], 0.0, vector)


def _whole_space(env: TaskEnv) -> spaces.Box:
    """The space of the whole grid.

    Raises:
      OptionError: there is none.
    """
    space = env.observation_space
    image = space.spaces.get("image") if isinstance(space, spaces.Dict) else None
    if not isinstance(image, spaces.Box) or len(image.shape) != 3 or image.shape[-1] != 3:
        raise OptionError(
            f"AMIGo: env with observations {short(space)}; expected a Dict with the grid 'image' (W, H, 3)", key="env"
        )
    return image
