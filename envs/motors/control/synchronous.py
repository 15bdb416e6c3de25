"""Synchronous machines in the controller's view: rotor coordinates."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from ..transforms import Angle
from .gains import Matrix
from .operation import least_current, weakened
from .plant import RESERVE, Axes, Plant, Situation, ahead_of, diagonal, share_of_circle, shortened, square_of, toward

SLOWEST = 1e-4  # [rad/s] at which the voltage is taken to limit the flux


@dataclasses.dataclass(frozen=True)
class Synchronous(Plant):
    """Permanent magnet and reluctance machines."""

    @property
    def inductance(self) -> Matrix:
        return diagonal(self.params.l_d, self.params.l_q)

    @property
    def resistance(self) -> tuple[float, ...]:
        return (self.params.r_s,) * len(self.axes)

    @property
    def middle(self) -> float:
        return 0.0 if self.machine.gem else 0.5  # the gem form holds voltages in rotor coordinates

    @property
    def magnet(self) -> float:
        """[V s] flux linkage of the magnets."""
        return getattr(self.params, "psi_p", 0.0)

    @property
    def torque_factor(self) -> float:
        """Torque per `(flux + saliency i_d) i_q`."""
        return 1.5 * self.params.p

    def frame(self, now: Situation) -> tuple[Angle | None, jax.Array]:
        return now.angle, self.params.p * now.omega

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        sheet = self.params
        return (
            -speed * sheet.l_q * now.x.i_sq,
            speed * (sheet.l_d * now.x.i_sd + self.magnet),
        )

    def loading(self, now: Situation) -> Axes:
        return (square_of(self.controlled(now)) / self.limits[0] ** 2,)

    def within(self, targets: Axes, now: Situation) -> Axes:
        return shortened(targets, self.limits[0])

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        """Maximum torque per ampere, then field weakening."""
        sheet = self.params
        saliency = sheet.l_d - sheet.l_q
        effort = jnp.abs(torque) / self.torque_factor
        i_d, i_q = least_current(effort, self.magnet, saliency, self.limits[0])
        i_d, i_q = weakened(effort, (i_d, i_q), self._most_flux(now), self.magnet, sheet.l_d, sheet.l_q, self.limits[0])
        i_q = jnp.where(torque < 0, -i_q, i_q)
        made = self.torque_factor * (self.magnet + saliency * i_d) * i_q
        rest = (jnp.zeros_like(i_d),) * (len(self.axes) - 2)
        return (i_d, i_q, *rest), made

    def _most_flux(self, now: Situation) -> jax.Array:
        speed = self.frame(now)[1]
        return RESERVE * self.reach * jnp.abs(now.u_sup) / jnp.maximum(jnp.abs(speed), SLOWEST)

    def limited(self, voltages: Axes, hold: Axes, now: Situation) -> Axes:
        return toward(hold, voltages, self.reach * jnp.abs(now.u_sup))

    def terminals(self, voltages: Axes, now: Situation, ahead: float) -> Axes:
        angle, speed = self.frame(now)
        assert angle is not None
        return self.machine.terminals(voltages, ahead_of(angle, speed, ahead * self.tau))


@dataclasses.dataclass(frozen=True)
class SixPhase(Synchronous):
    """Two planes: torque (d, q) as of the permanent magnet machine, and losses (x, y), whose targets are 0."""

    @property
    def inductance(self) -> Matrix:
        return diagonal(self.params.l_d, self.params.l_q, self.params.l_x, self.params.l_y)

    @property
    def magnet(self) -> float:
        return self.params.psi_PM

    @property
    def torque_factor(self) -> float:
        return (1.5 if self.machine.gem else 3.0) * self.params.p

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        sheet, x = self.params, now.x
        speed = now.omega if self.machine.gem else speed
        return (
            *super().back_emf(now, speed),
            speed * sheet.l_y * x.i_sy,
            -speed * sheet.l_x * x.i_sx,
        )

    def limited(self, voltages: Axes, hold: Axes, now: Situation) -> Axes:
        """The torque plane first; both vectors' lengths together are what a phase can see."""
        bound = self.reach * jnp.abs(now.u_sup)
        torque = toward(hold[:2], voltages[:2], bound)
        left = jnp.maximum(bound - jnp.hypot(*torque), 0.05 * bound)
        return self._together((*torque, *toward(hold[2:], voltages[2:], left)), bound)

    def _together(self, voltages: Axes, bound: jax.Array) -> Axes:
        total = jnp.hypot(*voltages[:2]) + jnp.hypot(*voltages[2:])
        scale = jnp.minimum(1.0, bound / jnp.maximum(total, 1e-9))
        return tuple(scale * u for u in voltages)


