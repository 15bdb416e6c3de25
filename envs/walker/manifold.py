"""Narrow phase: where a convex body touches a terrain edge or a terrain polygon.

A port of Box2D 2.3's b2EPCollider and b2CollidePolygons, with the terrain as fixture A (it is created first) at the
identity transform. Feature ids are reproduced bit by bit, because they decide which of last step's impulses a contact
point inherits. All arrays end in the batch axis and have equal ranks; pairs `(x, y)` as in `planar`.

Letters: V vertices.
Source: Box2D 2.3 b2CollideEdge.cpp, b2CollidePolygon.cpp, b2Collision.cpp.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct

from .planar import (
    Rotation,
    Vector,
    add,
    cross,
    dot,
    negate,
    normalize,
    right_normal,
    rotate,
    scale,
    sub,
    unrotate,
    where,
)

SKIN = 0.02  # [m], sum of both shapes' skin radii: pairs closer than this touch
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 0.98, 0.001  # hysteresis in favour of the terrain's face as reference
UPWARD = 0.7  # cosine: how far from the edge's normal a one-sided contact may push

# A feature id packs (indexA, indexB, typeA, typeB) into four bytes, low to high; a type is 0 vertex, 1 face.
_INDEX_B = 1 << 8
_FACE_A = 1 << 16
_FACE_B = 1 << 24


class Shape(struct.PyTreeNode):
    """Convex polygons: lists over vertices of `(x, y)` pairs; face i runs from vertex i to i + 1.

    Polygons with fewer `corners` than the lists are long repeat vertex 0 after their last one; the faces from there on
    do not exist.
    """

    vertices: Sequence[Vector]
    normals: Sequence[Vector]
    centroid: Vector
    corners: int | jax.Array


class Body(struct.PyTreeNode):
    """A body's shape in its own frame and in the world."""

    local: Shape
    world: Shape
    turn: Rotation
    origin: Vector


class Manifold(struct.PyTreeNode):
    """Up to two contact points of one pair.

    With the reference face on the terrain, `normal` and `plane` are in the world and `points` in the body's frame;
    with the reference face on the body (`on_body`) it is the other way round.
    """

    count: jax.Array  # int32: 0, 1 or 2 points
    on_body: jax.Array  # bool
    normal: Vector
    plane: Vector  # [m], a point of the reference face
    points: tuple[Vector, Vector]  # [m]
    keys: tuple[jax.Array, jax.Array]  # int32 feature ids


class _Reference(struct.PyTreeNode):
    """The reference face of a pair, and the incident segment to be clipped against its sides (world frame)."""

    on_body: jax.Array
    normal: Vector  # unit
    start: Vector
    end: Vector
    index: tuple[jax.Array, jax.Array]  # of the vertices `start`, `end`
    incident: tuple[Vector, Vector]
    keys: tuple[jax.Array, jax.Array]


def place(local: Shape, turn: Rotation, origin: Vector) -> Body:
    """The body whose frame has its origin at `origin` and is turned by `turn`."""
    world = Shape(
        vertices=[add(rotate(turn, v), origin) for v in local.vertices],
        normals=[rotate(turn, n) for n in local.normals],
        centroid=add(rotate(turn, local.centroid), origin),
        corners=local.corners,
    )
    return Body(local=local, world=world, turn=turn, origin=origin)


