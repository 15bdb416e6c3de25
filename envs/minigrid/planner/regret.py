"""How much of what a level offers an agent missed."""

import numpy as np

from .. import rules
from ..level import Level
from .planning import UnsolvableError, plan


def optimal_return(level: Level, rule: rules.Rule) -> float:
    """What the level's plan earns; 0 on a level that cannot be solved, where nothing can be missed.

    The best return there is where `plan(level, rule).optimal`; else the search for a proof gave up, and the best return
    may be greater.

    Raises:
      BudgetError, UnsupportedRuleError, PlanningError: as `plan`.
    """
    try:
        return plan(level, rule).optimal_return
    except UnsolvableError:
        return 0.0


def regret(level: Level, rule: rules.Rule, returns: np.ndarray | float) -> np.ndarray:
    """`optimal_return` minus achieved return.

    Args:
      level: one level of NumPy arrays.
      returns: any shape, undiscounted returns of episodes on it.

    Returns:
      float64, the shape of `returns`. Negative only where the plan is not proven shortest and the agent found a
      shorter one, or where returns hold rewards that are not the task's.

    Raises:
      BudgetError, UnsupportedRuleError, PlanningError: as `plan`.
    """
    return optimal_return(level, rule) - np.asarray(returns, np.float64)
