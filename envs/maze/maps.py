"""The mazes: their maps, and what follows from a map alone (free cells, distances, shortest ways).

Rows count from the top (largest y), columns from the left; a cell is 1 m wide and the middle of the map is the origin.

Source: gymnasium-robotics 1.4.2, `envs/maze/maps.py` and `maze_v4.py` (after D4RL, Fu et al. 2020).

Letters: R rows, C columns, N free cells.
"""

import dataclasses
import functools
from collections import deque

import numpy as np

from ..errors import OptionError

WALL, FREE, START, GOAL, BOTH = "1", "0", "r", "g", "c"

# Name -> (rows, steps until truncation). Where a map marks cells, starts and goals are drawn from them alone.
MAZES: dict[str, tuple[tuple[str, ...], int]] = {
    "UMaze": (("11111", "10001", "11101", "10001", "11111"), 300),
    "Open": (("1111111", "1000001", "1000001", "1000001", "1111111"), 300),
    "Open_Diverse_G": (("1111111", "1rgggg1", "1ggggg1", "1ggggg1", "1111111"), 300),
    "Open_Diverse_GR": (("1111111", "1ccccc1", "1ccccc1", "1ccccc1", "1111111"), 300),
    "Medium": (
        ("11111111", "10011001", "10010001", "11000111", "10010001", "10100101", "10001001", "11111111"),
        600,
    ),
    "Medium_Diverse_G": (
        ("11111111", "1r011001", "100100g1", "11000111", "10010001", "1g100101", "10001g01", "11111111"),
        600,
    ),
    "Medium_Diverse_GR": (
        ("11111111", "1c011001", "100100c1", "11000111", "10010001", "1c100101", "10001c01", "11111111"),
        600,
    ),
    "Large": (
        (
            *("111111111111", "100001000001", "101101010101", "100000010001", "101111011101"),
            *("100101000001", "110101010111", "100100010001", "111111111111"),
        ),
        800,
    ),
    "Large_Diverse_G": (
        (
            *("111111111111", "1r0001g00001", "101101010101", "10000g0100g1", "101111011101"),
            *("10g101000001", "110101010111", "1001g0g10g01", "111111111111"),
        ),
        800,
    ),
    "Large_Diverse_GR": (
        (
            *("111111111111", "1c0001c00001", "101101010101", "10000c0100c1", "101111011101"),
            *("10c101000001", "110101010111", "1001c0c10c01", "111111111111"),
        ),
        800,
    ),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """What follows from a map; NumPy, so that compiled programs hold it as constants.

    Attributes:
      walls: (R, C) bool.
      cells: (N, 2) int32, (row, column) of free cells, in reading order.
      centres: (N, 2) [m], (x, y) of their middles.
      number: (R, C) int32, which free cell this is; for a wall, the nearest.
      starts, goals: (N,) bool, where episodes may start and goals may lie.
      distance: (N, N) int32, length in cells of the shortest way; N where there is none.
      towards: (N, N) int32, [i, j] the cell after i on a shortest way to j; i where there is none or i is j.
      beside: (R, C, 2, 2) int32, of the quarter [x above the middle, y above the middle] of a cell: which neighbours
        are walls, 1 along x + 2 along y + 4 across the corner.
    """

    walls: np.ndarray
    cells: np.ndarray
    centres: np.ndarray
    number: np.ndarray
    starts: np.ndarray
    goals: np.ndarray
    distance: np.ndarray
    towards: np.ndarray
    beside: np.ndarray


def rows_of(maze: str) -> tuple[str, ...]:
    """The rows of a maze: a name in `MAZES`, or rows of a map of one's own, divided by "/".

    Raises:
      OptionError: unknown name, unknown marks, rows of different lengths, a border with gaps, or fewer than two cells.
    """
    if maze in MAZES:
        return MAZES[maze][0]
    rows = tuple(maze.split("/"))
    if set(maze) - set("/" + WALL + FREE + START + GOAL + BOTH):
        raise OptionError(f"maze={maze!r}; expected one of {list(MAZES)}, or rows like '1111/1001/1111'", key="maze")
    if len({len(row) for row in rows}) != 1:
        raise OptionError(f"maze={maze!r}: rows of {[len(row) for row in rows]} cells; expected equal ones", key="maze")
    border = rows[0] + rows[-1] + "".join(row[0] + row[-1] for row in rows)
    if set(border) != {WALL}:
        raise OptionError(f"maze={maze!r}: a border with gaps; expected walls ({WALL}) all around", key="maze")
    if sum(mark != WALL for row in rows for mark in row) < 2:
        raise OptionError(f"maze={maze!r}: walls only; expected two free cells or more", key="maze")
    return rows


@functools.lru_cache(maxsize=64)
def layout(maze: str) -> Layout:
    """The layout of a maze, see `rows_of`."""
    marks = np.array([list(row) for row in rows_of(maze)])
    walls = marks == WALL
    cells = np.argwhere(~walls).astype(np.int32)
    number = np.abs(cells - np.indices(walls.shape).transpose(1, 2, 0)[:, :, None]).sum(-1).argmin(-1)
    starts, goals = _marked(marks[~walls])
    distance = np.stack([_distances(cell, cells, number, walls) for cell in range(len(cells))])
    return Layout(
        walls=walls,
        cells=cells,
        centres=(cells[:, ::-1] + 0.5 - np.array(walls.shape[::-1]) / 2) * (1.0, -1.0),
        number=number.astype(np.int32),
        starts=starts,
        goals=goals,
        distance=distance,
        towards=_towards(distance),
        beside=_beside(walls),
    )


def cell_number(maze: str, cell: tuple[int, int], name: str) -> int:
    """Which free cell (row, column) is; `name` is what an error calls it.

    Raises:
      OptionError: a wall, or outside the map.
    """
    plan = layout(maze)
    if len(cell) != 2 or any(not 0 <= i < n for i, n in zip(cell, plan.walls.shape, strict=False)) or plan.walls[cell]:
        raise OptionError(f"{name}={cell!r}; expected (row, column) of a free cell of maze {maze!r}", key=name)
    return int(plan.number[cell])


def _marked(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(starts, goals) of free cells' marks (N,): what is marked nowhere may be anywhere that is not marked."""
    both, start, goal, free = marks == BOTH, marks == START, marks == GOAL, marks == FREE
    if both.any():
        return start | both, goal | both
    if not start.any() and not goal.any():
        return free, free
    return (start if start.any() else free), (goal if goal.any() else free)


def _distances(origin: int, cells: np.ndarray, number: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """(N,) int32, steps from one free cell to all, breadth first."""
    found = np.full(len(cells), len(cells), np.int32)
    found[origin] = 0
    queue = deque([origin])
    while queue:
        here = queue.popleft()
        row, column = cells[here]
        for place in ((row - 1, column), (row, column - 1), (row, column + 1), (row + 1, column)):
            if not walls[place] and found[number[place]] == len(cells):
                found[number[place]] = found[here] + 1
                queue.append(number[place])
    return found


def _towards(distance: np.ndarray) -> np.ndarray:
    """(N, N) int32, the neighbour from which it is a step less; the first of several in reading order."""
    neighbours = (distance == 1)[:, :, None]
    nearer = neighbours & (distance[None] == distance[:, None] - 1)  # (from, over, to)
    return np.where(nearer.any(1), nearer.argmax(1), np.arange(len(distance))[:, None]).astype(np.int32)


def _beside(walls: np.ndarray) -> np.ndarray:
    """`Layout.beside`; what lies outside the map counts as wall."""
    rows, columns = np.indices(walls.shape)
    around = np.pad(walls, 1, constant_values=True)
    out = np.zeros((*walls.shape, 2, 2), np.int32)
    for i, right in enumerate((-1, 1)):
        for j, up in enumerate((-1, 1)):
            across, along = columns + 1 + right, rows + 1 - up
            out[:, :, i, j] = around[rows + 1, across] + 2 * around[along, columns + 1] + 4 * around[along, across]
    return out
