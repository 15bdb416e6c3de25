"""The bonus contract: from a rollout to intrinsic rewards, with networks and memories of its own.

A bonus is a frozen, hashable object of settings; everything that changes is in its state. PPO asks it twice after every
rollout: `reward` with the networks as they are, then, once the policy has learned, `learn`.

Letters: T rollout length, B lanes on this device.
"""

from typing import Any, Protocol

import jax
from flax import struct

from ...envs.contract import TaskEnv
from ..rollout import Rollout


class BonusState(struct.PyTreeNode):
    """What a bonus remembers.

    Attributes:
      coefficient: () float32, what PPO multiplies the intrinsic rewards by.
      learning_rate: () float32, of the bonus's own networks, where it has some.
      shared: whatever is the same on every device: networks, counts, statistics.
      lanes: what belongs to lanes, leading axis B in every leaf.
    """

    coefficient: jax.Array
    learning_rate: jax.Array
    shared: Any
    lanes: Any


class Bonus(Protocol):
    """Intrinsic rewards.

    Attributes:
      coefficient: initial factor of the intrinsic rewards.
      separate_value: whether intrinsic rewards are a stream of their own that episodes do not cut, with its own value
        function and `discount`; otherwise they are added to the environment's rewards.
      discount: of that stream.
    """

    @property
    def coefficient(self) -> float: ...

    @property
    def separate_value(self) -> bool: ...

    @property
    def discount(self) -> float: ...

    def init(self, key: jax.Array, env: TaskEnv, num_lanes: int) -> BonusState:
        """Fresh networks and empty memories for B lanes. `key` is consumed.

        Raises:
          OptionError: the environment's observations or actions are not what this bonus can use.
        """

    def reward(
        self, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, jax.Array]:
        """Intrinsic rewards (T, B) of a rollout's steps, and the state that remembers them."""

    def learn(
        self, key: jax.Array, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, dict[str, jax.Array]]:
        """Trains the bonus's own networks on a rollout: (state, metrics). `key` is consumed."""
