"""Which currents make a torque: least copper loss, and what the supply voltage leaves of it.

All functions work on scalars () and are monotone searches with a fixed number of steps.

Source: closed forms as in D. Schröder, "Elektrische Antriebe - Regelung von Antriebssystemen"; the searches are ours.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..transforms import Scalar

STEPS = 32  # halvings of a search: float32 has no more
TINY = 1e-12


def last_before(is_beyond: Callable[[jax.Array], jax.Array], high: jax.Array) -> jax.Array:
    """The largest x in [0, high] for which `is_beyond`, false and then true, is still false; `high` if it never is."""

    def halve(_: Any, interval: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, top = interval
        middle = 0.5 * (low + top)
        beyond = is_beyond(middle)
        return jnp.where(beyond, low, middle), jnp.where(beyond, middle, top)

    low, top = jax.lax.fori_loop(0, STEPS, halve, (jnp.zeros_like(high), high))
    return jnp.where(is_beyond(high), low, top)


def best_direct(flux: Scalar, saliency: Scalar, current: Scalar) -> jax.Array:
    """i_d [A] of the largest torque `(flux + saliency i_d) i_q` at a current's length [A].

    `i_d = (-flux + sqrt(flux^2 + 8 saliency^2 I^2)) / (4 saliency)`, written so that it also holds without saliency
    or without flux.
    """
    root = jnp.sqrt(jnp.square(jnp.asarray(flux)) + 8 * jnp.square(jnp.asarray(saliency) * current))
    return 2 * saliency * jnp.square(jnp.asarray(current)) / jnp.maximum(flux + root, TINY)


def quadrature(direct: jax.Array, length: Scalar) -> jax.Array:
    """The other component of a vector of a given length, 0 if the first is already longer."""
    return jnp.sqrt(jnp.maximum(jnp.square(jnp.asarray(length)) - jnp.square(direct), 0.0))


def least_current(effort: jax.Array, flux: float, saliency: float, limit: float) -> tuple[jax.Array, jax.Array]:
    """(i_d, i_q) [A], i_q >= 0, of the shortest current with `(flux + saliency i_d) i_q = effort`, at most `limit`.

    Maximum torque per ampere: the closed form at every length, the length by halving.
    """

    def too_much(length: jax.Array) -> jax.Array:
        i_d = best_direct(flux, saliency, length)
        return (flux + saliency * i_d) * quadrature(i_d, length) > effort

    length = last_before(too_much, jnp.full_like(effort, limit))
    i_d = best_direct(flux, saliency, length)
    return i_d, quadrature(i_d, length)


def weakened(
    effort: jax.Array,
    start: tuple[jax.Array, jax.Array],
    most_flux: jax.Array,
    flux: float,
    l_d: float,
    l_q: float,
    limit: float,
) -> tuple[jax.Array, jax.Array]:
    """(i_d, i_q) [A] with the torque of `start` as far as the voltage allows, i_q >= 0.

    Follows the circle of the largest stator flux towards negative i_d until the torque is reached, no more torque can
    be had (maximum torque per flux), or the current is at its limit.

    Args:
      effort: [V s A] `(flux + (l_d - l_q) i_d) i_q` that is asked for.
      start: the currents without regard to voltage.
      most_flux: [V s] length of the stator flux that the voltage allows at this speed.
      flux: [V s] of the magnets.
      l_d, l_q: [H]
      limit: [A] longest current.
    """
    saliency = l_d - l_q
    across = (flux * (1 - saliency / l_d), saliency / (l_d * l_q))  # effort in flux coordinates
    mtpf = best_direct(across[0] / l_q, across[1], most_flux)
    widest = (most_flux - flux) / l_d
    low = jnp.maximum((mtpf - flux) / l_d, -limit)
    high = jnp.where(start[0] < low, widest, jnp.minimum(start[0], widest))
    span = jnp.maximum(high - low, 0.0)

    def on_circle(moved: jax.Array) -> tuple[jax.Array, jax.Array]:
        i_d = high - moved
        return i_d, quadrature(flux + l_d * i_d, most_flux) / l_q

    def enough(moved: jax.Array) -> jax.Array:
        i_d, i_q = on_circle(moved)
        return ((flux + saliency * i_d) * i_q > effort) | (i_d * i_d + i_q * i_q > limit * limit)

    i_d, i_q = on_circle(last_before(enough, span))
    i_d = jnp.clip(i_d, -limit, limit)
    i_q = jnp.minimum(i_q, quadrature(i_d, limit))
    fits = jnp.square(flux + l_d * start[0]) + jnp.square(l_q * start[1]) <= jnp.square(most_flux)
    return jnp.where(fits, start[0], i_d), jnp.where(fits, start[1], i_q)
