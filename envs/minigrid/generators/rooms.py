"""Levels of one room, or of rooms at fixed places, with a goal square: what `ReachGoal` judges.

Letters: H rows, W columns.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp

from ...tasks import Parameter
from .. import cells
from ..level import Level
from ..rules import DodgeObstacles, Nothing, ObstaclesGoal, Rule
from . import placing
from .family import Generator, Square, count_of, size_of, switch
from .placing import Shape, Whole
from .things import scatter
from .wording import GET_TO_GOAL, sentence

START = (1, 1, 0)  # the upper left corner, looking right


def corner_goal(shape: Shape, size: Whole) -> jax.Array:
    """(H, W) uint32: a square room with the goal in its lower right corner."""
    return placing.put_at(placing.room(shape, size, size), size - 2, size - 2, cells.GOAL)


def _start(words: jax.Array, allowed: jax.Array, is_random: jax.Array) -> tuple[Whole, ...]:
    """The agent's pose out of 2 rolls: in an allowed cell (H, W), looking anywhere, or always the same."""
    pose = (*placing.choose_cell(words[0], allowed), placing.below(words[1], 4))
    return tuple(jnp.where(is_random, drawn, fixed) for drawn, fixed in zip(pose, START, strict=True))


@dataclasses.dataclass(frozen=True)
class Empty(Square):
    """An empty room (minigrid 3.2, EmptyEnv).

    Attributes:
      random_start: whether the agent starts anywhere by default.
    """

    random_start: bool = False
    see_through: ClassVar[bool] = True
    missions: ClassVar[tuple[str, ...]] = (GET_TO_GOAL,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return size_of(5, self.size), switch("random_start", self.random_start, "Whether the agent starts anywhere.")

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size = placing.whole(values, "size")
        grid = corner_goal(self.shape, size)
        pose = _start(placing.rolls(key, 2), placing.is_free(grid), placing.flag(values, "random_start"))
        return placing.level(grid, pose, sentence(GET_TO_GOAL), Nothing(), self.limit(size))


@dataclasses.dataclass(frozen=True)
class DynamicObstacles(Square):
    """An empty room in which balls move (minigrid 3.2, DynamicObstaclesEnv).

    Attributes:
      num_obstacles: the most there are.
      random_start: whether the agent starts anywhere by default.
    """

    num_obstacles: int
    random_start: bool = False
    see_through: ClassVar[bool] = True
    missions: ClassVar[tuple[str, ...]] = (GET_TO_GOAL,)

    @property
    def rule(self) -> Rule:
        return DodgeObstacles()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            size_of(5, self.size),
            count_of("num_obstacles", 0, self.num_obstacles, "Moving balls; half the size where that many do not fit."),
            switch("random_start", self.random_start, "Whether the agent starts anywhere."),
        )

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size, count = placing.whole(values, "size"), placing.whole(values, "num_obstacles")
        count = jnp.where(2 * count <= size + 2, count, size // 2)
        words = placing.rolls(key, 2 + self.num_obstacles)
        grid = corner_goal(self.shape, size)
        pose = _start(words, placing.is_free(grid), placing.flag(values, "random_start"))
        occupied = placing.put_at(grid, pose[0], pose[1], cells.WALL)
        x, y = scatter(words[2:], occupied, count, functools.partial(placing.cell, self.shape))
        balls = jnp.full(self.num_obstacles, cells.word(cells.BALL, cells.BLUE))
        grid = placing.put_all(grid, x, y, balls)
        goal = ObstaclesGoal(x=x, y=y, blocked=jnp.zeros((), bool))
        return placing.level(grid, pose, sentence(GET_TO_GOAL), goal, self.limit(size))


@dataclasses.dataclass(frozen=True)
class DoorKey(Square):
    """A wall with a locked door, and the key on the agent's side of it (minigrid 3.2, DoorKeyEnv)."""

    steps_per_cell: ClassVar[int] = 10
    missions: ClassVar[tuple[str, ...]] = ("use the key to open the door and then get to the goal",)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size = placing.whole(values, "size")
        roll_wall, roll_agent, roll_turn, roll_door, roll_key = placing.rolls(key, 5)
        split = 2 + placing.below(roll_wall, size - 4)
        door = 1 + placing.below(roll_door, size - 3)  # never beside the lower wall
        grid = corner_goal(self.shape, size)
        grid = placing.put(grid, placing.rectangle(self.shape, split, 0, 1, size), cells.WALL)
        grid = placing.put_at(grid, split, door, cells.word(cells.DOOR, cells.YELLOW, cells.LOCKED))
        left = placing.is_free(grid) & (placing.columns(self.shape) < split)
        x, y = placing.choose_cell(roll_agent, left)
        key_x, key_y = placing.choose_cell(roll_key, left & ~placing.cell(self.shape, x, y))
        grid = placing.put_at(grid, key_x, key_y, cells.word(cells.KEY, cells.YELLOW))
        pose = (x, y, placing.below(roll_turn, 4))
        return placing.level(grid, pose, sentence(*self.missions), Nothing(), self.limit(size))


@dataclasses.dataclass(frozen=True)
class LavaGap(Square):
    """A stream of lava with one gap (minigrid 3.2, LavaGapEnv)."""

    missions: ClassVar[tuple[str, ...]] = (f"avoid the lava and {GET_TO_GOAL}",)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size = placing.whole(values, "size")
        roll_x, roll_y = placing.rolls(key, 2)
        x, y = 2 + placing.below(roll_x, size - 4), 1 + placing.below(roll_y, size - 2)
        grid = corner_goal(self.shape, size)
        grid = placing.put(grid, placing.rectangle(self.shape, x, 1, 1, size - 2), cells.LAVA)
        grid = placing.put_at(grid, x, y, cells.EMPTY)
        return placing.level(grid, START, sentence(*self.missions), Nothing(), self.limit(size))


@dataclasses.dataclass(frozen=True)
class DistShift(Generator):
    """Two strips of lava, of which the second lies elsewhere in another id (minigrid 3.2, DistShiftEnv).

    Attributes:
      strip_row: of the second strip, by default.
    """

    strip_row: int
    see_through: ClassVar[bool] = True
    shape: ClassVar[Shape] = (7, 9)
    missions: ClassVar[tuple[str, ...]] = (GET_TO_GOAL,)
    max_steps: ClassVar[int] = 4 * 9 * 7

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("strip_row", 2, 5, "Row of the second strip of lava.", "cells", self.strip_row),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """The level of its parameters; nothing is drawn from `key`."""
        del key  # no randomness
        height, width = self.shape
        lava = (placing.rows(self.shape) == 1) | (placing.rows(self.shape) == placing.whole(values, "strip_row"))
        lava = lava & placing.rectangle(self.shape, 3, 1, width - 6, height - 2)
        grid = placing.put(placing.room(self.shape, width, height), lava, cells.LAVA)
        grid = placing.put_at(grid, width - 2, 1, cells.GOAL)
        return placing.level(grid, START, sentence(GET_TO_GOAL), Nothing(), self.max_steps)


@dataclasses.dataclass(frozen=True)
class FourRooms(Generator):
    """Four rooms with a gap in each wall between them (minigrid 3.2, FourRoomsEnv)."""

    shape: ClassVar[Shape] = (19, 19)
    missions: ClassVar[tuple[str, ...]] = ("reach the goal",)
    max_steps: ClassVar[int] = 100

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        *gaps, roll_agent, roll_turn, roll_goal = placing.rolls(key, 7)
        size, middle = self.shape[0], self.shape[0] // 2
        walls = (placing.columns(self.shape) == middle) | (placing.rows(self.shape) == middle)
        grid = placing.put(placing.room(self.shape, size, size), walls, cells.WALL)
        up, left, down, right = (1 + placing.below(roll, middle - 1) for roll in gaps)
        for x, y in ((middle, up), (left, middle), (middle, middle + down), (middle + right, middle)):
            grid = placing.put_at(grid, x, y, cells.EMPTY)
        x, y = placing.choose_cell(roll_agent, placing.is_free(grid))
        goal_x, goal_y = placing.choose_cell(roll_goal, placing.is_free(grid) & ~placing.cell(self.shape, x, y))
        grid = placing.put_at(grid, goal_x, goal_y, cells.GOAL)
        pose = (x, y, placing.below(roll_turn, 4))
        return placing.level(grid, pose, sentence(*self.missions), Nothing(), self.max_steps)
