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


@runtime_checkable
class DataAgent(Agent[AgentState], Protocol[AgentState]):
    """An agent that learns from data which it does not change.

    The data is an argument of `train_step`, so that it is neither part of the state, and thus of every checkpoint, nor
    a constant that is compiled into the program.

    Attributes:
      data: a tree of arrays, or None for an agent that only acts; not part of what makes two agents equal.
      steps_per_iteration: environment steps in one `train_step`; updates, where `step_unit` is "updates".
    """

    @property
    def data(self) -> Any: ...

    @property
    def steps_per_iteration(self) -> int: ...

    def train_step(self, state: AgentState, data: Any) -> tuple[AgentState, dict[str, jax.Array]]:
        """One iteration; metrics as of `OnlineAgent`."""
