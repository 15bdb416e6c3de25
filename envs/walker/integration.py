"""How far velocities may carry bodies within a step. Source: Box2D 2.3 b2Island.cpp, b2Settings.h."""

import jax
import jax.numpy as jnp

from .joints import PI
from .planar import Vector

MAX_TRANSLATION = 2.0  # [m] per step
MAX_ROTATION = float(0.5 * PI)  # [rad] per step


def limit_speed(velocity: Vector, spin: jax.Array, time_step: jax.Array) -> tuple[Vector, jax.Array]:
    """Velocities and spins, shortened where they would carry their bodies too far in `time_step` [s]."""
    x, y = velocity
    dx, dy = time_step * x, time_step * y
    square = dx * dx + dy * dy
    far = square > MAX_TRANSLATION * MAX_TRANSLATION
    ratio = jnp.where(far, MAX_TRANSLATION / jnp.sqrt(jnp.where(far, square, 1)), 1)
    turn = time_step * spin
    fast = turn * turn > MAX_ROTATION * MAX_ROTATION
    spin = spin * jnp.where(fast, MAX_ROTATION / jnp.where(fast, jnp.abs(turn), 1), 1)
    return (x * ratio, y * ratio), spin
