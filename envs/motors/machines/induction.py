"""Induction machines in stator coordinates: squirrel cage and doubly fed.

Source: gym-electric-motor 3.0.3, `induction_motor.py`, `physical_systems.py`. Differs: dq quantities are reported at
the field angle after the step, the rotor's phase currents in its own phases; `gem=True` reports as the original does.
"""

import dataclasses
from typing import Any, ClassVar

import jax
from flax import struct

from ..transforms import Angle, Scalar, clarke, difference, direction, inverse_clarke, rotate, rotate_back
from .machine import Instant, Machine


class InductionParams(struct.PyTreeNode):
    """Stator and rotor winding, T equivalent circuit."""

    p: Scalar  # pole pairs
    l_m: Scalar  # [H] main inductance
    l_sigs: Scalar  # [H] stator leakage
    l_sigr: Scalar  # [H] rotor leakage
    r_s: Scalar  # [Ohm] stator
    r_r: Scalar  # [Ohm] rotor
    j_rotor: Scalar  # [kg m^2]

    @property
    def l_s(self) -> Scalar:
        """[H] stator inductance."""
        return self.l_m + self.l_sigs

    @property
    def l_r(self) -> Scalar:
        """[H] rotor inductance."""
        return self.l_m + self.l_sigr

    @property
    def leakage(self) -> Scalar:
        """[H] sigma l_s, the stator inductance that the rotor does not share."""
        return self.l_s - self.l_m * self.l_m / self.l_r

    @property
    def resistance(self) -> Scalar:
        """[Ohm] of the stator with the rotor's behind it."""
        ratio = self.l_m / self.l_r
        return self.r_s + self.r_r * ratio * ratio


class CurrentAndFlux(struct.PyTreeNode):
    """Stator current and rotor flux, stator coordinates."""

    i_salpha: jax.Array  # [A]
    i_sbeta: jax.Array  # [A]
    psi_ralpha: jax.Array  # [V s]
    psi_rbeta: jax.Array  # [V s]


class StatorVoltage(struct.PyTreeNode):
    """Stator voltage [V], stator coordinates."""

    u_salpha: Scalar
    u_sbeta: Scalar


class BothVoltages(struct.PyTreeNode):
    """Stator and rotor voltage [V], stator coordinates."""

    u_salpha: Scalar
    u_sbeta: Scalar
    u_ralpha: Scalar
    u_rbeta: Scalar


def rates(x: CurrentAndFlux, u_s: Any, u_r: Any, speed: Any, params: InductionParams) -> CurrentAndFlux:
    """dx/dt under stator and rotor voltages (alpha, beta) [V] at electrical speed [rad/s]."""
    ratio = params.l_m / params.l_r
    damping = params.r_r / params.l_r  # [1/s] of the rotor flux
    # dpsi/dt in stator coordinates, the rotor's own voltage included
    flux_alpha = damping * (params.l_m * x.i_salpha - x.psi_ralpha) - speed * x.psi_rbeta + u_r[0]
    flux_beta = damping * (params.l_m * x.i_sbeta - x.psi_rbeta) + speed * x.psi_ralpha + u_r[1]
    return CurrentAndFlux(
        i_salpha=(u_s[0] - params.r_s * x.i_salpha - ratio * flux_alpha) / params.leakage,
        i_sbeta=(u_s[1] - params.r_s * x.i_sbeta - ratio * flux_beta) / params.leakage,
        psi_ralpha=flux_alpha,
        psi_rbeta=flux_beta,
    )


