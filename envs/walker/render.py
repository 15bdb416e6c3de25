"""Pictures of walkers, drawn with NumPy alone.

A scene is sky, clouds, the ground as one height per pixel column, convex polygons and thin lines, each with one pixel
of anti-aliasing. Layout and colors are those of Gymnasium 1.4 `bipedal_walker.py`, which needs pygame. Differs: all
lidar rays are shown where they are asked for (the original shows a different one in each frame), clouds hang at fixed
places, and a second flag marks the finish.

Pixel (row r, column c) has its center at y = (HEIGHT - 1 - r) / SCALE, x = scroll + c / SCALE.
"""

from collections.abc import Sequence

import numpy as np

from .types import SCALE, TERRAIN_STEP, Terrain

Color = tuple[int, int, int]

WIDTH, HEIGHT = 600, 400  # pixels
SKY: Color = (215, 215, 255)
CLOUD: Color = (255, 255, 255)
EARTH: Color = (102, 153, 76)
GRASS: tuple[Color, Color] = ((76, 255, 76), (76, 204, 76))  # of even and odd edges
OBSTACLE: tuple[Color, Color] = ((255, 255, 255), (153, 153, 153))  # fill, outline
HULL: tuple[Color, Color] = ((127, 51, 229), (76, 76, 127))
RAY: Color = (255, 0, 0)
POLE: Color = (0, 0, 0)
FLAG: Color = (230, 51, 0)
START_FLAG = 3 * TERRAIN_STEP  # [m]
NUM_CLOUDS = 10
CLOUD_PARALLAX = 0.5


def leg_colors(leg: int) -> tuple[Color, Color]:
    """(fill, outline) of a leg; the first leg of each pair, the far one, is lighter."""
    shade = 25 if leg % 2 == 0 else -25
    return (153 + shade, 76 + shade, 127 + shade), (102 + shade, 51 + shade, 76 + shade)


def scroll_to(x: float) -> float:
    """[m] left side of the picture that follows a hull at x [m]; never left of the track."""
    return max(0.0, x - WIDTH / SCALE / 5)


