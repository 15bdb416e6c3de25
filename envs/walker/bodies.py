"""What the walker's bodies are: shapes, masses, joints, starting pose.

The topology (how many legs, what hangs on what) is a static `BodyPlan`; every size comes from `Params` and may be
traced. Body order is creation order: hull, then thigh and shin of each leg; joint order: hip and knee of each leg.

Letters: N bodies, J joints, L legs, V vertices.
Source: Gymnasium 1.4 bipedal_walker.py; Box2D 2.3 b2PolygonShape::ComputeMass, b2Body::ResetMassData, b2World::Solve.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from .types import LEG_DOWN, SCALE, TERRAIN_HEIGHT, TERRAIN_STARTPAD, TERRAIN_STEP, Params

HULL_DENSITY = 5.0  # [kg/m^2]
LEG_DENSITY = 1.0  # [kg/m^2]
HULL_FRICTION = 0.1
LEG_FRICTION = 0.2  # Box2D's default
SHIN_TAPER = 0.2  # by how much a shin is narrower than its thigh
START_TILT = 0.05  # [rad] of a leg, backward leg negative
HIP_LIMITS = (-0.8, 1.1)  # [rad]
KNEE_LIMITS = (-1.6, -0.1)  # [rad]


@dataclasses.dataclass(frozen=True)
class BodyPlan:
    """The static part of an embodiment: a hull on pairs of two-segment legs.

    Attributes:
      hull: outline in pixels (1/30 m), counter-clockwise from the right-most, lowest vertex as Box2D stores it. The
        start decides the feature ids of contacts, and so which impulses are matched.
      hips: [m] x of the hip anchors of each leg pair in the hull's frame.
      hip_starts: [m] x offset at which the legs of each pair are created.
    """

    hull: tuple[tuple[float, float], ...] = ((34, -8), (34, 1), (6, 9), (-30, 9), (-30, -8))
    hips: tuple[float, ...] = (0.0,)
    hip_starts: tuple[float, ...] = (0.0,)

    @property
    def num_legs(self) -> int:
        return 2 * len(self.hips)

    @property
    def num_bodies(self) -> int:
        return 1 + 2 * self.num_legs

    @property
    def num_joints(self) -> int:
        return 2 * self.num_legs

    @property
    def joint_bodies(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) body of every joint."""
        return tuple(pair for leg in range(self.num_legs) for pair in ((0, 1 + 2 * leg), (1 + 2 * leg, 2 + 2 * leg)))

    @property
    def joint_order(self) -> tuple[int, ...]:
        """The order in which the solver visits the joints."""
        return _island_order(self.num_bodies, self.joint_bodies)


BIPED = BodyPlan()


