"""Distances on the device, against those by search and the lengths of plans."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.minigrid import cells, core
from palaestra.envs.minigrid.planner import (
    distance_field,
    plan,
)
from palaestra.envs.minigrid.planner.fields import BARRED

from .minigrid_planned import levels

pytest.importorskip("minigrid")


def distances_by_search(grid, x, y, price):
    """(H, W, 4): Dijkstra's algorithm over poses, backward; `price` says what entering a cell costs, None if barred."""
    height, width = grid.shape
    field = np.full((height, width, 4), BARRED)
    field[y, x] = 0
    queue = [(0, x, y, d) for d in range(4)]
    while queue:
        queue.sort()
        cost, cx, cy, d = queue.pop(0)
        if cost > field[cy, cx, d]:
            continue
        back = (cx - int(cells.DX[d]), cy - int(cells.DY[d]))
        entering = 1 if (cx, cy) == (x, y) else price(int(grid[cy, cx]))
        before = [((cx, cy), (d + turn) % 4, 1) for turn in (1, 3)] + [(back, d, entering)]
        for (bx, by), bd, step in before:
            if step is None or not (0 <= bx < width and 0 <= by < height):
                continue
            stands = price(int(grid[by, bx])) is not None or (bx, by) == (x, y)
            if stands and cost + step < field[by, bx, bd]:
                field[by, bx, bd] = cost + step
                queue.append((cost + step, bx, by, bd))
    return field


def random_grid(rng, height=9, width=11):
    words = [cells.EMPTY, cells.WALL, cells.LAVA, *(cells.word(cells.DOOR, 2, state) for state in range(3))]
    words += [cells.word(cells.BALL, 1, 0, 3), cells.GOAL]
    return rng.choice(np.array(words, np.uint32), (height, width), p=[0.55, 0.2, 0.05, 0.04, 0.04, 0.04, 0.04, 0.04])


@pytest.mark.parametrize("prices", [{}, {"closed": BARRED}, {"closed": 0, "locked": 3, "things": 2}, {"lava": 0}])
def test_distances_are_shortest(prices):
    rng = np.random.default_rng(3)
    extra = {"closed": 1, "locked": BARRED, "things": BARRED, "lava": BARRED, **prices}

    def price(word):
        word = np.uint32(word)
        kind, state = int(cells.kind(word)), int(cells.state(word))
        named = {cells.BALL: "things", cells.LAVA_KIND: "lava"}.get(kind)
        if kind == cells.DOOR:
            named = (None, "closed", "locked")[state]
        if kind == cells.WALL_KIND:
            return None
        cost = 1 + (extra[named] if named else 0)
        return cost if cost < BARRED else None

    fields = jax.jit(lambda grid, x, y: distance_field(grid, x, y, **prices))
    for _ in range(8):
        grid = random_grid(rng)
        y, x = (int(rng.integers(0, size)) for size in grid.shape)
        field = np.asarray(fields(jnp.asarray(grid), jnp.int32(x), jnp.int32(y)))
        np.testing.assert_array_equal(field, distances_by_search(grid, x, y, price))


@pytest.mark.parametrize(
    "name",
    ["MiniGrid-FourRooms-v0", "MiniGrid-LavaCrossingS9N2-v0", "MiniGrid-MultiRoom-N6-v0", "MiniGrid-DistShift1-v0"],
)
def test_distances_to_the_goal_are_the_lengths_of_plans(name):
    for _, level, rule in levels(name, range(3)):
        y, x = np.argwhere(cells.kind(level.grid) == cells.GOAL_KIND)[0]
        field = distance_field(jnp.asarray(level.grid), jnp.int32(x), jnp.int32(y))
        distance = field[int(level.y), int(level.x), int(level.direction)]
        found = plan(level, rule)
        assert int(distance) == found.length
        assert float(core.success_reward(distance, jnp.int32(level.max_steps))) == pytest.approx(found.optimal_return)


def test_distances_to_face_something_end_before_it():
    grid = jnp.full((3, 6), cells.WALL).at[1, 1:5].set(cells.EMPTY).at[1, 4].set(cells.word(cells.KEY, 0))
    field = distance_field(grid, jnp.int32(4), jnp.int32(1), facing=True)
    assert field[1, 3].tolist() == [0, 1, 2, 1]
    assert field[1, 1].tolist() == [2, 3, 4, 3]
    assert int(field[1, 4].min()) == BARRED


def test_distances_batch_and_fixed_sweeps_agree():
    grids = jnp.asarray(np.stack([level.grid for _, level, _ in levels("MiniGrid-FourRooms-v0", range(4))]))
    where = jnp.full(4, 1, jnp.int32)
    until_done = jax.vmap(distance_field)(grids, where, where)
    fixed = jax.vmap(lambda grid, x, y: distance_field(grid, x, y, sweeps=2 * (19 + 19)))(grids, where, where)
    np.testing.assert_array_equal(until_done, fixed)
    few = distance_field(grids[0], where[0], where[0], sweeps=3)
    np.testing.assert_array_equal(few, jnp.where(until_done[0] <= 3, until_done[0], BARRED))
