"""Sets of cells and of poses as whole numbers, so that a search moves a whole frontier with a few shifts.

A set of cells is an int with one bit per cell of the grid and of a border around it. A set of poses is four of them,
one per direction. The border keeps a shift to the side from wrapping into the next row.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import TypeVar

Poses = tuple[int, int, int, int]
NO_POSES: Poses = (0, 0, 0, 0)
_Node = TypeVar("_Node")


def bits(cells: int) -> Iterator[int]:
    """The members of a set, ascending."""
    while cells:
        lowest = cells & -cells
        yield lowest.bit_length() - 1
        cells ^= lowest


@dataclasses.dataclass(frozen=True)
class Board:
    """The geometry of a grid of `width` times `height` cells."""

    width: int
    height: int

    @functools.cached_property
    def stride(self) -> int:
        """From a cell to the one below it."""
        return self.width + 2

    @functools.cached_property
    def steps(self) -> tuple[int, int, int, int]:
        """From a cell to the one in front, by direction: right, down, left, up."""
        return (1, self.stride, -1, -self.stride)

    def cell(self, x: int, y: int) -> int:
        """The number of the cell at a position."""
        return (y + 1) * self.stride + x + 1

    def position(self, cell: int) -> tuple[int, int]:
        """(x, y) of a cell."""
        return cell % self.stride - 1, cell // self.stride - 1

    def facing(self, cells: int) -> Poses:
        """The poses that look at one of `cells`."""
        return (cells >> 1, cells >> self.stride, cells << 1, cells << self.stride)

    def beside(self, cells: int) -> int:
        """The cells that share a side with one of `cells`."""
        right, down, left, up = self.facing(cells)
        return right | down | left | up


def anywhere(cells: int) -> Poses:
    """The poses that stand on one of `cells`."""
    return (cells, cells, cells, cells)


def both(a: Poses, b: Poses) -> Poses:
    """The poses in a and in b."""
    return (a[0] & b[0], a[1] & b[1], a[2] & b[2], a[3] & b[3])


def either(a: Poses, b: Poses) -> Poses:
    """The poses in a or in b."""
    return (a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3])


def add(arrivals: dict[_Node, list[int]], node: _Node, poses: Poses) -> None:
    """Adds poses to those that arrive at a node; a node where none arrives does not appear."""
    a, b, c, d = poses
    if a or b or c or d:
        there = arrivals.get(node)
        if there is None:
            arrivals[node] = [a, b, c, d]
        else:
            there[0] |= a
            there[1] |= b
            there[2] |= c
            there[3] |= d
