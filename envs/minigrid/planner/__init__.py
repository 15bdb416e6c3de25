"""The exact teacher: shortest plans, optimal returns and subgoals of levels, found on the host.

    found = plan(level, rule)
    found.actions, found.length, found.optimal, found.optimal_return, found.subgoals

How: `world.py` and the tasks are the mechanics and the rules in plain Python, `bound.py` bounds from below how many
actions success takes, `search.py` finds a shortest plan within bounds, `errands.py` finds some plan where that is too
much work, `planning.py` decides. `fields.py` has distances on the device.
"""

from .fields import distance_field
from .goals import PlanningError, UnsupportedRuleError
from .planning import Plan, UnsolvableError, plan, solvable
from .regret import optimal_return, regret
from .search import BudgetError
from .subgoals import Subgoal

__all__ = [
    "BudgetError",
    "Plan",
    "PlanningError",
    "Subgoal",
    "UnsolvableError",
    "UnsupportedRuleError",
    "distance_field",
    "optimal_return",
    "plan",
    "regret",
    "solvable",
]
