"""Pictures of the classic tasks, drawn with antialiased capsules and boxes in plain NumPy."""

import math

import numpy as np

WIDTH, HEIGHT = 600, 400  # [pixels]
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
BROWN = (202, 152, 101)
RED = (204, 77, 77)
BLUE = (129, 132, 203)


def draw_cartpole(position: float, angle: float, half_length: float) -> np.ndarray:
    """Cart at `position` [m] with its pole at `angle` [rad]: uint8 (HEIGHT, WIDTH, 3)."""
    scale = WIDTH / 4.8  # the track is 4.8 m long
    image = _blank()
    x, y = WIDTH / 2 + position * scale, HEIGHT - 100.0
    length = 2 * half_length * scale
    _paint(image, np.abs(_grid()[1] - y) - 1.0, BLACK)
    _paint(image, _box(x, y, 25.0, 15.0), BLACK)
    tip = (x + length * math.sin(angle), y - 7 - length * math.cos(angle))
    _paint(image, _capsule((x, y - 7), tip, 5.0), BROWN)
    _paint(image, _capsule((x, y - 7), (x, y - 7), 5.0), BLUE)
    return image.astype(np.uint8)


def draw_pendulum(angle: float, length: float) -> np.ndarray:
    """A rod of `length` [m] at `angle` [rad], 0 upright: uint8 (HEIGHT, WIDTH, 3)."""
    image = _blank()
    x, y = WIDTH / 2, HEIGHT / 2
    reach = 85.0 * length
    tip = (x - reach * math.sin(angle), y - reach * math.cos(angle))
    _paint(image, _capsule((x, y), tip, 12.0), RED)
    _paint(image, _capsule((x, y), (x, y), 4.0), BLACK)
    return image.astype(np.uint8)


def _blank() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), WHITE, np.float32)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return x, y


def _paint(image: np.ndarray, distance: np.ndarray, color: tuple[int, int, int]) -> None:
    """Blends `color` over pixels whose signed distance to the shape [pixels] is below half a pixel."""
    cover = np.clip(0.5 - distance, 0.0, 1.0)[..., None]
    image += cover * (np.array(color, np.float32) - image)


def _box(x: float, y: float, half_width: float, half_height: float) -> np.ndarray:
    px, py = _grid()
    return np.maximum(np.abs(px - x) - half_width, np.abs(py - y) - half_height)


def _capsule(start: tuple[float, float], end: tuple[float, float], radius: float) -> np.ndarray:
    px, py = _grid()
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = max(dx * dx + dy * dy, 1e-9)
    along = np.clip(((px - start[0]) * dx + (py - start[1]) * dy) / square, 0.0, 1.0)
    return np.hypot(px - start[0] - along * dx, py - start[1] - along * dy) - radius
