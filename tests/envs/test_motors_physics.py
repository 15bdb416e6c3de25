"""The drives' physics, against a second implementation in NumPy, closed forms and conservation laws.

`motor_oracle.py` holds the second implementation. Everything runs in double precision but what tests single precision.

Letters: T steps, S measured quantities.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors import loads
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES
from palaestra.envs.motors.integrators import METHODS, integrate
from palaestra.envs.motors.supplies import AC
from palaestra.envs.stepping import reset, step

from . import motor_oracle as oracle

STEPS = 100
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
# Viscous friction and a fan; static friction has a kink that no integrator of high order can cross exactly.
LOAD = {"a": 0.0, "b": 0.01, "c": 1e-5, "j_load": 1e-3}

# Largest relative error of the default solver setting over 100 periods; measured: 8e-7, six phases 1.1e-5.
DEFAULT_ERROR = {"SIXPMSM": 2e-5}  # its leakage of 35 uH makes currents of 1840 rad/s
USUAL_ERROR = 1e-6

# Finite drives differ from averaged ones by a table, which the parts' tests cover; a few stand for all.
FAST = {(family, "Cont") for family in FAMILIES} | {("PermExDc", "Finite"), ("PMSM", "Finite")}
FAST_DEFAULT = {"ShuntDc", "EESM"}


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def exact_params(env, **tasks):
    """The drive of a task in double precision; parameters that are not named keep their default."""
    values = [tasks.get(p.name, p.default) for p in env.task_space.parameters]
    return env.task_params(jnp.asarray(values, jnp.float64))


def random_actions(env, steps, seed=0):
    """Actions (T, ...) over the action space, one-sided where the machine is."""
    rng, space = np.random.default_rng(seed), env.action_space
    if hasattr(space, "low"):
        low = np.zeros(space.shape) if env.machine.family == "SeriesDc" else space.low
        return rng.uniform(low, space.high, (steps, *space.shape))
    counts = getattr(space, "nvec", None)
    return rng.integers(0, space.n if counts is None else counts, steps if counts is None else (steps, len(counts)))


@functools.cache
def player(env):
    """(start state, actions, params) -> states over time."""

    @jax.jit
    def play(start, actions, params):
        def body(state, action):
            after = env.transition(state, action, jax.random.key(0), params)
            return after, after

        return jax.lax.scan(body, start, actions)[1]

    return play


def rollout(env, actions, params=None):
    """(first state, states over time), from the configured start."""
    params = exact_params(env) if params is None else params
    start = env.initial(jax.random.key(0), params)
    actions = jnp.asarray(actions)
    actions = actions.astype(jnp.int32) if jnp.issubdtype(actions.dtype, jnp.integer) else actions
    return start, player(env)(start, actions, params)


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
        return (torque - friction) / inertia

    angle = [start.get("epsilon", 0.0)] if machine.has_angle else []
    y = np.array([*machine.initial(start), start.get("omega", 0.0), *angle])
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


def drive(family, action, **kwargs):
    return make_motor(family, action, "SC", start=START[family], load_parameters=LOAD, watched=(), **kwargs)


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


# Co-energy [J] of the coils at currents that stay where they are (stator-fixed, the rotor's rotor-fixed) as a function
# of the electrical angle; torque is p times its derivative.
def synchronous_coenergy(p, i, angle):
    i_dq = i["stator"] * np.exp(-1j * angle)
    magnet = p.get("psi_p", 0.0) + p.get("l_m", 0.0) * i["exciter"]
    return 1.5 * (0.5 * p["l_d"] * i_dq.real**2 + 0.5 * p["l_q"] * i_dq.imag**2 + magnet * i_dq.real)


def induction_coenergy(p, i, angle):
    return 1.5 * p["l_m"] * np.real(np.conj(i["stator"]) * i["rotor"] * np.exp(1j * angle))


def six_phase_coenergy(p, i, angle):
    main, rest = i["stator"] * np.exp(-1j * angle), i["other"] * np.exp(1j * angle)
    planes = p["l_d"] * main.real**2 + p["l_q"] * main.imag**2 + p["l_x"] * rest.real**2 + p["l_y"] * rest.imag**2
    return 3.0 * (0.5 * planes + p["psi_PM"] * main.real)


def place_currents(family, p, x, angle):
    """Currents that do not move with the rotor [A], of an electrical state."""
    turn = np.exp(1j * angle)
    if family in ("SCIM", "DFIM"):
        i_s = x.i_salpha + 1j * x.i_sbeta
        i_r = (x.psi_ralpha + 1j * x.psi_rbeta - p["l_m"] * i_s) / (p["l_m"] + p["l_sigr"])
        return {"stator": i_s, "rotor": i_r / turn}
    fixed = {"stator": (x.i_sd + 1j * x.i_sq) * turn, "exciter": getattr(x, "i_e", 0.0)}
    return fixed | ({"other": (x.i_sx + 1j * x.i_sy) / turn} if family == "SIXPMSM" else {})


COENERGY = {"SCIM": induction_coenergy, "DFIM": induction_coenergy, "SIXPMSM": six_phase_coenergy}


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.endswith("Dc")])
def test_torque_is_the_derivative_of_coenergy(family):
    machine, p = FAMILIES[family].machine(), FAMILIES[family].parameters
    rng, coenergy = np.random.default_rng(0), COENERGY.get(family, synchronous_coenergy)
    for _ in range(20):
        x = machine.State(*rng.normal(0, 10, len(dataclasses.fields(machine.State))))
        angle, h = rng.uniform(-3, 3), 1e-4
        i = place_currents(family, p, x, angle)
        ahead, behind = (coenergy(p, i, angle + sign * h) for sign in (1, -1))
        expected = p["p"] * (ahead - behind) / (2 * h)
        assert float(machine.torque(x, machine.Params(**p))) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_shorted_magnet_machine_reaches_the_closed_form():
    """`i_d = -w^2 l_q psi / (r^2 + w^2 l_d l_q)`, `i_q = -r w psi / (...)`, w electrical."""
    env = make_motor("PMSM", "Cont", "CC", watched=())
    p = dict(env.nominal.machine)
    w = p["p"] * 100.0
    below = p["r_s"] ** 2 + w**2 * p["l_d"] * p["l_q"]
    i_d, i_q = -(w**2) * p["l_q"] * p["psi_p"] / below, -p["r_s"] * w * p["psi_p"] / below
    torque = 1.5 * p["p"] * (p["psi_p"] + (p["l_d"] - p["l_q"]) * i_d) * i_q
    _, states = rollout(env, np.zeros((12000, 3)))
    found = dict(zip(env.layout.names, states.measured[-1] * np.array(env.layout.limits), strict=True))
    assert found["i_sd"] == pytest.approx(i_d, rel=1e-8)
    assert found["i_sq"] == pytest.approx(i_q, rel=1e-8)
    assert found["torque"] == pytest.approx(torque, rel=1e-8)


def test_a_cage_machine_on_the_grid_reaches_its_equivalent_circuit():
    """Stator current and torque of the T circuit at the slip of the test bench; voltages held for 10 us cost 2e-6."""
    volts, speed, frequency = 230.0, -140.0, 50.0
    env = make_motor(
        "SCIM",
        "Cont",
        "CC",
        converter="direct",
        supply=AC(3, -math.pi / 2),
        supply_voltage=volts,
        supply_parameters={"frequency": frequency},
        load_parameters={"speed": speed},
        tau=1e-5,
        watched=(),
    )
    p, w = dict(env.nominal.machine), 2 * np.pi * frequency
    l_s, l_r = p["l_m"] + p["l_sigs"], p["l_m"] + p["l_sigr"]
    slip = (w + p["p"] * speed) / w  # phase b of the supply leads phase a: the field turns backward, as the bench does
    coils = np.array(
        [[p["r_s"] + 1j * w * l_s, 1j * w * p["l_m"]], [1j * w * p["l_m"], p["r_r"] / slip + 1j * w * l_r]]
    )
    i_s, i_r = np.linalg.solve(coils, [math.sqrt(2 / 3) * volts, 0.0])
    torque = 1.5 * p["p"] * p["l_m"] * np.imag(i_s * np.conj(i_r))
    assert torque > 1.0
    _, states = rollout(env, np.zeros((60000, 0)))
    last = slice(-2000, None)  # one period of the grid
    found = np.asarray(states.measured[last]) * np.array(env.layout.limits)
    i_a = found[:, env.layout.index("i_sa")]
    assert np.sqrt(2 * np.mean(i_a**2)) == pytest.approx(abs(i_s), rel=1e-4)
    assert np.mean(found[:, env.layout.index("torque")]) == pytest.approx(-torque, rel=1e-4)


ORDERS = {"euler": (1, 400), "rk4": (4, 20), "tsit5": (5, 40)}


@pytest.mark.parametrize("method", METHODS)
def test_methods_have_their_order_of_accuracy(method):
    """Halving the step divides the error by 2^order, on a pendulum's swing: drives at one speed are linear."""

    def slopes(y):
        return {"place": y["speed"], "speed": -jnp.sin(y["place"])}

    def solve(name, count):
        y = {"place": jnp.float64(2.0), "speed": jnp.float64(0.5)}
        return np.array(jax.tree.leaves(jax.jit(lambda y: integrate(name, slopes, y, 5.0, count))(y)))

    order, count = ORDERS[method]
    exact = solve("tsit5", 4000)
    errors = [np.abs(solve(method, n) - exact).max() for n in (count, 2 * count, 4 * count)]
    found = np.log2(np.array(errors[:-1]) / errors[1:])
    # Tsitouras chose coefficients that make the leading error small: the next order still shows at these steps.
    assert np.all(found >= order - 0.3) and np.all(found <= order + 0.6), found


