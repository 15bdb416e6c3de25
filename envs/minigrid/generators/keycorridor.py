"""Rooms along a corridor, one of them locked (minigrid 3.2, KeyCorridorEnv).

Letters: H rows, W columns, R rows of rooms.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ...tasks import Parameter
from .. import cells
from ..level import Level
from ..rules import ObjectGoal, PickUpObject, Rule
from . import placing, roomgrid
from .family import Generator, count_of
from .placing import Shape
from .roomgrid import NEVER, THERE, Connections
from .wording import COLORS_SORTED, color_word, fill_in, sentence

COLUMNS = 3


@dataclasses.dataclass(frozen=True)
class KeyCorridor(Generator):
    """Find the key in a room on the left and pick up the ball in the locked room on the right.

    Attributes:
      room_size: cells along a side of the largest rooms, walls included.
      num_rows: R, the most rows of rooms.
    """

    room_size: int
    num_rows: int

    @property
    def shape(self) -> Shape:
        return roomgrid.shape_of(COLUMNS, self.num_rows, self.room_size)

    @property
    def rule(self) -> Rule:
        return PickUpObject()

    @property
    def missions(self) -> tuple[str, ...]:
        return fill_in("pick up the {color} ball", color=COLORS_SORTED)

    @property
    def max_steps(self) -> int:
        return 30 * self.room_size**2

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            count_of("room_size", 3, self.room_size, "Side of a room, walls included.", "cells"),
            count_of("num_rows", 1, self.num_rows, "Rows of rooms."),
        )

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size, rows = placing.whole(values, "room_size"), placing.whole(values, "num_rows")
        shape, step = self.shape, size - 1
        key_things, key_doors = jax.random.split(key)
        rolls = placing.rolls(key_things, 8)
        behind, key_row = placing.below(rolls[0], rows), placing.below(rolls[1], rows)
        lock_color, ball_color = placing.below(rolls[2:4], 6)
        grid = roomgrid.walls(shape, COLUMNS, rows, size)
        corridor = placing.rectangle(shape, step + 1, 1, step - 1, rows * step - 1)
        grid = placing.put(grid, corridor, cells.EMPTY)
        door_x, door_y = roomgrid.door_in(rolls[4], size, 2, behind, roomgrid.LEFT)
        grid = placing.put_at(grid, door_x, door_y, cells.word(cells.DOOR, lock_color, cells.LOCKED))
        pose = roomgrid.default_pose(COLUMNS, rows, size)
        ball_at = roomgrid.place(rolls[5], grid, roomgrid.room(shape, size, 2, behind), pose)
        grid = placing.put_at(grid, *ball_at, cells.word(cells.BALL, ball_color, 0, 1))
        key_at = roomgrid.place(rolls[6], grid, roomgrid.room(shape, size, 0, key_row), pose)
        grid = placing.put_at(grid, *key_at, cells.word(cells.KEY, lock_color))
        pose = roomgrid.place_agent(rolls[7], grid, roomgrid.room(shape, size, 1, rows // 2))
        grid = self._connect(key_doors, grid, behind, rows, size)
        mission = sentence("pick up the", color_word(ball_color), "ball")
        return placing.level(grid, pose, mission, ObjectGoal(jnp.uint32(1)), 30 * size**2)

    def _connect(
        self, key: jax.Array, grid: jax.Array, behind: jax.Array, rows: jax.Array, size: jax.Array
    ) -> jax.Array:
        """The grid with doors to every room, none other to the locked one. Consumes `key`."""
        most = self.num_rows
        walls = (COLUMNS - 1) * most + COLUMNS * (most - 1)
        rolls = placing.rolls(key, 3 * walls).reshape(3, walls)
        weights, places = (_by_wall(rolls[i], most) for i in (0, 1))
        i, j = np.arange(COLUMNS, dtype=np.int32)[None, :], np.arange(most, dtype=np.int32)[:, None]
        never = jnp.uint32(NEVER)
        locked_door = (j == behind) & (i[:, : COLUMNS - 1] == 1)
        right = jnp.where(locked_door, jnp.uint32(THERE), jnp.where(j < rows, weights.right, never))
        shut = (i == 2) & ((j[:-1] == behind) | (j[:-1] == behind - 1))
        down = jnp.where(i == 1, jnp.uint32(THERE), jnp.where(shut, never, weights.down))
        down = jnp.where(j[:-1] < rows - 1, down, never)
        exists = jnp.broadcast_to(j < rows, (most, COLUMNS))
        added = roomgrid.flat(roomgrid.connect_all(Connections(right, down), exists))
        x, y = (roomgrid.flat(c) for c in roomgrid.doors_in(places, size))
        words = cells.word(cells.DOOR, placing.below(rolls[2], 6), cells.CLOSED)
        return placing.put_all(grid, jnp.where(added, x, -1), y, words)


def _by_wall(rolls: jax.Array, rows: int) -> Connections:
    split = (COLUMNS - 1) * rows
    return Connections(rolls[:split].reshape(rows, COLUMNS - 1), rolls[split:].reshape(rows - 1, COLUMNS))
