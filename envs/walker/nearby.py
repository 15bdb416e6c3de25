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


class Nearby(struct.PyTreeNode):
    """Pieces whose boxes meet the body's; candidates from right to left, that is newest first."""

    edge: jax.Array  # (N, W) int32, index of the ground edge, -1 for none
    polygon: jax.Array  # (N, U) int32, index of the polygon, -1 for none
    overflow: jax.Array  # () bool, whether terrain within reach was left out


class _Boxes(struct.PyTreeNode):
    """Axis-aligned boxes (N,) [m] of the bodies, enlarged by `REACH`."""

    left: jax.Array
    right: jax.Array
    bottom: jax.Array
    top: jax.Array


def nearby(physics: Physics, terrain: Terrain, shape: Geometry, plan: BodyPlan) -> Nearby:
    """The candidates of one walker (no batch axis)."""
    boxes = _boxes(physics, shape, plan)
    edge, edge_overflow = _edges(terrain, boxes)
    polygon, polygon_overflow = _polygons(terrain, boxes)
    return Nearby(edge=edge, polygon=polygon, overflow=edge_overflow | polygon_overflow)


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
        left=extent(x, hull_x.min(), -leg_x) - REACH,
        right=extent(x, hull_x.max(), leg_x) + REACH,
        bottom=extent(y, hull_y.min(), -leg_y) - REACH,
        top=extent(y, hull_y.max(), leg_y) + REACH,
    )


def _edges(terrain: Terrain, boxes: _Boxes) -> tuple[jax.Array, jax.Array]:
    """(N, W) candidate edges, and whether more are in reach."""
    ground = terrain.ground
    num_edges = ground.shape[0] - 1
    if num_edges < EDGE_WINDOW:
        raise ValueError(f"terrain has {num_edges} edges, at least {EDGE_WINDOW} are needed")
    first = last_where(lambda i: ground[i, 0] < boxes.left, ground.shape[0], boxes.left.shape)
    first = jnp.clip(first, 0, num_edges - EDGE_WINDOW)
    points = jax.vmap(lambda i: jax.lax.dynamic_slice_in_dim(ground, i, EDGE_WINDOW + 1))(first)
    index = first[:, None] + jnp.arange(EDGE_WINDOW, dtype=jnp.int32)[None]
    exists = index < terrain.num_points - 1
    x, y = points[..., 0], points[..., 1]
    meets = _overlap(x[:, :-1], x[:, 1:], boxes.left, boxes.right)
    low, high = jnp.minimum(y[:, :-1], y[:, 1:]), jnp.maximum(y[:, :-1], y[:, 1:])
    meets = exists & meets & _overlap(low, high, boxes.bottom, boxes.top)
    more = exists[:, -1] & (index[:, -1] < terrain.num_points - 2) & (x[:, -1] <= boxes.right)
    return jnp.where(meets, index, -1)[:, ::-1], jnp.any(more)


def _polygons(terrain: Terrain, boxes: _Boxes) -> tuple[jax.Array, jax.Array]:
    """(N, U) candidate polygons, and whether more are in reach. Polygons lie side by side, from left to right."""
    polygons = terrain.polygons
    capacity, bodies = polygons.shape[0], boxes.left.shape[0]
    width = min(capacity, POLYGON_WINDOW)
    if capacity == 0:
        return jnp.zeros((bodies, 0), jnp.int32), jnp.zeros((), bool)
    last = last_where(lambda i: jnp.min(polygons[i, :, 0], axis=-1) <= boxes.right, capacity, boxes.right.shape)
    first = jnp.clip(last - (width - 1), 0, capacity - width)
    outline = jax.vmap(lambda i: jax.lax.dynamic_slice_in_dim(polygons, i, width))(first)
    index = first[:, None] + jnp.arange(width, dtype=jnp.int32)[None]
    low, high = outline.min(axis=2), outline.max(axis=2)
    meets = _overlap(low[..., 0], high[..., 0], boxes.left, boxes.right)
    meets = meets & _overlap(low[..., 1], high[..., 1], boxes.bottom, boxes.top) & (index < terrain.num_polygons)
    before = jnp.max(polygons[jnp.maximum(first - 1, 0), :, 0], axis=-1)
    return jnp.where(meets, index, -1)[:, ::-1], jnp.any((first > 0) & (before >= boxes.left))


def _overlap(low: jax.Array, high: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    """Whether intervals (N, W) meet the interval of their body (N,)."""
    return (low <= end[:, None]) & (high >= start[:, None])
