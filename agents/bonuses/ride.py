"""RIDE: actions that change what the agent can control are worth more, less so where the episode has been before.

r[t] = |phi(s[t + 1]) - phi(s[t])| / sqrt(N_episode(s[t + 1])). The embedding phi learns from two models: a forward one
that predicts phi(s[t + 1]) from phi(s[t]) and the action, and an inverse one that predicts the action from both
embeddings; loss 10 |error of the forward model| + 0.1 cross-entropy of the inverse model.

Source: Raileanu and Rocktaschel 2020; src/algos/ride.py, src/models.py and src/arguments.py of
facebookresearch/impact-driven-exploration: networks, weights of the losses, images divided by 255, learning rate 1e-4,
gradients bounded by 40; coefficient 0.1 for KeyCorridorS3R3 (README). Differs: agent and bonus see what `env` shows,
where the source sees and counts the whole grid (FullyObsWrapper); the embedding that the forward model is to predict is
a fixed label, `reference_gradient` makes it part of the loss; Adam instead of RMSProp, one bound for all three
networks; losses are means over steps where the source sums over the 100 of a rollout, so that the same bound of 40 cuts
far less; an episode's first observation counts as met, and its true last one is rewarded (the source compares with the
next episode's first); the sum of rewards is not clipped to [-1, 1].

Letters: T rollout length, B lanes on this device, E features, A actions.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from gymnasium import Space, spaces

from ...envs.contract import TaskEnv
from ...envs.errors import OptionError, short
from ..distributions import Categorical
from ..optimizer import init_adam
from ..rollout import Rollout
from ..spaces import action_head
from .contract import BonusState
from .embedding import OfFeatures, blank, embedding, flatten, looked_at
from .episodic import count_visits, no_visits
from .hashing import counted_part, hash_observation
from .training import ADAM_EPSILON, Training, train

FILTERS = (32, 32, 128)
SCALE = 1.0 / 255.0
TINY = 1e-12  # keeps the gradient of a norm finite at 0


class Shared(struct.PyTreeNode):
    """What all lanes share."""

    params: Any  # {"embedding", "forward", "inverse"}
    opt_state: optax.OptState


class Steps(struct.PyTreeNode):
    """What the models learn from, (M, ...)."""

    before: jax.Array
    after: jax.Array
    action: jax.Array


@dataclasses.dataclass(frozen=True)
class RIDE:
    """Rewards by the impact of actions.

    Attributes:
      coefficient: initial factor of the intrinsic rewards.
      forward_cost, inverse_cost: weights of the two models' losses.
      reference_gradient: the forward model's loss also moves the embedding that it predicts, as in the source.
      counted: parts of the observation that tell visits apart; None for the image, or all where there is none.
      training: of the three networks.
    """

    coefficient: float = 0.1
    forward_cost: float = 10.0
    inverse_cost: float = 0.1
    reference_gradient: bool = False
    counted: tuple[str, ...] | None = None
    training: Training = dataclasses.field(default_factory=Training)
    separate_value: ClassVar[bool] = False
    discount: ClassVar[float] = 0.99

    def init(self, key: jax.Array, env: TaskEnv, num_lanes: int) -> BonusState:
        """Fresh networks, empty memories. `key` is consumed.

        Raises:
          OptionError: actions that are not a choice, or observations that cannot be counted.
        """
        if not isinstance(env.action_space, spaces.Discrete):
            raise OptionError(f"RIDE: got the action space {short(env.action_space)}; expected Discrete", key="env")
        counted_part(env.observation_space, self.counted)
        params = Models(looked_at(env.observation_space), int(env.action_space.n)).init(key)
        return BonusState(
            coefficient=jnp.asarray(self.coefficient, jnp.float32),
            learning_rate=jnp.asarray(self.training.learning_rate, jnp.float32),
            shared=Shared(params=params, opt_state=init_adam(params, ADAM_EPSILON)),
            lanes=no_visits(num_lanes, env.horizon),
        )

    def reward(
        self, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, jax.Array]:
        """Impact over the root of visits (T, B)."""
        del axis_name  # lanes and networks are all it needs
        view, counted = looked_at(env.observation_space), counted_part(env.observation_space, self.counted)
        models = Models(view, action_head(env.action_space).size)
        old, new = (hash_observation(counted, obs) for obs in (rollout.obs, rollout.next_obs))
        visits, met = count_visits(state.lanes, old, new, rollout.ended)
        before = models.embed(state.shared.params, flatten(view, rollout.obs, SCALE))
        after = models.embed(state.shared.params, flatten(view, rollout.next_obs, SCALE))
        return state.replace(lanes=visits), impact(before, after, met)

    def learn(
        self, key: jax.Array, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, dict[str, jax.Array]]:
        """Trains embedding, forward and inverse model. `key` is consumed."""
        view, shared = looked_at(env.observation_space), state.shared
        models = Models(view, action_head(env.action_space).size, self.reference_gradient)

        def loss(params: Any, steps: Steps) -> tuple[jax.Array, dict[str, jax.Array]]:
            forward, inverse = models.errors(params, steps)
            total = self.forward_cost * forward + self.inverse_cost * inverse
            return total, {"bonus/forward_loss": forward, "bonus/inverse_loss": inverse}

        (params, opt_state), metrics = train(
            self.training,
            loss,
            key,
            (shared.params, shared.opt_state),
            Steps(
                before=flatten(view, rollout.obs, SCALE),
                after=flatten(view, rollout.next_obs, SCALE),
                action=rollout.action,
            ),
            state.learning_rate,
            axis_name,
        )
        return state.replace(shared=Shared(params=params, opt_state=opt_state)), metrics


@dataclasses.dataclass(frozen=True)
class Models:
    """The embedding and what it learns from.

    Attributes:
      view: the space of what is looked at.
      num_actions: A.
      reference_gradient: see `RIDE`.
    """

    view: Space
    num_actions: int
    reference_gradient: bool = False

    @property
    def embedding(self) -> nn.Module:
        return embedding(self.view, FILTERS, (), 0)

    @property
    def inverse(self) -> OfFeatures:
        return OfFeatures(self.num_actions)

    def init(self, key: jax.Array) -> dict[str, Any]:
        """Fresh parameters. `key` is consumed."""
        key_embedding, key_forward, key_inverse = jax.random.split(key, 3)
        flat = blank(self.view)
        params = self.embedding.init(key_embedding, flat)
        phi: Any = self.embedding.apply(params, flat)
        return {
            "embedding": params,
            "forward": OfFeatures(phi.shape[-1]).init(key_forward, phi, jnp.zeros((self.num_actions,))),
            "inverse": self.inverse.init(key_inverse, phi, phi),
        }

    def embed(self, params: dict[str, Any], flat: jax.Array) -> jax.Array:
        """(..., O) to (..., E)."""
        phi: Any = self.embedding.apply(params["embedding"], flat)
        return phi

    def errors(self, params: dict[str, Any], steps: Steps) -> tuple[jax.Array, jax.Array]:
        """(() Euclidean error of the forward model, () cross-entropy of the inverse one), means over steps (M, ...).

        Gradients reach the embedding from both, but not by way of what the forward model predicts: with the source's
        weights the embedding would shrink to one point, and the reward with it.
        """
        before, after = self.embed(params, steps.before), self.embed(params, steps.after)
        wanted = after if self.reference_gradient else jax.lax.stop_gradient(after)
        choice = jax.nn.one_hot(steps.action, self.num_actions)
        predicted: Any = OfFeatures(after.shape[-1]).apply(params["forward"], before, choice)
        forward = jnp.mean(jnp.sqrt(jnp.sum((predicted - wanted) ** 2, -1) + TINY))
        logits: Any = self.inverse.apply(params["inverse"], before, after)
        return forward, -jnp.mean(Categorical(logits=logits).log_prob(steps.action))


def impact(before: jax.Array, after: jax.Array, met: jax.Array) -> jax.Array:
    """The reward (Raileanu and Rocktaschel 2020, section 4): embeddings (..., E) and visits (...) int32 to (...)."""
    distance = jnp.sqrt(jnp.sum((after - before) ** 2, -1))
    return distance / jnp.sqrt(met.astype(jnp.float32))
