"""What the simulation asks of a machine family.

Letters: none; every array is a scalar () of one environment. The electrical state `x`, the voltages `u` in the frame of
the equations and `Params` are small structs of the family.
"""

import dataclasses
from typing import Any, ClassVar

import jax

from ..transforms import Angle, inverse_clarke, rotate


@dataclasses.dataclass(frozen=True)
class Instant:
    """What is reported about: the end of an interval, and how it began, where the gem form takes its angles from.

    Attributes:
      x, angle: electrical state and rotor angle at the end.
      u: the voltages in the frame of the equations at the end.
      phases: the voltages held at the terminals.
      start_x, start_angle: at the interval's start.
    """

    x: Any
    angle: Angle | None
    u: Any
    phases: tuple[Any, ...]
    start_x: Any
    start_angle: Angle | None


@dataclasses.dataclass(frozen=True)
class Machine:
    """One family's equations.

    Attributes:
      gem: reproduce what gym-electric-motor 3.0.3 computes where that differs from the circuit.
      family: the name in ids.
      Params: struct of machine parameters, SI units; the fields are those of gym-electric-motor.
      State: struct of electrical states `x`.
      bridges: the converter that drives the machine, as kinds of `converters.py`.
      phases: names of the voltages at the terminals, in the order of the converter's outputs.
      currents, voltages: names of the reported quantities, in the order of the observation.
      has_angle: whether there is a rotor angle (false for commutator machines).
      has_frame: whether voltages in one turning frame say all about the terminals', so that there is control "dq".
      sums_currents: whether the sum of the normalised currents is measured, too.
      resistances, exciter_resistances, fluxes, direct_inductances, quadrature_inductances: which parameters
        temperature, field winding and saturation scale (`drift.py`).
    """

    gem: bool = False

    family: ClassVar[str]
    Params: ClassVar[type]
    State: ClassVar[type]
    bridges: ClassVar[tuple[str, ...]]
    phases: ClassVar[tuple[str, ...]]
    currents: ClassVar[tuple[str, ...]]
    voltages: ClassVar[tuple[str, ...]]
    has_angle: ClassVar[bool] = True
    has_frame: ClassVar[bool] = True
    sums_currents: ClassVar[bool] = False
    resistances: ClassVar[tuple[str, ...]]
    exciter_resistances: ClassVar[tuple[str, ...]] = ()
    fluxes: ClassVar[tuple[str, ...]] = ()
    direct_inductances: ClassVar[tuple[str, ...]]
    quadrature_inductances: ClassVar[tuple[str, ...]] = ()

    def check(self, values: dict[str, float]) -> None:
        """Raises ValueError for parameters that no machine can have; the caller has checked signs already."""

    def inputs(self, phases: tuple[Any, ...], angle: Angle | None) -> Any:
        """Terminal voltages [V], one per entry of `phases`, in the frame of the equations."""
        raise NotImplementedError

    def derivative(self, x: Any, u: Any, omega: Any, params: Any) -> tuple[Any, Any]:
        """(dx/dt, du/dt) at mechanical speed `omega` [rad/s].

        Voltages held constant at the terminals turn in a rotating frame: u is integrated beside x.
        """
        raise NotImplementedError

    def torque(self, x: Any, params: Any) -> jax.Array:
        """Air-gap torque [N m]."""
        raise NotImplementedError

    def terminal_currents(self, x: Any, angle: Angle | None, params: Any) -> tuple[Any, ...]:
        """Currents [A] out of the converter, one per entry of `phases`."""
        raise NotImplementedError

    def report(self, now: Instant, params: Any) -> dict[str, Any]:
        """All quantities of `currents` and `voltages`, in A and V."""
        raise NotImplementedError

    def report_start(self, now: Instant, params: Any) -> dict[str, Any]:
        """The report at the start of an episode."""
        return self.report(now, params)

    def control_frame(self, x: Any, angle: Angle) -> Angle:
        """The frame whose voltages `control="dq"` takes."""
        del x
        return angle

    def terminals(self, voltages: tuple[Any, ...], frame: Angle) -> tuple[Any, ...]:
        """Terminal voltages of a vector in `frame`; what is no vector stays as it is."""
        return (*inverse_clarke(*rotate(voltages[0], voltages[1], frame)), *voltages[2:])

    def torque_limit(self, limits: dict[str, float], nominal: dict[str, float], params: Any) -> float:
        """The torque [N m] that the current limits allow, where the data sheet does not say."""
        raise NotImplementedError(f"{self.family} needs a torque limit")
