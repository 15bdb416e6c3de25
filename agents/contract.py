"""The agent contract: pure functions over one state.

An agent is a frozen, hashable object that holds what is static (environment, teacher, `Config`); everything that
changes is in its state. Numbers that may differ between members of a batch of learners sit in a `Hyper` struct that
`init` copies into the state, so a sweep or a population is one more `vmap` without recompiling.

Letters: B environments, T time.
"""

from typing import Any, Protocol, TypeVar, runtime_checkable

import jax

AgentState = TypeVar("AgentState")


@runtime_checkable
class Agent(Protocol[AgentState]):
    """What every agent implements."""

    def init(self, key: jax.Array) -> AgentState:
        """A fresh learner; every random draw comes from `key`, which is consumed."""

    def act(self, key: jax.Array, state: AgentState, obs: Any, deterministic: bool = False) -> Any:
        """Actions for observations with any leading axes; what evaluation and deployment call. Changes nothing."""

    def update(self, key: jax.Array, state: AgentState, batch: Any) -> tuple[AgentState, dict[str, jax.Array]]:
        """One gradient phase on given data: losses, gradients, optimiser, targets."""


@runtime_checkable
class OnlineAgent(Agent[AgentState], Protocol[AgentState]):
    """An agent that collects its own data; one `train_step` is one XLA program without host callbacks.

    Attributes:
      steps_per_iteration: environment steps in one `train_step`.
    """

    @property
    def steps_per_iteration(self) -> int: ...

    def train_step(self, state: AgentState) -> tuple[AgentState, dict[str, jax.Array]]:
        """One iteration: collect, then update. Metrics are arrays of fixed shape; counts and sums are named
        so that a host may add them up (`rollout/episodes`, `rollout/return_sum`, ...)."""
