"""PointMaze: the class.

Source: gymnasium-robotics 1.4.2, `envs/maze/point_maze.py` and `maze_v4.py`.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from ..contract import TaskEnv
from ..errors import OptionError
from ..tasks import Parameter, TaskSpace
from .maps import Layout, layout
from .physics import move
from .placing import Placement, next_goal, place
from .types import BALL_MASS, Params, State

GOAL_RADIUS = 0.45  # [m]
FASTEST = 10.0  # [m/s], beyond what one step adds to the clipped speed
REWARDS = ("sparse", "dense")
PHYSICS = (
    Parameter("mass", 2.0, 20.0, BALL_MASS, "kg", "log", doc="Mass of the ball."),
    Parameter("force", 20.0, 200.0, 100.0, "N", "log", doc="Force of a full action."),
    Parameter("damping", 0.1, 30.0, 1.0, "N s/m", "log", doc="Drag per speed."),
)


@dataclasses.dataclass(frozen=True)
class PointMaze(TaskEnv):
    """Push a ball through a maze to a goal.

    Description:
      gymnasium-robotics' PointMaze, on MuJoCo's equations in closed form. The ball has mass and hardly any drag, so
      that it must brake before corners; walls are slightly soft and without friction. `maze` names a map, or is one of
      your own, such as `maze="11111/10001/11111"`: 1 a wall, 0 a free cell, r a cell for starts, g for goals, c for
      both.

    Action space: `Box(-1, 1, (2,), float32)`

      | index | meaning | unit | range |
      |---|---|---|---|
      | 0 | force along x, as a share of `force` | 1 | -1 .. 1 |
      | 1 | force along y, as a share of `force` | 1 | -1 .. 1 |

    Observation space: `Dict`, float32

      | key | meaning | unit | range |
      |---|---|---|---|
      | `observation` | position x, y and velocity x, y | m, m/s | half the maze, -10 .. 10 |
      | `achieved_goal` | position x, y | m | half the maze |
      | `desired_goal` | the goal's x, y | m | half the maze |

    Reward: with `reward_type="sparse"`, 1 within 0.45 m of the goal, else 0; with "dense", exp(-distance), in metres.

    Start: the goal's cell is drawn from those that may hold one and to which a way of at most `path_length` cells
      leads, the start's from the other ends of such ways; then both places are drawn within 0.25 m (`noise`) of the
      middles of their cells, along each axis. `start_cell` and `goal_cell`, each (row, column) from the top left, fix
      cells. The ball starts at rest.

    End: truncated after `horizon` steps. Terminated at the goal if `continuing_task=False`. Otherwise the episode goes
      on, with a new goal after each one that was reached if `reset_target=True`; the observation of the step that
      reaches a goal still shows that goal.

    Options:
      - `maze`: a name, see above, or rows of a map.
      - `horizon`, `reward_type`, `continuing_task`, `reset_target`: as the original's arguments.
      - `start_cell`, `goal_cell`: fixed cells, as `reset_cell` and `goal_cell` in the original's `reset(options=...)`.
      - `noise`: how far from the middles of cells starts and goals lie, in metres.

    Success: the goal, or any of several goals, was reached in this episode. `info["at_goal"]` says whether the ball is
      at the goal now, which is what the original's `info["success"]` says.

    Differs: numbers are float32 and the observation space has bounds. Placement draws from random numbers of its own.
      A new goal is the first of 16 drawn ones that is not reached already; the original draws until it has one.

    Example:
      ```python
      import gymnasium as gym

      import palaestra

      env = gym.make("palaestra/PointMaze_UMaze-v0", continuing_task=False, render_mode="rgb_array")
      obs, info = env.reset(seed=0, options={"task": {"path_length": 2}})
      obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
      print(obs["achieved_goal"], obs["desired_goal"], info["at_goal"])
      ```

    Version history:
      v0: first version.

    Source: gymnasium-robotics 1.4.2, `PointMaze_...-v3`, with MuJoCo 4.0.
    """

    maze: str = "UMaze"
    horizon: int = 300
    reward_type: str = "sparse"
    continuing_task: bool = True
    reset_target: bool = False
    start_cell: tuple[int, int] | None = None
    goal_cell: tuple[int, int] | None = None
    noise: float = 0.25
    end_reasons = ("goal reached",)
    render_fps: ClassVar[int] = 50
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __post_init__(self) -> None:
        if self.reward_type not in REWARDS:
            raise OptionError(f"reward_type={self.reward_type!r}; expected one of {REWARDS}", key="reward_type")
        _ = self.placement

    @functools.cached_property
    def placement(self) -> Placement:
        """Where episodes start and end."""
        return Placement(self.maze, self.start_cell, self.goal_cell, self.noise)

    @property
    def plan(self) -> Layout:
        """What follows from the map."""
        return layout(self.maze)

    @functools.cached_property
    def task_space(self) -> TaskSpace:  # type: ignore[override]
        """How long the way to the goal may be, which is fixed where both cells are; then physics."""
        shortest, longest = max(1, self.placement.shortest), max(1, self.placement.longest)
        doc = "Longest way from start to goal."
        way = Parameter("path_length", shortest, longest, longest, "cells", kind="integer", doc=doc)
        return TaskSpace((way, *PHYSICS))

    @functools.cached_property
    def observation_space(self) -> spaces.Dict:  # type: ignore[override]
        rows, columns = self.plan.walls.shape
        place = np.array([columns / 2, rows / 2], np.float32)
        high = np.append(place, np.full(2, FASTEST, np.float32))
        return spaces.Dict(
            {
                "observation": spaces.Box(-high, high, dtype=np.float32),
                "achieved_goal": spaces.Box(-place, place, dtype=np.float32),
                "desired_goal": spaces.Box(-place, place, dtype=np.float32),
            }
        )

    @property
    def reward_range_hint(self) -> tuple[float, float]:  # type: ignore[override]
        is_short = self.reward_type == "sparse" and (not self.continuing_task or self.reset_target)
        return (0.0, 1.0 if is_short else float(self.horizon))

    def task_params(self, task: jax.Array) -> Params:
        return Params(**{name: task[..., i] for i, name in enumerate(self.task_space.names)})

    def initial(self, rng: jax.Array, params: Params | None = None) -> State:
        params = self.default_params if params is None else params
        position, goal = place(rng, self.placement, params.path_length)
        return State(position=position, velocity=jnp.zeros_like(position), goal=goal, reached=jnp.zeros((), bool))

    def transition(self, state: State, action: jax.Array, rng: jax.Array, params: Params | None = None) -> State:
        params = self.default_params if params is None else params
        goal = self._goal_of_step(rng, state)
        action = jnp.asarray(action, state.position.dtype)
        position, velocity = move(self.plan, state.position, state.velocity, action, params)
        reached = state.reached | (distance(position, goal) <= GOAL_RADIUS)
        return State(position=position, velocity=velocity, goal=goal, reached=reached)

    def _goal_of_step(self, rng: jax.Array, state: State) -> jax.Array:
        """The goal (2,), drawn anew if the step before reached it: what it showed was still the old one.

        A start at the goal is not a goal reached, as in the original, so a step must have been there.
        """
        if not (self.continuing_task and self.reset_target and self.plan.goals.sum() > 1):
            return state.goal
        other = next_goal(rng, self.plan, self.noise, state.position, GOAL_RADIUS)
        return jnp.where(state.reached & at_goal(state), other, state.goal)

    def observation(self, state: State, rng: jax.Array, params: Params | None = None) -> dict[str, jax.Array]:
        return {
            "observation": jnp.concatenate([state.position, state.velocity]),
            "achieved_goal": state.position,
            "desired_goal": state.goal,
        }

    def reward(
        self, state: State, action: jax.Array, next_state: State, rng: jax.Array, params: Params | None = None
    ) -> jax.Array:
        return self.compute_reward(next_state.position, next_state.goal)

    def compute_reward(self, achieved_goal: jax.Array, desired_goal: jax.Array) -> jax.Array:
        """(...) float32 of places and goals (..., 2), so that goals can be put in afterwards."""
        away = distance(achieved_goal, desired_goal)
        return jnp.exp(-away) if self.reward_type == "dense" else (away <= GOAL_RADIUS).astype(jnp.float32)

    def terminal(self, state: State, rng: jax.Array, params: Params | None = None) -> jax.Array:
        return at_goal(state) if not self.continuing_task else jnp.zeros((), bool)

    def success(self, state: State, params: Params | None = None) -> jax.Array:
        return state.reached

    def transition_info(
        self, state: State, action: jax.Array, next_state: State, params: Params | None = None
    ) -> dict[str, jax.Array]:
        return {"at_goal": at_goal(next_state)}

    def render_image(
        self, state: State, render_state: Any = None, params: Params | None = None
    ) -> tuple[Any, np.ndarray]:
        from .drawing import draw_maze

        return render_state, draw_maze(self.plan, np.asarray(state.position), np.asarray(state.goal), GOAL_RADIUS)


def distance(place: jax.Array, goal: jax.Array) -> jax.Array:
    """(...) [m] between places (..., 2)."""
    away = place - goal
    return jnp.hypot(away[..., 0], away[..., 1])


def at_goal(state: State) -> jax.Array:
    """() bool, whether the ball is at the goal."""
    return distance(state.position, state.goal) <= GOAL_RADIUS
