"""Implicit Q-learning (Kostrikov et al. 2022): values without ever asking about actions that are not in the data.

Differs: orthogonal kernels as in the other off-policy learners; value, critics and policy take their steps from the
parameters before any of them, where the paper's code takes the value's first.

Letters: E critics, M of them drawn, U passes of an update, B transitions of each, A action.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ...envs.errors import OptionError
from ..distributions import Normal
from ..optimizer import Scalar, plain_adam_step
from .config import Nets, require_at_least
from .contract import Learned, Metrics
from .losses import advantage_weight, expectile_loss, td_error, td_target
from .networks import apply, num_actions
from .steps import Batches, draw_members, follow, fresh
from .transitions import Transitions


class Hyper(struct.PyTreeNode):
    """Numbers that may differ between members of a batch of learners."""

    rate: Scalar = 3e-4
    discount: Scalar = 0.99
    target_rate: Scalar = 0.005  # how far target critics move towards the critics at each step
    expectile: Scalar = 0.7  # of what the values approach
    sharpness: Scalar = 3.0  # of the advantages' weights [1 / return]


@dataclasses.dataclass(frozen=True)
class IQL(Batches):
    """Implicit Q-learning.

    Attributes:
      nets: the networks; the policy is a Gaussian around the squashed output, not itself squashed.
      num_critics: E, how many critics.
      target_members: critics, drawn anew, whose least value is what values and advantages are measured by.
      dropout: share of the policy's features that training leaves out.
      utd: U, passes on transitions of their own in one update.
      batch_size: B, transitions of one pass.
      hyper: initial numbers, copied into the state.
    """

    nets: Nets = dataclasses.field(default_factory=lambda: Nets(last_scale=0.01, std="uniform"))
    num_critics: int = 2
    target_members: int = 2
    dropout: float = 0.0
    utd: int = 1
    batch_size: int = 256
    hyper: Hyper = dataclasses.field(default_factory=Hyper, hash=False)

    def __post_init__(self) -> None:
        require_at_least(self, 1, "num_critics", "target_members", "utd", "batch_size")
        if self.target_members > self.num_critics:
            expected = f"1 to num_critics={self.num_critics}"
            raise OptionError(f"target_members={self.target_members}; expected {expected}", key="target_members")
        if not 0.0 <= self.dropout < 1.0:
            raise OptionError(f"dropout={self.dropout}; expected a share in [0, 1)", key="dropout")

    def init(self, key: jax.Array, obs_size: int, action_size: int) -> Learned:
        """A fresh learner; `key` is consumed."""
        key_actor, key_critic, key_value = jax.random.split(key, 3)
        obs, action = jnp.zeros((1, obs_size)), jnp.zeros((1, action_size))
        params = {
            "actor": self.nets.policy(action_size, self.dropout).init(key_actor, obs),
            "critic": self.nets.critics(self.num_critics).init(key_critic, obs, action),
            "value": self.nets.value().init(key_value, obs),
        }
        return fresh(params, self.hyper)

    def policy(self, learned: Learned, obs: jax.Array) -> Normal:
        """The policy at observations (..., O)."""
        return self._policy(learned.params["actor"], obs)

    def values(self, learned: Learned, obs: jax.Array, action: jax.Array) -> jax.Array:
        """Every critic's values (E, B) of actions (B, A) at observations (B, O)."""
        values: jax.Array = apply(self.nets.critics(self.num_critics), learned.params["critic"], obs, action)
        return values

    def update(self, key: jax.Array, learned: Learned, batch: Transitions) -> tuple[Learned, Metrics]:
        """U passes on B transitions each; `key` is consumed."""
        keys = jax.random.split(key, self.utd)
        learned, metrics = jax.lax.scan(lambda s, x: self._pass(x[0], s, x[1]), learned, (keys, self.parts(batch)))
        return learned, jax.tree.map(lambda x: jnp.mean(x, 0), metrics)

    def _pass(self, key: jax.Array, learned: Learned, batch: Transitions) -> tuple[Learned, Metrics]:
        """One step of value, critics and policy, all from the parameters before it."""
        key_members, key_dropout = jax.random.split(key)
        params, hyper = learned.params, learned.hyper
        reached = self._reached(key_members, learned, batch)

        def value_loss(own: Any) -> jax.Array:
            return expectile_loss(reached - apply(self.nets.value(), own, batch.obs), hyper.expectile)

        def critic_loss(own: Any) -> jax.Array:
            target = td_target(
                batch.reward, batch.mask, apply(self.nets.value(), params["value"], batch.next_obs), hyper.discount
            )
            return td_error(apply(self.nets.critics(self.num_critics), own, batch.obs, batch.action), target)

        advantage = reached - apply(self.nets.value(), params["value"], batch.obs)
        weight = advantage_weight(advantage, hyper.sharpness)

        def policy_loss(own: Any) -> jax.Array:
            return -jnp.mean(weight * self._policy(own, batch.obs, key_dropout).log_prob(batch.action))

        losses = {"value": value_loss, "critic": critic_loss, "actor": policy_loss}
        after, states, metrics = dict(params), dict(learned.opt_state), {"train/advantage": jnp.mean(advantage)}
        for name, loss in losses.items():
            metrics[f"train/{name}_loss"], gradient = jax.value_and_grad(loss)(params[name])
            after[name], states[name] = plain_adam_step(params[name], gradient, states[name], hyper.rate)
        return follow(learned.replace(params=after, opt_state=states), hyper.target_rate), metrics

    def _reached(self, key: jax.Array, learned: Learned, batch: Transitions) -> jax.Array:
        """Values (B,) of the data's actions by the least of M target critics; `key` is consumed."""
        members = draw_members(key, self.target_members, self.num_critics)
        params = jax.tree.map(lambda x: x[members], learned.target_params["critic"])
        values: jax.Array = apply(self.nets.critics(self.target_members), params, batch.obs, batch.action)
        return jnp.min(values, 0)

    def _policy(self, params: Any, obs: jax.Array, key: jax.Array | None = None) -> Normal:
        """With a key, which is consumed, as in training."""
        actor, rngs = self.nets.policy(num_actions(params), self.dropout), None if key is None else {"dropout": key}
        raw = apply(actor, params, obs, training=key is not None, rngs=rngs)
        return Normal(mean=jnp.tanh(raw.mean), log_std=raw.log_std)