@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_in_single_precision_is_close(family):
    """From 200 random states within nominal values; 2e-5 of the limits."""
    env = make_motor(family, "Cont", "CC", watched=())
    with jax.enable_x64(False):
        task = np.array(env.task_space.default)
        task[env.task_space.index("initial_spread")] = 1.0
        keys = jax.random.split(jax.random.key(1), 200)
        params = env.task_params(jnp.asarray(task))
        actions = jnp.asarray(random_actions(env, 200), jnp.float32)
        states = jax.vmap(lambda key: env.initial(key, params))(keys)
        move = jax.vmap(lambda s, a, key: env.transition(s, a, key, params).measured)
        single = np.asarray(move(states, actions, keys), np.float64)
    double, wide = jax.tree.map(widen, states), jax.tree.map(widen, params)
    move = jax.vmap(lambda s, a: env.transition(s, a, jax.random.key(1), wide).measured)
    difference = np.abs(np.asarray(move(double, widen(actions))) - single)
    if "epsilon" in env.layout.names:
        place = env.layout.index("epsilon")
        difference[:, place] = np.minimum(difference[:, place], 2 - difference[:, place])
    assert difference.max() <= 2e-5


def widen(x):
    x = np.asarray(x)
    return jnp.asarray(x.astype(np.float64) if x.dtype == np.float32 else x)


