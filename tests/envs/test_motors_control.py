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
from palaestra.envs.motors.control.operation import best_direct, least_current, weakened
from palaestra.envs.motors.control.plant import Situation
from palaestra.envs.motors.families import FAMILIES
from palaestra.envs.motors.machines.synchronous import Stator
from palaestra.envs.motors.references import Constant
from palaestra.envs.motors.transforms import Angle

STEPS = 300
SEEDS = 4
MAGNET, SALIENCY, L_D, L_Q, LIMIT = 66e-3, 0.37e-3 - 1.2e-3, 0.37e-3, 1.2e-3, 380.0  # the PMSM
CONT = [(family, task) for family in FAMILIES for task in ("CC", "TC", "SC")]


@functools.cache
def controlled(family, action, task, kind=None, **options):
    env = make_motor(family, action, task, **options)
    return env, make_controller(env, kind)


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


@pytest.mark.parametrize("dead_time", [0, 1, 2])
def test_a_delayed_rotor_voltage_points_where_it_takes_effect(dead_time):
    """At constant speed deadbeat control is exact, whatever the delay, only if the frame is that of the right period."""
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


def held(family, task="CC", value=0.3, action="Cont", **options):
    """A drive whose references stay at `value`."""
    return make_motor(family, action, task, reference=Constant(value), **options)


def test_current_gains_are_the_magnitude_optimum():
    controller = make_controller(make_motor("PMSM"))
    np.testing.assert_allclose(controller.inner.gains.proportional, [[0.37e-3 / 2e-4, 0], [0, 1.2e-3 / 2e-4]])
    np.testing.assert_allclose(controller.inner.gains.integral, [18e-3 / 2e-4] * 2)


def test_dead_time_lengthens_the_sum_of_delays():
    controller = make_controller(make_motor("PermExDc", dead_time=1))
    np.testing.assert_allclose(controller.inner.gains.proportional, [[19e-6 / (2 * 1.5e-4)]])


def test_symmetrical_optimum_has_a_spread_of_four():
    controller = make_controller(make_motor("PermExDc"), tuning="symmetrical")
    np.testing.assert_allclose(controller.inner.gains.proportional, [[19e-6 / 4e-4]])
    np.testing.assert_allclose(controller.inner.gains.integral, [19e-6 / 4e-4 / (16 * 1e-4)])


def test_excited_machine_couples_its_axes():
    gains = make_controller(make_motor("EESM")).inner.gains
    expected = np.array([[1.66e-3, 0, 1.589e-3], [0, 0.35e-3, 0], [1.589e-3, 0, 1.74e-3]]) / 2e-4
    np.testing.assert_allclose(gains.proportional, expected)


@pytest.mark.parametrize("flux, saliency", [(MAGNET, SALIENCY), (0.0, 6e-3), (MAGNET, 0.0), (MAGNET, 0.5e-3)])
def test_no_neighbour_makes_the_torque_with_less_current(flux, saliency):
    effort = jnp.linspace(0.02, 0.9, 7) * (flux + abs(saliency) * 100.0) * 100.0
    i_d, i_q = jax.jit(jax.vmap(lambda e: least_current(e, flux, saliency, 1e3)))(effort)
    np.testing.assert_allclose((flux + saliency * i_d) * i_q, effort, rtol=1e-4)
    for step in (-1.0, 1.0):
        beside = np.asarray(i_d, np.float64) + step
        needed = np.asarray(effort) / (flux + saliency * beside)
        assert np.all(np.hypot(beside, needed)[needed > 0] > np.hypot(i_d, i_q)[needed > 0])


def test_reluctance_machine_divides_its_current_equally():
    i_d, i_q = least_current(jnp.asarray(0.3), 0.0, 6e-3, 18.0)
    np.testing.assert_allclose(i_d, i_q, rtol=1e-5)


def test_current_keeps_its_limit_when_the_torque_asks_for_more():
    i_d, i_q = least_current(jnp.asarray(1e6), MAGNET, SALIENCY, LIMIT)
    np.testing.assert_allclose(np.hypot(i_d, i_q), LIMIT, rtol=1e-5)
    np.testing.assert_allclose(i_d, best_direct(MAGNET, SALIENCY, LIMIT), rtol=1e-5)


@pytest.mark.parametrize("most_flux", [0.25, 0.12, 0.05])
def test_field_weakening_finds_the_largest_torque_of_a_grid(most_flux):
    start = least_current(jnp.asarray(1e6), MAGNET, SALIENCY, LIMIT)
    i_d, i_q = weakened(jnp.asarray(1e6), start, jnp.asarray(most_flux), MAGNET, L_D, L_Q, LIMIT)
    assert np.hypot(MAGNET + L_D * i_d, L_Q * i_q) <= most_flux * (1 + 1e-4)
    d, q = np.meshgrid(np.linspace(-LIMIT, 0, 801), np.linspace(0, LIMIT, 801))
    fits = (np.hypot(MAGNET + L_D * d, L_Q * q) <= most_flux) & (np.hypot(d, q) <= LIMIT)
    best = np.max(np.where(fits, (MAGNET + SALIENCY * d) * q, 0.0))
    np.testing.assert_allclose((MAGNET + SALIENCY * i_d) * i_q, best, rtol=0.02)


