"""Where balls start and goals lie: cells drawn from those a map allows, then a place around their middles.

Letters: N free cells of a maze.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import OptionError
from .maps import Layout, cell_number, layout

TRIES = 16  # candidates for the next goal; all of them too near has a chance of (1/2)^16 where there are two cells


@dataclasses.dataclass(frozen=True)
class Placement:
    """The rules of one environment.

    Attributes:
      maze: the map.
      start_cell, goal_cell: (row, column) of fixed ones, None where they are drawn.
      noise: [m] the largest shift from the middle of a cell, along each axis.
    """

    maze: str
    start_cell: tuple[int, int] | None = None
    goal_cell: tuple[int, int] | None = None
    noise: float = 0.25

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise < 0.4:
            raise OptionError(f"noise={self.noise}; expected [0, 0.4), so that the ball is free of walls", key="noise")
        if self.start_cell is None and not np.any(self._reachable[self.goals], axis=1).all():
            raise OptionError(
                f"maze={self.maze!r}, goal_cell={self.goal_cell}: a goal that no other start leads to", key="maze"
            )
        if self.goal_cell is None and not (self._reachable & self.goals[:, None] & self.starts).any():
            raise OptionError(f"maze={self.maze!r}, start_cell={self.start_cell}: leads to no goal", key="maze")

    @property
    def plan(self) -> Layout:
        return layout(self.maze)

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """(N,) bool, cells in which episodes start."""
        return self._only(self.start_cell, "start_cell", self.plan.starts)

    @functools.cached_property
    def goals(self) -> np.ndarray:
        """(N,) bool, cells in which the first goal of an episode lies."""
        return self._only(self.goal_cell, "goal_cell", self.plan.goals)

    @property
    def longest(self) -> int:
        """[cells], the longest way from a start to a goal."""
        ways = self.plan.distance[self.goals][:, self.starts]
        return int(max(ways[ways < len(self.plan.cells)], default=0))

    @property
    def _reachable(self) -> np.ndarray:
        """(N, N) bool, [goal, start] of different cells with a way between them."""
        distance = self.plan.distance
        return (distance > 0) & (distance < len(distance)) & self.starts

    def _only(self, cell: tuple[int, int] | None, name: str, allowed: np.ndarray) -> np.ndarray:
        if cell is None:
            return allowed
        return np.arange(len(allowed)) == cell_number(self.maze, cell, name)


def place(key: jax.Array, rules: Placement, path_length: jax.Array | float) -> tuple[jax.Array, jax.Array]:
    """(position (2,), goal (2,)) [m] of an episode; `key` is consumed.

    As in the original, the goal's cell is drawn first and the start's from the others; a fixed start may be in the
    goal's own cell. Ways are at most `path_length` cells long; where no start is so near, the nearest ones count.
    """
    key_goal, key_start, key_shift = jax.random.split(key, 3)
    distance = jnp.asarray(rules.plan.distance)
    goals, starts = jnp.asarray(rules.goals), jnp.asarray(rules.starts)
    if rules.start_cell is not None and rules.goal_cell is None:
        goals &= _near(distance[:, int(np.argmax(rules.starts))], goals, path_length)
    goal = _draw(key_goal, goals)
    if rules.start_cell is None:
        ways = distance[goal]
        starts &= (ways > 0) & _near(ways, starts & (ways > 0), path_length)
    start = _draw(key_start, starts)
    centres = jnp.asarray(rules.plan.centres)
    shift = jax.random.uniform(key_shift, (2, 2), centres.dtype, -rules.noise, rules.noise)
    return centres[start] + shift[0], centres[goal] + shift[1]


def next_goal(key: jax.Array, plan: Layout, noise: float, position: jax.Array, radius: float) -> jax.Array:
    """A goal (2,) [m] from which `position` (2,) is farther than `radius`; `key` is consumed.

    The original draws until it finds one; here the first of `TRIES` draws that fits is taken.
    """
    key_cell, key_shift = jax.random.split(key)
    cells = jax.random.choice(key_cell, jnp.asarray(np.flatnonzero(plan.goals)), (TRIES,))
    shift = jax.random.uniform(key_shift, (TRIES, 2), position.dtype, -noise, noise)
    goals = jnp.asarray(plan.centres, position.dtype)[cells] + shift
    away = goals - position[None]
    return goals[jnp.argmax(jnp.hypot(away[:, 0], away[:, 1]) > radius)]


def _near(ways: jax.Array, allowed: jax.Array, path_length: jax.Array | float) -> jax.Array:
    """(N,) bool, whether a way (N,) is at most `path_length`, or at most as long as the shortest allowed one."""
    shortest = jnp.min(jnp.where(allowed, ways, len(ways)))
    long_enough = jnp.maximum(path_length, shortest.astype(jnp.float32))
    return ways.astype(jnp.float32) <= jnp.minimum(long_enough, len(ways) - 1.0)


def _draw(key: jax.Array, allowed: jax.Array) -> jax.Array:
    """() int32, uniformly one of the cells that are allowed (N,)."""
    up_to = jnp.cumsum(allowed.astype(jnp.int32))
    return jnp.argmax(up_to > jax.random.randint(key, (), 0, up_to[-1])).astype(jnp.int32)
