"""Doors to go to or to open, in rooms at fixed places: GoToDoor, RedBlueDoors, LockedRoom and Playground.

Letters: H rows, W columns, N doors or rooms.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ...tasks import Parameter
from .. import cells
from ..level import Level
from ..rules import DoneNearby, Nothing, OpenInOrder, PlaceGoal, Rule, TwoDoorsGoal
from . import placing, things
from .family import Generator, Square, count_of
from .placing import Shape
from .wording import COLORS_SORTED, color_word, fill_in, sentence


@dataclasses.dataclass(frozen=True)
class GoToDoor(Square):
    """Go to one of four doors and say so, in a room of any size (minigrid 3.2, GoToDoorEnv)."""

    see_through: ClassVar[bool] = True

    @property
    def rule(self) -> Rule:
        return DoneNearby()

    @property
    def missions(self) -> tuple[str, ...]:
        return fill_in("go to the {color} door", color=COLORS_SORTED)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("size", 5, self.size, "The largest width and height that the room may have.", "cells"),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size = placing.whole(values, "size")
        rolls = placing.rolls(key, 15)
        width, height = (5 + placing.below(roll, size - 4) for roll in rolls[:2])
        along, down = 2 + placing.below(rolls[2:4], width - 4), 2 + placing.below(rolls[4:6], height - 4)
        x = jnp.stack([along[0], along[1], jnp.zeros((), jnp.int32), width - 1])
        y = jnp.stack([jnp.zeros((), jnp.int32), height - 1, down[0], down[1]])
        color = placing.permutation(rolls[6:12])[:4]
        # What lies outside of the room is empty, and only beyond the level walled.
        field = placing.rectangle(self.shape, 0, 0, size, size) & ~placing.frame(self.shape, 0, 0, width, height)
        grid = jnp.where(field, cells.EMPTY, cells.WALL)
        grid = placing.put_all(grid, x, y, cells.word(cells.DOOR, color, cells.CLOSED))
        inside = placing.rectangle(self.shape, 1, 1, width - 2, height - 2)
        pose = (*placing.choose_cell(rolls[12], inside), placing.below(rolls[13], 4))
        target = placing.below(rolls[14], 4)
        mission = sentence("go to the", color_word(color[target]), "door")
        return placing.level(grid, pose, mission, PlaceGoal(x=x[target], y=y[target]), self.limit(size))


@dataclasses.dataclass(frozen=True)
class RedBlueDoors(Generator):
    """A room between two others, a red door on its left and a blue one on its right (minigrid 3.2, RedBlueDoorEnv).

    Attributes:
      size: the largest height, and half the width.
    """

    size: int
    missions: ClassVar[tuple[str, ...]] = ("open the red door then the blue door",)

    @property
    def shape(self) -> Shape:
        return self.size, 2 * self.size

    @property
    def rule(self) -> Rule:
        return OpenInOrder()

    @property
    def max_steps(self) -> int:
        return 20 * self.size**2

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("size", 5, self.size, "Height of the level and half its width.", "cells"),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size = placing.whole(values, "size")
        roll_red, roll_blue, roll_agent, roll_turn = placing.rolls(key, 4)
        left, right = size // 2, size // 2 + size - 1
        red, blue = (1 + placing.below(roll, size - 2) for roll in (roll_red, roll_blue))
        grid = placing.room(self.shape, 2 * size, size)
        grid = placing.put(grid, placing.frame(self.shape, left, 0, size, size), cells.WALL)
        grid = placing.put_at(grid, left, red, cells.word(cells.DOOR, cells.RED, cells.CLOSED))
        grid = placing.put_at(grid, right, blue, cells.word(cells.DOOR, cells.BLUE, cells.CLOSED))
        inside = placing.rectangle(self.shape, left + 1, 1, size - 2, size - 2)
        pose = (*placing.choose_cell(roll_agent, inside), placing.below(roll_turn, 4))
        goal = TwoDoorsGoal(first_x=left, first_y=red, second_x=right, second_y=blue)
        return placing.level(grid, pose, sentence(*self.missions), goal, 20 * size**2)


@dataclasses.dataclass(frozen=True)
class LockedRoom(Generator):
    """Six rooms along a hallway: one is locked and has the goal, another has the key (minigrid 3.2, LockedRoomEnv)."""

    shape: ClassVar[Shape] = (19, 19)
    max_steps: ClassVar[int] = 10 * 19

    @property
    def missions(self) -> tuple[str, ...]:
        template = "get the {a} key from the {b} room, unlock the {a} door and go to the goal"
        return tuple(template.format(a=a, b=b) for a in COLORS_SORTED for b in COLORS_SORTED if a != b)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        rolls = placing.rolls(key, 14)
        locked = placing.below(rolls[0], 6)
        key_room = placing.other_than(placing.below(rolls[1], 5), locked)
        color = placing.permutation(rolls[2:8])
        state = jnp.where(np.arange(6, dtype=np.int32) == locked, jnp.uint32(cells.LOCKED), jnp.uint32(cells.CLOSED))
        side, row = np.arange(6, dtype=np.int32) % 2, np.arange(6, dtype=np.int32) // 2
        door_x, door_y = jnp.asarray(7 + 4 * side), jnp.asarray(6 * row + 3)
        grid = placing.put_all(self._walls(), door_x, door_y, cells.word(cells.DOOR, color, state))
        grid = placing.put_at(grid, *self._cell_in(rolls[8:10], locked), cells.GOAL)
        grid = placing.put_at(grid, *self._cell_in(rolls[10:12], key_room), cells.word(cells.KEY, color[locked]))
        hallway = placing.rectangle(self.shape, 8, 1, 3, 17)
        pose = (*placing.choose_cell(rolls[12], hallway), placing.below(rolls[13], 4))
        this, there = color_word(color[locked]), color_word(color[key_room])
        mission = sentence("get the", this, "key from the", there, "room, unlock the", this, "door and go to the goal")
        return placing.level(grid, pose, mission, Nothing(), self.max_steps)

    def _walls(self) -> jax.Array:
        x, y = placing.columns(self.shape), placing.rows(self.shape)
        walls = (x == 7) | (x == 11) | ((y % 6 == 0) & ((x < 7) | (x > 11)))
        return placing.put(placing.room(self.shape, 19, 19), jnp.asarray(walls), cells.WALL)

    def _cell_in(self, rolls: jax.Array, room: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(x, y) of any cell of a room, out of 2 rolls; rooms count in pairs, left and right, downward."""
        x = 1 + 11 * (room % 2) + placing.below(rolls[0], 6)
        return x, 1 + 6 * (room // 2) + placing.below(rolls[1], 5)


@dataclasses.dataclass(frozen=True)
class Playground(Generator):
    """Nine rooms with doors and things, without a task (minigrid 3.2, PlaygroundEnv)."""

    shape: ClassVar[Shape] = (19, 19)
    missions: ClassVar[tuple[str, ...]] = ("",)
    max_steps: ClassVar[int] = 100
    num_objects: ClassVar[int] = 12

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("num_objects", 0, self.num_objects, "Keys, balls and boxes."),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_doors, key_things = jax.random.split(key)
        rolls = placing.rolls(key_things, 2 + 2 * self.num_objects)
        grid = self._doors(key_doors)
        pose = (*placing.choose_cell(rolls[0], placing.is_free(grid)), placing.below(rolls[1], 4))
        kind, color = things.look(placing.below(rolls[2 : 2 + self.num_objects], things.LOOKS))
        occupied = placing.put_at(grid, pose[0], pose[1], cells.WALL)  # nothing lies where the agent stands
        count = placing.whole(values, "num_objects")
        x, y = things.scatter(rolls[2 + self.num_objects :], occupied, count, self._cell)
        grid = placing.put_all(grid, x, y, cells.word(kind, color))
        return placing.level(grid, pose, sentence(*self.missions, np.zeros(1, np.uint8)), Nothing(), self.max_steps)

    def _cell(self, x: jax.Array, y: jax.Array) -> jax.Array:
        return placing.cell(self.shape, x, y)

    def _doors(self, key: jax.Array) -> jax.Array:
        """(H, W) uint32: walls between the rooms with a door in each, never in the last cell. Consumes `key`."""
        x, y = placing.columns(self.shape), placing.rows(self.shape)
        walls = jnp.asarray((x % 6 == 0) | (y % 6 == 0))
        rolls = placing.rolls(key, 24)
        across, along = np.divmod(np.arange(6, dtype=np.int32), 3)
        line, place = jnp.asarray(6 * across + 6), 6 * along[None, :] + 1 + placing.below(rolls[:12].reshape(2, 6), 4)
        words = cells.word(cells.DOOR, placing.below(rolls[12:], 6), cells.CLOSED)
        grid = jnp.where(walls, cells.WALL, cells.EMPTY)
        return placing.put_all(grid, jnp.concatenate([line, place[0]]), jnp.concatenate([place[1], line]), words)
