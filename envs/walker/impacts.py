"""Contact constraints: friction and non-penetration of one slot of touching pairs, solved for all rows at once.

The other side of every contact is static, so only one body moves. Inactive points have zero effective mass and zero
impulses: they fall out of the arithmetic without a mask.

Letters: R rows (the hull, then each leg), B environments.
Source: Box2D 2.3 b2ContactSolver.cpp.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from .contacts import Contacts
from .joints import LINEAR_SLOP
from .planar import Vector, add, cross, dot, negate, right_normal, rotate, rotation, scale, sub, where

SKIN_RADIUS = 0.01  # [m] of either shape
MAX_CONDITION = 1000.0  # of the two-point block; beyond it only the first point is solved
BAUMGARTE = 0.2  # share of a penetration corrected per position iteration
MAX_CORRECTION = 0.2  # [m]

Twist = tuple[jax.Array, jax.Array, jax.Array]  # velocity x, y and spin of the touching bodies; or centre x, y, angle


class Load(struct.PyTreeNode):
    """Accumulated impulses of the two points [N s]."""

    normal: tuple[jax.Array, ...]
    tangent: tuple[jax.Array, ...]


class Impact(struct.PyTreeNode):
    """One slot of contacts during a step; all (R, B)."""

    mass: jax.Array  # [1/kg], inverse
    inertia: jax.Array  # [1/(kg m^2)], inverse
    friction: jax.Array
    normal: Vector  # from the terrain to the body
    tangent: Vector
    arms: tuple[Vector, ...]  # [m], from the centre of mass to the points
    # Effective masses with their sign turned, as they only ever multiply a velocity that is to be undone.
    tangent_mass: tuple[jax.Array, ...]
    normal_mass: tuple[jax.Array, ...]
    block: jax.Array  # bool, whether two points are solved together
    k11: jax.Array  # the block's matrix
    k12: jax.Array
    k22: jax.Array
    inv11: jax.Array  # minus its inverse
    inv12: jax.Array
    inv22: jax.Array
    # For the position solver.
    second: jax.Array  # bool, whether there is a second point (solved there even if the block is ill conditioned)
    first: jax.Array  # bool
    on_body: jax.Array  # bool, see `Manifold`
    face_normal: Vector
    face_point: Vector
    points: tuple[Vector, ...]
    offset: Vector  # [m], centre of mass in the body frame


class Material(struct.PyTreeNode):
    """What the touching bodies are made of; all (R, C, B)."""

    mass: jax.Array
    inertia: jax.Array
    friction: jax.Array
    offset: Vector


def prepare(contacts: Contacts, body: Material, center: Vector, angle: jax.Array) -> tuple[Impact, Load]:
    """Constraints of all slots at the pose before the step; every leaf is (R, C, B).

    Args:
      contacts: with the impulses to start from.
      body: the touching bodies.
      center, angle: (R, C, B) their pose [m], [rad].
    """
    turn = rotation(angle)
    origin = sub(center, rotate(turn, body.offset))
    normal, points = _world_points(contacts, turn, origin)
    tangent = right_normal(normal)
    arms = tuple(sub(p, center) for p in points)
    lever = [cross(arm, normal) for arm in arms]
    tangent_lever = [cross(arm, tangent) for arm in arms]
    m, i = body.mass, body.inertia
    k11, k22 = (m + i * l * l for l in lever)
    k12 = m + i * lever[0] * lever[1]
    determinant = k11 * k22 - k12 * k12
    first, second = contacts.count > 0, contacts.count > 1
    block = second & (k11 * k11 < MAX_CONDITION * determinant)
    inverse = 1 / jnp.where(block, determinant, 1)
    active = (first, block)

    def masked(mask: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.where(mask, x, jnp.zeros_like(x))

    impact = Impact(
        mass=m,
        inertia=i,
        friction=body.friction,
        normal=normal,
        tangent=tangent,
        arms=arms,
        tangent_mass=tuple(masked(a, -1 / (m + i * l * l)) for a, l in zip(active, tangent_lever, strict=True)),
        normal_mass=tuple(masked(a, -1 / k) for a, k in zip(active, (k11, k22), strict=True)),
        block=block,
        k11=masked(block, k11),
        k12=masked(block, k12),
        k22=masked(block, k22),
        inv11=masked(block, -(inverse * k22)),
        inv12=masked(block, inverse * k12),
        inv22=masked(block, -(inverse * k11)),
        first=first,
        second=second,
        on_body=contacts.on_body,
        face_normal=contacts.normal,
        face_point=contacts.plane,
        points=contacts.points,
        offset=body.offset,
    )
    load = Load(
        normal=tuple(masked(a, x) for a, x in zip(active, contacts.normal_impulse, strict=True)),
        tangent=tuple(masked(a, x) for a, x in zip(active, contacts.tangent_impulse, strict=True)),
    )
    return impact, load


def _world_points(contacts: Contacts, turn: Vector, origin: Vector) -> tuple[Vector, tuple[Vector, ...]]:
    """Normal from terrain to body, and the points halfway between the two skins."""
    face_normal = where(contacts.on_body, rotate(turn, contacts.normal), contacts.normal)
    face_point = where(contacts.on_body, add(rotate(turn, contacts.plane), origin), contacts.plane)
    points = []
    for local in contacts.points:
        point = where(contacts.on_body, local, add(rotate(turn, local), origin))
        height = dot(sub(point, face_point), face_normal)
        on_face = add(point, scale(SKIN_RADIUS - height, face_normal))
        on_other = sub(point, scale(SKIN_RADIUS, face_normal))
        points.append(scale(0.5, add(on_face, on_other)))
    return where(contacts.on_body, negate(face_normal), face_normal), tuple(points)


def warm_start(twist: Twist, impact: Impact, load: Load) -> Twist:
    """Applies the impulses that the contacts start with."""
    for arm, normal, tangent in zip(impact.arms, load.normal, load.tangent, strict=True):
        push = add(scale(normal, impact.normal), scale(tangent, impact.tangent))
        twist = _apply(twist, impact, push, cross(arm, push))
    return twist


def solve_velocity(twist: Twist, impact: Impact, load: Load) -> tuple[Twist, Load]:
    """One visit: friction at both points, then the normals together."""
    tangents = []
    for arm, mass, old, normal in zip(impact.arms, impact.tangent_mass, load.tangent, load.normal, strict=True):
        bound = impact.friction * normal
        new = jax.lax.clamp(-bound, old + mass * dot(_velocity_at(twist, arm), impact.tangent), bound)
        push = scale(new - old, impact.tangent)
        twist = _apply(twist, impact, push, cross(arm, push))
        tangents.append(new)

    approach = tuple(dot(_velocity_at(twist, arm), impact.normal) for arm in impact.arms)
    normals = _solve_normals(impact, load.normal, approach)
    push1, push2 = (scale(new - old, impact.normal) for new, old in zip(normals, load.normal, strict=True))
    turn = cross(impact.arms[0], push1) + cross(impact.arms[1], push2)
    twist = _apply(twist, impact, add(push1, push2), turn)
    return twist, Load(normal=normals, tangent=tuple(tangents))


def _solve_normals(
    impact: Impact, old: tuple[jax.Array, ...], approach: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    """New normal impulses: Box2D's enumeration of the four ways in which two points can push or be free."""
    single = jnp.maximum(old[0] + impact.normal_mass[0] * approach[0], 0)
    b1 = approach[0] - (impact.k11 * old[0] + impact.k12 * old[1])
    b2 = approach[1] - (impact.k12 * old[0] + impact.k22 * old[1])
    both1, both2 = impact.inv11 * b1 + impact.inv12 * b2, impact.inv12 * b1 + impact.inv22 * b2
    only1, only2 = impact.normal_mass[0] * b1, impact.normal_mass[1] * b2
    both_push = jnp.minimum(both1, both2) >= 0
    first_pushes = jnp.minimum(only1, impact.k12 * only1 + b2) >= 0
    second_pushes = jnp.minimum(only2, impact.k12 * only2 + b1) >= 0
    none_pushes = jnp.minimum(b1, b2) >= 0
    zero = jnp.zeros_like(single)
    # If none of the four fits (rounding), the impulses stay as they are.
    new1 = jnp.where(none_pushes, zero, old[0])
    new2 = jnp.where(none_pushes, zero, old[1])
    new1 = jnp.where(second_pushes, zero, new1)
    new2 = jnp.where(second_pushes, only2, new2)
    new1 = jnp.where(first_pushes, only1, new1)
    new2 = jnp.where(first_pushes, zero, new2)
    new1 = jnp.where(both_push, both1, new1)
    new2 = jnp.where(both_push, both2, new2)
    # Without a block all its terms are zero and `new2` stays 0 by the first case.
    return jnp.where(impact.block, new1, single), new2