def collide_edge(body: Body, start: Vector, end: Vector, one_sided: bool) -> Manifold:
    """Contact of a body with the segment from `start` to `end`.

    Args:
      body: arrays of the segment's rank.
      start, end: [m] world, left and right end of the segment.
      one_sided: treat the body as if it were always above, so that penetration pushes it up and out. The original
        takes the side on which the body's centroid is.
    """
    shape = body.world
    below_normal = right_normal(normalize(sub(end, start)))  # Box2D's normal1; terrain runs left to right
    if one_sided:
        below = jnp.zeros(jnp.broadcast_shapes(start[0].shape, shape.centroid[0].shape), bool)
        normal = negate(below_normal)
    else:
        below = dot(below_normal, sub(shape.centroid, start)) >= 0
        normal = where(below, below_normal, negate(below_normal))
    edge_gap = _least([dot(normal, sub(v, start)) for v in shape.vertices])

    gaps = [_edge_side(m, v, start, end) for m, v in zip(shape.normals, shape.vertices, strict=True)]
    gaps = _existing(gaps, shape.corners)
    against = _existing([-dot(normal, m) for m in shape.normals], shape.corners)
    _, separation = _best(gaps)
    if one_sided:
        # A deep foot has its shallowest overlap sideways; following it would leave the foot in the ground.
        gaps = [jnp.where(along > UPWARD, gap, -jnp.inf) for along, gap in zip(against, gaps, strict=True)]
    face, face_gap = _best(gaps)
    on_body = face_gap > RELATIVE_TOLERANCE * edge_gap + ABSOLUTE_TOLERANCE
    incident, _ = _best(against)
    after = _ring(shape.vertices)
    face_key = face * _INDEX_B + _FACE_B
    incident_after = _next(incident, shape.corners)
    reference = _Reference(
        on_body=on_body,
        normal=where(on_body, _pick(shape.normals, face), normal),
        start=where(on_body, _pick(shape.vertices, face), where(below, start, end)),
        end=where(on_body, _pick(after, face), where(below, end, start)),
        index=(
            jnp.where(on_body, face, jnp.where(below, 0, 1)),
            jnp.where(on_body, _next(face, shape.corners), jnp.where(below, 1, 0)),
        ),
        incident=(
            where(on_body, start, _pick(shape.vertices, incident)),
            where(on_body, end, _pick(after, incident)),
        ),
        # Both ends of the segment get the same id when the body's face is the reference (a quirk of the original
        # that makes both points inherit the same impulses).
        keys=(
            jnp.where(on_body, face_key, incident * _INDEX_B + _FACE_A),
            jnp.where(on_body, face_key, incident_after * _INDEX_B + _FACE_A),
        ),
    )
    local_normal = where(on_body, _pick(body.local.normals, face), normal)
    local_plane = where(on_body, _pick(body.local.vertices, face), reference.start)
    near = (edge_gap <= SKIN) & (separation <= SKIN)
    return _clip(body, reference, near, right_normal(reference.normal), 0.0, local_normal, local_plane)


def collide_polygon(body: Body, outline: Sequence[Vector]) -> Manifold:
    """Contact of a body with a convex terrain polygon.

    Args:
      body: arrays of the polygon's rank.
      outline: V vertices, counter-clockwise. A polygon with fewer corners repeats its last or first vertex.
    """
    shape = body.world
    terrain = terrain_shape(*_without_repeats(outline))
    outline = terrain.vertices
    toward = sub(shape.centroid, terrain.centroid)
    gaps_a = [_face_gap(n, v, shape.vertices) for n, v in zip(terrain.normals, outline, strict=True)]
    gaps_b = [_face_gap(n, v, outline) for n, v in zip(shape.normals, shape.vertices, strict=True)]
    face_a, gap_a = _climb(gaps_a, [dot(n, toward) for n in terrain.normals], terrain.corners)
    face_b, gap_b = _climb(gaps_b, [dot(n, negate(toward)) for n in shape.normals], shape.corners)
    on_body = gap_b > RELATIVE_TOLERANCE * gap_a + ABSOLUTE_TOLERANCE

    normal_a, normal_b = _pick(terrain.normals, face_a), _pick(shape.normals, face_b)
    next_a, next_b = _next(face_a, terrain.corners), _next(face_b, shape.corners)
    incident_a, _ = _best(_existing([-dot(normal_b, n) for n in terrain.normals], terrain.corners))
    incident_b, _ = _best(_existing([-dot(normal_a, n) for n in shape.normals], shape.corners))
    incident_a_next, incident_b_next = _next(incident_a, terrain.corners), _next(incident_b, shape.corners)
    after_a, after_b = _ring(outline), _ring(shape.vertices)
    reference = _Reference(
        on_body=on_body,
        normal=where(on_body, normal_b, normal_a),
        start=where(on_body, _pick(shape.vertices, face_b), _pick(outline, face_a)),
        end=where(on_body, _pick(after_b, face_b), _pick(after_a, face_a)),
        index=(jnp.where(on_body, face_b, face_a), jnp.where(on_body, next_b, next_a)),
        incident=(
            where(on_body, _pick(outline, incident_a), _pick(shape.vertices, incident_b)),
            where(on_body, _pick(after_a, incident_a), _pick(after_b, incident_b)),
        ),
        keys=(
            jnp.where(on_body, incident_a * _INDEX_B + face_b, incident_b * _INDEX_B + face_a) + _FACE_A,
            jnp.where(on_body, incident_a_next * _INDEX_B + face_b, incident_b_next * _INDEX_B + face_a) + _FACE_A,
        ),
    )
    # b2CollidePolygons takes the reference normal from the face's own direction, not from the stored normal.
    local_start = where(on_body, _pick(body.local.vertices, face_b), reference.start)
    local_end = where(on_body, _pick(_ring(body.local.vertices), face_b), reference.end)
    local_normal = right_normal(normalize(sub(local_end, local_start)))
    world_normal = where(on_body, rotate(body.turn, local_normal), local_normal)
    reference = dataclasses.replace(reference, normal=world_normal)
    middle = scale(0.5, add(local_start, local_end))
    near = (gap_a <= SKIN) & (gap_b <= SKIN)
    return _clip(body, reference, near, right_normal(world_normal), SKIN, local_normal, middle)


