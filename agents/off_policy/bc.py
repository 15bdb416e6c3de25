"""Behaviour cloning: the most likely policy under the data's actions.

Letters: U passes of an update, B transitions of each, A action.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ..distributions import TanhNormal
from ..optimizer import Scalar, plain_adam_step
from .config import Nets, require_at_least
from .contract import Learned, Metrics
from .networks import apply, num_actions
from .steps import Batches, fresh
from .transitions import Transitions


class Hyper(struct.PyTreeNode):
    """Numbers that may differ between members of a batch of learners."""

    rate: Scalar = 3e-4


@dataclasses.dataclass(frozen=True)
class BC(Batches):
    """Behaviour cloning with a squashed Gaussian.

    Attributes:
      nets: of which only the actor is made.
      utd: U, passes on transitions of their own in one update.
      batch_size: B, transitions of one pass.
      hyper: initial numbers, copied into the state.
    """

    nets: Nets = dataclasses.field(default_factory=lambda: Nets(last_scale=0.01, std="uniform"))
    utd: int = 1
    batch_size: int = 256
    hyper: Hyper = dataclasses.field(default_factory=Hyper, hash=False)

    def __post_init__(self) -> None:
        require_at_least(self, 1, "utd", "batch_size")

    def init(self, key: jax.Array, obs_size: int, action_size: int) -> Learned:
        """A fresh learner; `key` is consumed."""
        actor = self.nets.policy(action_size).init(key, jnp.zeros((1, obs_size)))
        return fresh({"actor": actor}, self.hyper)

    def policy(self, learned: Learned, obs: jax.Array) -> TanhNormal:
        """The policy at observations (..., O)."""
        return self._policy(learned.params["actor"], obs)

    def update(self, key: jax.Array, learned: Learned, batch: Transitions) -> tuple[Learned, Metrics]:
        """U passes on B transitions each; nothing is drawn."""
        del key
        learned, losses = jax.lax.scan(self._pass, learned, self.parts(batch))
        return learned, {"train/actor_loss": jnp.mean(losses)}

    def _pass(self, learned: Learned, batch: Transitions) -> tuple[Learned, jax.Array]:
        def loss_of(params: Any) -> jax.Array:
            return -jnp.mean(self._policy(params, batch.obs).log_prob(batch.action))

        params, state = learned.params["actor"], learned.opt_state["actor"]
        loss, gradient = jax.value_and_grad(loss_of)(params)
        params, state = plain_adam_step(params, gradient, state, learned.hyper.rate)
        return learned.replace(params={"actor": params}, opt_state={"actor": state}), loss

    def _policy(self, params: Any, obs: jax.Array) -> TanhNormal:
        return TanhNormal(apply(self.nets.policy(num_actions(params)), params, obs))
