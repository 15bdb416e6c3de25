"""The task of a drive: its physics as a vector, and how that vector makes parameters.

Temperatures, tolerances, load, supply and reference can be scheduled; normalisation never changes with them. Ranges are
textbook-typical choices, no measured distributions.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ..tasks import Parameter, TaskSpace
from . import loads, references, supplies
from .layout import Layout
from .machines.machine import Machine
from .transforms import Scalar

ROOM_TEMPERATURE = 20.0  # [deg C] of the data sheets
COPPER = 3.93e-3  # [1/K] temperature coefficient of resistance
MAGNET = -1.1e-3  # [1/K] of remanence: NdFeB
MAX_DEAD_TIME = 3
EXTRAS = ("dead_time", "interlocking", "noise", "load_step", "heating")


class Params(struct.PyTreeNode):
    """One drive. Every leaf may carry a batch axis, so a teacher can vary it."""

    machine: Any  # the family's Params
    load: loads.Params
    supply: supplies.Params
    reference: references.Params
    temperature: Scalar  # [deg C] of the windings at the start, where they heat up
    heating: Scalar  # [K/s] at nominal current
    dead_time: Scalar  # steps between an action and its effect, whole
    interlocking: Scalar  # share of the control period
    current_noise: Scalar  # standard deviation, share of the limit
    angle_noise: Scalar  # [rad] standard deviation
    spread: Scalar  # of the initial state, share of nominal values


@dataclasses.dataclass(frozen=True)
class Nominal:
    """What the drive is before a task changes it; all numbers are Python's, so double precision stays exact.

    Attributes:
      machine: (name, value) of the machine's parameters, SI units.
      load: (name, value) of `loads.Params`.
      supply: [V] nominal; `resistance` [Ohm], `capacitance` [F], `frequency` [Hz] of it.
      sigma: (lowest, highest) step of a random reference.
      margins: (low, high) of every reference at amplitude 1.
      dead_time: steps.
      interlocking: share of the control period.
      extras: which of `EXTRAS` a task may change.
    """

    machine: tuple[tuple[str, float], ...]
    load: tuple[tuple[str, float], ...]
    supply: float
    resistance: float
    capacitance: float
    frequency: float
    sigma: tuple[float, float]
    margins: tuple[tuple[float, float], ...]
    dead_time: int
    interlocking: float
    extras: tuple[str, ...]


def task_space(
    machine: Machine,
    load: loads.Load,
    supply: supplies.Supply,
    signals: references.References,
    nominal: Nominal,
    layout: Layout,
) -> TaskSpace:
    """What a teacher may schedule: only parameters that matter to this drive."""
    return TaskSpace(
        (
            *_machine_parameters(machine),
            *_load_parameters(load, dict(nominal.load), layout),
            *_supply_parameters(supply, nominal, layout.limit(machine.currents[0])),
            *_reference_parameters(signals, nominal),
            Parameter("initial_spread", 0.0, 1.0, 0.0, "1", doc="Random initial state, share of nominal values."),
            *_extra_parameters(nominal, layout.limit("torque")),
        )
    )


def _machine_parameters(machine: Machine) -> list[Parameter]:
    found = [
        Parameter("winding_temperature", -40.0, 180.0, ROOM_TEMPERATURE, "deg C", doc="Scales copper resistances.")
    ]
    if machine.fluxes:
        found.append(
            Parameter("magnet_temperature", -40.0, 160.0, ROOM_TEMPERATURE, "deg C", doc="Weakens the magnets.")
        )
    if machine.exciter_resistances:
        found.append(_scale("exciter_resistance", 0.5, 2.0, "Rotor or exciter resistance", log=True))
    found.append(_scale("direct_inductance", 0.6, 1.2, "Inductance of the d axis, armature or iron"))
    if machine.quadrature_inductances:
        found.append(_scale("quadrature_inductance", 0.6, 1.2, "Inductance of the q axis, exciter or leakage"))
    return found


def _load_parameters(load: loads.Load, values: dict[str, float], layout: Layout) -> list[Parameter]:
    torque, speed = layout.limit("torque"), layout.limit("omega")
    if load.moves:
        found = [_scale("inertia", 0.5, 5.0, "Moment of inertia of rotor and load", log=True)]
        for name, key, power, unit in (
            ("static_friction", "a", 0, "N m"),
            ("viscous_friction", "b", 1, "N m s/rad"),
            ("fan", "c", 2, "N m s^2/rad^2"),
        ):
            high = max(2 * values[key], 0.2 * torque / speed**power)
            found.append(Parameter(name, 0.0, high, values[key], unit, doc=f"Load torque per speed^{power}."))
        return found
    if not load.has_speed:
        return []
    low = speed * layout.low[layout.index("omega")]
    return [Parameter("speed", low, speed, values["speed"], "rad/s", doc="Speed that the test bench holds.")]


def _supply_parameters(supply: supplies.Supply, nominal: Nominal, current: float) -> list[Parameter]:
    found = [_scale("supply_voltage", 0.7, 1.1, "Voltage of the supply")]
    if supply.stiff:
        high = max(0.1 * nominal.supply / current, 2 * nominal.resistance)
        found.append(
            Parameter("supply_resistance", 0.0, high, nominal.resistance, "Ohm", doc="In front of the supply.")
        )
    return found


def _reference_parameters(signals: references.References, nominal: Nominal) -> list[Parameter]:
    found, kinds = [], signals.kinds
    if any(kind.walks for kind in kinds):
        for name, value in zip(("reference_step_low", "reference_step_high"), nominal.sigma, strict=True):
            found.append(
                Parameter(name, 1e-4, 0.2, value, "1", "log", doc="Range of the reference's random step per period.")
            )
    if any(kind.waves for kind in kinds):
        for name, value in (("reference_frequency_low", 1.0), ("reference_frequency_high", 10.0)):
            found.append(Parameter(name, 0.1, 100.0, value, "Hz", "log", doc="Range of the reference's frequency."))
    widest = max(max(abs(low), abs(high)) for low, high in nominal.margins)
    if widest > 0:
        found.append(
            Parameter("reference_amplitude", 0.05, 1 / widest, 1.0, "1", doc="Range of the reference, nominal is 1.")
        )
    if any(kind.num_draws for kind in kinds):
        for name, value in (("sub_episode_low", 500.0), ("sub_episode_high", 2000.0)):
            found.append(Parameter(name, 10.0, 20000.0, value, "steps", "log", doc="Range of sub-episode lengths."))
    return found


def _scale(name: str, low: float, high: float, doc: str, log: bool = False) -> Parameter:
    return Parameter(
        name, low, high, 1.0, "1", "log" if log else "linear", doc=f"{doc}, as a share of the data sheet's."
    )


def _extra_parameters(nominal: Nominal, torque: float) -> list[Parameter]:
    table = {
        "dead_time": [
            Parameter(
                "dead_time", 0, MAX_DEAD_TIME, nominal.dead_time, "steps", kind="integer", doc="Delay of an action."
            )
        ],
        "interlocking": [
            Parameter(
                "interlocking",
                0.0,
                max(0.05, nominal.interlocking),
                nominal.interlocking,
                "1",
                doc="Both switches off, share of the period.",
            )
        ],
        "noise": [
            Parameter("current_noise", 0.0, 0.02, 0.0, "1", doc="Standard deviation, share of the limit."),
            Parameter("angle_noise", 0.0, 0.05, 0.0, "rad", doc="Standard deviation of the measured angle."),
        ],
        "load_step": [Parameter("load_step", -0.5 * torque, 0.5 * torque, 0.0, "N m", doc="Sets in at a random time.")],
        "heating": [Parameter("heating", 0.0, 50.0, 0.0, "K/s", doc="Warming of the windings at nominal current.")],
    }
    return [parameter for name in EXTRAS if name in nominal.extras for parameter in table[name]]


def resistance_factor(temperature: Any) -> Any:
    """Resistance of copper at a temperature [deg C] per resistance at room temperature."""
    return 1 + COPPER * (temperature - ROOM_TEMPERATURE)


def task_params(machine: Machine, nominal: Nominal, space: TaskSpace, task: jax.Array) -> Params:
    """The drive that a task (D,) stands for, in the task's precision; pure."""
    task = jnp.asarray(task)
    named = {name: task[..., i] for i, name in enumerate(space.names)}

    one = jnp.ones(task.shape[:-1], task.dtype)

    def value(name: str, default: float) -> jax.Array:
        return named[name] if name in named else default * one

    temperature = value("winding_temperature", ROOM_TEMPERATURE)
    inertia = value("inertia", 1.0)
    load = dict(nominal.load) | {"j_load": dict(nominal.load)["j_load"] * inertia}
    load |= {
        key: named[name]
        for name, key in (
            ("static_friction", "a"),
            ("viscous_friction", "b"),
            ("fan", "c"),
            ("speed", "speed"),
            ("load_step", "step_height"),
        )
        if name in named
    }
    amplitude = value("reference_amplitude", 1.0)
    low, high = (jnp.asarray(side, task.dtype) for side in zip(*nominal.margins, strict=True))
    return Params(
        machine=_machine_params(machine, nominal, value, temperature),
        load=loads.Params(**{key: one * number for key, number in load.items()}),
        supply=supplies.Params(
            voltage=nominal.supply * value("supply_voltage", 1.0),
            resistance=value("supply_resistance", nominal.resistance),
            capacitance=one * nominal.capacitance,
            frequency=one * nominal.frequency,
        ),
        reference=references.Params(
            low=amplitude[..., None] * low,
            high=amplitude[..., None] * high,
            sigma_low=value("reference_step_low", nominal.sigma[0]),
            sigma_high=value("reference_step_high", nominal.sigma[1]),
            length_low=value("sub_episode_low", 500.0),
            length_high=value("sub_episode_high", 2000.0),
            frequency_low=value("reference_frequency_low", 1.0),
            frequency_high=value("reference_frequency_high", 10.0),
        ),
        temperature=temperature if "heating" in nominal.extras else ROOM_TEMPERATURE * one,
        heating=value("heating", 0.0),
        dead_time=value("dead_time", float(nominal.dead_time)),
        interlocking=value("interlocking", nominal.interlocking),
        current_noise=value("current_noise", 0.0),
        angle_noise=value("angle_noise", 0.0),
        spread=value("initial_spread", 0.0),
    )


