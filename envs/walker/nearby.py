"""The broad phase: which pieces of terrain are near which body.

Letters: N bodies, W candidate edges and U candidate polygons per body, E ground points, P polygons, V vertices.
"""

import jax
import jax.numpy as jnp
from flax import struct

from .bodies import BodyPlan, hull_outline
from .planar import rotation
from .search import last_where
from .types import Geometry, Physics, Terrain

EDGE_WINDOW = 6  # candidate ground edges per body
POLYGON_WINDOW = 4  # candidate polygons per body
REACH = 0.04  # [m] beyond a body's box in which terrain may touch it (twice the skin, for diagonals)
CLOSE = 0.01  # [m] beyond it in which the bodies' cores may meet within a step (target and tolerance, and turning)


class Nearby(struct.PyTreeNode):
    """Pieces whose boxes meet the body's; candidates from right to left, that is newest first."""

    edge: jax.Array  # (N, W) int32, index of the ground edge, -1 for none
    polygon: jax.Array  # (N, U) int32, index of the polygon, -1 for none
    close: jax.Array  # (N,) bool, whether any of them is within `CLOSE`
    overflow: jax.Array  # () bool, whether terrain within reach was left out


class _Boxes(struct.PyTreeNode):
    """Axis-aligned boxes (N,) [m] of the bodies."""

    left: jax.Array
    right: jax.Array
    bottom: jax.Array
    top: jax.Array


def nearby(physics: Physics, terrain: Terrain, shape: Geometry, plan: BodyPlan) -> Nearby:
    """The candidates of one walker (no batch axis)."""
    return _nearby(terrain, _boxes(physics, shape, plan))


def nearby_way(before: Physics, after: Physics, terrain: Terrain, shape: Geometry, plan: BodyPlan) -> Nearby:
    """The candidates of one walker on its way from one pose to another."""
    start, end = _boxes(before, shape, plan), _boxes(after, shape, plan)
    boxes = _Boxes(
        left=jnp.minimum(start.left, end.left),
        right=jnp.maximum(start.right, end.right),
        bottom=jnp.minimum(start.bottom, end.bottom),
        top=jnp.maximum(start.top, end.top),
    )
    return _nearby(terrain, boxes)


def _nearby(terrain: Terrain, boxes: _Boxes) -> Nearby:
    edge, edge_close, edge_overflow = _edges(terrain, boxes)
    polygon, polygon_close, polygon_overflow = _polygons(terrain, boxes)
    return Nearby(
        edge=edge,
        polygon=polygon,
        close=edge_close | polygon_close,
        overflow=edge_overflow | polygon_overflow,
    )


def _boxes(physics: Physics, shape: Geometry, plan: BodyPlan) -> _Boxes:
    sin, cos = rotation(physics.angle)
    hull = jnp.asarray(hull_outline(plan), physics.position.dtype)
    hull_x = cos[0] * hull[:, 0] - sin[0] * hull[:, 1]
    hull_y = sin[0] * hull[:, 0] + cos[0] * hull[:, 1]
    half = shape.leg_half
    leg_x = jnp.abs(cos[1:]) * half[:, 0] + jnp.abs(sin[1:]) * half[:, 1]
    leg_y = jnp.abs(sin[1:]) * half[:, 0] + jnp.abs(cos[1:]) * half[:, 1]
    x = physics.position[:, 0] - (cos * shape.center[:, 0] - sin * shape.center[:, 1])
    y = physics.position[:, 1] - (sin * shape.center[:, 0] + cos * shape.center[:, 1])

    def extent(origin: jax.Array, hull_end: jax.Array, legs: jax.Array) -> jax.Array:
        return origin + jnp.concatenate([hull_end[None], legs])

    return _Boxes(
        left=extent(x, hull_x.min(), -leg_x),
        right=extent(x, hull_x.max(), leg_x),
        bottom=extent(y, hull_y.min(), -leg_y),
        top=extent(y, hull_y.max(), leg_y),
    )


def _edges(terrain: Terrain, boxes: _Boxes) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(N, W) candidate edges, (N,) whether any is close, and whether more are in reach."""
    ground = terrain.ground
    num_edges = ground.shape[0] - 1
    if num_edges < EDGE_WINDOW:
        raise ValueError(f"terrain has {num_edges} edges, at least {EDGE_WINDOW} are needed")
    left, right = boxes.left - REACH, boxes.right + REACH
    first = last_where(lambda i: ground[i, 0] < left, ground.shape[0], left.shape)
    first = jnp.clip(first, 0, num_edges - EDGE_WINDOW)
    points = jax.vmap(lambda i: jax.lax.dynamic_slice_in_dim(ground, i, EDGE_WINDOW + 1))(first)
    index = first[:, None] + jnp.arange(EDGE_WINDOW, dtype=jnp.int32)[None]
    exists = index < terrain.num_points - 1
    low, high = jnp.minimum(points[:, :-1], points[:, 1:]), jnp.maximum(points[:, :-1], points[:, 1:])
    more = exists[:, -1] & (index[:, -1] < terrain.num_points - 2) & (points[:, -1, 0] <= right)
    meets, close = (exists & _overlap(low, high, boxes, margin) for margin in (REACH, CLOSE))
    return jnp.where(meets, index, -1)[:, ::-1], jnp.any(close, axis=1), jnp.any(more)


def _polygons(terrain: Terrain, boxes: _Boxes) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As `_edges`, (N, U) candidate polygons. Polygons lie side by side, from left to right."""
    polygons = terrain.polygons
    capacity, bodies = polygons.shape[0], boxes.left.shape[0]
    width = min(capacity, POLYGON_WINDOW)
    if capacity == 0:
        return jnp.zeros((bodies, 0), jnp.int32), jnp.zeros((bodies,), bool), jnp.zeros((), bool)
    left, right = boxes.left - REACH, boxes.right + REACH
    last = last_where(lambda i: jnp.min(polygons[i, :, 0], axis=-1) <= right, capacity, right.shape)
    first = jnp.clip(last - (width - 1), 0, capacity - width)
    outline = jax.vmap(lambda i: jax.lax.dynamic_slice_in_dim(polygons, i, width))(first)
    index = first[:, None] + jnp.arange(width, dtype=jnp.int32)[None]
    exists, low, high = index < terrain.num_polygons, outline.min(axis=2), outline.max(axis=2)
    before = jnp.max(polygons[jnp.maximum(first - 1, 0), :, 0], axis=-1)
    meets, close = (exists & _overlap(low, high, boxes, margin) for margin in (REACH, CLOSE))
    return jnp.where(meets, index, -1)[:, ::-1], jnp.any(close, axis=1), jnp.any((first > 0) & (before >= left))


def _overlap(low: jax.Array, high: jax.Array, boxes: _Boxes, margin: float) -> jax.Array:
    """(N, W) whether boxes from corner `low` to corner `high` (N, W, 2) come within `margin` [m] of their body's."""
    left, right, bottom, top = (
        side[:, None] for side in (boxes.left - margin, boxes.right + margin, boxes.bottom - margin, boxes.top + margin)
    )
    beside = (low[..., 0] <= right) & (high[..., 0] >= left)
    return beside & (low[..., 1] <= top) & (high[..., 1] >= bottom)
