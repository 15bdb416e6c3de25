"""The parts of a drive, from options and data sheet: parameters, converter, supply, layout of measurements, load."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import OptionError
from . import loads
from .converters import TERMINALS
from .families import Family, table_entry
from .layout import Layout, make_layout
from .loads import LOADS
from .machines.machine import Machine
from .options import chosen_entry, merged, one_of, positive
from .supplies import RC


def machine_parameters(motor: Machine, sheet: Family, given: Mapping[str, float] | None) -> dict[str, float]:
    """The data sheet's parameters with those that were given instead."""
    values = merged("machine", sheet.parameters, given)
    for key, value in values.items():
        may_vanish = key.startswith(("r_", "psi"))
        if value < 0 or (value == 0 and not may_vanish):
            kind = "a number of at least 0" if may_vanish else "a positive number"
            raise OptionError(f"machine[{key!r}]={value}; expected {kind} for {motor.family}", key="machine")
    try:
        motor.check(values)
    except ValueError as error:
        raise OptionError(f"machine: {error}", key="machine") from None
    return values


def drive_bridges(motor: Machine, converter: str | Sequence[str] | None) -> tuple[str, ...]:
    """The converter's bridges; refused if they do not fit the machine's terminals."""
    bridges = motor.bridges if converter is None else (converter,) if isinstance(converter, str) else tuple(converter)
    for bridge in bridges:
        one_of("converter", bridge, TERMINALS)
    given = sum(TERMINALS[b] for b in bridges)
    fits = given == len(motor.phases) and all(
        TERMINALS[b] == TERMINALS[w] for b, w in zip(bridges, motor.bridges, strict=False)
    )
    if not fits or len(bridges) != len(motor.bridges):
        raise OptionError(
            f"converter={bridges!r} has {given} terminals; {motor.family} needs {len(motor.phases)}, as "
            f"{motor.bridges!r} has",
            key="converter",
        )
    return bridges


def check_supply(supply: Any, bridges: tuple[str, ...]) -> None:
    """Refuses three supply voltages at a converter for one, and the other way round."""
    three = supply.num_voltages == 3
    if three != (bridges == ("direct",)):
        raise OptionError(
            f"supply with {supply.num_voltages} voltages at converter {bridges!r}; expected three phases exactly where "
            "the converter is 'direct'",
            key="supply",
        )


def drive_supply_parameters(supply: Any, given: Mapping[str, float] | None) -> dict[str, float]:
    """Resistance [Ohm], capacitance [F] and frequency [Hz] of the supply."""
    is_rc = isinstance(supply, RC)
    values = merged("supply_parameters", {"resistance": float(is_rc), "capacitance": 4e-3, "frequency": 50.0}, given)
    for key, value in values.items():
        if value < 0 or (value == 0 and (is_rc or key != "resistance")):
            raise OptionError(
                f"supply_parameters[{key!r}]={value}; expected a positive number", key="supply_parameters"
            )
    return values


def drive_layout(
    motor: Machine,
    sheet: Family,
    parameters: dict[str, float],
    limits: Mapping[str, float] | None,
    nominal: Mapping[str, float] | None,
    bridges: tuple[str, ...],
    voltage: float,
    supply: Any,
    flux_observer: bool,
) -> Layout:
    """What is measured and what it is divided by; a torque limit that is not given follows from the currents'."""
    known = {"torque": 0.0} | sheet.limits
    limit = {k: v for k, v in merged("limits", known, limits).items() if k != "torque" or v}
    usual = {k: v for k, v in merged("nominal", {"torque": 0.0} | sheet.nominal, nominal).items() if k != "torque" or v}
    for table, name in ((limit, "limits"), (usual, "nominal")):
        for key, value in table.items():
            positive(f"{name}[{key!r}]", value)
    if "torque" not in limit:
        limit["torque"] = motor.torque_limit(limit, usual, motor.Params(**parameters))
    usual.setdefault("torque", limit["torque"])
    for key, value in usual.items():
        if key in limit and value > limit[key]:
            raise OptionError(f"nominal[{key!r}]={value}; expected at most its limit, {limit[key]}", key="nominal")
    layout = make_layout(
        motor,
        limit,
        usual,
        one_sided=sheet.one_sided + _one_sided(motor, bridges),
        bridges=bridges,
        supply=voltage,
        supply_swing=supply.swing,
        num_supplies=supply.num_voltages,
    )
    return _with_flux(layout, motor, parameters, limit["i"]) if flux_observer else layout


