"""Networks: Linen modules used as values (`init` and `apply`)."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ..envs.linear_algebra import orthonormal_columns


def orthogonal(gain: float) -> Callable[..., jax.Array]:
    """Kernels (fan_in, fan_out) with orthonormal rows or columns, times `gain` (Saxe et al. 2014)."""

    def initialize(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
        rows, columns = shape
        tall = jax.random.normal(key, (max(shape), min(shape)), dtype)
        kernel = orthonormal_columns(tall)
        return gain * (kernel if rows >= columns else kernel.T)

    return initialize


class MLP(nn.Module):
    """Dense layers with orthogonal kernels and zero biases.

    Attributes:
      hidden: widths of the hidden layers.
      out: width of the linear output.
      out_scale: gain of the output kernel.
      activation: after every hidden layer.
    """

    hidden: tuple[int, ...]
    out: int
    out_scale: float = 1.0
    activation: Callable[[jax.Array], jax.Array] = jnp.tanh

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., F) to (..., out)."""
        for width in self.hidden:
            x = self.activation(nn.Dense(width, kernel_init=orthogonal(math.sqrt(2.0)))(x))
        return nn.Dense(self.out, kernel_init=orthogonal(self.out_scale))(x)
