"""Three-phase synchronous machines in rotor coordinates: permanent magnet, reluctance, externally excited.

Source: gym-electric-motor 3.0.3, `permanent_magnet_synchronous_motor.py`, `synchronous_reluctance_motor.py`,
`externally_excited_synchronous_motor.py`. Differs: the phase voltages are held over a step, so the dq voltages turn;
the original holds the dq voltages (`gem=True`).
"""

import dataclasses
import math
from typing import Any, ClassVar

import jax
from flax import struct

from ..transforms import Angle, Scalar, clarke, inverse_clarke, rotate, rotate_back
from .machine import Instant, Machine


class MagnetParams(struct.PyTreeNode):
    """Permanent magnets in the rotor."""

    p: Scalar  # pole pairs
    l_d: Scalar  # [H] direct axis
    l_q: Scalar  # [H] quadrature axis
    r_s: Scalar  # [Ohm] stator
    psi_p: Scalar  # [V s] flux linkage of the magnets
    j_rotor: Scalar  # [kg m^2]


class ReluctanceParams(struct.PyTreeNode):
    """No magnets: torque by saliency alone."""

    p: Scalar  # pole pairs
    l_d: Scalar  # [H] direct axis
    l_q: Scalar  # [H] quadrature axis
    r_s: Scalar  # [Ohm]
    j_rotor: Scalar  # [kg m^2]


class FieldParams(struct.PyTreeNode):
    """A wound rotor, fed over slip rings."""

    p: Scalar  # pole pairs
    l_d: Scalar  # [H] direct axis
    l_q: Scalar  # [H] quadrature axis
    l_m: Scalar  # [H] stator-rotor mutual inductance
    l_e: Scalar  # [H] exciter
    r_s: Scalar  # [Ohm] stator
    r_e: Scalar  # [Ohm] exciter
    k: Scalar  # winding ratio; used by the gem form alone
    j_rotor: Scalar  # [kg m^2]


class Stator(struct.PyTreeNode):
    """Stator currents in rotor coordinates."""

    i_sd: jax.Array  # [A]
    i_sq: jax.Array  # [A]


class StatorAndField(struct.PyTreeNode):
    """Stator currents in rotor coordinates and the exciter's."""

    i_sd: jax.Array  # [A]
    i_sq: jax.Array  # [A]
    i_e: jax.Array  # [A]


class Voltages(struct.PyTreeNode):
    """Stator voltages [V] in rotor coordinates."""

    u_sd: Scalar
    u_sq: Scalar


class VoltagesAndField(struct.PyTreeNode):
    """Stator voltages in rotor coordinates and the exciter's [V]."""

    u_sd: Scalar
    u_sq: Scalar
    u_e: Scalar


def best_direct_current(flux: float, saliency: float, current: float) -> float:
    """i_d of the largest torque `(flux + saliency i_d) i_q` on the circle of radius `current`; saliency is not 0.

    Source: gym-electric-motor 3.0.3, `_torque_limit`. Differs: its permanent magnet machine takes the wrong root where
      l_d > l_q.
    """
    half = flux / (4 * saliency)
    root = math.sqrt(half * half + current * current / 2)
    return -half + math.copysign(root, saliency)


