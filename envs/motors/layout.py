"""What is measured, in which order, and what each number is divided by.

Letters: S measured quantities.
"""

import dataclasses
import math
from collections.abc import Mapping

from .converters import SWING, TERMINALS
from .machines.machine import Machine

BOUND = 2.0  # of normalised currents, torque and speed in the observation space: far beyond where episodes end
ROOM = 1.25  # of normalised voltages above what the converter can give
UNITS = {"omega": "rad/s", "torque": "N m", "epsilon": "rad", "psi_abs": "V s", "psi_angle": "rad", "i": "A", "u": "V"}


@dataclasses.dataclass(frozen=True)
class Layout:
    """The measured quantities; every tuple has S entries.

    Attributes:
      names: as gym-electric-motor calls them.
      limits: what a quantity is divided by, SI units.
      nominal: the largest value in continuous operation, SI units.
      low: smallest normalised value that a machine in operation has: -1, or 0 for one-sided quantities.
      bounds: largest magnitude of the normalised value in an observation.
    """

    names: tuple[str, ...]
    limits: tuple[float, ...]
    nominal: tuple[float, ...]
    low: tuple[float, ...]
    bounds: tuple[float, ...]

    def index(self, name: str) -> int:
        """Position of a quantity.

        Raises:
          ValueError: naming those that exist.
        """
        if name not in self.names:
            raise ValueError(f"unknown quantity {name!r}; expected one of {list(self.names)}")
        return self.names.index(name)

    def limit(self, name: str) -> float:
        """What `name` is divided by."""
        return self.limits[self.index(name)]

    def width(self, name: str) -> float:
        """Width of the normalised range of `name`: 2, or 1 if it is one-sided."""
        return 1.0 - self.low[self.index(name)]


def unit(name: str) -> str:
    """SI unit of a measured quantity."""
    return UNITS[name] if name in UNITS else UNITS[name[0]]


def make_layout(
    machine: Machine,
    limits: Mapping[str, float],
    nominal: Mapping[str, float],
    *,
    one_sided: tuple[str, ...],
    bridges: tuple[str, ...],
    supply: float,
    supply_swing: float,
    num_supplies: int,
) -> Layout:
    """The layout of a machine at its converter.

    Args:
      limits, nominal: as in `Family`, with a torque.
      one_sided: quantities that are never negative.
      bridges: the converter's.
      supply: [V] nominal.
      supply_swing: largest supply voltage per nominal voltage.
      num_supplies: number of supply voltages.
    """
    sums = ("i_sum",) if machine.sums_currents else ()
    supplies = ("u_sup",) if num_supplies == 1 else tuple(f"u_sup_{phase}" for phase in "abc")
    angle = ("epsilon",) if machine.has_angle else ()
    names = ("omega", "torque", *machine.currents, *machine.voltages, *angle, *supplies, *sums)
    swings = _swings(machine, bridges)
    half = 0.5 if machine.has_angle else 1.0  # phase voltages are counted from the middle of the supply

    def value(table: Mapping[str, float], name: str) -> float:
        if name.startswith("u_sup"):
            return supply
        if name == "epsilon":
            return math.pi
        if name in table:
            return table[name]
        return table["i"] if name.startswith("i") else half * table["u"]

    def bound(name: str) -> float:
        if name == "epsilon":
            return 1.0
        if name.startswith("u_sup"):
            return 1.1 * ROOM * supply_swing
        if name.startswith("u"):
            return max(1.5, 1.1 * ROOM * supply_swing * supply * swings[name] / value(limits, name))
        return BOUND

    low = tuple(
        0.0 if name in one_sided or (name.startswith("u_sup") and supply_swing == 1.0) else -1.0 for name in names
    )
    return Layout(
        names=names,
        limits=tuple(value(limits, n) for n in names),
        nominal=tuple(value(nominal, n) for n in names),
        low=low,
        bounds=tuple(bound(n) for n in names),
    )


def _swings(machine: Machine, bridges: tuple[str, ...]) -> dict[str, float]:
    """Largest magnitude of every reported voltage per supply voltage."""
    terminals = [bridge for bridge in bridges for _ in range(TERMINALS[bridge])]
    swings = {name: SWING[bridge] for name, bridge in zip(machine.phases, terminals, strict=True)}
    # A vector of three phases reaches 4/3 of the phases' swing.
    return {name: swings.get(name, 4 / 3 * max(swings.values())) for name in machine.voltages}
