"""Levels as text for readers who plan in words, and back.

Nothing is lost but what no reader could use: the numbers that tell equal objects apart, and the target itself, which
the mission names. What boxes hold is written down only on request, since an agent cannot see it either.

    Grid: 7 columns (x from 0), 5 rows (y from 0); x grows to the right, y downward.
    Mission: pick up the red ball
    Agent: (3, 1), facing down, carrying nothing, 270 steps left.
    Objects:
    - green key at (1, 3), room 1
    - locked red door at (2, 3), between room 1 and room 2
    Map:
    Wg Wg Wg ...

Letters: H rows, W columns.
"""

import re
from typing import Any

import numpy as np

from ...errors import PalaestraError, short
from .. import cells, rules, words
from ..level import Level
from ..rooms import rooms_of

DIRECTIONS = ("right", "down", "left", "up")
DOOR_STATES = ("open", "closed", "locked")
_LETTERS = {
    cells.NOTHING: ".",
    cells.WALL_KIND: "W",
    cells.FLOOR_KIND: "F",
    cells.KEY: "K",
    cells.BALL: "B",
    cells.BOX: "X",
    cells.GOAL_KIND: "G",
    cells.LAVA_KIND: "V",
}
_DOOR_LETTERS = "OCL"
_COLOR_LETTERS = "rgbpyk"  # k for grey, as in print
LEGEND = (
    "Map letters: .. free, W wall, F floor, K key, B ball, X box, G goal, V lava; doors: O open, C closed, L locked. "
    "The second letter is the colour: r red, g green, b blue, p purple, y yellow, k grey."
)


class LevelTextError(PalaestraError, ValueError):
    """A text that is not of a level."""

    code = 2


def name_of(word: Any) -> str:
    """What a cell holds in words: "locked red door", "green key", "goal"."""
    kind, color = int(cells.kind(word)), cells.COLORS[int(cells.color(word))]
    if kind in (cells.GOAL_KIND, cells.LAVA_KIND):
        return cells.KINDS[kind]
    if kind == cells.DOOR:
        return f"{DOOR_STATES[int(cells.state(word))]} {color} door"
    return f"{color} {cells.KINDS[kind]}"


def render(level: Level, reveal: bool = False) -> str:
    """The text of a level, NumPy.

    Args:
      reveal: says what boxes hold.
    """
    height, width = level.grid.shape
    hands = name_of(level.carrying) if level.carrying else "nothing"
    inside = cells.content(level.carrying)
    if reveal and inside:
        hands += f" holding a {name_of(inside)}"
    lines = [
        f"Grid: {width} columns (x from 0), {height} rows (y from 0); x grows to the right, y downward.",
        f"Mission: {words.decode(level.mission)}",
        f"Agent: ({int(level.x)}, {int(level.y)}), facing {DIRECTIONS[int(level.direction)]}, carrying {hands}, "
        f"{int(level.max_steps)} steps left.",
        "Objects:",
        *_object_lines(level, reveal),
        "Map:",
        *(" ".join(_letters(word) for word in row) for row in level.grid),
    ]
    return "\n".join(lines)


def _object_lines(level: Level, reveal: bool) -> list[str]:
    rooms = rooms_of(level.grid)
    lines = []
    for y, x in np.argwhere(~np.isin(cells.kind(level.grid), (cells.NOTHING, cells.WALL_KIND, cells.FLOOR_KIND))):
        word = level.grid[y, x]
        inside = cells.content(word)
        holding = f" holding a {name_of(inside)}" if reveal and inside else ""
        lines.append(f"- {name_of(word)}{holding} at ({x}, {y}){_whereabouts(rooms, int(x), int(y))}")
    return lines


