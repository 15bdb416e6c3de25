"""Training the networks of a bonus on a rollout.

Letters: T rollout length, B lanes on this device, M minibatch.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ..minibatches import minibatches
from ..optimizer import adam_step
from ..rollout import lane_indices

ADAM_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Training:
    """How a bonus's networks are trained.

    Attributes:
      learning_rate: initial, of Adam; copied into the state.
      epochs: passes over a rollout.
      num_minibatches: gradient steps in one epoch; must divide the rollout's length.
      max_grad_norm: global.
    """

    learning_rate: float = 1e-4
    epochs: int = 1
    num_minibatches: int = 8
    max_grad_norm: float = 40.0

    def __post_init__(self) -> None:
        for name in ("epochs", "num_minibatches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; expected at least 1")


def train(
    training: Training,
    loss: Callable[[Any, Any], tuple[jax.Array, dict[str, jax.Array]]],
    key: jax.Array,
    learner: tuple[Any, optax.OptState],
    batch: Any,
    learning_rate: jax.Array,
    axis_name: str | None,
) -> tuple[tuple[Any, optax.OptState], dict[str, jax.Array]]:
    """Minimises a loss over a rollout by Adam.

    Args:
      loss: (params, minibatch of leaves (M, ...)) -> (scalar, metrics).
      key: consumed.
      learner: (params, optimiser state).
      batch: leaves (T, B, ...).

    Returns:
      (learner, metrics, each the mean over all gradient steps).
    """

    indices = lane_indices(jax.tree.leaves(batch)[0].shape[1], axis_name)

    def step(learner: Any, part: Any) -> tuple[Any, dict[str, jax.Array]]:
        params, opt_state = learner
        gradients, metrics = jax.grad(loss, has_aux=True)(params, part)
        if axis_name is not None:
            gradients, metrics = jax.lax.pmean((gradients, metrics), axis_name)
        params, opt_state, _ = adam_step(
            params, gradients, opt_state, learning_rate, training.max_grad_norm, ADAM_EPSILON
        )
        return (params, opt_state), metrics

    def epoch(learner: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        return jax.lax.scan(step, learner, minibatches(key, batch, indices, training.num_minibatches))

    learner, metrics = jax.lax.scan(epoch, learner, jax.random.split(key, training.epochs))
    return learner, jax.tree.map(jnp.mean, metrics)
