"""What a machine does in one control period, by the equations of the environment and the data sheet's numbers."""

import dataclasses
from typing import Any

from ..integrators import integrate
from ..transforms import Angle
from .plant import Axes, Plant, Situation


@dataclasses.dataclass(frozen=True)
class Model:
    """One-period prediction at constant speed.

    Attributes:
      plant: the family.
      solver, substeps: as of the environment.
    """

    plant: Plant
    solver: str
    substeps: int

    def after(self, now: Situation, terminals: Axes) -> Situation:
        """The situation one period later under terminal voltages [V]."""
        machine, params = self.plant.machine, self.plant.params

        def slopes(y: Any) -> Any:
            return machine.derivative(y[0], y[1], now.omega, params)

        start = (now.x, machine.inputs(terminals, now.angle))
        x, _ = integrate(self.solver, slopes, start, self.plant.tau, self.substeps)
        return now.replace(x=x, angle=self._turned(now))

    def _turned(self, now: Situation) -> Angle | None:
        if now.angle is None:
            return None
        return Angle.of(now.angle.value + self.plant.params.p * now.omega * self.plant.tau)
