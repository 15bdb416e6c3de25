"""Induction machines in the controller's view: coordinates of the rotor flux, which is not measured.

The cage's flux is estimated from stator currents and speed; the wound rotor's follows from both windings' currents.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ..machines.induction import CurrentAndFlux
from ..transforms import Angle, clarke, direction, inverse_clarke, rotate, rotate_back
from .gains import Matrix
from .plant import RESERVE, Axes, Plant, Situation, ahead_of, length, shortened, square_of, toward
from .reader import Reading

FLUX_TIME = 5e-3  # [s] in which the flux controller removes an error
MAGNETISING = 0.7  # share of the current that may go into building flux: the rest already makes torque
LARGEST_SLIP = 0.3  # [rad] per period that a field may run ahead of the rotor
STALE_SLIP = 1.0  # the same where currents are controlled in the field of the step's start
LEAST_FLUX = 1e-4  # [V s] below which the field has no direction worth following


class FluxEstimate(struct.PyTreeNode):
    """Rotor flux and the currents that it was computed with, stator coordinates."""

    psi: tuple[jax.Array, jax.Array]  # [V s]
    current: tuple[jax.Array, jax.Array]  # [A]


@dataclasses.dataclass(frozen=True)
class Induction(Plant):
    """Squirrel cage machine.

    Flux observer: `dpsi/dt = (r_r / l_r) (l_m i - psi) + j p omega psi`, over a period by the exact exponential with
    the current's trapezoid. An Euler step would grow without bound above `p omega = sqrt(2 r_r / (l_r tau))`.

    gym-electric-motor reports currents in the field of the step's start. A small field turns so far in a period that a
    negative i_d can be reported for ever, which no current along the true field can be.

    Attributes:
      flux_rule: "rated" or "loss".
      stale_frame: control the currents in the field of the step's start.
    """

    flux_rule: str = "rated"
    stale_frame: bool = False

    @property
    def damping(self) -> float:
        """[1/s] of the rotor flux."""
        return self.params.r_r / self.params.l_r

    @property
    def coupling(self) -> float:
        """Stator flux per rotor flux."""
        return self.params.l_m / self.params.l_r

    @property
    def inductance(self) -> Matrix:
        return (self.params.leakage, 0.0), (0.0, self.params.leakage)

    @property
    def resistance(self) -> tuple[float, ...]:
        return self.params.resistance, self.params.resistance

    def initial_estimate(self, dtype: Any) -> Any:
        zero = jnp.zeros((), dtype)
        return FluxEstimate(psi=(zero, zero), current=(zero, zero))

    def estimate(self, estimate: Any, reading: Reading) -> tuple[Any, CurrentAndFlux]:
        current = clarke(*(reading.values[f"i_s{phase}"] for phase in "abc"))
        half = 0.5 * self.tau * self.damping * self.params.l_m
        started = tuple(psi + half * i for psi, i in zip(estimate.psi, estimate.current, strict=True))
        turn = Angle.of(self.params.p * reading.omega * self.tau)
        turned = rotate(started[0], started[1], turn)
        decay = jnp.exp(jnp.full_like(reading.omega, -self.damping * self.tau))
        psi = tuple(decay * psi + half * i for psi, i in zip(turned, current, strict=True))
        shown = estimate.psi if self.stale_frame else psi
        return FluxEstimate(psi=psi, current=current), CurrentAndFlux(*current, *shown)  # type: ignore[arg-type]

    def flux(self, now: Situation) -> jax.Array:
        """[V s] length of the rotor flux."""
        return length(now.x.psi_ralpha, now.x.psi_rbeta)

    def frame(self, now: Situation) -> tuple[Angle | None, jax.Array]:
        field = direction(now.x.psi_ralpha, now.x.psi_rbeta)
        i_q = rotate_back(now.x.i_salpha, now.x.i_sbeta, field)[1]
        slip = self.damping * self.params.l_m * i_q / jnp.maximum(self.flux(now), LEAST_FLUX)
        most = (STALE_SLIP if self.stale_frame else LARGEST_SLIP) / self.tau
        return field, self.params.p * now.omega + jnp.clip(slip, -most, most)

    def controlled(self, now: Situation) -> Axes:
        return self.in_frame(now, direction(now.x.psi_ralpha, now.x.psi_rbeta))

    def in_frame(self, now: Situation, frame: Angle | None) -> Axes:
        assert frame is not None
        return rotate_back(now.x.i_salpha, now.x.i_sbeta, frame)  # type: ignore[return-value]

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        i_d, i_q = self.controlled(now)
        leakage, psi = self.params.leakage, self.flux(now)
        return (
            -speed * leakage * i_q - self.coupling * self.damping * psi,
            speed * leakage * i_d + self.coupling * self.params.p * now.omega * psi,
        )

    def loading(self, now: Situation) -> Axes:
        return (square_of((now.x.i_salpha, now.x.i_sbeta)) / self.limits[0] ** 2,)

    def within(self, targets: Axes, now: Situation) -> Axes:
        """Within the limit, and without losing the field.

        Negative i_d removes flux and, once there is none, would build it in the opposite direction: the frame turns
        over and i_d is positive again. So flux is kept at `least_flux`, and i_q at what the slip allows.
        """
        psi, least, l_m = self.flux(now), self.least_flux, self.params.l_m
        i_d, i_q = shortened(targets, self.limits[0])
        if self.stale_frame:
            return i_d, i_q
        floor = (least + (least - psi) / (self.damping * FLUX_TIME)) / l_m
        most = LARGEST_SLIP / self.tau * psi / (self.damping * l_m)
        return shortened((jnp.maximum(i_d, floor), jnp.clip(i_q, -most, most)), self.limits[0])

    @property
    def least_flux(self) -> float:
        """[V s] with which the whole current as i_q makes the largest slip."""
        return self.damping * self.params.l_m * self.limits[0] * self.tau / LARGEST_SLIP

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        """i_d holds the flux, i_q makes the torque from the flux that there is.

        The flux is that of the largest torque ("rated") or of least copper loss for the torque asked for ("loss"), as
        far as the voltage allows at this speed.
        """
        sheet, limit, psi = self.params, self.limits[0], self.flux(now)
        factor = 1.5 * sheet.p * self.coupling
        goal = jnp.minimum(self._wanted_flux(jnp.abs(torque)), self._most_flux(now))
        i_d = (goal + (goal - psi) / (self.damping * FLUX_TIME)) / sheet.l_m
        i_d = jnp.clip(i_d, 0.0, MAGNETISING * limit)
        most = jnp.sqrt(limit * limit - i_d * i_d)
        most = jnp.minimum(most, LARGEST_SLIP / self.tau * psi / (self.damping * sheet.l_m))
        i_q = jnp.clip(torque / (factor * jnp.maximum(psi, LEAST_FLUX)), -most, most)
        return (i_d, i_q), factor * psi * i_q

    def _wanted_flux(self, torque: jax.Array) -> jax.Array:
        sheet, rated = self.params, self.params.l_m * self.limits[0] * 0.5**0.5
        if self.flux_rule == "rated":
            return jnp.full_like(torque, rated)
        ratio = (sheet.r_s / sheet.resistance) ** 0.5  # i_q per i_d of least loss
        direct = jnp.sqrt(torque / (1.5 * sheet.p * self.coupling * sheet.l_m * ratio))
        return jnp.clip(sheet.l_m * direct, 0.05 * rated, rated)

    def _most_flux(self, now: Situation) -> jax.Array:
        """[V s] beside which the voltage still drives the largest current through resistance and leakage."""
        sheet, limit = self.params, self.limits[0]
        voltage = RESERVE * self.reach * jnp.abs(now.u_sup)
        voltage = jnp.maximum(voltage - sheet.r_s * limit, 0.2 * voltage)
        stator = voltage / (sheet.p * jnp.maximum(jnp.abs(now.omega), 1e-4))
        aligned = jnp.sqrt(jnp.maximum(stator * stator - (sheet.leakage * limit) ** 2, 0.1 * stator * stator))
        return aligned * sheet.l_m / sheet.l_s

    def limited(self, voltages: Axes, hold: Axes, now: Situation) -> Axes:
        return toward(hold, voltages, self.reach * jnp.abs(now.u_sup))

    def terminals(self, voltages: Axes, now: Situation, ahead: float) -> Axes:
        field, speed = self.frame(now)
        assert field is not None
        return self.machine.terminals(voltages, ahead_of(field, speed, ahead * self.tau))


@dataclasses.dataclass(frozen=True)
class DoublyFed(Induction):
    """Doubly fed machine: the stator's converter drives the currents, the rotor's the flux.

    The third axis is the length of the rotor flux. The rotor's voltage lies in the flux's direction, so that it builds
    or removes flux within milliseconds and leaves the slip alone. In current control, where the stator current may
    have any direction, the flux stays so small that the rotor's currents keep their limit whatever the stator's are.
    """

    flux_share: float = 0.15  # of the supply voltage that the rotor's converter may take to change the flux
    rotor_limit: float = 0.0  # [A]

    @property
    def inductance(self) -> Matrix:
        leakage = self.params.leakage
        return (leakage, 0.0, self.coupling), (0.0, leakage, 0.0), (0.0, 0.0, 1.0)

    @property
    def resistance(self) -> tuple[float, ...]:
        return self.params.r_s, self.params.r_s, self.damping

    def initial_estimate(self, dtype: Any) -> Any:
        return ()

    def estimate(self, estimate: Any, reading: Reading) -> tuple[Any, CurrentAndFlux]:
        assert reading.angle is not None
        stator = clarke(*(reading.values[f"i_s{phase}"] for phase in "abc"))
        rotor = clarke(*(reading.values[f"i_r{phase}"] for phase in "abc"))
        angle = reading.angle
        if self.machine.gem:  # reported at the angle of the step's start
            angle = ahead_of(angle, self.params.p * reading.omega, -self.tau)
        rotor = rotate(*rotor, angle)
        psi = tuple(self.params.l_r * r + self.params.l_m * s for r, s in zip(rotor, stator, strict=True))
        return estimate, CurrentAndFlux(*stator, *psi)  # type: ignore[arg-type]

    def in_frame(self, now: Situation, frame: Angle | None) -> Axes:
        assert frame is not None
        along = rotate_back(now.x.psi_ralpha, now.x.psi_rbeta, frame)[0]
        return (*super().in_frame(now, frame), along)  # type: ignore[arg-type]

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        i_d, i_q, psi = self.controlled(now)
        leakage = self.params.leakage
        return (
            -speed * leakage * i_q,
            speed * (leakage * i_d + self.coupling * psi),
            -self.damping * self.params.l_m * i_d,
        )

    def loading(self, now: Situation) -> Axes:
        sheet, x = self.params, now.x
        rotor = (x.psi_ralpha - sheet.l_m * x.i_salpha, x.psi_rbeta - sheet.l_m * x.i_sbeta)
        return (*super().loading(now), square_of(rotor) / (sheet.l_r * self.rotor_limit) ** 2)

    @property
    def small_flux(self) -> float:
        """[V s] with which a rotor current keeps its limit beside every stator current."""
        spare = self.params.l_r * self.rotor_limit - self.params.l_m * self.limits[0]
        return max(0.9 * spare, 0.01 * self.params.l_m * self.limits[0])

    def within(self, targets: Axes, now: Situation) -> Axes:
        goal = targets[2] if len(targets) > 2 else jnp.full_like(now.omega, self.small_flux)
        return (*shortened(targets[:2], self.limits[0]), self._ramped(goal, now))

    def _ramped(self, goal: jax.Array, now: Situation) -> jax.Array:
        psi = self.flux(now)
        step = 2 * self.tau * self.flux_share * now.u_sup
        return psi + jnp.clip(goal - psi, -step, step)

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        """Half of the magnetisation from either side, at the flux of `_wanted_flux`."""
        sheet, limit, psi = self.params, self.limits[0], self.flux(now)
        factor = 1.5 * sheet.p * self.coupling
        goal = jnp.minimum(self._wanted_flux(jnp.abs(torque)), self._most_flux(now))
        i_d = jnp.clip(0.5 * psi / sheet.l_m, 0.0, 0.5**0.5 * limit)
        rotor_d = (psi - sheet.l_m * i_d) / sheet.l_r
        spare = jnp.sqrt(jnp.maximum(self.rotor_limit**2 - rotor_d * rotor_d, 0.0)) / self.coupling
        most = jnp.minimum(jnp.sqrt(limit * limit - i_d * i_d), spare)
        i_q = jnp.clip(torque / (factor * jnp.maximum(psi, LEAST_FLUX)), -most, most)
        return (i_d, i_q, self._ramped(goal, now)), factor * psi * i_q

    def bounds(self, now: Situation) -> tuple[jax.Array | float, ...]:
        return math.inf, math.inf, self.reach * jnp.abs(now.u_sup)

    def limited(self, voltages: Axes, hold: Axes, now: Situation) -> Axes:
        bound = self.reach * jnp.abs(now.u_sup)
        return (*toward(hold[:2], voltages[:2], bound), jnp.clip(voltages[2], -bound, bound))

    def terminals(self, voltages: Axes, now: Situation, ahead: float) -> Axes:
        stator = super().terminals(voltages[:2], now, ahead)
        field, speed = self.frame(now)
        assert field is not None and now.angle is not None
        duration = ahead * self.tau
        field = ahead_of(field, speed, duration)
        rotor = ahead_of(now.angle, self.params.p * now.omega, duration)
        along = rotate(voltages[2], jnp.zeros_like(voltages[2]), field)
        return (*stator, *inverse_clarke(*rotate_back(along[0], along[1], rotor)))  # type: ignore[arg-type]
