"""Commutator machines in the controller's view: currents at terminals, no frame."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from .gains import Matrix
from .plant import RESERVE, Axes, Plant, Situation, diagonal, guarded

LEAST_EXCITATION = 1e-4  # [A] below which a torque asks for no more armature current


@dataclasses.dataclass(frozen=True)
class Commutator(Plant):
    """What the four machines share: every axis has its terminal."""

    def within(self, targets: Axes, now: Situation) -> Axes:
        return tuple(jnp.clip(i, -limit, limit) for i, limit in zip(targets, self.limits, strict=True))

    def loading(self, now: Situation) -> Axes:
        currents = (getattr(now.x, field.name) for field in dataclasses.fields(self.machine.State))
        return tuple(jnp.square(i / self.limits[0]) for i in currents)

    def limited(self, voltages: Axes, hold: Axes, now: Situation) -> Axes:
        low = [0.0 if bridge in ("1QC", "2QC") else -1.0 for bridge in self.bridges]
        low = low[:1] * len(voltages) if len(low) < len(voltages) else low
        bound = jnp.abs(now.u_sup)
        return tuple(jnp.clip(u, share * bound, bound) for u, share in zip(voltages, low, strict=True))

    def terminals(self, voltages: Axes, now: Situation, ahead: float) -> Axes:
        return voltages


@dataclasses.dataclass(frozen=True)
class Permanent(Commutator):
    """`u = r_a i + l_a di/dt + psi_e omega`."""

    @property
    def inductance(self) -> Matrix:
        return diagonal(self.params.l_a)

    @property
    def resistance(self) -> tuple[float, ...]:
        return (self.params.r_a,)

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        return (self.params.psi_e * now.omega,)

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        targets = self.within((torque / self.params.psi_e,), now)
        return targets, self.params.psi_e * targets[0]


@dataclasses.dataclass(frozen=True)
class Series(Commutator):
    """`u = (r_a + r_e) i + (l_a + l_e) di/dt + l_e' omega i`; torque has one sign."""

    @property
    def inductance(self) -> Matrix:
        return diagonal(self.params.l_a + self.params.l_e)

    @property
    def resistance(self) -> tuple[float, ...]:
        return (self.params.r_a + self.params.r_e,)

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        return (self.params.l_e_prime * now.omega * now.x.i,)

    def torque_delay(self, u_sup: float) -> float:
        """A tenth of the time in which the supply removes the largest current.

        This machine cannot brake: what its slow current still gains after the speed is reached stays.
        """
        return 0.1 * self.inductance[0][0] * self.limits[0] / u_sup

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        current = jnp.sqrt(jnp.maximum(torque, 0.0) / self.params.l_e_prime)
        targets = self.within((current,), now)
        return targets, self.params.l_e_prime * jnp.square(targets[0])


@dataclasses.dataclass(frozen=True)
class Shunt(Permanent):
    """`u = r_a i_a + l_a di_a/dt + l_e' omega i_e`; the exciter at the same voltage follows."""

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        return (self.params.l_e_prime * now.omega * now.x.i_e,)

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        factor = self.params.l_e_prime * now.x.i_e
        targets = self.within((torque / guarded(factor, self.params.l_e_prime * LEAST_EXCITATION),), now)
        return targets, factor * targets[0]


@dataclasses.dataclass(frozen=True)
class Separate(Commutator):
    """The armature as of `Shunt`, and `u_e = r_e i_e + l_e di_e/dt`."""

    @property
    def inductance(self) -> Matrix:
        return diagonal(self.params.l_a, self.params.l_e)

    @property
    def resistance(self) -> tuple[float, ...]:
        return self.params.r_a, self.params.r_e

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        return self.params.l_e_prime * now.omega * now.x.i_e, jnp.zeros_like(now.omega)

    def bounds(self, now: Situation) -> tuple[jax.Array | float, ...]:
        return math.inf, jnp.abs(now.u_sup)

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        """Least copper loss: `i_e = sqrt(|T| sqrt(r_a / r_e) / l_e')`.

        More excitation where the armature current is at its limit, less where the voltage is.
        """
        sheet, size = self.params, jnp.abs(torque)
        frugal = jnp.sqrt(size * (sheet.r_a / sheet.r_e) ** 0.5 / sheet.l_e_prime)
        needed = size / (sheet.l_e_prime * self.limits[0])
        left = RESERVE * jnp.abs(now.u_sup) - sheet.r_a * jnp.abs(now.x.i_a)
        most = jnp.maximum(left, 0.0) / (sheet.l_e_prime * jnp.maximum(jnp.abs(now.omega), LEAST_EXCITATION))
        excitation = jnp.minimum(jnp.maximum(frugal, needed), most)
        factor = sheet.l_e_prime * jnp.maximum(now.x.i_e, LEAST_EXCITATION)
        targets = self.within((torque / factor, excitation), now)
        return targets, factor * targets[0]
