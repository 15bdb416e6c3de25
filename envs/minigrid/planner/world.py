"""A level as the search sees it: things and doors by index, the mutable rest in one hashable value.

The mechanics are those of `core.act`, once more in plain Python, since a search steps one world through millions of
states rather than millions of worlds through one step. `test_minigrid_planner_world.py` holds it to the
package.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .. import cells
from ..core import DROP, FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE
from ..level import Level
from .board import Board, bits

NOTHING = -1
# Where a thing is when it is in no cell.
CARRIED, INSIDE, GONE = -1, -2, -3


@dataclasses.dataclass(frozen=True)
class Thing:
    """A key, ball or box.

    Attributes:
      origin: the cell where it lies at reset, its box's if it is inside one, NOTHING if carried.
      holder: index of the box that it is in at reset, or NOTHING.
      content: index of what it holds at reset, or NOTHING.
    """

    kind: int
    color: int
    number: int
    origin: int
    holder: int = NOTHING
    content: int = NOTHING


@dataclasses.dataclass(frozen=True)
class Door:
    """A door; `state` is that at reset."""

    cell: int
    color: int
    number: int
    state: int


class Config(NamedTuple):
    """All that can change but the agent's pose."""

    carried: int  # index of a thing, or NOTHING
    places: tuple[int, ...]  # cell of each thing, or CARRIED, INSIDE, GONE
    opened: int  # set of doors that stand open
    locked: int  # set of doors that are locked
    pending: int  # set of clauses of the task not yet met
    fresh: bool  # whether nothing was done yet
    stale: tuple[tuple[int, int], ...]  # (thing, cell) where an instruction still believes it, see instructions.py


class Pose(NamedTuple):
    """Where the agent stands and looks."""

    cell: int
    direction: int


@dataclasses.dataclass(frozen=True)
class World:
    """What never changes, and the start.

    Attributes:
      floor: cells to stand on unless a thing lies there.
      vacant: those of them where a thing may be put down.
      goals: cells that end the episode with success when entered.
      lava: cells that end it without.
    """

    board: Board
    things: tuple[Thing, ...]
    doors: tuple[Door, ...]
    floor: int
    vacant: int
    goals: int
    lava: int
    start: Config
    pose: Pose
    max_steps: int

    @functools.cached_property
    def door_at(self) -> dict[int, int]:
        """Index of the door in a cell."""
        return {door.cell: i for i, door in enumerate(self.doors)}

    @functools.cached_property
    def doorways(self) -> int:
        """Cells with doors."""
        return sum(1 << door.cell for door in self.doors)

    @functools.cached_property
    def keys(self) -> tuple[int, ...]:
        """By colour, the set of keys that open its locks."""
        colors = [thing.color if thing.kind == cells.KEY else NOTHING for thing in self.things]
        return tuple(sum(1 << i for i, own in enumerate(colors) if own == color) for color in range(8))

    def passable(self, config: Config) -> int:
        """Cells that the agent can enter, goals and lava among them."""
        ways = self.floor | self.goals | self.lava
        for place in config.places:
            if place >= 0:
                ways &= ~(1 << place)
        for i in bits(config.opened):
            ways |= 1 << self.doors[i].cell
        return ways

    def places_of(self, config: Config, things: int, doors: int = 0) -> list[int]:
        """The cells of a set of things, without those that are in none, and of a set of doors."""
        places = [config.places[i] for i in bits(things) if config.places[i] >= 0]
        return places + [self.doors[i].cell for i in bits(doors)]

    def front(self, pose: Pose) -> int:
        """The cell that the agent looks at."""
        return pose.cell + self.board.steps[pose.direction]

    def move(self, pose: Pose, config: Config, action: int) -> Pose:
        """The pose after left, right or forward; unchanged by other actions."""
        if action in (LEFT, RIGHT):
            return Pose(pose.cell, (pose.direction + (3 if action == LEFT else 1)) % 4)
        front = self.front(pose)
        if action == FORWARD and self.passable(config) >> front & 1:
            return Pose(front, pose.direction)
        return pose

    def handle(self, config: Config, action: int, cell: int) -> Config:
        """What pick up, drop and toggle, aimed at `cell`, make of the world; the same value if nothing."""
        if action == TOGGLE and cell in self.door_at:
            return self._toggled(config, self.door_at[cell])
        there = config.places.index(cell) if cell in config.places else NOTHING
        if action == TOGGLE and there != NOTHING and self.things[there].kind == cells.BOX:
            content = self.things[there].content
            places = _put(config.places, there, GONE)
            return config._replace(places=places if content == NOTHING else _put(places, content, cell))
        if action == PICK_UP and there != NOTHING and config.carried == NOTHING:
            return config._replace(carried=there, places=_put(config.places, there, CARRIED))
        if action == DROP and config.carried != NOTHING and there == NOTHING and self.vacant >> cell & 1:
            return config._replace(carried=NOTHING, places=_put(config.places, config.carried, cell))
        return config

    def _toggled(self, config: Config, door: int) -> Config:
        if not config.locked >> door & 1:
            return config._replace(opened=config.opened ^ (1 << door))
        if config.carried == NOTHING or not self.keys[self.doors[door].color] >> config.carried & 1:
            return config
        return config._replace(opened=config.opened | 1 << door, locked=config.locked ^ (1 << door))


