"""Losses of the off-policy learners as functions of arrays.

Letters: E critics, M of them drawn, B transitions, n actions drawn per state, A action dimensions.
"""

import math

import jax
import jax.numpy as jnp

from ..optimizer import Scalar


def td_target(reward: jax.Array, mask: jax.Array, next_value: jax.Array, discount: Scalar) -> jax.Array:
    """What a critic regresses on, (B,): r + discount * mask * V(s')."""
    return reward + discount * mask * next_value


def td_error(values: jax.Array, target: jax.Array) -> jax.Array:
    """Mean square of what E critics (E, B) miss of one target (B,)."""
    return jnp.mean((values - jnp.broadcast_to(target, values.shape)) ** 2)


def actor_loss(log_prob: jax.Array, value: jax.Array, temperature: Scalar) -> jax.Array:
    """Soft policy improvement (Haarnoja et al. 2018, eq. 7): log-probabilities and values (B,) of drawn actions."""
    return jnp.mean(temperature * log_prob - value)


def temperature_loss(temperature: Scalar, entropy: jax.Array, target: Scalar) -> jax.Array:
    """Its gradient raises the temperature while entropy [nat] is below target (Haarnoja et al. 2018, eq. 18)."""
    return temperature * (entropy - target)


def multiplier(raw: jax.Array) -> jax.Array:
    """A positive number from a free one."""
    return jax.nn.softplus(raw)


def raw_multiplier(value: float) -> float:
    """The free number whose `multiplier` is `value`."""
    return math.log(math.expm1(value))


def conservative_penalty(
    drawn: jax.Array, log_density: jax.Array | None, data: jax.Array, temperature: float = 1.0
) -> jax.Array:
    """How far values of drawn actions lie above that of the action in the data, mean over (M, B).

    Source: CQL(H) of Kumar et al. 2020, eq. 4 and appendix F.

    Args:
      drawn: (M, B, n) values of drawn actions.
      log_density: (B, n) of each under what it was drawn from; None to count the data's action among the drawn ones
        instead of weighing them.
      data: (M, B) values of the data's actions.
    """
    if log_density is None:
        drawn = jnp.concatenate([drawn, data[..., None]], -1)
        drawn = drawn - math.log(drawn.shape[-1]) * temperature
    else:
        drawn = drawn - jnp.broadcast_to(log_density, drawn.shape)
    return jnp.mean(temperature * jax.nn.logsumexp(drawn / temperature, -1) - data)


def expectile_loss(error: jax.Array, expectile: Scalar) -> jax.Array:
    """Asymmetric mean square of target minus prediction (Kostrikov et al. 2022, eq. 5)."""
    weight = jnp.where(error > 0.0, expectile, 1.0 - expectile)
    return jnp.mean(weight * error**2)


def advantage_weight(advantage: jax.Array, sharpness: Scalar, limit: float = 100.0) -> jax.Array:
    """Weights of advantage-weighted regression (Kostrikov et al. 2022, eq. 7; the limit as in its code)."""
    return jnp.minimum(jnp.exp(sharpness * advantage), limit)


def uniform_log_density(dimensions: int) -> float:
    """Of even draws from [-1, 1]^A."""
    return dimensions * math.log(0.5)
