"""From names to a drive: `make_motor` resolves every choice, checks it, and builds the frozen `Motor`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..errors import OptionError, short
from .converters import AVERAGED_TAU, Converter
from .drift import EXTRAS, MAX_DEAD_TIME, Nominal
from .env import Motor, action_space
from .families import ACTIONS, FAMILIES, TASKS, Family, table_entry
from .integrators import METHODS
from .layout import Layout
from .limits import Limit
from .machines.machine import Machine
from .noise import KINDS
from .observe import Observation
from .options import chosen_entry, finite_number, merged, names_of, one_of, positive, whole
from .parts import (
    check_speed,
    check_supply,
    drive_bridges,
    drive_layout,
    drive_load,
    drive_supply_parameters,
    machine_parameters,
)
from .references import GENERATORS, References, Wave
from .reward import Reward
from .supplies import SUPPLIES

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
    one_of("family", family, FAMILIES)
    one_of("action", action, ACTIONS)
    one_of("task", task, TASKS)
    one_of("compat", compat, ("physical", "gem"))
    one_of("solver", solver, METHODS)
    one_of("noise", noise, KINDS)
    one_of("control", control, ("phase", "dq"))
    for extra in extras:
        one_of("extras", extra, EXTRAS)
    gem, sheet = compat == "gem", FAMILIES[family]
    motor = sheet.machine(gem=gem)
    parameters = machine_parameters(motor, sheet, machine)
    tau = positive("tau", sheet.tau[action] if tau is None else tau)
    bridges = drive_bridges(motor, converter)
    chosen_supply = chosen_entry("supply", supply, SUPPLIES, "num_voltages")
    check_supply(chosen_supply, bridges)
    voltage = positive(
        "supply_voltage", table_entry(sheet.supply, action, task) if supply_voltage is None else supply_voltage
    )
    layout = drive_layout(motor, sheet, parameters, limits, nominal, bridges, voltage, chosen_supply, flux_observer)
    chosen_load, load_values = drive_load(sheet, action, task, load, load_parameters, extras, gem)
    check_speed(load_values["speed"], layout)
    names = names_of("referenced", referenced, layout) if referenced is not None else _referenced(sheet, task)
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
    given = drive_supply_parameters(chosen_supply, supply_parameters)
    try:
        return Motor(
            machine=motor,
            nominal=Nominal(
                machine=tuple(parameters.items()),
                load=tuple(load_values.items()),
                supply=voltage,
                **given,
                sigma=table_entry(sheet.sigma, action, task),
                margins=tuple(_margin(sheet, layout, f"{action}-{task}", name) for name in names),
                dead_time=dead_time,
                interlocking=share,
                extras=tuple(sorted(set(extras), key=EXTRAS.index)),
            ),
            layout=layout,
            converter=legs,
            supply=chosen_supply,
            load=chosen_load,
            references=References(generators, len(names), whole("preview", preview, 0)),
            reward_terms=_reward(sheet, layout, names, task, weights, powers, reward_offset),
            limits=_limits(motor, sheet, gem) if watched is None else _watched(watched, layout),
            observed=Observation(
                layout, names, preview, angle, _largest_action(legs, control, previous_action), gem_obs
            ),
            tau=tau,
            horizon=_horizon(horizon, action, gem),
            solver=solver,
            substeps=whole("substeps", sheet.substeps if substeps is None else substeps, 1),
            control=control,
            noise=noise,
            flux_observer=flux_observer,
            gem=gem,
            start=tuple(sorted(_start(motor, start, gem).items())),
        )
    except ValueError as error:
        raise OptionError(str(error)) from None


def _referenced(sheet: Family, task: str) -> tuple[str, ...]:
    return {"CC": sheet.currents, "TC": ("torque",), "SC": ("omega",)}[task]


def _generators(reference: Any, count: int, gem: bool) -> tuple[Any, ...]:
    given = (reference,) if isinstance(reference, str) or not isinstance(reference, Sequence) else tuple(reference)
    chosen = tuple(chosen_entry("reference", g, GENERATORS, "num_draws") for g in given)
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
    number = finite_number("interlocking_time", time)
    if not 0 <= number < tau:
        raise OptionError(
            f"interlocking_time={time}; expected [s] in [0, {tau}), less than a control period", key="interlocking_time"
        )
    return number / tau


def _check_dead_time(steps: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= MAX_DEAD_TIME:
        raise OptionError(f"dead_time={short(steps)}; expected whole steps in [0, {MAX_DEAD_TIME}]", key="dead_time")


def _check_control(control: str, action: str, motor: Machine, bridges: tuple[str, ...]) -> None:
    if control == "dq" and (action != "Cont" or not motor.has_frame or bridges[0] != "B6"):
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
    weight = merged("weights", dict.fromkeys(names, usual), weights)
    power = merged("powers", dict.fromkeys(names, 1.0), powers)
    for key, value in weight.items():
        if value < 0:
            raise OptionError(f"weights[{key!r}]={value}; expected at least 0", key="weights")
    for key, value in power.items():
        positive(f"powers[{key!r}]", value)
    total = sum(weight.values())
    return Reward(
        indices=tuple(layout.index(n) for n in names),
        widths=tuple(layout.width(n) for n in names),
        weights=tuple(weight[n] for n in names),
        powers=tuple(power[n] for n in names),
        offset=total if offset == "positive" else finite_number("reward_offset", offset),
    )


def _limits(motor: Machine, sheet: Family, gem: bool) -> tuple[Limit, ...]:
    together = (Limit(sheet.watched),) if motor.has_angle else tuple(Limit((name,)) for name in sheet.watched)
    alone = tuple(Limit((name,)) for name in sheet.also_watched)
    overlooked = (Limit(sheet.overlooked),) if sheet.overlooked and not gem else ()
    return together + alone + overlooked


def _watched(watched: Sequence[Limit], layout: Layout) -> tuple[Limit, ...]:
    limits = tuple(watched)
    for limit in limits:
        if not isinstance(limit, Limit):
            raise OptionError(f"watched: got {short(limit)}; expected objects of `limits.Limit`", key="watched")
        names_of("watched", limit.names, layout)
    return limits


def _horizon(steps: int | None, action: str, gem: bool) -> int:
    if steps is None:
        return NO_HORIZON if gem else HORIZON[action]
    return whole("horizon", steps, 1)


def _largest_action(converter: Converter, control: str, shown: bool) -> tuple[float, ...]:
    if not shown:
        return ()
    space = action_space(converter, control)
    if hasattr(space, "high"):
        return tuple(float(x) for x in space.high)
    counts = getattr(space, "nvec", None)
    return tuple(float(n - 1) for n in (counts if counts is not None else [space.n]))  # type: ignore[attr-defined]


def _start(motor: Machine, given: Mapping[str, float] | None, gem: bool) -> dict[str, float]:
    electrical = [f.name for f in dataclasses.fields(motor.State)] + ["epsilon"] * motor.has_angle
    start = merged("start", dict.fromkeys([*electrical, "omega"], 0.0), given)
    if gem:
        # The original lists what is given, in that order, then the rest, q before d, and reads the list by position.
        own = sorted(electrical, key=lambda name: {"i_sq": -2, "i_sd": -1}.get(name, 0) * (motor.family != "SIXPMSM"))
        listed = dict.fromkeys([*(name for name in given or () if name != "omega"), *own])
        start |= dict(zip(electrical, [start[name] for name in listed], strict=True))
    return {k: v for k, v in start.items() if v}