def terrain_shape(outline: Sequence[Vector], corners: int | jax.Array) -> Shape:
    """Normals and centroid of a terrain polygon, float operation by float operation as Box2D stores them."""
    area, moment = jnp.zeros_like(outline[0][0]), (jnp.zeros_like(outline[0][0]), jnp.zeros_like(outline[0][0]))
    for v, w in zip(outline, _ring(outline), strict=True):
        triangle = 0.5 * cross(v, w)
        area = area + triangle
        moment = add(moment, scale(triangle * (1 / 3), add(v, w)))
    normals = [normalize(right_normal(sub(w, v))) for v, w in zip(outline, _ring(outline), strict=True)]
    return Shape(vertices=outline, normals=normals, centroid=scale(1 / area, moment), corners=corners)


def _clip(
    body: Body,
    reference: _Reference,
    near: jax.Array,
    side: Vector,
    margin: float,
    local_normal: Vector,
    local_plane: Vector,
) -> Manifold:
    """Clips the incident segment to the reference face's sides and keeps the points within the skin.

    Args:
      side: direction from the reference face's end to its start.
      margin: [m] by which the sides are pushed outward.
    """
    first, second = reference.incident
    keys = reference.keys
    start_side, end_side = dot(side, reference.start), dot(side, reference.end)
    for index, measure in (
        (reference.index[0], lambda v: dot(side, v) - (start_side + margin)),
        (reference.index[1], lambda v: (end_side - margin) - dot(side, v)),
    ):
        d0, d1 = measure(first), measure(second)
        in0, in1 = d0 <= 0, d1 <= 0
        both, crossing = in0 & in1, d0 * d1 < 0
        ratio = d0 / jnp.where(crossing, d0 - d1, 1)
        cut = add(first, scale(ratio, sub(second, first)))
        cut_key = (keys[0] & (0xFF * _INDEX_B)) + index + _FACE_B
        near = near & (both | crossing)
        first, second = where(in0, first, second), where(both, second, cut)
        keys = jnp.where(in0, keys[0], keys[1]), jnp.where(both, keys[1], cut_key)

    keep = [dot(reference.normal, sub(v, reference.start)) <= SKIN for v in (first, second)]
    on_body = reference.on_body
    points = [where(on_body, v, unrotate(body.turn, sub(v, body.origin))) for v in (first, second)]
    key0, key1 = (jnp.where(on_body, _swap(k), k) for k in keys)
    count = keep[0].astype(jnp.int32) + keep[1].astype(jnp.int32)
    return Manifold(
        count=jnp.where(near, count, 0),
        on_body=on_body,
        normal=local_normal,
        plane=local_plane,
        points=(where(keep[0], points[0], points[1]), points[1]),
        keys=(jnp.where(keep[0], key0, key1), key1),
    )


