"""Drives as environments: every id, tasks, ends, what the gem form does differently, and what is refused.

That every id passes Gymnasium's checker and the environment contract is tested over the registry in `test_gym.py` and
`test_contract.py`.

Letters: T steps, S measured quantities.
"""

import dataclasses
import math
import pickle

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import palaestra  # noqa: F401  (registers the ids)
import pytest
from palaestra.envs import stepping
from palaestra.envs.errors import OptionError
from palaestra.envs.motors import converters, loads, references, supplies
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES, motor_ids
from palaestra.envs.motors.limits import Limit
from palaestra.envs.motors.machines.synchronous import EESM
from palaestra.envs.registration import ENVIRONMENTS


def start(env, params=None):
    """A first state; a few steps without `jit` take less time than compiling them."""
    return env.initial(jax.random.key(0), env.default_params if params is None else params)


def play(env, actions, params=None):
    """(first state, state after each action) from the configured start."""
    params = env.default_params if params is None else params
    first = start(env, params)
    states, state = [], first
    for action in actions:
        action = jnp.asarray(action, jnp.int32 if env.converter.finite else jnp.float32)
        state = env.transition(state, action, jax.random.key(1), params)
        states.append(state)
    return first, states


def measured(env, state):
    """{quantity: value in SI units}."""
    values = np.asarray(state.measured, np.float64) * env.layout.limits
    return dict(zip(env.layout.names, values, strict=True))


def pair(family="PMSM", action="Cont", task="CC", **kwargs):
    """The same drive in its gem and its physical form."""
    return tuple(make_motor(family, action, task, compat=compat, **kwargs) for compat in ("gem", "physical"))


# Every id.


def test_the_sixty_ids_are_registered_and_make_the_drives_they_name():
    ids = {entry.id for entry in ENVIRONMENTS if "/Motor-" in entry.id}
    assert ids == {f"palaestra/Motor-{action}-{task}-{family}-v0" for family, action, task in motor_ids()}
    assert len(ids) == 60
    for env_id in ids:
        spec = gymnasium.spec(env_id)
        action, task, family = env_id.removeprefix("palaestra/Motor-").removesuffix("-v0").split("-")
        env = make_motor(family, action, task)
        assert dict(spec.kwargs)["env_id"] == env_id
        assert (env.machine.family, env.converter.finite) == (family, action == "Finite")
        wanted = {"SC": ("omega",), "TC": ("torque",), "CC": FAMILIES[family].currents}[task]
        assert env.observed.references == wanted
        assert env.horizon * env.tau == pytest.approx({"Cont": 2000, "Finite": 20000}[action] * env.tau)


@pytest.mark.parametrize("family, action, task", [("PermExDc", "Cont", "CC"), ("EESM", "Finite", "TC")])
def test_vector_environments_run_a_batch(family, action, task):
    envs = gymnasium.make_vec(f"palaestra/Motor-{action}-{task}-{family}-v0", num_envs=3, horizon=4)
    obs, _ = envs.reset(seed=0)
    envs.action_space.seed(0)
    ended = np.zeros(3, bool)
    for _ in range(8):
        obs, reward, terminated, truncated, _ = envs.step(envs.action_space.sample())
        assert envs.observation_space.contains(obs) and np.isfinite(reward).all()
        ended |= terminated | truncated
    assert ended.all()
    envs.close()


FAST_FAMILIES = ("SeriesDc", "PMSM", "EESM", "DFIM")


@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=[] if f in FAST_FAMILIES else pytest.mark.slow) for f in FAMILIES]
)
def test_a_thousand_tasks_share_one_compilation(family):
    """An episode of three steps each, the start of which depends on the task; random corners of the task space."""
    env, traces = make_motor(family, "Cont", "SC", extras=("dead_time", "noise", "load_step", "heating")), []

    @jax.jit
    def episode(task, key):
        traces.append(1)
        params = env.task_params(task)
        state, _ = stepping.reset(env, key, params)
        for _ in range(2):
            state, timestep = stepping.step(env, key, state, jnp.zeros(env.action_space.shape), params)
        return timestep.obs

    unit = np.random.default_rng(0).uniform(size=(1000, env.task_space.unit_dim))
    unit = np.where(unit < 0.1, 0.0, np.where(unit > 0.9, 1.0, unit)).astype(np.float32)
    tasks = np.asarray(env.task_space.from_unit(jnp.asarray(unit)))
    seen = [np.asarray(episode(task, jax.random.key(0))) for task in tasks]
    assert len(traces) == 1
    assert np.isfinite(seen).all()
    assert len({obs.tobytes() for obs in seen}) == 1000, "every task is a drive of its own"


