"""Binary search written out, because it runs inside kernels of thousands of lanes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def last_where(holds: Callable[[jax.Array], jax.Array], count: int, shape: tuple[int, ...] = ()) -> jax.Array:
    """The last index (int32, of `shape`) at which `holds`, or 0; it must hold up to some index and not after it."""
    found = jnp.zeros(shape, jnp.int32)
    for bit in reversed(range((count - 1).bit_length())):
        probe = found + (1 << bit)
        found = jnp.where((probe < count) & holds(jnp.minimum(probe, count - 1)), probe, found)
    return found


def first_least(values: jax.Array) -> jax.Array:
    """Index (int32) of the least value along the first axis, the first of equals: a vectorised `argmin`."""
    least = jnp.min(values, axis=0, keepdims=True)
    index = jnp.arange(values.shape[0], dtype=jnp.int32).reshape((-1,) + (1,) * (values.ndim - 1))
    return jnp.min(jnp.where(values == least, index, values.shape[0] - 1), axis=0)
