"""From measured quantities and references to what the agent sees, and the space that holds it.

Letters: S measured quantities, R references, H steps of preview, A action entries.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import Space, spaces

from .layout import Layout


@dataclasses.dataclass(frozen=True)
class Observation:
    """What is shown, in this order: measurements, references (present, then preview), previous action.

    Attributes:
      layout: of the measurements.
      references: names of the referenced quantities.
      preview: H.
      angle: "wrapped" shows the angle as a share of pi, "cos_sin" its cosine and sine in its place.
      previous_action: () none, or the largest value of every entry of an action.
      as_tuple: (measurements, references) apart, as gym-electric-motor has it.
    """

    layout: Layout
    references: tuple[str, ...]
    preview: int = 0
    angle: str = "wrapped"
    previous_action: tuple[float, ...] = ()
    as_tuple: bool = False

    def __post_init__(self) -> None:
        if self.angle not in ("wrapped", "cos_sin"):
            raise ValueError(f"angle={self.angle!r}; expected 'wrapped' or 'cos_sin'")

    @property
    def _turned(self) -> int | None:
        """Position of an angle that is shown as cosine and sine."""
        names = self.layout.names
        return names.index("epsilon") if self.angle == "cos_sin" and "epsilon" in names else None

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the measurements as shown."""
        names, turned = self.layout.names, self._turned
        if turned is None:
            return names
        return (*names[:turned], "cos(epsilon)", "sin(epsilon)", *names[turned + 1 :])

    @property
    def names(self) -> tuple[str, ...]:
        """One name per entry of a flat observation."""
        ahead = [
            f"{name}*" if h == 0 else f"{name}*[+{h}]" for h in range(self.preview + 1) for name in self.references
        ]
        return (*self.state_names, *ahead, *(f"action[{i}]" for i in range(len(self.previous_action))))

    @property
    def space(self) -> Space:
        """A float32 Box, or a Tuple of two."""
        bounds, turned = list(self.layout.bounds), self._turned
        if turned is not None:
            bounds[turned : turned + 1] = [1.0, 1.0]
        ahead = [1.0] * (len(self.references) * (self.preview + 1))
        if self.as_tuple:
            return spaces.Tuple((_box(bounds), _box(ahead)))
        return _box([*bounds, *ahead, *self.previous_action])

    def show(
        self, measured: jax.Array, shown: jax.Array, previous: jax.Array | None
    ) -> jax.Array | tuple[jax.Array, ...]:
        """The observation.

        Args:
          measured: (S,) normalised.
          shown: (H + 1, R) references.
          previous: (A,) action, if it is shown.
        """
        bounds = jnp.asarray(self.layout.bounds, measured.dtype)
        state, turned = jnp.clip(measured, -bounds, bounds), self._turned
        if turned is not None:
            angle = math.pi * state[turned : turned + 1]
            state = jnp.concatenate([state[:turned], jnp.cos(angle), jnp.sin(angle), state[turned + 1 :]])
        if self.as_tuple:
            return state, shown.ravel()
        parts = [state, shown.ravel()]
        if self.previous_action:
            assert previous is not None
            parts.append(jnp.ravel(previous).astype(measured.dtype))
        return jnp.concatenate(parts)


def _box(bounds: list[float]) -> spaces.Box:
    high = np.array(bounds, np.float32)
    return spaces.Box(-high, high, dtype=np.float32)
