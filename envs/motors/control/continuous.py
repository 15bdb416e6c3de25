"""Current controllers that choose voltages: proportional-integral and deadbeat.

Letters: none; tuples of scalars () over the plant's axes.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .gains import Gains, Matrix
from .plant import Axes, Plant, Situation
from .prediction import Model


@dataclasses.dataclass(frozen=True)
class CurrentPI:
    """PI control of every axis with feed-forward of what couples them.

    Attributes:
      plant: the family.
      gains: of the axes.
      back_calculation: integrate the error whose voltage the limit would just have let pass, so that the integral's
        zero goes on cancelling the winding's time constant; otherwise an integral stands still while its axis is
        limited and would be driven further.
    """

    plant: Plant
    gains: Gains
    back_calculation: bool = False

    def init(self, dtype: Any) -> Axes:
        """The integrals [V]."""
        return (jnp.zeros((), dtype),) * len(self.gains.integral)

    def __call__(self, integral: Axes, target: Axes, now: Situation) -> tuple[Axes, Axes]:
        """(integrals, voltages [V] of the axes)."""
        plant = self.plant
        present = plant.controlled(now)
        error = tuple(t - y for t, y in zip(target, present, strict=True))
        ahead = plant.back_emf(now, plant.frame(now)[1])
        hold = tuple(r * y + emf for r, y, emf in zip(plant.resistance, present, ahead, strict=True))
        wanted = tuple(
            sum(k * e for k, e in zip(row, error, strict=True)) + i + emf
            for row, i, emf in zip(self.gains.proportional, integral, ahead, strict=True)
        )
        voltages = plant.limited(wanted, hold, now)  # type: ignore[arg-type]
        excess = tuple(u - v for u, v in zip(wanted, voltages, strict=True))
        return self._integrated(integral, error, excess), voltages  # type: ignore[arg-type]

    def _integrated(self, integral: Axes, error: Axes, excess: Axes) -> Axes:
        tau = self.plant.tau
        if self.back_calculation:
            error = tuple(
                e - sum(k * over for k, over in zip(row, excess, strict=True))
                for e, row in zip(error, self.errors_per_voltage, strict=True)
            )
            return tuple(i + tau * k * e for i, k, e in zip(integral, self.gains.integral, error, strict=True))
        moved = []
        for i, k, e, over in zip(integral, self.gains.integral, error, excess, strict=True):
            winds_up = (jnp.abs(over) > 1e-6 * (1 + jnp.abs(i))) & (e * over > 0)
            moved.append(i + jnp.where(winds_up, 0.0, tau * k * e))
        return tuple(moved)

    @functools.cached_property
    def errors_per_voltage(self) -> Matrix:
        """Errors per voltage [A/V]."""
        inverse = np.linalg.inv(np.array(self.gains.proportional))
        return tuple(tuple(float(entry) for entry in row) for row in inverse)


@dataclasses.dataclass(frozen=True)
class Deadbeat:
    """The voltages that bring every axis to its target in one period, at constant speed and with the true parameters.

    `i(k+1)` is affine in the voltages; they solve the linear system that the model's own integration step gives.
    Differs from the textbook's `u = L / tau (i* - i) + R i + e`: no error of the Euler step.
    """

    plant: Plant
    model: Model

    def init(self, dtype: Any) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def __call__(self, state: tuple[()], target: Axes, now: Situation) -> tuple[tuple[()], Axes]:
        """(state, voltages [V] of the axes); `now` is the situation when the voltages take effect."""
        plant = self.plant

        def after(voltages: Axes) -> Axes:
            then = self.model.after(now, plant.terminals(voltages, now, plant.middle))
            return plant.in_frame(then, frame)

        none = (jnp.zeros_like(now.omega),) * len(target)
        start = self.model.after(now, plant.terminals(none, now, plant.middle))
        frame = plant.frame(start)[0]
        rest, response = jax.linearize(after, none)
        columns = []
        for axis in range(len(none)):
            one = tuple(jnp.ones_like(u) if i == axis else u for i, u in enumerate(none))
            columns.append(response(one))
        wanted = solved(columns, [t - r for t, r in zip(target, rest, strict=True)], plant.bounds(now))
        hold = solved(columns, [y - r for y, r in zip(plant.controlled(now), rest, strict=True)], plant.bounds(now))
        return state, plant.limited(tuple(wanted), tuple(hold), now)


def solved(columns: list[Axes], right: list[jax.Array], bounds: tuple[jax.Array | float, ...]) -> list[jax.Array]:
    """x of `sum_j columns[j] x[j] = right`, by elimination without pivots, the last x first and each within +-bounds.

    A response to voltages is dominated by its diagonal, and few scalars fuse where a library call would not.
    """
    size = len(right)
    rows = [[columns[j][i] for j in range(size)] for i in range(size)]
    right = list(right)
    for i in range(size):
        for k in range(i + 1, size):
            factor = rows[k][i] / rows[i][i]
            rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
            right[k] = right[k] - factor * right[i]
    for i in reversed(range(size)):
        known = sum((rows[i][j] * right[j] for j in range(i + 1, size)), start=jnp.zeros_like(right[i]))
        right[i] = jnp.clip((right[i] - known) / rows[i][i], -bounds[i], bounds[i])
    return right
