"""Kinds of images: what the package shows, and what its observation wrappers make of it.

| kind | shape | as in the package |
|---|---|---|
| partial | (V, V, 3) | no wrapper |
| one_hot | (V, V, 20) | `OneHotPartialObsWrapper` |
| rgb_partial | (V * P, V * P, 3) | `RGBImgPartialObsWrapper` |
| full | (W, H, 3) | `FullyObsWrapper` |
| symbolic | (W, H, 3) | `SymbolicObsWrapper` |
| rgb | (H * P, W * P, 3) | `RGBImgObsWrapper` |

Letters: V cells along a side of the agent's window, H rows, W columns, P pixels along a side of a tile.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from gymnasium import spaces

from . import observe, tiles
from .level import Level
from .observe import View


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of image.

    Attributes:
      image: (level, view, P) -> the image.
      space: (V, W, H, P) -> its space.
      shows_window: whether it depends on what the agent sees.
    """

    image: Callable[[Level, View, int], jax.Array]
    space: Callable[[int, int, int, int], spaces.Box]
    shows_window: bool


def _bytes(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


def _symbols(width: int, height: int) -> spaces.Box:
    low = np.zeros((width, height, 3), np.int32)
    low[..., 2] = -1
    high = np.broadcast_to(np.array([width - 1, height - 1, 10], np.int32), low.shape)
    return spaces.Box(low, high, dtype=np.int32)


KINDS: dict[str, Kind] = {
    "partial": Kind(
        lambda level, view, pixels: observe.encode(observe.partial_words(view)),
        lambda size, width, height, pixels: _bytes(size, size, 3),
        True,
    ),
    "one_hot": Kind(
        lambda level, view, pixels: observe.one_hot(observe.partial_words(view)),
        lambda size, width, height, pixels: _bytes(size, size, 20),
        True,
    ),
    "rgb_partial": Kind(
        lambda level, view, pixels: tiles.paint(tiles.partial_codes(level, view), pixels),
        lambda size, width, height, pixels: _bytes(size * pixels, size * pixels, 3),
        True,
    ),
    "full": Kind(
        lambda level, view, pixels: observe.encode(observe.full_words(level)),
        lambda size, width, height, pixels: _bytes(width, height, 3),
        False,
    ),
    "symbolic": Kind(
        lambda level, view, pixels: observe.symbolic(level),
        lambda size, width, height, pixels: _symbols(width, height),
        False,
    ),
    "rgb": Kind(
        lambda level, view, pixels: tiles.paint(tiles.full_codes(level, view), pixels),
        lambda size, width, height, pixels: _bytes(height * pixels, width * pixels, 3),
        True,
    ),
}
