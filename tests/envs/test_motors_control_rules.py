"""What controllers of drives compute: tuning rules, operating points, predicted switching states."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.control import gains, make_controller
from palaestra.envs.motors.control.operation import best_direct, least_current, weakened
from palaestra.envs.motors.control.plant import Situation
from palaestra.envs.motors.machines.synchronous import Stator
from palaestra.envs.motors.transforms import Angle

from .motor_play import held

MAGNET, SALIENCY, L_D, L_Q, LIMIT = 66e-3, 0.37e-3 - 1.2e-3, 0.37e-3, 1.2e-3, 380.0  # the PMSM


def test_the_speed_loop_follows_the_symmetrical_optimum():
    inertia, delay, spread = 0.04, 3e-4, 2.0
    k_p, k_i = gains.speed_gains(inertia, delay, spread)
    assert k_p == pytest.approx(inertia / (spread * delay))
    assert k_i == pytest.approx(k_p / (spread**2 * delay))


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
