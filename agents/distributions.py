"""Action distributions: a few lines of arrays each, with the last axis as the event.

Letters: A action dimensions or number of choices; any leading axes.
"""

import math

import jax
import jax.numpy as jnp
from flax import struct


class Normal(struct.PyTreeNode):
    """A diagonal Gaussian over actions (..., A)."""

    mean: jax.Array  # (..., A)
    log_std: jax.Array  # (..., A)

    def sample(self, key: jax.Array) -> jax.Array:
        """One draw (..., A). `key` is consumed."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def mode(self) -> jax.Array:
        """The most likely action (..., A)."""
        return self.mean

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log density (...)."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * jnp.sum(z**2 + 2.0 * self.log_std + math.log(2.0 * math.pi), -1)

    def entropy(self) -> jax.Array:
        """Differential entropy (...) [nat]."""
        return jnp.sum(self.log_std + 0.5 * math.log(2.0 * math.pi * math.e), -1)


class TanhNormal(struct.PyTreeNode):
    """The hyperbolic tangent of a diagonal Gaussian, over actions (..., A) in (-1, 1)."""

    base: Normal

    def sample(self, key: jax.Array) -> jax.Array:
        """One draw (..., A). `key` is consumed."""
        return jnp.tanh(self.base.sample(key))

    def sample_and_log_prob(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """One draw (..., A) and its log density (...), exact however near to the limits. `key` is consumed."""
        return self.at_noise(jax.random.normal(key, self.base.mean.shape, self.base.mean.dtype))

    def at_noise(self, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The action (..., A) that standard normal numbers (..., A) stand for, and its log density (...)."""
        before = self.base.mean + jnp.exp(self.base.log_std) * noise
        return jnp.tanh(before), self.base.log_prob(before) - _log_slope(before)

    def mode(self) -> jax.Array:
        """The squashed mean (..., A), which is where deterministic evaluation acts."""
        return jnp.tanh(self.base.mean)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log density (...) of actions inside of (-1, 1)."""
        before = jnp.arctanh(action)
        return self.base.log_prob(before) - _log_slope(before)


def _log_slope(before: jax.Array) -> jax.Array:
    """log |d tanh(x) / dx| summed over the last axis, without cancellation at large |x|."""
    return jnp.sum(2.0 * (math.log(2.0) - before - jax.nn.softplus(-2.0 * before)), -1)


class Categorical(struct.PyTreeNode):
    """A choice among A, held as int32 (...)."""

    logits: jax.Array  # (..., A)

    def sample(self, key: jax.Array) -> jax.Array:
        """One draw (...) int32. `key` is consumed."""
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def mode(self) -> jax.Array:
        """The most likely choice (...) int32."""
        return jnp.argmax(self.logits, -1).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log probability (...)."""
        log_probs = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probs, action[..., None], -1)[..., 0]

    def entropy(self) -> jax.Array:
        """Entropy (...) [nat]."""
        log_probs = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_probs) * log_probs, -1)