def _whereabouts(rooms: np.ndarray, x: int, y: int) -> str:
    if rooms[y, x]:
        return f", room {rooms[y, x]}"
    height, width = rooms.shape
    around = {
        int(rooms[y + dy, x + dx])
        for dx, dy in zip(cells.DX, cells.DY, strict=True)
        if 0 <= x + dx < width and 0 <= y + dy < height
    }
    beside = sorted(around - {0})
    return f", between {' and '.join(f'room {room}' for room in beside)}" if len(beside) > 1 else ""


def _letters(word: Any) -> str:
    kind = int(cells.kind(word))
    if kind == cells.NOTHING:
        return ".."
    first = _DOOR_LETTERS[int(cells.state(word))] if kind == cells.DOOR else _LETTERS[kind]
    return first + _COLOR_LETTERS[int(cells.color(word))]


def parse(text: str) -> Level:
    """The level of a text that `render` wrote, with no goal and without object numbers.

    Raises:
      LevelTextError: naming the line that is missing or cannot be read.
    """
    lines = text.splitlines()
    width, height = (int(n) for n in _match(lines, r"Grid: (\d+) columns \(x from 0\), (\d+) rows"))
    (mission,) = _match(lines, r"Mission: (.*)")
    x, y, direction, hands, steps = _match(
        lines, r"Agent: \((\d+), (\d+)\), facing (\w+), carrying (.+), (\d+) steps left\."
    )
    if direction not in DIRECTIONS:
        raise LevelTextError(f"level text: facing {direction!r}; expected one of {list(DIRECTIONS)}")
    begin = lines.index("Map:") + 1 if "Map:" in lines else len(lines)
    rows = [line.split() for line in lines[begin : begin + height]]
    if len(rows) != height or any(len(row) != width for row in rows):
        raise LevelTextError(f"level text: map; expected {height} rows of {width} cells")
    grid = np.array([[_word(letters) for letters in row] for row in rows], np.uint32)
    for line in lines[:begin]:
        found = re.match(r"- .* holding a (.+) at \((\d+), (\d+)\)", line)
        if found:
            at = int(found[3]), int(found[2])
            if at[0] >= height or at[1] >= width:
                raise LevelTextError(f"level text: line {short(line)}; expected a cell of the map, {width} x {height}")
            grid[at] = cells.fill(grid[at], _named(found[1]))
    return Level(
        grid=grid,
        x=np.int32(x),
        y=np.int32(y),
        direction=np.int32(DIRECTIONS.index(direction)),
        carrying=_carried(hands),
        mission=words.encode(mission),
        goal=rules.Nothing(),
        max_steps=np.int32(steps),
    )


def _match(lines: list[str], pattern: str) -> tuple[str, ...]:
    for line in lines:
        found = re.match(pattern, line)
        if found:
            return found.groups()
    raise LevelTextError(f"level text: no line like {pattern!r}; expected a text that `render` wrote")


def _word(letters: str) -> Any:
    if letters == "..":
        return cells.EMPTY
    kinds = {letter: kind for kind, letter in _LETTERS.items() if letter != "."}
    if len(letters) == 2 and letters[1] in _COLOR_LETTERS:
        color = _COLOR_LETTERS.index(letters[1])
        if letters[0] in _DOOR_LETTERS:
            return cells.word(cells.DOOR, color, _DOOR_LETTERS.index(letters[0]))
        if letters[0] in kinds:
            return cells.word(kinds[letters[0]], color)
    raise LevelTextError(f"level text: map cell {letters!r}; expected two letters, see LEGEND")


def _carried(hands: str) -> Any:
    name, _, inside = hands.partition(" holding a ")
    if name == "nothing":
        return np.uint32(0)
    return cells.fill(_named(name), _named(inside)) if inside else _named(name)


def _named(name: str) -> Any:
    """The word of a thing that can be carried, by its name."""
    color, _, kind = name.partition(" ")
    if color not in cells.COLORS or kind not in cells.KINDS:
        raise LevelTextError(f"level text: object {name!r}; expected a colour and a kind")
    return cells.word(cells.KINDS.index(kind), cells.COLORS.index(color))
