"""How well a network predicts the features of a fixed random one: small where observations like this were learned.

Source: Burda et al. 2019, section 2.2; the sizes follow policies/cnn_policy_param_matched.py of
openai/random-network-distillation, scaled to images of a few cells: three convolutions and a linear layer for the
target, two dense layers more for the predictor. Differs: ELU after convolutions, as in the MiniGrid policy; a gain of 1
for linear outputs.

Letters: T rollout length, B lanes, M minibatch, O flat observation, E features.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from gymnasium import Space

from ..optimizer import init_adam
from .embedding import blank, embedding
from .training import ADAM_EPSILON, Training, train

FILTERS = (32, 32, 32)
HIDDEN = (256, 256)  # of the predictor
FEATURES = 128


class Networks(struct.PyTreeNode):
    """A random network, and one that learns to predict it."""

    target: Any
    predictor: Any
    opt_state: optax.OptState


class Lesson(struct.PyTreeNode):
    """What the predictor learns from, (T, B, ...) or (M, ...)."""

    flat: jax.Array
    wanted: jax.Array


@dataclasses.dataclass(frozen=True)
class Distillation:
    """A target and its predictor.

    Attributes:
      view: the space of what they look at.
    """

    view: Space

    @property
    def target(self) -> nn.Module:
        return embedding(self.view, FILTERS, (), FEATURES)

    @property
    def predictor(self) -> nn.Module:
        return embedding(self.view, FILTERS, HIDDEN, FEATURES)

    def init(self, key: jax.Array) -> Networks:
        """Fresh networks. `key` is consumed."""
        key_target, key_predictor = jax.random.split(key)
        flat = blank(self.view)
        predictor = self.predictor.init(key_predictor, flat)
        return Networks(self.target.init(key_target, flat), predictor, init_adam(predictor, ADAM_EPSILON))

    def wanted(self, target: Any, flat: jax.Array) -> jax.Array:
        """What the predictor should say, (..., O) to (..., E)."""
        wanted: Any = self.target.apply(target, flat)
        return wanted

    def error(self, nets: Networks, flat: jax.Array) -> jax.Array:
        """What the predictor is off by, (..., O) to (..., E)."""
        predicted: Any = self.predictor.apply(nets.predictor, flat)
        return predicted - self.wanted(nets.target, flat)

    def learn(
        self,
        training: Training,
        key: jax.Array,
        nets: Networks,
        flat: jax.Array,
        learning_rate: jax.Array,
        axis_name: str | None,
    ) -> tuple[Networks, dict[str, jax.Array]]:
        """Trains the predictor by the mean squared error on observations (T, B, O). `key` is consumed."""

        def loss(predictor: Any, batch: Lesson) -> tuple[jax.Array, dict[str, jax.Array]]:
            predicted: Any = self.predictor.apply(predictor, batch.flat)
            loss = jnp.mean((predicted - batch.wanted) ** 2)
            return loss, {"bonus/prediction_loss": loss}

        lesson = Lesson(flat=flat, wanted=self.wanted(nets.target, flat))
        learner = (nets.predictor, nets.opt_state)
        learner, metrics = train(training, loss, key, learner, lesson, learning_rate, axis_name)
        return nets.replace(predictor=learner[0], opt_state=learner[1]), metrics