@dataclasses.dataclass(frozen=True)
class SCIM(Machine):
    """Squirrel cage induction machine.

    With `l_s = l_m + l_sigs`, `l_r = l_m + l_sigr`, stator-fixed complex vectors:
    `dpsi_r/dt = (r_r / l_r) (l_m i_s - psi_r) + j p omega psi_r`,
    `(l_s - l_m^2 / l_r) di_s/dt = u_s - r_s i_s - (l_m / l_r) dpsi_r/dt`,
    `T = 1.5 p (l_m / l_r) Im(conj(psi_r) i_s)`.
    """

    family: ClassVar[str] = "SCIM"
    Params: ClassVar[type] = InductionParams
    State: ClassVar[type] = CurrentAndFlux
    bridges: ClassVar[tuple[str, ...]] = ("B6",)
    phases: ClassVar[tuple[str, ...]] = ("u_sa", "u_sb", "u_sc")
    currents: ClassVar[tuple[str, ...]] = ("i_sa", "i_sb", "i_sc", "i_sd", "i_sq")
    voltages: ClassVar[tuple[str, ...]] = ("u_sa", "u_sb", "u_sc", "u_sd", "u_sq")
    resistances: ClassVar[tuple[str, ...]] = ("r_s", "r_r")
    exciter_resistances: ClassVar[tuple[str, ...]] = ("r_r",)
    direct_inductances: ClassVar[tuple[str, ...]] = ("l_m",)
    quadrature_inductances: ClassVar[tuple[str, ...]] = ("l_sigs", "l_sigr")

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> Any:
        u_salpha, u_sbeta = clarke(*phases)
        return StatorVoltage(u_salpha=u_salpha, u_sbeta=u_sbeta)

    def derivative(self, x: CurrentAndFlux, u: Any, omega: Any, params: InductionParams) -> tuple[CurrentAndFlux, Any]:
        slopes = rates(x, (u.u_salpha, u.u_sbeta), (0.0, 0.0), params.p * omega, params)
        return slopes, StatorVoltage(u_salpha=0.0, u_sbeta=0.0)

    def torque(self, x: CurrentAndFlux, params: InductionParams) -> jax.Array:
        return 1.5 * params.p * params.l_m / params.l_r * (x.psi_ralpha * x.i_sbeta - x.psi_rbeta * x.i_salpha)

    def terminal_currents(self, x: CurrentAndFlux, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        return inverse_clarke(x.i_salpha, x.i_sbeta)

    def field_angle(self, x: CurrentAndFlux) -> Angle:
        """Direction of the rotor flux; 0 without flux."""
        return direction(x.psi_ralpha, x.psi_rbeta)

    def control_frame(self, x: CurrentAndFlux, angle: Angle) -> Angle:
        return self.field_angle(x)

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        field = self.field_angle(now.start_x if self.gem else now.x)
        i_sd, i_sq = rotate_back(now.x.i_salpha, now.x.i_sbeta, field)
        u_sd, u_sq = rotate_back(*clarke(*now.phases), field)
        values = (*inverse_clarke(now.x.i_salpha, now.x.i_sbeta), i_sd, i_sq, *now.phases, u_sd, u_sq)
        return dict(zip(self.currents + self.voltages, values, strict=True))

    def torque_limit(self, limits: dict[str, float], nominal: dict[str, float], params: Any) -> float:
        return 1.5 * params.p * params.l_m**2 / params.l_r * limits["i"] ** 2 / 2


@dataclasses.dataclass(frozen=True)
class DFIM(SCIM):
    """Doubly fed induction machine: the cage replaced by a wound rotor with a converter of its own.

    As the squirrel cage machine with the rotor voltage added to `dpsi_r/dt`; the rotor's converter turns with it, so
    in stator coordinates that voltage turns by the rotor angle. Rotor current: `i_r = (psi_r - l_m i_s) / l_r`.
    """

    family: ClassVar[str] = "DFIM"
    has_frame: ClassVar[bool] = False
    bridges: ClassVar[tuple[str, ...]] = ("B6", "B6")
    phases: ClassVar[tuple[str, ...]] = ("u_sa", "u_sb", "u_sc", "u_ra", "u_rb", "u_rc")
    currents: ClassVar[tuple[str, ...]] = tuple(f"i_{side}{axis}" for side in "sr" for axis in "abcdq")
    voltages: ClassVar[tuple[str, ...]] = tuple(f"u_{side}{axis}" for side in "sr" for axis in "abcdq")

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> Any:
        assert angle is not None
        stator = super().inputs(phases[:3], angle)
        u_ralpha, u_rbeta = rotate(*clarke(*phases[3:]), angle)
        return BothVoltages(stator.u_salpha, stator.u_sbeta, u_ralpha, u_rbeta)

    def derivative(self, x: CurrentAndFlux, u: Any, omega: Any, params: InductionParams) -> tuple[CurrentAndFlux, Any]:
        speed = params.p * omega
        slopes = rates(x, (u.u_salpha, u.u_sbeta), (u.u_ralpha, u.u_rbeta), speed, params)
        turn = 0.0 if self.gem else speed
        return slopes, BothVoltages(0.0, 0.0, -turn * u.u_rbeta, turn * u.u_ralpha)

    def rotor_current(self, x: CurrentAndFlux, params: InductionParams) -> tuple[Any, Any]:
        """(alpha, beta) [A], stator coordinates."""
        return (
            (x.psi_ralpha - params.l_m * x.i_salpha) / params.l_r,
            (x.psi_rbeta - params.l_m * x.i_sbeta) / params.l_r,
        )

    def terminal_currents(self, x: CurrentAndFlux, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        assert angle is not None
        rotor = self.rotor_current(x, params)
        rotor = rotor if self.gem else rotate_back(*rotor, angle)
        return (*inverse_clarke(x.i_salpha, x.i_sbeta), *inverse_clarke(*rotor))

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        rotor_angle = now.start_angle if self.gem else now.angle
        assert rotor_angle is not None
        field = self.field_angle(now.start_x if self.gem else now.x)
        i_r = self.rotor_current(now.x, params)
        u_r = clarke(*now.phases[3:])
        values = (
            *inverse_clarke(now.x.i_salpha, now.x.i_sbeta),
            *rotate_back(now.x.i_salpha, now.x.i_sbeta, field),
            *inverse_clarke(*rotate_back(*i_r, rotor_angle)),
            *rotate_back(*i_r, field),
            *now.phases[:3],
            *rotate_back(*clarke(*now.phases[:3]), field),
            *now.phases[3:],
            *rotate_back(*u_r, difference(field, rotor_angle)),
        )
        return dict(zip(self.currents + self.voltages, values, strict=True))

    def report_start(self, now: Instant, params: Any) -> dict[str, Any]:
        values = super().report_start(now, params)
        if not self.gem:
            return values
        assert now.angle is not None
        # The original turns the rotor current to the rotor's phases twice.
        rotor = self.rotor_current(now.x, params)
        turned = rotate_back(*rotor, difference(self.field_angle(now.x), now.angle))
        wrong = dict(zip(("i_ra", "i_rb", "i_rc"), inverse_clarke(*rotor), strict=True))
        return values | wrong | dict(zip(("i_rd", "i_rq"), turned, strict=True))