def _machine_params(machine: Machine, nominal: Nominal, value: Any, temperature: jax.Array) -> Any:
    factors = {
        machine.resistances: resistance_factor(temperature),
        machine.exciter_resistances: value("exciter_resistance", 1.0),
        machine.fluxes: 1 + MAGNET * (value("magnet_temperature", ROOM_TEMPERATURE) - ROOM_TEMPERATURE),
        machine.direct_inductances: value("direct_inductance", 1.0),
        machine.quadrature_inductances: value("quadrature_inductance", 1.0),
        ("j_rotor",): value("inertia", 1.0),
    }
    numbers: dict[str, Any] = {name: number * jnp.ones_like(temperature) for name, number in nominal.machine}
    for names, factor in factors.items():
        for name in names:
            numbers[name] = numbers[name] * factor
    return machine.Params(**numbers)


def warmed(machine: Machine, params: Params, temperature: jax.Array) -> Any:
    """The machine's parameters with the windings at another temperature [deg C] than at the start."""
    factor = resistance_factor(temperature) / resistance_factor(params.temperature)
    return params.machine.replace(**{name: getattr(params.machine, name) * factor for name in machine.resistances})


def initial_scale(names: tuple[str, ...], layout: Layout, machine: dict[str, float]) -> dict[str, float]:
    """Nominal size of every electrical state, chosen so that a random start is within the limits.

    Args:
      names: fields of the machine's State.
      machine: its parameters.
    """
    current = layout.nominal[layout.index(layout.names[2])] / math.sqrt(2)
    count = sum(name.startswith("i_s") for name in names)
    share = current * math.sqrt(2 / max(count, 2))
    flux = machine.get("l_m", 0.0) * current
    sizes = {}
    for name in names:
        own = layout.nominal[layout.index(name)] if name in layout.names and name in ("i", "i_a", "i_e") else share
        sizes[name] = flux if name.startswith("psi") else own
    return sizes
