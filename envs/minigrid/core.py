"""The mechanics: what an action does to the grid and the agent's hands, before any task judges it.

`minigrid`'s base step, written as one new word for the cell in front and one write. Actions: 0 left, 1 right,
2 forward, 3 pick up, 4 drop, 5 toggle, 6 done.

Letters: H rows, W columns, L words.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from . import cells
from .level import Level

LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)


class State(struct.PyTreeNode):
    """A running episode: a level, what has become of it, and what the last step earned."""

    level: Level
    steps: jax.Array  # () int32
    reward: jax.Array  # () float32, of the last step
    terminated: jax.Array  # () bool


def start(level: Level) -> State:
    """The state in which an episode on `level` begins."""
    return State(level=level, steps=jnp.zeros((), jnp.int32), reward=jnp.zeros(()), terminated=jnp.zeros((), bool))


def success_reward(steps: jax.Array, max_steps: jax.Array) -> jax.Array:
    """() float32: what a success after `steps` pays, from 1 down to 0.1 at the limit (`MiniGridEnv._reward`)."""
    return 1.0 - 0.9 * (steps.astype(jnp.float32) / max_steps.astype(jnp.float32))


def in_front(level: Level) -> tuple[jax.Array, jax.Array]:
    """(x, y) of the cell the agent faces, () int32 each; may lie outside of the grid."""
    return level.x + jnp.asarray(cells.DX)[level.direction], level.y + jnp.asarray(cells.DY)[level.direction]


def cell_at(grid: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """() uint32: the word at a position; a wall outside of the grid."""
    height, width = grid.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return jnp.where(inside, grid[jnp.clip(y, 0, height - 1), jnp.clip(x, 0, width - 1)], cells.WALL)


def act(state: State, action: jax.Array) -> State:
    """The state after `minigrid`'s base step; goal and lava end it, nothing else does.

    Args:
      action: () int32.
    """
    level = state.level
    steps = state.steps + 1
    x, y = in_front(level)
    cell = cell_at(level.grid, x, y)
    enters = (action == FORWARD) & cells.is_passable(cell)
    reaches_goal = enters & (cells.kind(cell) == cells.GOAL_KIND)
    falls = enters & (cells.kind(cell) == cells.LAVA_KIND)
    after, carrying = _handle(cell, level.carrying, action)
    height = level.grid.shape[0]
    row = jnp.where((x >= 0) & (y >= 0), y, height)  # a negative index would count from the end
    grid = level.grid.at[row, x].set(after, mode="drop")
    turn = jnp.where(action == LEFT, 3, jnp.where(action == RIGHT, 1, 0))
    return State(
        level=level.replace(
            grid=grid,
            x=jnp.where(enters, x, level.x),
            y=jnp.where(enters, y, level.y),
            direction=(level.direction + turn) % 4,
            carrying=carrying,
        ),
        steps=steps,
        reward=jnp.where(reaches_goal, success_reward(steps, level.max_steps), 0.0),
        terminated=reaches_goal | falls,
    )


def _handle(cell: jax.Array, carrying: jax.Array, action: jax.Array) -> tuple[Any, Any]:
    """What pick up, drop and toggle make of the cell in front and of the hands: (cell, carrying)."""
    picks = (action == PICK_UP) & cells.is_portable(cell) & (carrying == 0)
    drops = (action == DROP) & (cell == cells.EMPTY) & (carrying != 0)
    toggles = action == TOGGLE
    is_door, is_box = cells.kind(cell) == cells.DOOR, cells.kind(cell) == cells.BOX
    held = cells.content(cell)
    opened_box = jnp.where(held == 0, cells.EMPTY, held)
    after = jnp.where(toggles & is_door, _toggled(cell, carrying), cell)
    after = jnp.where(toggles & is_box, opened_box, after)
    after = jnp.where(picks, cells.EMPTY, jnp.where(drops, carrying, after))
    return after, jnp.where(picks, cell, jnp.where(drops, jnp.uint32(0), carrying))


def _toggled(door: jax.Array, carrying: jax.Array) -> jax.Array:
    """The door after a toggle: closed and open change places, a locked one opens for a key of its colour."""
    fits = (cells.kind(carrying) == cells.KEY) & (cells.color(carrying) == cells.color(door))
    was = cells.state(door)
    locked = jnp.where(fits, jnp.uint32(cells.OPEN), jnp.uint32(cells.LOCKED))
    other = jnp.where(was == cells.OPEN, jnp.uint32(cells.CLOSED), jnp.uint32(cells.OPEN))
    return cells.with_state(door, jnp.where(was == cells.LOCKED, locked, other))
