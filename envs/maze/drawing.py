"""Pictures of mazes from above, with smooth edges, in plain NumPy."""

import numpy as np

from .maps import Layout
from .physics import RADIUS

CELL = 48  # [pixels]
FLOOR, WALL, GOAL, BALL = np.array([(245, 243, 238), (178, 128, 77), (214, 69, 65), (60, 140, 80)], np.float32)


def draw_maze(plan: Layout, position: np.ndarray, goal: np.ndarray, goal_radius: float) -> np.ndarray:
    """Walls, the goal as a disc within a ring of the radius [m] that counts, the ball: uint8 (CELL R, CELL C, 3)."""
    walls = np.repeat(np.repeat(plan.walls, CELL, 0), CELL, 1)
    image = np.where(walls[..., None], WALL, FLOOR)
    rows, columns = plan.walls.shape
    y, x = (np.indices(walls.shape, np.float32) + 0.5) / CELL
    x, y = x - columns / 2, rows / 2 - y  # [m]
    away = np.hypot(x - goal[0], y - goal[1])
    _paint(image, np.abs(away - goal_radius) - 0.01, GOAL)
    _paint(image, away - RADIUS, GOAL)
    _paint(image, np.hypot(x - position[0], y - position[1]) - RADIUS, BALL)
    return image.astype(np.uint8)


def _paint(image: np.ndarray, distance: np.ndarray, color: np.ndarray) -> None:
    """Blends `color` over pixels whose signed distance [m] to the shape is below half a pixel."""
    cover = np.clip(0.5 - distance * CELL, 0.0, 1.0)[..., None]
    image += cover * (color - image)
