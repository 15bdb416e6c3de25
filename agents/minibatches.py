"""Cutting a rollout into minibatches.

Letters: T rollout length, B lanes on this device.
"""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from .rollout import lane_keys

Batch = TypeVar("Batch", bound=Any)


def minibatches(key: jax.Array, batch: Batch, indices: jax.Array, count: int) -> Batch:
    """Shuffles time within every lane and cuts it: leaves (T, B, ...) to (count, T / count * B, ...).

    Every minibatch takes the same number of steps from every lane, so it does not depend on how lanes are spread over
    devices.

    Args:
      key: consumed.
      indices: (B,) global lane indices.
      count: divides T.

    Raises:
      ValueError: `count` does not divide T.
    """
    length = jax.tree.leaves(batch)[0].shape[0]
    if length % count:
        raise ValueError(f"num_minibatches={count} must divide rollout_length={length}")
    shuffle = jax.vmap(lambda k: jax.random.permutation(k, length), out_axes=1)(lane_keys(key, indices))

    def cut(x: jax.Array) -> jax.Array:
        rows = shuffle.reshape(shuffle.shape + (1,) * (x.ndim - 2))
        shuffled = jnp.take_along_axis(x, rows, axis=0)
        return shuffled.reshape(count, -1, *x.shape[2:])

    result: Batch = jax.tree.map(cut, batch)
    return result