# Ends.

FULL = {
    # (family, options): (actions until the end, expected reason)
    "PermExDc": ({}, [[1.0]], "|i| above its limit"),
    "ExtExDc exciter": (
        {"start": {"i_e": 209.0}, "load_parameters": {"speed": 0.0}},
        [[0.0, 1.0]],
        "|i_e| above its limit",
    ),
    "ShuntDc": ({}, [[1.0]], "|i_a| above its limit"),
    "PMSM": ({}, [[1.0, -1.0, -1.0]], "|(i_sd, i_sq)| above its limit"),
    "EESM exciter": ({"start": {"i_e": 149.9}}, [[0.0, 0.0, 0.0, 1.0]], "|i_e| above its limit"),
    "DFIM rotor": ({}, [[0.0, 0.0, 0.0, 1.0, -1.0, -1.0]], "|(i_rd, i_rq)| above its limit"),
    "SIXPMSM": ({}, [[1.0, -1.0, 1.0, -1.0, 1.0, -1.0]], "|(i_sd, i_sq, i_sx, i_sy)| above its limit"),
}


@pytest.mark.parametrize("case", FULL)
def test_full_voltage_ends_an_episode_with_the_limit_named(case):
    options, actions, reason = FULL[case]
    env = make_motor(case.split()[0], "Cont", "CC", **options)
    params, key = env.default_params, jax.random.key(0)
    state, _ = stepping.reset(env, key, params)
    for _ in range(100):
        state, timestep = stepping.step(env, key, state, jnp.asarray(actions[0]), params)
        if timestep.terminated:
            break
    assert timestep.terminated and env.end_reasons[int(timestep.end_reason)] == reason
    assert float(timestep.reward) == pytest.approx(env.reward_terms.violation)
    assert env.reward_terms.violation == pytest.approx(-20.0 if case == "SIXPMSM" else -10.0)


def test_the_gymnasium_door_says_why_an_episode_ended():
    env = gymnasium.make("palaestra/Motor-Cont-CC-SeriesDc-v0", supply_voltage=200.0)
    env.reset(seed=0)
    for _ in range(1000):
        _, reward, terminated, truncated, info = env.step(np.ones(1, np.float32))
        if terminated or truncated:
            break
    assert terminated and not truncated
    assert info["end_reason"] == "|i| above its limit"
    assert reward == pytest.approx(-10.0)


def test_divergence_ends_an_episode_that_watches_no_limit():
    env = make_motor("PermExDc", "Cont", "CC", watched=(), machine={"r_a": 1e-3})
    _, states = play(env, [[1.0]] * 60)
    diverged = [bool(env.terminal(s, jax.random.key(0))) for s in states]
    first = diverged.index(True)
    assert not any(diverged[:first])
    assert env.end_reasons[int(env.end_reason(states[first]))] == "the simulation diverged"
    assert np.abs(states[first].measured).max() == 10.0
    reward = env.reward(states[first - 1], jnp.zeros(1), states[first], jax.random.key(0))
    assert float(reward) == pytest.approx(-10.0)


def test_a_state_that_is_no_number_is_divergence_too():
    env = make_motor("SynRM", "Cont", "CC")
    broken = start(env)
    broken = broken.replace(x=jax.tree.map(lambda leaf: leaf * jnp.nan, broken.x))
    after = env.transition(broken, jnp.zeros(3), jax.random.key(0), env.default_params)
    assert env.terminal(after, jax.random.key(0))
    assert np.isfinite(env.observation(after, jax.random.key(0))).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_action_that_is_not_finite_counts_as_zero_and_is_reported(bad):
    env = make_motor("PMSM", "Cont", "CC", start={"omega": 0.0, "i_sd": 3.0})
    state, key, params = start(env), jax.random.key(0), env.default_params
    given = env.transition(state, jnp.asarray([0.4, bad, 0.2]), key, params)
    zero = env.transition(state, jnp.asarray([0.4, 0.0, 0.2]), key, params)
    np.testing.assert_array_equal(given.measured, zero.measured)
    assert bool(env.transition_info(state, jnp.asarray([0.4, bad, 0.2]), given)["invalid_action"])
    assert not bool(env.transition_info(state, jnp.asarray([0.4, 0.0, 0.2]), zero)["invalid_action"])


