"""Ten rays from the hull to the terrain.

Ray i points `1.5 i / 10` rad forward of straight down. It is cut by two-sided ground edges and by the outer sides of
polygons, so a ray that starts inside a polygon passes through it, as in Box2D. Only what lies between the hull and
the ray's reach can be hit, so each ray looks at a window of terrain whose static size follows from the track
(`reach_of`).

A ray cuts the segment between two points when they lie on different sides of its line. With the side of a point
`c(point) = d x (point - origin)` computed once per point, neighbours share it, and no ray slips through a joint.
Differs: Box2D divides twice per edge and clips polygons by slabs; equal up to rounding.

Source: Gymnasium 1.4 `bipedal_walker.py`; Box2D 2.3 `b2EdgeShape::RayCast`, `b2PolygonShape::RayCast`.
Letters: W points or polygons of a window, V polygon vertices; trailing axes are batches.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from .folding import batch_last
from .search import last_where
from .terrain import Track
from .types import LIDAR_COUNT, SCALE, Scalar, Terrain

LIDAR_SPREAD = 1.5 / LIDAR_COUNT  # [rad] between rays
DIRECTIONS = tuple((math.sin(LIDAR_SPREAD * i), -math.cos(LIDAR_SPREAD * i)) for i in range(LIDAR_COUNT))
RAY_GROUPS = (range(5), range(5, 10))  # steep rays reach less; more groups take longer to compile than they save
MAX_RANGE = 160 / SCALE  # [m], the original's range
SLACK = 1e-3  # [column_width] by which a window starts early, so that rounding cannot lose the edge under the hull


@dataclasses.dataclass(frozen=True)
class Reach:
    """How much terrain each ray can meet; static.

    Attributes:
      edges, polygons: per ray, counted from what lies under the hull.
      column_width: [m] of tracks with uniform columns, where a division replaces the search.
    """

    edges: tuple[int, ...]
    polygons: tuple[int, ...]
    column_width: float | None = None


def reach_of(track: Track, max_range: float = MAX_RANGE) -> Reach:
    """The reach of rays up to `max_range` [m] long on a track; longer rays may miss things near their end."""
    slack = 0.0 if track.column_width is None else SLACK * track.column_width
    lengths = [max_range * x + slack for x, _ in DIRECTIONS]
    return Reach(
        edges=tuple(track.edges_within(length) for length in lengths),
        polygons=tuple(track.polygons_within(length) for length in lengths),
        column_width=track.column_width,
    )


def lidar(terrain: Terrain, origin: jax.Array, max_distance: Scalar, reach: Reach) -> jax.Array:
    """Distance to the terrain along each ray, as a fraction of `max_distance`; 1 where nothing is hit.

    Args:
      origin: (2,) [m], where the rays start; its dtype is that of the computation.
      max_distance: [m], length of the rays.
      reach: of the track and of the largest `max_distance`.

    Returns:
      (LIDAR_COUNT,) in [0, 1].
    """
    dtype = origin.dtype
    points = _ground_window(terrain, origin, reach).astype(dtype) - origin[None, :]
    corners = _polygon_window(terrain, origin, reach).astype(dtype) - origin[None, None, :]
    points, corners = jnp.moveaxis(points, 1, 0), jnp.moveaxis(corners, 2, 0)
    return _cast(reach)(points, corners, jnp.asarray(max_distance, dtype))


def _ground_window(terrain: Terrain, origin: jax.Array, reach: Reach) -> jax.Array:
    """(W, 2) points from the one left of the origin. Past the end the last repeats: edges of no length."""
    x = origin[0].astype(terrain.ground.dtype)
    if reach.column_width is None:
        first = last_where(lambda i: terrain.ground[i, 0] < x, terrain.ground.shape[0])
    else:
        first = jnp.floor(x / reach.column_width - SLACK).astype(jnp.int32)
    index = jnp.maximum(first, 0) + jnp.arange(max(reach.edges) + 1, dtype=jnp.int32)
    return jnp.take(terrain.ground, jnp.minimum(index, terrain.num_points - 1), axis=0, mode="clip")


def _polygon_window(terrain: Terrain, origin: jax.Array, reach: Reach) -> jax.Array:
    """(W, V, 2) polygons from the last that begins left of the origin."""
    count = terrain.polygons.shape[0]
    if count == 0 or max(reach.polygons) == 0:
        return jnp.zeros((0, *terrain.polygons.shape[1:]), terrain.polygons.dtype)
    x = origin[0].astype(terrain.polygons.dtype)
    first = last_where(lambda i: jnp.min(terrain.polygons[i, :, 0]) < x, count)
    index = first + jnp.arange(max(reach.polygons), dtype=jnp.int32)
    return jnp.take(terrain.polygons, index, axis=0, mode="clip")


@functools.cache
def _cast(reach: Reach) -> Callable[..., jax.Array]:
    """The ray caster for windows of this reach."""
    return batch_last(functools.partial(cast_rays, reach=reach))


def cast_rays(points: jax.Array, corners: jax.Array, max_distance: jax.Array, reach: Reach) -> jax.Array:
    """Casts all rays at one window of terrain.

    Args:
      points: (2, W, ...) [m] ground relative to the origin of the rays.
      corners: (2, W, V, ...) [m] polygons, counter-clockwise, likewise.
      max_distance: (...) [m].

    Returns:
      (LIDAR_COUNT, ...) fractions of `max_distance`.
    """
    ground = _span(points[:, :-1], points[:, 1:])
    walls = _span(corners, _next_corner(corners))
    nearest = []
    for rays in RAY_GROUPS:
        edges, polygons = reach.edges[rays[-1]], reach.polygons[rays[-1]]
        side = _sides(rays, points[:, : edges + 1])
        before, after = side[:, :-1], side[:, 1:]
        distance = _distance(ground[None, :edges], before, after, before * after <= 0)
        hit = jnp.min(distance, axis=1)
        if polygons and corners.shape[1]:
            before = _sides(rays, corners[:, :polygons])
            after = _next_corner(before)
            # entering: the wall runs from the left of the ray to its right
            distance = _distance(walls[None, :polygons], before, after, (before >= 0) & (after <= 0))
            hit = jnp.minimum(hit, jnp.min(distance, axis=(1, 2)))
        nearest.append(hit)
    return jnp.minimum(jnp.concatenate(nearest) / max_distance[None], 1.0)


def _sides(rays: range, points: jax.Array) -> jax.Array:
    """(R, ...) direction x point [m] from points (2, ...): positive to the left of the ray."""
    turned = np.array([(-DIRECTIONS[i][1], DIRECTIONS[i][0]) for i in rays], points.dtype)
    return jnp.tensordot(turned, points, axes=1, precision=jax.lax.Precision.HIGHEST)


def _span(a: jax.Array, b: jax.Array) -> jax.Array:
    """a x b [m^2] of points (2, ...): twice the area between the origin and segment ab."""
    return a[0] * (b[1] - a[1]) - a[1] * (b[0] - a[0])


def _next_corner(corners: jax.Array) -> jax.Array:
    """(..., W, V, ...) in which every corner, on axis 2, is replaced by its successor."""
    return jnp.concatenate([corners[:, :, 1:], corners[:, :, :1]], axis=2)


def _distance(span: jax.Array, before: jax.Array, after: jax.Array, crossing: jax.Array) -> jax.Array:
    """Along each ray [m] to the line of each segment; inf where it is not crossed, or behind.

    A segment in line with the ray gives 0 / 0, which counts as no hit, as in Box2D.
    """
    distance = span / (after - before)
    return jnp.where(crossing & (distance >= 0), distance, np.inf)
