"""What is made of a drive's state: limits, reward, noise, observation, warming."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats
from palaestra.envs.motors import drift, limits
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES
from palaestra.envs.motors.layout import Layout
from palaestra.envs.motors.noise import KINDS, add_noise
from palaestra.envs.motors.reward import Reward

SIGNIFICANT = 0.01  # p value below which a distribution is not the expected one; one seed in a hundred is below
LAYOUT = Layout(("omega", "i_sd", "i_sq"), (100.0, 10.0, 10.0), (80.0, 6.0, 6.0), (0.0, -1.0, -1.0), (2.0, 2.0, 2.0))


@pytest.mark.parametrize(
    "limit, measured, degree",
    [
        (limits.Limit(("i_sd",)), [0, -0.9, 0], 0.0),
        (limits.Limit(("i_sd",)), [0, -1.0, 0], 0.0),
        (limits.Limit(("i_sd",)), [0, -1.1, 0], 1.0),
        (limits.Limit(("i_sd", "i_sq")), [3, 0.6, 0.79], 0.0),
        (limits.Limit(("i_sd", "i_sq")), [0, 0.6, -0.81], 1.0),
        (limits.Limit(("i_sd",), soft=0.8), [0, 0.7, 0], 0.0),
        (limits.Limit(("i_sd",), soft=0.8), [0, 0.95, 0], 0.75),
        (limits.Limit(("i_sd",), soft=0.8), [0, 1.5, 0], 1.0),
        (limits.Limit(("i_sd", "i_sq"), soft=0.5), [0, 0.6, 0.45], 0.5),
    ],
)
def test_limits_are_violated_by_degrees(limit, measured, degree):
    assert float(limit.degree(jnp.asarray(measured, jnp.float32), LAYOUT)) == pytest.approx(degree, abs=1e-5)


def test_limits_name_themselves_and_check_their_share():
    assert limits.Limit(("i",)).label == "|i| above its limit"
    assert limits.Limit(("i_sd", "i_sq")).label == "|(i_sd, i_sq)| above its limit"
    with pytest.raises(ValueError, match=r"soft=1\.5"):
        limits.Limit(("i",), soft=1.5)


def test_what_is_no_number_counts_as_divergence():
    measured = limits.saturate(jnp.asarray([jnp.nan, 1e9, -jnp.inf]))
    np.testing.assert_array_equal(measured, [10.0, 10.0, -10.0])
    assert float(limits.degrees((), measured, LAYOUT)[-1]) == 1.0
    assert float(limits.degrees((), jnp.asarray([0.0, 9.9, 0.0]), LAYOUT)[-1]) == 0.0


def test_reward_is_the_weighted_sum_of_errors():
    """`-(0.3 |0.5 - 0.1| / 1 + 0.7 (|-0.2 - 0.4| / 2)^2)`."""
    reward = Reward((0, 1), (1.0, 2.0), (0.3, 0.7), (1.0, 2.0))
    measured, reference = jnp.asarray([0.5, -0.2, 0.0]), jnp.asarray([0.1, 0.4])
    assert float(reward(measured, reference, jnp.zeros(2))) == pytest.approx(-(0.3 * 0.4 + 0.7 * 0.09), rel=1e-6)


def test_a_violation_costs_what_the_worst_error_would_for_ever():
    reward = Reward((1,), (2.0,), (1.0,), (1.0,))
    measured, reference = jnp.asarray([0.0, 1.0, 0.0]), jnp.asarray([0.0])
    assert reward.violation == pytest.approx(-10.0)
    assert float(reward(measured, reference, jnp.asarray([1.0]))) == pytest.approx(-10.0)
    half = float(reward(measured, reference, jnp.asarray([0.5, 0.25])))
    assert half == pytest.approx(0.5 * -0.5 + 0.5 * -10.0), "the largest degree counts"
    product = dataclasses.replace(reward, product=True)
    share = 1 - 0.5 * 0.75
    assert float(product(measured, reference, jnp.asarray([0.5, 0.25]))) == pytest.approx(
        (1 - share) * -0.5 - share * 10
    )


def test_an_offset_makes_rewards_positive_and_takes_the_violations_away():
    reward = Reward((1,), (2.0,), (1.0,), (1.0,), offset=1.0)
    assert reward.violation == 0.0
    assert float(reward(jnp.asarray([0.0, 0.5, 0.0]), jnp.asarray([0.0]), jnp.zeros(1))) == pytest.approx(0.75)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_its_distribution_on_currents_and_angle_alone(kind):
    layout = Layout(("omega", "i_sd", "epsilon"), (1.0,) * 3, (1.0,) * 3, (-1.0,) * 3, (2.0,) * 3)
    measured = jnp.asarray([0.3, -0.2, 0.1])
    keys = jax.random.split(jax.random.key(0), 20_000)
    noisy = np.asarray(jax.vmap(lambda key: add_noise(key, measured, layout, kind, 0.02, 0.05))(keys))
    np.testing.assert_array_equal(noisy[:, 0], np.float32(0.3))
    spreads = {"normal": scipy.stats.norm, "uniform": scipy.stats.uniform, "laplace": scipy.stats.laplace}
    for column, center, deviation in ((1, -0.2, 0.02), (2, 0.1, 0.05 / math.pi)):
        scale = {"normal": 1.0, "uniform": 12**0.5, "laplace": 2**-0.5}[kind]
        loc = -0.5 * scale if kind == "uniform" else 0.0
        expected = spreads[kind](loc=loc, scale=scale).cdf
        assert scipy.stats.kstest((noisy[:, column] - center) / deviation, expected).pvalue > SIGNIFICANT
    assert abs(np.corrcoef(noisy[:, 1], noisy[:, 2])[0, 1]) < 0.03


def test_a_noisy_angle_stays_within_a_turn():
    layout = Layout(("epsilon",), (math.pi,), (math.pi,), (-1.0,), (1.0,))
    keys = jax.random.split(jax.random.key(0), 1000)
    noisy = jax.vmap(lambda key: add_noise(key, jnp.asarray([0.99]), layout, "normal", 0.0, 0.1))(keys)
    assert float(jnp.max(noisy)) < 1.0 and float(jnp.min(noisy)) >= -1.0 and float(jnp.min(noisy)) < -0.9


ORDER = {
    "PermExDc": "omega torque i u u_sup",
    "ExtExDc": "omega torque i_a i_e u_a u_e u_sup",
    "SeriesDc": "omega torque i u u_sup",
    "ShuntDc": "omega torque i_a i_e u u_sup i_sum",
    "PMSM": "omega torque i_a i_b i_c i_sd i_sq u_a u_b u_c u_sd u_sq epsilon u_sup",
    "SynRM": "omega torque i_a i_b i_c i_sd i_sq u_a u_b u_c u_sd u_sq epsilon u_sup",
    "EESM": "omega torque i_a i_b i_c i_sd i_sq i_e u_a u_b u_c u_sd u_sq u_e epsilon u_sup",
    "SCIM": "omega torque i_sa i_sb i_sc i_sd i_sq u_sa u_sb u_sc u_sd u_sq epsilon u_sup",
    "DFIM": "omega torque i_sa i_sb i_sc i_sd i_sq i_ra i_rb i_rc i_rd i_rq "
    "u_sa u_sb u_sc u_sd u_sq u_ra u_rb u_rc u_rd u_rq epsilon u_sup",
    "SIXPMSM": "omega torque i_a1 i_b1 i_c1 i_a2 i_b2 i_c2 i_sd i_sq i_sx i_sy "
    "u_a1 u_b1 u_c1 u_a2 u_b2 u_c2 u_sd u_sq u_sx u_sy epsilon u_sup",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_measurements_come_in_the_specifications_order_then_references(family):
    env = make_motor(family)
    wanted = [*ORDER[family].split(), *(f"{name}*" for name in FAMILIES[family].currents)]
    assert list(env.observed.names) == wanted
    assert env.observation_space.shape == (len(wanted),)


OBSERVED = {
    "cosine and sine": {"angle": "cos_sin"},
    "preview": {"preview": 2},
    "previous action": {"previous_action": True},
    "flux observer": {"flux_observer": True},
    "as a tuple": {"gem_obs": True},
    "everything": {"angle": "cos_sin", "preview": 3, "previous_action": True, "flux_observer": True},
    "everything in dq": {"angle": "cos_sin", "preview": 1, "previous_action": True, "control": "dq"},
}
SHOWN = {
    "cosine and sine": ["u_sq", "cos(epsilon)", "sin(epsilon)", "u_sup", "i_sd*", "i_sq*"],
    "preview": ["u_sup", "i_sd*", "i_sq*", "i_sd*[+1]", "i_sq*[+1]", "i_sd*[+2]", "i_sq*[+2]"],
    "previous action": ["i_sd*", "i_sq*", "action[0]", "action[1]", "action[2]"],
    "flux observer": ["u_sup", "psi_abs", "psi_angle", "i_sd*", "i_sq*"],
    "as a tuple": ["epsilon", "u_sup", "i_sd*", "i_sq*"],
    "everything": ["sin(epsilon)", "u_sup", "psi_abs", "psi_angle"],
    "everything in dq": ["i_sd*[+1]", "i_sq*[+1]", "action[0]", "action[1]"],
}


@pytest.mark.parametrize("option", OBSERVED)
def test_observations_are_laid_out_as_named_and_lie_in_their_space(option):
    env = make_motor("SCIM", **OBSERVED[option])
    names = list(env.observed.names)
    place = names.index(SHOWN[option][0])
    assert names[place : place + len(SHOWN[option])] == SHOWN[option]
    params, rng = env.default_params, np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (200, *env.action_space.shape)).astype(np.float32)

    def body(state, action):
        state = env.transition(state, action, jax.random.key(0), params)
        return state, (env.observation(state, jax.random.key(0)), state.angle.value)

    start = env.initial(jax.random.key(0), params)
    _, (seen, angle) = jax.jit(lambda s: jax.lax.scan(body, s, actions))(start)
    flat = np.concatenate(seen, 1) if isinstance(seen, tuple) else np.asarray(seen)
    assert flat.shape[1] == len(names)
    for t in (0, 50, -1):
        row = jax.tree.map(lambda x, t=t: np.asarray(x[t]), seen)
        assert env.observation_space.contains(row)
    if "action[0]" in names:
        np.testing.assert_allclose(flat[:, names.index("action[0]")], actions[:, 0], atol=1e-6)
    if "cos(epsilon)" in names:
        i = names.index("cos(epsilon)")
        np.testing.assert_allclose(flat[:, i : i + 2], np.stack([np.cos(angle), np.sin(angle)], 1), atol=1e-5)


def test_measurements_beyond_the_space_are_clipped():
    env = make_motor("PMSM")
    far = jnp.full(len(env.layout.names), 9.0)
    shown = env.observed.show(far, jnp.zeros((1, 2)), None)
    assert env.observation_space.contains(np.asarray(shown))


def test_the_flux_observer_finds_the_flux():
    """The estimate starts at zero as the machine does and follows it: Euler steps of 0.1 ms against a 0.1 s lag."""
    env = make_motor("SCIM", flux_observer=True, watched=())
    params, actions = env.default_params, np.tile(np.float32([0.3, -0.1, -0.2]), (2000, 1))

    def body(state, action):
        state = env.transition(state, action, jax.random.key(0), params)
        return state, (state.x.psi_ralpha, state.x.psi_rbeta, state.flux)

    start = env.initial(jax.random.key(0), params)
    _, (alpha, beta, flux) = jax.jit(lambda s: jax.lax.scan(body, s, actions))(start)
    error = np.hypot(alpha - flux[0], beta - flux[1])
    assert error.max() < 0.02 * np.hypot(alpha, beta).max()


def test_copper_and_magnets_change_with_temperature():
    assert float(drift.resistance_factor(20.0)) == 1.0
    assert float(drift.resistance_factor(120.0)) == pytest.approx(1.393)
    env = make_motor("PMSM")
    space = env.task_space
    hot = env.task_params(jnp.asarray(space.from_dict({"winding_temperature": 120.0, "magnet_temperature": 120.0})))
    assert float(hot.machine.r_s) == pytest.approx(18e-3 * 1.393, rel=1e-5)
    assert float(hot.machine.psi_p) == pytest.approx(66e-3 * 0.89, rel=1e-5)
    assert float(hot.machine.l_d) == pytest.approx(0.37e-3)


def test_windings_warm_with_the_square_of_their_current():
    env = make_motor("SeriesDc", extras=("heating",), start={"i": 97.0}, watched=())
    params = env.task_params(jnp.asarray(env.task_space.from_dict({"heating": 40.0, "winding_temperature": 50.0})))
    state = env.initial(jax.random.key(0), params)
    assert float(state.temperature) == pytest.approx(50.0)
    after = env.transition(state, jnp.asarray([0.5]), jax.random.key(0), params)
    current = float(after.x.i)
    expected = 50.0 + env.tau * 40.0 * (current / 97.0) ** 2
    assert float(after.temperature) == pytest.approx(expected, abs=2e-5)
    warm = drift.warmed(env.machine, params, jnp.float32(100.0))
    ratio = drift.resistance_factor(100.0) / drift.resistance_factor(50.0)
    assert float(warm.r_a / params.machine.r_a) == pytest.approx(ratio, rel=1e-5)


def test_a_warmer_machine_draws_less_current():
    env = make_motor("SeriesDc", extras=("heating",), watched=())
    ends = []
    for rate in (0.0, 50.0):
        params = env.task_params(jnp.asarray(env.task_space.from_dict({"heating": rate, "speed": 0.0})))
        start = env.initial(jax.random.key(0), params)

        def body(state, _, params=params):
            return env.transition(state, jnp.asarray([0.2]), jax.random.key(0), params), None

        ends.append(jax.jit(lambda s, body=body: jax.lax.scan(body, s, length=6000)[0])(start))
    assert float(ends[1].temperature) > 25.0
    assert float(ends[0].x.i) == pytest.approx(0.2 * 60 / 0.064, rel=1e-2)
    factor = float(drift.resistance_factor(ends[1].temperature))
    assert float(ends[1].x.i) < float(ends[0].x.i) / (0.8 * factor + 0.2)
