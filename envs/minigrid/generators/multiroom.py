"""Rooms behind rooms, each entered through a door of the last (minigrid 3.2, MultiRoomEnv).

The package places rooms by recursion, but a call fails only where its own room does not fit, so the search is a chain:
a room, up to 8 tries at a next one, and all over again, from a new first room, once 8 tries have failed.

Letters: H rows, W columns, N rooms, T tries.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...tasks import Parameter
from .. import cells
from ..level import Level
from ..rules import Nothing
from . import placing
from .family import Generator, count_of
from .placing import Shape
from .wording import sentence

SMALLEST = 4
TRIES = 8
MOST_ROUNDS = 1024
"""Rounds of 8 tries. The hardest id, six rooms of up to ten cells, is done after 15 in the mean and 136 at most of
100,000 levels. The share not done falls by a twelfth with each round, so that one level in 10**38 stays shorter."""
RIGHT, DOWN, LEFT, UP = range(4)


class Rooms(NamedTuple):
    """N rooms, or T tries at one."""

    x: jax.Array  # (N,) int32, the upper left corner, walls included
    y: jax.Array  # (N,) int32
    width: jax.Array  # (N,) int32
    height: jax.Array  # (N,) int32
    door_x: jax.Array  # (N,) int32, where it is entered; means nothing for the first
    door_y: jax.Array  # (N,) int32
    entry: jax.Array  # (N,) int32, in which of its walls: right, down, left, up

    def pick(self, index: jax.Array) -> "Rooms":
        """One of them, () each."""
        return Rooms(*(field[index] for field in self))


class _Search(NamedTuple):
    key: jax.Array
    rounds: jax.Array  # () int32
    length: jax.Array  # () int32, rooms of the chain so far
    rooms: Rooms


@dataclasses.dataclass(frozen=True)
class MultiRoom(Generator):
    """A chain of rooms; all else is empty, though out of reach.

    Attributes:
      num_rooms: how many there are at most.
      max_room_size: cells along their longest sides at most, walls included.
    """

    num_rooms: int
    max_room_size: int = 10
    shape: ClassVar[Shape] = (25, 25)
    missions: ClassVar[tuple[str, ...]] = ("traverse the rooms to get to the goal",)

    @property
    def max_steps(self) -> int:
        return 20 * self.num_rooms

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            count_of("num_rooms", 2, self.num_rooms, "Rooms of the chain."),
            count_of("max_room_size", SMALLEST, self.max_room_size, "Longest side of a room, walls included.", "cells"),
        )

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_rooms, key_rest = jax.random.split(key)
        count, rooms = find_rooms(
            key_rooms, placing.whole(values, "num_rooms"), self.num_rooms, placing.whole(values, "max_room_size")
        )
        roll_agent, roll_goal, (roll_turn, *roll_color) = jnp.split(placing.rolls(key_rest, 5 + self.num_rooms), [2, 4])
        grid = _draw(rooms, count, _door_colors(jnp.stack(roll_color)))
        first, last = rooms.pick(jnp.int32(0)), rooms.pick(count - 1)
        pose = (*_cell_in(roll_agent, first), placing.below(roll_turn, 4))
        grid = placing.put_at(grid, *_cell_in(roll_goal, last), cells.GOAL)
        return placing.level(grid, pose, sentence(*self.missions), Nothing(), 20 * count)


def find_rooms(key: jax.Array, wanted: jax.Array, most: int, largest: jax.Array) -> tuple[jax.Array, Rooms]:
    """A chain of rooms. Consumes `key`.

    Args:
      wanted: () int32, how many.
      most: N.
      largest: () int32, the longest side.

    Returns:
      () int32, how many there are: `wanted`, but for what `MOST_ROUNDS` says; and the rooms, N of them.
    """
    height, width = MultiRoom.shape
    nowhere = Rooms(*(jnp.zeros(most, jnp.int32) for _ in Rooms._fields))

    def is_on(search: _Search) -> jax.Array:
        return (search.length < wanted) & (search.rounds < MOST_ROUNDS)

    def extend(search: _Search) -> _Search:
        key, key_tries = jax.random.split(search.key)
        rolls = placing.rolls(key_tries, 5 * TRIES).reshape(5, TRIES)
        tries = _next_rooms(rolls, search.rooms.pick(jnp.maximum(search.length - 1, 0)), largest)
        firsts = _first_rooms(rolls, largest, width)
        is_first = search.length == 0
        tries = Rooms(*(jnp.where(is_first, a, b) for a, b in zip(firsts, tries, strict=True)))
        fits = _is_inside(tries, width, height) & ~_overlaps(tries, search.rooms, search.length - 1)
        found = jnp.any(fits)
        best = tries.pick(jnp.argmax(fits))
        here = (np.arange(most, dtype=np.int32) == search.length) & found
        rooms = Rooms(*(jnp.where(here, new, old) for new, old in zip(best, search.rooms, strict=True)))
        return _Search(key, search.rounds + 1, jnp.where(found, search.length + 1, 0), rooms)

    start = _Search(key, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), nowhere)
    search = jax.lax.while_loop(is_on, extend, start)
    return jnp.maximum(search.length, 1), search.rooms


def _sides(rolls: jax.Array, largest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(width, height) (T,) of rooms out of rolls (2, T)."""
    width, height = SMALLEST + placing.below(rolls, largest - SMALLEST + 1)
    return width, height


