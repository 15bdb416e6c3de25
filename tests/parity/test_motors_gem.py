"""The drives against gym-electric-motor, step by step over open-loop episodes in double precision.

Ours runs in its gem form, from the same start, with the same actions and references; only currents, torque, speed,
voltages and angle are at stake, not the random references. What is deliberately different in the physical form is in
`tests/envs/test_motors_env.py`.

Letters: T steps, S measured quantities, C limits.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors import references
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, motor_ids
from palaestra.envs.motors.limits import SATURATION
from palaestra.envs.motors.loads import SpeedProfile
from palaestra.envs.motors.supplies import AC
from scipy.stats import ks_2samp

from .gem_capture import INTERVAL, STEPS, UNSTABLE_STEPS, inner, make_gem, random_actions, record, sheet, speed_profile

pytest.importorskip("gym_electric_motor", reason="the extra gem is not installed")

TOLERANCE = 1e-8
UNSTABLE_TOLERANCE = 1e-6
CLOSE = 1e-6  # distance to a limit within which flags may differ

# tsit5 steps per control period. Static friction has a kink at the speed where it begins to slip, so integration across
# it is of second order only; the light reluctance machine passes it most often.
SUBSTEPS = {"": 4, "SC": 512, "Cont-SC-SynRM": 4096}

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


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def substeps(family, action, task):
    """tsit5 steps per control period that an id needs."""
    return SUBSTEPS.get(f"{action}-{task}-{family}", SUBSTEPS.get(task, SUBSTEPS[""]))


def exact_params(env):
    """The default drive in double precision: a task of Python's numbers, not of float32."""
    task = jnp.asarray([p.default for p in env.task_space.parameters], jnp.float64)
    return env.task_params(task)


