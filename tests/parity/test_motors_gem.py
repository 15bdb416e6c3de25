"""The drives against gym-electric-motor, step by step over open-loop episodes in double precision.

Ours runs in its gem form, from the same start, with the same actions and references; only currents, torque, speed,
voltages and angle are at stake, not the random references. What is deliberately different in the physical form is in
`tests/envs/test_motors_gem_form.py`.

Letters: T steps, S measured quantities, C limits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, motor_ids
from palaestra.envs.motors.limits import SATURATION
from palaestra.envs.motors.loads import SpeedProfile
from palaestra.envs.motors.supplies import AC

from .gem_capture import INTERVAL, STEPS, make_gem, random_actions, record, speed_profile
from .gem_comparison import B6, QC1, QC2, QC4, TOLERANCE, both, bridge, compare, exact_params

pytestmark = pytest.mark.usefixtures("double_precision")


pytest.importorskip("gym_electric_motor", reason="the extra gem is not installed")


UNSTABLE_TOLERANCE = 1e-6
CLOSE = 1e-6  # distance to a limit within which flags may differ

# One id per family, and every pair of action and task: the default selection.
FAST = (
    ("PermExDc", "Cont", "CC"),
    ("ExtExDc", "Finite", "TC"),
    ("SeriesDc", "Cont", "SC"),
    ("ShuntDc", "Finite", "CC"),
    ("PMSM", "Cont", "TC"),
    ("EESM", "Cont", "CC"),
    ("SynRM", "Cont", "CC"),
    ("SCIM", "Finite", "SC"),
    ("DFIM", "Cont", "TC"),
    ("SIXPMSM", "Finite", "CC"),
)


def slow_unless(fast, cases):
    return [pytest.param(*case, id="-".join(case), marks=[] if case in fast else pytest.mark.slow) for case in cases]


@pytest.mark.parametrize("family, action, task", slow_unless(FAST, motor_ids()))
def test_every_id_follows_the_original(family, action, task):
    compare(family, action, task).assert_equal(UNSTABLE_TOLERANCE if family == "EESM" else TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1, 4])
def test_integration_error_falls_with_the_square_of_substeps_where_friction_has_a_kink(factor):
    """Shows that the 512 and 4096 substeps above are not a coincidence."""
    found = compare("SynRM", "Cont", "SC", ours={"substeps": 512 * factor})
    assert max(found.errors.values()) <= 2e-6 / factor**2


# Options: name -> (id, arguments of ours, function of (ps, psw) that makes GEM's arguments, whether it is fast).
LOCK = 1e-6  # [s]
OPTION_STEPS = 300
PROFILE = tuple(0.02 * np.random.default_rng(3).uniform(-100, 100, STEPS + 100).cumsum())
OPTIONS = {
    "interlocking B6": (
        ("PMSM", "Cont", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": bridge(ps, "Cont", B6, interlocking_time=LOCK)},
        True,
    ),
    "interlocking finite B6": (
        ("PMSM", "Finite", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": bridge(ps, "Finite", B6, interlocking_time=LOCK)},
        True,
    ),
    "interlocking 4QC": (
        ("PermExDc", "Cont", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": bridge(ps, "Cont", QC4, interlocking_time=LOCK)},
        True,
    ),
    "interlocking finite 4QC": (
        ("PermExDc", "Finite", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": bridge(ps, "Finite", QC4, interlocking_time=LOCK)},
        True,
    ),
    "interlocking 2QC": (
        ("PermExDc", "Cont", "CC"),
        {"interlocking_time": LOCK, "converter": "2QC"},
        lambda ps, psw: {"converter": bridge(ps, "Cont", QC2, interlocking_time=LOCK)},
        False,
    ),
    "interlocking finite 2QC": (
        ("PermExDc", "Finite", "CC"),
        {"interlocking_time": LOCK, "converter": "2QC"},
        lambda ps, psw: {"converter": bridge(ps, "Finite", QC2, interlocking_time=LOCK)},
        False,
    ),
    "interlocking B6 and 4QC": (
        ("EESM", "Cont", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": both(ps, "Cont", B6, QC4, interlocking_time=LOCK)},
        False,
    ),
    "interlocking two finite B6": (
        ("DFIM", "Finite", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": both(ps, "Finite", B6, B6, interlocking_time=LOCK)},
        False,
    ),
    "interlocking six phases": (
        ("SIXPMSM", "Finite", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": both(ps, "Finite", B6, B6, interlocking_time=LOCK)},
        False,
    ),
    "interlocking induction": (
        ("SCIM", "Finite", "CC"),
        {"interlocking_time": LOCK},
        lambda ps, psw: {"converter": bridge(ps, "Finite", B6, interlocking_time=LOCK)},
        False,
    ),
    "interlocking B6 at another control period": (
        ("PMSM", "Cont", "CC"),
        {"interlocking_time": LOCK, "tau": 5e-5},
        lambda ps, psw: {"converter": bridge(ps, "Cont", B6, interlocking_time=LOCK), "tau": 5e-5},
        False,
    ),
    "interlocking 2QC at another control period": (
        ("PermExDc", "Cont", "CC"),
        {"interlocking_time": LOCK, "tau": 5e-5, "converter": "2QC"},
        lambda ps, psw: {"converter": bridge(ps, "Cont", QC2, interlocking_time=LOCK), "tau": 5e-5},
        False,
    ),
    "dead time 1": (
        ("PMSM", "Cont", "CC"),
        {"dead_time": 1},
        lambda ps, psw: {"physical_system_wrappers": [psw.DeadTimeProcessor(1)]},
        True,
    ),
    "dead time 3": (
        ("PMSM", "Finite", "CC"),
        {"dead_time": 3},
        lambda ps, psw: {"physical_system_wrappers": [psw.DeadTimeProcessor(3)]},
        False,
    ),
    "RC supply": (
        ("PMSM", "Cont", "CC"),
        {"supply": "rc"},
        lambda ps, psw: {"supply": ps.RCVoltageSupply(300.0)},
        True,
    ),
    "RC supply of a finite B6": (
        ("PMSM", "Finite", "CC"),
        {"supply": "rc"},
        lambda ps, psw: {"supply": ps.RCVoltageSupply(420.0)},
        True,
    ),
    "RC supply of a finite 4QC": (
        ("PermExDc", "Finite", "CC"),
        {"supply": "rc", "supply_parameters": {"resistance": 0.1, "capacitance": 2e-3}},
        lambda ps, psw: {"supply": ps.RCVoltageSupply(60.0, {"R": 0.1, "C": 2e-3})},
        False,
    ),
    "RC supply of a finite 1QC": (
        ("PermExDc", "Finite", "CC"),
        {"supply": "rc", "converter": "1QC"},
        lambda ps, psw: {"supply": ps.RCVoltageSupply(60.0), "converter": bridge(ps, "Finite", QC1)},
        False,
    ),
    "RC supply and interlocking": (
        ("PMSM", "Finite", "CC"),
        {"supply": "rc", "interlocking_time": LOCK},
        lambda ps, psw: {
            "supply": ps.RCVoltageSupply(420.0),
            "converter": bridge(ps, "Finite", B6, interlocking_time=LOCK),
        },
        False,
    ),
    "RC supply and averaged interlocking": (
        ("PMSM", "Cont", "CC"),
        {"supply": "rc", "interlocking_time": LOCK},
        lambda ps, psw: {
            "supply": ps.RCVoltageSupply(300.0),
            "converter": bridge(ps, "Cont", B6, interlocking_time=LOCK),
        },
        False,
    ),
    "RC supply of a doubly fed machine": (
        ("DFIM", "Cont", "CC"),
        {"supply": "rc"},
        lambda ps, psw: {"supply": ps.RCVoltageSupply(420.0)},
        False,
    ),
    "RC supply of six phases": (
        ("SIXPMSM", "Cont", "CC"),
        {"supply": "rc"},
        lambda ps, psw: {"supply": ps.RCVoltageSupply(300.0)},
        False,
    ),
    "RC supply of a shunt machine": (
        ("ShuntDc", "Cont", "CC"),
        {"supply": "rc"},
        lambda ps, psw: {"supply": ps.RCVoltageSupply(60.0)},
        False,
    ),
    "alternating supply": (
        ("PermExDc", "Cont", "CC"),
        {"supply": AC(1, 0.3), "supply_voltage": 40.0},
        lambda ps, psw: {"supply": ps.AC1PhaseSupply(40.0, {"frequency": 50, "phase": 0.3})},
        True,
    ),
    "external speed": (
        ("PMSM", "Cont", "CC"),
        {"load": SpeedProfile(PROFILE, INTERVAL)},
        lambda ps, psw: {
            "load": ps.ExternalSpeedLoad(speed_profile, tau=1e-4, speed_profile_kwargs={"samples": PROFILE})
        },
        True,
    ),
    "fan": (
        ("ShuntDc", "Cont", "SC"),
        {"load_parameters": {"a": 0.2, "b": 0.01, "c": 2e-4, "j_load": 5e-3}},
        lambda ps, psw: {"load": {"load_parameter": {"a": 0.2, "b": 0.01, "c": 2e-4, "j_load": 5e-3}}},
        True,
    ),
    "flux observer": (
        ("SCIM", "Cont", "CC"),
        {"flux_observer": True},
        lambda ps, psw: {"physical_system_wrappers": [psw.FluxObserver()]},
        True,
    ),
    "flux observer of a doubly fed machine": (
        ("DFIM", "Cont", "CC"),
        {"flux_observer": True},
        lambda ps, psw: {"physical_system_wrappers": [psw.FluxObserver()]},
        False,
    ),
    "4QC and 1QC": (
        ("ExtExDc", "Cont", "CC"),
        {"converter": ("4QC", "1QC")},
        lambda ps, psw: {"converter": both(ps, "Cont", QC4, QC1)},
        False,
    ),
    "two finite 2QC": (
        ("ExtExDc", "Finite", "CC"),
        {"converter": ("2QC", "2QC")},
        lambda ps, psw: {"converter": both(ps, "Finite", QC2, QC2)},
        False,
    ),
    "machine parameters, limits, nominal values": (
        ("PMSM", "Cont", "CC"),
        {"machine": {"l_d": 0.5e-3, "p": 4.0}, "limits": {"i": 300.0}, "nominal": {"i": 200.0}},
        lambda ps, psw: {
            "motor": {
                "motor_parameter": {"l_d": 0.5e-3, "p": 4.0},
                "limit_values": {"i": 300.0},
                "nominal_values": {"i": 200.0},
            }
        },
        False,
    ),
} | {
    f"{kind} of {family}, {action}": (
        (family, action, "SC"),
        {"converter": kind},
        lambda ps, psw, action=action, name=name: {"converter": bridge(ps, action, name)},
        family == "PermExDc",
    )
    for family in ("PermExDc", "SeriesDc", "ShuntDc")
    for action in ("Cont", "Finite")
    for kind, name in (("1QC", QC1), ("2QC", QC2))
}


@pytest.mark.parametrize(
    "option", [pytest.param(n, marks=[] if fast else pytest.mark.slow) for n, (*_, fast) in OPTIONS.items()]
)
def test_options_follow_the_original(option):
    import gym_electric_motor.physical_system_wrappers as psw
    import gym_electric_motor.physical_systems as ps

    ids, ours, theirs, _ = OPTIONS[option]
    found = compare(*ids, ours=ours, theirs=theirs(ps, psw), steps=OPTION_STEPS)
    found.assert_equal(UNSTABLE_TOLERANCE if ids[0] == "EESM" else TOLERANCE)


@pytest.mark.parametrize("family", ["PMSM", "SynRM", "SCIM"])
def test_dq_actions_follow_the_originals_control_space(family):
    compare(family, "Cont", "CC", ours={"control": "dq"}, dq=True, steps=OPTION_STEPS).assert_equal()


@pytest.mark.parametrize("family, start", [("PMSM", {"epsilon": 0.4}), ("EESM", {})])
def test_physical_dq_actions_are_advanced_as_the_originals_processor_does(family, start):
    """The physical form, unlike the gem form's control space, aims at the middle of the coming period."""
    import gym_electric_motor.physical_system_wrappers as psw

    processor = psw.DqToAbcActionProcessor.make(family)
    gem = make_gem(family, "Cont", "CC", physical_system_wrappers=[processor])
    gem.reset(seed=0)
    env = make_motor(family, "Cont", "CC", control="dq", start=start)
    params = exact_params(env)
    state = env.initial(jax.random.key(0), params)
    taken = []
    processor._state = np.asarray(state.measured) * env.layout.limits
    processor._physical_system.simulate = lambda action: taken.append(action) or np.zeros(len(env.layout.names))
    action = np.array([0.3, -0.5, 0.2])[: env.action_space.shape[0]]
    processor.simulate(action)
    np.testing.assert_allclose(env._to_phases(state, jnp.asarray(action), params), taken[0], atol=1e-12)


