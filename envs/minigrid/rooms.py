"""Which cells belong together: regions that walls and doors bound. On the host.

Letters: H rows, W columns.
"""

import numpy as np

from . import cells


def rooms_of(grid: np.ndarray) -> np.ndarray:
    """(H, W) int32: the number of each cell's room, from 1 in the order of reading; 0 for walls and doors.

    Args:
      grid: (H, W) uint32 words.
    """
    height, width = grid.shape
    open_cells = ~np.isin(cells.kind(grid), (cells.WALL_KIND, cells.DOOR))
    rooms = np.zeros((height, width), np.int32)
    count = 0
    for y, x in np.argwhere(open_cells):
        if rooms[y, x]:
            continue
        count += 1
        work = [(int(y), int(x))]
        while work:
            j, i = work.pop()
            if not (0 <= j < height and 0 <= i < width) or not open_cells[j, i] or rooms[j, i]:
                continue
            rooms[j, i] = count
            work += [(j + 1, i), (j - 1, i), (j, i + 1), (j, i - 1)]
    return rooms
