"""The ten families' data sheets and the sixty standard tasks.

Source: gym-electric-motor 3.0.3, the class defaults of `electric_motors/` and `envs/`; where its files name a data
sheet it is repeated here.
"""

import dataclasses
import math
from typing import Any

from .machines.dc import ExtExDc, PermExDc, SeriesDc, ShuntDc
from .machines.induction import DFIM, SCIM
from .machines.machine import Machine
from .machines.six_phase import SIXPMSM
from .machines.synchronous import EESM, PMSM, SynRM

ACTIONS = ("Cont", "Finite")
TASKS = ("CC", "TC", "SC")
TASK_NAMES = {"CC": "current control", "TC": "torque control", "SC": "speed control"}
RPM = math.pi / 30  # [rad/s] per revolution per minute
BENCH_SPEED = 100.0  # [rad/s] of the constant-speed load
EXCITED = {"r_a": 0.016, "l_a": 19e-6, "l_e": 5.4e-3, "l_e_prime": 1.7e-3, "j_rotor": 0.0025}
DC_LIMITS = {"omega": 400.0, "torque": 38.0, "i": 210.0, "u": 60.0}
DC_NOMINAL = {"omega": 300.0, "torque": 16.0, "i": 97.0, "u": 60.0}
NO_FRICTION = (0.0, 0.0, 0.0, 1e-4)
LIGHT_FRICTION = (0.01, 0.01, 0.0, 1e-5)


@dataclasses.dataclass(frozen=True)
class Family:
    """A data sheet and the standard tasks made from it.

    Attributes:
      machine: the equations.
      title: for documentation.
      parameters: of the machine, SI units.
      limits, nominal: omega [rad/s], torque [N m] (absent: what the current limit allows), i [A], i_e [A], u [V].
      currents: referenced in current control.
      watched: currents whose limit ends an episode; three-phase currents as one squared sum.
      also_watched: currents watched on their own beside that sum.
      overlooked: currents whose squared sum the original ought to watch and does not; left out with compat="gem".
      supply: [V], per "Cont-CC" style name or "".
      load: (a, b, c, j_load) of speed control, per action or "".
      speed: [rad/s] of the test bench in current and torque control, per name or "".
      sigma: (lowest, highest) step of the random reference, per name, action + "SC", task or "".
      margins: (low, high) factors on nominal / limit, per name + quantity.
      one_sided: quantities that are never negative.
      tau: [s] control period per action.
      substeps: of the integrator per control period.
      weights: reward weight of each referenced current; None shares one among them.
    """

    machine: type[Machine]
    title: str
    parameters: dict[str, float]
    limits: dict[str, float]
    nominal: dict[str, float]
    currents: tuple[str, ...]
    watched: tuple[str, ...]
    also_watched: tuple[str, ...] = ()
    overlooked: tuple[str, ...] = ()
    supply: dict[str, float] = dataclasses.field(default_factory=lambda: {"": 420.0})
    load: dict[str, tuple[float, float, float, float]] = dataclasses.field(default_factory=lambda: {"": LIGHT_FRICTION})
    speed: dict[str, float] = dataclasses.field(default_factory=lambda: {"": BENCH_SPEED})
    sigma: dict[str, tuple[float, float]] = dataclasses.field(default_factory=lambda: {"": (1e-3, 1e-1)})
    margins: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    one_sided: tuple[str, ...] = ()
    tau: dict[str, float] = dataclasses.field(default_factory=lambda: {"Cont": 1e-4, "Finite": 1e-5})
    substeps: int = 1
    weights: float | None = None


