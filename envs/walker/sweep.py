"""When a moving body first comes within reach of a piece of terrain: conservative advancement along a sweep.

Cores, that is polygons without their skin, are watched: a hit is when they are `TARGET` apart. Both loops of the
original are kept, and so is its way of looking along one axis at a time; the closest features are found by trying all
of them, where Box2D walks there by GJK.

Arrays end in (K, M): K pieces of terrain, M moving bodies. Letters: V terrain vertices, J body vertices.
Source: Box2D 2.3 b2TimeOfImpact.cpp, b2Distance.cpp, b2Math.h (b2Sweep).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from .joints import LINEAR_SLOP
from .planar import Rotation, Vector, add, cross, dot, negate, normalize, right_normal, rotate, rotation, sub, where
from .search import first_least

TARGET = LINEAR_SLOP  # [m] core distance at which a hit is called: max(slop, both skins - 3 slops)
TOLERANCE = 0.25 * LINEAR_SLOP  # [m]
MAX_AXES = 20  # separating axes tried
MAX_PUSHES = 16  # deepest points resolved on one axis (b2_maxPolygonVertices)
MAX_ROOT_STEPS = 50
POINTS, TERRAIN_FACE, BODY_FACE = 0, 1, 2
RUNNING, HIT, MISS = 0, 1, 2


class Sweep(struct.PyTreeNode):
    """Motion of centres of mass over the rest of a step, from time 0 to time 1; leaves (1, M)."""

    start: Vector  # [m]
    start_angle: jax.Array  # [rad]
    end: Vector
    end_angle: jax.Array
    offset: Vector  # [m], centre of mass in the body frame

    def at(self, time: jax.Array) -> tuple[Rotation, Vector]:
        """Rotation and origin of the body frame."""
        rest = 1 - time
        turn = rotation(rest * self.start_angle + time * self.end_angle)
        center = tuple(rest * s + time * e for s, e in zip(self.start, self.end, strict=True))
        return turn, sub((center[0], center[1]), rotate(turn, self.offset))


class _Axis(struct.PyTreeNode):
    """A direction along which terrain and body are apart; all (K, M)."""

    kind: jax.Array  # int32
    direction: Vector  # unit; in the body frame for BODY_FACE
    point: Vector  # [m], middle of the face, in the frame of its owner


class _Deepest(struct.PyTreeNode):
    """The vertices that are furthest past each other."""

    terrain: Vector  # [m] world
    body: Vector  # [m] body frame


def time_of_impact(terrain: Vector, body: Vector, sweep: Sweep) -> tuple[jax.Array, jax.Array]:
    """First time in [0, 1] at which the cores are `TARGET` apart.

    Args:
      terrain: (V, K, M) [m] vertices of convex polygons, or of segments; fewer than V repeat one of them.
      body: (J, 1, M) [m] vertices in the body frame, in order; likewise.
      sweep: of the bodies.

    Returns:
      (K, M) bool whether there is such a time, (K, M) the time. Cores that overlap at time 0, or whose approach is not
      resolved within the iteration limits, count as no hit, as in the original.
    """
    shape = jnp.broadcast_shapes(terrain[0].shape[1:], body[0].shape[1:])
    zero = jnp.zeros(shape, body[0].dtype)

    def running(carry: tuple) -> jax.Array:
        count, _, status = carry
        return (count < MAX_AXES) & jnp.any(status == RUNNING)

    def try_axis(carry: tuple) -> tuple:
        count, time, status = carry
        axis, distance, overlap = _closest(terrain, body, sweep, time)
        near = distance < TARGET + TOLERANCE
        found = jnp.where(overlap, MISS, jnp.where(near, HIT, RUNNING)).astype(jnp.int32)
        status = jnp.where(status == RUNNING, found, status)
        time, status = _push_back(terrain, body, sweep, axis, time, status)
        return count + 1, time, status

    start = jnp.zeros((), jnp.int32), zero, jnp.full(shape, RUNNING, jnp.int32)
    _, time, status = jax.lax.while_loop(running, try_axis, start)
    return status == HIT, time


def _closest(terrain: Vector, body: Vector, sweep: Sweep, time: jax.Array) -> tuple[_Axis, jax.Array, jax.Array]:
    """The axis of the closest features at `time`, their distance [m], and whether the cores overlap."""
    turn, origin = sweep.at(time)
    a = terrain[0][:, None], terrain[1][:, None]  # (V, 1, K, M)
    moved = _moved(body, turn, origin)
    b = moved[0][None], moved[1][None]  # (1, J, K, M)
    a_edge, b_edge = sub(_next(a, 0), a), sub(_next(b, 1), b)
    between = sub(b, a)
    overlap = _overlap(a_edge, b_edge, between)
    distance = jnp.stack(
        [dot(between, between), _height(between, a_edge), _height(negate(between), b_edge)]
    )  # squared, (3, V, J, K, M)
    flat = distance.reshape(-1, *distance.shape[3:])
    best = first_least(flat)
    corners = flat.shape[0] // 3
    kind, corner = best // corners, best % corners
    count = b[0].shape[1]
    i, j = corner // count, corner % count

    point_a, edge_a = _take(terrain, i), _take((a_edge[0][:, 0], a_edge[1][:, 0]), i)
    point_b, local_edge = _take(body, j), _take(sub(_next(body, 0), body), j)
    on_terrain, on_body = kind == TERRAIN_FACE, kind == BODY_FACE
    world_b = _take(moved, j)
    direction = where(on_terrain, right_normal(edge_a), where(on_body, right_normal(local_edge), sub(world_b, point_a)))
    direction = normalize(direction)
    start, edge = where(on_body, point_b, point_a), where(on_body, local_edge, edge_a)
    point = start[0] + 0.5 * edge[0], start[1] + 0.5 * edge[1]
    axis = _Axis(kind=kind, direction=direction, point=point)
    towards = _separation(axis, _Deepest(point_a, point_b), turn, origin)
    flip = (kind != POINTS) & (towards < 0)
    axis = axis.replace(direction=where(flip, negate(direction), direction))
    return axis, jnp.sqrt(jnp.min(flat, axis=0)), overlap


def _next(vertices: Vector, axis: int) -> Vector:
    """For every vertex the one after it."""
    return jnp.roll(vertices[0], -1, axis), jnp.roll(vertices[1], -1, axis)


def _height(point: Vector, edge: Vector) -> jax.Array:
    """Squared distance of points, relative to an edge's start, from the edge; infinite where its end is nearer."""
    along, square = dot(point, edge), dot(edge, edge)
    inside = (along > 0) & (along < square)
    height = cross(edge, point)
    return jnp.where(inside, height * height / jnp.where(inside, square, 1), jnp.inf)


