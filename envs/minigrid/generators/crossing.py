"""Rivers to cross and a hallway to remember something along: levels of odd sizes.

Letters: H rows, W columns, N openings, K places for rivers along a side.
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
from ..rules import ChooseFork, ForkGoal, Nothing, Rule
from . import placing
from .family import Square, count_of, switch
from .placing import Whole
from .rooms import START, corner_goal
from .wording import GET_TO_GOAL, sentence

ACROSS_LAVA = f"avoid the lava and {GET_TO_GOAL}"
THROUGH_WALLS = f"find the opening and {GET_TO_GOAL}"


@dataclasses.dataclass(frozen=True)
class Crossing(Square):
    """Rivers of lava, or walls, each with one opening (minigrid 3.2, CrossingEnv).

    Rivers lie in even rows and columns, so a size is odd and set by how many places for rivers a side has.

    Attributes:
      num_crossings: the most rivers there are.
      lava: whether they are lava by default, else walls.
    """

    num_crossings: int
    lava: bool = True

    @property
    def missions(self) -> tuple[str, ...]:
        return (ACROSS_LAVA, THROUGH_WALLS)

    @property
    def places(self) -> int:
        """K, at most."""
        return (self.size - 3) // 2

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            count_of("river_places", 1, self.places, "Places for rivers along a side; 3 cells wider than twice that."),
            count_of("num_crossings", 1, self.num_crossings, "Rivers; not more than there are places."),
            switch("lava", self.lava, "Whether rivers are lava, else walls."),
        )

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        lava = placing.flag(values, "lava")
        size = 2 * placing.whole(values, "river_places") + 3
        key_rivers, key_openings = jax.random.split(key)
        upright, level = self._rivers(key_rivers, values)
        inside = placing.rectangle(self.shape, 1, 1, size - 2, size - 2)
        rivers = (_lines(upright, self.size)[None, :] | _lines(level, self.size)[:, None]) & inside
        grid = placing.put(corner_goal(self.shape, size), rivers, jnp.where(lava, cells.LAVA, cells.WALL))
        for x, y in self._openings(key_openings, upright, level, size):
            grid = placing.put_at(grid, x, y, cells.EMPTY)
        mission = jnp.where(lava, sentence(ACROSS_LAVA), sentence(THROUGH_WALLS))
        return placing.level(grid, START, mission, Nothing(), self.limit(size))

    def _rivers(self, key: jax.Array, values: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Where there are upright and level rivers, (K,) bool each. Consumes `key`."""
        places = placing.whole(values, "river_places")
        fits = np.tile(np.arange(self.places, dtype=np.int32), 2) < places
        # Places that do not fit come last in the order from which the first rivers are taken.
        words = jnp.where(fits, placing.rolls(key, 2 * self.places), np.uint32(0xFFFFFFFF))
        rank = placing.permutation(words)
        chosen = (rank < placing.whole(values, "num_crossings")) & fits
        return chosen[: self.places], chosen[self.places :]

    def _openings(
        self, key: jax.Array, upright: jax.Array, level: jax.Array, size: jax.Array
    ) -> list[tuple[jax.Array, jax.Array]]:
        """N cells (x, y) along a way to the goal that crosses every river once, in random order. Consumes `key`.

        Each opening lies somewhere along the side of the field, between rivers, that the way has come to.
        """
        words = placing.rolls(key, 2 * self.num_crossings)
        at = 2 + 2 * np.arange(self.places, dtype=np.int32)
        x = y = jnp.zeros((), jnp.int32)  # the rivers, or walls, that bound the field on its near sides
        openings = []
        for i in range(self.num_crossings):
            ahead, under = (rivers & (at > near) for rivers, near in ((upright, x), (level, y)))
            next_x, next_y = (jnp.min(jnp.where(rest, at, size - 1)) for rest in (ahead, under))
            num_ahead, num_under = (jnp.sum(rest, dtype=jnp.int32) for rest in (ahead, under))
            some = num_ahead + num_under > 0
            crosses = placing.below(words[2 * i], num_ahead + num_under) < num_ahead  # an upright one
            aside_x, aside_y = (
                near + 1 + placing.below(words[2 * i + 1], far - near - 1) for near, far in ((x, next_x), (y, next_y))
            )
            opening = (jnp.where(crosses, next_x, aside_x), jnp.where(crosses, aside_y, next_y))
            openings.append((jnp.where(some, opening[0], -1), opening[1]))
            x, y = jnp.where(some & crosses, next_x, x), jnp.where(some & ~crosses, next_y, y)
        return openings


def _lines(rivers: jax.Array, size: int) -> jax.Array:
    """(size,) bool: the rows, or columns, that rivers (K,) take."""
    spread = jnp.stack([jnp.zeros_like(rivers), rivers], axis=1).ravel()  # 2 K
    return jnp.concatenate([jnp.zeros(1, bool), spread, jnp.zeros(size - 1 - spread.shape[0], bool)])


@dataclasses.dataclass(frozen=True)
class Memory(Square):
    """An object to remember, a hallway, and two objects to choose from (minigrid 3.2, MemoryEnv).

    The hallway runs through the middle row, so a size is odd and set by its half.

    Attributes:
      random_length: whether the hallway may end early by default.
    """

    steps_per_cell: ClassVar[int] = 5
    random_length: bool = False
    missions: ClassVar[tuple[str, ...]] = ("go to the matching object at the end of the hallway",)

    @property
    def rule(self) -> Rule:
        return ChooseFork()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            count_of("half_size", 3, self.size // 2, "Rows above the hallway; 1 cell wider than twice that.", "cells"),
            switch("random_length", self.random_length, "Whether the hallway may end before the far wall."),
        )

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        middle = placing.whole(values, "half_size")
        size = 2 * middle + 1
        roll_end, roll_agent, roll_first, roll_order = placing.rolls(key, 4)
        any_end = 4 + placing.below(roll_end, size - 6)
        end = jnp.where(placing.flag(values, "random_length"), any_end, size - 3)
        grid = self._walls(size, middle, end)
        key_first, key_above = placing.coin(roll_first), placing.coin(roll_order)
        things: list[tuple[Whole, Whole, jax.Array]] = [
            (1, middle - 1, key_first),
            (end + 1, middle - 2, key_above),
            (end + 1, middle + 2, ~key_above),
        ]
        for x, y, is_key in things:
            kind = jnp.where(is_key, jnp.uint32(cells.KEY), jnp.uint32(cells.BALL))
            grid = placing.put_at(grid, x, y, cells.word(kind, cells.GREEN))
        pose = (1 + placing.below(roll_agent, end), middle, 0)
        up = jnp.where(key_first == key_above, 1, -1)  # to the success, as seen from the failure
        goal = ForkGoal(success_x=end + 1, success_y=middle - up, failure_x=end + 1, failure_y=middle + up)
        return placing.level(grid, pose, sentence(*self.missions), goal, self.limit(size))

    def _walls(self, size: jax.Array, middle: jax.Array, end: jax.Array) -> jax.Array:
        """(H, W) uint32: the starting room, the hallway and the fork at its end."""
        x, y = placing.columns(self.shape), placing.rows(self.shape)
        aside = jnp.abs(y - middle)
        room = (aside == 2) & ((x >= 1) & (x <= 4))
        hallway = (aside == 1) & ((x >= 4) & ((x < end) | (x == 4)))
        fork = ((x == end) & (aside > 0)) | (x == end + 2)
        inside = placing.rectangle(self.shape, 0, 0, size, size)
        return placing.put(placing.room(self.shape, size, size), (room | hallway | fork) & inside, cells.WALL)
