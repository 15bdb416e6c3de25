"""Work that is done only at times, without being done in vain where learners are batched."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def when(due: jax.Array, work: Callable[..., tuple[Any, Any]], state: Any, *arguments: Any) -> tuple[Any, Any]:
    """`work(state, *arguments)` where `due`, else the state as it is beside zeros.

    Under `vmap`, `lax.cond` would do the work always and drop it where it is not due. Here nothing is done while no
    learner of the batch is due, as in the warm-up that all of them share.

    Args:
      due: () bool.
      work: returns (state, report); closes over no traced values.
    """

    def idle(state: Any, *arguments: Any) -> tuple[Any, Any]:
        _, report = jax.eval_shape(work, state, *arguments)
        return state, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), report)

    @custom_vmap
    def one(due: jax.Array, state: Any, arguments: Any) -> tuple[Any, Any]:
        return jax.lax.cond(due, lambda: work(state, *arguments), lambda: idle(state, *arguments))

    @one.def_vmap
    def many(axis_size: int, is_batched: list[Any], *operands: Any) -> tuple[Any, Any]:
        def spread(x: jax.Array, batched: bool) -> jax.Array:
            return x if batched else jnp.broadcast_to(x, (axis_size, *x.shape))

        due, state, arguments = jax.tree.map(spread, operands, tuple(is_batched))

        def done() -> tuple[Any, Any]:
            choose = jax.vmap(lambda d, new, old: jax.tree.map(lambda a, b: jnp.where(d, a, b), new, old))
            return choose(due, jax.vmap(work)(state, *arguments), idle_rows())

        def idle_rows() -> tuple[Any, Any]:
            return jax.vmap(idle)(state, *arguments)

        out = jax.lax.cond(jnp.any(due), done, idle_rows)
        return out, jax.tree.map(lambda _: True, out)

    result: tuple[Any, Any] = one(due, state, arguments)
    return result
