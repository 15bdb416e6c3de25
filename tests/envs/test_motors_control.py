"""Classical controllers: tuning rules, operating points, prediction, limits, and that they follow."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.errors import OptionError
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.control import gains, make_controller, mean_error, rollout, score
from palaestra.envs.motors.families import FAMILIES

STEPS = 300
SEEDS = 4
THREE_PHASE = ("PMSM", "SynRM", "SCIM")
CONT = [(family, task) for family in FAMILIES for task in ("CC", "TC", "SC")]


@functools.cache
def controlled(family, action, task, kind=None, **options):
    env = make_motor(family, action, task, **options)
    return env, make_controller(env, kind)


@pytest.fixture(autouse=True)
def plain_numerics():
    """Controllers run as in a user's session."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_the_magnitude_optimum_follows_its_formula():
    tuned = gains.magnitude_optimum(((2e-3, 0.0), (0.0, 1e-3)), (0.5, 0.25), 1e-4)
    np.testing.assert_allclose(tuned.proportional, [[2e-3 / 2e-4, 0.0], [0.0, 1e-3 / 2e-4]])
    np.testing.assert_allclose(tuned.integral, [0.5 / 2e-4, 0.25 / 2e-4])


def test_the_delay_is_a_period_or_half_of_it_and_the_dead_time():
    assert gains.delay(1e-4, 0) == pytest.approx(1e-4)
    assert gains.delay(1e-4, 1) == pytest.approx(1.5e-4)
    assert gains.delay(1e-4, 2) == pytest.approx(2.5e-4)


def test_the_speed_loop_follows_the_symmetrical_optimum():
    inertia, delay, spread = 0.04, 3e-4, 2.0
    k_p, k_i = gains.speed_gains(inertia, delay, spread)
    assert k_p == pytest.approx(inertia / (spread * delay))
    assert k_i == pytest.approx(k_p / (spread**2 * delay))


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


@pytest.mark.parametrize("family", ["PermExDc", "PMSM", "SCIM"])
def test_currents_settle_at_a_constant_reference(family):
    env = make_motor(family, "Cont", "CC", reference="step_and_hold")
    run = rollout(env, make_controller(env), jax.random.key(1), 400)
    assert np.abs(np.asarray(run.error[-1])).max() < 2e-3
    assert not np.asarray(run.terminated).any()


def test_deadbeat_reaches_a_feasible_reference_in_a_period():
    env = make_motor("PermExDc", "Cont", "CC", reference="step_and_hold", machine={"l_a": 1e-3})
    run = rollout(env, make_controller(env, "deadbeat"), jax.random.key(3), 60)
    inside = np.abs(np.asarray(run.action[:, 0])) < 1
    assert inside.any() and not inside[0]
    first = int(np.argmax(inside))
    assert abs(float(run.error[first, 0])) < 1e-5 < abs(float(run.error[first - 1, 0]))


def test_an_integrator_does_not_wind_up_at_the_voltage_limit():
    """A reference out of reach for a while, then one within: the current must not overshoot by what was summed up."""
    env = make_motor("PermExDc", "Cont", "CC", machine={"l_a": 2e-3}, reference="step_and_hold")
    run = rollout(env, make_controller(env, "pi"), jax.random.key(0), 400)
    saturated = np.abs(np.asarray(run.action[:, 0])) >= 1
    assert saturated.any()
    sign = np.sign(float(run.error[0, 0]))
    overshoot = np.max(-sign * np.asarray(run.error[:, 0]))
    assert overshoot < 0.1 * abs(float(run.error[0, 0]))


def test_the_predicted_best_switching_state_is_the_best_of_all_tried():
    """The controller's choice leads to the smallest error that any of the eight actions leads to."""
    env, controller = controlled("PMSM", "Finite", "CC")
    params, key = env.default_params, jax.random.key(5)
    state = jax.jit(env.initial)(key, params)
    step = jax.jit(lambda s, a: env.transition(s, a, key, params))
    memory, limit = controller.init(), env.layout.limit("i_sd")
    for _ in range(20):
        target = np.asarray(state.references.shown[0])
        memory, action = controller.act(memory, env.observation(state, key, params))
        after = [step(state, jnp.int32(a)) for a in range(8)]
        errors = [np.sum((np.array([s.x.i_sd, s.x.i_sq]) / limit - target) ** 2) for s in after]
        assert errors[int(action)] <= min(errors) + 1e-6
        state = after[int(action)]


def test_a_torque_is_made_with_less_current_than_by_its_neighbours():
    """Magnet machine: the chosen (i_d, i_q) against others of the same torque."""
    env = make_motor("PMSM", "Cont", "TC", reference="step_and_hold")
    run = rollout(env, make_controller(env), jax.random.key(2), 400)
    layout, sheet = env.layout, env.machine.Params(**dict(env.nominal.machine))
    obs = np.asarray(run.obs[-1])
    i_d, i_q = (obs[layout.index(n)] * layout.limit(n) for n in ("i_sd", "i_sq"))
    torque = 1.5 * sheet.p * (sheet.psi_p + (sheet.l_d - sheet.l_q) * i_d) * i_q
    assert i_d < 0 and abs(torque) > 1
    for other in (0.9 * i_d, 1.1 * i_d, 0.0):
        needed = torque / (1.5 * sheet.p * (sheet.psi_p + (sheet.l_d - sheet.l_q) * other))
        assert np.hypot(i_d, i_q) <= np.hypot(other, needed) * (1 + 1e-4)


def test_compiled_and_plain_actions_agree_and_so_do_batches():
    env, controller = controlled("PMSM", "Cont", "SC")
    obs = jax.vmap(lambda k: env.observation(env.initial(k), k))(jax.random.split(jax.random.key(0), 3))
    memory = controller.init()
    plain = [np.asarray(controller.act(memory, row)[1]) for row in obs]
    compiled = [np.asarray(jax.jit(controller.act)(memory, row)[1]) for row in obs]
    together = np.asarray(jax.vmap(controller.act, (None, 0))(memory, obs)[1])
    np.testing.assert_allclose(plain, compiled, atol=1e-5)
    np.testing.assert_allclose(plain, together, atol=1e-5)


@pytest.mark.parametrize("options", [{"angle": "cos_sin"}, {"control": "dq"}, {"dead_time": 1}])
def test_other_observations_and_actions_are_served(options):
    env = make_motor("PMSM", "Cont", "CC", **options)
    found = mean_error(env, make_controller(env), jax.random.key(0), STEPS, SEEDS)
    assert int(found.terminations) == 0 and float(found.mean_error) < 0.15


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
