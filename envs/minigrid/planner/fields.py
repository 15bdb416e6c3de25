"""How far every pose is from a cell, on the device: dense progress, and returns of tasks that end at a place.

Unlike a plan, a field knows no keys and moves nothing: doors and things cost what the caller says, or bar the way.

Letters: H rows, W columns.
"""

import jax
import jax.numpy as jnp

from .. import cells

BARRED = 1 << 20  # the cost of what cannot be entered, and the distance from where there is no way


def distance_field(
    grid: jax.Array,
    x: jax.Array,
    y: jax.Array,
    *,
    closed: int = 1,
    locked: int = BARRED,
    things: int = BARRED,
    lava: int = BARRED,
    facing: bool = False,
    sweeps: int | None = None,
) -> jax.Array:
    """The fewest actions from every pose to the cell (x, y).

    Distances from all poses are improved at once, by one action per sweep, until nothing changes. Batch by `vmap`.

    Args:
      grid: (H, W) uint32 words.
      x, y: () int32; the cell may hold anything.
      closed, locked: further actions that it takes to enter a door that is closed, or locked; BARRED for no entry.
      things: further actions that it takes to enter a cell with a key, ball or box.
      lava: the same for lava, which ends an episode.
      facing: whether to stop in front of the cell, looking at it, rather than in it.
      sweeps: a fixed number of sweeps instead, as cheap as it is small; 2 (H + W) suffice in open rooms, winding ways
        need more. Poses farther off stay BARRED.

    Returns:
      (H, W, 4) int32, by direction; BARRED or more where there is no way, and in walls.
    """
    height, width = grid.shape
    price = _prices(grid, closed=closed, locked=locked, things=things, lava=lava)
    here = (jnp.arange(height)[:, None] == y) & (jnp.arange(width)[None, :] == x)
    price = jnp.where(here & (not facing), 1, price)
    ends = jnp.broadcast_to(here[:, :, None], (height, width, 4))
    stands = price < BARRED
    ends = jnp.stack([_ahead(here, d, False) for d in range(4)], -1) & stands[:, :, None] if facing else ends
    start = jnp.where(ends, 0, BARRED).astype(jnp.int32)

    def sweep(field: jax.Array) -> jax.Array:
        turned = jnp.minimum(jnp.roll(field, 1, axis=-1), jnp.roll(field, -1, axis=-1)) + 1
        stepped = jnp.stack([_ahead(field[:, :, d] + price, d, BARRED) for d in range(4)], -1)
        better = jnp.minimum(field, jnp.minimum(turned, stepped))
        return jnp.where(stands[:, :, None], jnp.minimum(better, BARRED), start)

    if sweeps is not None:
        return jax.lax.fori_loop(0, sweeps, lambda _, field: sweep(field), start)
    field, _ = jax.lax.while_loop(
        lambda pair: jnp.any(pair[0] != pair[1]), lambda pair: (sweep(pair[0]), pair[0]), (sweep(start), start)
    )
    return field


def _prices(grid: jax.Array, *, closed: int, locked: int, things: int, lava: int) -> jax.Array:
    """(H, W) int32: actions that it takes to enter each cell from the one beside it."""
    kind, state = cells.kind(grid), cells.state(grid)
    is_door = kind == cells.DOOR
    price = jnp.where(cells.is_passable(grid), 1, BARRED)
    price = jnp.where(is_door & (state == cells.CLOSED), 1 + closed, price)
    price = jnp.where(is_door & (state == cells.LOCKED), 1 + locked, price)
    price = jnp.where(cells.is_portable(grid), 1 + things, price)
    price = jnp.where(kind == cells.LAVA_KIND, 1 + lava, price)
    return jnp.minimum(price, BARRED).astype(jnp.int32)


def _ahead(values: jax.Array, direction: int, outside: int | bool) -> jax.Array:
    """(H, W): for every cell, the value of the cell in front of it."""
    dx, dy = int(cells.DX[direction]), int(cells.DY[direction])
    height, width = values.shape
    padded = jnp.pad(values, 1, constant_values=outside)
    return padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
