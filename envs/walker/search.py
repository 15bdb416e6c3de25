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
