"""Current controllers that choose switching states: finite-set model predictive control and hysteresis.

Letters: K switching states of all bridges together.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..converters import FINITE_ACTIONS, Converter
from .plant import Axes, Plant, Situation
from .prediction import Model

VIOLATION = 1e3  # cost of a current's excess over its limit
LEGS = {
    "1QC": ((0,), (1,)),
    "2QC": ((0,), (1,), (2,)),
    "4QC": ((1, 1), (1, 0), (0, 1), (0, 0)),
    "B6": tuple(itertools.product((0, 1), repeat=3)),
}  # switch positions of every action


@dataclasses.dataclass(frozen=True)
class Predictive:
    """Tries every switching state on the model and takes the best.

    Cost of a state: squared errors divided by limits, `switching` per leg that changes, and `VIOLATION` times the
    squared excess over a limit. Ties go to fewer changes, then to the lower index.

    Attributes:
      plant: the family.
      model: one-period prediction.
      converter: the environment's.
      scales: what the error of each axis is divided by.
      switching: cost of a leg's change.
      horizon: periods; all K^horizon sequences are tried with constant targets.
    """

    plant: Plant
    model: Model
    converter: Converter
    scales: tuple[float, ...]
    switching: float = 0.0
    horizon: int = 1

    @functools.cached_property
    def actions(self) -> np.ndarray:
        """(K, bridges) every combination of the bridges' states."""
        counts = [range(FINITE_ACTIONS[bridge]) for bridge in self.converter.bridges]
        return np.array(list(itertools.product(*counts)), np.int32)

    @functools.cached_property
    def changes(self) -> np.ndarray:
        """(K, K) how many legs change from one state to another."""
        legs = np.array(
            [
                [leg for bridge, a in zip(self.converter.bridges, action, strict=True) for leg in LEGS[bridge][a]]
                for action in self.actions
            ]
        )
        return np.sum(legs[:, None] != legs[None], axis=-1).astype(np.int32)

    def init(self, dtype: Any) -> jax.Array:
        """() int32 index of the last state."""
        return jnp.zeros((), jnp.int32)

    def __call__(self, last: jax.Array, target: Axes, now: Situation) -> tuple[jax.Array, jax.Array, Axes]:
        """(state, action, terminal voltages [V]); `now` is the situation when the action takes effect."""
        costs = self.costs(now, target, last, self.horizon)
        best = jnp.min(costs)
        ties = costs <= best + 1e-6 * (1 + best)
        count = len(self.actions)
        order = jnp.asarray(self.changes)[last] * count + jnp.arange(count, dtype=jnp.int32)
        choice = jnp.argmin(jnp.where(ties, order, count * count)).astype(jnp.int32)
        action = self._shaped(jnp.asarray(self.actions)[choice])
        return choice, action, self.terminals(action, now)

    def costs(self, now: Situation, target: Axes, last: jax.Array, horizon: int) -> jax.Array:
        """(K,) of every next state, with the best continuation."""

        def one(action: jax.Array) -> tuple[Situation, jax.Array]:
            then = self.model.after(now, self.terminals(self._shaped(action), now))
            return then, self._cost(then, target)

        then, costs = jax.vmap(one)(jnp.asarray(self.actions))
        if self.switching:
            costs = costs + self.switching * jnp.asarray(self.changes)[last].astype(costs.dtype)
        if horizon == 1:
            return costs

        def onward(after: Situation, index: jax.Array) -> jax.Array:
            return jnp.min(self.costs(after, target, index, horizon - 1))

        # What the speed and the supply do not change is not batched.
        axes = jax.tree.map(lambda _: 0, then)
        return costs + jax.vmap(onward, (axes, 0))(then, jnp.arange(len(self.actions), dtype=jnp.int32))

    def _cost(self, then: Situation, target: Axes) -> jax.Array:
        reached = self.plant.controlled(then)
        cost = jnp.zeros_like(then.omega)
        for goal, value, scale in zip(target, reached, self.scales, strict=True):
            cost = cost + jnp.square((goal - value) / scale)
        for square in self.plant.loading(then):
            cost = cost + VIOLATION * jnp.square(jnp.maximum(square - 1, 0.0))
        return cost

    def terminals(self, action: jax.Array, now: Situation) -> Axes:
        """Terminal voltages [V] of an action."""
        currents = self.plant.machine.terminal_currents(now.x, now.angle, self.plant.params)
        legs = self.converter.legs_wanted(action)
        shares, _ = self.converter.outputs(action, legs, currents, 0.0)
        return tuple(share * now.u_sup for share in shares)

    def _shaped(self, action: jax.Array) -> jax.Array:
        return action if len(self.converter.bridges) > 1 else action[0]


@dataclasses.dataclass(frozen=True)
class Hysteresis:
    """Three points per current: supply, none, supply reversed, as the error leaves a band.

    Attributes:
      plant: a commutator machine.
      converter: the environment's.
      band: share of the limit.
    """

    plant: Plant
    converter: Converter
    band: float = 0.01

    def init(self, dtype: Any) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def __call__(self, state: tuple[()], target: Axes, now: Situation) -> tuple[tuple[()], jax.Array, Axes]:
        """(state, action, terminal voltages [V])."""
        choices, voltages = [], []
        for bridge, goal, value, limit in zip(
            self.converter.bridges, target, self.plant.controlled(now), self.plant.limits, strict=False
        ):
            error = goal - value
            too_low, too_high = error > self.band * limit, error < -self.band * limit
            down = FINITE_ACTIONS[bridge] > 2
            choices.append(jnp.where(too_low, 1, jnp.where(too_high & down, 2, 0)).astype(jnp.int32))
            sign = jnp.where(too_low, 1.0, jnp.where(too_high & (bridge == "4QC"), -1.0, 0.0)).astype(error.dtype)
            voltages.append(sign * now.u_sup)
        action = jnp.stack(choices) if len(self.converter.bridges) > 1 else choices[0]
        return state, action, tuple(voltages)
