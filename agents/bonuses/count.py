"""Counts: what has been seen less often is worth more.

r[t] = 1 / sqrt(N(s[t + 1])), N counting all visits in training up to and with this one.

Source: Strehl and Littman 2008 (the bonus), as the baseline "count" of Raileanu and Rocktaschel 2020 (RIDE), file
src/algos/count.py of facebookresearch/impact-driven-exploration. Differs: the coefficient is 0.005 where that code's
default, for all its methods, is 0.5; what `env` shows is counted, over all lanes together, where the source counts the
whole grid (FullyObsWrapper), each actor process for itself; the sum of rewards is not clipped to [-1, 1]; counts live
in a table of fixed size, in which observations may share a place and are then counted together; visits of all lanes in
one step count at once; an episode's first observation is not counted.

Letters: T rollout length, B lanes on this device.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from ...envs.contract import TaskEnv
from ..rollout import Rollout, lane_indices
from .contract import BonusState
from .hashing import counted_part, hash_observation


@dataclasses.dataclass(frozen=True)
class Count:
    """Rewards by how seldom an observation has been seen.

    Attributes:
      coefficient: initial factor of the intrinsic rewards.
      counted: parts of the observation that tell two of them apart; None for the image, or all where there is none.
      bits: the table has 2**bits places of 4 bytes.
    """

    coefficient: float = 0.005
    counted: tuple[str, ...] | None = None
    bits: int = 20
    separate_value: ClassVar[bool] = False
    discount: ClassVar[float] = 0.99

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 30:
            raise ValueError(f"bits={self.bits}; expected a whole number from 1 to 30")

    def init(self, key: jax.Array, env: TaskEnv, num_lanes: int) -> BonusState:
        """An empty table; draws nothing from `key`.

        Raises:
          OptionError: observations that cannot be counted.
        """
        del key, num_lanes
        counted_part(env.observation_space, self.counted)
        return BonusState(
            coefficient=jnp.asarray(self.coefficient, jnp.float32),
            learning_rate=jnp.zeros(()),
            shared=jnp.zeros((2**self.bits,), jnp.int32),
            lanes=(),
        )

    def reward(
        self, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, jax.Array]:
        """1 / sqrt(N) of the observations (T, B) that steps led to."""
        hashes = hash_observation(counted_part(env.observation_space, self.counted), rollout.next_obs)
        own = lane_indices(hashes.shape[1], axis_name)
        if axis_name is not None:  # every device counts everyone's visits, so that tables stay equal
            hashes = jax.lax.all_gather(hashes, axis_name, axis=1, tiled=True)
        places = (hashes >> jnp.uint32(32 - self.bits)).astype(jnp.int32)
        table, counts = count_all(state.shared, places)
        return state.replace(shared=table), jax.lax.rsqrt(counts[:, own].astype(jnp.float32))

    def learn(
        self, key: jax.Array, env: TaskEnv, state: BonusState, rollout: Rollout, axis_name: str | None
    ) -> tuple[BonusState, dict[str, jax.Array]]:
        """Counting is all there is to learn."""
        del key, env, rollout, axis_name
        return state, {"bonus/places_taken": jnp.mean((state.shared > 0).astype(jnp.float32))}


def count_all(table: jax.Array, places: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Adds one for every entry of `places` (T, B), step by step.

    Done by one sort and one addition to the table: a loop over steps would copy it at every step.

    Returns:
      (table, counts (T, B): of each place once its step's visits were added).
    """
    length, lanes = places.shape
    flat = places.reshape(-1)
    number = jnp.arange(flat.shape[0], dtype=jnp.int32)
    step = jnp.repeat(jnp.arange(length, dtype=jnp.int32), lanes)
    place, when, origin = jax.lax.sort((flat, step, number), num_keys=2)
    yes = jnp.ones((1,), bool)
    is_first = jnp.concatenate([yes, place[1:] != place[:-1]])  # of its place
    is_last = jnp.concatenate([(place[1:] != place[:-1]) | (when[1:] != when[:-1]), yes])  # of its place and step
    first = jax.lax.cummax(jnp.where(is_first, number, 0))
    last = jax.lax.cummin(jnp.where(is_last, number, flat.shape[0]), reverse=True)
    new = jnp.zeros_like(flat).at[origin].set(last - first + 1)
    return table.at[flat].add(1), (table[flat] + new).reshape(places.shape)
