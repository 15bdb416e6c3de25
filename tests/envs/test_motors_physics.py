"""The drives' physics against a second implementation in NumPy, `motor_oracle.py`, and the balance of energy.

Letters: T steps, S measured quantities.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, motor_ids
from palaestra.envs.stepping import reset, step

from . import motor_oracle as oracle
from .motor_runs import LOAD, STEPS, exact_params, random_actions, rollout

pytestmark = pytest.mark.usefixtures("double_precision")

RELATIVE = 1e-8  # of the largest value that a quantity takes

# Away from rest, so that every term of the equations is at work.
START = {
    "PermExDc": {"i": 20.0, "omega": 30.0},
    "ExtExDc": {"i_a": 20.0, "i_e": 40.0, "omega": 30.0},
    "SeriesDc": {"i": 20.0, "omega": 30.0},
    "ShuntDc": {"i_a": 20.0, "i_e": 40.0, "omega": 30.0},
    "PMSM": {"i_sd": -20.0, "i_sq": 30.0, "omega": 50.0, "epsilon": 0.5},
    "SynRM": {"i_sd": 3.0, "i_sq": 2.0, "omega": 50.0, "epsilon": 0.5},
    "EESM": {"i_sd": -20.0, "i_sq": 30.0, "i_e": 60.0, "omega": 200.0, "epsilon": 0.5},
    "SCIM": {"i_salpha": 1.0, "i_sbeta": 0.5, "psi_ralpha": 0.3, "psi_rbeta": -0.2, "omega": 50.0, "epsilon": 0.5},
    "DFIM": {"i_salpha": 1.0, "i_sbeta": 0.5, "psi_ralpha": 0.9, "psi_rbeta": -0.2, "omega": 50.0, "epsilon": 0.5},
    "SIXPMSM": {"i_sd": -20.0, "i_sq": 30.0, "i_sx": 10.0, "i_sy": -15.0, "omega": 50.0, "epsilon": 0.5},
}

# Largest relative error of the default solver setting over 100 periods; measured: 8e-7, six phases 1.1e-5.
DEFAULT_ERROR = {"SIXPMSM": 2e-5}  # its leakage of 35 uH makes currents of 1840 rad/s
USUAL_ERROR = 1e-6

# Finite drives differ from averaged ones by a table, which the parts' tests cover; a few stand for all.
FAST = {(family, "Cont") for family in FAMILIES} | {("PermExDc", "Finite"), ("PMSM", "Finite")}
FAST_DEFAULT = {"ShuntDc", "EESM"}
FOUR_QUADRANTS = {0: 0.0, 1: 1.0, 2: -1.0, 3: 0.0}


def terminal_voltages(env, action):
    """[V] of ideal converters, from the tables of the specification."""
    action, volts = np.atleast_1d(action), env.nominal.supply
    if not env.converter.finite:
        shares, place = [], 0
        for bridge in env.converter.bridges:
            count = 3 if bridge == "B6" else 1
            shares += [a / (2 if bridge == "B6" else 1) for a in action[place : place + count]]
            place += count
        return volts * np.array(shares)
    shares = []
    for bridge, state in zip(env.converter.bridges, action, strict=True):
        legs = [(int(state) >> bit & 1) - 0.5 for bit in (2, 1, 0)]
        shares += legs if bridge == "B6" else [FOUR_QUADRANTS[int(state)]]
    return volts * np.array(shares)


def answer(env, actions):
    """The second implementation's measurements (T, S), normalised."""
    machine = oracle.make_machine(env.machine.family, dict(env.nominal.machine))
    start, values = dict(env.start), dict(env.nominal.load)
    inertia = dict(env.nominal.machine)["j_rotor"] + values["j_load"]

    def load(omega, torque):
        friction = values["b"] * omega + np.sign(omega) * values["c"] * omega**2
        return (torque - friction) / inertia if env.load.moves else 0.0

    angle = [start.get("epsilon", 0.0)] if machine.has_angle else []
    y = np.array([*machine.initial(start), start["omega"] if env.load.moves else values["speed"], *angle])
    rows = []
    for action in actions:
        u = terminal_voltages(env, action)
        y = oracle.advance(machine, load, y, u, env.tau)
        rows.append(measurements(env, machine, y, u))
    return np.array(rows)


