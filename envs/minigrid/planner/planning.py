"""Plans for levels: proven shortest where that takes little work, else clause by clause."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from .. import rules
from ..level import Level
from .board import bits
from .bound import Bound, TooLargeError
from .errands import StuckError, run_errands
from .goals import PlanningError, Task
from .needs import Coarseness
from .search import Branch, BudgetError, Search
from .subgoals import Subgoal, subgoals_of
from .tasks import task_of


class UnsolvableError(PlanningError):
    """A level that provably no plan solves within its limit of steps."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to solve a level.

    Attributes:
      actions: what to do, one action per step; the last one ends the episode with success.
      subgoals: what is achieved on the way, in the order of `subgoals.py`; the last one is the task itself.
      max_steps: the level's limit.
      optimal: whether no plan is shorter, proven.
    """

    actions: tuple[int, ...]
    subgoals: tuple[Subgoal, ...]
    max_steps: int
    optimal: bool

    @property
    def length(self) -> int:
        """How many actions it takes."""
        return len(self.actions)

    @property
    def optimal_return(self) -> float:
        """What the plan earns; the level's optimal return if `optimal`, else less than or equal to it."""
        return 1.0 - 0.9 * self.length / self.max_steps


def plan(level: Level, rule: rules.Rule) -> Plan:
    """A plan for a level of NumPy arrays, or of JAX arrays on the host.

    Raises:
      UnsolvableError: there is none within the level's limit of steps.
      BudgetError: none was found, and none ruled out, with the work that is allowed.
      UnsupportedRuleError: a rule that moves things at random, or that is not known here.
      PlanningError: these are many levels, or the rule wants a door opened and the goal's cell has none.
    """
    _check_one(level)
    task = task_of(level, rule)
    start = Branch((), task.world.pose, task.start)
    branch, optimal = _solve(task, start, task.world.max_steps)
    if branch is None and not optimal:
        raise BudgetError("level: no plan found, and none ruled out, with the work that is allowed")
    if branch is None:
        raise UnsolvableError(
            f"level: no plan within max_steps={task.world.max_steps} under {type(rule).__name__}; expected a level "
            "that can be solved"
        )
    subgoals = subgoals_of(task, branch.actions, np.asarray(level.grid))
    return Plan(branch.actions, subgoals, task.world.max_steps, optimal)


def solvable(level: Level, rule: rules.Rule) -> bool:
    """Whether a plan solves the level within its limit of steps.

    Raises:
      BudgetError, UnsupportedRuleError, PlanningError: as `plan`.
    """
    try:
        plan(level, rule)
    except UnsolvableError:
        return False
    return True


def _check_one(level: Level) -> None:
    shape = np.shape(level.grid)
    if len(shape) != 2:
        raise PlanningError(
            f"level.grid: got shape {shape}; expected (H, W)", hint="Plan one level of several at a time."
        )


@dataclasses.dataclass(frozen=True)
class _Effort:
    """How hard to try for a proof: what the bound accounts for, its nodes, the frontiers searched."""

    coarseness: Coarseness
    limit: int
    budget: int


# Bounds that account for less are made sooner and prune less; each of them proves.
_EFFORTS = (
    _Effort(Coarseness(blockers=0), 1500, 3000),
    _Effort(Coarseness(blockers=1), 4000, 6000),
    _Effort(Coarseness(blockers=0), 6000, 60_000),
)


def _solve(task: Task, start: Branch, most: int) -> tuple[Branch | None, bool]:
    """(a plan or None, whether it is proven that none is shorter, or that there is none)."""
    try:
        return _search(task, start, frozenset({0}), most, 0), True
    except BudgetError:
        pass
    found = _in_stages(task, start, most) if len(task.clauses) > 1 else _by_errands(task, start, 0, most)
    return min(found, key=lambda branch: len(branch.actions), default=None), False


def _search(task: Task, start: Branch, done: frozenset[int], most: int, spared: int) -> Branch | None:
    """The shortest plan, by the first effort that suffices; None if there is none.

    Args:
      done: the sets of pending clauses that are to be reached.
      most: actions of the plan.
      spared: things that may not be broken.

    Raises:
      BudgetError: no effort suffices.
    """
    least = 0
    for effort in _EFFORTS:
        search = Search(task, Bound(task, done, effort.coarseness, effort.limit), effort.budget, spared)
        try:
            return search.shortest(start, most, least)
        except (BudgetError, TooLargeError):
            least = search.allowed
    raise BudgetError(f"planner: {len(task.clauses)} clauses, too much work")


def _in_stages(task: Task, start: Branch, most: int) -> Iterator[Branch]:
    """Plans that meet one clause after the other, each as soon as possible, in every order allowed."""
    pending = start.config.pending
    for i in bits(pending & task.first or pending):
        for branch in _stage(task, start, i, most):
            if branch.config.pending:
                yield from _in_stages(task, branch, most)
            else:
                yield branch


def _stage(task: Task, start: Branch, clause: int, most: int) -> Iterator[Branch]:
    """A plan that meets one clause, if one was found."""
    others = start.config.pending & ~(1 << clause)
    spared = 0
    for j in bits(others):
        spared |= task.clauses[j].things | task.clauses[j].fixed
    done = frozenset(left for left in _subsets(others) if task.order_allows(left))
    try:
        branch = _search(task, start, done, most - len(start.actions), spared)
    except BudgetError:
        yield from _by_errands(task, start, clause, most)
    else:
        yield from () if branch is None else (branch,)


def _by_errands(task: Task, start: Branch, clause: int, most: int) -> Iterator[Branch]:
    try:
        yield run_errands(task, start, clause, most)
    except StuckError:
        return


def _subsets(members: int) -> list[int]:
    subsets = [0]
    for i in bits(members):
        subsets += [subset | 1 << i for subset in subsets]
    return subsets
