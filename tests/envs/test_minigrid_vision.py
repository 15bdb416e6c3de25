"""Windows and visibility, against the package's own loops over cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.minigrid import cells, vision
from palaestra.envs.minigrid.level import Level
from palaestra.envs.minigrid.observe import look


def reference_visibility(transparent):
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import Wall

    size = transparent.shape[0]
    grid = Grid(size, size)
    for i, j in np.argwhere(~transparent):
        grid.set(int(i), int(j), Wall())
    return grid.process_vis(agent_pos=(size // 2, size - 1))


def ours(transparent):
    compiled = jax.jit(jax.vmap(vision.visible))
    return np.asarray(compiled(jnp.where(jnp.asarray(transparent), cells.EMPTY, cells.WALL)))


def windows(count, size):
    """Random windows from nearly closed to nearly open."""
    rng = np.random.default_rng(size)
    return rng.random((count, size, size)) < rng.random((count, 1, 1))


def test_every_window_of_three_cells():
    numbers = np.arange(2**9)[:, None]
    transparent = (numbers >> np.arange(9) & 1).astype(bool).reshape(-1, 3, 3)
    expected = np.stack([reference_visibility(w) for w in transparent])
    np.testing.assert_array_equal(ours(transparent), expected)


@pytest.mark.parametrize("size", [5, 7, 15, 31])
def test_random_windows(size):
    transparent = windows(1000, size)
    expected = np.stack([reference_visibility(w) for w in transparent])
    np.testing.assert_array_equal(ours(transparent), expected)


@pytest.mark.slow
def test_a_hundred_thousand_windows_of_seven_cells():
    transparent = windows(100_000, 7)
    expected = np.stack([reference_visibility(w) for w in transparent])
    np.testing.assert_array_equal(ours(transparent), expected)


def test_doors_hide_what_is_behind_them_unless_open():
    row = np.full((3, 3), cells.WALL, np.uint32)
    row[1] = cells.EMPTY
    for state, seen in ((cells.OPEN, True), (cells.CLOSED, False), (cells.LOCKED, False)):
        row[1, 1] = cells.word(cells.DOOR, cells.RED, state)
        lit = np.asarray(vision.visible(jnp.asarray(row)))
        assert lit[1, 1] and bool(lit[1, 0]) is seen


def level_of(grid, x=3, y=3, direction=0):
    number = lambda value: jnp.asarray(value, jnp.int32)  # noqa: E731
    return Level(
        grid=jnp.asarray(grid),
        x=number(x),
        y=number(y),
        direction=number(direction),
        carrying=jnp.uint32(0),
        mission=jnp.zeros(1, jnp.uint8),
        goal=(),
        max_steps=number(10),
    )


@pytest.mark.parametrize("direction", range(4))
def test_the_window_lies_ahead_and_walls_are_outside(direction):
    grid = np.full((9, 9), cells.EMPTY, np.uint32)
    grid[3 + cells.DY[direction], 3 + cells.DX[direction]] = cells.GOAL
    seen = np.asarray(vision.window(level_of(grid, direction=direction), 7))
    assert seen[3, 5] == cells.GOAL
    edge = np.asarray(vision.window(level_of(grid, x=0, y=0, direction=2), 7))
    assert (edge[:, :6] == cells.WALL).all() and edge[3, 6] == cells.EMPTY


def test_less_sight_is_the_view_of_a_smaller_window():
    grid = np.where(windows(1, 12)[0], cells.EMPTY, cells.WALL).astype(np.uint32)
    for direction in range(4):
        level = level_of(grid, 6, 6, direction)
        small, large = look(level, 3, False, 1), look(level, 7, False, 1)
        np.testing.assert_array_equal(large.seen[2:5, 4:], small.seen)
        assert int(large.seen.sum()) == int(small.seen.sum())
