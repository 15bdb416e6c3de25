"""Working on environments with alike workload together.

A batched loop runs as long as its slowest environment wants, and visits every contact slot that any environment uses.
Sorting the batch by workload and going through it in groups lets most groups stop early or skip slots. On a CPU, where
time is proportional to the number of lanes, that is worth the sort; on wide machines it is not.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def in_sorted_groups(function: Callable[[Any], Any], workload: jax.Array, args: Any, size: int) -> Any:
    """`function(args)`, group by group in the order of `workload`.

    Args:
      function: elementwise along the last axis of all its arrays.
      workload: (B,) what to sort by.
      args: pytree of arrays ending in B.
      size: lanes per group. Batches that it does not divide are worked on as a whole.
    """
    lanes = workload.shape[0]
    if jax.default_backend() != "cpu" or lanes % size or lanes == size:
        return function(args)
    order = jnp.argsort(workload)
    inverse = jnp.argsort(order)

    def split(x: jax.Array) -> jax.Array:
        x = jnp.take(x, order, axis=-1, mode="clip")
        return jnp.moveaxis(x.reshape(*x.shape[:-1], lanes // size, size), -2, 0)

    def join(x: jax.Array) -> jax.Array:
        x = jnp.moveaxis(x, 0, -2)
        return jnp.take(x.reshape(*x.shape[:-2], lanes), inverse, axis=-1, mode="clip")

    return jax.tree.map(join, jax.lax.map(function, jax.tree.map(split, args)))
