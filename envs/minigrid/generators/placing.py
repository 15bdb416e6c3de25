"""Random choices among cells, at a fixed cost.

Where the package draws cells until one is allowed, one uniform choice among the allowed cells has the same
distribution. A choice takes one *roll*: a random word () uint32, one of those that `rolls` makes from a key, to be used
once. Cells are sets of booleans (H, W), so that placing and drawing are elementwise.

Letters: H rows, W columns, N things.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from .. import cells
from ..level import Level

Whole: TypeAlias = jax.Array | int
Shape: TypeAlias = tuple[int, int]


def rolls(key: jax.Array, count: int) -> jax.Array:
    """(count,) uint32 random words. Consumes `key`."""
    return jax.random.bits(key, (count,), jnp.uint32)


def below(roll: jax.Array, count: Whole) -> jax.Array:
    """Whole numbers int32, each uniform in [0, count), of the shape of `roll`; 0 where the count is 0.

    The upper half of the product with a count below 2**16, so no number is favored by more than count / 2**32.
    """
    many = jnp.asarray(count).astype(jnp.uint32)
    high, low = roll >> 16, roll & 0xFFFF
    return ((high * many + (low * many >> 16)) >> 16).astype(jnp.int32)


def coin(roll: jax.Array) -> jax.Array:
    """Booleans, true with probability one half."""
    return (roll >> 31) == 1


def choose(roll: jax.Array, weights: jax.Array) -> tuple[jax.Array, ...]:
    """An index () int32 for every axis of `weights`, drawn with a probability proportional to the weight there.

    Args:
      weights: bool or int32 of any rank, the sum below 2**16. Where all are 0 the last index is chosen.
    """
    left = weights.astype(jnp.int32)
    rank = below(roll, _total(left))
    picked = []
    for size in weights.shape:
        counts = _total(left.reshape(size, -1), axis=1)
        upto = _total(jnp.where(np.tri(size, dtype=bool), counts[None, :], 0), axis=1)
        passed = upto <= rank
        index = jnp.minimum(_total(passed), size - 1)
        rank = rank - _total(jnp.where(passed, counts, 0))
        here = (np.arange(size, dtype=np.int32) == index).reshape(size, *[1] * (left.ndim - 1))
        left = _total(jnp.where(here, left, 0), axis=0)
        picked.append(index)
    return tuple(picked)


def _total(numbers: jax.Array, axis: int | None = None) -> jax.Array:
    return jnp.sum(numbers, axis=axis, dtype=jnp.int32)


def choose_cell(roll: jax.Array, allowed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(x, y) () int32 of a cell drawn uniformly among those `allowed` (H, W); (-1, -1), no cell, if there is none."""
    y, x = choose(roll, allowed)
    some = jnp.any(allowed)
    return jnp.where(some, x, -1), jnp.where(some, y, -1)


def other_than(index: jax.Array, excluded: Whole) -> jax.Array:
    """Which of all things the `index`-th is, counted without the `excluded`; of the shape of `index`."""
    return jnp.where(index >= excluded, index + 1, index)


def permutation(words: jax.Array) -> jax.Array:
    """(N,) int32, a uniformly random order of 0 to N - 1, out of N rolls: the rank of each."""
    count = words.shape[0]
    before = (words[None, :] < words[:, None]) | ((words[None, :] == words[:, None]) & np.tri(count, k=-1, dtype=bool))
    return _total(before, axis=1)


def columns(shape: Shape) -> np.ndarray:
    """(1, W) int32, every cell's x."""
    return np.arange(shape[1], dtype=np.int32)[None, :]


def rows(shape: Shape) -> np.ndarray:
    """(H, 1) int32, every cell's y."""
    return np.arange(shape[0], dtype=np.int32)[:, None]


def cell(shape: Shape, x: Whole, y: Whole) -> jax.Array:
    """(H, W) bool, one cell; none if it is outside."""
    return jnp.asarray((columns(shape) == x) & (rows(shape) == y))


def rectangle(shape: Shape, x: Whole, y: Whole, width: Whole, height: Whole) -> jax.Array:
    """(H, W) bool: the cells from (x, y) on, `width` to the right and `height` down."""
    across, down = columns(shape) - x, rows(shape) - y
    return jnp.asarray((across >= 0) & (across < width) & ((down >= 0) & (down < height)))


def frame(shape: Shape, x: Whole, y: Whole, width: Whole, height: Whole) -> jax.Array:
    """(H, W) bool: the border of `rectangle`."""
    return rectangle(shape, x, y, width, height) & ~rectangle(shape, x + 1, y + 1, width - 2, height - 2)


def room(shape: Shape, width: Whole, height: Whole) -> jax.Array:
    """(H, W) uint32: an empty room in the upper left corner, walls around it and everywhere beyond."""
    return jnp.where(rectangle(shape, 1, 1, width - 2, height - 2), cells.EMPTY, cells.WALL)


def put(grid: jax.Array, where: jax.Array, word: Any) -> jax.Array:
    """The grid with `word` in the cells `where` (H, W) bool."""
    return jnp.where(where, word, grid)


def put_at(grid: jax.Array, x: Whole, y: Whole, word: Any) -> jax.Array:
    """The grid with `word` at (x, y); unchanged if that is outside."""
    return put(grid, cell(_shape(grid), x, y), word)


def put_all(grid: jax.Array, x: jax.Array, y: jax.Array, words: jax.Array) -> jax.Array:
    """The grid with N words at as many different cells.

    Args:
      x, y: (N,) int32, negative for one that is not there.
      words: (N,) uint32.
    """
    row = jnp.where(x < 0, grid.shape[0], y)  # outside, since a negative index would count from the end
    return grid.at[row, x].set(words, mode="drop")


def is_free(grid: jax.Array) -> jax.Array:
    """(H, W) bool: the cells with nothing in them."""
    return grid == cells.EMPTY


def is_near(shape: Shape, x: Whole, y: Whole) -> jax.Array:
    """(H, W) bool: the cell (x, y) and those that share a side with it, where `RoomGrid` places nothing."""
    return jnp.asarray(jnp.abs(columns(shape) - x) + jnp.abs(rows(shape) - y) < 2)


def whole(values: Mapping[str, jax.Array], name: str) -> jax.Array:
    """() int32: a parameter that counts something."""
    return jnp.round(values[name]).astype(jnp.int32)


def flag(values: Mapping[str, jax.Array], name: str) -> jax.Array:
    """() bool: a parameter that is 0 or 1."""
    return values[name] > 0.5


def level(grid: jax.Array, pose: Iterable[Whole], mission: Any, goal: Any, max_steps: Whole) -> Level:
    """A level whose agent holds nothing.

    Args:
      pose: (x, y, direction).
      mission: (L,) uint8.
    """
    x, y, direction = (jnp.asarray(number, jnp.int32) for number in pose)
    return Level(
        grid=grid,
        x=x,
        y=y,
        direction=direction,
        carrying=jnp.zeros((), jnp.uint32),
        mission=jnp.asarray(mission, jnp.uint8),
        goal=goal,
        max_steps=jnp.asarray(max_steps, jnp.int32),
    )


def _shape(grid: jax.Array) -> Shape:
    height, width = grid.shape
    return height, width