def test_averaged_actions_are_clipped_to_their_box():
    env = make_motor("PMSM", "Cont", "CC")
    state, key, params = start(env), jax.random.key(0), env.default_params
    far, near = (env.transition(state, jnp.asarray(a), key, params) for a in ([5.0, -7.0, 0.1], [1.0, -1.0, 0.1]))
    np.testing.assert_array_equal(far.measured, near.measured)


def test_dead_time_delays_actions_and_begins_with_zeros():
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (8, 3)).astype(np.float32)
    env = make_motor("PMSM", "Cont", "CC")
    _, prompt = play(env, [np.zeros(3)] * 2 + list(actions[:6]))
    _, late = play(dataclasses.replace(make_motor("PMSM", "Cont", "CC", dead_time=2)), actions)
    np.testing.assert_allclose([s.measured for s in late], [s.measured for s in prompt], atol=1e-6)
    scheduled = make_motor("PMSM", "Cont", "CC", extras=("dead_time",))
    params = scheduled.task_params(jnp.asarray(scheduled.task_space.from_dict({"dead_time": 2})))
    _, chosen = play(scheduled, actions, params)
    np.testing.assert_allclose([s.measured for s in chosen], [s.measured for s in late], atol=1e-6)


# What the gem form does differently: defects of gym-electric-motor 3.0.3 that it keeps.

SPINNING = {"i_sd": -20.0, "i_sq": 60.0, "omega": 300.0, "epsilon": 0.3}


def phase_a(i_d, i_q, angle):
    return i_d * math.cos(angle) - i_q * math.sin(angle)


def test_gem_reports_phase_currents_at_the_angle_of_the_steps_start():
    gem, physical = pair("PMSM", "Cont", "SC", start=SPINNING)
    for env, is_late in ((gem, True), (physical, False)):
        first, (after,) = play(env, [[0.2, -0.1, -0.1]])
        now = measured(env, after)
        angle = float(first.angle.value) if is_late else now["epsilon"]
        assert now["i_a"] == pytest.approx(phase_a(now["i_sd"], now["i_sq"], angle), abs=1e-3)
        assert abs(now["epsilon"] - float(first.angle.value)) > 0.05


def test_gem_reports_induction_currents_in_the_field_of_the_steps_start():
    flux = {"psi_ralpha": 0.3, "psi_rbeta": 0.1, "i_salpha": 2.0, "omega": 150.0}
    for env, is_late in zip(pair("SCIM", "Cont", "SC", start=flux), (True, False), strict=True):
        first, (after,) = play(env, [[0.2, -0.1, -0.1]])
        field = env.machine.field_angle(first.x if is_late else after.x)
        expected = float(field.cos * after.x.i_salpha + field.sin * after.x.i_sbeta)
        assert measured(env, after)["i_sd"] == pytest.approx(expected, abs=1e-4)


def test_gem_holds_dq_voltages_where_terminals_hold_phases():
    gem, physical = pair("PMSM", "Cont", "SC", start=SPINNING)
    angle = SPINNING["epsilon"]
    _, (held,) = play(gem, [[0.5, -0.25, -0.25]])
    _, (turning,) = play(physical, [[0.5, -0.25, -0.25]])
    u_d = 0.25 * gem.nominal.supply  # alpha is half of 0.5 of the supply, beta 0
    end = measured(physical, turning)["epsilon"]
    assert measured(gem, held)["u_sd"] == pytest.approx(u_d * math.cos(angle), rel=1e-4)
    assert measured(physical, turning)["u_sd"] == pytest.approx(u_d * math.cos(end), rel=1e-4)
    assert float(abs(held.x.i_sq - turning.x.i_sq)) > 0.1