def shaft_motion(params, y, duration, torque=0.0, load=None):
    """(omega, Shaft) of two masses after `duration` [s]."""
    load = loads.TwoMass() if load is None else load

    def slopes(y):
        return load.derivative(y[0], y[1], torque, 0.0, params, 0.02)

    return jax.jit(lambda y: integrate("tsit5", slopes, y, duration, 2000))(y)


def twisted():
    return jnp.float64(10.0), loads.Shaft(omega_load=jnp.float64(-5.0), twist=jnp.float64(0.01))


def shaft_energy(y, params):
    omega, shaft = y
    kinetic = 0.02 * omega**2 + params.j_load * shaft.omega_load**2
    return 0.5 * (kinetic + params.stiffness * shaft.twist**2)


def test_an_undamped_shaft_keeps_energy_and_momentum():
    params, y = loads.Params(j_load=0.01, stiffness=500.0, damping=0.0), twisted()
    after = shaft_motion(params, y, 0.2)
    assert float(shaft_energy(after, params)) == pytest.approx(float(shaft_energy(y, params)), rel=1e-9)
    momentum = [0.02 * z[0] + 0.01 * z[1].omega_load for z in (y, after)]
    assert float(momentum[1]) == pytest.approx(float(momentum[0]), rel=1e-9)


