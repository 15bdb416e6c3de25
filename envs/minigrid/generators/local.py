"""BabyAI's levels of a single room: go to, pick up or move one of several things.

Source: minigrid 3.2, GoToObj, GoToLocal, GoToRedBall, GoToRedBallGrey, GoToRedBlueBall, PickupLoc and PutNextLocal.
A level in which something cannot be reached is made anew.

Letters: H rows, W columns, N things.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...tasks import Parameter
from .. import cells
from ..instructions import GO_TO, PICK, PUT_NEXT, FollowInstruction
from ..level import Level
from ..rules import Rule
from . import placing, roomgrid, things
from .describing import LOCATION_WORDS, LOCATIONS, NO_LOCATION, instruct, located
from .family import Generator, count_of
from .placing import Shape
from .reaching import as_rows, as_rows_at, can_reach, until_accepted
from .roomgrid import Pose
from .wording import COLORS_SORTED, article, color_word, fill_in, kind_word, sentence

KINDS = ("key", "ball", "box")
RED_BALL, BLUE_BALL = (6 * KINDS.index("ball") + color for color in (cells.RED, cells.BLUE))


class _Room(NamedTuple):
    """Where the agent and N things are; x and y are negative for things that are not there."""

    pose: Pose
    x: jax.Array  # (N,) int32
    y: jax.Array  # (N,) int32


@dataclasses.dataclass(frozen=True)
class _Local(Generator):
    """A room with things.

    Attributes:
      room_size: its width and height.
      num_distractors: things in it at most; see `parameters` for which of them count.
    """

    room_size: int
    num_distractors: int

    @property
    def shape(self) -> Shape:
        return self.room_size, self.room_size

    @property
    def rule(self) -> Rule:
        return FollowInstruction()

    @property
    def max_steps(self) -> int:
        return self.room_size**2

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("num_distractors", 1, self.num_distractors, "Things in the room, the target among them."),)

    def _furnish(
        self, key: jax.Array, count: jax.Array, most: int, agent_first: bool = True
    ) -> tuple[jax.Array, _Room]:
        """Puts the agent and `count` of N = `most` things into the room; and whether all can be reached.

        Things do not lie beside the agent, or, if that comes last, beside the center.
        """
        roll_agent, roll_things = jnp.split(placing.rolls(key, 1 + most), [1])
        grid = roomgrid.walls(self.shape, 1, 1, self.room_size)
        inside = placing.is_free(grid)
        pose = roomgrid.default_pose(1, 1, self.room_size)
        if agent_first:
            pose = roomgrid.place_agent(roll_agent[0], grid, inside)
        apart = placing.put(grid, placing.is_near(self.shape, pose.x, pose.y), cells.WALL)
        x, y = things.scatter(roll_things, apart, count, functools.partial(placing.cell, self.shape))
        if not agent_first:
            anything = jnp.full(most, cells.word(cells.BALL))
            pose = roomgrid.place_agent(roll_agent[0], placing.put_all(grid, x, y, anything), inside)
        taken = as_rows_at(self.room_size, x, y)
        reached = can_reach(as_rows(inside) & ~taken, pose.x, pose.y, taken)
        return reached, _Room(pose, x, y)

    def _level(self, room: _Room, looks: jax.Array, mission: jax.Array, goal: object) -> Level:
        """The level with things of `looks` (N,)."""
        kind, color = things.look(looks)
        number = np.arange(1, looks.shape[0] + 1, dtype=np.uint32)
        grid = roomgrid.walls(self.shape, 1, 1, self.room_size)
        grid = placing.put_all(grid, room.x, room.y, cells.word(kind, color, 0, number))
        return placing.level(grid, room.pose, mission, goal, self.max_steps)


def _go_to(looks: jax.Array, target: jax.Array, room: _Room) -> tuple[jax.Array, object]:
    """(mission, goal) for going to anything that looks like the `target`-th thing."""
    matches = (looks == looks[target]) & (room.x >= 0)
    kind, color = things.look(looks[target])
    mission = sentence("go to", article(matches), color_word(color), kind_word(kind))
    return mission, instruct(GO_TO, matches, room.x, room.y)


@dataclasses.dataclass(frozen=True)
class GoToLocal(_Local):
    """Go to one of several things; GoToObj is the same with one."""

    @property
    def missions(self) -> tuple[str, ...]:
        articles = ("the", "a") if self.num_distractors > 1 else ("the",)
        return fill_in("go to {article} {color} {kind}", article=articles, color=COLORS_SORTED, kind=KINDS)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_room, key_looks, key_target = jax.random.split(key, 3)
        most, count = self.num_distractors, placing.whole(values, "num_distractors")
        room = until_accepted(key_room, lambda k: self._furnish(k, count, most))
        looks = placing.below(placing.rolls(key_looks, most), things.LOOKS)
        target = placing.below(placing.rolls(key_target, 1)[0], count)
        return self._level(room, looks, *_go_to(looks, target, room))


@dataclasses.dataclass(frozen=True)
class GoToRedBall(_Local):
    """Go to the red ball among distractors.

    Attributes:
      grey: whether all distractors are grey.
    """

    grey: bool = False

    @property
    def missions(self) -> tuple[str, ...]:
        several = self.num_distractors > 0 and not self.grey
        return ("go to the red ball", "go to a red ball") if several else ("go to the red ball",)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("num_distractors", 0, self.num_distractors, "Things in the room besides the red ball."),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_room, key_looks = jax.random.split(key)
        most, count = 1 + self.num_distractors, 1 + placing.whole(values, "num_distractors")
        room = until_accepted(key_room, lambda k: self._furnish(k, count, most))
        looks = placing.below(placing.rolls(key_looks, most), things.LOOKS)
        if self.grey:
            looks = looks // 6 * 6 + cells.GREY
        looks = looks.at[0].set(RED_BALL)
        return self._level(room, looks, *_go_to(looks, jnp.int32(0), room))


@dataclasses.dataclass(frozen=True)
class GoToRedBlueBall(_Local):
    """Go to the only red or blue ball among distractors."""

    @property
    def missions(self) -> tuple[str, ...]:
        return fill_in("go to the {color} ball", color=("blue", "red"))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("num_distractors", 0, self.num_distractors, "Things in the room besides the ball."),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_room, key_looks = jax.random.split(key)
        most, count = 1 + self.num_distractors, 1 + placing.whole(values, "num_distractors")
        room = until_accepted(key_room, lambda k: self._furnish(k, count, most))
        rolls = placing.rolls(key_looks, most)
        # Among the looks of the others there is neither ball: the package rejects levels that have one.
        looks = placing.below(rolls, things.LOOKS - 2)
        for ball in sorted((RED_BALL, BLUE_BALL)):
            looks = placing.other_than(looks, ball)
        looks = looks.at[0].set(jnp.where(placing.coin(rolls[0]), RED_BALL, BLUE_BALL))
        return self._level(room, looks, *_go_to(looks, jnp.int32(0), room))


@dataclasses.dataclass(frozen=True)
class PickupLoc(_Local):
    """Pick up what a color, a kind and a location describe, or some of these."""

    @property
    def missions(self) -> tuple[str, ...]:
        every = fill_in(
            "pick up {article} {color} {kind} {location}",
            article=("the", "a"),
            color=("", *COLORS_SORTED),
            kind=KINDS,
            location=("", *LOCATIONS),
        )
        # Every other one: a few are enough to draw from, and all words occur in them.
        return every[::2]

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_room, key_looks, key_description = jax.random.split(key, 3)
        most, count = self.num_distractors, placing.whole(values, "num_distractors")
        room = until_accepted(key_room, lambda k: self._furnish(k, count, most, agent_first=False))
        looks = placing.below(placing.rolls(key_looks, most), things.LOOKS)
        matches, words_of_it = _describe(key_description, looks, room)
        mission = sentence("pick up", article(matches), words_of_it)
        return self._level(room, looks, mission, instruct(PICK, matches, room.x, room.y))


def _describe(key: jax.Array, looks: jax.Array, room: _Room) -> tuple[jax.Array, jax.Array]:
    """A description of something that is there: which things (N,) it fits, and its words (6,). Consumes `key`.

    The package draws a color or none of 7, a kind of 3, and, half of the time, a location of 4, until something fits.
    It gives up after 101 draws and makes a new level, which happens to one in 10**11 and is left out here.
    """
    kind, color = things.look(looks)
    there = room.x >= 0
    everything = jnp.ones_like(there)
    has_color = jnp.stack([everything, *(color == c for c in range(6))])
    has_kind = jnp.stack([kind == cells.KEY + k for k in range(3)])
    has_location = jnp.concatenate([located(room.x, room.y, room.pose), jnp.stack([everything] * 4)])
    fits = has_color[:, None, None] & has_kind[None, :, None] & has_location[None, None, :] & there[None, None, None]
    of_color, of_kind, of_location = placing.choose(placing.rolls(key, 1)[0], jnp.any(fits, axis=-1))
    no_word = jnp.zeros(1, jnp.uint8)
    color_names = jnp.concatenate([no_word, color_word(jnp.arange(6))])
    location = jnp.asarray(LOCATION_WORDS)[jnp.minimum(of_location, NO_LOCATION)]
    described = sentence(color_names[of_color], kind_word(cells.KEY + of_kind), location)
    return fits[of_color, of_kind, of_location], described


@dataclasses.dataclass(frozen=True)
class PutNextLocal(_Local):
    """Put one thing next to another; no two look alike."""

    @property
    def missions(self) -> tuple[str, ...]:
        every = fill_in("the {color} {kind}", color=COLORS_SORTED, kind=KINDS)
        # Every other one: a few are enough to draw from, and all words occur in them.
        return tuple(f"put {a} next to {b}" for a in every for b in every if a != b)[::2]

    @property
    def max_steps(self) -> int:
        return 2 * self.room_size**2

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (count_of("num_distractors", 2, self.num_distractors, "Things in the room, both targets among them."),)

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        key_room, key_looks = jax.random.split(key)
        most, count = self.num_distractors, placing.whole(values, "num_distractors")

        def attempt(key: jax.Array) -> tuple[jax.Array, tuple[_Room, jax.Array, jax.Array]]:
            key_things, key_pair = jax.random.split(key)
            reached, room = self._furnish(key_things, count, most)
            roll_moved, roll_fixed = placing.rolls(key_pair, 2)
            moved = placing.below(roll_moved, count)
            fixed = placing.other_than(placing.below(roll_fixed, count - 1), moved)
            apart = jnp.abs(room.x[moved] - room.x[fixed]) + jnp.abs(room.y[moved] - room.y[fixed])
            return reached & (apart > 1), (room, moved, fixed)

        room, moved, fixed = until_accepted(key_room, attempt)
        looks = placing.permutation(placing.rolls(key_looks, things.LOOKS))[:most]
        this, that = (_named(looks[index]) for index in (moved, fixed))
        number = np.arange(most, dtype=np.int32)
        goal = instruct(PUT_NEXT, number == moved, room.x, room.y, number == fixed)
        return self._level(room, looks, sentence("put the", this, "next to the", that), goal)


def _named(look: jax.Array) -> jax.Array:
    """(2,) uint8: "red key"."""
    kind, color = things.look(look)
    return jnp.stack([color_word(color), kind_word(kind)])