def measurements(env, machine, y, u):
    named = machine.report(y, u)
    named |= {"omega": y[-2 if machine.has_angle else -1], "torque": machine.torque(y), "u_sup": env.nominal.supply}
    if machine.has_angle:
        named["epsilon"] = (y[-1] + np.pi) % (2 * np.pi) - np.pi
    if "i_sum" in env.layout.names:
        named["i_sum"] = named["i_a"] + named["i_e"]
    return np.array([named[name] for name in env.layout.names]) / env.layout.limits


def relative_errors(env, ours, theirs):
    """{quantity: largest error per largest value}; angles modulo a turn."""
    difference = np.abs(np.asarray(ours) - theirs)
    place = env.layout.names.index("epsilon") if "epsilon" in env.layout.names else None
    if place is not None:
        difference[:, place] = np.minimum(difference[:, place], 2 - difference[:, place])
    largest = np.maximum(np.abs(theirs).max(0), 1e-3)
    return dict(zip(env.layout.names, difference.max(0) / largest, strict=True))


def drive(family, action, task="SC", **kwargs):
    load = {"load_parameters": LOAD} if task == "SC" else {}
    return make_motor(family, action, task, start=START[family], watched=(), **load, **kwargs)


@functools.cache
def case(family, action):
    """(actions, the second implementation's measurements)."""
    env = drive(family, action)
    actions = random_actions(env, STEPS)
    return actions, answer(env, actions)


def slow_unless(fast, cases):
    """Parameters of tests, slow but those in `fast`."""
    return [
        pytest.param(*([c] if isinstance(c, str) else c), marks=[] if c in fast else pytest.mark.slow) for c in cases
    ]


EVERY = [(family, action) for family in FAMILIES for action in ("Cont", "Finite")]


@pytest.mark.parametrize("family, action", slow_unless(FAST, EVERY))
def test_drives_follow_the_second_implementation(family, action):
    """Voltages held at the terminals, Park's transform at the angle of every instant."""
    actions, expected = case(family, action)
    env = drive(family, action, solver="tsit5", substeps=16)
    found = relative_errors(env, rollout(env, actions)[1].measured, expected)
    assert max(found.values()) <= RELATIVE, found


@pytest.mark.slow
@pytest.mark.parametrize("family, action, task", motor_ids())
def test_every_id_follows_the_second_implementation_over_two_thousand_steps(family, action, task):
    """Gentler actions than above, so that measurements stay below where they saturate."""
    env = drive(family, action, task, solver="tsit5", substeps=16)
    actions = random_actions(env, 2000)
    actions = actions if env.converter.finite else 0.3 * actions
    found = relative_errors(env, rollout(env, actions)[1].measured, answer(env, actions))
    assert max(found.values()) <= RELATIVE, found


@pytest.mark.parametrize("family", slow_unless(FAST_DEFAULT, FAMILIES))
def test_default_solver_settings_are_close_to_the_second_implementation(family):
    actions, expected = case(family, "Cont")
    env = drive(family, "Cont")
    found = relative_errors(env, rollout(env, actions)[1].measured, expected)
    assert max(found.values()) <= DEFAULT_ERROR.get(family, USUAL_ERROR), found