def test_field_weakening_keeps_a_torque_that_the_voltage_allows():
    effort = jnp.asarray(15.0)
    start = least_current(effort, MAGNET, SALIENCY, LIMIT)
    i_d, i_q = weakened(effort, start, jnp.asarray(0.1), MAGNET, L_D, L_Q, LIMIT)
    assert i_d < start[0]
    np.testing.assert_allclose((MAGNET + SALIENCY * i_d) * i_q, effort, rtol=1e-3)


def test_excited_machine_takes_the_currents_of_least_loss():
    plant = make_controller(make_motor("EESM", "Cont", "TC")).plant
    zero = jnp.zeros(())
    now = Situation(x=plant.machine.State(zero, zero, zero), omega=zero, angle=Angle.of(zero), u_sup=jnp.asarray(420.0))
    (i_d, i_q, i_e), made = plant.operate(jnp.asarray(60.0), now)
    np.testing.assert_allclose(made, 60.0, rtol=1e-5)
    other_d, other_e = np.random.default_rng(0).uniform(0.5, 1.5, (2, 500)) * np.array([[i_d], [i_e]])
    other_q = 60.0 / (4.5 * (1.589e-3 * other_e + 1.31e-3 * other_d))

    def loss(d, q, e):
        return 15.55e-3 * (d**2 + q**2) + 7.2e-3 * e**2

    assert np.all(loss(other_d, other_q, other_e) >= loss(i_d, i_q, i_e) * (1 - 1e-6))


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


def numpy_step(i, angle, omega, phases, tau, substeps=200):
    """PMSM currents after a period, by many small midpoint steps."""
    p, l_d, l_q, r_s, psi = 3.0, 0.37e-3, 1.2e-3, 18e-3, 66e-3
    alpha, beta = (2 * phases[0] - phases[1] - phases[2]) / 3, (phases[1] - phases[2]) / np.sqrt(3)

    def slope(i, angle):
        u_d, u_q = alpha * np.cos(angle) + beta * np.sin(angle), beta * np.cos(angle) - alpha * np.sin(angle)
        speed = p * omega
        return np.array(
            [(u_d - r_s * i[0] + speed * l_q * i[1]) / l_d, (u_q - r_s * i[1] - speed * (l_d * i[0] + psi)) / l_q]
        )

    dt = tau / substeps
    for n in range(substeps):
        now = angle + p * omega * dt * n
        middle = i + 0.5 * dt * slope(i, now)
        i = i + dt * slope(middle, now + 0.5 * p * omega * dt)
    return i


def test_predictive_control_picks_the_best_of_all_switching_states():
    env = make_motor("PMSM", "Finite", "CC", tau=1e-4)
    inner = make_controller(env).inner
    choose = jax.jit(lambda target, now: inner(jnp.zeros((), jnp.int32), target, now)[1])
    rng = np.random.default_rng(0)
    chosen = set()
    for _ in range(12):
        i, target = rng.uniform(-150, 150, (2, 2))
        angle, omega = rng.uniform(-3, 3), rng.uniform(-300, 300)
        costs = []
        for bits in itertools.product((0, 1), repeat=3):
            reached = numpy_step(i, angle, omega, 420.0 * (np.array(bits) - 0.5), 1e-4)
            costs.append(np.sum(((target - reached) / 400.0) ** 2))
        x = Stator(*jnp.asarray(i, jnp.float32))
        now = Situation(x, jnp.float32(omega), Angle.of(jnp.float32(angle)), jnp.float32(420.0))
        action = int(choose(tuple(jnp.asarray(target, jnp.float32)), now))
        assert costs[action] == pytest.approx(min(costs), rel=1e-3, abs=1e-9)
        chosen.add(action)
    assert len(chosen) > 2


def test_ties_go_to_the_state_with_fewer_changes():
    env = held("PermExDc", action="Finite")
    inner = make_controller(env).inner
    zero = jnp.zeros(())
    now = Situation(x=inner.plant.machine.State(i=zero), omega=zero, angle=None, u_sup=jnp.asarray(60.0))
    choose = jax.jit(lambda last: inner(last, (zero,), now)[1])
    assert [int(choose(jnp.int32(last))) for last in (0, 1, 3)] == [0, 0, 3]


def test_changes_cost_what_they_are_said_to_cost():
    env = held("PermExDc", action="Finite", value=0.4)
    still = make_controller(env, switching=1e3).inner
    zero = jnp.zeros(())
    now = Situation(x=still.plant.machine.State(i=zero), omega=zero, angle=None, u_sup=jnp.asarray(60.0))
    assert int(still(jnp.int32(3), (jnp.asarray(80.0),), now)[1]) == 3


def test_a_horizon_of_two_looks_at_all_pairs():
    env = held("PermExDc", action="Finite")
    inner = make_controller(env, horizon=2).inner
    now = Situation(
        x=inner.plant.machine.State(i=jnp.asarray(0.0)), omega=jnp.zeros(()), angle=None, u_sup=jnp.asarray(60.0)
    )
    target = (jnp.asarray(50.0),)
    costs = np.asarray(inner.costs(now, target, jnp.int32(0), 2))

    def after(i, share):
        decay = np.exp(-0.016 / 19e-6 * 1e-5)
        return i * decay + (1 - decay) * 60.0 * share / 0.016

    shares = (0, 1, -1, 0)
    for k, first in enumerate(shares):
        one = after(0.0, first)
        best = min(((50.0 - one) / 210) ** 2 + ((50.0 - after(one, second)) / 210) ** 2 for second in shares)
        np.testing.assert_allclose(costs[k], best, rtol=1e-4)


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
