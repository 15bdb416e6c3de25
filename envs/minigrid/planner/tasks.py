"""The rules of `rules.py` on the host; `instructed.py` has that of `instructions.py`."""

import dataclasses
from collections.abc import Callable
from typing import Any

from .. import rules
from ..core import DONE, DROP, PICK_UP, TOGGLE
from ..instructions import FollowInstruction
from ..level import Level
from .goals import Aim, Clause, Outcome, PlanningError, Task, UnsupportedRuleError
from .instructed import instructed_task
from .world import NOTHING, Config, World, world_of


def task_of(level: Level, rule: rules.Rule) -> Task:
    """The task that `rule` makes of a level of NumPy arrays.

    Raises:
      UnsupportedRuleError: the rule has luck in it, or is not one of this package's.
      PlanningError: the rule wants a door opened, and the goal's cell has none.
    """
    make = _TASKS.get(type(rule))
    if make is None:
        why = "its obstacles move at random" if isinstance(rule, rules.DodgeObstacles) else "it is not known here"
        raise UnsupportedRuleError(
            f"planner: got the rule {type(rule).__name__}; expected one of {sorted(t.__name__ for t in _TASKS)}",
            hint=f"No fixed plan exists for this one: {why}.",
        )
    return make(world_of(level), level.goal)


@dataclasses.dataclass(frozen=True)
class Reach(Task):
    """`rules.ReachGoal`."""


@dataclasses.dataclass(frozen=True)
class TakeOne(Task):
    """`rules.PickUpObject`."""

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        has = after.carried != NOTHING and self.clauses[0].things >> after.carried & 1
        return Outcome.SUCCESS if action == PICK_UP and has else Outcome.GOES_ON, after


@dataclasses.dataclass(frozen=True)
class OpenOne(Task):
    """`rules.OpenDoor`."""

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        opened = after.opened & self.clauses[0].doors
        return Outcome.SUCCESS if action == TOGGLE and opened else Outcome.GOES_ON, after


@dataclasses.dataclass(frozen=True)
class TakeLike(Task):
    """`rules.FetchLook`."""

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        if after.carried == NOTHING:
            return Outcome.GOES_ON, after
        return Outcome.SUCCESS if self.clauses[0].things >> after.carried & 1 else Outcome.FAILURE, after


@dataclasses.dataclass(frozen=True)
class SayNearby(Task):
    """`rules.DoneNearby`."""

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        if action == DONE and self.clauses[0].cells >> cell & 1:
            return Outcome.SUCCESS, after
        return Outcome.FAILURE if action in (DONE, TOGGLE) else Outcome.GOES_ON, after


@dataclasses.dataclass(frozen=True)
class PutNearby(Task):
    """`rules.PutNear`.

    Attributes:
      allowed: things that may be taken; what is held at reset may be put down whatever it looks like.
    """

    allowed: int = 0

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        clause = self.clauses[0]
        if action == DROP and before.carried != NOTHING:
            lands = after.carried == NOTHING and clause.cells >> front & 1
            return Outcome.SUCCESS if lands else Outcome.FAILURE, after
        wrong = after.carried != NOTHING and not self.allowed >> after.carried & 1
        return Outcome.FAILURE if action == PICK_UP and wrong else Outcome.GOES_ON, after

    def drop_matters(self, config: Config) -> int:
        return self.clauses[0].cells


@dataclasses.dataclass(frozen=True)
class Fork(Task):
    """`rules.ChooseFork`.

    Attributes:
      wrong: the cell that counts as failure. It and the right one end the episode whenever the agent stands there.
    """

    takes = False
    wrong: int = 0

    def mapped(self, action: int) -> int:
        return TOGGLE if action == PICK_UP else action

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        if self.clauses[0].cells >> cell & 1:
            return Outcome.SUCCESS, after
        return Outcome.FAILURE if self.wrong >> cell & 1 else Outcome.GOES_ON, after


