"""The teacher of goals: a policy over cells that learns to set what is hard for the agent, but not too hard.

Source: the published code that `agent.py` names. Its command line (README) gives the penalty 0.3, the entropy cost 0.05
and the bar of -0.5 that a mean reward must reach for the threshold to rise; since no mean is below -0.3, every rollout
with goals counts, and the threshold rises every ten of them. Its defaults are the learning rate 0.002, ten counts in a
row, thresholds from 7 to 100 and the bound 40 on gradients. The capacity is ours.

Letters: N goals, W columns and H rows of the grid.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from ..distributions import Categorical
from ..networks import Convolution, orthogonal
from ..optimizer import adam_step, init_adam

KINDS, COLORS, STATES = 11, 6, 4  # of MiniGrid's codes
ADAM_EPSILON = 1e-8
MAX_GRAD_NORM = 40.0
VALUE_COST = 0.25  # half of the mean squared error, weighted by 0.5


class GoalNetwork(nn.Module):
    """Embeds every cell's kind, colour and state, and gives each cell a logit."""

    @nn.compact
    def __call__(self, whole: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Grids (N, W, H, 3) to (logits (N, W * H), values (N,))."""
        codes = whole.astype(jnp.int32)
        sizes = ((KINDS, 5), (COLORS, 3), (STATES, 2))
        embedded = [nn.Embed(count, width)(codes[..., i]) for i, (count, width) in enumerate(sizes)]
        x = jnp.concatenate(embedded, -1)
        for features in (16, 16, 16, 1):
            x = nn.elu(Convolution(features, stride=1)(x))
        logits = x.reshape(x.shape[0], -1)
        return logits, nn.Dense(1, kernel_init=orthogonal(1.0))(logits)[..., 0]


class GoalsState(struct.PyTreeNode):
    """The teacher of goals as it stands."""

    params: Any
    opt_state: optax.OptState
    threshold: jax.Array  # () float32, steps that a goal should take at least, t*
    streak: jax.Array  # () int32, rollouts in a row with goals that were good enough; those without goals do not count


class Pursued(struct.PyTreeNode):
    """Goals whose pursuit has ended, (N, ...); rows with `valid` False mean nothing."""

    start: jax.Array  # (N, W, H, 3) uint8, the grid when it was set
    goal: jax.Array  # (N,) int32
    steps: jax.Array  # (N,) int32
    reached: jax.Array  # (N,) bool
    paid: jax.Array  # (N,) bool, whether the environment paid at the end
    valid: jax.Array  # (N,) bool


@dataclasses.dataclass(frozen=True)
class Goals:
    """Settings of the teacher of goals.

    Attributes:
      learning_rate: of Adam.
      entropy_cost: keeps goals varied.
      reward, penalty: for a goal that took at least the threshold's steps; for any other.
      first_threshold, last_threshold: where the threshold begins and stops to rise [steps].
      good_enough: mean reward of a rollout's goals that counts for the threshold to rise.
      patience: rollouts in a row that must count; one in which no pursuit ended is passed over.
      capacity: goals of a rollout that are learned from, at most, over all devices.
    """

    learning_rate: float = 0.002
    entropy_cost: float = 0.05
    reward: float = 0.7
    penalty: float = 0.3
    first_threshold: float = 7.0
    last_threshold: float = 100.0
    good_enough: float = -0.5
    patience: int = 10
    capacity: int = 256

    def __post_init__(self) -> None:
        for name in ("patience", "capacity"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; expected at least 1")

    def init(self, key: jax.Array, width: int, height: int) -> GoalsState:
        """A fresh teacher for grids (W, H). `key` is consumed."""
        params = GoalNetwork().init(key, jnp.zeros((1, width, height, 3), jnp.uint8))
        return GoalsState(
            params=params,
            opt_state=init_adam(params, ADAM_EPSILON),
            threshold=jnp.asarray(self.first_threshold, jnp.float32),
            streak=jnp.zeros((), jnp.int32),
        )

    def propose(self, state: GoalsState, whole: jax.Array) -> Categorical:
        """Which cell to pursue, for grids (N, W, H, 3)."""
        logits, _ = _apply(state.params, whole)
        return Categorical(logits=logits)

    def learn(
        self, state: GoalsState, pursued: Pursued, axis_name: str | None
    ) -> tuple[GoalsState, dict[str, jax.Array]]:
        """One policy-gradient step on goals whose pursuit has ended, then the threshold's turn.

        Where no pursuit ended on any device the teacher stays as it is: there is nothing to learn or to judge, and
        Adam would move by its momentum.
        """
        total = count_valid(pursued.valid, axis_name)
        rewards, weight = self.rewards(pursued, state.threshold), weights(pursued.valid, total)
        gradients, metrics = jax.grad(self._loss, has_aux=True)(state.params, pursued, rewards, weight)
        metrics["goals/score"] = jnp.sum(weight * self.challenge(pursued, state.threshold))
        if axis_name is not None:
            gradients, metrics = jax.lax.psum((gradients, metrics), axis_name)
        params, opt_state, _ = adam_step(
            state.params, gradients, state.opt_state, self.learning_rate, MAX_GRAD_NORM, ADAM_EPSILON
        )
        threshold, streak = self.next_threshold(state.threshold, state.streak, metrics["goals/score"])
        after = GoalsState(params=params, opt_state=opt_state, threshold=threshold, streak=streak)
        after = jax.tree.map(lambda old, new: jnp.where(total > 0.0, new, old), state, after)
        return after, metrics | {"goals/threshold": after.threshold, "goals/pursued": total}

    def challenge(self, pursued: Pursued, threshold: jax.Array) -> jax.Array:
        """(N,): the reward where a goal was reached and took long enough, else the penalty."""
        hard = pursued.reached & (pursued.steps.astype(jnp.float32) >= threshold)
        return jnp.where(hard, self.reward, -self.penalty)

    def rewards(self, pursued: Pursued, threshold: jax.Array) -> jax.Array:
        """(N,): `challenge`, but 1 for a goal during which the environment paid."""
        return jnp.where(pursued.paid, 1.0, self.challenge(pursued, threshold))

    def next_threshold(self, threshold: jax.Array, streak: jax.Array, score: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(threshold, streak) after a rollout whose goals scored so on average."""
        streak = jnp.where(score >= self.good_enough, streak + 1, 0)
        rises = (streak >= self.patience) & (threshold <= self.last_threshold)
        return jnp.where(rises, threshold + 1.0, threshold), jnp.where(rises, 0, streak)

    def _loss(
        self, params: Any, pursued: Pursued, rewards: jax.Array, weight: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """This device's share of the loss: log-likelihood of goals by advantage, error of values, entropy."""
        logits, values = _apply(params, pursued.start)
        cells = Categorical(logits=logits)
        advantage = jax.lax.stop_gradient(rewards - values)
        policy = -jnp.sum(weight * advantage * cells.log_prob(pursued.goal))
        value = jnp.sum(weight * (rewards - values) ** 2)
        entropy = jnp.sum(weight * cells.entropy())
        loss = policy + VALUE_COST * value - self.entropy_cost * entropy
        return loss, {"goals/policy_gradient_loss": policy, "goals/value_loss": value, "goals/entropy": entropy}


def count_valid(valid: jax.Array, axis_name: str | None) -> jax.Array:
    """() float32: rows (N,) that are valid, on all devices."""
    count = jnp.sum(valid.astype(jnp.float32))
    return count if axis_name is None else jax.lax.psum(count, axis_name)


def weights(valid: jax.Array, total: jax.Array) -> jax.Array:
    """(N,) what each row counts in a mean over the `total` valid rows of all devices; zeros where there are none."""
    return valid.astype(jnp.float32) / jnp.maximum(total, 1.0)


def _apply(params: Any, whole: jax.Array) -> tuple[jax.Array, jax.Array]:
    output: Any = GoalNetwork().apply(params, whole)
    logits, values = output
    return logits, values
