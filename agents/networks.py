"""Networks: Linen modules used as values (`init` and `apply`)."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp


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
            x = self.activation(nn.Dense(width, kernel_init=nn.initializers.orthogonal(math.sqrt(2.0)))(x))
        return nn.Dense(self.out, kernel_init=nn.initializers.orthogonal(self.out_scale))(x)
