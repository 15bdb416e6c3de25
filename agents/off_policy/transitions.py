"""Transitions as arrays: what data sets hold, replays keep and learners take.

Letters: N transitions, O flat observation, A action.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ...envs.errors import OptionError
from ..optimizer import Scalar

# Actions are kept this far inside of [-1, 1], where a squashed Gaussian's density is finite (reference code of WSRL).
ACTION_LIMIT = 0.99999


class Transitions(struct.PyTreeNode):
    """One step each, float32 but for `ended`; any leading axes in place of N.

    An episode's steps follow one another; its last one has `ended`, so that the next row is another episode's first.
    """

    obs: Any  # (N, O)
    action: Any  # (N, A) in units of half the action box, within +-ACTION_LIMIT
    reward: Any  # (N,) as learned from, which may be another scale than the environment's
    next_obs: Any  # (N, O), the true observation after the step, also where the episode ended
    mask: Any  # (N,) 1 - terminated; an episode that the clock cut off keeps its 1
    ended: Any  # (N,) bool
    return_to_go: Any = None  # (N,) discounted return from here on, for learners that are bounded by it


def returns_to_go(
    reward: jax.Array, mask: jax.Array, ended: jax.Array, discount: Scalar, failure_reward: float | None = None
) -> jax.Array:
    """Discounted returns (N,) of the steps of whole episodes, one after another; nothing follows an episode's end.

    Args:
      reward, mask, ended: (N,) as in `Transitions`.
      failure_reward: for tasks that pay the same until they are solved: an episode with nothing but this reward was
        going to get it for ever, so every step of it is worth failure_reward / (1 - discount) (reference code of
        Cal-QL). None takes the sum as it is, which makes episodes that the clock cut off look worse or better than
        they are.
    """

    def back(after: jax.Array, now: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        reward, mask, ended = now
        here = reward + discount * mask * jnp.where(ended, 0.0, after)
        return here, here

    _, total = jax.lax.scan(back, jnp.zeros(()), (reward, mask, ended), reverse=True)
    if failure_reward is None:
        return total
    failed = _failed(reward, ended, failure_reward)
    return jnp.where(failed, failure_reward / (1.0 - discount), total)


def is_failure(reward: jax.Array, failure_reward: float) -> jax.Array:
    """Whether rewards are this one, up to what scale and bias have rounded off."""
    return jnp.abs(reward - failure_reward) <= 1e-5 * max(1.0, abs(failure_reward))


def _failed(reward: jax.Array, ended: jax.Array, failure_reward: float) -> jax.Array:
    """(N,) bool: whether the whole episode of a step has no other reward than this."""
    first = jnp.concatenate([jnp.ones(1, bool), ended[:-1]])
    episode = jnp.cumsum(first.astype(jnp.int32)) - 1
    count = reward.shape[0]
    other = jax.ops.segment_sum((~is_failure(reward, failure_reward)).astype(jnp.int32), episode, count)
    return other[episode] == 0


def require_sizes(data: Transitions, obs_size: int, action_size: int) -> None:
    """Refuses data that is not an environment's.

    Raises:
      OptionError: nothing in it, or observations or actions of other sizes.
    """
    expected = {"obs": (obs_size,), "action": (action_size,), "next_obs": (obs_size,), "reward": (), "mask": ()}
    count = len(data.reward)
    for name, shape in expected.items():
        found = tuple(getattr(data, name).shape)
        if not count or found != (count, *shape):
            raise OptionError(f"data.{name} with shape {found}; expected {('N', *shape)} with N > 0", key="data")
