"""Where the batch axis of a kernel goes.

Every verb of the contract is written for one environment. `vmap` over a kernel made here, however nested, arrives at
one call over a single batch axis B, in the layout in which the kernel is fast. Kernels are not differentiable.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def batch_last(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of one environment from one over arrays ending in B: vector lanes run over environments."""
    return _folded(function, fold=_fold_last, unfold=_unfold_last, axis=-1)


def batch_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of one environment from one over arrays beginning with B: rows are gathered whole."""
    return _folded(function, fold=_fold_first, unfold=_unfold_first, axis=0)


def _folded(function: Callable[..., Any], fold: Any, unfold: Any, axis: int) -> Callable[..., Any]:
    """Adds a batch axis of size 1 at `axis`; `vmap` multiplies it instead of tracing `function` with one more."""
    kernel = custom_vmap(function)

    @kernel.def_vmap
    def rule(size: int, batched: Any, *args: Any) -> tuple[Any, Any]:
        result = kernel(*jax.tree.map(lambda x, has_axis: fold(x, has_axis, size), args, tuple(batched)))
        result = jax.tree.map(lambda x: unfold(x, size), result)
        return result, jax.tree.map(lambda _: True, result)

    def single(*args: Any) -> Any:
        result = kernel(*jax.tree.map(lambda x: jnp.expand_dims(x, axis), args))
        return jax.tree.map(lambda x: jnp.squeeze(x, axis), result)

    return single


def _fold_last(x: jax.Array, has_axis: bool, size: int) -> jax.Array:
    """(K, ..., B) or (..., B) to (..., B K)."""
    x = jnp.moveaxis(x, 0, -1) if has_axis else jnp.broadcast_to(x[..., None], (*x.shape, size))
    return x.reshape(*x.shape[:-2], x.shape[-2] * size)


def _unfold_last(x: jax.Array, size: int) -> jax.Array:
    """(..., B K) to (K, ..., B)."""
    return jnp.moveaxis(x.reshape(*x.shape[:-1], x.shape[-1] // size, size), -1, 0)


def _fold_first(x: jax.Array, has_axis: bool, size: int) -> jax.Array:
    """(K, B, ...) or (B, ...) to (K B, ...)."""
    x = x if has_axis else jnp.broadcast_to(x[None], (size, *x.shape))
    return x.reshape(size * x.shape[1], *x.shape[2:])


def _unfold_first(x: jax.Array, size: int) -> jax.Array:
    """(K B, ...) to (K, B, ...)."""
    return x.reshape(size, x.shape[0] // size, *x.shape[1:])
