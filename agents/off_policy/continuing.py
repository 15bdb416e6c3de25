"""Going on from what another learner, perhaps of another kind, has learned."""

from typing import Any

import jax
import jax.numpy as jnp

from ...envs.errors import OptionError, short
from .contract import Learned

ACTING = ("actor", "temperature")


def carry_over(fresh: Learned, start: Learned, with_optimizers: bool) -> Learned:
    """`fresh` with every network that `start` has, too: its parameters, its target and, if asked, its optimiser.

    What only `start` has (CQL's weight, IQL's value) is dropped; what only `fresh` has begins as it is.

    Raises:
      OptionError: networks of other shapes.
    """
    known = [name for name in fresh.params if name in start.params]
    for name in known:
        _require_same(name, fresh.params[name], start.params[name])
    take = lambda new, old, names: dict(new) | {name: old[name] for name in names if name in old}  # noqa: E731
    return fresh.replace(
        params=take(fresh.params, start.params, known),
        target_params=take(fresh.target_params, start.target_params, fresh.target_params),
        opt_state=take(fresh.opt_state, start.opt_state, known) if with_optimizers else fresh.opt_state,
    )


def hold_still(frozen: jax.Array, after: Learned, before: Learned) -> Learned:
    """`after` with actor and temperature as they were `before` where `frozen` () bool."""

    def keep(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
        names = [name for name in ACTING if name in new]
        choose = lambda a, b: jnp.where(frozen, b, a)  # noqa: E731
        return dict(new) | {name: jax.tree.map(choose, new[name], old[name]) for name in names}

    return after.replace(params=keep(after.params, before.params), opt_state=keep(after.opt_state, before.opt_state))


def _require_same(name: str, fresh: Any, start: Any) -> None:
    shapes = [jax.tree.map(lambda x: x.shape, tree) for tree in (fresh, start)]
    if shapes[0] != shapes[1]:
        raise OptionError(
            f"network {name!r} to begin from has the shapes {short(shapes[1])}; expected {short(shapes[0])}",
            hint="Give the learner the networks, num_critics and environment of the run it begins from.",
            key="start",
        )
