"""Controllers of drives at work: they follow, keep limits, and are pure functions."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.control import make_controller, mean_error, rollout, score
from palaestra.envs.motors.control.plant import Situation
from palaestra.envs.motors.families import FAMILIES

from .motor_play import held

STEPS = 300
SEEDS = 4
CONT = [(family, task) for family in FAMILIES for task in ("CC", "TC", "SC")]


@functools.cache
def controlled(family, action, task, kind=None, **options):
    env = make_motor(family, action, task, **options)
    return env, make_controller(env, kind)


FAST = {("PMSM", "CC"), ("PMSM", "SC"), ("SeriesDc", "SC"), ("ExtExDc", "TC"), ("SCIM", "TC"), ("EESM", "CC")}


@pytest.mark.parametrize(
    "family, task", [c if c in FAST else pytest.param(*c, marks=pytest.mark.slow) for c in CONT], ids=lambda v: v
)
def test_every_averaged_drive_is_controlled_within_its_limits(family, task):
    env, controller = controlled(family, "Cont", task)
    found = mean_error(env, controller, jax.random.key(0), STEPS, SEEDS)
    assert int(found.terminations) == 0
    assert float(found.mean_error) < 0.4


@pytest.mark.parametrize(
    "family, task",
    [
        ("PMSM", "CC"),
        ("PermExDc", "CC"),
        *(
            pytest.param(f, t, marks=pytest.mark.slow)
            for f, t in CONT
            if (f, t) not in (("PMSM", "CC"), ("PermExDc", "CC"))
        ),
    ],
)
def test_every_switched_drive_is_controlled_within_its_limits(family, task):
    env, controller = controlled(family, "Finite", task)
    found = mean_error(env, controller, jax.random.key(0), STEPS, SEEDS)
    assert int(found.terminations) == 0
    assert float(found.mean_error) < 0.6


def test_compiled_and_plain_actions_agree_and_so_do_batches():
    env, controller = controlled("PMSM", "Cont", "SC")
    obs = jax.jit(jax.vmap(lambda k: env.observation(env.initial(k), k)))(jax.random.split(jax.random.key(0), 3))
    memory = controller.init()
    plain = [np.asarray(controller.act(memory, row)[1]) for row in obs]
    compiled = [np.asarray(jax.jit(controller.act)(memory, row)[1]) for row in obs]
    together = np.asarray(jax.jit(jax.vmap(controller.act, (None, 0)))(memory, obs)[1])
    np.testing.assert_allclose(plain, compiled, atol=1e-5)
    np.testing.assert_allclose(plain, together, atol=1e-5)


@pytest.mark.parametrize("options", [{"angle": "cos_sin"}, {"control": "dq"}, {"dead_time": 1}])
def test_other_observations_and_actions_are_served(options):
    env = make_motor("PMSM", "Cont", "CC", **options)
    found = mean_error(env, make_controller(env), jax.random.key(0), STEPS, SEEDS)
    assert int(found.terminations) == 0 and float(found.mean_error) < 0.15


@pytest.mark.parametrize("dead_time", [0, 1, 2])
def test_a_delayed_rotor_voltage_points_where_it_takes_effect(dead_time):
    """At constant speed deadbeat control is exact whatever the delay, if the frame is that of the right period."""
    env = make_motor("PMSM", control="dq", dead_time=dead_time, reference="step_and_hold", solver="tsit5")
    run = rollout(env, make_controller(env, "deadbeat"), jax.random.key(1), 400)
    assert np.abs(np.asarray(run.error[-1])).max() < 1e-4


def test_a_rollout_is_a_chain_of_transitions():
    env, controller = controlled("PermExDc", "Cont", "CC")
    run = rollout(env, controller, jax.random.key(0), 50)
    np.testing.assert_array_equal(run.obs[1:], run.next_obs[:-1])
    assert run.reward.shape == (50,) and score(run).terminations == 0
    np.testing.assert_allclose(run.reward, -np.abs(run.error[:, 0]) / 2, atol=1e-6)


def test_controllers_of_equal_settings_are_equal():
    env = make_motor("PMSM")
    assert make_controller(env) == make_controller(make_motor("PMSM"))
    assert hash(make_controller(env)) == hash(make_controller(env))
    assert make_controller(env) != make_controller(env, "deadbeat")


@pytest.mark.parametrize(
    "action, family, kind, said",
    [
        ("Cont", "PMSM", "mpc", "kind='mpc'"),
        ("Finite", "PMSM", "pi", "kind='pi'"),
        ("Finite", "PMSM", "hysteresis", "commutator machine"),
        ("Cont", "PMSM", "fuzzy", "kind='fuzzy'"),
    ],
)
def test_kinds_that_do_not_fit_are_refused(action, family, kind, said):
    with pytest.raises(OptionError, match=said):
        make_controller(make_motor(family, action), kind)


def test_hysteresis_keeps_a_commutator_machine_in_its_band():
    env = make_motor("PermExDc", "Finite", "CC", reference="step_and_hold", machine={"l_a": 1e-3})
    run = rollout(env, make_controller(env, "hysteresis"), jax.random.key(0), 2000)
    assert np.abs(np.asarray(run.error[-200:])).max() < 0.03
    assert set(np.unique(run.action)) <= set(itertools.chain(range(4)))


@pytest.mark.parametrize(
    "family", [f if f in ("EESM", "DFIM", "SIXPMSM") else pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES]
)
def test_currents_settle_at_their_references(family, key):
    env = held(family)
    run = rollout(env, make_controller(env), key, 400)
    assert not np.any(run.terminated)
    assert np.max(np.abs(run.error[-20:])) < 5e-3


@pytest.mark.parametrize(
    "family, value, steps", [("PMSM", 0.4, 40), ("SeriesDc", 0.2, 300), ("SynRM", -0.4, 60), ("SIXPMSM", 0.5, 60)]
)
def test_torque_settles_at_its_reference(family, value, steps, key):
    env = held(family, "TC", value)
    run = rollout(env, make_controller(env), key, steps)
    assert np.max(np.abs(run.error[-5:])) < 1e-2


@pytest.mark.parametrize("family, value", [("PMSM", 0.05), ("ExtExDc", -0.1)])
def test_speed_settles_at_its_reference(family, value, key):
    env = held(family, "SC", value)
    run = rollout(env, make_controller(env), key, 1500)
    assert np.max(np.abs(run.error[-5:])) < 2e-3


@pytest.mark.parametrize("anti_windup", ["conditional", "back_calculation"])
def test_integral_does_not_wind_up_while_the_voltage_is_limited(anti_windup):
    inner = make_controller(make_motor("PermExDc"), anti_windup=anti_windup).inner
    zero = jnp.zeros(())
    now = Situation(x=inner.plant.machine.State(i=zero), omega=zero, angle=None, u_sup=jnp.asarray(60.0))
    target = (jnp.asarray(5000.0),)  # never reached
    integral = inner.init(jnp.float32)
    for _ in range(50):
        integral, voltage = inner(integral, target, now)
    assert float(voltage[0]) == 60.0
    assert abs(float(integral[0])) <= 60.0  # without a remedy, 50 * 1e-4 * 80 * 5000 = 2000 V


def test_a_large_step_overshoots_little_thanks_to_back_calculation(key):
    env = held("PermExDc", value=0.9, load_parameters={"speed": 300.0})
    run = rollout(env, make_controller(env), key, 60)
    assert np.max(run.error) < 0.02


def test_zero_sequence_reaches_further(key):
    errors = {}
    for injection in (False, True):
        env = held("PMSM", value=0.5, load_parameters={"speed": 200.0})
        run = rollout(env, make_controller(env, injection=injection), key, 8)
        errors[injection] = float(np.mean(np.abs(run.error)))
        assert np.max(np.abs(run.action)) <= 1.0
    assert errors[True] < errors[False]


@pytest.mark.parametrize(
    "family, dead_time", [("PermExDc", 0), ("ExtExDc", 0), ("PMSM", 0), ("PMSM", 2), ("EESM", 0), ("SIXPMSM", 1)]
)
def test_deadbeat_reaches_its_reference_in_one_step(family, dead_time, key):
    env = held(family, value=0.004, dead_time=dead_time)
    run = rollout(env, make_controller(env, "deadbeat"), key, dead_time + 3)
    assert np.max(np.abs(run.error[dead_time:])) < 2e-6
    if dead_time:
        assert np.max(np.abs(run.error[dead_time - 1])) > 1e-3


@pytest.mark.slow
def test_deadbeat_knows_the_induction_machine(key):
    env = held("SCIM", value=0.3)
    run = rollout(env, make_controller(env, "deadbeat"), key, 400)
    assert np.max(np.abs(run.error[-20:])) < 1e-4


@pytest.mark.parametrize("compat, left", [("gem", (7e-4, 7e-4)), ("physical", (0.303, 0.0))])
def test_a_current_against_the_flux_is_followed_only_as_the_original_reports_it(compat, left, key):
    env = held("SCIM", value=-0.3, compat=compat)
    run = rollout(env, make_controller(env, "pi"), key, 1000)
    np.testing.assert_allclose(np.mean(np.abs(run.error[-300:]), axis=0), left, atol=1e-3)
    assert not run.terminated.any()


def test_predictive_control_stays_near_its_reference(key):
    env = held("SeriesDc", action="Finite", value=0.2, supply_voltage=420.0)
    run = rollout(env, make_controller(env), key, 500)
    assert np.max(np.abs(run.error[-50:])) < 0.015


def test_compiled_and_plain_switching_states_agree(key):
    env = make_motor("PermExDc", "Finite", "CC")
    controller = make_controller(env)
    obs = rollout(env, controller, key, 4).obs
    eager, jitted, act = controller.init(), controller.init(), jax.jit(controller.act)
    for row in obs:
        eager, first = controller.act(eager, row)
        jitted, second = act(jitted, row)
        assert int(first) == int(second) and first.dtype == second.dtype == jnp.int32


def test_seeds_run_side_by_side(key):
    env = make_motor("PMSM")
    controller = make_controller(env)
    keys = jax.random.split(key, 3)
    together = jax.vmap(lambda k: rollout(env, controller, k, 50))(keys)
    alone = rollout(env, controller, keys[1], 50)
    np.testing.assert_allclose(together.obs[1], alone.obs, atol=1e-4)
    assert score(together).mean_error.shape == ()


def test_ways_of_showing_the_angle_do_not_matter(key):
    shown = make_motor("PMSM", angle="cos_sin", preview=2, previous_action=True)
    plain, apart = make_motor("PMSM"), make_motor("PMSM", gem_obs=True)
    run = rollout(shown, make_controller(shown), key, 6)
    names = shown.observed.names
    turned = names.index("cos(epsilon)")
    angle = jnp.arctan2(run.obs[:, turned + 1], run.obs[:, turned]) / jnp.pi
    state = jnp.concatenate([run.obs[:, :turned], angle[:, None], run.obs[:, turned + 2 : turned + 3]], axis=1)
    start = names.index("i_sd*")
    references = run.obs[:, start : start + 2]
    for env in (plain, apart):
        controller = make_controller(env)
        act, memory = jax.jit(controller.act), controller.init()
        for s, r, expected in zip(state, references, run.action, strict=True):
            obs = (s, r) if env is apart else jnp.concatenate([s, r])
            memory, action = act(memory, obs)
            np.testing.assert_allclose(action, expected, atol=1e-4)


def test_flux_estimate_follows_the_machine(key):
    env = held("SCIM", "TC", 0.5)
    controller = make_controller(env)

    def step(carry, _):
        state, memory = carry
        memory, action = controller.act(memory, env.observation(state, key))
        here = (state.x.psi_ralpha, state.x.psi_rbeta), memory.estimate.psi
        return (env.transition(state, action, key), memory), here

    start = env.initial(key), controller.init(env.initial(key).omega.dtype)
    _, (true, found) = jax.jit(lambda s: jax.lax.scan(step, s, length=600))(start)
    size = np.max(np.hypot(*true))
    assert size > 0.1
    assert np.max(np.abs(np.subtract(true, found))) < 0.01 * size


def test_a_rollout_begins_anew_where_an_episode_is_cut(key):
    env = make_motor("PMSM", horizon=20)
    run = rollout(env, make_controller(env), key, 50)
    ended = np.asarray(run.terminated | run.truncated)
    assert list(np.flatnonzero(ended)) == [19, 39]
    same = np.all(np.asarray(run.next_obs[:-1] == run.obs[1:]), axis=1)
    np.testing.assert_array_equal(same, ~ended[:-1])
    expected = run.next_obs[:, [5, 6]] - run.obs[:, -2:]
    np.testing.assert_allclose(run.error, expected, atol=1e-6)
    np.testing.assert_allclose(run.reward, -0.25 * np.sum(np.abs(run.error), axis=1), atol=1e-5)


def test_a_rollout_begins_anew_where_an_episode_terminates(key):
    controller = make_controller(make_motor("PermExDc"))  # far too fast for a smaller inductance
    env = make_motor("PermExDc", machine={"l_a": 3e-6})
    run = rollout(env, controller, key, 200)
    ends = np.flatnonzero(run.terminated)
    assert len(ends) > 0
    following = ends[ends < 199] + 1
    np.testing.assert_array_equal(run.obs[following, 2], 0.0)


def test_tasks_reach_the_drive(key):
    env = make_motor("PermExDc")
    task = np.array(env.task_space.default)
    task[env.task_space.names.index("speed")] = 200.0
    run = rollout(env, make_controller(env), key, 5, jnp.asarray(task))
    np.testing.assert_allclose(run.obs[0, 0], 0.5)


@pytest.mark.parametrize(
    "options, kind, names",
    [
        ({"referenced": ("u_sd",)}, None, ["u_sd", "i_sd"]),
        ({"converter": "direct", "supply": "ac3"}, None, ["ac3"]),
    ],
)
def test_references_and_supplies_without_a_controller_are_refused(options, kind, names):
    with pytest.raises(OptionError) as error:
        make_controller(make_motor("PMSM", **options), kind)
    assert all(name in str(error.value) for name in names)


PEERS = {
    ("SeriesDc", "CC"): 0.0455,
    ("ShuntDc", "CC"): 0.0184,
    ("PMSM", "CC"): 0.0199,
    ("SynRM", "CC"): 0.0129,
    ("ShuntDc", "TC"): 0.2002,
    ("ShuntDc", "SC"): 0.2833,
}


@pytest.mark.slow
@pytest.mark.parametrize("family, task", PEERS)
@pytest.mark.parametrize("kind", ["pi", "deadbeat"])
def test_errors_are_at_most_the_originals(family, task, kind, key):
    env = make_motor(family, "Cont", task)
    found = mean_error(env, make_controller(env, kind), key)
    assert found.terminations == 0
    assert found.mean_error <= PEERS[family, task]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["PermExDc", "ExtExDc", "SeriesDc", "ShuntDc"])
@pytest.mark.parametrize("task", ["CC", "TC", "SC"])
def test_hysteresis_keeps_limits(family, task, key):
    env = make_motor(family, "Finite", task)
    assert mean_error(env, make_controller(env, "hysteresis"), key, seeds=4).terminations == 0
