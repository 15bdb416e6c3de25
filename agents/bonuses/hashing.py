"""Observations as 32-bit hashes, so that a device can count them.

Letters: n whole numbers of an observation.
"""

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import Space, spaces

from ...envs.contract import CodedSpace, space_of_codes
from ...envs.errors import OptionError, short
from ..spaces import parts

MULTIPLIER = 0x9E3779B1  # a prime near 2^32 over the golden ratio


def counted_part(space: Space, names: tuple[str, ...] | None) -> Space:
    """What of an observation is counted: the parts named, else the image where there is one, else all.

    Raises:
      OptionError: no such part, or one of numbers that are not whole, of which two are hardly ever equal.
    """
    if names is None and isinstance(space, spaces.Dict) and "image" in space.spaces:
        names = ("image",)
    counted = space if names is None else parts(space, names)
    for sub in counted.spaces.values() if isinstance(counted, spaces.Dict) else (counted,):
        whole = isinstance(sub, CodedSpace) or (sub.dtype is not None and np.dtype(sub.dtype).kind in "iub")
        if not whole or isinstance(sub, spaces.Dict | spaces.Tuple):
            raise OptionError(
                f"counted observations: got {short(sub)}; expected spaces of whole numbers, not nested", key="env"
            )
    return counted


def hash_observation(space: Space, obs: jax.Array | dict[str, jax.Array]) -> jax.Array:
    """Hashes (...,) uint32 of observations with any leading axes; equal observations have equal hashes.

    Each number is mixed with its place, and the sum of all is mixed again: two different observations agree with
    probability 2^-32.

    Args:
      space: what is hashed; further parts of `obs` are not looked at.
    """
    codes = space_of_codes(space)
    if isinstance(codes, spaces.Dict):
        assert isinstance(obs, dict)
        numbers = jnp.concatenate([_numbers(sub, obs[name]) for name, sub in codes.spaces.items()], -1)
    else:
        assert not isinstance(obs, dict)
        numbers = _numbers(codes, obs)
    places = np.arange(1, numbers.shape[-1] + 1, dtype=np.uint32)
    salt = jnp.broadcast_to(_mix(jnp.asarray(places)), numbers.shape)
    return _mix(jnp.sum(_mix(numbers * jnp.uint32(MULTIPLIER) + salt), -1, dtype=jnp.uint32))


def _numbers(space: Space, values: jax.Array) -> jax.Array:
    """Values (..., *shape) as (..., n) uint32."""
    lead = values.shape[: values.ndim - len(space.shape or ())]
    return values.reshape(*lead, -1).astype(jnp.uint32)


def _mix(x: jax.Array) -> jax.Array:
    """A permutation of uint32 in which every bit depends on every other (the finaliser of MurmurHash3)."""
    x = (x ^ (x >> jnp.uint32(16))) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> jnp.uint32(13))) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> jnp.uint32(16))