@dataclasses.dataclass(frozen=True)
class SynRM(Machine):
    """Synchronous reluctance machine.

    `l_d di_d/dt = u_d - r_s i_d + p omega l_q i_q`, `l_q di_q/dt = u_q - r_s i_q - p omega l_d i_d`,
    `T = 1.5 p (l_d - l_q) i_d i_q`.
    """

    family: ClassVar[str] = "SynRM"
    Params: ClassVar[type] = ReluctanceParams
    State: ClassVar[type] = Stator
    bridges: ClassVar[tuple[str, ...]] = ("B6",)
    phases: ClassVar[tuple[str, ...]] = ("u_a", "u_b", "u_c")
    currents: ClassVar[tuple[str, ...]] = ("i_a", "i_b", "i_c", "i_sd", "i_sq")
    voltages: ClassVar[tuple[str, ...]] = ("u_a", "u_b", "u_c", "u_sd", "u_sq")
    resistances: ClassVar[tuple[str, ...]] = ("r_s",)
    direct_inductances: ClassVar[tuple[str, ...]] = ("l_d",)
    quadrature_inductances: ClassVar[tuple[str, ...]] = ("l_q",)

    def magnet_flux(self, params: Any) -> Any:
        """Flux linkage [V s] that the rotor has without stator current."""
        return 0.0

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> Voltages:
        assert angle is not None
        u_sd, u_sq = rotate_back(*clarke(*phases), angle)
        return Voltages(u_sd=u_sd, u_sq=u_sq)

    def derivative(self, x: Stator, u: Voltages, omega: Any, params: Any) -> tuple[Stator, Voltages]:
        speed = params.p * omega
        flux_d = params.l_d * x.i_sd + self.magnet_flux(params)
        flux_q = params.l_q * x.i_sq
        rates = Stator(
            i_sd=(u.u_sd - params.r_s * x.i_sd + speed * flux_q) / params.l_d,
            i_sq=(u.u_sq - params.r_s * x.i_sq - speed * flux_d) / params.l_q,
        )
        return rates, self._turn(u, speed)

    def _turn(self, u: Voltages, speed: Any) -> Voltages:
        if self.gem:
            return Voltages(u_sd=0.0, u_sq=0.0)
        return Voltages(u_sd=speed * u.u_sq, u_sq=-speed * u.u_sd)

    def torque(self, x: Stator, params: Any) -> jax.Array:
        return 1.5 * params.p * (self.magnet_flux(params) + (params.l_d - params.l_q) * x.i_sd) * x.i_sq

    def terminal_currents(self, x: Stator, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        assert angle is not None
        return inverse_clarke(*rotate(x.i_sd, x.i_sq, angle))

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        currents = self.terminal_currents(now.x, now.start_angle if self.gem else now.angle, params)
        values = (*currents, now.x.i_sd, now.x.i_sq, *now.phases, now.u.u_sd, now.u.u_sq)
        return dict(zip(self.currents + self.voltages, values, strict=True))

    def torque_limit(self, limits: dict[str, float], nominal: dict[str, float], params: Any) -> float:
        i = limits["i"] / math.sqrt(2)
        return float(self.torque(Stator(i_sd=i, i_sq=i), params))  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class PMSM(SynRM):
    """Permanent magnet synchronous machine.

    `l_d di_d/dt = u_d - r_s i_d + p omega l_q i_q`, `l_q di_q/dt = u_q - r_s i_q - p omega (l_d i_d + psi_p)`,
    `T = 1.5 p (psi_p + (l_d - l_q) i_d) i_q`.
    """

    family: ClassVar[str] = "PMSM"
    Params: ClassVar[type] = MagnetParams
    fluxes: ClassVar[tuple[str, ...]] = ("psi_p",)

    def magnet_flux(self, params: Any) -> Any:
        return params.psi_p

    def torque_limit(self, limits: dict[str, float], nominal: dict[str, float], params: Any) -> float:
        saliency = params.l_d - params.l_q
        if saliency == 0:
            return float(self.torque(Stator(i_sd=0.0, i_sq=limits["i"]), params))  # type: ignore[arg-type]
        i_sd = best_direct_current(params.psi_p, saliency, nominal["i"])
        i_sq = math.sqrt(nominal["i"] ** 2 - i_sd**2)
        return float(self.torque(Stator(i_sd=i_sd, i_sq=i_sq), params))  # type: ignore[arg-type]


class Referred(struct.PyTreeNode):
    """Exciter quantities on the stator side."""

    l_m: Scalar  # [H]
    l_e: Scalar  # [H]
    r_e: Scalar  # [Ohm]
    current: Scalar  # referred exciter current per exciter current
    voltage: Scalar  # referred exciter voltage per exciter voltage

    def leakage(self, l_d: Scalar) -> Scalar:
        """1 - l_m^2 / (l_d l_e): positive for every real pair of coils."""
        return 1 - self.l_m * self.l_m / (l_d * self.l_e)


@dataclasses.dataclass(frozen=True)
class EESM(SynRM):
    """Externally excited synchronous machine: a reluctance machine whose d axis shares its iron with an exciter coil.

    With `sigma = 1 - l_m^2 / (l_d l_e)`:
    `l_d sigma di_d/dt = u_d - r_s i_d + p omega l_q i_q - (l_m / l_e) (u_e - r_e i_e)`,
    `l_q di_q/dt = u_q - r_s i_q - p omega (l_d i_d + l_m i_e)`,
    `l_e sigma di_e/dt = u_e - r_e i_e - (l_m / l_d) (u_d - r_s i_d + p omega l_q i_q)`,
    `T = 1.5 p (l_m i_e + (l_d - l_q) i_d) i_q`.

    Exciter quantities are referred to the stator. The gem form refers the same numbers once more by the winding ratio
    `k`, which makes sigma negative and the machine unstable. That the default numbers are meant as referred ones is an
    inference from this; their source (Nguyen and Hofmann 2014, ICELMACH) was not at hand.
    """

    family: ClassVar[str] = "EESM"
    Params: ClassVar[type] = FieldParams
    State: ClassVar[type] = StatorAndField
    bridges: ClassVar[tuple[str, ...]] = ("B6", "4QC")
    phases: ClassVar[tuple[str, ...]] = ("u_a", "u_b", "u_c", "u_e")
    currents: ClassVar[tuple[str, ...]] = ("i_a", "i_b", "i_c", "i_sd", "i_sq", "i_e")
    voltages: ClassVar[tuple[str, ...]] = ("u_a", "u_b", "u_c", "u_sd", "u_sq", "u_e")
    resistances: ClassVar[tuple[str, ...]] = ("r_s", "r_e")
    exciter_resistances: ClassVar[tuple[str, ...]] = ("r_e",)
    direct_inductances: ClassVar[tuple[str, ...]] = ("l_d", "l_m", "l_e")

    def referred(self, params: FieldParams) -> Referred:
        """Exciter quantities as the equations use them."""
        if not self.gem:
            return Referred(l_m=params.l_m, l_e=params.l_e, r_e=params.r_e, current=1.0, voltage=1.0)
        k = params.k
        return Referred(
            l_m=1.5 * k * params.l_m,
            l_e=1.5 * k * k * params.l_e,
            r_e=1.5 * k * k * params.r_e,
            current=2 / (3 * k),
            voltage=k,
        )

    def check(self, values: dict[str, float]) -> None:
        leakage = self.referred(FieldParams(**values)).leakage(values["l_d"])
        if not self.gem and leakage <= 0:
            limit = math.sqrt(values["l_d"] * values["l_e"])
            raise ValueError(
                f"l_m={values['l_m']}; expected less than sqrt(l_d l_e) = {limit:.6g} H, or the coils would store "
                "negative energy"
            )

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> VoltagesAndField:  # type: ignore[override]
        u = super().inputs(phases[:3], angle)
        return VoltagesAndField(u_sd=u.u_sd, u_sq=u.u_sq, u_e=phases[3])

    def derivative(  # type: ignore[override]
        self, x: StatorAndField, u: VoltagesAndField, omega: Any, params: FieldParams
    ) -> tuple[StatorAndField, VoltagesAndField]:
        referred, speed = self.referred(params), params.p * omega
        i_e = referred.current * x.i_e
        drive_d = u.u_sd - params.r_s * x.i_sd + speed * params.l_q * x.i_sq
        drive_e = referred.voltage * u.u_e - referred.r_e * i_e
        leakage = referred.leakage(params.l_d)
        rates = StatorAndField(
            i_sd=(drive_d - referred.l_m / referred.l_e * drive_e) / (leakage * params.l_d),
            i_sq=(u.u_sq - params.r_s * x.i_sq - speed * (params.l_d * x.i_sd + referred.l_m * i_e)) / params.l_q,
            i_e=(drive_e - referred.l_m / params.l_d * drive_d) / (leakage * referred.l_e * referred.current),
        )
        turn = self._turn(Voltages(u_sd=u.u_sd, u_sq=u.u_sq), speed)
        return rates, VoltagesAndField(u_sd=turn.u_sd, u_sq=turn.u_sq, u_e=0.0)

    def torque(self, x: StatorAndField, params: FieldParams) -> jax.Array:  # type: ignore[override]
        referred = self.referred(params)
        flux = referred.l_m * referred.current * x.i_e
        return 1.5 * params.p * (flux + (params.l_d - params.l_q) * x.i_sd) * x.i_sq

    def terminal_currents(self, x: StatorAndField, angle: Angle | None, params: Any) -> tuple[Any, ...]:  # type: ignore[override]
        assert angle is not None
        return (*inverse_clarke(*rotate(x.i_sd, x.i_sq, angle)), x.i_e)

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        currents = self.terminal_currents(now.x, now.start_angle if self.gem else now.angle, params)[:3]
        values = (*currents, now.x.i_sd, now.x.i_sq, now.x.i_e, *now.phases[:3], now.u.u_sd, now.u.u_sq, now.u.u_e)
        return dict(zip(self.currents + self.voltages, values, strict=True))

    def torque_limit(self, limits: dict[str, float], nominal: dict[str, float], params: Any) -> float:
        referred, saliency = self.referred(params), params.l_d - params.l_q
        if saliency == 0:
            i_sd, i_sq = 0.0, limits["i"]
        else:
            # The original takes l_m I_n (not l_m I_e) for the flux.
            i_sd = best_direct_current(float(referred.l_m * nominal["i"]), saliency, nominal["i"])
            i_sq = math.sqrt(nominal["i"] ** 2 - i_sd**2)
        return float(self.torque(StatorAndField(i_sd=i_sd, i_sq=i_sq, i_e=limits["i_e"]), params))  # type: ignore[arg-type]
