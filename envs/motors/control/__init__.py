"""Classical controllers of the drives, as pure functions: baselines, teachers of a policy, makers of data."""

from .controller import Controller, State, make_controller
from .rollout import Rollout, Score, mean_error, rollout, score

__all__ = ["Controller", "Rollout", "Score", "State", "make_controller", "mean_error", "rollout", "score"]
