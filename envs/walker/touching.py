"""The narrow phase: manifolds of the pairs that are near, and which of them touch.

Few of the candidate pairs of a batch are near enough to matter, so only those are worked on.

Letters: B environments (first here), N bodies, W + U candidates per body, R rows (the hull, then each leg), C slots,
K candidate pairs of a batch, M pairs in a chunk.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from . import manifold
from .bodies import BodyPlan, centroid, face_normals, hull_outline
from .folding import batch_first
from .listed import into_slots, over_listed
from .manifold import Body, Manifold, Shape
from .nearby import Nearby
from .planar import Vector, rotate, rotation, sub
from .types import CONTACT_SLOTS, Geometry, Physics, Terrain

CHUNK = 2  # pairs per environment that are worked on at once


class Touching(struct.PyTreeNode):
    """The touching pairs of one walker in the order of the contact list: the shin's, then the thigh's; newest first."""

    pair: jax.Array  # (R, C) int32, see `Physics.contact_pair`
    numbers: jax.Array  # (R, C, 8): normal, plane, both points of a `Manifold`
    codes: jax.Array  # (R, C, 4) int32: count, on_body, both keys
    overflow: jax.Array  # () bool, whether some did not fit


class _Rows(struct.PyTreeNode):
    """Manifolds of a list of pairs."""

    numbers: jax.Array  # (M, 8)
    codes: jax.Array  # (M, 4) int32


def touching(
    physics: Physics, near: Nearby, terrain: Terrain, shape: Geometry, plan: BodyPlan, one_sided: bool
) -> Touching:
    """Tests the candidates of one walker (no batch axis).

    Args:
      one_sided: see `manifold.collide_edge`.
    """
    dtype = physics.position.dtype
    half = jnp.concatenate([jnp.zeros((1, 2), dtype), shape.leg_half.astype(dtype)])
    pose = jnp.concatenate([physics.position, physics.angle[:, None], shape.center.astype(dtype), half], axis=1)
    kernel = _kernel(plan, one_sided)
    return kernel(pose, near.edge, near.polygon, terrain.ground.astype(dtype), terrain.polygons.astype(dtype))


@functools.cache
def _kernel(plan: BodyPlan, one_sided: bool) -> Callable[..., Touching]:
    def find(pose: jax.Array, edge: jax.Array, polygon: jax.Array, ground: jax.Array, polygons: jax.Array) -> Touching:
        """Args: pose (B, N, 7), candidates (B, N, W) and (B, N, U), the track (B, E, 2) and (B, P, V, 2)."""
        num_bodies, num_edges = pose.shape[1], ground.shape[1] - 1
        poses = pose.reshape(-1, pose.shape[-1])

        def body_of(row: jax.Array) -> Body:
            return _body(poses[row], row % num_bodies == 0, plan)

        def hit_edges(row: jax.Array, piece: jax.Array) -> Manifold:
            points = ground.reshape(-1, 2)
            first = row // num_bodies * ground.shape[1] + piece
            start, end = points[first], points[first + 1]
            return manifold.collide_edge(body_of(row), (start[:, 0], start[:, 1]), (end[:, 0], end[:, 1]), one_sided)

        def hit_polygons(row: jax.Array, piece: jax.Array) -> Manifold:
            outline = polygons.reshape(-1, *polygons.shape[2:])[row // num_bodies * polygons.shape[1] + piece]
            corners = [(outline[:, v, 0], outline[:, v, 1]) for v in range(outline.shape[1])]
            return manifold.collide_polygon(body_of(row), corners)

        place, rows = _each_near(edge, hit_edges)
        piece = edge
        if polygon.shape[2]:
            more_place, more = _each_near(polygon, hit_polygons)
            place = jnp.concatenate([place, rows.codes.shape[0] + more_place], axis=2)
            rows = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), rows, more)
            piece = jnp.concatenate([edge, jnp.where(polygon >= 0, num_edges + polygon, -1)], axis=2)
        return _compact(piece, place, rows)

    return batch_first(find)


def _body(pose: jax.Array, is_hull: jax.Array, plan: BodyPlan) -> Body:
    """Bodies (M,) from rows (M, 7) of centre, angle, offset of the centre in the body frame, half extents."""
    x, y, angle, center_x, center_y, half_x, half_y = (pose[:, i] for i in range(7))
    turn = rotation(angle)
    origin = sub((x, y), rotate(turn, (center_x, center_y)))
    return manifold.place(body_shape(is_hull, (half_x, half_y), plan), turn, origin)


def body_shape(is_hull: jax.Array, half: Vector, plan: BodyPlan) -> Shape:
    """The hull's outline where `is_hull`, else a box of the given half extents [m]; in the body frame."""
    x, y = half
    hull = hull_outline(plan, x.dtype)
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    corners: list[Vector] = [(-x, -y), (x, -y), (x, y), (-x, y)]
    normals: list[Vector] = [(zero, -one), (one, zero), (zero, one), (-one, zero)]

    def choose(of_hull: np.ndarray, of_box: Vector) -> Vector:
        return jnp.where(is_hull, of_hull[0], of_box[0]), jnp.where(is_hull, of_hull[1], of_box[1])

    surplus = len(hull) - len(corners)
    return Shape(
        vertices=[choose(h, b) for h, b in zip(hull, corners + corners[:1] * surplus, strict=True)],
        normals=[choose(h, b) for h, b in zip(face_normals(hull), normals + [(zero, zero)] * surplus, strict=True)],
        centroid=choose(centroid(hull), (zero, zero)),
        corners=jnp.where(is_hull, len(hull), len(corners)),
    )


