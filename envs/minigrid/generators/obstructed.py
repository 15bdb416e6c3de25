"""A maze of rooms whose doors are locked, whose keys may be in boxes and whose ways blocked (ObstructedMazeEnv).

Source: minigrid 3.2, ObstructedMaze_1Dlhb, ObstructedMaze_Full and ObstructedMaze_Full_V1.

Letters: H rows, W columns.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ...tasks import Parameter
from .. import cells
from ..level import Level
from ..rules import ObjectGoal, PickUpObject, Rule
from . import placing, roomgrid
from .family import Generator, count_of, switch
from .placing import Shape
from .wording import sentence

SIZE = 6
TARGET = cells.word(cells.BALL, cells.BLUE, 0, 1)
BLOCKING = cells.word(cells.BALL, cells.GREEN)
HIDING = cells.word(cells.BOX, cells.GREY)
MISSION = "pick up the blue ball"


@dataclasses.dataclass(frozen=True)
class _Obstructed(Generator):
    """A maze whose locked doors have one key each.

    Attributes:
      key_in_box: whether keys are in boxes by default.
      blocked: whether a ball lies before every locked door by default.
    """

    key_in_box: bool
    blocked: bool
    missions: ClassVar[tuple[str, ...]] = (MISSION,)

    @property
    def rule(self) -> Rule:
        return PickUpObject()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            switch("key_in_box", self.key_in_box, "Whether keys are in boxes."),
            switch("blocked", self.blocked, "Whether a ball lies before every locked door."),
        )

    def _lock(
        self, grid: jax.Array, door: tuple[Any, Any], wall: int, color: jax.Array, blocked: jax.Array
    ) -> jax.Array:
        """The grid with a locked door at (x, y), seen from a room in whose `wall` it is, and perhaps its ball.

        A ball takes the place of whatever lay there.
        """
        x, y = door
        grid = placing.put_at(grid, x, y, cells.word(cells.DOOR, color, cells.LOCKED))
        return placing.put_at(grid, jnp.where(blocked, x - cells.DX[wall], -1), y - cells.DY[wall], BLOCKING)

    def _hide(
        self, roll: jax.Array, grid: jax.Array, room: jax.Array, color: jax.Array, in_box: jax.Array
    ) -> jax.Array:
        """The grid with a key somewhere in a room, perhaps in a box.

        The package keeps things away from the agent's first place, too, but that is far from all rooms with keys.
        """
        key = cells.word(cells.KEY, color)
        at = placing.choose_cell(roll, placing.is_free(grid) & room)
        return placing.put_at(grid, *at, jnp.where(in_box, cells.fill(HIDING, key), key))


@dataclasses.dataclass(frozen=True)
class ObstructedPair(_Obstructed):
    """Two rooms, the ball behind a locked door."""

    shape: ClassVar[Shape] = roomgrid.shape_of(2, 1, SIZE)
    max_steps: ClassVar[int] = 4 * 2 * SIZE**2

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        roll_color, roll_door, roll_key, roll_ball, roll_agent = placing.rolls(key, 5)
        color = placing.below(roll_color, 6)
        left, right = (roomgrid.room(self.shape, SIZE, i, 0) for i in (0, 1))
        door = roomgrid.door_in(roll_door, SIZE, 0, 0, roomgrid.RIGHT)
        grid = roomgrid.walls(self.shape, 2, 1, SIZE)
        grid = self._lock(grid, door, roomgrid.RIGHT, color, placing.flag(values, "blocked"))
        grid = self._hide(roll_key, grid, left, color, placing.flag(values, "key_in_box"))
        ball_at = roomgrid.place(roll_ball, grid, right, roomgrid.default_pose(2, 1, SIZE))
        grid = placing.put_at(grid, *ball_at, TARGET)
        pose = roomgrid.place_agent(roll_agent, grid, left)
        return placing.level(grid, pose, sentence(MISSION), ObjectGoal(jnp.uint32(1)), self.max_steps)


# The rooms between the center and the corners, and the corners, in the order in which quarters are added.
SIDES = ((2, 1), (1, 2), (0, 1), (1, 0))
CORNERS = np.array([(2, 0), (2, 2), (0, 2), (0, 0)], np.int32)
# How many rooms the limit of steps counts, by the number of quarters, from the center and from the first side room. The
# package has no level of two or three quarters from the center: 11 is that of two from the side, 18 lies in between.
VISITED_FROM_CENTER = (5, 11, 18, 25)
VISITED_FROM_SIDE = (4, 11)


@dataclasses.dataclass(frozen=True)
class ObstructedMaze(_Obstructed):
    """Nine rooms around a center: the ball is in a corner, behind one of two locked doors.

    Attributes:
      num_quarters: how many of the four sides have doors, at most.
      from_center: whether the agent starts in the center, else in the first room beside it.
      keys_last: whether keys are placed after both doors of a room (version 1), so that no ball takes their place.
    """

    num_quarters: int
    from_center: bool
    keys_last: bool
    shape: ClassVar[Shape] = roomgrid.shape_of(3, 3, SIZE)

    @property
    def _limits(self) -> tuple[int, ...]:
        visited = VISITED_FROM_CENTER if self.from_center else VISITED_FROM_SIDE
        return tuple(4 * rooms * SIZE**2 for rooms in visited)

    @property
    def max_steps(self) -> int:
        return self._limits[self.num_quarters - 1]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        quarters = count_of("num_quarters", 1, self.num_quarters, "Sides of the center that have doors.")
        return (quarters, *super().parameters)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        quarters = placing.whole(values, "num_quarters")
        in_box, blocked = placing.flag(values, "key_in_box"), placing.flag(values, "blocked")
        key_colors, key_sides, key_rest = jax.random.split(key, 3)
        colors = placing.permutation(placing.rolls(key_colors, 6))
        rolls = placing.rolls(key_sides, 5 * self.num_quarters).reshape(self.num_quarters, 5)
        grid = roomgrid.walls(self.shape, 3, 3, SIZE)
        for i in range(self.num_quarters):
            furnished = self._furnish(rolls[i], grid, i, colors, in_box, blocked)
            grid = jnp.where(i < quarters, furnished, grid)
        roll_corner, roll_ball, roll_agent = placing.rolls(key_rest, 3)
        corner_i, corner_j = jnp.asarray(CORNERS)[placing.below(roll_corner, quarters)]
        corner = roomgrid.room(self.shape, SIZE, corner_i, corner_j)
        grid = placing.put_at(grid, *placing.choose_cell(roll_ball, placing.is_free(grid) & corner), TARGET)
        start = (1, 1) if self.from_center else SIDES[0]
        pose = roomgrid.place_agent(roll_agent, grid, roomgrid.room(self.shape, SIZE, *start))
        limit = jnp.asarray(self._limits, jnp.int32)[quarters - 1]
        return placing.level(grid, pose, sentence(MISSION), ObjectGoal(jnp.uint32(1)), limit)

    def _furnish(
        self,
        rolls: jax.Array,
        grid: jax.Array,
        side: int,
        colors: jax.Array,
        in_box: jax.Array,
        blocked: jax.Array,
    ) -> jax.Array:
        """The grid with the doors of one side and their keys, out of 5 rolls; `colors` are (6,)."""
        i, j = SIDES[side]
        room = roomgrid.room(self.shape, SIZE, i, j)
        door = roomgrid.door_in(rolls[0], SIZE, 1, 1, side)
        grid = placing.put_at(grid, *door, cells.word(cells.DOOR, colors[side], cells.CLOSED))
        for turn, step in enumerate((-1, 1)):
            wall, color = (side + step) % 4, colors[(side + step) % 6]
            door = roomgrid.door_in(rolls[1 + turn], SIZE, i, j, wall)
            grid = self._lock(grid, door, wall, color, blocked)
            if not self.keys_last:
                grid = self._hide(rolls[3 + turn], grid, room, color, in_box)
        for turn, step in enumerate((-1, 1) if self.keys_last else ()):
            grid = self._hide(rolls[3 + turn], grid, room, colors[(side + step) % 6], in_box)
        return grid