@functools.cache
def _island_order(num_bodies: int, joint_bodies: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Joints in the order of Box2D's island search: depth first from the newest body, newest joint first."""
    stack, seen_bodies, order = [num_bodies - 1], {num_bodies - 1}, []
    while stack:
        body = stack.pop()
        for joint in reversed(range(len(joint_bodies))):
            if body not in joint_bodies[joint] or joint in order:
                continue
            order.append(joint)
            parent, child = joint_bodies[joint]
            other = child if body == parent else parent
            if other not in seen_bodies:
                seen_bodies.add(other)
                stack.append(other)
    return tuple(order)


class Geometry(struct.PyTreeNode):
    """Sizes, masses and joints of one walker, derived from `Params`. Body frames have their origin at the shape's."""

    hull: jax.Array  # (V, 2) [m], vertices
    hull_normal: jax.Array  # (V, 2), of face i from vertex i to i + 1
    hull_centroid: jax.Array  # (2,) [m], as Box2D computes it for collisions (not the same bits as the mass centre)
    leg_half: jax.Array  # (2 L, 2) [m], half extents of thigh, shin of each leg
    center: jax.Array  # (N, 2) [m], centre of mass in the body frame
    inv_mass: jax.Array  # (N,) [1/kg]
    inv_inertia: jax.Array  # (N,) [1/(kg m^2)], about the centre of mass
    friction: jax.Array  # (N,) [1], of the contact between body and terrain
    anchor_parent: jax.Array  # (J, 2) [m], relative to the parent's centre of mass
    anchor_child: jax.Array  # (J, 2) [m]
    reference: jax.Array  # (J,) [rad], angle between the bodies at which the joint reads 0
    lower: jax.Array  # (J,) [rad]
    upper: jax.Array  # (J,) [rad]


def geometry(params: Params, plan: BodyPlan, dtype: Any = jnp.float32) -> Geometry:
    """Sizes, masses and joints that `params` stand for."""
    width = jnp.asarray(params.leg_width, dtype)
    height = jnp.asarray(params.leg_height, dtype)
    friction = jnp.asarray(params.friction, dtype)
    hull = jnp.asarray([(x / SCALE, y / SCALE) for x, y in plan.hull], dtype)
    thigh = jnp.stack([width / 2, height / 2])
    # Written as a difference because 0.8 * width misses the original's float32 by its last bit.
    shin = jnp.stack([width / 2 - SHIN_TAPER / 2 * width, height / 2])
    solids = [
        mass_properties(outline, density)
        for outline, density in ((hull, HULL_DENSITY), (box(thigh), LEG_DENSITY), (box(shin), LEG_DENSITY))
    ]
    mass, center, inertia = (jnp.stack(column) for column in zip(*solids, strict=True))
    kind = jnp.asarray([0] + [1, 2] * plan.num_legs)
    surface = jnp.sqrt(friction * jnp.asarray([HULL_FRICTION] + [LEG_FRICTION] * 2 * plan.num_legs, dtype))
    hips = [(x, LEG_DOWN) for x in plan.hips for _ in range(2)]
    zero = jnp.zeros_like(height)
    knee_top, knee_bottom = jnp.stack([zero, height / 2]), jnp.stack([zero, -height / 2])
    anchor_parent = [a for hip in hips for a in (jnp.asarray(hip, dtype) - center[0], knee_bottom - center[1])]
    anchor_child = [a for _ in hips for a in (knee_top - center[1], knee_top - center[2])]
    return Geometry(
        hull=hull,
        hull_normal=face_normals(hull),
        hull_centroid=centroid(hull),
        leg_half=jnp.stack([thigh, shin] * plan.num_legs),
        center=center[kind],
        inv_mass=1 / mass[kind],
        inv_inertia=1 / inertia[kind],
        friction=surface,
        anchor_parent=jnp.stack(anchor_parent),
        anchor_child=jnp.stack(anchor_child),
        # Differs from the obvious: pybox2d takes the bodies' angle at creation as reference, so a hip reads 0 at the
        # starting tilt, and knees (both segments equally tilted) at 0.
        reference=jnp.asarray([r for leg in range(plan.num_legs) for r in (_tilt(leg), 0.0)], dtype),
        lower=jnp.asarray([HIP_LIMITS[0], KNEE_LIMITS[0]] * plan.num_legs, dtype),
        upper=jnp.asarray([HIP_LIMITS[1], KNEE_LIMITS[1]] * plan.num_legs, dtype),
    )


def starting_pose(params: Params, plan: BodyPlan, dtype: Any = jnp.float32) -> tuple[jax.Array, jax.Array]:
    """Where the bodies are created: origins (N, 2) [m] and angles (N,) [rad].

    Legs are turned about their own middle, so the joints start slightly apart; the first step pulls them together.
    """
    height = jnp.asarray(params.leg_height, dtype)
    start = TERRAIN_STEP * TERRAIN_STARTPAD / 2
    top = TERRAIN_HEIGHT + 2 * height
    origins, angles = [(jnp.full_like(height, start), top)], [0.0]
    for leg in range(plan.num_legs):
        x = jnp.full_like(height, start + plan.hip_starts[leg // 2])
        origins += [(x, top - height / 2 - LEG_DOWN), (x, top - height * 3 / 2 - LEG_DOWN)]
        angles += [_tilt(leg)] * 2
    return jnp.stack([jnp.stack(origin) for origin in origins]), jnp.asarray(angles, dtype)


def box(half: jax.Array) -> jax.Array:
    """(4, 2) corners of a box with half extents `half` (2,), in Box2D's order."""
    return jnp.stack([-half, half * jnp.asarray([1, -1], half.dtype), half, half * jnp.asarray([-1, 1], half.dtype)])


def mass_properties(vertices: jax.Array, density: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mass [kg], centre of mass (2,) [m], inertia about it [kg m^2] of a convex polygon (V, 2), counter-clockwise.

    Float operations in Box2D's order, vertex by vertex: the inverse inertia enters every impulse.
    """
    count = vertices.shape[0]
    total = vertices[0]
    for i in range(1, count):
        total = total + vertices[i]
    start = (1 / count) * total
    area = jnp.zeros_like(vertices[0, 0])
    moment, inertia = jnp.zeros_like(start), jnp.zeros_like(area)
    for i in range(count):
        e1, e2 = vertices[i] - start, vertices[(i + 1) % count] - start
        twice = e1[0] * e2[1] - e1[1] * e2[0]
        triangle = 0.5 * twice
        area = area + triangle
        moment = moment + triangle * (1 / 3) * (e1 + e2)
        square = e1 * e1 + e2 * e1 + e2 * e2
        inertia = inertia + (0.25 * (1 / 3) * twice) * (square[0] + square[1])
    mass = density * area
    offset = (1 / area) * moment
    center = offset + start
    about_origin = density * inertia + mass * (_square(center) - _square(offset))
    # b2Body sums mass times centre over its fixtures and divides again, which may change the last bit.
    local_center = (1 / mass) * (mass * center)
    return mass, local_center, about_origin - mass * _square(local_center)


def face_normals(vertices: jax.Array) -> jax.Array:
    """(V, 2) outward unit normals of a counter-clockwise polygon (V, 2); face i runs from vertex i to i + 1."""
    edge = jnp.roll(vertices, -1, axis=0) - vertices
    inverse = 1 / jnp.sqrt(edge[:, :1] * edge[:, :1] + edge[:, 1:] * edge[:, 1:])
    return jnp.stack([edge[:, 1], -edge[:, 0]], axis=1) * inverse


def centroid(vertices: jax.Array) -> jax.Array:
    """(2,) centroid of a polygon (V, 2) in the order of b2PolygonShape's ComputeCentroid."""
    count = vertices.shape[0]
    area, moment = jnp.zeros_like(vertices[0, 0]), jnp.zeros_like(vertices[0])
    for i in range(count):
        e1, e2 = vertices[i], vertices[(i + 1) % count]
        triangle = 0.5 * (e1[0] * e2[1] - e1[1] * e2[0])
        area = area + triangle
        moment = moment + triangle * (1 / 3) * (e1 + e2)
    return (1 / area) * moment


def _square(vector: jax.Array) -> jax.Array:
    return vector[0] * vector[0] + vector[1] * vector[1]


def _tilt(leg: int) -> float:
    return START_TILT if leg % 2 else -START_TILT