FAMILIES: dict[str, Family] = {
    "PermExDc": Family(
        machine=PermExDc,
        title="Permanently excited DC machine",
        parameters={"r_a": 0.016, "l_a": 19e-6, "psi_e": 0.165, "j_rotor": 0.025},
        limits=DC_LIMITS,
        nominal=DC_NOMINAL,
        currents=("i",),
        watched=("i",),
        supply={"": 60.0},
        load={"Cont": NO_FRICTION, "Finite": (0.0, 0.0, 0.0, 1e-3)},
        sigma={"": (1e-2, 1e-1), "Cont-SC": (1e-3, 5e-2), "Finite-SC": (1e-3, 5e-3)},
    ),
    "ExtExDc": Family(
        machine=ExtExDc,
        title="Externally excited DC machine",
        parameters={"r_e": 0.16, **EXCITED},
        limits=DC_LIMITS,
        nominal=DC_NOMINAL,
        currents=("i_a", "i_e"),
        watched=("i_a", "i_e"),
        supply={"": 60.0},
        load={"": NO_FRICTION},
    ),
    "SeriesDc": Family(
        machine=SeriesDc,
        title="Series DC machine",
        parameters={"r_e": 0.048, **EXCITED},
        limits=DC_LIMITS,
        nominal=DC_NOMINAL,
        currents=("i",),
        watched=("i",),
        supply={"": 60.0, "Finite-TC": 420.0, "Finite-CC": 420.0},
        load={"Cont": (0.01, 0.05, 0.0, 1e-4), "Finite": (0.15, 0.05, 0.0, 1e-4)},
        sigma={"": (1e-3, 1e-1), "Cont-SC": (1e-3, 2e-2), "Finite-SC": (1e-3, 5e-3)},
        one_sided=("omega", "torque"),
    ),
    "ShuntDc": Family(
        machine=ShuntDc,
        title="Shunt DC machine",
        parameters={"r_e": 0.4, **EXCITED},
        limits=DC_LIMITS,
        nominal=DC_NOMINAL,
        currents=("i_a",),
        watched=("i_a", "i_e"),
        supply={"": 60.0},
        speed={"": BENCH_SPEED, "Cont-TC": 230.0},
        load={"": (0.05, 0.01, 0.0, 1e-4)},
        sigma={"": (1e-3, 1e-1), "Cont-SC": (1e-3, 3e-2), "Finite-SC": (1e-3, 5e-3)},
        margins={"Cont-TC": (0.0, 0.8)},
        one_sided=("omega",),
    ),
    "PMSM": Family(
        machine=PMSM,
        title="Permanent magnet synchronous machine",
        parameters={"p": 3.0, "l_d": 0.37e-3, "l_q": 1.2e-3, "r_s": 18e-3, "psi_p": 66e-3, "j_rotor": 0.03883},
        limits={"omega": 4000 * RPM, "i": 400.0, "u": 300.0},
        nominal={"omega": 3000 * RPM, "i": 240.0, "u": 300.0},
        currents=("i_sd", "i_sq"),
        watched=("i_sd", "i_sq"),
        supply={"": 420.0, "Cont-CC": 300.0},
    ),
    "EESM": Family(
        machine=EESM,
        title="Externally excited synchronous machine",
        parameters={
            "p": 3.0,
            "l_d": 1.66e-3,
            "l_q": 0.35e-3,
            "l_m": 1.589e-3,
            "l_e": 1.74e-3,
            "r_s": 15.55e-3,
            "r_e": 7.2e-3,
            "k": 65.21,
            "j_rotor": 0.3883,
        },
        limits={"omega": 12000 * RPM, "i": 150.0, "i_e": 150.0, "u": 320.0},
        nominal={"omega": 4300 * RPM, "i": 120.0, "i_e": 150.0, "u": 320.0},
        currents=("i_sd", "i_sq", "i_e"),
        watched=("i_sd", "i_sq"),
        also_watched=("i_e",),
        substeps=2,  # its rotor turns up to 0.38 rad in a control period
        supply={"": 420.0, "Cont-CC": 300.0},
        load={"Cont": LIGHT_FRICTION, "Finite": (0.0, 0.0, 0.0, 1e-5)},
        margins={"Cont-CC i_e": (0.0, 1.0)},
    ),
    "SynRM": Family(
        machine=SynRM,
        title="Synchronous reluctance machine",
        parameters={"p": 4.0, "l_d": 10.1e-3, "l_q": 4.1e-3, "r_s": 0.57, "j_rotor": 0.8e-3},
        limits={"omega": 4300 * RPM, "i": 18.0, "u": 80.0},
        nominal={"omega": 3000 * RPM, "i": 10.0, "u": 80.0},
        currents=("i_sd", "i_sq"),
        watched=("i_sd", "i_sq"),
        sigma={"": (1e-3, 1e-1), "SC": (1e-3, 1e-2)},
    ),
    "SCIM": Family(
        machine=SCIM,
        title="Squirrel cage induction machine",
        parameters={
            "p": 2.0,
            "l_m": 143.75e-3,
            "l_sigs": 5.87e-3,
            "l_sigr": 5.87e-3,
            "r_s": 2.9338,
            "r_r": 1.355,
            "j_rotor": 1.1e-3,
        },
        limits={"omega": 4000 * RPM, "i": 5.5, "u": 560.0},
        nominal={"omega": 3000 * RPM, "i": 3.9, "u": 560.0},
        currents=("i_sd", "i_sq"),
        watched=("i_sd", "i_sq"),
        sigma={"": (1e-3, 1e-1), "SC": (1e-3, 1e-2)},
    ),
    "DFIM": Family(
        machine=DFIM,
        title="Doubly fed induction machine",
        parameters={
            "p": 2.0,
            "l_m": 297.5e-3,
            "l_sigs": 25.71e-3,
            "l_sigr": 25.71e-3,
            "r_s": 4.42,
            "r_r": 3.51,
            "j_rotor": 13.695e-3,
        },
        limits={"omega": 1800 * RPM, "i": 9.0, "u": 720.0},
        nominal={"omega": 1650 * RPM, "i": 7.5, "u": 720.0},
        currents=("i_sd", "i_sq"),
        watched=("i_sd", "i_sq"),
        overlooked=("i_rd", "i_rq"),
        sigma={"": (1e-3, 1e-1), "SC": (1e-3, 1e-2)},
    ),
    "SIXPMSM": Family(
        machine=SIXPMSM,
        title="Six-phase permanent magnet synchronous machine",
        parameters={
            "p": 5.0,
            "l_d": 125e-6,
            "l_q": 126e-6,
            "l_x": 39e-6,
            "l_y": 35e-6,
            "r_s": 64.3e-3,
            "psi_PM": 4.7e-3,
            "j_rotor": 0.011,
        },
        limits={"omega": 4000 * RPM, "torque": 10.0, "i": 400.0, "u": 300.0},
        nominal={"omega": 3000 * RPM, "i": 240.0, "u": 300.0},
        currents=("i_sd", "i_sq", "i_sx", "i_sy"),
        watched=("i_sd", "i_sq", "i_sx", "i_sy"),
        supply={"": 300.0},
        tau={"Cont": 1e-4, "Finite": 1e-4},
        weights=0.5,
    ),
}


def table_entry(table: dict[str, Any], action: str, task: str) -> Any:
    """The most specific entry of a family's table: "Cont-CC", then "CC", then "Cont", then ""."""
    for name in (f"{action}-{task}", task, action, ""):
        if name in table:
            return table[name]
    raise KeyError(f"{action}-{task}")


def motor_ids() -> list[tuple[str, str, str]]:
    """(family, action, task) of the sixty standard ids."""
    return [(family, action, task) for family in FAMILIES for action in ACTIONS for task in TASKS]