PHASES = {
    "PMSM": ("u_a", "u_b", "u_c"),
    "EESM": ("u_a", "u_b", "u_c"),
    "DFIM": ("u_sa", "u_sb", "u_sc", "u_ra", "u_rb", "u_rc"),
    "PermExDc": (),
}


@pytest.mark.parametrize("family", PHASES)
def test_gem_shows_half_the_supply_on_bridges_after_a_reset(family):
    for env in pair(family):
        shown = measured(env, start(env))
        for name in (n for n in env.layout.names if n.startswith("u_") and n != "u_sup"):
            expected = -0.5 * env.nominal.supply if env.gem and name in PHASES[family] else 0.0
            assert shown[name] == pytest.approx(expected, abs=1e-3)


def test_gem_interlocking_of_a_four_quadrant_converter_cancels():
    gem, physical = pair("PermExDc", "Cont", "SC", interlocking_time=5e-6, start={"i": 50.0})
    volts = [measured(env, play(env, [[0.3]])[1][0])["u"] for env in (gem, physical)]
    assert volts[0] == pytest.approx(0.3 * 60.0, rel=1e-5)
    assert volts[1] == pytest.approx((0.3 - 2 * 0.05) * 60.0, rel=1e-5)


def test_gem_interlocking_of_bridges_counts_by_the_default_control_period():
    envs = pair("PMSM", "Cont", "CC", interlocking_time=5e-6, tau=5e-5, start={"i_sd": 50.0})
    volts = [measured(env, play(env, [[0.0, 0.0, 0.0]])[1][0])["u_a"] / env.nominal.supply for env in envs]
    np.testing.assert_allclose(volts, [-5e-6 / 1e-4, -5e-6 / 5e-5], rtol=1e-5)


def test_gem_leaves_a_finite_leg_that_changes_rails_off_for_the_whole_step():
    envs = pair("PermExDc", "Finite", "CC", interlocking_time=1e-6, start={"i": 50.0})
    volts = [[measured(env, s)["u"] for s in play(env, [2, 1, 1])[1]] for env in envs]
    # Both legs change between actions 2 and 1; a positive current then flows from the lower rail to the upper one.
    np.testing.assert_allclose(volts[0], [-60.0, -60.0, 60.0], rtol=1e-6)
    np.testing.assert_allclose(volts[1], [-60.0, 60.0, 60.0], rtol=1e-6)


def test_gem_asks_an_rc_supply_for_the_current_of_the_legs_before_the_action():
    envs = pair("PermExDc", "Finite", "CC", supply="rc", start={"i": 90.0})
    sags = [[60.0 - measured(env, s)["u_sup"] for s in play(env, [0, 1, 1])[1]] for env in envs]
    assert sags[0][1] == pytest.approx(0.0, abs=1e-6) and sags[0][2] > 0.1
    assert sags[1][1] > 0.1


def test_gem_exciter_data_make_the_machine_unstable_where_physical_does_not():
    """Eigenvalues [1/s] at standstill, of the specification."""
    values = {}
    for gem in (True, False):
        machine, sheet = EESM(gem=gem), FAMILIES["EESM"].parameters
        u = machine.inputs((0.0, 0.0, 0.0, 0.0), start(make_motor("EESM")).angle)

        def rates(x, machine=machine, sheet=sheet, u=u):
            return machine.derivative(machine.State(*x), u, 0.0, machine.Params(**sheet))[0]

        jacobian = [jax.tree.leaves(rates(tuple(jnp.float32(v) for v in row))) for row in np.eye(3)]
        values[gem] = np.sort(np.linalg.eigvals(np.array(jacobian, float)).real)
    np.testing.assert_allclose(values[True], [-44.4, -2.70, 46.1], rtol=5e-3)
    assert values[False].max() < 0


