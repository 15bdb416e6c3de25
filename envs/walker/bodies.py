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
import numpy as np

from .types import LEG_DOWN, SCALE, TERRAIN_HEIGHT, TERRAIN_STARTPAD, TERRAIN_STEP, Geometry, Params

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


def geometry(params: Params, plan: BodyPlan, dtype: Any = jnp.float32) -> Geometry:
    """Sizes, masses and joints that `params` stand for."""
    width = jnp.asarray(params.leg_width, dtype)
    height = jnp.asarray(params.leg_height, dtype)
    friction = jnp.asarray(params.friction, dtype)
    # Written as a difference because 0.8 * width misses the original's float32 by its last bit.
    half_width = jnp.stack([width / 2, width / 2 - SHIN_TAPER / 2 * width])
    half = jnp.stack([half_width, jnp.stack([height / 2] * 2)])  # (2, 2): x and y of thigh and shin
    hull_mass, hull_center, hull_inertia = mass_properties(hull_outline(plan, dtype), HULL_DENSITY)
    leg_mass, leg_center, leg_inertia = mass_properties(box(half), LEG_DENSITY)
    legs = plan.num_legs
    center = jnp.concatenate([jnp.asarray(hull_center)[None], *[leg_center.T] * legs])
    hips = [np.array((x, LEG_DOWN), dtype) for x in plan.hips for _ in range(2)]
    zero = jnp.zeros_like(height)
    knee_top, knee_bottom = jnp.stack([zero, height / 2]), jnp.stack([zero, -height / 2])
    anchor_parent = [a for hip in hips for a in (hip - center[0], knee_bottom - center[1])]
    anchor_child = [a for _ in hips for a in (knee_top - center[1], knee_top - center[2])]
    return Geometry(
        leg_half=jnp.concatenate([half.T] * legs),
        center=center,
        inv_mass=1 / _by_body(hull_mass, leg_mass, legs),
        inv_inertia=1 / _by_body(hull_inertia, leg_inertia, legs),
        friction=jnp.sqrt(friction * np.array([HULL_FRICTION] + [LEG_FRICTION] * 2 * legs, dtype)),
        anchor_parent=jnp.stack(anchor_parent),
        anchor_child=jnp.stack(anchor_child),
    )


def _by_body(hull: Any, leg: jax.Array, legs: int) -> jax.Array:
    """(N,) from a number of the hull and two of thigh and shin."""
    return jnp.concatenate([jnp.asarray(hull)[None], *[leg] * legs])


def hull_outline(plan: BodyPlan, dtype: Any = np.float32) -> np.ndarray:
    """(V, 2) [m] vertices of the hull in its frame."""
    return np.array([(x / SCALE, y / SCALE) for x, y in plan.hull], dtype)


def joint_reference(plan: BodyPlan, dtype: Any = np.float32) -> np.ndarray:
    """(J,) [rad] angle between the bodies at which each joint reads 0.

    Differs from the obvious: pybox2d takes the bodies' angle at creation as reference, so a hip reads 0 at the
    starting tilt, and knees (both segments equally tilted) at 0.
    """
    return np.array([r for leg in range(plan.num_legs) for r in (_tilt(leg), 0.0)], dtype)


def joint_limits(plan: BodyPlan, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """(J,) [rad] lower and upper limit of each joint."""
    lower, upper = zip(*(HIP_LIMITS, KNEE_LIMITS) * plan.num_legs, strict=True)
    return np.array(lower, dtype), np.array(upper, dtype)


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
    """(4, 2, ...) corners of boxes with half extents `half` (2, ...), in Box2D's order."""
    x, y = half[0], half[1]
    return jnp.stack([jnp.stack([-x, -y]), jnp.stack([x, -y]), jnp.stack([x, y]), jnp.stack([-x, y])])


def mass_properties(vertices: Any, density: float) -> tuple[Any, Any, Any]:
    """Mass [kg], centre of mass (2, ...) [m], inertia about it [kg m^2] of convex polygons (V, 2, ...).

    Vertices run counter-clockwise; they may be a NumPy array, of which the results are NumPy's, too. Float operations
    in Box2D's order, vertex by vertex: the inverse inertia enters every impulse.
    """
    count = vertices.shape[0]
    total = vertices[0]
    for i in range(1, count):
        total = total + vertices[i]
    start = (1 / count) * total
    area, moment, inertia = 0 * start[0], 0 * start, 0 * start[0]
    for i in range(count):
        e1, e2 = vertices[i] - start, vertices[(i + 1) % count] - start
        twice = e1[0] * e2[1] - e1[1] * e2[0]
        triangle = 0.5 * twice
        area = area + triangle
        moment = moment + (triangle * (1 / 3))[None] * (e1 + e2)
        square = e1 * e1 + e2 * e1 + e2 * e2
        inertia = inertia + (0.25 * (1 / 3) * twice) * (square[0] + square[1])
    mass = density * area
    offset = (1 / area)[None] * moment
    center = offset + start
    about_origin = density * inertia + mass * (_square(center) - _square(offset))
    # b2Body sums mass times centre over its fixtures and divides again, which may change the last bit.
    local_center = (1 / mass)[None] * (mass[None] * center)
    return mass, local_center, about_origin - mass * _square(local_center)


def face_normals(vertices: np.ndarray) -> np.ndarray:
    """(V, 2) outward unit normals of a counter-clockwise polygon (V, 2); face i runs from vertex i to i + 1."""
    edge = np.roll(vertices, -1, axis=0) - vertices
    inverse = 1 / np.sqrt(edge[:, :1] * edge[:, :1] + edge[:, 1:] * edge[:, 1:])
    return np.stack([edge[:, 1], -edge[:, 0]], axis=1) * inverse


def centroid(vertices: np.ndarray) -> np.ndarray:
    """(2,) centroid of a polygon (V, 2) in the order of b2PolygonShape's ComputeCentroid.

    It is what collisions use, and not the same bits as the centre of mass.
    """
    area, moment = 0 * vertices[0, 0], 0 * vertices[0]
    for e1, e2 in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        triangle = 0.5 * (e1[0] * e2[1] - e1[1] * e2[0])
        area = area + triangle
        moment = moment + triangle * (1 / 3) * (e1 + e2)
    return (1 / area) * moment


def _square(vector: Any) -> Any:
    return vector[0] * vector[0] + vector[1] * vector[1]


def _tilt(leg: int) -> float:
    return START_TILT if leg % 2 else -START_TILT
