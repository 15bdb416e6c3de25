"""BabyAI's levels in which a door is to be opened.

Source: minigrid 3.2, OpenDoor, OpenRedDoor and UnlockLocal.

Letters: H rows, W columns, N doors or things.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ...tasks import Parameter
from .. import cells
from ..instructions import OPEN, FollowInstruction
from ..level import Level
from ..rules import Rule
from . import placing, roomgrid, things
from .describing import LOCATION_WORDS, LOCATIONS, instruct, located
from .family import Generator, count_of
from .placing import Shape
from .wording import COLORS_SORTED, article, color_word, fill_in, sentence

SIZE = 8  # of the rooms around the agent's
OPEN_THE_DOOR = "open the door"


class _Opening(Generator):
    """Open what the instruction says."""

    @property
    def rule(self) -> Rule:
        return FollowInstruction()


@dataclasses.dataclass(frozen=True)
class OpenDoor(_Opening):
    """A room with a door of another color in every wall.

    Attributes:
      by_color, by_location: how the door may be described.
      strict: whether toggling another door fails.
    """

    by_color: bool = True
    by_location: bool = True
    strict: bool = False
    shape: ClassVar[Shape] = roomgrid.shape_of(3, 3, SIZE)
    max_steps: ClassVar[int] = 9 * SIZE**2

    @property
    def missions(self) -> tuple[str, ...]:
        by_color = fill_in("open the {color} door", color=COLORS_SORTED)
        by_location = fill_in("open {article} door {where}", article=("the", "a"), where=LOCATIONS)
        return (*by_color,) * self.by_color + (*by_location,) * self.by_location

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        rolls = placing.rolls(key, 13)
        color = placing.permutation(rolls[:6])[:4]
        doors = [roomgrid.door_in(rolls[6 + wall], SIZE, 1, 1, wall) for wall in range(4)]
        x, y = (jnp.stack([jnp.asarray(door[axis], jnp.int32) for door in doors]) for axis in (0, 1))
        grid = roomgrid.walls(self.shape, 3, 3, SIZE)
        number = np.arange(1, 5, dtype=np.uint32)
        grid = placing.put_all(grid, x, y, cells.word(cells.DOOR, color, cells.CLOSED, number))
        pose = roomgrid.place_agent(rolls[10], grid, roomgrid.room(self.shape, SIZE, 1, 1))
        where = placing.below(rolls[11], len(LOCATIONS))
        located_there = located(x, y, pose)[where]
        is_by_color = placing.coin(rolls[12]) if self.by_location else jnp.ones((), bool)
        is_by_color = is_by_color & self.by_color
        matches = jnp.where(is_by_color, number == 1, located_there)
        named = sentence("open the", color_word(color[0]), "door")
        shown = sentence("open", article(matches), "door", jnp.asarray(LOCATION_WORDS)[where])
        mission = jnp.where(is_by_color, jnp.zeros_like(shown).at[: named.size].set(named), shown)
        goal = instruct(OPEN, matches, x, y, strict=self.strict)
        return placing.level(grid, pose, mission[: self.mission_length], goal, self.max_steps)


@dataclasses.dataclass(frozen=True)
class OpenRedDoor(_Opening):
    """Two small rooms with a red door between them."""

    shape: ClassVar[Shape] = roomgrid.shape_of(2, 1, 5)
    max_steps: ClassVar[int] = 2 * 5**2
    missions: ClassVar[tuple[str, ...]] = ("open the red door",)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        roll_door, roll_agent = placing.rolls(key, 2)
        door = roomgrid.door_in(roll_door, 5, 0, 0, roomgrid.RIGHT)
        grid = roomgrid.walls(self.shape, 2, 1, 5)
        grid = placing.put_at(grid, *door, cells.word(cells.DOOR, cells.RED, cells.CLOSED, 1))
        pose = roomgrid.place_agent(roll_agent, grid, roomgrid.room(self.shape, 5, 0, 0))
        x, y = (jnp.asarray(place, jnp.int32)[None] for place in door)
        goal = instruct(OPEN, jnp.ones(1, bool), x, y)
        return placing.level(grid, pose, sentence(*self.missions), goal, self.max_steps)


@dataclasses.dataclass(frozen=True)
class UnlockLocal(_Opening):
    """A room with a locked door and its key.

    Attributes:
      num_distractors: further things at most; no two look alike.
    """

    num_distractors: int = 0
    shape: ClassVar[Shape] = roomgrid.shape_of(3, 3, SIZE)
    max_steps: ClassVar[int] = 9 * SIZE**2
    missions: ClassVar[tuple[str, ...]] = (OPEN_THE_DOOR,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("num_distractors", 0, self.num_distractors, "Things in the room besides the key."),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        count = placing.whole(values, "num_distractors")
        most = self.num_distractors
        key_door, key_things, key_looks = jax.random.split(key, 3)
        rolls = placing.rolls(key_door, 4)
        color = placing.below(rolls[0], 6)
        doors = [roomgrid.door_in(rolls[1], SIZE, 1, 1, wall) for wall in range(4)]
        wall = placing.below(rolls[2], 4)
        door_x, door_y = (jnp.stack([jnp.asarray(door[axis]) for door in doors])[wall] for axis in (0, 1))
        room = roomgrid.room(self.shape, SIZE, 1, 1)
        grid = roomgrid.walls(self.shape, 3, 3, SIZE)
        grid = placing.put_at(grid, door_x, door_y, cells.word(cells.DOOR, color, cells.LOCKED, 1))
        center = roomgrid.default_pose(3, 3, SIZE)
        near = placing.is_near(self.shape, center.x, center.y)
        x, y = things.scatter(
            placing.rolls(key_things, 1 + most),
            placing.put(grid, near | ~room, cells.WALL),
            1 + count,
            lambda x, y: placing.cell(self.shape, x, y),
        )
        others = placing.permutation(placing.rolls(key_looks, things.LOOKS - 1))[:most]
        looks = jnp.concatenate([color[None], placing.other_than(others, color)])  # the first six are keys
        number = np.arange(2, most + 3, dtype=np.uint32)
        grid = placing.put_all(grid, x, y, cells.word(*things.look(looks), 0, number))
        pose = roomgrid.place_agent(rolls[3], grid, room)
        all_x, all_y = jnp.concatenate([door_x[None], x]), jnp.concatenate([door_y[None], y])
        goal = instruct(OPEN, jnp.arange(most + 2) == 0, all_x, all_y)
        return placing.level(grid, pose, sentence(OPEN_THE_DOOR), goal, self.max_steps)
