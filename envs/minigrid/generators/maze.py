"""BabyAI's maze of rooms with one thing to go to (minigrid 3.2, GoTo with one distractor: the GoToObjMaze ids).

Letters: H rows, W columns, D walls between rooms.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import cells
from ..instructions import GO_TO, FollowInstruction
from ..level import Level
from ..rules import Rule
from . import placing, roomgrid, things
from .describing import instruct
from .family import Generator
from .placing import Shape
from .reaching import as_rows, as_rows_at, can_reach, until_accepted
from .roomgrid import Connections, Pose
from .wording import COLORS_SORTED, color_word, fill_in, kind_word, sentence


class _Maze(NamedTuple):
    """Where everything is."""

    pose: Pose
    door_x: jax.Array  # (D,) int32, negative for no door
    door_y: jax.Array  # (D,) int32
    x: jax.Array  # () int32, the thing
    y: jax.Array  # () int32


@dataclasses.dataclass(frozen=True)
class GoToObjMaze(Generator):
    """Rooms with as many doors as it takes to reach all of them.

    A level is made anew where the thing keeps the agent from a door.

    Attributes:
      room_size: cells along a side of a room, walls included.
      side: rooms along a side of the maze.
      doors_open: whether doors are open, else closed.
    """

    room_size: int = 8
    side: int = 3
    doors_open: bool = False

    @property
    def shape(self) -> Shape:
        return roomgrid.shape_of(self.side, self.side, self.room_size)

    @property
    def rule(self) -> Rule:
        return FollowInstruction()

    @property
    def missions(self) -> tuple[str, ...]:
        return fill_in("go to the {color} {kind}", color=COLORS_SORTED, kind=("key", "ball", "box"))

    @property
    def max_steps(self) -> int:
        return (self.room_size * self.side) ** 2

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_maze, key_looks = jax.random.split(key)
        maze = until_accepted(key_maze, self._attempt)
        num_doors = maze.door_x.shape[0]
        rolls = placing.rolls(key_looks, 1 + num_doors)
        kind, color = things.look(placing.below(rolls[0], things.LOOKS))
        state = cells.OPEN if self.doors_open else cells.CLOSED
        number = np.arange(2, num_doors + 2, dtype=np.uint32)
        doors = cells.word(cells.DOOR, placing.below(rolls[1:], 6), state, number)
        grid = roomgrid.walls(self.shape, self.side, self.side, self.room_size)
        grid = placing.put_all(grid, maze.door_x, maze.door_y, doors)
        grid = placing.put_at(grid, maze.x, maze.y, cells.word(kind, color, 0, 1))
        mission = sentence("go to the", color_word(color), kind_word(kind))
        x, y = (jnp.concatenate([thing[None], door]) for thing, door in ((maze.x, maze.door_x), (maze.y, maze.door_y)))
        goal = instruct(GO_TO, jnp.arange(num_doors + 1) == 0, x, y)
        return placing.level(grid, maze.pose, mission, goal, self.max_steps)

    def _attempt(self, key: jax.Array) -> tuple[jax.Array, _Maze]:
        """One maze, and whether everything in it can be reached. Consumes `key`."""
        key_things, key_doors = jax.random.split(key)
        rolls = placing.rolls(key_things, 8)
        inside, step = self.room_size - 2, self.room_size - 1
        room_x, room_y, thing_i, thing_j = placing.below(rolls[:4], self.side)
        aside, ahead = placing.below(rolls[4:6], inside)
        pose = Pose(1 + room_x * step + aside, 1 + room_y * step + ahead, placing.below(rolls[6], 4))
        door_x, door_y = self._doors(key_doors)
        # The thing's room alone: all of it is free but for the cells near the agent.
        across, down = (1 + room * step + np.arange(inside, dtype=np.int32) for room in (thing_i, thing_j))
        far = jnp.abs(across - pose.x)[None, :] + jnp.abs(down - pose.y)[:, None] > 1
        place_y, place_x = placing.choose(rolls[7], far)
        x, y = 1 + thing_i * step + place_x, 1 + thing_j * step + place_y
        free = placing.is_free(roomgrid.walls(self.shape, self.side, self.side, self.room_size))
        doors = as_rows_at(self.height, door_x, door_y)
        thing = as_rows_at(self.height, x[None], y[None])
        reached = can_reach((as_rows(free) | doors) & ~thing, pose.x, pose.y, doors | thing)
        return reached, _Maze(pose, door_x, door_y, x, y)

    def _doors(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(x, y) (D,) int32 of the doors that connect all rooms; x is -1 where there is none. Consumes `key`."""
        walls = self.side * (self.side - 1)
        shapes = (self.side, self.side - 1), (self.side - 1, self.side)
        weights, places = (
            Connections(*(half.reshape(shape) for half, shape in zip(rolls, shapes, strict=True)))
            for rolls in placing.rolls(key, 4 * walls).reshape(2, 2, walls)
        )
        added = roomgrid.flat(roomgrid.connect_all(weights))
        x, y = (roomgrid.flat(c) for c in roomgrid.doors_in(places, self.room_size))
        return jnp.where(added, x, -1), y
