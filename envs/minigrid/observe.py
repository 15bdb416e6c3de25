"""Observations: the agent's window as `minigrid` encodes it.

Letters: V cells along a side of the window, H rows, W columns.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from . import cells
from .level import Level
from .vision import visible, window


class View(NamedTuple):
    """The agent's window, indexed [column, row]."""

    cells: jax.Array  # (V, V) uint32, whatever is there; what the agent carries in its own place
    seen: jax.Array  # (V, V) bool


def look(level: Level, size: int, see_through: Any, sight: Any) -> View:
    """What the agent sees.

    Args:
      size: V, odd.
      see_through: () bool, whether walls hide nothing.
      sight: () int32, columns seen to each side, half as many as rows ahead: a window of 2 * sight + 1 cells, V // 2
        for the whole.
    """
    # What is carried hides nothing, as little as what the agent stands on, so it may take its place at once: and then
    # XLA computes the window once instead of once for every use.
    own = jnp.where(level.carrying == 0, cells.EMPTY, level.carrying)
    whole = window(level, size).at[size // 2, size - 1].set(own)
    near = _within(size, sight)
    lit = visible(jnp.where(near, whole, cells.WALL))
    return View(whole, (lit | see_through) & near)


def _within(size: int, sight: Any) -> jax.Array:
    """(V, V) bool: the cells of the smaller window."""
    aside = np.abs(np.arange(size, dtype=np.int32) - size // 2)
    ahead = size - 1 - np.arange(size, dtype=np.int32)
    return (jnp.asarray(aside)[:, None] <= sight) & (jnp.asarray(ahead)[None, :] <= 2 * sight)


def partial_words(view: View) -> jax.Array:
    """(V, V) uint32: the window as it is shown: 0 where hidden."""
    return jnp.where(view.seen, view.cells, jnp.uint32(0))


def full_words(level: Level) -> jax.Array:
    """(W, H) uint32: the whole grid, the agent as an object whose state is its direction (`FullyObsWrapper`)."""
    agent = cells.word(cells.AGENT, cells.RED, level.direction)
    return level.grid.at[level.y, level.x].set(agent).T


def encode(words: jax.Array) -> jax.Array:
    """Words (...,) as (..., 3) uint8: kind, colour, state."""
    return jnp.stack([cells.kind(words), cells.color(words), cells.state(words)], -1).astype(jnp.uint8)


def one_hot(words: jax.Array) -> jax.Array:
    """Words (...,) as (..., 20) uint8: 11 planes of kinds, 6 of colours, 3 of states (`OneHotPartialObsWrapper`)."""
    parts = ((cells.kind(words), 11), (cells.color(words), 6), (cells.state(words), 3))
    return jnp.concatenate([jax.nn.one_hot(part, n, dtype=jnp.uint8) for part, n in parts], -1)


def symbolic(level: Level) -> jax.Array:
    """(W, H, 3) int32: column, row and kind of every cell, -1 for an empty one (`SymbolicObsWrapper`)."""
    height, width = level.grid.shape
    kinds = cells.kind(level.grid).astype(jnp.int32)
    kinds = jnp.where(kinds == cells.NOTHING, -1, kinds).at[level.y, level.x].set(cells.AGENT)
    columns, rows = np.mgrid[:width, :height].astype(np.int32)
    return jnp.stack([jnp.asarray(columns), jnp.asarray(rows), kinds.T], -1)
