"""Returns and advantages: one function, one equation.

Letters: T time; functions are for one trajectory (T,), or for (T, B) where every operation is elementwise in B.
"""

import jax
import jax.numpy as jnp


def generalized_advantage(
    reward: jax.Array,
    value: jax.Array,
    next_value: jax.Array,
    terminated: jax.Array,
    ended: jax.Array,
    discount: jax.Array | float,
    lam: jax.Array | float,
) -> jax.Array:
    """Generalised advantage estimation over trajectories that may contain episode ends.

    delta[t] = reward[t] + discount * (1 - terminated[t]) * next_value[t] - value[t]
    A[t] = delta[t] + discount * lam * (1 - ended[t]) * A[t + 1], with A[T] = 0

    Args:
      reward: (T, ...).
      value: (T, ...) of the observation acted on.
      next_value: (T, ...) of the observation after the step, also where the episode ended with it: a truncated
        episode is bootstrapped from its true last observation.
      terminated: (T, ...) bool, the task's own end: nothing follows.
      ended: (T, ...) bool, terminated or truncated: what follows is another episode.

    Returns:
      Advantages (T, ...).

    Source: Schulman et al. 2016, eq. 16.
    """
    continues = 1.0 - terminated.astype(value.dtype)
    same_episode = 1.0 - ended.astype(value.dtype)
    delta = reward + discount * continues * next_value - value

    def backward(after: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta_now, same = now
        here = delta_now + discount * lam * same * after
        return here, here

    return jax.lax.scan(backward, jnp.zeros_like(delta[0]), (delta, same_episode), reverse=True)[1]
