"""Random network distillation: what a network cannot yet predict about an observation is worth seeing.

r[t] = mean over features of (f_hat(x) - f(x))^2, x the whitened observation after step t; divided by the running
deviation of the discounted sum of these rewards, which no episode cuts. The intrinsic stream has a value function of
its own, A = A_extrinsic + c A_intrinsic.

Source: Burda et al. 2019, sections 2.2 to 2.4; ppo_agent.py and run_atari.py of openai/random-network-distillation:
factors 2 and 1 of the two advantages (here 1 and 0.5), discount 0.99, Adam 1e-4, four epochs together with the
policy's, no bound on gradients, observations clipped at 5 deviations. Differs: statistics of observations take in a
rollout before it is rewarded, instead of a random player's first steps; the policy's optimiser does not see the
predictor.

Letters: T rollout length, B lanes on this device, O flat observation.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import struct

from ...envs.contract import TaskEnv
from ..normalization import RunningStats, init_stats, merge, normalize
from ..rollout import Rollout
from .contract import BonusState
from .distillation import Distillation, Networks
from .embedding import blank, flatten, looked_at
from .training import Training

WHITE_CLIP = 5.0  # deviations


class Shared(struct.PyTreeNode):
    """What all lanes share."""

    nets: Networks
    obs_stats: RunningStats  # (O,)
    return_stats: RunningStats  # () of discounted sums of errors


@dataclasses.dataclass(frozen=True)
class RND:
    """Rewards by the error of a predictor of random features.

    Attributes:
      coefficient: initial factor of the intrinsic advantages, or rewards without `separate_value`.
      separate_value: as in the paper; False adds the rewards to the environment's.
      discount: of the intrinsic stream.
      training: of the predictor.
    """

    coefficient: float = 0.5
    separate_value: bool = True
    discount: float = 0.99
    training: Training = dataclasses.field(default_factory=lambda: Training(epochs=4, max_grad_norm=math.inf))

    def init(self, key: jax.Array, env: TaskEnv, num_lanes: int) -> BonusState:
        """Fresh networks. `key` is consumed."""
        view = looked_at(env.observation_space)
        shared = Shared(
            nets=Distillation(view).init(key),
            obs_stats=init_stats(blank(view).shape),
            return_stats=init_stats(()),
        )
        return BonusState(
            coefficient=jnp.asarray(self.coefficient, jnp.float32),
            learning_rate=jnp.asarray(self.training.learning_rate, jnp.float32),
            shared=shared,
            lanes=jnp.zeros((num_lanes,)),  # discounted sum of errors so far
        )

    def reward(
        self, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, jax.Array]:
        """Errors (T, B) in units of the deviation of their discounted sums."""
        view, shared = looked_at(env.observation_space), state.shared
        flat = flatten(view, rollout.next_obs)
        shared = shared.replace(obs_stats=merge(shared.obs_stats, flat, axis_name))
        error = Distillation(view).error(shared.nets, normalize(shared.obs_stats, flat, WHITE_CLIP))
        raw = jnp.mean(error**2, -1)

        def follow(sofar: jax.Array, now: jax.Array) -> tuple[jax.Array, jax.Array]:
            here = self.discount * sofar + now
            return here, here

        lanes, sums = jax.lax.scan(follow, state.lanes, raw)
        shared = shared.replace(return_stats=merge(shared.return_stats, sums, axis_name))
        return state.replace(shared=shared, lanes=lanes), raw / shared.return_stats.std

    def learn(
        self, key: jax.Array, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, dict[str, jax.Array]]:
        """Trains the predictor on the observations that steps led to. `key` is consumed."""
        view, shared = looked_at(env.observation_space), state.shared
        flat = normalize(shared.obs_stats, flatten(view, rollout.next_obs), WHITE_CLIP)
        nets, metrics = Distillation(view).learn(self.training, key, shared.nets, flat, state.learning_rate, axis_name)
        return state.replace(shared=shared.replace(nets=nets)), metrics
