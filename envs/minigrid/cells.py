"""A cell of the grid in one 32-bit word.

| bits | what |
|---|---|
| 0-3 | kind, 0 to 9, as `minigrid` numbers objects |
| 4-6 | colour |
| 7-8 | state of a door: open, closed, locked; 0 for all else |
| 9-12 | kind of what a box holds, 0 for nothing |
| 13-15 | its colour |
| 16-23 | which object this is, from 1; 0 where nobody asks |
| 24-31 | which object the box holds |

Objects carry a number because `minigrid` compares some targets by identity, not by look. Every function here works on
NumPy and JAX words (...,) uint32 alike and returns the same.
"""

from typing import Any

import numpy as np

UNSEEN, NOTHING, WALL_KIND, FLOOR_KIND, DOOR, KEY, BALL, BOX, GOAL_KIND, LAVA_KIND, AGENT = range(11)
RED, GREEN, BLUE, PURPLE, YELLOW, GREY = range(6)
OPEN, CLOSED, LOCKED = range(3)

KINDS = ("unseen", "empty", "wall", "floor", "door", "key", "ball", "box", "goal", "lava", "agent")
COLORS = ("red", "green", "blue", "purple", "yellow", "grey")
# Where `minigrid` draws a colour, it draws from the names in alphabetical order.
COLORS_BY_NAME = (BLUE, GREEN, GREY, PURPLE, RED, YELLOW)

# Steps and turns: direction 0 looks along x, 1 along y (down), 2 and 3 against them.
DX = np.array([1, 0, -1, 0], np.int32)
DY = np.array([0, 1, 0, -1], np.int32)

_CONTENT = 9
_OBJECT = 16
_HELD_OBJECT = 24
_LOOK = 0x1FF  # kind, colour and state: what an observation shows


def word(kind: Any, color: Any = 0, state: Any = 0, number: Any = 0) -> Any:
    """The word (...,) uint32 of a cell that holds nothing inside; arguments broadcast, Python numbers or arrays."""
    parts = ((kind, 0), (color, 4), (state, 7), (number, _OBJECT))
    total: Any = np.uint32(0)
    for value, shift in parts:
        value = np.uint32(value) if isinstance(value, int) else value.astype(np.uint32)
        total = total | (value << np.uint32(shift))
    return total


EMPTY = np.uint32(1)
WALL = word(WALL_KIND, GREY)
GOAL = word(GOAL_KIND, GREEN)
LAVA = word(LAVA_KIND, RED)


def kind(cell: Any) -> Any:
    """What stands in the cell."""
    return cell & np.uint32(15)


def color(cell: Any) -> Any:
    """Its colour."""
    return (cell >> np.uint32(4)) & np.uint32(7)


def state(cell: Any) -> Any:
    """Open, closed or locked for a door; 0 for all else."""
    return (cell >> np.uint32(7)) & np.uint32(3)


def number(cell: Any) -> Any:
    """Which object stands in the cell, 0 for none that is told apart."""
    return (cell >> np.uint32(_OBJECT)) & np.uint32(255)


def look(cell: Any) -> Any:
    """Kind, colour and state alone: equal words look equal."""
    return cell & np.uint32(_LOOK)


def with_state(door: Any, new: Any) -> Any:
    """The door in another state, () uint32."""
    return (door & np.uint32(0xFFFFFFFF ^ (3 << 7))) | (new << np.uint32(7))


def fill(box: Any, content: Any) -> Any:
    """The box with `content` inside: an object that is neither door nor box with something in it."""
    inside = (content & np.uint32(0x7F)) << np.uint32(_CONTENT)
    return box | inside | (number(content) << np.uint32(_HELD_OBJECT))


def content(box: Any) -> Any:
    """What a box holds, as it stands once the box is gone; 0 for nothing."""
    inside = (box >> np.uint32(_CONTENT)) & np.uint32(0x7F)
    return inside | ((box >> np.uint32(_HELD_OBJECT)) << np.uint32(_OBJECT))


def is_portable(cell: Any) -> Any:
    """(...,) bool: whether it can be picked up."""
    which = kind(cell)
    return (which == KEY) | (which == BALL) | (which == BOX)


def is_passable(cell: Any) -> Any:
    """(...,) bool: whether the agent can stand there: nothing, floor, goal, lava, an open door."""
    which = kind(cell)
    open_door = (which == DOOR) & (state(cell) == OPEN)
    return (which == NOTHING) | (which == FLOOR_KIND) | (which == GOAL_KIND) | (which == LAVA_KIND) | open_door


def is_transparent(cell: Any) -> Any:
    """(...,) bool: whether sight passes: all but walls and doors that are not open."""
    which = kind(cell)
    return (which != WALL_KIND) & ~((which == DOOR) & (state(cell) != OPEN))
