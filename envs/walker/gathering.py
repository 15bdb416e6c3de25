"""Gathering many small arrays as one.

A gather costs much more to compile, and on a CPU to start, than to run on some columns more. So what is gathered by the
same index is laid side by side first.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp


def take_along(tree: Any, index: jax.Array, axis: int) -> Any:
    """`jnp.take_along_axis` of every leaf at once.

    Args:
      tree: leaves (*index.shape with any length at `axis`, ...); what follows is taken whole.
      index: int32, in bounds.
    """
    leaves, structure = jax.tree.flatten(tree)
    taken: dict[int, jax.Array] = {}
    for dtype in sorted({str(leaf.dtype) for leaf in leaves}):
        which = [i for i, leaf in enumerate(leaves) if str(leaf.dtype) == dtype]
        flat = [_columns(leaves[i], index.ndim) for i in which]
        together = jnp.take_along_axis(
            jnp.concatenate(flat, axis=-1), index[..., None], axis=axis, mode="promise_in_bounds"
        )
        first = 0
        for i, columns in zip(which, flat, strict=True):
            part = together[..., first : first + columns.shape[-1]]
            taken[i] = part.reshape(*index.shape, *leaves[i].shape[index.ndim :])
            first += columns.shape[-1]
    return jax.tree.unflatten(structure, [taken[i] for i in range(len(leaves))])


def _columns(x: jax.Array, lead: int) -> jax.Array:
    """`x` with all axes after the first `lead` as one."""
    return x.reshape(*x.shape[:lead], math.prod(x.shape[lead:]))
