"""Networks: Linen modules used as values (`init` and `apply`).

Letters: N images, H x W cells of an image, C channels, O flat observation.
"""

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


class Convolution(nn.Module):
    """A 3 x 3 convolution with one cell of padding, orthogonal kernel and zero bias.

    Written as one matrix product of patches: for images of a few cells, XLA's own convolution is two to three times
    slower on a CPU, and slower still under `vmap` over seeds.

    Attributes:
      features: channels of the output.
      stride: cells between neighbouring outputs.
    """

    features: int
    stride: int = 2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, C) to (N, ceil(H / stride), ceil(W / stride), features)."""
        channels = x.shape[-1]
        shape = (9 * channels, self.features)
        kernel: Any = self.param("kernel", orthogonal(math.sqrt(2.0)), shape)
        bias: Any = self.param("bias", nn.initializers.zeros, (self.features,))
        out = _convolve(x, kernel, self.stride)
        return out + jnp.broadcast_to(bias, out.shape)


def _convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    count, height, width, channels = x.shape
    rows, columns = (height - 1) // stride + 1, (width - 1) // stride + 1
    if rows == columns == 1 and max(height, width) <= 2:  # a single patch; what it sees of the padding adds nothing
        inside = kernel.reshape(3, 3, channels, -1)[1 : 1 + height, 1 : 1 + width]
        return (x.reshape(count, -1) @ inside.reshape(height * width * channels, -1))[:, None, None, :]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    last_row, last_column = stride * (rows - 1) + 1, stride * (columns - 1) + 1
    taps = [padded[:, i : i + last_row : stride, j : j + last_column : stride] for i in range(3) for j in range(3)]
    return jnp.concatenate(taps, -1) @ kernel


class ConvolutionStack(nn.Module):
    """Convolutions with an ELU after each.

    Attributes:
      filters: channels after each.
      stride: of each.
    """

    filters: tuple[int, ...]
    stride: int = 2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, C) to (N, H', W', filters[-1])."""
        for features in self.filters:
            x = nn.elu(Convolution(features, self.stride)(x))
        return x


class GridTorso(nn.Module):
    """Features of a flat observation that holds the image of a grid and other numbers beside it.

    The image goes through convolutions; what comes out is joined by the other numbers and goes through dense layers.

    Attributes:
      image: (H, W, C).
      start: where the image begins in the flat observation.
      filters: channels after each convolution.
      hidden: widths of the dense layers, with a ReLU after each.
    """

    image: tuple[int, int, int]
    start: int
    filters: tuple[int, ...]
    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, flat: jax.Array) -> jax.Array:
        """(..., O) to (..., hidden[-1])."""
        lead, end = flat.shape[:-1], self.start + math.prod(self.image)
        image = flat[..., self.start : end].reshape(-1, *self.image)
        features = ConvolutionStack(self.filters)(image).reshape(*lead, -1)
        x = jnp.concatenate([features, flat[..., : self.start], flat[..., end:]], -1)
        for width in self.hidden:
            x = nn.relu(nn.Dense(width, kernel_init=orthogonal(math.sqrt(2.0)))(x))
        return x
