"""A chain of subgoals: cells to act on, one after another.

Letters: H rows, W columns, K subgoals at most.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ..generators.placing import choose_cell
from ..level import Leaf


class Chain(struct.PyTreeNode):
    """Subgoals in order; those from `count` on are none."""

    x: Leaf  # (K,) int32
    y: Leaf  # (K,) int32
    count: Leaf  # () int32
    complete: Leaf | None = None  # () bool, whether the last one is the task itself; None: it is

    @property
    def helping(self) -> Any:
        """() int32: how many come before the task itself."""
        return self.count - (1 if self.complete is None else self.complete.astype(np.int32))


def words_at(grid: Any, chain: Chain) -> Any:
    """(K,) uint32: what the grid (H, W) holds at each subgoal now."""
    return grid[chain.y, chain.x]


def first_place(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(x, y) of the first cell where `mask` (H, W) holds, by rows; of cell 0 if nowhere."""
    index = jnp.argmax(mask.ravel()).astype(jnp.int32)
    return index % mask.shape[1], index // mask.shape[1]


def draw_cell(key: jax.Array, allowed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(x, y) of a cell drawn uniformly among those allowed (H, W); (-1, -1) if there is none. Consumes `key`."""
    return choose_cell(jax.random.bits(key, (), jnp.uint32), allowed)


def chain_of(masks: Sequence[jax.Array]) -> Chain:
    """One subgoal per mask (H, W), at its first cell; a mask that holds nowhere gives none."""
    places = [first_place(mask) for mask in masks]
    there = jnp.stack([jnp.any(mask) for mask in masks])
    x, y = (jnp.stack([place[axis] for place in places]) for axis in (0, 1))
    order = jnp.argsort(~there, stable=True)
    return Chain(x=x[order], y=y[order], count=jnp.sum(there, dtype=jnp.int32))


def insert(chain: Chain, positions: jax.Array, x: jax.Array, y: jax.Array) -> Chain:
    """The chain with further subgoals before the ones that stand at `positions`; K grows by their number.

    Args:
      positions: (N,) int32, at most `chain.helping`, so that the task itself stays the last.
      x, y: (N,) int32.
    """
    size = chain.x.shape[0]
    here = jnp.arange(size, dtype=jnp.int32)
    rank = jnp.concatenate([jnp.where(here < chain.count, 2 * here + 1, 2 * size), 2 * positions])
    order = jnp.argsort(rank, stable=True)
    return chain.replace(
        x=jnp.concatenate([chain.x, x])[order],
        y=jnp.concatenate([chain.y, y])[order],
        count=chain.count + positions.shape[0],
    )