def _edge_side(normal: Vector, vertex: Vector, start: Vector, end: Vector) -> jax.Array:
    """How far the segment lies outside the body's face through `vertex` [m]."""
    return jnp.minimum(dot(normal, sub(start, vertex)), dot(normal, sub(end, vertex)))


def _face_gap(normal: Vector, vertex: Vector, others: Sequence[Vector]) -> jax.Array:
    """Separation of the vertices `others` from the face through `vertex` [m]."""
    return _least([dot(sub(v, vertex), normal) for v in others])


def _climb(
    gaps: Sequence[jax.Array], towards: Sequence[jax.Array], corners: int | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The face at which Box2D's local search for the largest separation stops, and that separation.

    It starts at the face that looks most towards the other shape, steps to the better neighbour and goes on while that
    helps; on deep overlap this can be another face than the best one.

    Args:
      gaps: separation of every face.
      towards: projection of each face's normal on the direction to the other shape.
      corners: how many faces are real.
    """
    start, _ = _best(_existing(towards, corners))

    def turn(steps: int, sign: int) -> jax.Array:
        face = start + sign * steps
        return jnp.where(face >= corners, face - corners, jnp.where(face < 0, face + corners, face))

    here = _pick(gaps, start)
    up, down = _pick(gaps, turn(1, 1)), _pick(gaps, turn(1, -1))
    backward = (down > here) & (down > up)
    moving = backward | (up > here)
    best, face = here, start
    for steps in range(1, len(gaps)):
        candidate = jnp.where(backward, turn(steps, -1), turn(steps, 1))
        gap = _pick(gaps, candidate)
        moving = moving & (gap > best)
        best, face = jnp.where(moving, gap, best), jnp.where(moving, candidate, face)
    return face, best


def _without_repeats(outline: Sequence[Vector]) -> tuple[Sequence[Vector], int | jax.Array]:
    """Moves repeated vertices onto vertex 0 and counts the others; boxes are taken to be complete."""
    if len(outline) <= 4:
        return outline, len(outline)
    first, repeated = outline[0], jnp.zeros(outline[0][0].shape, bool)
    result, corners = [first], jnp.ones(first[0].shape, jnp.int32)
    for before, vertex in itertools.pairwise(outline):
        for other in (before, first):
            repeated = repeated | ((vertex[0] == other[0]) & (vertex[1] == other[1]))
        corners = corners + (~repeated).astype(jnp.int32)
        result.append(where(repeated, first, vertex))
    return result, corners


def _ring(items: Sequence[Vector]) -> list[Vector]:
    """For every item the next one, cyclically."""
    return [*items[1:], items[0]]


def _existing(values: Sequence[jax.Array], corners: int | jax.Array) -> list[jax.Array]:
    """Values of faces, minus infinity for faces that do not exist."""
    if isinstance(corners, int):
        return list(values)
    return [jnp.where(i < corners, value, -jnp.inf) for i, value in enumerate(values)]


def _next(index: jax.Array, corners: int | jax.Array) -> jax.Array:
    return jnp.where(index == corners - 1, 0, index + 1)


def _least(values: Sequence[jax.Array]) -> jax.Array:
    least = values[0]
    for value in values[1:]:
        least = jnp.minimum(least, value)
    return least


def _best(values: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Index and value of the largest; the first wins ties."""
    best, index = values[0], jnp.zeros(values[0].shape, jnp.int32)
    for i, value in enumerate(values[1:], 1):
        better = value > best
        best, index = jnp.where(better, value, best), jnp.where(better, i, index)
    return index, best


def _pick(items: Sequence, index: jax.Array):
    """`items[index]` elementwise, as a chain of selects: for so few items that beats a gather."""
    if isinstance(items[0], tuple):
        return tuple(_pick([item[k] for item in items], index) for k in range(2))
    result = jnp.broadcast_to(items[0], jnp.broadcast_shapes(items[0].shape, index.shape))
    for i, item in enumerate(items[1:], 1):
        result = jnp.where(index == i, item, result)
    return result


def _swap(key: jax.Array) -> jax.Array:
    """Exchanges the roles of A and B in a feature id."""
    bytes_ac = 0x00FF00FF
    return ((key & bytes_ac) << 8) | ((key >> 8) & bytes_ac)