def test_a_shaft_swings_at_its_natural_frequency():
    """`sqrt(c (1 / J_m + 1 / J_l))`: after one period everything is where it was."""
    params, y = loads.Params(j_load=0.01, stiffness=500.0, damping=0.0), twisted()
    frequency = math.sqrt(500.0 * (1 / 0.02 + 1 / 0.01))
    after = shaft_motion(params, y, 2 * math.pi / frequency)
    np.testing.assert_allclose(after[0], 10.0, rtol=1e-8)
    np.testing.assert_allclose(after[1].twist, 0.01, rtol=1e-7)


def test_a_damped_shaft_loses_energy_but_no_momentum_and_torque_adds_it():
    params, y = loads.Params(j_load=0.01, stiffness=500.0, damping=0.1), twisted()
    after = shaft_motion(params, y, 0.2)
    assert float(shaft_energy(after, params)) < 0.9 * float(shaft_energy(y, params))
    driven = shaft_motion(params, y, 0.2, torque=2.0)
    momentum = [0.02 * z[0] + 0.01 * z[1].omega_load for z in (y, after, driven)]
    np.testing.assert_allclose(momentum[1:], [momentum[0], momentum[0] + 0.2 * 2.0], rtol=1e-9)


def test_a_stiff_shaft_moves_as_one_mass():
    env = make_motor("PMSM", "Cont", "SC", load="two_mass", load_parameters=LOAD | {"stiffness": 1e6, "damping": 20.0})
    one = make_motor("PMSM", "Cont", "SC", load_parameters=LOAD)
    actions = random_actions(env, STEPS)
    fine = {"solver": "tsit5", "substeps": 32}
    omegas = [np.asarray(rollout(dataclasses.replace(e, **fine), actions)[1].omega) for e in (env, one)]
    np.testing.assert_allclose(omegas[0], omegas[1], atol=0.02 * np.abs(omegas[1]).max())


def test_stribeck_friction_falls_from_breakaway_to_static():
    params = loads.Params(a=2.0, b=0.1, c=0.01, j_load=1e-3, breakaway=3.0, stribeck_speed=4.0)
    for omega in (3.0, 8.0, -8.0, 100.0):
        expected = math.copysign(2 + 3 * math.exp(-((omega / 4) ** 2)) + 0.01 * omega**2, omega) + 0.1 * omega
        assert float(loads.friction(jnp.float64(omega), params, 0.1, True)) == pytest.approx(expected, rel=1e-12)
    assert float(loads.friction(jnp.float64(0.0), params, 0.1, True)) == 0.0


def test_static_friction_stops_the_shaft_and_holds_it():
    """A series machine without current has no torque: `omega = omega_0 - a t / J` until the friction's linear zone."""
    load = {"a": 2.0, "b": 0.0, "j_load": 0.0975}
    env = make_motor("SeriesDc", "Cont", "SC", start={"omega": 20.0}, load_parameters=load, watched=())
    omega = np.asarray(rollout(env, np.zeros((12000, 1)))[1].omega)
    times = env.tau * np.arange(1, 12001)
    sliding = times < 0.99
    np.testing.assert_allclose(omega[sliding], 20.0 - 2.0 / 0.1 * times[sliding], rtol=0, atol=1e-9)
    assert np.all(omega > 0) and omega[-1] < 1e-9


