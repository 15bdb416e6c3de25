"""Taking in outcomes: which rows count, and how to visit the few that do.

A training loop hands over one row per environment step, almost all of them masked. `fold_rows` compresses the usable
ones in row order and visits them in chunks, so that the work follows the number of episodes and not of steps.

Letters: K rows of an outcome, M rows of a chunk, D task parameters.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import struct

from ..envs.tasks import Outcome

Carry = TypeVar("Carry")


class Tally(struct.PyTreeNode):
    """How many episodes a teacher has used, and how many it refused because they were not finite."""

    episodes: jax.Array  # () int32
    dropped: jax.Array  # () int32


def empty_tally() -> Tally:
    """Nothing counted yet."""
    return Tally(episodes=jnp.zeros((), jnp.int32), dropped=jnp.zeros((), jnp.int32))


def usable_rows(outcome: Outcome) -> jax.Array:
    """(K,) bool: valid rows whose task (K, D) and return are finite."""
    return outcome.valid & jnp.isfinite(outcome.return_) & jnp.all(jnp.isfinite(outcome.task), -1)


def count_rows(tally: Tally, outcome: Outcome, usable: jax.Array) -> Tally:
    """Adds the rows of an outcome; `usable` (K,) as `usable_rows` says."""
    used = jnp.sum(usable, dtype=jnp.int32)
    valid = jnp.sum(outcome.valid, dtype=jnp.int32)
    return Tally(episodes=tally.episodes + used, dropped=tally.dropped + valid - used)


def fold_rows(
    absorb: Callable[[Carry, jax.Array, jax.Array], Carry], carry: Carry, usable: jax.Array, chunk: int
) -> Carry:
    """Folds `absorb(carry, rows, fresh)` over the True rows of `usable` (K,), in order.

    Args:
      absorb: receives row indices (M,), of which the first `fresh` () int32 are meant; the others repeat the last
        row of the outcome and must be ignored.
      carry: returned as it is where no row is usable.
      chunk: most rows per call, static; M = min(chunk, K).
    """
    num_rows = usable.shape[0]
    if num_rows == 0:
        return carry
    width = min(chunk, num_rows)
    rank = jnp.cumsum(usable, dtype=jnp.int32)  # 1-based position among the usable rows
    total = rank[-1]

    def visit(loop: tuple[jax.Array, Carry]) -> tuple[jax.Array, Carry]:
        done, carry = loop
        wanted = done + jnp.arange(1, width + 1, dtype=jnp.int32)
        rows = jnp.minimum(jnp.searchsorted(rank, wanted), num_rows - 1)
        return done + width, absorb(carry, rows, jnp.minimum(total - done, width))

    return jax.lax.while_loop(lambda loop: loop[0] < total, visit, (jnp.zeros((), jnp.int32), carry))[1]
