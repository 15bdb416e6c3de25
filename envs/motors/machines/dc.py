"""Commutator machines: permanently excited, externally excited, series and shunt.

Source: gym-electric-motor 3.0.3, `dc_*_motor.py` (L. Schenke, W. Kirchgässner et al.); the circuits are textbook.
"""

import dataclasses
from typing import Any, ClassVar

import jax
from flax import struct

from ..transforms import Angle, Scalar
from .machine import Instant, Machine


class ExcitedParams(struct.PyTreeNode):
    """A machine whose field is wound."""

    r_a: Scalar  # [Ohm] armature
    r_e: Scalar  # [Ohm] exciter
    l_a: Scalar  # [H] armature
    l_e: Scalar  # [H] exciter
    l_e_prime: Scalar  # [H] effective: flux per exciter current
    j_rotor: Scalar  # [kg m^2]


class PermanentParams(struct.PyTreeNode):
    """A machine whose field is a magnet."""

    r_a: Scalar  # [Ohm] armature
    l_a: Scalar  # [H] armature
    psi_e: Scalar  # [V s] flux of the magnet
    j_rotor: Scalar  # [kg m^2]


class Current(struct.PyTreeNode):
    """One circuit."""

    i: jax.Array  # [A]


class TwoCurrents(struct.PyTreeNode):
    """Armature and exciter."""

    i_a: jax.Array  # [A]
    i_e: jax.Array  # [A]


class Voltage(struct.PyTreeNode):
    """One voltage [V]."""

    u: Scalar


class TwoVoltages(struct.PyTreeNode):
    """Armature and exciter voltage [V]."""

    u_a: Scalar
    u_e: Scalar


@dataclasses.dataclass(frozen=True)
class PermExDc(Machine):
    """Permanently excited DC machine: `l_a di/dt = u - r_a i - psi_e omega`, `T = psi_e i`."""

    family: ClassVar[str] = "PermExDc"
    Params: ClassVar[type] = PermanentParams
    State: ClassVar[type] = Current
    bridges: ClassVar[tuple[str, ...]] = ("4QC",)
    phases: ClassVar[tuple[str, ...]] = ("u",)
    currents: ClassVar[tuple[str, ...]] = ("i",)
    voltages: ClassVar[tuple[str, ...]] = ("u",)
    has_angle: ClassVar[bool] = False
    has_frame: ClassVar[bool] = False
    resistances: ClassVar[tuple[str, ...]] = ("r_a",)
    fluxes: ClassVar[tuple[str, ...]] = ("psi_e",)
    direct_inductances: ClassVar[tuple[str, ...]] = ("l_a",)

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> Voltage:
        return Voltage(u=phases[0])

    def derivative(self, x: Current, u: Voltage, omega: Any, params: PermanentParams) -> tuple[Current, Voltage]:
        rate = (u.u - params.r_a * x.i - params.psi_e * omega) / params.l_a
        return Current(i=rate), Voltage(u=0.0)

    def torque(self, x: Current, params: PermanentParams) -> jax.Array:
        return params.psi_e * x.i

    def terminal_currents(self, x: Current, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        return (x.i,)

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        return {"i": now.x.i, "u": now.phases[0]}


@dataclasses.dataclass(frozen=True)
class SeriesDc(PermExDc):
    """Series DC machine: `(l_a + l_e) di/dt = u - (r_a + r_e) i - l_e' omega i`, `T = l_e' i^2`."""

    family: ClassVar[str] = "SeriesDc"
    Params: ClassVar[type] = ExcitedParams
    resistances: ClassVar[tuple[str, ...]] = ("r_a", "r_e")
    exciter_resistances: ClassVar[tuple[str, ...]] = ("r_e",)
    fluxes: ClassVar[tuple[str, ...]] = ()
    quadrature_inductances: ClassVar[tuple[str, ...]] = ("l_e",)

    def derivative(self, x: Current, u: Voltage, omega: Any, params: ExcitedParams) -> tuple[Current, Voltage]:  # type: ignore[override]
        drop = (params.r_a + params.r_e + params.l_e_prime * omega) * x.i
        return Current(i=(u.u - drop) / (params.l_a + params.l_e)), Voltage(u=0.0)

    def torque(self, x: Current, params: ExcitedParams) -> jax.Array:  # type: ignore[override]
        return params.l_e_prime * x.i * x.i


@dataclasses.dataclass(frozen=True)
class ExtExDc(Machine):
    """Externally excited DC machine.

    `l_a di_a/dt = u_a - r_a i_a - l_e' omega i_e`, `l_e di_e/dt = u_e - r_e i_e`, `T = l_e' i_a i_e`.
    """

    family: ClassVar[str] = "ExtExDc"
    Params: ClassVar[type] = ExcitedParams
    State: ClassVar[type] = TwoCurrents
    bridges: ClassVar[tuple[str, ...]] = ("4QC", "4QC")
    phases: ClassVar[tuple[str, ...]] = ("u_a", "u_e")
    currents: ClassVar[tuple[str, ...]] = ("i_a", "i_e")
    voltages: ClassVar[tuple[str, ...]] = ("u_a", "u_e")
    has_angle: ClassVar[bool] = False
    has_frame: ClassVar[bool] = False
    resistances: ClassVar[tuple[str, ...]] = ("r_a", "r_e")
    exciter_resistances: ClassVar[tuple[str, ...]] = ("r_e",)
    direct_inductances: ClassVar[tuple[str, ...]] = ("l_a",)
    quadrature_inductances: ClassVar[tuple[str, ...]] = ("l_e",)

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> TwoVoltages:
        return TwoVoltages(u_a=phases[0], u_e=phases[-1])

    def derivative(
        self, x: TwoCurrents, u: TwoVoltages, omega: Any, params: ExcitedParams
    ) -> tuple[TwoCurrents, TwoVoltages]:
        armature = (u.u_a - params.r_a * x.i_a - params.l_e_prime * omega * x.i_e) / params.l_a
        exciter = (u.u_e - params.r_e * x.i_e) / params.l_e
        return TwoCurrents(i_a=armature, i_e=exciter), TwoVoltages(u_a=0.0, u_e=0.0)

    def torque(self, x: TwoCurrents, params: ExcitedParams) -> jax.Array:
        return params.l_e_prime * x.i_a * x.i_e

    def terminal_currents(self, x: TwoCurrents, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        return x.i_a, x.i_e

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        return {"i_a": now.x.i_a, "i_e": now.x.i_e, "u_a": now.phases[0], "u_e": now.phases[-1]}


@dataclasses.dataclass(frozen=True)
class ShuntDc(ExtExDc):
    """Shunt DC machine: the externally excited circuit with both windings at one voltage, `u_a = u_e = u`."""

    family: ClassVar[str] = "ShuntDc"
    bridges: ClassVar[tuple[str, ...]] = ("4QC",)
    phases: ClassVar[tuple[str, ...]] = ("u",)
    voltages: ClassVar[tuple[str, ...]] = ("u",)
    sums_currents: ClassVar[bool] = True

    def terminal_currents(self, x: TwoCurrents, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        return (x.i_a + x.i_e,)

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        return {"i_a": now.x.i_a, "i_e": now.x.i_e, "u": now.phases[0]}
