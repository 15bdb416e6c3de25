"""How often an episode has met an observation: exact counts on the device, lane by lane.

Letters: T rollout length, B lanes on this device, K observations an episode can hold.
"""

import jax
import jax.numpy as jnp
from flax import struct


class Visits(struct.PyTreeNode):
    """What every lane's running episode has seen."""

    hashes: jax.Array  # (B, K) uint32; the first `count` of a row count
    count: jax.Array  # (B,) int32; 0 before the episode's first observation


def no_visits(num_lanes: int, horizon: int) -> Visits:
    """Empty memories for episodes of at most `horizon` steps."""
    return Visits(hashes=jnp.zeros((num_lanes, horizon + 1), jnp.uint32), count=jnp.zeros((num_lanes,), jnp.int32))


def count_visits(visits: Visits, before: jax.Array, after: jax.Array, ended: jax.Array) -> tuple[Visits, jax.Array]:
    """Counts, for every step, how often its episode has met the observation it led to, that time included.

    An episode's first observation counts as met. What ends an episode empties the lane's memory.

    Args:
      before, after: (T, B) uint32 hashes of the observations before and after each step.
      ended: (T, B) bool.

    Returns:
      (visits, counts (T, B) int32, at least 1).
    """
    lanes = jnp.arange(before.shape[1], dtype=jnp.int32)
    places = jnp.arange(visits.hashes.shape[1], dtype=jnp.int32)

    def meet(visits: Visits, now: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Visits, jax.Array]:
        first, seen, ends = now
        is_new = visits.count == 0
        hashes = visits.hashes.at[:, 0].set(jnp.where(is_new, first, visits.hashes[:, 0]))
        count = jnp.where(is_new, 1, visits.count)
        same = (hashes == seen[:, None]) & (places[None, :] < count[:, None])
        met = 1 + jnp.sum(same, axis=-1, dtype=jnp.int32)
        hashes = hashes.at[lanes, count].set(seen, mode="drop")
        return Visits(hashes=hashes, count=jnp.where(ends, 0, count + 1)), met

    return jax.lax.scan(meet, visits, (before, after, ended))
