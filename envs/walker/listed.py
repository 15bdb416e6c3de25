"""Working through those few entries of a batch that matter.

What is to be done is listed first and the list is worked through in chunks: the cost follows the number of entries in
the whole batch, whichever environments they belong to.

Letters: K entries, M of them in a chunk.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

SMALLEST_CHUNK = 16


def over_listed(wanted: jax.Array, chunk: int, work: Callable[[jax.Array], Any]) -> tuple[jax.Array, Any]:
    """`work` on the wanted entries.

    Args:
      wanted: (K,) bool.
      chunk: entries that are worked on at once, at least `SMALLEST_CHUNK` if there are so many.
      work: a pytree of (M, ...) from indices (M,) of entries; the last chunk is filled up with entry 0.

    Returns:
      For every entry (K,) int32 the place of its result, meaningless unless wanted; and the results (K' >= K, ...).
    """
    total = wanted.shape[0]
    chunk = min(total, max(SMALLEST_CHUNK, chunk))
    capacity = -(-total // chunk) * chunk
    place = jnp.cumsum(wanted, dtype=jnp.int32) - 1
    listed = jnp.zeros((capacity,), jnp.int32)
    listed = listed.at[jnp.where(wanted, place, capacity)].set(jnp.arange(total, dtype=jnp.int32), mode="drop")

    def add(step: jax.Array, results: Any) -> Any:
        found = work(jax.lax.dynamic_slice_in_dim(listed, step * chunk, chunk))
        return jax.tree.map(
            lambda all_, new: jax.lax.dynamic_update_slice_in_dim(all_, new, step * chunk, 0), results, found
        )

    shapes = jax.eval_shape(work, jax.ShapeDtypeStruct((chunk,), jnp.int32))
    results = jax.tree.map(lambda s: jnp.zeros((capacity, *s.shape[1:]), s.dtype), shapes)
    return place, jax.lax.fori_loop(0, (place[-1] + chunk) // chunk, add, results)


def into_slots(present: jax.Array, slots: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where the first present entries of every list are.

    Args:
      present: (..., W) bool.
      slots: C, static.

    Returns:
      (..., C) int32 indices into W, (..., C) whether the slot is filled, (...) whether more are present than fit.
    """
    rank = jnp.cumsum(present, axis=-1, dtype=jnp.int32)
    # The slot's entry is preceded by as many as have a rank of at most the slot's number.
    number = jnp.arange(slots, dtype=jnp.int32).reshape((1,) * (present.ndim - 1) + (slots, 1))
    index = jnp.sum(rank[..., None, :] <= number, axis=-1, dtype=jnp.int32)
    width = present.shape[-1]
    return jnp.minimum(index, width - 1), index < width, rank[..., -1] > slots
