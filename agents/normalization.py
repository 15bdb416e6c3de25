"""Running mean and variance as state, mergeable across lanes, time and devices."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

EPSILON = 1e-8
CLIP = 10.0  # normalised values beyond this many standard deviations saturate, as in SB3's VecNormalize


class RunningStats(struct.PyTreeNode):
    """Mean and variance of everything merged so far; () or (F,) per leaf."""

    mean: jax.Array
    var: jax.Array
    count: jax.Array  # () float32

    @property
    def std(self) -> jax.Array:
        return jnp.sqrt(self.var + EPSILON)


def init_stats(shape: tuple[int, ...]) -> RunningStats:
    """Statistics of nothing: mean 0, variance 1, which leaves values as they are."""
    return RunningStats(mean=jnp.zeros(shape), var=jnp.ones(shape), count=jnp.zeros(()))


def merge(stats: RunningStats, values: jax.Array, axis_name: str | None = None) -> RunningStats:
    """Takes in a batch by the parallel-variance formula (Chan et al. 1983).

    Args:
      values: (..., *shape of stats); all leading axes are samples.
      axis_name: mapped device axis over which the batch is spread; None for one device.
    """
    lead = tuple(range(values.ndim - stats.mean.ndim))
    count = jnp.asarray(float(_samples(values, lead)), jnp.float32)
    total = jnp.sum(values, lead)
    if axis_name is not None:
        count, total = jax.lax.psum((count, total), axis_name)
    mean = total / count
    square = jnp.sum((values - jnp.broadcast_to(mean, values.shape)) ** 2, lead)
    if axis_name is not None:
        square = jax.lax.psum(square, axis_name)
    both = stats.count + count
    delta = mean - stats.mean
    spread = stats.var * stats.count + square + delta**2 * (stats.count * count / both)
    return RunningStats(mean=stats.mean + delta * (count / both), var=spread / both, count=both)


def normalize(stats: RunningStats, values: jax.Array, clip: float = CLIP) -> jax.Array:
    """Centred and scaled values, same shape, cut at `clip` standard deviations."""
    mean, std = jnp.broadcast_to(stats.mean, values.shape), jnp.broadcast_to(stats.std, values.shape)
    return jnp.clip((values - mean) / std, -clip, clip)


def rescale(stats: RunningStats, values: jax.Array) -> jax.Array:
    """Values divided by the running standard deviation and clipped; the mean stays (rewards keep their sign)."""
    return jnp.clip(values / stats.std, -CLIP, CLIP)


def _samples(values: Any, lead: tuple[int, ...]) -> int:
    count = 1
    for axis in lead:
        count *= values.shape[axis]
    return count