def test_a_load_step_sets_in_at_its_time_and_not_before():
    env = make_motor("PermExDc", "Cont", "SC", extras=("load_step",), load_parameters={"a": 0.0}, watched=())
    params = exact_params(env, load_step=5.0)
    first, states = rollout(env, np.zeros((2000, 1)), params)
    moved = np.asarray(states.omega) != 0
    begins = int(np.argmax(moved))
    assert begins == math.ceil(float(first.load.step_time) / env.tau)
    inertia = 0.025 + 1e-4
    assert float(states.omega[begins]) == pytest.approx(-5.0 * env.tau / inertia, rel=1e-2)


def test_ornstein_uhlenbeck_speed_has_its_variance():
    """`sigma^2 (1 - exp(-2 theta t)) / (2 theta)` over 4000 drives, five standard errors wide."""
    values = {"speed": 20.0, "theta": 200.0, "sigma": 300.0, "bound": 1e4}
    env = make_motor("PermExDc", "Cont", "CC", load="ornstein_uhlenbeck", load_parameters=values, watched=())
    params, keys = exact_params(env), jax.random.split(jax.random.key(0), 4000)

    def episode(key):
        def body(state, key):
            after = env.transition(state, jnp.zeros(1), key, params)
            return after, after.omega

        return jax.lax.scan(body, env.initial(key, params), jax.random.split(key, 60))[1]

    omega = np.asarray(jax.jit(jax.vmap(episode))(keys))
    for step_count in (1, 10, 60):
        t = step_count * env.tau
        variance = 300.0**2 * (1 - math.exp(-2 * 200.0 * t)) / (2 * 200.0)
        column = omega[:, step_count - 1]
        assert column.mean() == pytest.approx(20.0, abs=5 * math.sqrt(variance / 4000))
        assert column.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / 4000))


def test_ornstein_uhlenbeck_speed_stays_in_its_bound():
    values = {"speed": 0.0, "theta": 1.0, "sigma": 5000.0, "bound": 30.0}
    env = make_motor("PermExDc", "Cont", "CC", load="ornstein_uhlenbeck", load_parameters=values, watched=())
    params = exact_params(env)

    def body(state, key):
        after = env.transition(state, jnp.zeros(1), key, params)
        return after, after.omega

    start = env.initial(jax.random.key(0), params)
    omega = jax.jit(lambda keys: jax.lax.scan(body, start, keys)[1])(jax.random.split(jax.random.key(1), 500))
    assert np.abs(omega).max() == pytest.approx(30.0, rel=1e-9)


def test_a_speed_profile_is_followed_to_the_point():
    samples = tuple(50 * np.sin(np.linspace(0, 3, 40)))
    env = make_motor("PMSM", "Cont", "CC", load=loads.SpeedProfile(samples, 3e-4), watched=())
    first, states = rollout(env, random_actions(env, 150))
    times = env.tau * np.arange(151)
    expected = np.interp(times, 3e-4 * np.arange(40), samples)
    np.testing.assert_allclose([float(first.omega), *states.omega], expected, rtol=0, atol=1e-9)


def test_the_functional_door_runs_in_double_precision():
    """One seeded episode: no leaf falls back to single precision."""
    env = make_motor("DFIM", "Cont", "SC")
    params = exact_params(env)
    state, obs = reset(env, jax.random.key(0), params)
    state, timestep = step(env, jax.random.key(1), state, jnp.zeros(env.action_space.shape), params)
    floats = [x for x in jax.tree.leaves((state.env, obs, timestep.obs)) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert {x.dtype for x in floats} == {jnp.dtype(jnp.float64)}