def test_interlocking_leaves_the_leg_to_its_diodes_and_then_switches():
    """A finite bridge: every leg that changes rails is off for 3 us, then on; the second implementation agrees."""
    lock = 3e-6
    env = drive("PMSM", "Finite", solver="tsit5", substeps=8, interlocking_time=lock)
    actions = random_actions(env, STEPS)
    machine, start = oracle.make_machine("PMSM", dict(env.nominal.machine)), dict(env.start)
    inertia = dict(env.nominal.machine)["j_rotor"] + LOAD["j_load"]

    def load(omega, torque):
        return (torque - LOAD["b"] * omega - np.sign(omega) * LOAD["c"] * omega**2) / inertia

    y = np.array([*machine.initial(start), start["omega"], start["epsilon"]])
    before, rows = None, []
    for action in actions:
        upper = np.array([bool(int(action) >> bit & 1) for bit in (2, 1, 0)])
        waits = np.zeros(3, bool) if before is None else upper != before
        for duration, off in ((lock if waits.any() else 0.0, waits), (None, np.zeros(3, bool))):
            duration = env.tau - (lock if waits.any() else 0.0) if duration is None else duration
            diodes = np.array(machine.terminal_currents(y)) < 0  # a current into the leg flows to the upper rail
            u = env.nominal.supply * (np.where(off, diodes, upper) - 0.5)
            y = oracle.advance(machine, load, y, u, duration)
        before = upper
        rows.append(measurements(env, machine, y, u))
    found = relative_errors(env, rollout(env, actions)[1].measured, np.array(rows))
    assert max(found.values()) <= RELATIVE, found


@pytest.mark.parametrize("family", FAMILIES)
def test_energy_is_conserved(family):
    """Electrical work = copper loss + change of magnetic energy + mechanical work, within 1e-6, over 1 ms.

    Voltages stay the same, so that everything is smooth and Simpson's rule integrates it.
    """
    env = drive(family, "Cont", solver="tsit5", substeps=2, tau=5e-6)
    action = random_actions(env, 1, seed=3)
    first, states = rollout(env, np.repeat(action, 200, axis=0))
    machine = oracle.make_machine(family, dict(env.nominal.machine))
    u = terminal_voltages(env, action[0])
    values = [first.measured, *states.measured]
    names, limits = env.layout.names, np.array(env.layout.limits)
    rows = [dict(zip(names, np.asarray(v) * limits, strict=True)) for v in values]
    xs = [first.x] + [jax.tree.map(lambda leaf, t=t: leaf[t], states.x) for t in range(200)]
    coils = [machine_state(machine, x, row) for x, row in zip(xs, rows, strict=True)]
    terminals = [n.replace("u", "i", 1) for n in env.machine.phases]
    if family == "ShuntDc":
        terminals = ["i_sum"]
        rows = [row | {"i_sum": row["i_a"] + row["i_e"]} for row in rows]
    supplied = [oracle.power(machine, u, [row[n] for n in terminals]) for row in rows]
    work = simpson(supplied, env.tau)
    mechanical = simpson([row["torque"] * row["omega"] for row in rows], env.tau)
    loss = simpson([machine.losses(y) for y in coils], env.tau)
    stored = machine.energy(coils[-1]) - machine.energy(coils[0])
    size = simpson(np.abs(supplied), env.tau)
    assert abs(work - loss - stored - mechanical) <= 1e-6 * size
    assert min(abs(loss), abs(mechanical), abs(stored)) > 1e-5 * size, "each part of the balance is at work"


def machine_state(machine, x, row):
    """The second implementation's state of one of ours."""
    start = {f.name: float(getattr(x, f.name)) for f in dataclasses.fields(x)}
    angle = [row["epsilon"]] if machine.has_angle else []
    start |= {"epsilon": row.get("epsilon", 0.0)}
    return np.array([*machine.initial(start), row["omega"], *angle])


def simpson(values, dt):
    values = np.asarray(values)
    return dt / 3 * (values[0] + 4 * values[1:-1:2].sum() + 2 * values[2:-1:2].sum() + values[-1])


def test_the_functional_door_runs_in_double_precision():
    """One seeded episode: no leaf falls back to single precision."""
    env = make_motor("DFIM", "Cont", "SC")
    params = exact_params(env)
    state, obs = reset(env, jax.random.key(0), params)
    state, timestep = step(env, jax.random.key(1), state, jnp.zeros(env.action_space.shape), params)
    floats = [x for x in jax.tree.leaves((state.env, obs, timestep.obs)) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert {x.dtype for x in floats} == {jnp.dtype(jnp.float64)}
