"""What the steps of the off-policy learners have in common.

Letters: E members of an ensemble, M of them drawn, U steps of an update, B transitions of each.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ..optimizer import Scalar, init_adam
from .contract import Learned
from .transitions import Transitions

ADAM_EPSILON = 1e-8


class Batches:
    """A learner that takes U batches of B transitions in one update.

    Attributes:
      utd: U.
      batch_size: B.
      needs_returns: whether transitions must say what their episodes returned; not unless a learner says so.
    """

    utd: int
    batch_size: int

    @property
    def rows(self) -> int:
        """Transitions in one `update`."""
        return self.utd * self.batch_size

    @property
    def needs_returns(self) -> bool:
        return False

    def parts(self, batch: Transitions) -> Transitions:
        """U * B transitions as (U, B, ...)."""
        parted: Transitions = jax.tree.map(lambda x: x.reshape(self.utd, self.batch_size, *x.shape[1:]), batch)
        return parted


def fresh(params: Mapping[str, Any], hyper: Any) -> Learned:
    """A learner that has not taken a step; critics, if there are any, have targets of their own."""
    return Learned(
        params=dict(params),
        target_params={name: jax.tree.map(jnp.copy, params[name]) for name in ("critic",) if name in params},
        opt_state={name: init_adam(tree, ADAM_EPSILON) for name, tree in params.items()},
        hyper=jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), hyper),
    )


def follow(learned: Learned, rate: Scalar) -> Learned:
    """Moves the target critics towards the critics, by `rate` of the way."""
    move = lambda new, old: rate * new + (1.0 - rate) * old  # noqa: E731
    moved = jax.tree.map(move, learned.params["critic"], learned.target_params["critic"])
    return learned.replace(target_params={"critic": moved})


def draw_members(key: jax.Array, count: int, total: int, may_repeat: bool = False) -> jax.Array:
    """Indices (M,) of M = `count` of E = `total` members; `key` is consumed."""
    if may_repeat:
        return jax.random.randint(key, (count,), 0, total)
    return jax.random.permutation(key, total)[:count]
