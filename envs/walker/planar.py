"""Vectors and rotations of the plane as pairs of arrays.

The solver keeps environments in the last axis and every coordinate in its own array, so a vector is a pair `(x, y)` of
equally shaped arrays and a rotation is `(sin, cos)`. Every function spells out Box2D's order of float operations:
reassociating them would cost the bits that the parity tests count on.
"""

import jax
import jax.numpy as jnp

Vector = tuple[jax.Array, jax.Array]  # (x, y)
Rotation = tuple[jax.Array, jax.Array]  # (sin, cos)


def add(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1]


def sub(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1]


def scale(factor: jax.Array | float, a: Vector) -> Vector:
    return factor * a[0], factor * a[1]


def negate(a: Vector) -> Vector:
    return -a[0], -a[1]


def dot(a: Vector, b: Vector) -> jax.Array:
    return a[0] * b[0] + a[1] * b[1]


def cross(a: Vector, b: Vector) -> jax.Array:
    return a[0] * b[1] - a[1] * b[0]


def right_normal(a: Vector) -> Vector:
    """The vector turned by -90 degrees: the outward normal of a counter-clockwise edge."""
    return a[1], -a[0]


def normalize(a: Vector) -> Vector:
    """Unit vector; a zero vector stays zero (its inverse length is replaced by 1)."""
    length = jnp.sqrt(dot(a, a))
    inverse = 1 / jnp.where(length > 0, length, 1)
    return a[0] * inverse, a[1] * inverse


def rotation(angle: jax.Array) -> Rotation:
    return jnp.sin(angle), jnp.cos(angle)


def rotate(turn: Rotation, a: Vector) -> Vector:
    sin, cos = turn
    return cos * a[0] - sin * a[1], sin * a[0] + cos * a[1]


def unrotate(turn: Rotation, a: Vector) -> Vector:
    sin, cos = turn
    return cos * a[0] + sin * a[1], cos * a[1] - sin * a[0]


def where(mask: jax.Array, a: Vector, b: Vector) -> Vector:
    return jnp.where(mask, a[0], b[0]), jnp.where(mask, a[1], b[1])
