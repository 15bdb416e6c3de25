"""What a language model gets wrong: an error model for teachers, with the published numbers.

A subgoal is kept with the probability `accuracy`; else it is replaced. In the published positional form it lands at a
distance drawn from a rounded normal distribution; in the forms by object and by language it lands on another object.

Letters: H rows, W columns, K subgoals.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import cells
from ..level import Level
from .chain import Chain, draw_cell
from .schemes import Mistakes

POSITIONAL, REPRESENTATION, LANGUAGE = "positional", "representation", "language"
KINDS = (POSITIONAL, REPRESENTATION, LANGUAGE)


@dataclasses.dataclass(frozen=True)
class ErrorModel:
    """How often and how far a teacher is wrong.

    Attributes:
      positional: share of subgoals whose cell is right.
      mean, deviation: of the Manhattan distance between right and given cell.
      by_object: share of subgoals whose object is right, when asked by object or in words.
    """

    positional: float = 1.0
    mean: float = 0.0
    deviation: float = 0.0
    by_object: float = 1.0

    def accuracy(self, kind: str) -> float:
        """The share of right subgoals of a kind."""
        return self.positional if kind == POSITIONAL else self.by_object


EXACT = ErrorModel()

# Measured by the authors over the levels of seeds 0 to 999 (from their public code; the number of levels is inferred).
PUBLISHED: dict[tuple[str, str], ErrorModel] = {
    ("MiniGrid-KeyCorridorS3R3-v0", "llama"): ErrorModel(0.9743, 0.18, 1.20, 0.9847),
    ("MiniGrid-KeyCorridorS3R3-v0", "deepseek"): ErrorModel(0.3337, 2.57, 2.54, 0.9063),
    ("MiniGrid-KeyCorridorS3R3-v0", "qwen"): ErrorModel(0.9810, 0.07, 0.63, 0.9957),
    ("MiniGrid-KeyCorridorS6R3-v0", "llama"): ErrorModel(0.9137, 1.47, 5.02, 0.9323),
    ("MiniGrid-KeyCorridorS6R3-v0", "deepseek"): ErrorModel(0.3650, 7.24, 7.47, 0.7617),
    ("MiniGrid-KeyCorridorS6R3-v0", "qwen"): ErrorModel(0.8810, 1.34, 4.25, 0.9587),
    ("MiniGrid-ObstructedMaze-1Dlh-v0", "llama"): ErrorModel(0.9880, 0.08, 0.82, 0.9887),
    ("MiniGrid-ObstructedMaze-1Dlh-v0", "deepseek"): ErrorModel(0.4300, 2.98, 3.41, 0.7390),
    ("MiniGrid-ObstructedMaze-1Dlh-v0", "qwen"): ErrorModel(0.6687, 2.18, 3.53, 0.7417),
    ("MiniGrid-ObstructedMaze-1Dlhb-v0", "llama"): ErrorModel(0.4485, 4.33, 4.21, 0.4858),
    ("MiniGrid-ObstructedMaze-1Dlhb-v0", "deepseek"): ErrorModel(0.2288, 4.49, 3.39, 0.5182),
    ("MiniGrid-ObstructedMaze-1Dlhb-v0", "qwen"): ErrorModel(0.4050, 3.85, 3.71, 0.4820),
    ("MiniGrid-MultiRoom-N2-S4-v0", "llama"): ErrorModel(0.9210, 0.26, 1.01, 0.9295),
    ("MiniGrid-MultiRoom-N2-S4-v0", "deepseek"): ErrorModel(0.3518, 2.91, 2.54, 0.2731),
    ("MiniGrid-MultiRoom-N2-S4-v0", "qwen"): ErrorModel(0.7135, 1.12, 2.05, 0.5585),
    ("MiniGrid-MultiRoom-N4-S5-v1", "llama"): ErrorModel(0.5397, 3.69, 4.65, 0.5480),
    ("MiniGrid-MultiRoom-N4-S5-v1", "deepseek"): ErrorModel(0.1294, 7.92, 4.64, 0.1753),
    ("MiniGrid-MultiRoom-N4-S5-v1", "qwen"): ErrorModel(0.3604, 5.23, 4.94, 0.3521),
}


def misplace(key: jax.Array, level: Level, chain: Chain, model: ErrorModel, as_published: bool) -> Chain:
    """Every subgoal moved to a cell at a drawn distance. Consumes `key`.

    The distance is max(1, trunc(Normal(mean, deviation))); the cell is uniform among those of the grid at it, or
    among all others if there is none.

    Args:
      as_published: the authors' code moves by the whole distance to the right, and to a uniform cell where that is
        outside.
    """
    size = chain.x.shape[0]
    key_distance, key_cell = jax.random.split(key)
    drawn = model.mean + model.deviation * jax.random.normal(key_distance, (size,))
    distance = jnp.maximum(1, jnp.trunc(drawn).astype(jnp.int32))
    height, width = level.grid.shape
    rows, columns = (jnp.asarray(axis) for axis in np.mgrid[:height, :width].astype(np.int32))

    def move(key: jax.Array, x: jax.Array, y: jax.Array, distance: jax.Array) -> tuple[jax.Array, jax.Array]:
        if as_published:
            there = (columns == x + distance) & (rows == y)
            return draw_cell(key, there | ~jnp.any(there))
        away = jnp.abs(columns - x) + jnp.abs(rows - y)
        there = away == distance
        return draw_cell(key, jnp.where(jnp.any(there), there, away > 0))

    x, y = jax.vmap(move)(jax.random.split(key_cell, size), chain.x, chain.y, distance)
    return chain.replace(x=x, y=y)


def mistake(key: jax.Array, level: Level, chain: Chain, mistakes: Mistakes) -> Chain:
    """Every subgoal moved to another object, uniformly. Consumes `key`; a subgoal without another one stays."""
    height, width = level.grid.shape
    rows, columns = (jnp.asarray(axis) for axis in np.mgrid[:height, :width].astype(np.int32))
    objects = candidates(level, chain, mistakes)

    def change(key: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        others = objects & ~((columns == x) & (rows == y))
        other_x, other_y = draw_cell(key, others)
        exists = jnp.any(others)
        return jnp.where(exists, other_x, x), jnp.where(exists, other_y, y)

    x, y = jax.vmap(change)(jax.random.split(key, chain.x.shape[0]), chain.x, chain.y)
    return chain.replace(x=x, y=y)


def candidates(level: Level, chain: Chain, mistakes: Mistakes) -> jax.Array:
    """(H, W) bool: the cells that a mistaken teacher may name."""
    kinds = cells.kind(level.grid)
    if mistakes.only_doors:
        return kinds == cells.DOOR
    objects = (kinds != cells.NOTHING) & (kinds != cells.WALL_KIND)
    if not mistakes.room_size:
        return objects
    height, width = level.grid.shape
    rows, columns = (jnp.asarray(axis) for axis in np.mgrid[:height, :width].astype(np.int32))
    step = mistakes.room_size - 1
    last = jnp.maximum(chain.count - 1, 0)
    goal_x, goal_y = jnp.asarray(chain.x)[last], jnp.asarray(chain.y)[last]
    in_room = ((columns - 1) // step == (goal_x - 1) // step) & ((rows - 1) // step == (goal_y - 1) // step)
    inside = (columns % step != 0) & (rows % step != 0)
    return objects & ~(in_room & inside)


def err(
    key: jax.Array,
    level: Level,
    chain: Chain,
    kind: str,
    accuracy: Any,
    model: ErrorModel,
    mistakes: Mistakes,
    as_published: bool,
) -> tuple[Chain, jax.Array]:
    """The chain a teacher of this accuracy gives, and which of its subgoals are as they should be (K,) bool.

    Consumes `key`.

    Args:
      kind: one of `KINDS`.
      accuracy: () float32.
      as_published: see `misplace`.
    """
    key_luck, key_change = jax.random.split(key)
    right = jax.random.uniform(key_luck, chain.x.shape) < accuracy
    if kind == POSITIONAL:
        wrong = misplace(key_change, level, chain, model, as_published)
    else:
        wrong = mistake(key_change, level, chain, mistakes)
    x, y = (jnp.where(right, a, b) for a, b in ((chain.x, wrong.x), (chain.y, wrong.y)))
    return chain.replace(x=x, y=y), right
