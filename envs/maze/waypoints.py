"""A controller that knows the maze: from cell to cell along a shortest way, then to the goal.

    controller = WaypointController("Large")
    plan = controller.init(key, obs)
    plan, action = controller.act(key, plan, obs)  # every step, each with a key of its own

Both are pure functions of arrays, for use inside `jit`; with NumPy observations they drive gymnasium-robotics' own
environments as well.

Source: the controller that made the point maze data sets of Minari (after D4RL's), whose routes come from a search of
its own; there the first waypoint after every new goal is the middle of its cell, even of the goal's cell.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from .maps import layout
from .physics import locate

POSITION_GAIN, SPEED_GAIN = 10.0, -1.0  # [1/m], [s/m]
NEAR = 0.1  # [m], a waypoint so near is passed
SHIFT = 0.2  # [m], waypoints lie up to this to the left of and below the middles of cells


class Plan(struct.PyTreeNode):
    """What the controller is heading for."""

    cell: jax.Array  # () int32, number of the next cell
    waypoint: jax.Array  # (2,) [m], a place in it
    goal: jax.Array  # (2,) [m], which it leads to


@dataclasses.dataclass(frozen=True)
class WaypointController:
    """`init` and `act`, pure; equal settings compare equal.

    Attributes:
      maze: as of the environment.
      noise: standard deviation of what is added to each entry of an action before it is clipped.
    """

    maze: str = "UMaze"
    noise: float = 0.5

    def init(self, key: jax.Array, obs: dict[str, Any]) -> Plan:
        """A plan for the place and goal of an observation; `key` is consumed."""
        position, goal = jnp.asarray(obs["achieved_goal"]), jnp.asarray(obs["desired_goal"])
        return self._towards(key, self._cell(position), goal)

    def act(self, key: jax.Array, plan: Plan, obs: dict[str, Any]) -> tuple[Plan, jax.Array]:
        """(plan, action (2,)); `key` is consumed. A goal that has moved is planned for anew."""
        key_place, key_noise = jax.random.split(key)
        position, goal = jnp.asarray(obs["achieved_goal"]), jnp.asarray(obs["desired_goal"])
        velocity = jnp.asarray(obs["observation"])[2:]
        here, last = self._cell(position), self._cell(goal)
        away = plan.waypoint - position
        has_passed = (jnp.hypot(away[0], away[1]) <= NEAR) & (plan.cell != last)
        is_lost = jnp.any(goal != plan.goal) | ((here == last) & (plan.cell != last))
        new = self._towards(key_place, jnp.where(is_lost, here, plan.cell), goal)
        plan = jax.tree.map(lambda a, b: jnp.where(has_passed | is_lost, a, b), new, plan)
        action = POSITION_GAIN * (plan.waypoint - position) + SPEED_GAIN * velocity
        action += self.noise * jax.random.normal(key_noise, (2,), action.dtype)
        return plan, jnp.clip(action, -1.0, 1.0)

    def _towards(self, key: jax.Array, cell: jax.Array, goal: jax.Array) -> Plan:
        """Heading for the cell after `cell`, or for the goal itself if that is its cell."""
        maze, last = layout(self.maze), self._cell(goal)
        after = jnp.asarray(maze.towards)[cell, last]
        place = jnp.asarray(maze.centres, goal.dtype)[after]
        place -= jax.random.uniform(key, (2,), goal.dtype, 0.0, SHIFT)
        return Plan(cell=after, waypoint=jnp.where(after == last, goal, place), goal=goal)

    def _cell(self, position: jax.Array) -> jax.Array:
        maze = layout(self.maze)
        cell, _ = locate(maze, position)
        return jnp.asarray(maze.number)[cell[0], cell[1]]
