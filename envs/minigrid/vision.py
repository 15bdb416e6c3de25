"""What the agent sees: the window in front of it and which of its cells are not hidden.

A window is (V, V), indexed [column, row] as `minigrid`'s images are: column 0 on the agent's left, row V - 1 the
agent's own; the agent stands in the middle of the last row and looks along decreasing rows.

Letters: V cells along a side of the window (odd), H rows, W columns of the grid.
"""

import jax
import jax.numpy as jnp
import numpy as np

from . import cells
from .level import Level


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
    transparent cell so lit to the three cells before it in the next row. With the columns of a row as the bits of a
    number, the first sweep is one addition, whose carries run through transparent cells, and the second a prefix
    computation in log2 V steps; a loop over cells is never needed.
    """
    size = cells_seen.shape[0]
    bits = jnp.asarray(1 << np.arange(size, dtype=np.int32))
    transparent = jnp.sum(jnp.where(cells.is_transparent(cells_seen), bits[:, None], 0), axis=0, dtype=jnp.int32)
    everything = (1 << size) - 1
    lit = jnp.full((), 1 << (size // 2), jnp.int32)
    rows: list[jax.Array] = []
    for row in reversed(range(size)):
        clear = transparent[row]
        lit = _spread_up(lit, clear) & everything
        # The sweep upward leaves the last column alone, the sweep downward the first: so does the original.
        upward = lit & clear & (everything >> 1)
        lit = _spread_down(lit, clear, size)
        downward = lit & clear & ~1
        rows.append(lit)
        lit = (upward | (upward << 1) | downward | (downward >> 1)) & everything
    lit_rows = jnp.stack(rows[::-1])
    return (lit_rows[None, :] & bits[:, None]) != 0


def _spread_up(lit: jax.Array, clear: jax.Array) -> jax.Array:
    """Lit bits and those above them that are reached through clear ones: the carries of an addition."""
    through = lit & clear
    return lit | ((through + clear) ^ through ^ clear)


def _spread_down(lit: jax.Array, clear: jax.Array, size: int) -> jax.Array:
    """Lit bits and those below them that are reached through clear ones."""
    step = 1
    while step < size:
        lit = lit | ((lit & clear) >> step)
        clear = clear & (clear << step)
        step *= 2
    return lit