def _each_near(candidate: jax.Array, hit: Callable[[jax.Array, jax.Array], Manifold]) -> tuple[jax.Array, _Rows]:
    """Manifolds of the candidates (B, N, W) that are not -1.

    Args:
      hit: manifolds from rows b N + n and pieces, both (M,).

    Returns:
      For every candidate (B, N, W) the place of its manifold, meaningless for -1; and the manifolds.
    """
    lanes, _, width = candidate.shape
    flat = candidate.reshape(-1)
    place, rows = over_listed(
        flat >= 0, CHUNK * lanes, lambda index: _pack(hit(index // width, jnp.maximum(flat[index], 0)))
    )
    return place.reshape(candidate.shape), rows


def _pack(found: Manifold) -> _Rows:
    numbers = (*found.normal, *found.plane, *found.points[0], *found.points[1])
    codes = (found.count, found.on_body.astype(jnp.int32), *found.keys)
    shape = found.count.shape
    return _Rows(numbers=_columns(numbers, shape), codes=_columns(codes, shape))


def _columns(columns: Sequence[jax.Array], shape: tuple[int, ...]) -> jax.Array:
    return jnp.stack([jnp.broadcast_to(c, shape) for c in columns], axis=1)


def _compact(piece: jax.Array, place: jax.Array, rows: _Rows) -> Touching:
    """Sorts the touching pairs of every hull and leg into C slots.

    Args:
      piece, place: (B, N, W + U) terrain piece (-1 for none) and manifold of every candidate.
    """
    hits = (piece >= 0) & (rows.codes[place, 0] > 0)
    code = jnp.where(hits, 2 * piece, -1)
    pair = by_row(code, jnp.where(hits, code + 1, -1), -1)
    place = by_row(place, place, 0)
    index, filled, overflow = into_slots(pair >= 0, CONTACT_SLOTS)
    row = jnp.take_along_axis(place, index, axis=2, mode="promise_in_bounds")
    pair = jnp.take_along_axis(pair, index, axis=2, mode="promise_in_bounds")
    empty = jnp.array([0, 0, -1, -1], jnp.int32)
    return Touching(
        pair=jnp.where(filled, pair, -1),
        numbers=rows.numbers[row],
        codes=jnp.where(filled[..., None], rows.codes[row], empty[None, None, None]),
        overflow=jnp.any(overflow, axis=1),
    )


def by_row(lower: jax.Array, upper: jax.Array, nothing: int) -> jax.Array:
    """(B, R, 2 W, ...) from bodies (B, N, W, ...): hull and shins of `lower`, then thighs of `upper`."""
    lower, upper = lower[:, ::2], upper[:, 1::2]
    upper = jnp.concatenate([jnp.full_like(upper[:, :1], nothing), upper], axis=1)
    return jnp.concatenate([lower, upper], axis=2)
