"""Moving obstacles: what they keep, and where they go, beside the package's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.minigrid import cells, reference
from palaestra.envs.minigrid.core import start
from palaestra.envs.minigrid.export import export_state
from palaestra.envs.minigrid.level import Level
from palaestra.envs.minigrid.rules import ObstaclesGoal, move_obstacles

from .minigrid_levels import significance

NAME, SIZE = "MiniGrid-Dynamic-Obstacles-5x5-v0", 5
BALL = cells.word(cells.BALL, cells.BLUE)
AGENT = (1, 1)
CROWD = ((2, 2), (1, 2), (3, 1), (2, 3))  # four of the seven free cells
moved = jax.jit(jax.vmap(move_obstacles, (None, 0)))


def crowded(places):
    """A room of 3 x 3 cells with the agent in one corner and the goal square in the other."""
    grid = np.full((SIZE, SIZE), cells.WALL, np.uint32)
    grid[1:-1, 1:-1] = cells.EMPTY
    grid[3, 3] = cells.GOAL
    for x, y in places:
        if x >= 0:
            grid[y, x] = BALL
    x, y = np.array(places, np.int32).T
    return Level(
        grid=grid,
        x=np.int32(AGENT[0]),
        y=np.int32(AGENT[1]),
        direction=np.int32(0),
        carrying=np.uint32(0),
        mission=np.zeros(8, np.uint8),
        goal=ObstaclesGoal(x=x, y=y, blocked=np.bool_(False)),
        max_steps=np.int32(100),
    )


def after_one_step(level, count, seed=0):
    """(grids (K, H, W), xs (K, N), ys (K, N))."""
    grids, xs, ys = moved(jax.tree.map(jnp.asarray, level), jax.random.split(jax.random.key(seed), count))
    return np.asarray(grids), np.asarray(xs), np.asarray(ys)


def test_obstacles_neither_multiply_nor_go_where_something_is():
    level, count = crowded(CROWD), 4000
    grids, xs, ys = after_one_step(level, count)
    balls = cells.kind(grids) == cells.BALL
    assert (balls.sum((1, 2)) == len(CROWD)).all()
    assert (grids[np.arange(count)[:, None], ys, xs] == BALL).all()
    assert (grids[:, AGENT[1], AGENT[0]] == cells.EMPTY).all()
    fixed = np.isin(level.grid, [cells.WALL, cells.GOAL])
    np.testing.assert_array_equal(grids[:, fixed], np.broadcast_to(level.grid[fixed], (count, fixed.sum())))
    assert (np.abs(xs - level.goal.x) <= 1).all() and (np.abs(ys - level.goal.y) <= 1).all()
    assert len(np.unique(ys * SIZE + xs, axis=0)) > 10  # joint places


@pytest.mark.parametrize("y", [-1, 2])
def test_an_obstacle_that_is_not_there_changes_nothing(y):
    """Its place counts from the end of the grid, where a free cell would take a wall in."""
    nobody = crowded([(-1, y), (-1, y)])
    nobody.grid[3, 3] = cells.EMPTY
    grids, xs, _ = after_one_step(nobody, 200)
    assert (xs == -1).all()
    np.testing.assert_array_equal(grids, np.broadcast_to(nobody.grid, grids.shape))
    grids, xs, _ = after_one_step(crowded([*CROWD[:2], (-1, y)]), 2000)
    assert (xs[:, 2] == -1).all() and ((cells.kind(grids) == cells.BALL).sum((1, 2)) == 2).all()


@pytest.mark.parametrize("places", [CROWD, CROWD[2:]], ids=["crowded", "roomy"])
def test_they_go_where_the_packages_go(places):
    """Joint positions after one step: one chi-square of two samples."""
    level, count = crowded(places), 6000
    _, xs, ys = after_one_step(level, count)
    live = export_state(start(level), reference.make_reference(NAME))
    grid, obstacles = live.grid.copy(), live.obstacles
    theirs = []
    live.np_random, live.gen_obs = np.random.default_rng(0), lambda: {}  # nobody looks
    for _ in range(count):
        live.grid = grid.copy()
        for obstacle, place in zip(obstacles, places, strict=True):
            obstacle.cur_pos = place
        live.step_count, live.agent_dir = 0, 0
        live.step(0)
        theirs.append([y * SIZE + x for x, y in (obstacle.cur_pos for obstacle in obstacles)])
    weights = (SIZE * SIZE) ** np.arange(len(places))
    p = significance((ys * SIZE + xs) @ weights, np.array(theirs) @ weights)
    assert p is not None and p > 1e-3
