"""NovelD: crossing from the known to the new is worth more than being in either, and pays once per episode.

r[t] = max(n(s[t + 1]) - alpha n(s[t]), 0) if s[t + 1] is met for the first time in its episode, else 0, with the
novelty n the Euclidean error of random network distillation.

Source: Zhang et al. 2021 (NovelD; Zhang et al. 2020, BeBold); src/algos/bebold.py and src/arguments.py of
tianjunz/NovelD: alpha 0.5, coefficient 0.05 (README), Adam 1e-4 for the predictor, gradients bounded by 40. Differs:
first visits are told by what the agent sees instead of by the whole grid, and the episode's first observation counts as
met; networks see the image itself instead of features of a second policy network that never learns; the predictor's
loss is the mean square of the error where the source's is the mean of its Euclidean norm; the sum of rewards
is not clipped to [-1, 1].

Letters: T rollout length, B lanes on this device.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ...envs.contract import TaskEnv
from ..rollout import Rollout
from .contract import BonusState
from .distillation import Distillation
from .embedding import flatten, looked_at
from .episodic import count_visits, no_visits
from .hashing import counted_part, hash_observation
from .training import Training


@dataclasses.dataclass(frozen=True)
class NovelD:
    """Rewards by the gain in novelty at an episode's first visit.

    Attributes:
      coefficient: initial factor of the intrinsic rewards.
      alpha: share of the old observation's novelty that the new one must exceed.
      counted: parts of the observation that tell visits apart; None for the image, or all where there is none.
      training: of the predictor.
    """

    coefficient: float = 0.05
    alpha: float = 0.5
    counted: tuple[str, ...] | None = None
    training: Training = dataclasses.field(default_factory=Training)
    separate_value: ClassVar[bool] = False
    discount: ClassVar[float] = 0.99

    def init(self, key: jax.Array, env: TaskEnv, num_lanes: int) -> BonusState:
        """Fresh networks, empty memories. `key` is consumed.

        Raises:
          OptionError: observations that cannot be counted.
        """
        counted_part(env.observation_space, self.counted)
        return BonusState(
            coefficient=jnp.asarray(self.coefficient, jnp.float32),
            learning_rate=jnp.asarray(self.training.learning_rate, jnp.float32),
            shared=Distillation(looked_at(env.observation_space)).init(key),
            lanes=no_visits(num_lanes, env.horizon),
        )

    def reward(
        self, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, jax.Array]:
        """Gains in novelty (T, B) at first visits."""
        del axis_name  # lanes and networks are all it needs
        view, counted = looked_at(env.observation_space), counted_part(env.observation_space, self.counted)

        def novelty(obs: Any) -> jax.Array:
            error = Distillation(view).error(state.shared, flatten(view, obs))
            return jnp.sqrt(jnp.sum(error**2, -1))

        before, after = (hash_observation(counted, obs) for obs in (rollout.obs, rollout.next_obs))
        visits, met = count_visits(state.lanes, before, after, rollout.ended)
        gain = novelty_gain(novelty(rollout.obs), novelty(rollout.next_obs), met, self.alpha)
        return state.replace(lanes=visits), gain

    def learn(
        self, key: jax.Array, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, dict[str, jax.Array]]:
        """Trains the predictor on the observations that steps led to. `key` is consumed."""
        view = looked_at(env.observation_space)
        flat = flatten(view, rollout.next_obs)
        nets, metrics = Distillation(view).learn(self.training, key, state.shared, flat, state.learning_rate, axis_name)
        return state.replace(shared=nets), metrics


def novelty_gain(before: jax.Array, after: jax.Array, met: jax.Array, alpha: float) -> jax.Array:
    """The reward, elementwise (Zhang et al. 2021, eq. 3 with the episodic restriction).

    Args:
      before, after: novelties of the two observations.
      met: int32, how often the episode has met the second one, this time included.
    """
    return jnp.where(met == 1, jnp.maximum(after - alpha * before, 0.0), 0.0)