def test_cosine_and_sine_are_the_originals():
    import gym_electric_motor.physical_system_wrappers as psw

    gem = make_gem("PMSM", "Cont", "CC", physical_system_wrappers=[psw.CosSinProcessor()])
    recording = record(gem, random_actions(gem, "PMSM", 300))
    env = make_motor("PMSM", "Cont", "CC", angle="cos_sin")
    names = env.observed.state_names
    shown = jax.vmap(lambda s: env.observed.show(s, jnp.zeros((1, 2)), None))(jnp.asarray(recording.states[:, :-2]))
    for name in ("cos(epsilon)", "sin(epsilon)"):
        expected = recording.states[:, recording.names.index(name)]
        np.testing.assert_allclose(shown[:, names.index(name)], expected, atol=1e-12)


STARTS = {
    "PermExDc": ({"i": 40.0, "omega": 30.0}, "SC"),
    "ExtExDc": ({"i_a": 30.0, "i_e": 20.0}, "SC"),
    "PMSM": ({"i_sd": -30.0, "i_sq": 20.0, "epsilon": 0.7, "omega": 30.0}, "SC"),
    "SynRM": ({"i_sq": 5.0, "i_sd": 2.0, "epsilon": 0.7}, "CC"),
    "EESM": ({"i_sq": 5.0, "epsilon": 0.7}, "CC"),
    "SCIM": ({"i_salpha": 1.0, "i_sbeta": 0.5, "psi_ralpha": 0.05, "psi_rbeta": 0.02, "epsilon": 0.3}, "SC"),
    "DFIM": ({"i_salpha": 1.0, "i_sbeta": 0.5, "psi_ralpha": 0.05, "psi_rbeta": 0.02, "epsilon": 0.3}, "SC"),
    "SIXPMSM": ({"i_sd": 3.0, "i_sq": 5.0, "i_sx": 1.0, "i_sy": -2.0, "epsilon": 0.7}, "CC"),
}


