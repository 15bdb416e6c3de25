"""The tracks walkers walk on: generators from (key, params) to a `Terrain` of fixed shapes.

A generator is a frozen dataclass: its fields fix array shapes (and bounds that shapes follow from), everything else
comes from `Params`. Each pre-draws its random numbers in one array, so that an oracle can be fed the same
(`draws=`). Only the height recursion, in which the sign of the height error feeds back, is a scan; where columns and
obstacles lie is a cumulative sum of drawn lengths.

Polygons come in the order the original creates them, and that is the order of ascending smallest x on every track
here: obstacles are placed from left to right without overlap, and so are the two posts of a pit and the pieces of a
staircase. Vertices start at the right-most, lowest corner and run counter-clockwise, as Box2D's hull routine leaves
them. All vertices are float32.

Source: Gymnasium 1.4 `bipedal_walker.py` (flat and hardcore tracks); teachDeepRL `bipedal_walker_continuous.py` at
00a01bb (stump tracks). Letters: E points, P polygons, L = TERRAIN_LENGTH columns, K obstacles.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from .types import (
    SCALE,
    TERRAIN_GRASS,
    TERRAIN_HEIGHT,
    TERRAIN_LENGTH,
    TERRAIN_STARTPAD,
    TERRAIN_STEP,
    Params,
    Terrain,
)

FAR = 1e4  # [m], where unused points (to the right) and polygons (right and below) are kept
END = TERRAIN_LENGTH * TERRAIN_STEP  # [m]
FINISH = (TERRAIN_LENGTH - TERRAIN_GRASS) * TERRAIN_STEP  # [m]
STUMP, STAIRS, PIT = 1, 2, 3  # kinds of hardcore obstacles
STAIR_WIDTH = 4  # columns
HEIGHT_NOISE = 0.1  # [TERRAIN_STEP] standard deviation of stump heights, and of widths where they are scheduled
MIN_STUMP = 0.05  # [TERRAIN_STEP] smallest stump height
MIN_SPACING = 0.01  # [m]


class Track(Protocol):
    """What the walker asks of a track generator, besides being hashable."""

    @property
    def max_points(self) -> int:
        """E."""

    @property
    def max_polygons(self) -> int:
        """P."""

    @property
    def column_width(self) -> float | None:
        """[m] distance of ground points if it is uniform, from x = 0."""

    def draw(self, key: jax.Array) -> jax.Array:
        """All random numbers of one track. `key` is consumed."""

    def __call__(self, key: jax.Array | None, params: Params, draws: jax.Array | None = None) -> Terrain:
        """One track. `key` is consumed, or not used if `draws` are given."""

    def edges_within(self, length: float) -> int:
        """How many ground edges an interval of x of this length [m] can meet at most."""

    def polygons_within(self, length: float) -> int:
        """How many polygons an interval of x of this length [m] can meet at most."""


@dataclasses.dataclass(frozen=True)
class FlatTrack:
    """BipedalWalker-v3's slightly uneven ground without obstacles.

    Draws: (L + 36,) uniform in [0, 1): height noise per column, then the distances of the columns that repeat the
    height before them (the original's machine takes one idle column whenever its counter of 5 to 9 runs out).
    """

    max_points: ClassVar[int] = TERRAIN_LENGTH
    max_polygons: ClassVar[int] = 0
    column_width: ClassVar[float] = TERRAIN_STEP
    max_holds: ClassVar[int] = (TERRAIN_LENGTH - TERRAIN_STARTPAD) // (TERRAIN_GRASS // 2)

    def draw(self, key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, (TERRAIN_LENGTH + self.max_holds,), jnp.float32)

    def __call__(self, key: jax.Array | None, params: Params, draws: jax.Array | None = None) -> Terrain:
        del params
        draws = _draws_of(self, key, draws)
        pause = _grass_length(jnp.floor(draws[TERRAIN_LENGTH:] * (TERRAIN_GRASS // 2)))
        hold = TERRAIN_STARTPAD + _exclusive_cumsum(pause)
        column = jnp.arange(TERRAIN_LENGTH, dtype=jnp.int32)
        begun = _count_until(hold, column)
        free = jnp.concatenate([jnp.ones(1, bool), begun[1:] == begun[:-1]])
        y = _heights(_column_noise(draws[:TERRAIN_LENGTH]), free, jnp.zeros(TERRAIN_LENGTH, jnp.float32))
        return _terrain(
            jnp.stack([_column_x(column), y], axis=1),
            jnp.array(TERRAIN_LENGTH, jnp.int32),
            jnp.zeros((0, 4, 2), jnp.float32),
            jnp.array(0, jnp.int32),
            overflow=jnp.array(False),
        )

    def edges_within(self, length: float) -> int:
        return _uniform_edges_within(length)

    def polygons_within(self, length: float) -> int:
        del length
        return 0


@dataclasses.dataclass(frozen=True)
class HardcoreTrack:
    """BipedalWalkerHardcore-v3's track: stumps, stairs and pits between 5 to 9 columns of uneven ground.

    Draws: (L + 30,) uniform in [0, 1): height noise per column, then one number per obstacle, which stands for its
    kind, size, direction and the ground after it (60 equally likely combinations).

    Attributes:
      max_polygons: P; at most 39 are ever needed.
    """

    max_polygons: int = 64
    max_points: ClassVar[int] = TERRAIN_LENGTH
    column_width: ClassVar[float] = TERRAIN_STEP
    max_obstacles: ClassVar[int] = (TERRAIN_LENGTH - TERRAIN_STARTPAD) // (TERRAIN_GRASS // 2 + 1)

    def __post_init__(self) -> None:
        if self.max_polygons < 1:
            raise ValueError(f"max_polygons={self.max_polygons}; expected at least 1")

    def draw(self, key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, (TERRAIN_LENGTH + self.max_obstacles,), jnp.float32)

    def __call__(self, key: jax.Array | None, params: Params, draws: jax.Array | None = None) -> Terrain:
        del params
        draws = _draws_of(self, key, draws)
        kind, size, sign, grass = decode_obstacles(draws[TERRAIN_LENGTH:])
        length = _by_kind(kind, stump=1 + size, stairs=STAIR_WIDTH * (3 + size), pit=5 + size)
        start = TERRAIN_STARTPAD + _exclusive_cumsum(length + grass)
        column = jnp.arange(TERRAIN_LENGTH, dtype=jnp.int32)
        offset, rise, free = _hardcore_columns(column, kind, sign, start, length)
        y = _heights(_column_noise(draws[:TERRAIN_LENGTH]), free, rise) + offset
        polygons, count = _hardcore_polygons(self.max_polygons, y, kind, size, sign, start)
        return _terrain(
            jnp.stack([_column_x(column), y], axis=1),
            jnp.array(TERRAIN_LENGTH, jnp.int32),
            polygons,
            jnp.minimum(count, self.max_polygons),
            overflow=count > self.max_polygons,
        )

    def edges_within(self, length: float) -> int:
        return _uniform_edges_within(length)

    def polygons_within(self, length: float) -> int:
        # left sides are at least 3 columns apart (the posts of a pit); one more may reach in from the left
        return min(self.max_polygons, math.floor(length / (3 * TERRAIN_STEP)) + 2)


@dataclasses.dataclass(frozen=True)
class StumpTrack:
    """Stumps of random height at regular distances (teachDeepRL's Stump Tracks).

    `Params` says what the track is like: mean `stump_height`, `obstacle_spacing` (at least 0.01 m), `stump_width`
    and `roughness`. Heights are N(mean, 0.1), at least 0.05 [TERRAIN_STEP]. A `stump_width` of exactly 1, the
    default, makes every stump one TERRAIN_STEP wide, as the original does when no width is given; any other width
    is a mean with standard deviation 0.1, as when it is given.

    Draws: (P, 3) float32: standard normal (height), standard normal (width), uniform in [-1, 1) (roughness).

    Attributes:
      max_stumps: P, and E = 2 P + 2. 180 suffice for the default bounds (177 stumps at most); on a track that needs
        more, the rest stays out, the ground runs flat to its end, and `overflow` is set.
      min_spacing: [m] smallest gap; smaller ones are raised to it. Larger bounds need less room and sensing.
      min_width: [TERRAIN_STEP] smallest stump width, likewise. The original's bound is 0.05 where width is scheduled.
      reference_end: leave out the last stretch of ground, as the original does.

    Differs: the ground reaches the first point at or past the end of the track. The original drops that point, so
    with gaps near 6 m its ground ends before the finish line (`reference_end=True` does the same). The original also
    has an edge of no length where the first stump begins; it touches nothing and is left out here.
    """

    max_stumps: int = 180
    min_spacing: float = MIN_SPACING
    min_width: float = 1.0
    reference_end: bool = False
    column_width: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.max_stumps < 1:
            raise ValueError(f"max_stumps={self.max_stumps}; expected at least 1")
        if self.min_spacing < MIN_SPACING:
            raise ValueError(f"min_spacing={self.min_spacing}; expected at least {MIN_SPACING} [m]")
        if self.min_width < MIN_STUMP:
            raise ValueError(f"min_width={self.min_width}; expected at least {MIN_STUMP} [TERRAIN_STEP]")

    @property
    def max_points(self) -> int:
        return 2 * self.max_stumps + 2

    @property
    def max_polygons(self) -> int:
        return self.max_stumps

    def draw(self, key: jax.Array) -> jax.Array:
        draws = jax.random.uniform(key, (3, self.max_stumps), jnp.float32)
        # Box and Muller's pair of normal numbers; unfused on a CPU, an inverse error function costs ten times as much
        radius, angle = jnp.sqrt(-2 * jnp.log1p(-draws[0])), 2 * math.pi * draws[1]
        return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle), 2 * draws[2] - 1], axis=1)

    def __call__(self, key: jax.Array | None, params: Params, draws: jax.Array | None = None) -> Terrain:
        draws = _draws_of(self, key, draws)
        x, width = self._columns(draws[:, 1], params)
        roughness = jnp.asarray(params.roughness, jnp.float32)
        always = jnp.ones(self.max_stumps, bool)
        y = _heights(draws[:, 2] * roughness / SCALE, always, jnp.zeros(self.max_stumps, jnp.float32))
        base = jnp.concatenate([jnp.full(1, TERRAIN_HEIGHT, jnp.float32), y])  # (P + 1,) left foot of each stump
        # (0, H), then both feet of each stump, then the foot of the first stump there is no room for
        y = jnp.concatenate([base[:1], jnp.stack([base[:-1], y], axis=1).reshape(-1), base[-1:]])
        overflow = x[-1] < END
        x = jnp.concatenate([x[:-1], jnp.maximum(x[-1:], END)])
        inside = x < END
        used = inside if self.reference_end else jnp.concatenate([jnp.ones(1, bool), inside[:-1]])
        spare = jnp.arange(self.max_points, dtype=jnp.float32)
        ground = jnp.stack([jnp.where(used, x, FAR + spare), jnp.where(used, y, -FAR)], axis=1)
        height = jnp.asarray(params.stump_height, jnp.float32) + HEIGHT_NOISE * draws[:, 0]
        height = jnp.maximum(height, MIN_STUMP) * TERRAIN_STEP
        left, standing = x[1:-1:2], inside[1:-1:2]
        return _terrain(
            ground,
            jnp.sum(used, dtype=jnp.int32),
            _boxes(left, left + width, base[:-1], base[:-1] + height, standing),
            jnp.sum(standing, dtype=jnp.int32),
            overflow=overflow,
        )

    def _columns(self, noise: jax.Array, params: Params) -> tuple[jax.Array, jax.Array]:
        """x of every ground point (E,) and width of every stump (P,) [m]."""
        mean = jnp.asarray(params.stump_width, jnp.float32)
        width = jnp.where(mean == 1.0, 1.0, mean + HEIGHT_NOISE * noise)
        width = jnp.maximum(width, self.min_width) * TERRAIN_STEP
        gap = jnp.maximum(jnp.asarray(params.obstacle_spacing, jnp.float32), self.min_spacing)
        right = TERRAIN_STARTPAD * TERRAIN_STEP + jnp.cumsum(width)
        right = right + gap * jnp.arange(self.max_stumps, dtype=jnp.float32)
        left = right - width
        pairs = jnp.stack([left, right], axis=1).reshape(-1)
        return jnp.concatenate([jnp.zeros(1, jnp.float32), pairs, right[-1:] + gap]), width

    def edges_within(self, length: float) -> int:
        # points come in pairs a stump's width apart; where it pays, an interval begins and ends with both of a pair
        width, gap = self.min_width * TERRAIN_STEP, self.min_spacing
        pairs, rest = divmod(length, width + gap)
        points = 2 * int(pairs) + (2 if rest >= min(width, gap) else 1)
        return min(self.max_points - 1, points + 1)

    def polygons_within(self, length: float) -> int:
        period = self.min_width * TERRAIN_STEP + self.min_spacing
        return min(self.max_polygons, math.floor(length / period) + 2)


def terrain_from_arrays(
    points: np.ndarray,
    polygons: Sequence[np.ndarray] = (),
    max_points: int | None = None,
    max_polygons: int | None = None,
    max_vertices: int = 4,
) -> Terrain:
    """A track from host data, for instance one read out of another simulator.

    Args:
      points: (n, 2) [m], x ascending.
      polygons: convex, counter-clockwise, at most `max_vertices` corners each; the last corner is repeated where there
        are fewer. They are sorted by smallest x, equals keep their order.
      max_points, max_polygons: E and P; as many as there are by default.

    Raises:
      ValueError: if something does not fit or x descends.
    """
    points = np.asarray(points, np.float32).reshape(-1, 2)
    polygons = sorted((np.asarray(p, np.float32) for p in polygons), key=lambda p: p[:, 0].min())
    max_points = len(points) if max_points is None else max_points
    max_polygons = len(polygons) if max_polygons is None else max_polygons
    if not 2 <= len(points) <= max_points:
        raise ValueError(f"points: got {len(points)}; expected 2 to max_points={max_points}")
    if (np.diff(points[:, 0]) < 0).any():
        raise ValueError("points: x descends; expected ascending x")
    if len(polygons) > max_polygons or any(len(p) > max_vertices for p in polygons):
        sizes = [len(p) for p in polygons]
        raise ValueError(f"polygons: got {sizes} corners; expected up to {max_polygons} of {max_vertices}")
    spare = np.arange(max_points, dtype=np.float32)
    ground = np.stack([FAR + spare, np.full(max_points, -FAR, np.float32)], axis=1)
    ground[: len(points)] = points
    shapes = [*polygons, *np.asarray(_far_box(np.arange(max_polygons)))[len(polygons) :]]
    corners = [shape[np.minimum(np.arange(max_vertices), len(shape) - 1)] for shape in shapes]
    return _terrain(
        jnp.asarray(ground),
        jnp.array(len(points), jnp.int32),
        jnp.asarray(np.array(corners, np.float32).reshape(max_polygons, max_vertices, 2)),
        jnp.array(len(polygons), jnp.int32),
        overflow=jnp.array(False),
    )


def _draws_of(track: Track, key: jax.Array | None, draws: jax.Array | None) -> jax.Array:
    if draws is not None:
        return draws
    if key is None:
        raise ValueError("key=None; a track needs a key, or draws=")
    return track.draw(key)


def decode_obstacles(draws: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Hardcore obstacles from uniform numbers (K,) in [0, 1).

    Returns:
      kind: STUMP, STAIRS or PIT.
      size: 0 or 1: which of its two sizes the obstacle has.
      sign: -1 or 1: whether stairs lead down or up.
      grass: 5 to 9, columns of ground after the obstacle.
      Each (K,) int32, independent and uniform.
    """
    lot = jnp.minimum(jnp.floor(draws * 60), 59).astype(jnp.int32)
    return lot % 3 + 1, lot // 3 % 2, lot // 6 % 2 * 2 - 1, _grass_length(lot // 12)


def _grass_length(lot: jax.Array) -> jax.Array:
    """5 to 9 columns from a whole number 0 to 4."""
    return TERRAIN_GRASS // 2 + jnp.clip(lot.astype(jnp.int32), 0, TERRAIN_GRASS // 2 - 1)


def _column_noise(draws: jax.Array) -> jax.Array:
    """(L,) change of the slope at each column [m]; none on the start pad."""
    return jnp.where(np.arange(TERRAIN_LENGTH) > TERRAIN_STARTPAD, (2 * draws - 1) / SCALE, 0.0)


def _heights(noise: jax.Array, free: jax.Array, rise: jax.Array) -> jax.Array:
    """Height of the ground after each column.

    Args:
      noise: (L,) [m] random change of the height's velocity.
      free: (L,) bool, whether the column moves by that velocity, or
      rise: (L,) [m] by a given amount, keeping the velocity.
    """

    def column(carry: tuple[jax.Array, jax.Array], inputs: tuple[jax.Array, jax.Array, jax.Array]):
        y, velocity = carry
        noise, free, rise = inputs
        # sign(0) = 0 keeps the start pad at exactly TERRAIN_HEIGHT
        moved = 0.8 * velocity + 0.01 * jnp.sign(TERRAIN_HEIGHT - y) + noise
        y = y + jnp.where(free, moved, rise)
        return (y, jnp.where(free, moved, velocity)), y

    start = (jnp.array(TERRAIN_HEIGHT, jnp.float32), jnp.array(0.0, jnp.float32))
    return jax.lax.scan(column, start, (noise, free, rise))[1]


def _hardcore_columns(
    column: jax.Array, kind: jax.Array, sign: jax.Array, start: jax.Array, length: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What each column (L,) does: offset and lasting rise of the ground [m], and whether it moves freely."""
    latest = jnp.maximum(_count_until(start, column) - 1, 0)
    kind, sign, start, length = (jnp.take(value, latest) for value in (kind, sign, start, length))
    since = column - start  # negative before the first obstacle
    inside = (since >= 1) & (since < length)
    # The step index is divided as a real number, so stairs are ramps of the ground under stepped boxes. Their index
    # is shifted by the direction, which starts falling stairs two quarters down. Both as in the original.
    direction = sign.astype(jnp.float32) * TERRAIN_STEP
    stairs = (since - sign).astype(jnp.float32) / STAIR_WIDTH * direction
    landing = (length - 1 - sign).astype(jnp.float32) / STAIR_WIDTH * direction
    pit = jnp.where(since < length - 1, -4 * TERRAIN_STEP, 0.0).astype(jnp.float32)
    offset = jnp.where(inside, jnp.where(kind == STAIRS, stairs, jnp.where(kind == PIT, pit, 0.0)), 0.0)
    rise = jnp.where((kind == STAIRS) & (since == length), landing, 0.0)
    # the column after an obstacle keeps its height, too
    return offset, rise, (since < 0) | (since > length)


def _hardcore_polygons(
    max_polygons: int, y: jax.Array, kind: jax.Array, size: jax.Array, sign: jax.Array, start: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Boxes (P, 4, 2) of the obstacles (K,), and how many there should be."""
    pieces = _by_kind(kind, stump=jnp.ones_like(size), stairs=3 + size, pit=jnp.full_like(size, 2))
    pieces = jnp.where(start < TERRAIN_LENGTH, pieces, 0)
    last = jnp.cumsum(pieces, dtype=jnp.int32)
    slot = jnp.arange(max_polygons, dtype=jnp.int32)
    owner = jnp.minimum(_count_until(last, slot), kind.shape[0] - 1)
    table = (kind, size, sign, start, last - pieces)
    kind, size, sign, start, first = (jnp.take(value, owner) for value in table)
    piece = slot - first
    side = 1 + size  # of a stump, which stands on the ground; the other kinds hang from it
    base = jnp.take(y, jnp.minimum(start, TERRAIN_LENGTH - 1))
    left = start + _by_kind(kind, stump=jnp.zeros_like(piece), stairs=STAIR_WIDTH * piece, pit=(3 + size) * piece)
    width = _by_kind(kind, stump=side, stairs=jnp.full_like(size, STAIR_WIDTH), pit=jnp.ones_like(size))
    top = _by_kind(kind, stump=side, stairs=piece * sign, pit=jnp.zeros_like(piece))
    bottom = top - _by_kind(kind, stump=side, stairs=jnp.ones_like(size), pit=jnp.full_like(size, 4))
    boxes = _boxes(
        _column_x(left),
        _column_x(left + width),
        base + bottom.astype(jnp.float32) * TERRAIN_STEP,
        base + top.astype(jnp.float32) * TERRAIN_STEP,
        slot < last[-1],
    )
    return boxes, last[-1]


def _by_kind(kind: jax.Array, stump: jax.Array, stairs: jax.Array, pit: jax.Array) -> jax.Array:
    return jnp.where(kind == STUMP, stump, jnp.where(kind == STAIRS, stairs, pit))


def _boxes(left: jax.Array, right: jax.Array, bottom: jax.Array, top: jax.Array, used: jax.Array) -> jax.Array:
    """Boxes (P, 4, 2) from their sides (P,) [m]; unused ones are put far away."""
    x, y = jnp.stack([right, right, left, left], axis=1), jnp.stack([bottom, top, top, bottom], axis=1)
    spare = _far_box(jnp.arange(left.shape[0]))
    return jnp.where(used[:, None, None], jnp.stack([x, y], axis=2), spare)


def _far_box(index: jax.Array | np.ndarray) -> jax.Array:
    """Unit boxes (P, 4, 2) that nothing reaches, in ascending order of x."""
    corner = jnp.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]], jnp.float32)
    place = jnp.stack([FAR + jnp.asarray(index, jnp.float32), jnp.full(index.shape, -FAR, jnp.float32)], axis=1)
    return corner[None] + place[:, None]


def _column_x(column: jax.Array) -> jax.Array:
    """x of a column's left side [m], rounded once."""
    return (column * 14).astype(jnp.float32) / SCALE  # TERRAIN_STEP is 14 / SCALE


def _count_until(values: jax.Array, limits: jax.Array) -> jax.Array:
    """How many of the ascending values (K,) are at most each limit (L,). A K x L table of comparisons is slower."""
    return jnp.searchsorted(values, limits, side="right", method="scan_unrolled").astype(jnp.int32)


def _exclusive_cumsum(length: jax.Array) -> jax.Array:
    return jnp.cumsum(length, dtype=jnp.int32) - length


def _uniform_edges_within(length: float) -> int:
    return min(TERRAIN_LENGTH - 1, math.floor(length / TERRAIN_STEP) + 2)


def _terrain(
    ground: jax.Array, num_points: jax.Array, polygons: jax.Array, num_polygons: jax.Array, overflow: jax.Array
) -> Terrain:
    return Terrain(
        ground=ground,
        num_points=num_points,
        polygons=polygons,
        num_polygons=num_polygons,
        finish=jnp.array(FINISH, jnp.float32),
        overflow=overflow,
    )