def _one_sided(motor: Machine, bridges: tuple[str, ...]) -> tuple[str, ...]:
    """Quantities that one- and two-quadrant converters keep from being negative."""
    if motor.has_angle:
        return ()
    fed = bridges * len(motor.currents) if len(bridges) == 1 else bridges  # one bridge feeds both windings
    voltages = tuple(name for name, b in zip(motor.phases, bridges, strict=True) if b in ("1QC", "2QC"))
    currents = tuple(name for name, b in zip(motor.currents, fed, strict=True) if b == "1QC")
    speed = ("omega",) if len(voltages) == len(motor.phases) else ()
    torque = ("torque",) if len(currents) == len(motor.currents) else ()
    return speed + torque + voltages + currents


def _with_flux(layout: Layout, motor: Machine, parameters: dict[str, float], current: float) -> Layout:
    if "l_sigr" not in parameters:
        raise OptionError(f"flux_observer=True; {motor.family} is no induction machine", key="flux_observer")
    full = parameters["l_m"] * current
    return Layout(
        names=(*layout.names, "psi_abs", "psi_angle"),
        limits=(*layout.limits, full, math.pi),
        nominal=(*layout.nominal, full, math.pi),
        low=(*layout.low, 0.0, -1.0),
        bounds=(*layout.bounds, 2.0, 1.0),
    )


def drive_load(
    sheet: Family,
    action: str,
    task: str,
    load: Any,
    given: Mapping[str, float] | None,
    extras: Sequence[str],
    gem: bool,
) -> tuple[Any, dict[str, float]]:
    """(load, its `loads.Params` as numbers)."""
    if load is None:
        load = "polynomial" if task == "SC" else "constant_speed"
        load = "load_step" if "load_step" in extras and task == "SC" else load
    chosen = chosen_entry("load", load, LOADS, "moves")
    if gem and isinstance(chosen, loads.SpeedProfile):
        chosen = dataclasses.replace(chosen, gem=True)
    if "load_step" in extras and not getattr(chosen, "steps", False):
        raise OptionError(f"extras has 'load_step'; the load {load!r} has none, expected 'load_step'", key="extras")
    a, b, c, j_load = table_entry(sheet.load, action, task)
    defaults = {f.name: float(f.default) for f in dataclasses.fields(loads.Params)}  # type: ignore[arg-type]
    defaults |= {"a": a, "b": b, "c": c, "j_load": j_load}
    if isinstance(chosen, loads.ConstantSpeed):
        defaults["speed"] = table_entry(sheet.speed, action, task)
    values = merged("load_parameters", defaults, given)
    for key, value in values.items():
        if key not in ("speed", "step_height") and value < 0:
            raise OptionError(f"load_parameters[{key!r}]={value}; expected at least 0", key="load_parameters")
    for key in ("j_load", "theta", "stribeck_speed"):  # the simulation divides by them
        positive(f"load_parameters[{key!r}]", values[key])
    return chosen, values


def check_speed(speed: float, layout: Layout) -> None:
    """Refuses a speed of the test bench beyond the machine's limit."""
    high = layout.limit("omega")
    low = high * layout.low[layout.index("omega")]
    if not low <= speed <= high:
        raise OptionError(
            f"load_parameters['speed']={speed}; expected [rad/s] in [{low:.6g}, {high:.6g}]", key="load_parameters"
        )
