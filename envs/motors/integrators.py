"""Fixed-step integrators of autonomous differential equations whose state is a pytree of scalars.

Stages and few substeps are unrolled: a step then is one chain of element-wise operations, which a compiler fuses.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Derivative = Callable[[Any], Any]

# Tsitouras 2011, "Runge-Kutta pairs of order 5(4)", table 1; the fifth-order weights.
TSIT5_STAGES = (
    (0.161,),
    (-0.008480655492356989, 0.335480655492357),
    (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
    (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
    (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
)
TSIT5_WEIGHTS = (
    0.09646076681806523,
    0.01,
    0.4798896504144996,
    1.379008574103742,
    -3.290069515436081,
    2.324710524099774,
)


def euler(derivative: Derivative, y: Any, dt: Any) -> Any:
    """One explicit Euler step."""
    return _moved(y, dt, ((1.0, derivative(y)),))


def rk4(derivative: Derivative, y: Any, dt: Any) -> Any:
    """One step of the classical fourth-order Runge-Kutta method."""
    k1 = derivative(y)
    k2 = derivative(_moved(y, dt, ((0.5, k1),)))
    k3 = derivative(_moved(y, dt, ((0.5, k2),)))
    k4 = derivative(_moved(y, dt, ((1.0, k3),)))
    return _moved(y, dt, ((1 / 6, k1), (1 / 3, k2), (1 / 3, k3), (1 / 6, k4)))


def tsit5(derivative: Derivative, y: Any, dt: Any) -> Any:
    """One fifth-order step of Tsitouras 2011."""
    slopes = [derivative(y)]
    for row in TSIT5_STAGES:
        slopes.append(derivative(_moved(y, dt, tuple(zip(row, slopes, strict=True)))))
    return _moved(y, dt, tuple(zip(TSIT5_WEIGHTS, slopes, strict=True)))


UNROLLED = 8  # substeps up to which unrolling pays

METHODS: dict[str, Callable[[Derivative, Any, Any], Any]] = {"euler": euler, "rk4": rk4, "tsit5": tsit5}


def integrate(method: str, derivative: Derivative, y: Any, duration: Any, substeps: int) -> Any:
    """`y` after `duration` [s], by `substeps` equal steps of a method of `METHODS`."""
    step, dt = METHODS[method], duration / substeps
    if substeps <= UNROLLED:
        for _ in range(substeps):
            y = step(derivative, y, dt)
        return y
    return jax.lax.fori_loop(0, substeps, lambda _, y: step(derivative, y, dt), jax.tree.map(jnp.asarray, y))


def _moved(y: Any, dt: Any, weighted: tuple[tuple[float, Any], ...]) -> Any:
    """y + dt * sum(weight * slope)."""
    weights, slopes = zip(*weighted, strict=True)

    def move(start: jax.Array, *slope: jax.Array) -> jax.Array:
        return start + dt * sum(w * k for w, k in zip(weights, slope, strict=True))

    return jax.tree.map(move, y, *slopes)
