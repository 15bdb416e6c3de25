"""Six-phase permanent magnet machine: two three-phase windings, 30 degrees apart, on one rotor.

Source: gym-electric-motor 3.0.3, `six_phase_PMSM.py` (parameters: Broghammer et al. 2023, EDPC). Differs: the original
uses the mechanical speed where the currents see the electrical one, and half the torque, without that of the (x, y)
plane, whose power would be lost (`gem=True` does, too).
"""

import dataclasses
from typing import Any, ClassVar

import jax
from flax import struct

from ..transforms import Angle, Scalar, inverse_vector_space, rotate, rotate_back, vector_space
from .machine import Instant, Machine


class SixPhaseParams(struct.PyTreeNode):
    """Two windings seen as a torque plane (d, q) and a plane of losses (x, y)."""

    p: Scalar  # pole pairs
    l_d: Scalar  # [H] direct axis
    l_q: Scalar  # [H] quadrature axis
    l_x: Scalar  # [H] x axis, leakage
    l_y: Scalar  # [H] y axis, leakage
    r_s: Scalar  # [Ohm] stator
    psi_PM: Scalar  # [V s] flux linkage of the magnets
    j_rotor: Scalar  # [kg m^2]


class FourCurrents(struct.PyTreeNode):
    """Both planes, rotor coordinates."""

    i_sd: jax.Array  # [A]
    i_sq: jax.Array  # [A]
    i_sx: jax.Array  # [A]
    i_sy: jax.Array  # [A]


class FourVoltages(struct.PyTreeNode):
    """Both planes [V], rotor coordinates."""

    u_sd: Scalar
    u_sq: Scalar
    u_sx: Scalar
    u_sy: Scalar


@dataclasses.dataclass(frozen=True)
class SIXPMSM(Machine):
    """Six-phase permanent magnet synchronous machine.

    `l_d di_d/dt = u_d - r_s i_d + p omega l_q i_q`, `l_q di_q/dt = u_q - r_s i_q - p omega (l_d i_d + psi_PM)`,
    `l_x di_x/dt = u_x - r_s i_x - p omega l_y i_y`, `l_y di_y/dt = u_y - r_s i_y + p omega l_x i_x`,
    `T = 3 p ((psi_PM + (l_d - l_q) i_d) i_q - (l_x - l_y) i_x i_y)`.
    """

    family: ClassVar[str] = "SIXPMSM"
    Params: ClassVar[type] = SixPhaseParams
    State: ClassVar[type] = FourCurrents
    bridges: ClassVar[tuple[str, ...]] = ("B6", "B6")
    phases: ClassVar[tuple[str, ...]] = tuple(f"u_{phase}{winding}" for winding in "12" for phase in "abc")
    currents: ClassVar[tuple[str, ...]] = (
        *(f"i_{phase}{winding}" for winding in "12" for phase in "abc"),
        *(f"i_s{axis}" for axis in "dqxy"),
    )
    voltages: ClassVar[tuple[str, ...]] = tuple(f"u{name[1:]}" for name in currents)
    resistances: ClassVar[tuple[str, ...]] = ("r_s",)
    fluxes: ClassVar[tuple[str, ...]] = ("psi_PM",)
    direct_inductances: ClassVar[tuple[str, ...]] = ("l_d",)
    quadrature_inductances: ClassVar[tuple[str, ...]] = ("l_q",)

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> FourVoltages:
        assert angle is not None
        alpha, beta, x, y = vector_space(*phases)
        return FourVoltages(*rotate_back(alpha, beta, angle), *rotate(x, y, angle))

    def derivative(
        self, x: FourCurrents, u: FourVoltages, omega: Any, params: SixPhaseParams
    ) -> tuple[FourCurrents, FourVoltages]:
        speed = omega if self.gem else params.p * omega
        rates = FourCurrents(
            i_sd=(u.u_sd - params.r_s * x.i_sd + speed * params.l_q * x.i_sq) / params.l_d,
            i_sq=(u.u_sq - params.r_s * x.i_sq - speed * (params.l_d * x.i_sd + params.psi_PM)) / params.l_q,
            i_sx=(u.u_sx - params.r_s * x.i_sx - speed * params.l_y * x.i_sy) / params.l_x,
            i_sy=(u.u_sy - params.r_s * x.i_sy + speed * params.l_x * x.i_sx) / params.l_y,
        )
        if self.gem:
            return rates, FourVoltages(0.0, 0.0, 0.0, 0.0)
        return rates, FourVoltages(speed * u.u_sq, -speed * u.u_sd, -speed * u.u_sy, speed * u.u_sx)

    def torque(self, x: FourCurrents, params: SixPhaseParams) -> jax.Array:
        torque_plane = (params.psi_PM + (params.l_d - params.l_q) * x.i_sd) * x.i_sq
        if self.gem:
            return 1.5 * params.p * torque_plane
        return 3.0 * params.p * (torque_plane - (params.l_x - params.l_y) * x.i_sx * x.i_sy)

    def terminal_currents(self, x: FourCurrents, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        assert angle is not None
        return self.terminals((x.i_sd, x.i_sq, x.i_sx, x.i_sy), angle)

    def terminals(self, voltages: tuple[Any, ...], frame: Angle) -> tuple[Any, ...]:
        d, q, x, y = voltages
        return inverse_vector_space(*rotate(d, q, frame), *rotate_back(x, y, frame))

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        x, u = now.x, now.u
        currents = self.terminal_currents(x, now.start_angle if self.gem else now.angle, params)
        values = (*currents, x.i_sd, x.i_sq, x.i_sx, x.i_sy, *now.phases, u.u_sd, u.u_sq, u.u_sx, u.u_sy)
        return dict(zip(self.currents + self.voltages, values, strict=True))