def _put(places: tuple[int, ...], thing: int, place: int) -> tuple[int, ...]:
    return (*places[:thing], place, *places[thing + 1 :])


def world_of(level: Level) -> World:
    """The world of a level of NumPy arrays, all clauses still to be set."""
    grid = np.asarray(level.grid)
    height, width = grid.shape
    board = Board(width, height)
    where = {cell: word for cell, word in _words(board, grid)}
    portable = {cell: word for cell, word in where.items() if cells.is_portable(word)}
    doors = tuple(_door(cell, word) for cell, word in where.items() if cells.kind(word) == cells.DOOR)
    things = tuple(_things(portable, np.uint32(level.carrying)))
    places = tuple(INSIDE if t.holder != NOTHING else t.origin if t.origin != NOTHING else CARRIED for t in things)
    carried = places.index(CARRIED) if CARRIED in places else NOTHING
    kinds = {cell: int(cells.kind(word)) for cell, word in where.items()}
    vacant = _where(kinds, cells.NOTHING) | sum(1 << cell for cell in portable)
    return World(
        board=board,
        things=things,
        doors=doors,
        floor=vacant | _where(kinds, cells.FLOOR_KIND),
        vacant=vacant,
        goals=_where(kinds, cells.GOAL_KIND),
        lava=_where(kinds, cells.LAVA_KIND),
        start=Config(
            carried=carried,
            places=places,
            opened=sum(1 << i for i, door in enumerate(doors) if door.state == cells.OPEN),
            locked=sum(1 << i for i, door in enumerate(doors) if door.state == cells.LOCKED),
            pending=0,
            fresh=True,
            stale=(),
        ),
        pose=Pose(board.cell(int(level.x), int(level.y)), int(level.direction)),
        max_steps=int(level.max_steps),
    )


def _words(board: Board, grid: np.ndarray) -> Iterator[tuple[int, np.uint32]]:
    for y, x in np.argwhere(grid != cells.WALL).tolist():
        yield board.cell(x, y), grid[y, x]


def _where(kinds: dict[int, int], kind: int) -> int:
    return sum(1 << cell for cell, there in kinds.items() if there == kind)


def _door(cell: int, word: np.uint32) -> Door:
    return Door(cell, int(cells.color(word)), int(cells.number(word)), int(cells.state(word)))


def _things(portable: dict[int, np.uint32], carrying: np.uint32) -> Iterator[Thing]:
    """Things in cells, then what is carried, then what boxes hold."""
    outside = [(cell, word) for cell, word in portable.items()]
    outside += [(NOTHING, carrying)] if carrying else []
    contents = [(i, cell, cells.content(word)) for i, (cell, word) in enumerate(outside) if cells.content(word)]
    inside = {holder: len(outside) + j for j, (holder, _, _) in enumerate(contents)}
    for i, (cell, word) in enumerate(outside):
        yield _thing(word, cell, content=inside.get(i, NOTHING))
    for holder, cell, word in contents:
        yield _thing(word, cell, holder=holder)


def _thing(word: np.uint32, cell: int, holder: int = NOTHING, content: int = NOTHING) -> Thing:
    look = (int(cells.kind(word)), int(cells.color(word)), int(cells.number(word)))
    return Thing(*look, origin=cell, holder=holder, content=content)