@pytest.mark.parametrize("family", STARTS)
def test_given_starts_follow_the_original(family):
    start, task = STARTS[family]
    states = {name: value for name, value in start.items() if name != "omega"}
    theirs = {"motor": {"motor_initializer": {"states": states}}}
    if "omega" in start:
        theirs["load"] = {"load_initializer": {"states": {"omega": start["omega"]}}}
    tolerance = UNSTABLE_TOLERANCE if family == "EESM" else TOLERANCE
    compare(family, "Cont", task, ours={"start": start}, theirs=theirs, steps=100).assert_equal(tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_limits_end_episodes_where_the_original_does(family):
    """Flags and rewards of an episode that goes on through its terminations, until the simulation diverges."""
    # The averaged converter's 60 V never exceed the series machine's limit.
    action, hold = ("Finite", 200) if family == "SeriesDc" else ("Cont", 20)
    ours, theirs = {"watched": None}, {"constraints": None}
    found = compare(family, action, "CC", ours, theirs, steps=25 * hold, share=1.0, hold=hold)
    watched = [[found.names.index(n) for n in limit.names] for limit in make_motor(family, compat="gem").limits]
    size = np.stack([np.sqrt((found.theirs[1:, i] ** 2).sum(1)) for i in watched], 1)
    sane = np.cumsum(np.abs(found.theirs[1:]).max(1) >= SATURATION) == 0
    clear = sane & np.all(np.abs(size - 1) > CLOSE, axis=1)
    ours = (found.degrees >= 1).any(1)
    np.testing.assert_array_equal(ours[clear], found.terminated[clear])
    np.testing.assert_allclose(found.rewards[clear], found.their_rewards[clear], rtol=0, atol=UNSTABLE_TOLERANCE)
    assert found.terminated[clear].any() and not found.terminated[clear].all()