@dataclasses.dataclass(frozen=True)
class Excited(Synchronous):
    """The externally excited machine: exciter and d axis share their iron, so the inductance matrix couples them."""

    @property
    def mutual(self) -> tuple[float, float, float, float]:
        """Flux of the d axis per exciter current, of the exciter per i_d and i_e, and its resistance, all real."""
        referred = self.machine.referred(self.params)  # type: ignore[attr-defined]
        return (
            referred.l_m * referred.current,
            referred.l_m / referred.voltage,
            referred.l_e * referred.current / referred.voltage,
            referred.r_e * referred.current / referred.voltage,
        )

    @property
    def inductance(self) -> Matrix:
        to_d, to_e, own, _ = self.mutual
        return (self.params.l_d, 0.0, to_d), (0.0, self.params.l_q, 0.0), (to_e, 0.0, own)

    @property
    def resistance(self) -> tuple[float, ...]:
        return self.params.r_s, self.params.r_s, self.mutual[3]

    def back_emf(self, now: Situation, speed: jax.Array) -> Axes:
        sheet, x = self.params, now.x
        flux = sheet.l_d * x.i_sd + self.mutual[0] * x.i_e
        return -speed * sheet.l_q * x.i_sq, speed * flux, jnp.zeros_like(speed)

    def loading(self, now: Situation) -> Axes:
        x = now.x
        return square_of((x.i_sd, x.i_sq)) / self.limits[0] ** 2, jnp.square(x.i_e / self.limits[2])

    def within(self, targets: Axes, now: Situation) -> Axes:
        i_e = jnp.clip(targets[2], -self.limits[2], self.limits[2])
        return (*shortened(targets[:2], self.limits[0]), i_e)

    def operate(self, torque: jax.Array, now: Situation) -> tuple[Axes, jax.Array]:
        """Least copper loss `r_s (i_d^2 + i_q^2) + r_e i_e^2` in closed form, scaled down to limits and voltage.

        With `S = saliency^2 / r_s + flux^2 / r_e` per unit of `lam`: `i_d = lam saliency / r_s`,
        `i_e = lam flux / r_e`, `i_q^2 = |T| / (factor sqrt(S r_s))`, `lam = i_q sqrt(r_s / S)`.
        """
        sheet = self.params
        saliency, flux, r_e = sheet.l_d - sheet.l_q, self.mutual[0], max(self.mutual[3], 1e-9)
        r_s = max(sheet.r_s, 1e-9)
        s = saliency**2 / r_s + flux**2 / r_e
        i_q = jnp.sqrt(jnp.abs(torque) / (self.torque_factor * math.sqrt(s * r_s)))
        lam = i_q * math.sqrt(r_s / s)
        i_d, i_e = lam * (saliency / r_s), lam * (flux / r_e)
        stator, linked = jnp.hypot(i_d, i_q), jnp.hypot(sheet.l_d * i_d + flux * i_e, sheet.l_q * i_q)
        scale = jnp.minimum(1.0, self.limits[0] / jnp.maximum(stator, 1e-6))
        scale = jnp.minimum(scale, self.limits[2] / jnp.maximum(jnp.abs(i_e), 1e-6))
        scale = jnp.minimum(scale, self._most_flux(now) / jnp.maximum(linked, 1e-9))
        targets = (scale * i_d, jnp.where(torque < 0, -scale, scale) * i_q, scale * i_e)
        made = self.torque_factor * (flux * targets[2] + saliency * targets[0]) * targets[1]
        return targets, made

    def limited(self, voltages: Axes, hold: Axes, now: Situation) -> Axes:
        """As far from `hold` towards `voltages` as both converters go.

        Exciter and d axis are close to one coil: limited on their own, they would push each other's current far from
        its target.
        """
        bound = jnp.abs(now.u_sup)
        move = tuple(u - h for u, h in zip(voltages, hold, strict=True))
        share = share_of_circle(hold[:2], move[:2], self.reach * bound)
        room = bound - jnp.sign(move[2]) * hold[2]
        share = jnp.clip(jnp.minimum(share, room / jnp.maximum(jnp.abs(move[2]), 1e-6)), 0.0, 1.0)
        u_d, u_q, u_e = (h + share * m for h, m in zip(hold, move, strict=True))
        return (*shortened((u_d, u_q), self.reach * bound), jnp.clip(u_e, -bound, bound))
