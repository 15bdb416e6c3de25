"""Learning from a data set alone: the environment is there to be evaluated in, never to learn from.

Letters: N transitions of one update.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ...envs.tasks import TaskSource
from .acting import Acting
from .config import Rewards, require_at_least
from .contract import Learned, Metrics
from .replay import draw_rows
from .sac import SAC
from .transitions import Transitions


@dataclasses.dataclass(frozen=True)
class Config:
    """What is learned how.

    Attributes:
      learner: who learns, with its own settings.
      rewards: as what rewards are learned from.
      updates_per_iteration: gradient phases in one `train_step`.
    """

    learner: Any = dataclasses.field(default_factory=SAC)
    rewards: Rewards = dataclasses.field(default_factory=Rewards)
    updates_per_iteration: int = 100

    uses_data = True

    def __post_init__(self) -> None:
        require_at_least(self, 1, "updates_per_iteration")
        self.rewards.check(self.learner)


class State(struct.PyTreeNode):
    """A learner and how far it has come."""

    learned: Learned
    key: jax.Array
    updates: jax.Array  # () int32


@dataclasses.dataclass(frozen=True)
class Offline(Acting):
    """A learner on a data set.

    Attributes:
      env: where it is evaluated; only its spaces matter for learning.
      teacher: not asked: nothing is collected.
      config: the learner and loop counts.
      data: Transitions (N, ...), rewards as learned from, which a runner hands to `train_step`; None for an agent that
        only acts. No part of what makes two agents the same.
    """

    env: Any
    teacher: TaskSource | None = None
    config: Config = dataclasses.field(default_factory=Config)
    data: Transitions | None = dataclasses.field(default=None, compare=False, repr=False)

    step_unit = "updates"

    def __post_init__(self) -> None:
        self.check_data()

    @property
    def steps_per_iteration(self) -> int:
        """Gradient phases in one `train_step`; nothing else happens that could be counted."""
        return self.config.updates_per_iteration

    def init(self, key: jax.Array) -> State:
        """A fresh learner; `key` is consumed."""
        key_learner, key_rest = jax.random.split(key)
        learned = self.interface.init(key_learner, self.learner)
        return State(learned=learned, key=key_rest, updates=jnp.zeros((), jnp.int32))

    def update(self, key: jax.Array, state: State, batch: Transitions) -> tuple[State, Metrics]:
        """One gradient phase on given transitions; `key` is consumed."""
        learned, metrics = self.learner.update(key, state.learned, batch)
        return state.replace(learned=learned, updates=state.updates + 1), metrics

    def train_step(self, state: State, data: Transitions) -> tuple[State, Metrics]:
        """`updates_per_iteration` gradient phases on transitions drawn evenly from `data`."""
        key_steps, key_rest = jax.random.split(state.key)

        def one(state: State, key: jax.Array) -> tuple[State, Metrics]:
            key_draw, key_update = jax.random.split(key)
            return self.update(key_update, state, draw_rows(key_draw, data, self.learner.rows))

        keys = jax.random.split(key_steps, self.config.updates_per_iteration)
        state, metrics = jax.lax.scan(one, state.replace(key=key_rest), keys)
        return state, jax.tree.map(lambda x: jnp.mean(x, 0), metrics)