@functools.cache
def player(env):
    """(params, start, actions, references) -> (states, rewards, degrees) over time, references put in from outside."""

    @jax.jit
    def play(params, start, actions, references):
        def body(state, inputs):
            action, reference = inputs
            state = state.replace(references=state.references.replace(shown=reference[None]))
            after = env.transition(state, action, jax.random.key(0), params)
            reward = env.reward(state, action, after, jax.random.key(0), params)
            return after, (after.measured, reward, after.degrees)

        return jax.lax.scan(body, start, (actions, references))[1]

    return play


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Ours and theirs of one episode: states (T + 1, S), rewards (T,), terminated (T,)."""

    names: tuple[str, ...]
    ours: np.ndarray
    theirs: np.ndarray
    rewards: np.ndarray
    their_rewards: np.ndarray
    degrees: np.ndarray  # (T, C + 1)
    terminated: np.ndarray

    @property
    def errors(self):
        """Largest difference of every measured quantity; angles modulo a turn."""
        difference = np.abs(self.ours - self.theirs)
        for i, name in enumerate(self.names):
            if name in ("epsilon", "psi_angle"):
                difference[:, i] = np.minimum(difference[:, i], 2 - difference[:, i])
        return dict(zip(self.names, difference.max(0), strict=True))

    @property
    def reward_error(self):
        return np.abs(self.rewards - self.their_rewards).max()

    def assert_equal(self, tolerance=TOLERANCE):
        assert max(self.errors.values()) <= tolerance, self.errors
        assert self.reward_error <= tolerance


def compare(family, action, task, ours=None, theirs=None, steps=None, share=0.6, hold=1, dq=False):
    """One episode of an id with options, in both simulators; `share` and `hold` as in `random_actions`."""
    steps = steps or (UNSTABLE_STEPS if family == "EESM" else STEPS)
    gem = make_gem(family, action, task, **(theirs or {}))
    if dq:  # its environments cannot pass the argument on
        inner(gem).control_space, gem.action_space = "dq", make_dq_space()
    recording = record(gem, random_actions(gem, family, steps, share, hold))
    ours = {"watched": (), "substeps": substeps(family, action, task)} | (ours or {})
    env = make_motor(family, action, task, compat="gem", solver="tsit5", **ours)
    params = exact_params(env)
    start = env.initial(jax.random.key(0), params)
    actions = jnp.asarray(recording.actions)
    if np.issubdtype(recording.actions.dtype, np.integer):
        actions = actions.astype(jnp.int32)
    states, rewards, degrees = player(env)(params, start, actions, jnp.asarray(recording.references[:-1]))
    assert env.layout.names == recording.names
    return Comparison(
        names=recording.names,
        ours=np.concatenate([start.measured[None], states]),
        theirs=recording.states,
        rewards=np.asarray(rewards),
        their_rewards=recording.rewards,
        degrees=np.asarray(degrees),
        terminated=recording.terminated,
    )


def make_dq_space():
    from gymnasium.spaces import Box

    return Box(-1.0, 1.0, (2,), np.float64)


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


def bridge(ps, action, name, **kwargs):
    return getattr(ps, f"{action}{name}Converter")(**kwargs)


def both(ps, action, first, second, **kwargs):
    parts = [getattr(ps, f"{action}{name}Converter") for name in (first, second)]
    return getattr(ps, f"{action}MultiConverter")(parts, **kwargs)


B6, QC4, QC2, QC1 = "B6Bridge", "FourQuadrant", "TwoQuadrant", "OneQuadrant"
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


def test_rewards_with_weights_powers_and_offset_are_the_originals():
    from gym_electric_motor.reward_functions import WeightedSumOfErrors

    weights, powers = {"i_sd": 0.3, "i_sq": 0.9}, {"i_sd": 2.0, "i_sq": 0.5}
    theirs = WeightedSumOfErrors(weights, reward_power=powers, bias="positive")
    ours = {"weights": weights, "powers": powers, "reward_offset": "positive"}
    compare("PMSM", "Cont", "CC", ours=ours, theirs={"reward_function": theirs}, steps=200).assert_equal()


@pytest.mark.parametrize("family", FAMILIES)
def test_data_sheets_are_the_originals(family):
    """Limits, nominal values, ranges, supply, load, references, reward, limits that end episodes, action spaces.

    Only the physical form differs: it watches the doubly fed machine's rotor current, too.
    """
    for action, task in ((a, t) for f, a, t in motor_ids() if f == family):
        theirs = sheet(make_gem(family, action, task, constraints=None))
        assert_same_sheet(make_motor(family, action, task, compat="gem"), theirs)
    extra = set(make_motor(family).limits) - set(make_motor(family, compat="gem").limits)
    assert [limit.names for limit in extra] == ([("i_rd", "i_rq")] if family == "DFIM" else [])


@pytest.mark.parametrize("action", ["Cont", "Finite"])
@pytest.mark.parametrize(
    "family, bridges", [(f, (b,)) for f in ("PermExDc", "SeriesDc", "ShuntDc") for b in ("1QC", "2QC")]
)
def test_ranges_of_other_converters_are_the_originals(family, bridges, action):
    import gym_electric_motor.physical_systems as ps

    converter = bridge(ps, action, {"1QC": QC1, "2QC": QC2}[bridges[0]])
    theirs = sheet(make_gem(family, action, "TC", constraints=None, converter=converter))
    assert_same_sheet(make_motor(family, action, "TC", compat="gem", converter=bridges), theirs)


@pytest.mark.parametrize(
    "bridges", [("1QC", "1QC"), ("2QC", "2QC"), ("4QC", "1QC"), ("1QC", "4QC"), ("2QC", "4QC")], ids="-".join
)
def test_ranges_of_two_converters_are_the_originals(bridges):
    import gym_electric_motor.physical_systems as ps

    names = [{"1QC": QC1, "2QC": QC2, "4QC": QC4}[b] for b in bridges]
    theirs = sheet(make_gem("ExtExDc", "Cont", "SC", constraints=None, converter=both(ps, "Cont", *names)))
    assert_same_sheet(make_motor("ExtExDc", "Cont", "SC", compat="gem", converter=bridges), theirs)


def assert_same_sheet(env, theirs):
    layout, nominal, reward = env.layout, env.nominal, env.reward_terms
    machine, load = dict(nominal.machine), dict(nominal.load)
    assert layout.names == theirs["names"]
    assert env.observed.references == theirs["referenced"]
    assert {layout.names[i]: w for i, w in zip(reward.indices, reward.weights, strict=True)} == theirs["weights"]
    assert {frozenset(limit.names) for limit in env.limits} == watched_sets(theirs)
    inertia = machine["j_rotor"] + load["j_load"] * nominal.load_moves
    for ours, other in (
        (layout.limits, theirs["limits"]),
        (layout.nominal, theirs["nominal"]),
        (layout.low, theirs["low"]),
        (np.ones(len(layout.names)), theirs["high"]),
        (env.tau, theirs["tau"]),
        (nominal.supply, theirs["supply"]),
        ([*machine.values()], [theirs["machine"][name] for name in machine]),
        ([load[name] for name in theirs["load"]], [*theirs["load"].values()]),
        (inertia, theirs["inertia"]),
        (nominal.margins, theirs["margins"]),
        ([nominal.sigma] * len(theirs["sigma"]), theirs["sigma"]),
        ([(500, 2000)] * len(theirs["lengths"]), theirs["lengths"]),
        (reward.violation, theirs["violation"]),
    ):
        np.testing.assert_allclose(ours, other, rtol=1e-12)
    assert_same_actions(env.action_space, theirs["action_space"])


def watched_sets(theirs):
    """GEM watches several currents of a commutator machine in one constraint; ours has one limit for each."""
    return {
        frozenset(part)
        for kind, names in theirs["watched"]
        for part in ([names] if kind == "SquaredConstraint" else [(name,) for name in names])
    }


def assert_same_actions(ours, theirs):
    if hasattr(ours, "low"):
        np.testing.assert_array_equal([ours.low, ours.high], [theirs.low, theirs.high])
    else:
        assert ours == theirs


WAVES = {"sinus": "Sinusoidal", "triangle": "Triangular", "sawtooth": "Sawtooth", "step": "Step"}


@pytest.mark.parametrize("form", WAVES)
def test_waves_are_drawn_as_the_originals(form):
    """Amplitude, frequency and offset within one-sided margins, 3000 of each, by Kolmogorov and Smirnov."""
    import gym_electric_motor.reference_generators as rg

    gem = make_gem("SeriesDc", "Cont", "SC")
    generator = getattr(rg, f"{WAVES[form]}ReferenceGenerator")(reference_state="omega")
    generator.set_modules(gem.physical_system)
    generator.seed(np.random.SeedSequence(0))
    generator._current_episode_length = 2
    theirs = []
    for _ in range(3000):
        generator._reset_reference()
        theirs.append((generator._amplitude, generator._frequency, generator._offset))
    low, high = generator._limit_margin
    params = references.Params(low=jnp.full(3000, low), high=jnp.full(3000, high))
    drawn = references.References((references.Wave(form, gem=True),), 3000)
    ours = drawn.initial(jax.random.key(0), params, 1e-4).generators[0]
    for name, column in zip(("amplitude", "frequency", "offset"), np.array(theirs).T, strict=True):
        assert ks_2samp(getattr(ours, name), column).pvalue > 0.01, name