def test_gem_six_phase_machine_mixes_speeds_and_halves_torque():
    gem, physical = pair("SIXPMSM")
    x = gem.machine.State(*(jnp.float32(v) for v in (0.0, 100.0, 0.0, 0.0)))
    params = gem.machine.Params(**FAMILIES["SIXPMSM"].parameters)
    torques = [float(env.machine.torque(x, params)) for env in (gem, physical)]
    assert torques[1] == pytest.approx(2 * torques[0]) == pytest.approx(3 * 5 * 4.7e-3 * 100.0)
    u = gem.machine.inputs((0.0,) * 6, start(gem).angle)
    still = gem.machine.State(*(jnp.float32(0.0),) * 4)
    back = [float(env.machine.derivative(still, u, 100.0, params)[0].i_sq) * 126e-6 for env in (gem, physical)]
    np.testing.assert_allclose(back, [-100.0 * 4.7e-3, -5 * 100.0 * 4.7e-3], rtol=1e-5)


def test_gem_reads_a_given_start_by_position():
    """Listed as given, then the rest with q before d, and read as (i_sd, i_sq, epsilon)."""
    for given, expected in (
        ({"i_sq": 20.0}, (20.0, 0.0)),
        ({"i_sd": 5.0, "i_sq": 20.0}, (5.0, 20.0)),
        ({"i_sq": 20.0, "i_sd": 5.0}, (20.0, 5.0)),
    ):
        gem, physical = (start(env).x for env in pair("PMSM", start=given))
        assert (float(gem.i_sd), float(gem.i_sq)) == expected
        assert (float(physical.i_sd), float(physical.i_sq)) == (given.get("i_sd", 0.0), 20.0)


def test_gem_turns_a_doubly_fed_machines_rotor_current_twice_at_a_reset():
    given = {"i_salpha": 0.0, "i_sbeta": 0.0, "psi_ralpha": 0.3, "psi_rbeta": 0.4, "epsilon": 0.5}
    found = {}
    for env in pair("DFIM", start=given):
        first = start(env)
        found[env.gem] = measured(env, first)["i_ra"]
        i_r = 0.5 / (297.5e-3 + 25.71e-3) * np.exp(1j * math.atan2(0.4, 0.3))
    assert found[True] == pytest.approx(i_r.real, rel=1e-4)
    assert found[False] == pytest.approx((i_r * np.exp(-0.5j)).real, rel=1e-4)


def test_gem_speed_profiles_lag_by_a_control_period():
    """Physical: on the profile at every step. Gem: the same on ramps, not where they bend."""
    samples = (0.0, 0.0, 100.0, 100.0, 100.0)
    for env, exact in zip(pair("PMSM", load=loads.SpeedProfile(samples, 1e-4)), (False, True), strict=True):
        _, states = play(env, [np.zeros(3)] * 4)
        omega = np.array([float(s.omega) for s in states])
        assert np.allclose(omega, samples[1:], atol=1e-3) is exact


def test_gem_never_truncates_and_physical_does():
    gem, physical = pair()
    assert gem.horizon == 2**31 - 1 and physical.horizon == 2000


def test_unseeded_resets_continue_the_stream_in_both_forms():
    """The original draws a new seed from the machine; here equal seeds give equal sequences of episodes."""
    seen = []
    for _ in range(2):
        env = gymnasium.make("palaestra/Motor-Cont-CC-PermExDc-v0", compat="gem")
        seen.append([env.reset(seed=3)[0], env.reset()[0], env.reset()[0]])
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0][0], seen[0][1])


# Options that do not fit.