def _first_rooms(rolls: jax.Array, largest: jax.Array, size: int) -> Rooms:
    """Tries (T,) at the first room, out of rolls (5, T): anywhere; it counts as entered from the left."""
    width, height = _sides(rolls[:2], largest)
    x, y = placing.below(rolls[2:4], size - 2)
    return Rooms(x, y, width, height, x, y, jnp.full_like(x, LEFT))


def _next_rooms(rolls: jax.Array, last: Rooms, largest: jax.Array) -> Rooms:
    """Tries (T,) at a room behind the last () one, out of rolls (5, T).

    The door is in any wall but the one through which the last room was entered, and not at its ends; nor is it at the
    ends of the new room's wall.
    """
    width, height = _sides(rolls[:2], largest)
    exits = placing.other_than(placing.below(rolls[2], 3), last.entry)
    entry = (exits + 2) % 4
    level = (exits == RIGHT) | (exits == LEFT)  # the door is in an upright wall
    along = 1 + placing.below(rolls[3], jnp.where(level, last.height, last.width) - 2)
    far_x, far_y = last.x + last.width - 1, last.y + last.height - 1
    door_x = jnp.where(exits == RIGHT, far_x, jnp.where(exits == LEFT, last.x, last.x + along))
    door_y = jnp.where(exits == DOWN, far_y, jnp.where(exits == UP, last.y, last.y + along))
    before = 1 + placing.below(rolls[4], jnp.where(level, height, width) - 2)
    x = jnp.where(level, jnp.where(entry == LEFT, door_x, door_x - width + 1), door_x - before)
    y = jnp.where(level, door_y - before, jnp.where(entry == UP, door_y, door_y - height + 1))
    return Rooms(x, y, width, height, door_x, door_y, entry)


def _is_inside(rooms: Rooms, width: int, height: int) -> jax.Array:
    """(T,) bool. The lowest row stays free, the rightmost column need not: so in the package."""
    fits_x = (rooms.x >= 0) & (rooms.x + rooms.width <= width)
    return fits_x & (rooms.y >= 0) & (rooms.y + rooms.height < height)


def _overlaps(tries: Rooms, rooms: Rooms, count: jax.Array) -> jax.Array:
    """(T,) bool: whether a try meets one of the first `count` of N rooms, or leaves no gap to its right or below.

    The package asks for the gap on two sides only, and leaves out the room that is the try's own door's.
    """
    apart_x = ((tries.x + tries.width)[:, None] < rooms.x[None, :]) | (
        (rooms.x + rooms.width)[None, :] <= tries.x[:, None]
    )
    apart_y = ((tries.y + tries.height)[:, None] < rooms.y[None, :]) | (
        (rooms.y + rooms.height)[None, :] <= tries.y[:, None]
    )
    counts = np.arange(rooms.x.shape[0], dtype=np.int32) < count
    return jnp.any(~(apart_x | apart_y) & counts[None, :], axis=1)


def _door_colors(rolls: jax.Array) -> jax.Array:
    """(N,) int32: any color that differs from the one before."""
    first, steps = placing.below(rolls[:1], 6), 1 + placing.below(rolls[1:], 5)
    return jnp.cumsum(jnp.concatenate([first, steps]), dtype=jnp.int32) % 6


def _draw(rooms: Rooms, count: jax.Array, colors: jax.Array) -> jax.Array:
    """(H, W) uint32: the walls of the first `count` of N rooms, a door in all but the first."""
    shape = MultiRoom.shape
    grid = jnp.full(shape, cells.EMPTY)
    for i in range(rooms.x.shape[0]):
        room = rooms.pick(jnp.int32(i))
        walls = placing.frame(shape, room.x, room.y, room.width, room.height)
        grid = placing.put(grid, walls & (i < count), cells.WALL)
    number = np.arange(rooms.x.shape[0], dtype=np.int32)
    there = (number > 0) & (number < count)
    words = cells.word(cells.DOOR, colors, cells.CLOSED)
    return placing.put_all(grid, jnp.where(there, rooms.door_x, -1), rooms.door_y, words)


def _cell_in(rolls: jax.Array, room: Rooms) -> tuple[jax.Array, jax.Array]:
    """(x, y) of any cell inside a room, out of 2 rolls."""
    return room.x + 1 + placing.below(rolls[0], room.width - 2), room.y + 1 + placing.below(rolls[1], room.height - 2)
