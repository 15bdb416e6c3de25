"""The least of many critics' values, with a gradient that costs what one critic's does.

Only the critic that values an action least passes a gradient on to it. So all critics are evaluated first, without one;
then every row by its own critic alone, with one. Rows of the same critic are put together in blocks of equal size, some
of whose rows are spare, so that shapes do not depend on who is least.

Letters: E critics, B rows, O observation, A action, K rows of a block, N blocks.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .networks import Critics, apply

BLOCK = 64  # K; small blocks leave few rows spare, large ones make better products


def is_worthwhile(members: int, rows: int) -> bool:
    """Whether evaluating the least critics again, with gradients, is less work than the gradients of all would be."""
    return 2 * BLOCK * num_blocks(members, rows) < members * rows


def num_blocks(members: int, rows: int) -> int:
    """N: enough however rows are shared among members."""
    return rows // BLOCK + members


def least_value(
    critics: Callable[[int], Critics], params: Any, obs: jax.Array, action: jax.Array, rows: int
) -> jax.Array:
    """Least values (B,) of actions (B, A) at observations (B, O); its gradient is that of `jnp.min` over all values.

    Args:
      critics: the network of so many members.
      params: of all members, with leading axes E; no gradient goes to them.
      rows: that all critics are evaluated on together; divides B. Few fit into a CPU's cache.
    """
    params, held = jax.lax.stop_gradient((params, action))
    members = jax.tree.leaves(params)[0].shape[0]

    def least(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.argmin(apply(critics(members), params, *part), 0)

    parts = jax.tree.map(lambda x: x.reshape(-1, rows, x.shape[-1]), (obs, held))
    return value_by(critics, params, jax.lax.map(least, parts).reshape(-1), obs, action)


def value_by(
    critics: Callable[[int], Critics], params: Any, member: jax.Array, obs: jax.Array, action: jax.Array
) -> jax.Array:
    """Values (B,) of every row by the one member (B,) int32 that is named for it."""
    members = jax.tree.leaves(params)[0].shape[0]
    owner, row, slot = in_blocks(member, members)
    own = jax.tree.map(lambda x: x[owner], params)
    obs, action = (x[row].reshape(owner.shape[0], BLOCK, -1) for x in (obs, action))
    values: jax.Array = apply(critics(owner.shape[0]), own, obs, action)
    return values.reshape(-1)[slot]


def in_blocks(member: jax.Array, members: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where rows go.

    Args:
      member: (B,) int32, whose rows they are.
      members: E.

    Returns:
      (member of each block (N,), row at each place of the blocks (N * K,), place of each row (B,)). Spare places have
      row 0.
    """
    size, whose = member.shape[0], jnp.arange(members)
    count = jnp.sum(member[:, None] == whose[None], 0, dtype=jnp.int32)
    blocks = (count + BLOCK - 1) // BLOCK
    last_block, last_row = jnp.cumsum(blocks), jnp.cumsum(count)
    order = jnp.argsort(member)
    owner = member[order]
    place = (last_block - blocks)[owner] * BLOCK + jnp.arange(size, dtype=jnp.int32) - (last_row - count)[owner]
    total = num_blocks(members, size)
    row = jnp.zeros((total * BLOCK,), jnp.int32).at[place].set(order.astype(jnp.int32))
    slot = jnp.zeros((size,), jnp.int32).at[order].set(place)
    number = jnp.arange(total, dtype=jnp.int32)
    owners = jnp.sum(number[:, None] >= last_block[None], 1, dtype=jnp.int32)
    return jnp.minimum(owners, members - 1), row, slot
