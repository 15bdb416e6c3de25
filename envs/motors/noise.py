"""Measurement noise.

Letters: S measured quantities.
"""

import jax
import jax.numpy as jnp

from .layout import Layout
from .references import laplace, normal
from .transforms import Scalar

KINDS = ("normal", "uniform", "laplace")


def add_noise(
    key: jax.Array, measured: jax.Array, layout: Layout, kind: str, current_noise: Scalar, angle_noise: Scalar
) -> jax.Array:
    """Measurements (S,) with independent noise on currents and angle; `key` is consumed.

    Args:
      kind: of `KINDS`, all scaled to the given standard deviation.
      current_noise: standard deviation as a share of the limit.
      angle_noise: [rad] standard deviation.

    Source: gym-electric-motor 3.0.3, `state_noise_processor.py`. Differs: the scale is the standard deviation for every
      kind, and angles stay within a turn.
    """
    u = jax.random.uniform(key, measured.shape, measured.dtype)
    draws = {"normal": normal, "uniform": lambda u: (u - 0.5) * 12**0.5, "laplace": lambda u: laplace(u) / 2**0.5}
    is_current = jnp.asarray([name.startswith("i") for name in layout.names])
    is_angle = jnp.asarray([name == "epsilon" for name in layout.names])
    scale = jnp.where(is_current, current_noise, jnp.where(is_angle, angle_noise / jnp.pi, 0.0))
    noisy = measured + scale * draws[kind](u)
    return jnp.where(is_angle, noisy - 2 * jnp.floor(0.5 * noisy + 0.5), noisy)
