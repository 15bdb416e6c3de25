"""From names to a drive: `make_motor` resolves every choice, checks it, and builds the frozen `Motor`."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..errors import OptionError, short
from . import loads
from .converters import AVERAGED_TAU, TERMINALS, Converter
from .drift import EXTRAS, MAX_DEAD_TIME, Nominal
from .env import Motor, action_space
from .families import ACTIONS, FAMILIES, TASKS, Family, table_entry
from .integrators import METHODS
from .layout import Layout, make_layout
from .limits import Limit
from .loads import LOADS
from .machines.machine import Machine
from .noise import KINDS
from .observe import Observation
from .references import GENERATORS, References, Switched, Walk, Wave
from .reward import Reward
from .supplies import RC, SUPPLIES, Ideal

HORIZON = {"Cont": 2000, "Finite": 20000}  # 0.2 s
NO_HORIZON = 2**31 - 1  # the original never truncates


def make_motor(
    family: str = "PMSM",
    action: str = "Cont",
    task: str = "CC",
    *,
    compat: Literal["physical", "gem"] = "physical",
    machine: Mapping[str, float] | None = None,
    limits: Mapping[str, float] | None = None,
    nominal: Mapping[str, float] | None = None,
    converter: str | Sequence[str] | None = None,
    interlocking_time: float = 0.0,
    dead_time: int = 0,
    supply: str | Any = "ideal",
    supply_voltage: float | None = None,
    supply_parameters: Mapping[str, float] | None = None,
    load: str | Any | None = None,
    load_parameters: Mapping[str, float] | None = None,
    reference: str | Any | Sequence[Any] = "wiener",
    referenced: Sequence[str] | None = None,
    preview: int = 0,
    weights: Mapping[str, float] | None = None,
    powers: Mapping[str, float] | None = None,
    reward_offset: float | Literal["positive"] = 0.0,
    watched: Sequence[Limit] | None = None,
    angle: str = "wrapped",
    previous_action: bool = False,
    gem_obs: bool = False,
    control: Literal["phase", "dq"] = "phase",
    flux_observer: bool = False,
    noise: str = "normal",
    extras: Sequence[str] = (),
    start: Mapping[str, float] | None = None,
    tau: float | None = None,
    horizon: int | None = None,
    solver: str = "rk4",
    substeps: int | None = None,
) -> Motor:
    """Builds a drive; everything that is not given is the standard task's.

    Args:
      family, action, task: of `FAMILIES`, "Cont" or "Finite", "CC", "TC" or "SC".
      compat: "physical", or "gem" to reproduce gym-electric-motor 3.0.3 where it is wrong.
      machine: machine parameters that differ from the data sheet, SI units.
      limits, nominal: likewise, keys omega, torque, i, i_e, u.
      converter: bridges of `converters.py`, one or one per group of terminals.
      interlocking_time: [s] less than `tau`.
      dead_time: steps between an action and its effect, 0 to 3.
      supply: "ideal", "rc", "ac1", "ac3", or an object of `supplies.py`.
      supply_voltage: [V] nominal.
      supply_parameters: resistance [Ohm], capacitance [F], frequency [Hz].
      load: a name of `loads.LOADS` or an object of `loads.py`.
      load_parameters: fields of `loads.Params`.
      reference: a name of `references.GENERATORS` or an object of `references.py`, for all referenced quantities or
        one for each.
      referenced: quantities to control; the task's by default.
      preview: how many coming references are shown.
      weights, powers: of the reward, per referenced quantity.
      reward_offset: added to every step's reward; "positive" makes it the sum of the weights.
      watched: limits that end an episode; () for none.
      angle: "wrapped" or "cos_sin".
      previous_action: show the last action.
      gem_obs: observations as (measurements, references).
      control: "dq" takes voltages in rotor (induction machines: field) coordinates.
      flux_observer: measure an estimate of an induction machine's rotor flux, too.
      noise: distribution of measurement noise, "normal", "uniform" or "laplace".
      extras: what a task may change beyond what is free of cost: "dead_time", "interlocking", "noise", "load_step",
        "heating".
      start: electrical states, omega [rad/s] and epsilon [rad] at the start.
      tau: [s] control period.
      horizon: steps until truncation.
      solver, substeps: of `integrators.METHODS`, and how many per control period.

    Raises:
      OptionError: naming the argument, its value and what was expected.
    """
    _one_of("family", family, FAMILIES)
    _one_of("action", action, ACTIONS)
    _one_of("task", task, TASKS)
    _one_of("compat", compat, ("physical", "gem"))
    _one_of("solver", solver, METHODS)
    _one_of("noise", noise, KINDS)
    _one_of("control", control, ("phase", "dq"))
    for extra in extras:
        _one_of("extras", extra, EXTRAS)
    gem, sheet = compat == "gem", FAMILIES[family]
    motor = sheet.machine(gem=gem)
    parameters = _machine_parameters(motor, sheet, machine)
    tau = _positive("tau", sheet.tau[action] if tau is None else tau)
    bridges = _bridges(motor, converter)
    chosen_supply = _chosen("supply", supply, SUPPLIES, "num_voltages")
    _check_supply(chosen_supply, bridges)
    voltage = _positive(
        "supply_voltage", table_entry(sheet.supply, action, task) if supply_voltage is None else supply_voltage
    )
    layout = _layout(motor, sheet, parameters, limits, nominal, bridges, voltage, chosen_supply, flux_observer)
    chosen_load, load_values = _load(sheet, action, task, load, load_parameters, extras, gem)
    _check_speed(load_values["speed"], layout)
    names = _names("referenced", referenced, layout) if referenced is not None else _referenced(sheet, task)
    generators = _generators(reference, len(names), gem)
    share = _interlocking(interlocking_time, tau)
    _check_dead_time(dead_time)
    _check_control(control, action, motor, bridges)
    finite = action == "Finite"
    legs = Converter(
        bridges,
        finite,
        interlocking=share > 0 or "interlocking" in extras,
        gem=gem,
        period_ratio=tau / AVERAGED_TAU if gem and not finite else 1.0,
    )
    kinds = [k for g in generators for k in (g.generators if isinstance(g, Switched) else (g,))]
    given = _supply_parameters(chosen_supply, supply_parameters)
    try:
        return Motor(
            machine=motor,
            nominal=Nominal(
                machine=tuple(parameters.items()),
                load=tuple(load_values.items()),
                load_moves=chosen_load.moves,
                supply=voltage,
                **given,
                sigma=table_entry(sheet.sigma, action, task),
                margins=tuple(_margin(sheet, layout, f"{action}-{task}", name) for name in names),
                dead_time=dead_time,
                interlocking=share,
                walks=any(isinstance(k, Walk) for k in kinds),
                waves=any(isinstance(k, Wave) or type(k).__name__ == "BandLimited" for k in kinds),
                sub_episodes=any(k.num_draws > 0 for k in kinds),
                prescribed=isinstance(chosen_load, loads.ConstantSpeed | loads.OrnsteinUhlenbeck),
                one_sided_speed=layout.low[layout.index("omega")] == 0,
                stiff=isinstance(chosen_supply, Ideal),
                extras=tuple(sorted(set(extras), key=EXTRAS.index)),
            ),
            layout=layout,
            converter=legs,
            supply=chosen_supply,
            load=chosen_load,
            references=References(generators, len(names), _whole("preview", preview, 0)),
            reward_terms=_reward(sheet, layout, names, task, weights, powers, reward_offset),
            limits=_limits(motor, sheet, gem) if watched is None else _watched(watched, layout),
            observed=Observation(
                layout, names, preview, angle, _largest_action(legs, control, previous_action), gem_obs
            ),
            tau=tau,
            horizon=_horizon(horizon, action, gem),
            solver=solver,
            substeps=_substeps(substeps, family),
            control=control,
            noise=noise,
            flux_observer=flux_observer,
            gem=gem,
            start=tuple(sorted(_start(motor, start, gem).items())),
        )
    except ValueError as error:
        raise OptionError(str(error)) from None


def _one_of(name: str, value: Any, expected: Any) -> None:
    if value not in tuple(expected):
        raise OptionError(f"{name}={value!r}; expected one of {list(expected)}", key=name)


def _chosen(name: str, value: Any, table: Mapping[str, Any], part: str) -> Any:
    """An entry of `table`, or an object that has what every entry has: the attribute `part`."""
    if not isinstance(value, str):
        if not hasattr(value, part):
            raise OptionError(f"{name}={short(value)}; expected one of {list(table)} or an object like them", key=name)
        return value
    _one_of(name, value, table)
    return table[value]


def _whole(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise OptionError(f"{name}={short(value)}; expected a whole number of at least {low}", key=name)
    return value


def _names(name: str, given: Sequence[str], layout: Layout) -> tuple[str, ...]:
    """Names of measured quantities, each once."""
    names = (given,) if isinstance(given, str) else tuple(given)
    for quantity in names:
        _one_of(name, quantity, layout.names)
    if not names or len(set(names)) < len(names):
        raise OptionError(f"{name}={names!r}; expected at least one quantity, and none twice", key=name)
    return names


def _finite_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OptionError(f"{name}={short(value)}; expected a finite number", key=name)
    return float(value)


def _positive(name: str, value: Any) -> float:
    number = _finite_number(name, value)
    if number <= 0:
        raise OptionError(f"{name}={value}; expected a positive number", key=name)
    return number


def _merged(name: str, defaults: Mapping[str, float], given: Mapping[str, float] | None) -> dict[str, float]:
    """Defaults with what was given instead; unknown keys and non-finite values are errors."""
    merged = dict(defaults)
    for key, value in (given or {}).items():
        if key not in defaults:
            raise OptionError(f"{name}: unknown {key!r}; expected some of {sorted(defaults)}", key=name)
        merged[key] = _finite_number(f"{name}[{key!r}]", value)
    return merged


def _machine_parameters(motor: Machine, sheet: Family, given: Mapping[str, float] | None) -> dict[str, float]:
    values = _merged("machine", sheet.parameters, given)
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


def _bridges(motor: Machine, converter: str | Sequence[str] | None) -> tuple[str, ...]:
    bridges = motor.bridges if converter is None else (converter,) if isinstance(converter, str) else tuple(converter)
    for bridge in bridges:
        _one_of("converter", bridge, TERMINALS)
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


def _check_supply(supply: Any, bridges: tuple[str, ...]) -> None:
    three = supply.num_voltages == 3
    if three != (bridges == ("direct",)):
        raise OptionError(
            f"supply with {supply.num_voltages} voltages at converter {bridges!r}; expected three phases exactly where "
            "the converter is 'direct'",
            key="supply",
        )


def _supply_parameters(supply: Any, given: Mapping[str, float] | None) -> dict[str, float]:
    is_rc = isinstance(supply, RC)
    values = _merged("supply_parameters", {"resistance": float(is_rc), "capacitance": 4e-3, "frequency": 50.0}, given)
    for key, value in values.items():
        if value < 0 or (value == 0 and (is_rc or key != "resistance")):
            raise OptionError(
                f"supply_parameters[{key!r}]={value}; expected a positive number", key="supply_parameters"
            )
    return values


def _layout(
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
    known = {"torque": 0.0} | sheet.limits
    limit = {k: v for k, v in _merged("limits", known, limits).items() if k != "torque" or v}
    usual = {
        k: v for k, v in _merged("nominal", {"torque": 0.0} | sheet.nominal, nominal).items() if k != "torque" or v
    }
    for table, name in ((limit, "limits"), (usual, "nominal")):
        for key, value in table.items():
            _positive(f"{name}[{key!r}]", value)
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


def _load(
    sheet: Family,
    action: str,
    task: str,
    load: Any,
    given: Mapping[str, float] | None,
    extras: Sequence[str],
    gem: bool,
) -> tuple[Any, dict[str, float]]:
    if load is None:
        load = "polynomial" if task == "SC" else "constant_speed"
        load = "load_step" if "load_step" in extras and task == "SC" else load
    chosen = _chosen("load", load, LOADS, "moves")
    if gem and isinstance(chosen, loads.SpeedProfile):
        chosen = dataclasses.replace(chosen, gem=True)
    if "load_step" in extras and not getattr(chosen, "steps", False):
        raise OptionError(f"extras has 'load_step'; the load {load!r} has none, expected 'load_step'", key="extras")
    a, b, c, j_load = table_entry(sheet.load, action, task)
    defaults = {f.name: float(f.default) for f in dataclasses.fields(loads.Params)}  # type: ignore[arg-type]
    defaults |= {"a": a, "b": b, "c": c, "j_load": j_load}
    if isinstance(chosen, loads.ConstantSpeed):
        defaults["speed"] = table_entry(sheet.speed, action, task)
    values = _merged("load_parameters", defaults, given)
    for key, value in values.items():
        if key not in ("speed", "step_height") and value < 0:
            raise OptionError(f"load_parameters[{key!r}]={value}; expected at least 0", key="load_parameters")
    for key in ("j_load", "theta", "stribeck_speed"):  # the simulation divides by them
        _positive(f"load_parameters[{key!r}]", values[key])
    return chosen, values


def _check_speed(speed: float, layout: Layout) -> None:
    high = layout.limit("omega")
    low = high * layout.low[layout.index("omega")]
    if not low <= speed <= high:
        raise OptionError(
            f"load_parameters['speed']={speed}; expected [rad/s] in [{low:.6g}, {high:.6g}]", key="load_parameters"
        )


def _referenced(sheet: Family, task: str) -> tuple[str, ...]:
    return {"CC": sheet.currents, "TC": ("torque",), "SC": ("omega",)}[task]


def _generators(reference: Any, count: int, gem: bool) -> tuple[Any, ...]:
    given = (reference,) if isinstance(reference, str) or not isinstance(reference, Sequence) else tuple(reference)
    chosen = tuple(_chosen("reference", g, GENERATORS, "num_draws") for g in given)
    if gem:
        chosen = tuple(dataclasses.replace(g, gem=True) if isinstance(g, Wave) else g for g in chosen)
    if len(chosen) not in (1, count):
        raise OptionError(f"reference: got {len(chosen)} generators; expected 1 or {count}", key="reference")
    return chosen[:1] if all(g == chosen[0] for g in chosen) else chosen


def _margin(sheet: Family, layout: Layout, name: str, quantity: str) -> tuple[float, float]:
    index = layout.index(quantity)
    usual = layout.nominal[index] / layout.limits[index]
    low, high = sheet.margins.get(f"{name} {quantity}", sheet.margins.get(name, (layout.low[index] * usual, usual)))
    return float(low), float(high)


def _interlocking(time: float, tau: float) -> float:
    number = _finite_number("interlocking_time", time)
    if not 0 <= number < tau:
        raise OptionError(
            f"interlocking_time={time}; expected [s] in [0, {tau}), less than a control period", key="interlocking_time"
        )
    return number / tau


def _check_dead_time(steps: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= MAX_DEAD_TIME:
        raise OptionError(f"dead_time={short(steps)}; expected whole steps in [0, {MAX_DEAD_TIME}]", key="dead_time")


def _check_control(control: str, action: str, motor: Machine, bridges: tuple[str, ...]) -> None:
    if control == "dq" and (action != "Cont" or motor.family == "DFIM" or bridges[0] != "B6"):
        raise OptionError(
            f"control='dq' with {action}-{motor.family}; expected a continuous three- or six-phase drive with one "
            "frame (not DFIM)",
            key="control",
        )


def _reward(
    sheet: Family,
    layout: Layout,
    names: tuple[str, ...],
    task: str,
    weights: Mapping[str, float] | None,
    powers: Mapping[str, float] | None,
    offset: float | str,
) -> Reward:
    usual = sheet.weights if sheet.weights is not None and task == "CC" else 1 / len(names)
    weight = _merged("weights", dict.fromkeys(names, usual), weights)
    power = _merged("powers", dict.fromkeys(names, 1.0), powers)
    for key, value in weight.items():
        if value < 0:
            raise OptionError(f"weights[{key!r}]={value}; expected at least 0", key="weights")
    for key, value in power.items():
        _positive(f"powers[{key!r}]", value)
    total = sum(weight.values())
    return Reward(
        indices=tuple(layout.index(n) for n in names),
        widths=tuple(layout.width(n) for n in names),
        weights=tuple(weight[n] for n in names),
        powers=tuple(power[n] for n in names),
        offset=total if offset == "positive" else _finite_number("reward_offset", offset),
    )


def _limits(motor: Machine, sheet: Family, gem: bool) -> tuple[Limit, ...]:
    together = (Limit(sheet.watched),) if motor.has_angle else tuple(Limit((name,)) for name in sheet.watched)
    alone = tuple(Limit((name,)) for name in sheet.also_watched)
    rotor = (Limit(("i_rd", "i_rq")),) if motor.family == "DFIM" and not gem else ()
    return together + alone + rotor


def _watched(watched: Sequence[Limit], layout: Layout) -> tuple[Limit, ...]:
    limits = tuple(watched)
    for limit in limits:
        if not isinstance(limit, Limit):
            raise OptionError(f"watched: got {short(limit)}; expected objects of `limits.Limit`", key="watched")
        _names("watched", limit.names, layout)
    return limits


def _horizon(steps: int | None, action: str, gem: bool) -> int:
    if steps is None:
        return NO_HORIZON if gem else HORIZON[action]
    return _whole("horizon", steps, 1)


def _largest_action(converter: Converter, control: str, shown: bool) -> tuple[float, ...]:
    if not shown:
        return ()
    space = action_space(converter, control)
    if hasattr(space, "high"):
        return tuple(float(x) for x in space.high)
    counts = getattr(space, "nvec", None)
    return tuple(float(n - 1) for n in (counts if counts is not None else [space.n]))  # type: ignore[attr-defined]


def _substeps(substeps: int | None, family: str) -> int:
    if substeps is None:
        return 2 if family == "EESM" else 1  # its rotor turns up to 0.38 rad in a control period
    return _whole("substeps", substeps, 1)


def _start(motor: Machine, given: Mapping[str, float] | None, gem: bool) -> dict[str, float]:
    electrical = [f.name for f in dataclasses.fields(motor.State)] + ["epsilon"] * motor.has_angle
    start = _merged("start", dict.fromkeys([*electrical, "omega"], 0.0), given)
    if gem:
        # The original lists what is given, in that order, then the rest, q before d, and reads the list by position.
        own = sorted(electrical, key=lambda name: {"i_sq": -2, "i_sd": -1}.get(name, 0) * (motor.family != "SIXPMSM"))
        listed = dict.fromkeys([*(name for name in given or () if name != "omega"), *own])
        start |= dict(zip(electrical, [start[name] for name in listed], strict=True))
    return {k: v for k, v in start.items() if v}