def solve_position(pose: Twist, impact: Impact, share: float = BAUMGARTE) -> tuple[Twist, jax.Array]:
    """One visit: pushes the bodies out of the terrain; also (R, B) the deepest separation seen [m], at most 0.

    Args:
      share: of a penetration that is corrected.
    """
    deepest = jnp.zeros_like(pose[2])
    for active, local in zip((impact.first, impact.second), impact.points, strict=True):
        center, turn = (pose[0], pose[1]), rotation(pose[2])
        origin = sub(center, rotate(turn, impact.offset))
        face_normal = where(impact.on_body, rotate(turn, impact.face_normal), impact.face_normal)
        face_point = where(impact.on_body, add(rotate(turn, impact.face_point), origin), impact.face_point)
        point = where(impact.on_body, local, add(rotate(turn, local), origin))
        # The barrier keeps XLA from adding the two radii first.
        gap = jax.lax.optimization_barrier(dot(sub(point, face_point), face_normal) - SKIN_RADIUS) - SKIN_RADIUS
        normal = where(impact.on_body, negate(face_normal), face_normal)
        arm = sub(point, center)
        deepest = jnp.where(active, jnp.minimum(deepest, gap), deepest)
        correction = jnp.clip(share * (gap + LINEAR_SLOP), -MAX_CORRECTION, 0.0)
        lever = cross(arm, normal)
        amount = -correction / (impact.mass + impact.inertia * lever * lever)
        push = scale(jnp.where(active, amount, jnp.zeros_like(amount)), normal)
        pose = _apply(pose, impact, push, cross(arm, push))
    return pose, deepest


def if_used(used: jax.Array, visit: Callable[[Any], Any], state: Any) -> Any:
    """`visit(state)`, which changes nothing unless `used`; skipped then where a branch costs less than the work."""
    if jax.default_backend() == "cpu":
        return jax.lax.cond(used, visit, lambda same: same, state)
    return visit(state)


def _velocity_at(twist: Twist, arm: Vector) -> Vector:
    return twist[0] - twist[2] * arm[1], twist[1] + twist[2] * arm[0]


def _apply(twist: Twist, impact: Impact, push: Vector, turn: jax.Array) -> Twist:
    return (
        twist[0] + impact.mass * push[0],
        twist[1] + impact.mass * push[1],
        twist[2] + impact.inertia * turn,
    )
