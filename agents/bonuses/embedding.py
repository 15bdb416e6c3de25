"""Networks that bonuses see observations with.

Letters: O flat observation, E features of an embedding.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnasium import Space, spaces

from ..networks import MLP, GridTorso, orthogonal
from ..spaces import flatten_observation, observation_size, offset, parts


def looked_at(space: Space) -> Space:
    """What of an observation is embedded: the image where there is one, else all."""
    shown = space.spaces if isinstance(space, spaces.Dict) else {}
    return parts(space, ("image",)) if "image" in shown else space


def flatten(view: Space, obs: Any, scale: float = 1.0) -> jax.Array:
    """Observations as float32 (..., O), times `scale`."""
    return scale * flatten_observation(view, obs)


def blank(view: Space) -> jax.Array:
    """A flat observation (O,) to initialise networks with."""
    return jnp.zeros((observation_size(view),))


class ImageEmbedding(nn.Module):
    """Features of a flat observation that holds an image: convolutions, dense layers, perhaps a linear output.

    Attributes:
      image: (H, W, C).
      start: where the image begins in the flat observation.
      filters: channels after each convolution.
      hidden: widths of the dense layers.
      out: E; 0 leaves the last layer's features as they are.
    """

    image: tuple[int, int, int]
    start: int
    filters: tuple[int, ...]
    hidden: tuple[int, ...] = ()
    out: int = 0

    @nn.compact
    def __call__(self, flat: jax.Array) -> jax.Array:
        """(..., O) to (..., E)."""
        x = GridTorso(self.image, self.start, self.filters, self.hidden)(flat)
        return nn.Dense(self.out, kernel_init=orthogonal(1.0))(x) if self.out else x


def embedding(view: Space, filters: tuple[int, ...], hidden: tuple[int, ...], out: int) -> nn.Module:
    """An `ImageEmbedding` where `view` has an image of three axes, else dense layers with ReLU.

    Args:
      out: E; 0 for the last convolution's features, or the last of `filters` where there is no image.
    """
    image = view.spaces.get("image") if isinstance(view, spaces.Dict) else None
    if isinstance(view, spaces.Dict) and image is not None and len(image.shape or ()) == 3:
        height, width, channels = image.shape or ()
        return ImageEmbedding((height, width, channels), offset(view, "image"), filters, hidden, out)
    return MLP((*hidden, filters[-1]), out or filters[-1], activation=nn.relu)


class OfFeatures(nn.Module):
    """A dense layer with a ReLU and a linear output, on features side by side.

    Attributes:
      out: width of the output.
      hidden: width of the dense layer.
    """

    out: int
    hidden: int = 256

    @nn.compact
    def __call__(self, *features: jax.Array) -> jax.Array:
        """Several (..., F) to (..., out)."""
        return MLP((self.hidden,), self.out, activation=nn.relu)(jnp.concatenate(features, -1))