NAN, INF = math.nan, math.inf
REFUSED = [
    ({"family": "PMSN"}, "family='PMSN'", "'PMSM'"),
    ({"action": "cont"}, "action='cont'", "'Cont'"),
    ({"task": "XX"}, "task='XX'", "'TC'"),
    ({"compat": "old"}, "compat='old'", "'gem'"),
    ({"solver": "rk5"}, "solver='rk5'", "'rk4'"),
    ({"noise": "pink"}, "noise='pink'", "'normal'"),
    ({"control": "abc"}, "control='abc'", "'dq'"),
    ({"extras": ("wear",)}, "extras='wear'", "'heating'"),
    ({"supply": "dc"}, "supply='dc'", "'ideal'"),
    ({"supply": 3}, "supply=3", "'ideal'"),
    ({"load": "pump"}, "load='pump'", "'polynomial'"),
    ({"load": 3}, "load=3", "'polynomial'"),
    ({"reference": "zigzag"}, "reference='zigzag'", "'wiener'"),
    ({"reference": ("wiener",) * 3}, "3 generators", "1 or 2"),
    ({"converter": "B7"}, "converter='B7'", "'B6'"),
    ({"converter": "4QC"}, "('4QC',) has 1 terminals", "PMSM needs 3"),
    ({"family": "EESM", "converter": "B6"}, "has 3 terminals", "EESM needs 4"),
    ({"supply": "ac3"}, "3 voltages", "'direct'"),
    ({"converter": "direct"}, "1 voltages", "three phases"),
    ({"machine": {"l_d": -1.0}}, "machine['l_d']=-1.0", "positive"),
    ({"machine": {"l_d": 0.0}}, "machine['l_d']=0.0", "positive"),
    ({"machine": {"l_d": NAN}}, "machine['l_d']=nan", "finite"),
    ({"machine": {"l_d": INF}}, "machine['l_d']=inf", "finite"),
    ({"machine": {"l_d": "x"}}, "machine['l_d']='x'", "finite"),
    ({"machine": {"l_x": 1.0}}, "unknown 'l_x'", "'l_q'"),
    ({"family": "EESM", "machine": {"l_m": 3e-3}}, "l_m=0.003", "less than sqrt(l_d l_e)"),
    ({"limits": {"i": 0.0}}, "limits['i']=0.0", "positive"),
    ({"limits": {"k": 1.0}}, "unknown 'k'", "'omega'"),
    ({"nominal": {"i": 500.0}}, "nominal['i']=500.0", "400"),
    ({"interlocking_time": 1e-4}, "interlocking_time=0.0001", "less than a control period"),
    ({"interlocking_time": -1.0}, "interlocking_time=-1.0", "[0, 0.0001)"),
    ({"interlocking_time": NAN}, "interlocking_time=nan", "finite"),
    ({"dead_time": 4}, "dead_time=4", "[0, 3]"),
    ({"dead_time": 1.5}, "dead_time=1.5", "whole"),
    ({"dead_time": True}, "dead_time=True", "whole"),
    ({"tau": 0.0}, "tau=0.0", "positive"),
    ({"tau": NAN}, "tau=nan", "finite"),
    ({"supply_voltage": -1.0}, "supply_voltage=-1.0", "positive"),
    ({"supply_parameters": {"resistance": -1.0}}, "supply_parameters['resistance']=-1.0", "positive"),
    ({"supply": "rc", "supply_parameters": {"capacitance": 0.0}}, "supply_parameters['capacitance']=0.0", "positive"),
    ({"load_parameters": {"j_load": 0.0}}, "load_parameters['j_load']=0.0", "positive"),
    ({"load_parameters": {"theta": 0.0}}, "load_parameters['theta']=0.0", "positive"),
    ({"load_parameters": {"b": -1.0}}, "load_parameters['b']=-1.0", "at least 0"),
    ({"load_parameters": {"d": 1.0}}, "unknown 'd'", "'j_load'"),
    ({"load_parameters": {"speed": 1e4}}, "load_parameters['speed']=10000.0", "418.879"),
    ({"weights": {"i": 1.0}}, "unknown 'i'", "'i_sd'"),
    ({"weights": {"i_sd": -1.0}}, "weights['i_sd']=-1.0", "at least 0"),
    ({"powers": {"i_sd": 0.0}}, "powers['i_sd']=0.0", "positive"),
    ({"reward_offset": "large"}, "reward_offset='large'", "finite"),
    ({"substeps": 0}, "substeps=0", "at least 1"),
    ({"substeps": 1.5}, "substeps=1.5", "whole"),
    ({"preview": -1}, "preview=-1", "at least 0"),
    ({"preview": 1.5}, "preview=1.5", "whole"),
    ({"horizon": 0}, "horizon=0", "at least 1"),
    ({"referenced": ("flux",)}, "referenced='flux'", "'torque'"),
    ({"referenced": ()}, "referenced=()", "at least one"),
    ({"referenced": ("i_sd", "i_sd")}, "('i_sd', 'i_sd')", "none twice"),
    ({"angle": "degrees"}, "angle='degrees'", "'cos_sin'"),
    ({"watched": [Limit(("flux",))]}, "watched='flux'", "'i_sd'"),
    ({"watched": ["i_sd"]}, "watched: got 'i_sd'", "Limit"),
    ({"action": "Finite", "control": "dq"}, "control='dq' with Finite-PMSM", "continuous"),
    ({"family": "DFIM", "control": "dq"}, "control='dq' with Cont-DFIM", "one frame"),
    ({"flux_observer": True}, "flux_observer=True", "induction"),
    ({"start": {"i_d": 1.0}}, "unknown 'i_d'", "'i_sd'"),
    ({"start": {"i_sd": NAN}}, "start['i_sd']=nan", "finite"),
    ({"extras": ("load_step",)}, "'constant_speed'", "'load_step'"),
]


