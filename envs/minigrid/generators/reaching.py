"""Levels that are made anew until everything in them can be reached (minigrid 3.2, RoomGridLevel).

A row of cells is one word, bit x for column x, so that a flood of the grid is a few shifts; grids are at most 32 wide.

Letters: H rows, W columns, N things.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .placing import Whole

Result = TypeVar("Result")

MOST_TRIES = 64
"""How often a level is made anew. Of all ids PutNextLocalS5N3 rejects most, two levels in five: one level in 10**25
stays as it is, with something out of reach or in place already."""


def until_accepted(key: jax.Array, attempt: Callable[[jax.Array], tuple[jax.Array, Result]]) -> Result:
    """The first accepted of independent attempts, or the last of `MOST_TRIES`. Consumes `key`.

    Args:
      attempt: of a key, () bool whether it is accepted, and what it made: a pytree of arrays.
    """

    def is_on(search: Any) -> jax.Array:
        _, tries, accepted, _ = search
        return ~accepted & (tries < MOST_TRIES)

    def again(search: Any) -> Any:
        key, tries, _, _ = search
        key, key_attempt = jax.random.split(key)
        return key, tries + 1, *attempt(key_attempt)

    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(attempt, key)[1])
    start = (key, jnp.zeros((), jnp.int32), jnp.zeros((), bool), nothing)
    return jax.lax.while_loop(is_on, again, start)[3]


def as_rows(cells: jax.Array | np.ndarray) -> jax.Array:
    """(H,) uint32 of a set of cells (H, W) bool."""
    bits = np.uint32(1) << np.arange(cells.shape[1], dtype=np.uint32)
    return jnp.sum(jnp.where(cells, bits[None, :], np.uint32(0)), axis=1, dtype=jnp.uint32)


def as_rows_at(height: int, x: jax.Array, y: jax.Array) -> jax.Array:
    """(H,) uint32 of N different cells; none for a negative x."""
    here = (np.arange(height, dtype=np.int32)[:, None] == y[None, :]) & (x >= 0)[None, :]
    bits = jnp.uint32(1) << jnp.maximum(x, 0).astype(jnp.uint32)
    return jnp.sum(jnp.where(here, bits[None, :], jnp.uint32(0)), axis=1, dtype=jnp.uint32)


def spread(rows: jax.Array) -> jax.Array:
    """A set of cells (H,) with those that share a side with one of them."""
    none = jnp.zeros(1, jnp.uint32)
    up, down = jnp.concatenate([rows[1:], none]), jnp.concatenate([none, rows[:-1]])
    return rows | (rows << 1) | (rows >> 1) | up | down


def can_reach(passable: jax.Array, x: Whole, y: Whole, wanted: jax.Array) -> jax.Array:
    """() bool: whether ways from (x, y) through `passable` cells (H,) lead to, or beside, all `wanted` ones (H,)."""

    def grow(flood: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        _, now = flood
        return now, spread(now) & passable

    start = as_rows_at(passable.shape[0], jnp.asarray(x)[None], jnp.asarray(y)[None])
    flood = jax.lax.while_loop(lambda f: jnp.any(f[0] != f[1]), grow, (jnp.zeros_like(start), start))[1]
    return jnp.all(wanted & ~spread(flood) == 0)
