"""From references to targets of the current controllers: as they are, through torque, or through speed and torque."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from .plant import Axes, Plant, Situation


@dataclasses.dataclass(frozen=True)
class CurrentTargets:
    """Currents are the references; those without one shall be 0.

    Attributes:
      plant: the family.
      sources: per axis, which reference it follows; -1 for none.
    """

    plant: Plant
    sources: tuple[int, ...]

    def init(self, dtype: Any) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def __call__(self, state: tuple[()], references: Axes, now: Situation) -> tuple[tuple[()], Axes]:
        """(state, targets)."""
        zero = jnp.zeros_like(now.omega)
        return state, self.plant.within(tuple(references[s] if s >= 0 else zero for s in self.sources), now)


@dataclasses.dataclass(frozen=True)
class TorqueTargets:
    """The operating point of the torque that is the reference."""

    plant: Plant

    def init(self, dtype: Any) -> tuple[()]:
        """Nothing to remember."""
        return ()

    def __call__(self, state: tuple[()], references: Axes, now: Situation) -> tuple[tuple[()], Axes]:
        """(state, targets)."""
        return state, self.plant.operate(references[0], now)[0]


class SpeedState(struct.PyTreeNode):
    """Of the speed controller; ()."""

    torque: jax.Array  # [N m] integral
    reference: jax.Array  # [rad/s] behind the prefilter


@dataclasses.dataclass(frozen=True)
class SpeedTargets:
    """PI control of the speed by the operating point's torque.

    The integral stands still while the machine cannot make the torque and would be driven further.

    Attributes:
      plant: the family.
      proportional: [N m s/rad]
      integral: [N m/rad]
      most: [N m] torque to ask for.
      prefilter: [s] time constant of a low pass for the reference, 0 for none.
    """

    plant: Plant
    proportional: float
    integral: float
    most: float
    prefilter: float = 0.0

    def init(self, dtype: Any) -> SpeedState:
        """At rest."""
        return SpeedState(torque=jnp.zeros((), dtype), reference=jnp.zeros((), dtype))

    def __call__(self, state: SpeedState, references: Axes, now: Situation) -> tuple[SpeedState, Axes]:
        """(state, targets)."""
        tau = self.plant.tau
        reference = state.reference + tau / (tau + self.prefilter) * (references[0] - state.reference)
        error = reference - now.omega
        wanted = self.proportional * error + state.torque
        targets, made = self.plant.operate(jnp.clip(wanted, -self.most, self.most), now)
        excess = wanted - made
        winds_up = (jnp.abs(excess) > 1e-3 * self.most) & (error * excess > 0)
        torque = state.torque + jnp.where(winds_up, 0.0, tau * self.integral * error)
        torque = jnp.clip(torque, -self.most, self.most)
        return SpeedState(torque=torque, reference=reference), targets
