"""Frames of multi-phase machines, amplitude-invariant.

Every function takes and returns scalars () of one environment. `dq` rotates with the rotor (or the rotor flux), `ab` is
the stator-fixed alpha-beta frame. A zero-sequence component is dropped.

Source: gym-electric-motor 3.0.3, `three_phase_motor.py`, `six_phase_motor.py`.
"""

import math

import jax
import jax.numpy as jnp
from flax import struct

SQRT3 = math.sqrt(3.0)
Scalar = jax.Array | float


class Angle(struct.PyTreeNode):
    """An electrical angle [rad] in [-pi, pi) with its cosine and sine, which every change of frame needs."""

    value: jax.Array
    cos: jax.Array
    sin: jax.Array

    @classmethod
    def of(cls, value: jax.Array) -> "Angle":
        """Wraps any angle [rad]; float32 needs it small to stay exact."""
        value = wrap(value)
        return cls(value=value, cos=jnp.cos(value), sin=jnp.sin(value))


def wrap(angle: jax.Array) -> jax.Array:
    """The same direction in [-pi, pi)."""
    return angle - 2 * math.pi * jnp.floor(angle / (2 * math.pi) + 0.5)


def clarke(a: Scalar, b: Scalar, c: Scalar) -> tuple[Scalar, Scalar]:
    """Three phases to (alpha, beta)."""
    return (2 * a - b - c) / 3, (b - c) / SQRT3


def inverse_clarke(alpha: Scalar, beta: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """(alpha, beta) to three phases."""
    return alpha, -0.5 * alpha + SQRT3 / 2 * beta, -0.5 * alpha - SQRT3 / 2 * beta


def rotate(x: Scalar, y: Scalar, angle: Angle) -> tuple[Scalar, Scalar]:
    """A vector turned forward by `angle`: dq coordinates to alpha-beta."""
    return angle.cos * x - angle.sin * y, angle.sin * x + angle.cos * y


def rotate_back(x: Scalar, y: Scalar, angle: Angle) -> tuple[Scalar, Scalar]:
    """A vector turned backward by `angle`: alpha-beta coordinates to dq."""
    return angle.cos * x + angle.sin * y, angle.cos * y - angle.sin * x


def direction(x: jax.Array, y: jax.Array) -> Angle:
    """The angle of a vector; 0 for the zero vector, as atan2 has it."""
    square = x * x + y * y
    nowhere = square <= 0
    scale = jax.lax.rsqrt(jnp.where(nowhere, 1.0, square))
    return Angle(value=jnp.arctan2(y, x), cos=jnp.where(nowhere, 1.0, x * scale), sin=y * scale)


def difference(first: Angle, second: Angle) -> Angle:
    """`first - second`, by the addition theorem."""
    return Angle(
        value=wrap(first.value - second.value),
        cos=first.cos * second.cos + first.sin * second.sin,
        sin=first.sin * second.cos - first.cos * second.sin,
    )


def vector_space(a1: Scalar, b1: Scalar, c1: Scalar, a2: Scalar, b2: Scalar, c2: Scalar) -> tuple[Scalar, ...]:
    """Six phases, two windings 30 degrees apart, to (alpha, beta, X, Y)."""
    first = a1 - 0.5 * (b1 + c1)
    second = SQRT3 / 2 * (a2 - b2)
    third = SQRT3 / 2 * (b1 - c1)
    fourth = 0.5 * (a2 + b2) - c2
    return (first + second) / 3, (third + fourth) / 3, (first - second) / 3, (fourth - third) / 3


def inverse_vector_space(alpha: Scalar, beta: Scalar, x: Scalar, y: Scalar) -> tuple[Scalar, ...]:
    """(alpha, beta, X, Y) to six phases; the rows of `vector_space` are orthogonal, so its transpose inverts it."""
    plus, minus = alpha + x, alpha - x
    across, along = beta - y, beta + y
    return (
        plus,
        -0.5 * plus + SQRT3 / 2 * across,
        -0.5 * plus - SQRT3 / 2 * across,
        SQRT3 / 2 * minus + 0.5 * along,
        -SQRT3 / 2 * minus + 0.5 * along,
        -along,
    )
