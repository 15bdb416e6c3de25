"""What a task asks for: clauses for the bound, outcomes for the search.

A task says two things. `judge` is its rule, exact, for single steps. `clauses` say what success takes, for the bound
of `bound.py`, which may ask for too little but never for too much.
"""

import dataclasses
import enum
from typing import ClassVar

from ...errors import PalaestraError
from ..core import FORWARD
from .world import NOTHING, Config, Pose, World


class PlanningError(PalaestraError, ValueError):
    """A level for which there is no plan."""

    code = 2


class UnsupportedRuleError(PlanningError):
    """A rule that no fixed sequence of actions can satisfy, or that the planner does not know."""


class Outcome(enum.Enum):
    """What a step does to the episode."""

    GOES_ON = enum.auto()
    SUCCESS = enum.auto()
    FAILURE = enum.auto()


class Aim(enum.Enum):
    """What meets a clause: where the agent stands or looks, or what it does to the cell in front."""

    STAND = enum.auto()
    FACE = enum.auto()
    TAKE = enum.auto()
    OPEN = enum.auto()
    PUT = enum.auto()
    SAY = enum.auto()  # the action done


@dataclasses.dataclass(frozen=True)
class Clause:
    """One thing to do.

    Attributes:
      cells: where to stand (STAND, SAY), look (FACE) or put down (PUT), as the level is at reset.
      things: which to look at (FACE), take (TAKE) or put down (PUT).
      doors: which to open (OPEN).
      fixed: things that PUT puts another next to; where they go, its cells go.
      needs: doors that must stand open before.
      about: the cell of what the clause speaks of, where that is none of the above.
    """

    aim: Aim
    cells: int = 0
    things: int = 0
    doors: int = 0
    fixed: int = 0
    needs: int = 0
    about: int = NOTHING


@dataclasses.dataclass(frozen=True)
class Task:
    """A rule of which no step but one into a cell ends the episode; base of those that judge steps.

    Attributes:
      takes: whether things can be picked up.
      clauses: what is to be done; `Config.pending` is a set of them.
      first: those to be met before all others.
      success, failure: disjoint sets of cells that end the episode when the agent enters them.
    """

    takes: ClassVar[bool] = True

    world: World
    clauses: tuple[Clause, ...] = ()
    first: int = 0
    success: int = 0
    failure: int = 0

    @property
    def start(self) -> Config:
        """The world at reset, with everything still to do."""
        return self.world.start._replace(pending=(1 << len(self.clauses)) - 1, fresh=False)

    def mapped(self, action: int) -> int:
        """The action that the mechanics get."""
        return action

    def judge(self, before: Config, after: Config, action: int, cell: int, front: int) -> tuple[Outcome, Config]:
        """How a step ends, and the world with what the task remembers of it.

        Args:
          before, after: the world around the step as the mechanics make it.
          cell, front: where the agent stands and what it looks at after the step.
        """
        return Outcome.GOES_ON, after

    def lookouts(self, config: Config) -> tuple[int, ...]:
        """Cells at which a mere look meets a clause."""
        return ()

    def drop_matters(self, config: Config) -> int:
        """Cells at which putting down what is carried may meet a clause."""
        return 0

    def order_allows(self, pending: int) -> bool:
        """Whether `pending` may be what is left: nothing of the first side, or all of the second."""
        everything = (1 << len(self.clauses)) - 1
        second = everything & ~self.first
        return not pending & self.first or pending & second == second

    def step(self, pose: Pose, config: Config, action: int) -> tuple[Outcome, Pose, Config]:
        """One step of the environment."""
        action = self.mapped(action)
        after_pose = self.world.move(pose, config, action)
        front = self.world.front(after_pose)
        moved = config if after_pose != pose else self.world.handle(config, action, front)
        outcome, after = self.judge(config, moved, action, after_pose.cell, front)
        entered = after_pose.cell if action == FORWARD and after_pose.cell != pose.cell else 0
        if outcome is Outcome.GOES_ON and entered and (self.success | self.failure) >> entered & 1:
            outcome = Outcome.SUCCESS if self.success >> entered & 1 else Outcome.FAILURE
        if outcome is Outcome.SUCCESS:
            after = after._replace(pending=0)  # a goal square ends the episode whatever else was asked for
        return outcome, after_pose, after
