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
        has_way = self.ways < len(self.ways)  # [goal, start]
        fixed = f"maze={self.maze!r}, start_cell={self.start_cell}, goal_cell={self.goal_cell}"
        if not has_way.any():
            raise OptionError(f"{fixed}: no way from a start to a goal; expected one", key="maze")
        if self.start_cell is None and not np.any(has_way, axis=1)[self.goals].all():
            raise OptionError(f"{fixed}: a goal to which no start leads; expected a way to each", key="maze")

    @property
    def plan(self) -> Layout:
        return layout(self.maze)

    @property
    def goals(self) -> np.ndarray:
        """(N,) bool, cells for the first goal of an episode."""
        return self._only(self.goal_cell, "goal_cell", self.plan.goals)

    @functools.cached_property
    def ways(self) -> np.ndarray:
        """(N, N) int32, [goal, start] the length of the way between them; N for pairs that are not to be drawn.

        As in the original, only a fixed start may be in the goal's own cell.
        """
        distance = self.plan.distance
        starts = self._only(self.start_cell, "start_cell", self.plan.starts)
        pairs = self.goals[:, None] & starts & ((distance > 0) | (self.start_cell is not None))
        return np.where(pairs, distance, len(distance)).astype(np.int32)

    @property
    def shortest(self) -> int:
        """[cells], the shortest way that can be drawn."""
        return int(self.ways.min())

    @property
    def longest(self) -> int:
        """[cells], the longest way that can be drawn."""
        return int(self.ways[self.ways < len(self.ways)].max())

    def _only(self, cell: tuple[int, int] | None, name: str, allowed: np.ndarray) -> np.ndarray:
        if cell is None:
            return allowed
        return np.arange(len(allowed)) == cell_number(self.maze, cell, name)


def place(key: jax.Array, rules: Placement, path_length: jax.Array | float) -> tuple[jax.Array, jax.Array]:
    """(position (2,), goal (2,)) [m] of an episode; `key` is consumed.

    As in the original, the goal's cell is drawn first and the start's from the others, each uniformly; here, from those
    between which a way has at most `path_length` cells, or as many as the shortest way there is.
    """
    key_start, key_goal, key_shift = jax.random.split(key, 3)
    longest = jnp.clip(path_length, rules.shortest, rules.longest)
    nearest = jnp.asarray(rules.ways.min(1), longest.dtype)
    goal = _draw(key_goal, nearest <= longest)
    start = _draw(key_start, jnp.asarray(rules.ways, longest.dtype)[goal] <= longest)
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


def _draw(key: jax.Array, allowed: jax.Array) -> jax.Array:
    """() int32, uniformly one of the cells that are allowed (N,)."""
    up_to = jnp.cumsum(allowed.astype(jnp.int32))
    return jnp.argmax(up_to > jax.random.randint(key, (), 0, up_to[-1])).astype(jnp.int32)