def _overlap(a_edge: Vector, b_edge: Vector, between: Vector) -> jax.Array:
    """Whether no side of either polygon has all of the other before it. Sides of length 0 never do."""
    outside_a = jnp.min(dot(right_normal(a_edge), between), axis=1) > 0
    outside_b = jnp.max(dot(right_normal(b_edge), between), axis=0) < 0
    return ~(jnp.any(outside_a, axis=0) | jnp.any(outside_b, axis=0))


def _push_back(
    terrain: Vector, body: Vector, sweep: Sweep, axis: _Axis, start: jax.Array, status: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Moves time back from the end until nothing is too deep along the axis; the new start time and status."""

    def going(carry: tuple) -> jax.Array:
        count, _, _, _, open_ = carry
        return (count < MAX_PUSHES) & jnp.any(open_)

    def push(carry: tuple) -> tuple:
        count, first, last, status, open_ = carry
        turn, origin = sweep.at(last)
        deepest, depth = _deepest(terrain, body, axis, turn, origin)
        apart = depth > TARGET + TOLERANCE
        reached = ~apart & (depth > TARGET - TOLERANCE)
        height = _separation(axis, deepest, *sweep.at(first))
        failed = ~apart & ~reached & (height < TARGET - TOLERANCE)
        hit = ~apart & ~reached & ~failed & (height <= TARGET + TOLERANCE)
        search = open_ & ~apart & ~reached & ~failed & ~hit
        root = _root(axis, deepest, sweep, (first, height), (last, depth), search)
        verdict = jnp.where(apart | failed, MISS, jnp.where(hit, HIT, status)).astype(jnp.int32)
        status = jnp.where(open_, verdict, status)
        first = jnp.where(open_ & reached, last, first)
        return count + 1, first, jnp.where(search, root, last), status, search

    carry: Any = (jnp.zeros((), jnp.int32), start, jnp.ones_like(start), status, status == RUNNING)
    _, first, _, status, _ = jax.lax.while_loop(going, push, carry)
    return first, status


def _root(
    axis: _Axis,
    deepest: _Deepest,
    sweep: Sweep,
    early: tuple[jax.Array, jax.Array],
    late: tuple[jax.Array, jax.Array],
    search: jax.Array,
) -> jax.Array:
    """Time at which the two vertices are `TARGET` apart, by bisection and secant in turn.

    Args:
      early, late: (time, separation) before and after.
      search: where to look.
    """

    def going(carry: tuple) -> jax.Array:
        return (carry[0] < MAX_ROOT_STEPS) & jnp.any(carry[-1])

    def halve(carry: tuple) -> tuple:
        count, (t1, s1), (t2, s2), root, open_ = carry
        slope = jnp.where(open_, s2 - s1, 1)
        time = jnp.where(count % 2 == 1, t1 + (TARGET - s1) * (t2 - t1) / slope, 0.5 * (t1 + t2))
        here = _separation(axis, deepest, *sweep.at(time))
        found = jnp.abs(here - TARGET) < TOLERANCE
        root = jnp.where(open_ & found, time, root)
        open_ = open_ & ~found
        before, after = open_ & (here > TARGET), open_ & (here <= TARGET)
        t1, s1 = jnp.where(before, time, t1), jnp.where(before, here, s1)
        t2, s2 = jnp.where(after, time, t2), jnp.where(after, here, s2)
        return count + 1, (t1, s1), (t2, s2), root, open_

    carry: Any = (jnp.zeros((), jnp.int32), early, late, late[0], search)
    return jax.lax.while_loop(going, halve, carry)[3]


def _deepest(terrain: Vector, body: Vector, axis: _Axis, turn: Rotation, origin: Vector) -> tuple[_Deepest, jax.Array]:
    """The vertices that go furthest past the axis' face, or past each other, and their separation [m]."""
    on_body = axis.kind == BODY_FACE
    normal = where(on_body, rotate(turn, axis.direction), axis.direction)
    along_a = dot(_lifted(normal), terrain)
    along_b = dot(_lifted(normal), _moved(body, turn, origin))
    along_a = jnp.where(on_body[None], along_a, -along_a)
    deepest = _Deepest(terrain=_take(terrain, first_least(along_a)), body=_take(body, first_least(along_b)))
    return deepest, _separation(axis, deepest, turn, origin)


def _separation(axis: _Axis, pair: _Deepest, turn: Rotation, origin: Vector) -> jax.Array:
    """Distance of two vertices, or of one from the other's face, along the axis [m]."""
    on_terrain, on_body = axis.kind == TERRAIN_FACE, axis.kind == BODY_FACE
    normal = where(on_body, rotate(turn, axis.direction), axis.direction)
    near = add(rotate(turn, where(on_body, axis.point, pair.body)), origin)
    far = where(on_terrain, axis.point, pair.terrain)
    gap = sub(near, far)
    return dot(where(on_body, negate(gap), gap), normal)


def _moved(body: Vector, turn: Rotation, origin: Vector) -> Vector:
    """(J, K, M) body vertices in the world."""
    return add(rotate(_lifted(turn), body), _lifted(origin))


def _lifted(pair: Vector) -> Vector:
    return pair[0][None], pair[1][None]


def _take(vertices: Vector, index: jax.Array) -> Vector:
    """(K, M) vertices from (V, K, M) or (V, 1, M) by index. A chain of selects: for so few that beats a gather."""
    x, y = (jnp.broadcast_to(c[0], index.shape) for c in vertices)
    for v in range(1, vertices[0].shape[0]):
        x, y = where(index == v, (vertices[0][v], vertices[1][v]), (x, y))
    return x, y