@dataclasses.dataclass(frozen=True)
class OpenTwo(Task):
    """`rules.OpenInOrder`."""

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        first, second = self.clauses[0].needs, self.clauses[0].doors
        if after.opened & second:
            return Outcome.SUCCESS if before.opened & first else Outcome.FAILURE, after
        return Outcome.FAILURE if after.opened & first and before.opened & second else Outcome.GOES_ON, after


def _things_like(world: World, goal: Any) -> int:
    look = (int(goal.kind), int(goal.color))
    return sum(1 << i for i, thing in enumerate(world.things) if (thing.kind, thing.color) == look)


def _door_set(world: World, x: Any, y: Any) -> int:
    door = world.door_at.get(world.board.cell(int(x), int(y)))
    if door is None:
        raise PlanningError(f"level.goal: got ({x}, {y}); expected the cell of a door")
    return 1 << door


def _reach(world: World, goal: Any) -> Task:
    return Reach(world, (Clause(Aim.STAND, world.goals),), success=world.goals, failure=world.lava)


def _take_one(world: World, goal: Any) -> Task:
    target = sum(1 << i for i, thing in enumerate(world.things) if thing.number == int(goal.number))
    return TakeOne(world, (Clause(Aim.TAKE, things=target),), success=world.goals, failure=world.lava)


def _open_one(world: World, goal: Any) -> Task:
    door = _door_set(world, goal.x, goal.y)
    return OpenOne(world, (Clause(Aim.OPEN, doors=door),), success=world.goals, failure=world.lava)


def _take_like(world: World, goal: Any) -> Task:
    clause = Clause(Aim.TAKE, things=_things_like(world, goal))
    return TakeLike(world, (clause,), success=world.goals, failure=world.lava)


def _say_nearby(world: World, goal: Any) -> Task:
    about = world.board.cell(int(goal.x), int(goal.y))
    clause = Clause(Aim.SAY, world.board.beside(1 << about), about=about)
    return SayNearby(world, (clause,), success=world.goals, failure=world.lava)


def _put_nearby(world: World, goal: Any) -> Task:
    around = [(int(goal.x) + dx, int(goal.y) + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    near = sum(1 << world.board.cell(x, y) for x, y in around)
    about = world.board.cell(int(goal.x), int(goal.y))
    allowed, carried = _things_like(world, goal), world.start.carried
    things = allowed | (1 << carried if carried != NOTHING else 0)
    clause = Clause(Aim.PUT, near, things=things, about=about)
    return PutNearby(world, (clause,), success=world.goals, failure=world.lava, allowed=allowed)


def _fork(world: World, goal: Any) -> Task:
    right = 1 << world.board.cell(int(goal.success_x), int(goal.success_y))
    wrong = 1 << world.board.cell(int(goal.failure_x), int(goal.failure_y))
    beside = [t.origin for t in world.things if t.origin != NOTHING and world.board.beside(right) >> t.origin & 1]
    clause = Clause(Aim.STAND, right, about=beside[0] if beside else NOTHING)
    success, failure = right | world.goals & ~wrong, (wrong | world.lava) & ~right
    return Fork(world, (clause,), success=success, failure=failure, wrong=wrong)


def _open_two(world: World, goal: Any) -> Task:
    first = _door_set(world, goal.first_x, goal.first_y)
    second = _door_set(world, goal.second_x, goal.second_y)
    clause = Clause(Aim.OPEN, doors=second, needs=first)
    return OpenTwo(world, (clause,), success=world.goals, failure=world.lava)


_TASKS: dict[type, Callable[[World, Any], Task]] = {
    rules.ReachGoal: _reach,
    rules.PickUpObject: _take_one,
    rules.OpenDoor: _open_one,
    rules.FetchLook: _take_like,
    rules.DoneNearby: _say_nearby,
    rules.PutNear: _put_nearby,
    rules.ChooseFork: _fork,
    rules.OpenInOrder: _open_two,
    FollowInstruction: instructed_task,
}
