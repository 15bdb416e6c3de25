"""What the agent sees: the window in front of it and which of its cells are not hidden.

A window is (V, V), indexed [column, row] as `minigrid`'s images are: column 0 on the agent's left, row V - 1 the
agent's own; the agent stands in the middle of the last row and looks along decreasing rows.

Letters: V cells along a side of the window (odd, at most `MAX_SIZE`), H rows, W columns of the grid.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import cells
from .level import Level

MAX_SIZE = 31  # columns: a row is the bits of an int32 without its sign
TABLE_SIZE = 7  # columns; 64 KiB, which stays in a fast cache


def places(level: Level, size: int) -> tuple[jax.Array, jax.Array]:
    """(x (V, V), y (V, V)) int32: where the cells of the window lie; may be outside of the grid."""
    ahead = jnp.asarray(size - 1 - np.arange(size, dtype=np.int32))[None, :]
    aside = jnp.asarray(np.arange(size, dtype=np.int32) - size // 2)[:, None]
    dx, dy = jnp.asarray(cells.DX)[level.direction], jnp.asarray(cells.DY)[level.direction]
    x = level.x + dx * ahead - dy * aside
    y = level.y + dy * ahead + dx * aside
    return x, y


def window(level: Level, size: int) -> jax.Array:
    """(V, V) uint32: the cells before the agent, walls outside of the grid."""
    height, width = level.grid.shape
    x, y = places(level, size)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seen = level.grid[jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)]
    return jnp.where(inside, seen, cells.WALL)


def visible(cells_seen: jax.Array) -> jax.Array:
    """(V, V) bool: which cells of a window light reaches, as `minigrid`'s `process_vis` decides.

    Light spreads within a row through transparent cells, first to higher columns, then to lower ones, and from every
    transparent cell so lit to the three cells before it in the next row. The columns of a row are the bits of a number
    here, so a row is crossed by a few operations on numbers, see `_cross`; up to `TABLE_SIZE` columns by one look into
    a table of their results. No loop over cells is needed.
    """
    size = cells_seen.shape[0]
    bits = jnp.asarray(1 << np.arange(size, dtype=np.int32))
    transparent = jnp.sum(jnp.where(cells.is_transparent(cells_seen), bits[:, None], 0), axis=0, dtype=jnp.int32)
    table = jnp.asarray(_crossings(size)) if size <= TABLE_SIZE else None
    light = jnp.full((), 1 << (size // 2), jnp.int32)
    rows: list[jax.Array] = []
    for row in reversed(range(size)):
        if table is None:
            lit, light = _cross(light, transparent[row], size)
        else:
            both = table[light * (1 << size) + transparent[row]]
            lit, light = both & ((1 << size) - 1), both >> size
        rows.append(lit)
    lit_rows = jnp.stack(rows[::-1])
    return (lit_rows[None, :] & bits[:, None]) != 0


def _cross(light: Any, clear: Any, size: int) -> tuple[Any, Any]:
    """What light makes of a row: (cells lit in it, light that falls on the next row), as bits; NumPy or JAX int32.

    Args:
      light: the cells it falls on.
      clear: the transparent ones.
    """
    everything = (1 << size) - 1
    # Upward: the carries of an addition run through clear bits.
    through = light & clear
    lit = (light | ((through + clear) ^ through ^ clear)) & everything
    # The sweep upward leaves the last column alone, the sweep downward the first: so does the original.
    upward = lit & clear & (everything >> 1)
    # Downward: a prefix computation in log2 V steps.
    step, way = 1, clear
    while step < size:
        lit = lit | ((lit & way) >> step)
        way = way & (way << step)
        step *= 2
    downward = lit & clear & ~1
    return lit, (upward | (upward << 1) | downward | (downward >> 1)) & everything


@functools.cache
def _crossings(size: int) -> np.ndarray:
    """(4**V,) int32: `_cross` of every light and row, the light on the next row in the upper bits."""
    light, clear = np.divmod(np.arange(4**size, dtype=np.int32), 1 << size)
    lit, onward = _cross(light, clear, size)
    return (lit | (onward << size)).astype(np.int32)
