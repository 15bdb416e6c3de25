"""Limits that end an episode.

Source: gym-electric-motor 3.0.3, `constraints.py`. Differs: each limit is named when it is exceeded; soft limits are an
addition.

Letters: S measured quantities, C limits.
"""

import dataclasses

import jax
import jax.numpy as jnp

from .layout import Layout

SATURATION = 10.0  # largest magnitude of a normalised measurement; beyond, the simulation has diverged


@dataclasses.dataclass(frozen=True)
class Limit:
    """One quantity's magnitude, or with several the length of their vector, must stay below its limit.

    Attributes:
      names: the quantities.
      soft: share of the limit from which the reward is taken away gradually; 1 for a hard limit.
    """

    names: tuple[str, ...]
    soft: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.soft <= 1:
            raise ValueError(f"soft={self.soft}; expected a share in (0, 1]")

    @property
    def label(self) -> str:
        """How `info["end_reason"]` calls it."""
        if len(self.names) == 1:
            return f"|{self.names[0]}| above its limit"
        return f"|({', '.join(self.names)})| above its limit"

    def degree(self, measured: jax.Array, layout: Layout) -> jax.Array:
        """() how far the limit is violated: 0 not at all, 1 and the episode is over.

        Args:
          measured: (S,) normalised.
        """
        values = [measured[layout.index(name)] for name in self.names]
        if len(values) == 1:
            size, exceeded = jnp.abs(values[0]), jnp.abs(values[0]) > 1
        else:
            square = jnp.sum(jnp.square(jnp.stack(values)))
            size, exceeded = jnp.sqrt(square), square > 1
        if self.soft == 1.0:
            return exceeded.astype(measured.dtype)
        return jnp.clip((size - self.soft) / (1 - self.soft), 0.0, 1.0)


def degrees(limits: tuple[Limit, ...], measured: jax.Array, layout: Layout) -> jax.Array:
    """(C + 1,) degree of every limit's violation, and last whether the simulation diverged.

    Args:
      measured: (S,) normalised, after `saturate`.
    """
    diverged = jnp.any(jnp.abs(measured) >= SATURATION).astype(measured.dtype)
    return jnp.stack([*(limit.degree(measured, layout) for limit in limits), diverged])


def saturate(measured: jax.Array) -> jax.Array:
    """Measurements within +-SATURATION; numbers that are none saturate, too."""
    return jnp.where(jnp.isnan(measured), SATURATION, jnp.clip(measured, -SATURATION, SATURATION))