@pytest.mark.parametrize("options, wrong, right", REFUSED, ids=[f"{i} {case[1]}" for i, case in enumerate(REFUSED)])
def test_options_that_do_not_fit_are_named_with_what_would(options, wrong, right):
    with pytest.raises(OptionError) as caught:
        make_motor(**options)
    assert wrong in str(caught.value) and right in str(caught.value)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="pole_pairs"):
        make_motor(pole_pairs=3)


def test_the_gem_form_takes_the_exciter_data_that_the_physical_form_refuses():
    assert make_motor("EESM", compat="gem", machine={"l_m": 3e-3}).gem


# Settings as values.

SETTINGS = {
    "plain": {},
    "options": {
        "family": "ExtExDc",
        "action": "Finite",
        "task": "SC",
        "converter": ("2QC", "4QC"),
        "interlocking_time": 1e-6,
        "dead_time": 2,
        "supply": "rc",
        "load": "two_mass",
        "reference": "switched",
        "preview": 2,
        "extras": ("noise", "heating"),
        "watched": (Limit(("i_a",), soft=0.9),),
        "start": {"i_a": 3.0, "omega": 1.0},
    },
    "objects": {
        "supply": supplies.AC(1, 0.3),
        "load": loads.SpeedProfile((0.0, 1.0), 1e-3),
        "reference": (references.Wave("sinus"), references.Constant(0.2)),
    },
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_equal_settings_are_equal_hash_alike_and_survive_pickling(setting):
    first, second = make_motor(**SETTINGS[setting]), make_motor(**SETTINGS[setting])
    assert first == second and hash(first) == hash(second)
    assert pickle.loads(pickle.dumps(first)) == first


def test_other_settings_are_other_drives():
    plain = make_motor()
    for options in ({"tau": 5e-5}, {"solver": "euler"}, {"machine": {"l_d": 4e-4}}, {"compat": "gem"}, {"preview": 1}):
        assert make_motor(**options) != plain


@pytest.mark.parametrize("kind", [*loads.LOADS])
def test_every_load_runs(kind):
    env = make_motor("PermExDc", "Cont", "SC", load=kind)
    _, states = play(env, [[0.1]] * 3)
    assert np.isfinite(states[-1].measured).all()


@pytest.mark.parametrize("kind", [*supplies.SUPPLIES])
def test_every_supply_runs(kind):
    env = make_motor("SCIM", "Cont", "CC", supply=kind, converter="direct" if kind == "ac3" else None)
    actions = [np.zeros(env.action_space.shape)] * 3
    first, states = play(env, actions)
    assert np.isfinite(states[-1].measured).all()
    names = [n for n in env.layout.names if n.startswith("u_sup")]
    assert len(names) == (3 if kind == "ac3" else 1)
    assert env.observation_space.contains(np.asarray(env.observation(first, jax.random.key(0))))


def test_one_quadrant_drives_reference_what_they_can_reach():
    env = make_motor("ExtExDc", "Cont", "SC", converter=("1QC", "1QC"))
    low = dict(zip(env.layout.names, env.layout.low, strict=True))
    assert all(low[name] == 0.0 for name in ("omega", "torque", "i_a", "i_e", "u_a", "u_e"))
    assert env.nominal.margins == ((0.0, 0.75),)
    assert converters.Converter(("1QC", "1QC"), False).action_space == env.action_space
