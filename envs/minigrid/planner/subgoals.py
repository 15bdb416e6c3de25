"""Subgoals of a plan: what it opens, takes and reaches, as `minigrid` teachers name it.

They are what the plan does, in its order, with these exceptions, made by the published sequences (spec, section 9.2):

- Under `PickUpObject`, doors that only need a push are left out, and what prepares a locked door comes in the order
  box, things in the way, key, door, even where the shortest plan has another.
- A key that comes out of a box is not a subgoal, since the box is.
- Putting something down is none, unless it meets a clause.
- In levels that ask for the goal square and have no doors, the openings on the way are subgoals.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from .. import cells
from .board import bits
from .goals import Aim, Clause, Outcome, Task
from .tasks import Reach, TakeOne
from .world import GONE, NOTHING, Config, Pose, World


@dataclasses.dataclass(frozen=True)
class Subgoal:
    """Something to achieve at a cell.

    Attributes:
      x, y: the cell.
      word: what is in the cell at reset, see `cells.py`.
      text: what it is called: "locked door", "{color} door", "key", "{color} ball", "box", "goal", "opening".
      step: after how many actions of the plan it is achieved.
    """

    x: int
    y: int
    word: int
    text: str
    step: int


@dataclasses.dataclass(frozen=True)
class _Event:
    """Something that a plan does; `rank` is its place among what prepares a locked door."""

    step: int
    cell: int
    text: str
    rank: int = 0


@dataclasses.dataclass(frozen=True)
class _Step:
    """One step of a plan."""

    number: int
    before: Config
    after: Config
    pose: Pose  # after
    front: int
    entered: bool
    met: int  # clauses that it meets


LOCKED_DOOR, GOAL, OPENING = "locked door", "goal", "opening"
_BOX, _IN_THE_WAY, _KEY, _DOOR, _CLAUSE = range(5)


def subgoals_of(task: Task, actions: tuple[int, ...], grid: np.ndarray) -> tuple[Subgoal, ...]:
    """The subgoals of a plan that solves the task.

    Args:
      grid: (H, W) uint32, the level at reset.
    """
    events: list[_Event] = []
    for step in _replay(task, actions):
        for event in _events(task, step):
            # Every cell is named once, apart from clauses; these are named with what meets them in the same step.
            same = [known for known in events if known.cell == event.cell]
            if not same or (event.rank == _CLAUSE and same[-1].step < event.step):
                events.append(event)
    if isinstance(task, TakeOne):
        events = _in_published_order(events)
    places = [task.world.board.position(event.cell) for event in events]
    return tuple(
        Subgoal(x, y, int(grid[y, x]), event.text, event.step) for (x, y), event in zip(places, events, strict=True)
    )


def _replay(task: Task, actions: tuple[int, ...]) -> Iterator[_Step]:
    pose, config = task.world.pose, task.start
    for number, action in enumerate(actions, start=1):
        outcome, after_pose, after = task.step(pose, config, action)
        met = config.pending if outcome is Outcome.SUCCESS else config.pending & ~after.pending
        front = task.world.front(after_pose)
        yield _Step(number, config, after, after_pose, front, after_pose.cell != pose.cell, met)
        pose, config = after_pose, after


def _events(task: Task, step: _Step) -> Iterator[_Event]:
    """What a step does that matters, what meets a clause last."""
    world, before, after = task.world, step.before, step.after
    for i in bits(after.opened & ~before.opened):
        door = world.doors[i]
        if before.locked >> i & 1:
            yield _Event(step.number, door.cell, LOCKED_DOOR, _DOOR)
        elif not isinstance(task, TakeOne):
            yield _Event(step.number, door.cell, f"{cells.COLORS[door.color]} door", _IN_THE_WAY)
    for i, thing in enumerate(world.things):
        if after.places[i] == GONE and before.places[i] != GONE:
            # One that was carried elsewhere first was named then, by the same cell.
            cell = step.front if thing.origin == NOTHING else thing.origin
            yield _Event(step.number, cell, "box", _BOX if thing.content != NOTHING else _IN_THE_WAY)
    if after.carried not in (NOTHING, before.carried):
        yield from _taking(task, step, after.carried)
    if step.entered and isinstance(task, Reach) and not world.doors and _is_opening(world, step.pose):
        yield _Event(step.number, step.pose.cell, OPENING)
    for i in bits(step.met):
        yield from _meeting(task, step, task.clauses[i])


def _meeting(task: Task, step: _Step, clause: Clause) -> Iterator[_Event]:
    """The clause that a step meets; taking something names itself."""
    cell = {Aim.STAND: step.pose.cell, Aim.SAY: clause.about, Aim.TAKE: NOTHING}.get(clause.aim, step.front)
    about = cell
    if clause.aim is Aim.PUT:
        places = task.world.places_of(step.before, clause.fixed, clause.doors)
        beside = task.world.board.beside(1 << cell)
        about = next((place for place in places if beside >> place & 1), clause.about)
    if clause.aim is Aim.STAND:
        about = clause.about
    if cell != NOTHING:
        yield _Event(step.number, cell, _name(task.world, about, step), _CLAUSE)


def _taking(task: Task, step: _Step, i: int) -> Iterator[_Event]:
    world, thing = task.world, task.world.things[i]
    wanted = any(task.clauses[j].aim is Aim.TAKE for j in bits(step.met))
    moved = step.before.places[i] != thing.origin
    if (thing.holder != NOTHING or moved) and not wanted:
        return
    rank = _CLAUSE if wanted else _KEY if thing.kind == cells.KEY else _BOX if thing.content != NOTHING else _IN_THE_WAY
    yield _Event(step.number, step.front, _thing_name(world, i), rank)


def _in_published_order(events: list[_Event]) -> list[_Event]:
    """Sorts what prepares each locked door."""
    ordered: list[_Event] = []
    rest = events
    while any(event.text == LOCKED_DOOR for event in rest):
        end = next(i for i, event in enumerate(rest) if event.text == LOCKED_DOOR) + 1
        ordered += sorted(rest[:end], key=lambda event: event.rank)
        rest = rest[end:]
    return ordered + rest


def _name(world: World, cell: int, step: _Step) -> str:
    """What is in a cell, or is believed there, is called; the goal square if nothing."""
    if cell in world.door_at:
        door = world.door_at[cell]
        return LOCKED_DOOR if step.before.locked >> door & 1 else f"{cells.COLORS[world.doors[door].color]} door"
    places = [enumerate(config.places) for config in (step.after, step.before)]
    beliefs = (*itertools.chain(*places), *step.before.stale, *step.after.stale)
    return next((_thing_name(world, i) for i, place in beliefs if place == cell >= 0), GOAL)


def _thing_name(world: World, i: int) -> str:
    thing = world.things[i]
    name = cells.KINDS[thing.kind]
    return f"{cells.COLORS[thing.color]} {name}" if thing.kind == cells.BALL else name


def _is_opening(world: World, pose: Pose) -> bool:
    """Whether the agent has just entered a gap one cell wide, with obstacles on both sides."""
    open_cells = world.floor | world.goals
    ahead, aside = world.board.steps[pose.direction], world.board.steps[(pose.direction + 1) % 4]

    def narrow(cell: int) -> bool:
        return not (open_cells >> cell + aside & 1 or open_cells >> cell - aside & 1)

    return narrow(pose.cell) and not narrow(pose.cell - ahead)
