"""Rooms side by side that share walls, with at most one door between two (minigrid 3.2, RoomGrid).

The size of a room counts its walls, so rooms are `size` - 1 cells apart. Room (i, j) is the one in column i and row j.

Letters: H rows, W columns, C columns of rooms, R rows of rooms.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .. import cells
from . import placing
from .placing import Shape, Whole

RIGHT, DOWN, LEFT, UP = range(4)
THERE = 0  # as a connection's weight: made already
NEVER = 0xFFFFFFFF


class Pose(NamedTuple):
    """Where the agent stands and looks, () int32 each."""

    x: Whole
    y: Whole
    direction: Whole


class Connections(NamedTuple):
    """Something for every wall between two rooms."""

    right: jax.Array  # (R, C - 1), between a room and the one to its right
    down: jax.Array  # (R - 1, C), between a room and the one below it


def shape_of(columns: int, rows: int, size: int) -> Shape:
    """(H, W) of a grid of rooms."""
    return rows * (size - 1) + 1, columns * (size - 1) + 1


def walls(shape: Shape, columns: Whole, rows: Whole, size: Whole) -> jax.Array:
    """(H, W) uint32: empty rooms, and walls beyond them."""
    x, y = placing.columns(shape), placing.rows(shape)
    step = size - 1
    lines = (x % step == 0) | (y % step == 0) | (x > columns * step) | (y > rows * step)
    return jnp.where(lines, cells.WALL, cells.EMPTY)


def room(shape: Shape, size: Whole, i: Whole, j: Whole) -> jax.Array:
    """(H, W) bool: a room with its walls."""
    return placing.rectangle(shape, i * (size - 1), j * (size - 1), size, size)


def default_pose(columns: int, rows: Whole, size: Whole) -> Pose:
    """Where the agent is while things are placed before it: the center of the middle room."""
    return Pose(columns // 2 * (size - 1) + size // 2, rows // 2 * (size - 1) + size // 2, 0)


def door_in(roll: jax.Array, size: Whole, i: Whole, j: Whole, wall: int) -> tuple[Whole, Whole]:
    """(x, y) of a door in a wall, RIGHT, DOWN, LEFT or UP, of room (i, j)."""
    step = size - 1
    place = 1 + placing.below(roll, size - 2)
    if wall in (RIGHT, LEFT):
        return (i + (wall == RIGHT)) * step, j * step + place
    return i * step + place, (j + (wall == DOWN)) * step


def doors_in(rolls: Connections, size: Whole) -> tuple[Connections, Connections]:
    """(x, y) int32 of a door in every wall between rooms; `rolls` are uint32."""
    step = size - 1
    place_right, place_down = (1 + placing.below(words, size - 2) for words in rolls)
    i = jnp.arange(rolls.down.shape[1], dtype=jnp.int32)[None, :]
    j = jnp.arange(rolls.right.shape[0], dtype=jnp.int32)[:, None]
    to_right, to_lower = (i[:, :-1] + 1) * step, (j[:-1] + 1) * step
    x = Connections(jnp.broadcast_to(to_right, place_right.shape), i * step + place_down)
    y = Connections(j * step + place_right, jnp.broadcast_to(to_lower, place_down.shape))
    return x, y


def place(roll: jax.Array, grid: jax.Array, where: jax.Array, agent: Pose) -> tuple[jax.Array, jax.Array]:
    """(x, y) of a free cell among `where` (H, W) that is neither the agent's nor beside it."""
    height, width = grid.shape
    return placing.choose_cell(
        roll, placing.is_free(grid) & where & ~placing.is_near((height, width), agent.x, agent.y)
    )


def place_agent(roll: jax.Array, grid: jax.Array, where: jax.Array) -> Pose:
    """A pose in a free cell among `where` (H, W), with nothing, or a wall, in front.

    Position and direction are drawn together: a cell from which less can be faced is less likely.
    """
    free = placing.is_free(grid)
    clear = free | (grid == cells.WALL)
    ahead = jnp.stack([jnp.roll(clear, (-dy, -dx), (0, 1)) for dx, dy in zip(cells.DX, cells.DY, strict=True)])
    direction, y, x = placing.choose(roll, ahead & (free & where)[None])
    return Pose(x, y, direction)


def connect_all(weights: Connections, exists: jax.Array | None = None) -> Connections:
    """Which connections to add so that every room can be reached, bool.

    The package adds doors at random until all is connected. That is: in a random order, up to the first that
    completes the network; so all whose weight does not exceed the largest on the best way to any room.

    Args:
      weights: uint32 rolls; `THERE` where rooms are connected already, `NEVER` where they may not be.
      exists: (R, C) bool, which rooms there are; all by default.
    """
    right, down = weights
    rows, columns = right.shape[0], down.shape[1]
    never = jnp.uint32(NEVER)
    side, end = (jnp.full(edge, never) for edge in ((rows, 1), (1, columns)))
    worst = jnp.full((rows, columns), never).at[0, 0].set(THERE)  # on the best way from room (0, 0)
    for _ in range(rows * columns - 1):
        ways = (
            jnp.concatenate([side, jnp.maximum(worst[:, :-1], right)], axis=1),
            jnp.concatenate([jnp.maximum(worst[:, 1:], right), side], axis=1),
            jnp.concatenate([end, jnp.maximum(worst[:-1], down)], axis=0),
            jnp.concatenate([jnp.maximum(worst[1:], down), end], axis=0),
        )
        for way in ways:
            worst = jnp.minimum(worst, way)
    enough = jnp.max(worst if exists is None else jnp.where(exists, worst, jnp.uint32(THERE)))
    return Connections(*((w != THERE) & (w != never) & (w <= enough) for w in weights))


def flat(connections: Connections) -> jax.Array:
    """(R (C - 1) + (R - 1) C,)."""
    return jnp.concatenate([connections.right.ravel(), connections.down.ravel()])
