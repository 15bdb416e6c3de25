"""Mechanical loads of drives: shafts, friction, steps, prescribed speeds."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.envs.motors import loads
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.integrators import integrate

from .motor_runs import LOAD, STEPS, exact_params, random_actions, rollout

pytestmark = pytest.mark.usefixtures("double_precision")


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
