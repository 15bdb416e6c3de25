"""From a flat observation back to physical quantities.

Letters: O observation.
"""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import struct

from ...errors import OptionError
from ..env import Motor
from ..transforms import Angle


class Reading(struct.PyTreeNode):
    """What an observation says, SI units; scalars ()."""

    values: Mapping[str, jax.Array]  # every measured quantity but the angle
    omega: jax.Array  # [rad/s] mechanical
    u_sup: jax.Array  # [V]
    angle: Angle | None  # electrical rotor angle
    references: tuple[jax.Array, ...]  # of the referenced quantities


@dataclasses.dataclass(frozen=True)
class Reader:
    """Undoes the normalisation of one drive's observations.

    Attributes:
      names: of the measurements, as shown.
      limits: what each was divided by; 1 for the cosine and sine of the angle.
      references: what each reference was divided by.
    """

    names: tuple[str, ...]
    limits: tuple[float, ...]
    references: tuple[float, ...]

    def __call__(self, obs: jax.Array | tuple[jax.Array, ...]) -> Reading:
        """The reading of an observation (O,), or of (measurements, references)."""
        flat = jnp.concatenate(obs) if isinstance(obs, tuple) else obs
        values = {name: flat[i] * limit for i, (name, limit) in enumerate(zip(self.names, self.limits, strict=True))}
        start = len(self.names)
        references = tuple(flat[start + i] * limit for i, limit in enumerate(self.references))
        return Reading(
            values=values,
            omega=values["omega"],
            u_sup=values["u_sup"],
            angle=_angle(values),
            references=references,
        )


def _angle(values: Mapping[str, jax.Array]) -> Angle | None:
    if "epsilon" in values:
        return Angle.of(values["epsilon"])
    if "cos(epsilon)" not in values:
        return None
    cos, sin = values["cos(epsilon)"], values["sin(epsilon)"]
    return Angle(value=jnp.arctan2(sin, cos), cos=cos, sin=sin)


def make_reader(env: Motor) -> Reader:
    """The reader of `env`'s observations.

    Raises:
      OptionError: a drive at three supply phases, which has no single supply voltage.
    """
    layout, shown = env.layout, env.observed.state_names
    if "u_sup" not in shown:
        raise OptionError("supply='ac3'; expected a supply with one voltage for a controller", key="supply")
    limits = {"cos(epsilon)": 1.0, "sin(epsilon)": 1.0, "epsilon": math.pi}
    return Reader(
        names=shown,
        limits=tuple(limits[n] if n in limits else layout.limit(n) for n in shown),
        references=tuple(layout.limit(n) for n in env.observed.references),
    )