def draw_walker(
    terrain: Terrain,
    outlines: Sequence[np.ndarray],
    origins: np.ndarray,
    angles: np.ndarray,
    rays: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a walker on its track, the view following its hull.

    Args:
      outlines: N convex polygons (V, 2) [m] in body frames: the hull, then thigh and shin of each leg.
      origins: (N, 2) [m] of the body frames.
      angles: (N,) [rad].
      rays: (R, 2) [m] where lidar rays end; they start at the hull's origin.

    Returns:
      (HEIGHT, WIDTH, 3) uint8.
    """
    origins, angles = np.asarray(origins, float), np.asarray(angles, float)
    shapes = [
        _rotate(np.asarray(outline, float), angle) + origin
        for outline, origin, angle in zip(outlines, origins, angles, strict=True)
    ]
    colors = [HULL] + [leg_colors(body // 2) for body in range(len(shapes) - 1)]
    return draw(
        terrain,
        [*shapes[1:], shapes[0]],  # the hull hides the hips
        [*colors[1:], colors[0]],
        scroll_to(origins[0, 0]),
        None if rays is None else np.stack([np.broadcast_to(origins[0], np.shape(rays)), rays], axis=1),
    )


def draw(
    terrain: Terrain,
    shapes: Sequence[np.ndarray],
    colors: Sequence[tuple[Color, Color]],
    scroll: float,
    lines: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a scene.

    Args:
      terrain: of one environment.
      shapes: convex polygons (V, 2) [m], back to front.
      colors: fill and outline of each.
      scroll: [m] x of the left side of the picture.
      lines: (R, 2, 2) [m] start and end of red lines, behind everything but the ground.

    Returns:
      (HEIGHT, WIDTH, 3) uint8.
    """
    scroll = np.floor(scroll * SCALE) / SCALE  # whole pixels, or the ground would shimmer
    points = np.asarray(terrain.ground, float)[: int(terrain.num_points)]
    frame = _EMPTY_SKY.copy()
    for cloud in _CLOUDS:
        _fill(frame, _to_pixels(cloud, CLOUD_PARALLAX * scroll), CLOUD)
    _draw_ground(frame, _to_pixels(points, scroll))
    for ends in () if lines is None else _to_pixels(np.asarray(lines, float), scroll):
        _line(frame, ends[0], ends[1], RAY)
    polygons = np.asarray(terrain.polygons, float)[: int(terrain.num_polygons)]
    x = polygons[..., 0] - scroll
    for polygon in polygons[(x.max(axis=1) > -1) & (x.min(axis=1) < WIDTH / SCALE + 1)]:
        _fill(frame, _to_pixels(polygon, scroll), *OBSTACLE)
    for shape, color in zip(shapes, colors, strict=True):
        _fill(frame, _to_pixels(np.asarray(shape, float), scroll), *color)
    for flag in (START_FLAG, float(terrain.finish)):
        _draw_flag(frame, _to_pixels(np.array([flag, np.interp(flag, *points.T)]), scroll))
    return frame


def _rotate(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _to_pixels(points: np.ndarray, scroll: float) -> np.ndarray:
    """(..., 2) [m] to (column, row)."""
    return np.stack([(points[..., 0] - scroll) * SCALE, HEIGHT - 1 - points[..., 1] * SCALE], axis=-1)


def _draw_ground(frame: np.ndarray, points: np.ndarray) -> None:
    """Earth below the chain of points (E, 2), and a line of alternating greens along it."""
    column = np.arange(WIDTH, dtype=float)
    surface = np.interp(column, points[:, 0], points[:, 1], left=HEIGHT, right=HEIGHT)
    edge = np.clip(np.searchsorted(points[:, 0], column, side="right") - 1, 0, len(points) - 2)
    step = points[edge + 1] - points[edge]
    cosine = step[:, 0] / np.hypot(*step.T)
    top = int(np.clip(np.floor(surface.min()) - 2, 0, HEIGHT))
    bottom = int(np.clip(np.ceil(surface.max()) + 2, top, HEIGHT))
    frame[bottom:] = EARTH
    band = frame[top:bottom]
    depth = np.arange(top, bottom, dtype=np.float32)[:, None] - surface.astype(np.float32)
    _blend(band, np.asarray(EARTH, np.float32), np.clip(depth + 0.5, 0, 1))
    _blend(band, np.asarray(GRASS, np.float32)[edge % 2], np.clip(1 - np.abs(depth) * cosine, 0, 1))


def _fill(frame: np.ndarray, corners: np.ndarray, color: Color, outline: Color | None = None) -> None:
    """Fills a convex polygon (V, 2), given in either direction, and draws its outline one pixel wide."""
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, (WIDTH, HEIGHT))
    if (low >= high).any():
        return
    step = np.roll(corners, -1, axis=0) - corners
    length = np.hypot(*step.T)
    corners, step, length = corners[length > 0], step[length > 0], length[length > 0]
    if len(corners) < 3:
        return
    area = np.sum(corners[:, 0] * np.roll(corners[:, 1], -1) - corners[:, 1] * np.roll(corners[:, 0], -1))
    inward = np.stack([-step[:, 1], step[:, 0]], axis=1) / length[:, None] * np.sign(area)
    column, row = np.arange(low[0], high[0]), np.arange(low[1], high[1])
    across = inward[:, :1] * (column - corners[:, :1])  # (V, columns)
    down = inward[:, 1:] * (row - corners[:, 1:])  # (V, rows)
    depth = (down[:, :, None] + across[:, None, :]).min(axis=0)  # pixels inside the nearest side
    region = frame[low[1] : high[1], low[0] : high[0]]
    _blend(region, np.asarray(color, np.float32), np.clip(depth + 0.5, 0, 1))
    if outline is not None:
        _blend(region, np.asarray(outline, np.float32), np.clip(1 - np.abs(depth), 0, 1))


def _line(frame: np.ndarray, start: np.ndarray, end: np.ndarray, color: Color) -> None:
    """A line one pixel wide: at every pixel along its longer axis, the two pixels beside it share the color."""
    along = int(np.abs(end[1] - start[1]) > np.abs(end[0] - start[0]))
    if end[along] < start[along]:
        start, end = end, start
    place = np.arange(np.ceil(start[along]), np.floor(end[along]) + 1)
    if not len(place):
        return
    beside = start[1 - along] + (place - start[along]) * (end - start)[1 - along] / (end - start)[along]
    for side in (0, 1):
        pixel = np.floor(beside).astype(int) + side
        column, row = (place.astype(int), pixel) if along == 0 else (pixel, place.astype(int))
        seen = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
        share = (1 - np.abs(beside - pixel))[seen, None]
        old = frame[row[seen], column[seen]].astype(float)
        frame[row[seen], column[seen]] = np.rint(old + share * (np.asarray(color) - old)).astype(np.uint8)


def _draw_flag(frame: np.ndarray, foot: np.ndarray) -> None:
    """A pole of 50 pixels with a pennant."""
    tip = foot - np.array([0, 50])
    _line(frame, foot, tip, POLE)
    _fill(frame, tip + np.array([(0, 0), (0, 10), (25, 5)]), FLAG, POLE)


def _blend(region: np.ndarray, color: np.ndarray, share: np.ndarray) -> None:
    """Mixes a color (3,) or colors (columns, 3) into a region, by a share (rows, columns) in [0, 1]."""
    share = share.astype(np.float32)[:, :, None]
    region[:] = np.rint(region + share * (color - region)).astype(np.uint8)


def _make_clouds() -> list[np.ndarray]:
    """Pentagons (5, 2) [m] along the track, the same for every picture."""
    rng = np.random.default_rng(0)
    turn = 2 * np.pi / 5 * np.arange(5)
    middle = rng.uniform(0, 200 * TERRAIN_STEP, NUM_CLOUDS)
    radius = np.stack([15 * TERRAIN_STEP * np.sin(turn), 5 * TERRAIN_STEP * np.cos(turn)], axis=1)
    shift = rng.uniform(0, 5 * TERRAIN_STEP, (NUM_CLOUDS, 5, 2))
    center = np.stack([middle, np.full(NUM_CLOUDS, HEIGHT / SCALE * 3 / 4)], axis=1)
    return list(center[:, None] + radius[None] + shift)


_CLOUDS = _make_clouds()
_EMPTY_SKY = np.full((HEIGHT, WIDTH, 3), SKY, np.uint8)
