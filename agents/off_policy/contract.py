"""What the off-policy learners have in common: a state with a policy in it, and updates from transitions.

A learner is a frozen, hashable object of settings. It knows nothing of environments: observations are flat, actions in
units of half the action box.

Letters: N transitions of one update, O flat observation, A action.
"""

from typing import Any, Protocol

import jax
from flax import struct

from ..distributions import Normal, TanhNormal
from .transitions import Transitions

Metrics = dict[str, jax.Array]


class Learned(struct.PyTreeNode):
    """What a learner has learned. Each network has its own entry in `params` and in `opt_state`, under its name."""

    params: dict[str, Any]
    target_params: dict[str, Any]
    opt_state: dict[str, Any]
    hyper: Any


class Learner(Protocol):
    """What every off-policy learner implements."""

    @property
    def utd(self) -> int:
        """Steps in one `update`, each on transitions of its own."""

    @property
    def batch_size(self) -> int:
        """Transitions of one such step."""

    @property
    def rows(self) -> int:
        """N, transitions in one `update`: utd * batch_size."""

    @property
    def needs_returns(self) -> bool:
        """Whether transitions must say what their episodes returned."""

    def init(self, key: jax.Array, obs_size: int, action_size: int) -> Learned:
        """A fresh learner; every random draw comes from `key`, which is consumed."""

    def policy(self, learned: Learned, obs: jax.Array) -> TanhNormal | Normal:
        """The distribution over actions (..., A) at observations (..., O)."""

    def update(self, key: jax.Array, learned: Learned, batch: Transitions) -> tuple[Learned, Metrics]:
        """One gradient phase on N transitions; `key` is consumed."""
