"""One room with things that a mission names: PutNear, Fetch and GoToObject.

Letters: H rows, W columns, N things.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...tasks import Parameter
from .. import cells, words
from ..level import Level
from ..rules import DoneNearby, FetchLook, LookGoal, NearGoal, PlaceGoal, PutNear, Rule
from . import placing
from .family import Square, count_of, size_of
from .wording import COLORS_SORTED, color_word, fill_in, kind_word, sentence

LOOKS = 18  # keys, balls and boxes of six colors


class Things(NamedTuple):
    """N things and where they are; x and y are negative for those that are not there."""

    kind: jax.Array  # (N,) uint32
    color: jax.Array  # (N,) uint32
    x: jax.Array  # (N,) int32
    y: jax.Array  # (N,) int32

    def pick(self, index: jax.Array) -> "Things":
        """One of them, () each."""
        return Things(*(field[index] for field in self))

    def words(self) -> jax.Array:
        """(N,) uint32."""
        return cells.word(self.kind, self.color)


def look(index: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(kind, color) uint32 of one of the `LOOKS`, of the shape of `index`."""
    return (cells.KEY + index // 6).astype(jnp.uint32), (index % 6).astype(jnp.uint32)


def scatter(
    roll: jax.Array, grid: jax.Array, count: jax.Array, rejects: Callable[[jax.Array, jax.Array], jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Places things one after another in free cells.

    Args:
      roll: (N,) uint32.
      grid: (H, W).
      count: () int32, how many of N are there.
      rejects: of a thing already placed (x, y), the cells (H, W) bool that no other may take.

    Returns:
      x, y, (N,) int32 each.
    """

    def put(allowed: jax.Array, thing: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        number, word = thing
        x, y = placing.choose_cell(word, allowed & (number < count))
        return allowed & ~rejects(x, y), (x, y)

    numbers = jnp.arange(roll.shape[0], dtype=jnp.int32)
    return jax.lax.scan(put, placing.is_free(grid), (numbers, roll))[1]


@dataclasses.dataclass(frozen=True)
class _OneRoom(Square):
    """A room with things.

    Attributes:
      num_objects: the most things there are.
    """

    num_objects: int
    see_through: ClassVar[bool] = True
    steps_per_cell: ClassVar[int] = 5

    def _room(self, values: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(size, number of things, grid (H, W))."""
        size = placing.whole(values, "size")
        return size, placing.whole(values, "num_objects"), placing.room(self.shape, size, size)

    def _own_cell(self, x: jax.Array, y: jax.Array) -> jax.Array:
        return placing.cell(self.shape, x, y)


def _agent(words: jax.Array, grid: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A pose in any free cell, out of 2 rolls."""
    return (*placing.choose_cell(words[0], placing.is_free(grid)), placing.below(words[1], 4))


@dataclasses.dataclass(frozen=True)
class PutNearThing(_OneRoom):
    """Put one thing near another (minigrid 3.2, PutNearEnv)."""

    @property
    def rule(self) -> Rule:
        return PutNear()

    @property
    def missions(self) -> tuple[str, ...]:
        things = fill_in("{color} {kind}", color=COLORS_SORTED, kind=("key", "ball", "box"))
        # Every other one: a few are enough to draw from, and all words occur in them.
        return tuple(f"put the {a} near the {b}" for a in things for b in things if a != b)[::2]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        # In a smaller room the first thing can leave no place for the second.
        return size_of(6, self.size), count_of("num_objects", 2, self.num_objects, "Things in the room.")

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size, count, grid = self._room(values)
        rolls = placing.rolls(key, LOOKS + 4 + self.num_objects)
        kind, color = look(placing.permutation(rolls[4 + self.num_objects :])[: self.num_objects])
        x, y = scatter(rolls[4 : 4 + self.num_objects], grid, count, self._around)
        things = Things(kind, color, x, y)
        grid = placing.put_all(grid, x, y, things.words())
        moved = placing.below(rolls[0], count)
        target = placing.below(rolls[1], count - 1)
        this, that = things.pick(moved), things.pick(placing.other_than(target, moved))
        goal = NearGoal(kind=this.kind, color=this.color, x=that.x, y=that.y)
        mission = sentence("put the", _words(this), "near the", _words(that))
        return placing.level(grid, _agent(rolls[2:4], grid), mission, goal, self.limit(size))

    def limit(self, size: Any) -> Any:
        """Five steps per row: so the package has it."""
        return 5 * size

    def _around(self, x: jax.Array, y: jax.Array) -> jax.Array:
        return placing.rectangle(self.shape, x - 1, y - 1, 3, 3)


@dataclasses.dataclass(frozen=True)
class Fetch(_OneRoom):
    """Pick up what looks like the mission says (minigrid 3.2, FetchEnv)."""

    @property
    def rule(self) -> Rule:
        return FetchLook()

    @property
    def missions(self) -> tuple[str, ...]:
        return fill_in("{verb} {color} {kind}", verb=_FETCH_VERBS, color=COLORS_SORTED, kind=("key", "ball"))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return size_of(5, self.size), count_of("num_objects", 1, self.num_objects, "Things in the room.")

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size, count, grid = self._room(values)
        most = self.num_objects
        rolls = placing.rolls(key, 4 + 2 * most)
        kind, color = look(placing.below(rolls[4 : 4 + most], 12))  # keys and balls only
        x, y = scatter(rolls[4 + most :], grid, count, self._own_cell)
        things = Things(kind, color, x, y)
        grid = placing.put_all(grid, x, y, things.words())
        target = things.pick(placing.below(rolls[0], count))
        verb = jnp.asarray(_FETCH_WORDS)[placing.below(rolls[1], len(_FETCH_VERBS))]
        goal = LookGoal(kind=target.kind, color=target.color)
        return placing.level(grid, _agent(rolls[2:4], grid), sentence(verb, _words(target)), goal, self.limit(size))


_FETCH_VERBS = ("get a", "go get a", "fetch a", "go fetch a", "you must fetch a")
_FETCH_WORDS = np.stack([words.encode(verb, 4) for verb in _FETCH_VERBS])


@dataclasses.dataclass(frozen=True)
class GoToThing(_OneRoom):
    """Go to a thing and say so (minigrid 3.2, GoToObjectEnv)."""

    @property
    def rule(self) -> Rule:
        return DoneNearby()

    @property
    def missions(self) -> tuple[str, ...]:
        return fill_in("go to the {color} {kind}", color=COLORS_SORTED, kind=("key", "ball", "box"))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return size_of(5, self.size), count_of("num_objects", 1, self.num_objects, "Things in the room.")

    def sample(self, key: jax.Array, values: Mapping[str, jax.Array]) -> Level:
        """One level. Consumes `key`."""
        size, count, grid = self._room(values)
        rolls = placing.rolls(key, LOOKS + 3 + self.num_objects)
        kind, color = look(placing.permutation(rolls[3 + self.num_objects :])[: self.num_objects])
        x, y = scatter(rolls[3 : 3 + self.num_objects], grid, count, self._own_cell)
        things = Things(kind, color, x, y)
        grid = placing.put_all(grid, x, y, things.words())
        target = things.pick(placing.below(rolls[0], count))
        goal = PlaceGoal(x=target.x, y=target.y)
        mission = sentence("go to the", _words(target))
        return placing.level(grid, _agent(rolls[1:3], grid), mission, goal, self.limit(size))


def _words(thing: Things) -> jax.Array:
    """(2,) uint8: "red key"."""
    return jnp.stack([color_word(thing.color), kind_word(thing.kind)])
