"""The parts of a drive one by one: transforms, converters, supplies, references, limits, reward, noise, observations.

Letters: R referenced quantities, T steps.
"""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats
from palaestra.envs.motors import converters, drift, limits, references, supplies, transforms
from palaestra.envs.motors.build import make_motor
from palaestra.envs.motors.families import FAMILIES
from palaestra.envs.motors.layout import Layout
from palaestra.envs.motors.noise import KINDS, add_noise
from palaestra.envs.motors.reward import Reward
from palaestra.envs.motors.transforms import Angle

S = math.sqrt(3) / 2
CLARKE = np.array([[1, -0.5, -0.5], [0, S, -S]]) * 2 / 3
SIX = np.array(
    [[1, -0.5, -0.5, S, -S, 0], [0, S, -S, 0.5, 0.5, -1], [1, -0.5, -0.5, -S, S, 0], [0, -S, S, 0.5, 0.5, -1]]
)
SIGNIFICANT = 0.01  # p value below which a distribution is not the expected one; one seed in a hundred is below


def columns(function, count):
    """The matrix of a linear function of `count` numbers."""
    return np.array([function(*row) for row in np.eye(count)]).T


# Transforms.


def test_clarke_is_the_specifications_matrix_and_its_inverse_restores_phases_without_zero_sequence():
    np.testing.assert_allclose(columns(transforms.clarke, 3), CLARKE, atol=1e-7)
    inverse = columns(transforms.inverse_clarke, 2)
    np.testing.assert_allclose(CLARKE @ inverse, np.eye(2), atol=1e-7)
    np.testing.assert_allclose(inverse @ CLARKE, np.eye(3) - 1 / 3, atol=1e-7)


def test_vector_space_decomposition_is_the_specifications_matrix_and_its_inverse():
    np.testing.assert_allclose(columns(transforms.vector_space, 6), SIX / 3, atol=1e-7)
    zeros = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]])
    expected = np.linalg.inv(np.concatenate([SIX, zeros]) / 3)[:, :4]
    np.testing.assert_allclose(columns(transforms.inverse_vector_space, 4), expected, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.3, 2.0, -3.0, 40.0])
def test_rotations_are_the_specifications_and_undo_each_other(angle):
    turn = Angle.of(jnp.float32(angle))
    c, s = math.cos(angle), math.sin(angle)
    forward = columns(lambda x, y: transforms.rotate(x, y, turn), 2)
    np.testing.assert_allclose(forward, [[c, -s], [s, c]], atol=1e-5)
    np.testing.assert_allclose(columns(lambda x, y: transforms.rotate_back(x, y, turn), 2), forward.T, atol=1e-7)
    assert -math.pi <= float(turn.value) < math.pi
    assert float(jnp.cos(turn.value)) == pytest.approx(c, abs=1e-5)


def test_direction_of_nothing_is_zero_and_differences_add_up():
    nowhere = transforms.direction(jnp.float32(0.0), jnp.float32(0.0))
    assert (float(nowhere.value), float(nowhere.cos), float(nowhere.sin)) == (0.0, 1.0, 0.0)
    one, two = Angle.of(jnp.float32(3.0)), Angle.of(jnp.float32(-3.0))
    between = transforms.difference(one, two)
    assert float(between.value) == pytest.approx(6.0 - 2 * math.pi, abs=1e-6)
    assert (float(between.cos), float(between.sin)) == pytest.approx((math.cos(6.0), math.sin(6.0)), abs=1e-6)


# Converters: (bridge, action, currents) -> (voltages per supply voltage, current drawn), from the tables.


def outputs(bridges, action, currents, finite=False, interlocking=0.0, legs=None, gem=False):
    converter = converters.Converter(bridges, finite, interlocking=interlocking > 0, gem=gem)
    action = jnp.asarray(action, jnp.int32 if finite else jnp.float32)
    wanted = converter.legs_wanted(action) if finite and legs is None else legs or ()
    wanted = tuple(jnp.int32(leg) for leg in wanted)
    currents = tuple(jnp.float32(i) for i in currents)
    voltages, drawn = converter.outputs(action, wanted, currents, interlocking)
    return [float(u) for u in voltages], float(drawn)


@pytest.mark.parametrize("current", [5.0, 0.0, -5.0])
@pytest.mark.parametrize("duty", [0.0, 0.3, 1.0])
def test_averaged_one_and_two_quadrant_converters(duty, current):
    blocked = 1.0 if current < 0 else duty
    assert outputs(("1QC",), [duty], [current]) == (pytest.approx([blocked]), pytest.approx(duty * current))
    assert outputs(("2QC",), [duty], [current]) == (pytest.approx([duty]), pytest.approx(duty * current))
    lock = 0.1
    expected = min(max(duty - np.sign(current) * lock, 0.0), 1.0)
    drawn = (duty + lock * ((current < 0) - duty)) * current
    assert outputs(("2QC",), [duty], [current], interlocking=lock) == (pytest.approx([expected]), pytest.approx(drawn))


@pytest.mark.parametrize("current", [5.0, -5.0])
@pytest.mark.parametrize("action", [-1.0, -0.4, 0.0, 0.7])
def test_averaged_four_quadrant_converter(action, current):
    assert outputs(("4QC",), [action], [current]) == (pytest.approx([action]), pytest.approx(action * current))
    lock, sign = 0.05, np.sign(current)
    first, second = (np.clip(0.5 * (1 + s * action) - s * sign * lock, 0, 1) for s in (1, -1))
    voltages, _ = outputs(("4QC",), [action], [current], interlocking=lock)
    assert voltages == pytest.approx([first - second], abs=1e-6)
    if abs(action) < 0.8:
        assert voltages == pytest.approx([action - 2 * sign * lock], abs=1e-6)
        assert outputs(("4QC",), [action], [current], interlocking=lock, gem=True)[0] == pytest.approx(
            [action], abs=1e-6
        )


def test_averaged_bridge_loses_its_interlocking_against_every_current():
    action, currents, lock = [0.2, -0.4, 0.6], [3.0, -2.0, -1.0], 0.02
    voltages, drawn = outputs(("B6",), action, currents)
    assert voltages == pytest.approx([a / 2 for a in action])
    assert drawn == pytest.approx(sum((1 + a) / 2 * i for a, i in zip(action, currents, strict=True)), rel=1e-5)
    voltages, _ = outputs(("B6",), action, currents, interlocking=lock)
    assert voltages == pytest.approx(
        [a / 2 - np.sign(i) * lock for a, i in zip(action, currents, strict=True)], abs=1e-6
    )


@pytest.mark.parametrize("current", [5.0, -5.0])
def test_finite_one_and_two_quadrant_converters(current):
    down = 1.0 if current < 0 else 0.0
    assert outputs(("1QC",), 0, [current], finite=True) == ([down], 0.0)
    assert outputs(("1QC",), 1, [current], finite=True) == ([1.0], current)
    assert outputs(("2QC",), 0, [current], finite=True) == ([down], min(current, 0.0))
    assert outputs(("2QC",), 1, [current], finite=True) == ([1.0], current)
    assert outputs(("2QC",), 2, [current], finite=True) == ([0.0], 0.0)


@pytest.mark.parametrize("current", [5.0, -5.0])
def test_finite_four_quadrant_converter(current):
    found = [outputs(("4QC",), action, [current], finite=True) for action in range(4)]
    assert found == [([0.0], 0.0), ([1.0], current), ([-1.0], -current), ([0.0], 0.0)]


def test_finite_bridge_has_phase_a_in_its_highest_bit():
    currents = [1.0, 2.0, -4.0]
    for action, bits in enumerate(itertools.product((0, 1), repeat=3)):
        voltages, drawn = outputs(("B6",), action, currents, finite=True)
        assert voltages == [bit - 0.5 for bit in bits]
        assert drawn == sum(bit * i for bit, i in zip(bits, currents, strict=True))


def test_off_legs_follow_their_diodes():
    voltages, drawn = outputs(("B6",), 0, [1.0, -2.0, 0.0], finite=True, legs=(0, 0, 0))
    assert (voltages, drawn) == ([-0.5, 0.5, -0.5], -2.0)


def test_legs_wait_when_they_change_rails_and_only_then():
    off, up, down = (jnp.int32(x) for x in (converters.OFF, converters.UPPER, converters.LOWER))
    for now, want, waits in (
        (up, down, True),
        (down, up, True),
        (up, up, False),
        (off, up, False),
        (down, off, False),
    ):
        (leg,), any_waits = converters.interlock((now,), (want,), 0.1)
        assert bool(any_waits) is waits
        assert int(leg) == (converters.OFF if waits else int(want))
        assert int(converters.interlock((now,), (want,), 0.0)[0][0]) == int(want)


def test_converters_side_by_side_share_actions_and_currents_in_order():
    voltages, drawn = outputs(("B6", "4QC"), [0.2, -0.4, 0.6, 0.5], [1.0, 2.0, -3.0, 10.0])
    assert voltages == pytest.approx([0.1, -0.2, 0.3, 0.5])
    assert drawn == pytest.approx(0.6 * 1 + 0.3 * 2 - 0.8 * 3 + 0.5 * 10, rel=1e-5)
    voltages, _ = outputs(("4QC", "4QC"), [1, 2], [1.0, 1.0], finite=True)
    assert voltages == [1.0, -1.0]


def test_action_spaces_of_converters():
    def space(*bridges, finite=False):
        return converters.Converter(bridges, finite).action_space

    np.testing.assert_array_equal(space("1QC", "4QC").low, [0, -1])
    assert space("B6", "B6").shape == (6,) and space("direct").shape == (0,)
    assert [space(b, finite=True).n for b in ("1QC", "2QC", "4QC", "B6")] == [2, 3, 4, 8]
    np.testing.assert_array_equal(space("B6", "4QC", finite=True).nvec, [8, 4])


def test_unknown_bridges_are_errors():
    with pytest.raises(ValueError, match=r"'3QC'.*B6"):
        converters.Converter(("3QC",), False)
    with pytest.raises(ValueError, match="alone"):
        converters.Converter(("direct", "B6"), False)


# Supplies.

PLANT = supplies.Params(voltage=100.0, resistance=2.0, capacitance=1e-3, frequency=50.0)


def test_an_ideal_supply_droops_over_its_resistance():
    assert supplies.Ideal().voltages((), PLANT, 3.0, 0.0, 1e-4)[1] == (94.0,)


def test_an_rc_supply_takes_one_euler_step_since_it_was_last_asked():
    """`C du/dt = (u_0 - u) / R - i`."""
    state, (voltage,) = supplies.RC().voltages(90.0, PLANT, 3.0, 0.0, 1e-4)
    assert state == voltage == pytest.approx(90.0 + 1e-4 * ((100.0 - 90.0) / 2.0 - 3.0) / 1e-3)
    assert supplies.RC().voltages(90.0, PLANT, 3.0, 0.0, 0.0)[0] == 90.0
    assert float(supplies.RC().initial(jax.random.key(0), PLANT)) == 100.0


def test_alternating_supplies_have_their_amplitude_frequency_and_phases():
    for count, amplitude in ((1, math.sqrt(2)), (3, math.sqrt(2 / 3))):
        supply, phase = supplies.AC(count, 0.4), jnp.float32(0.4)
        for time in (0.0, 0.003):
            _, found = supply.voltages(phase, PLANT, 0.0, time, 0.0)
            shifts = [2 * math.pi / 3 * i for i in range(count)]
            expected = [100 * amplitude * math.sin(100 * math.pi * time + 0.4 + shift) for shift in shifts]
            np.testing.assert_allclose(found, expected, atol=1e-3)
        assert float(supply.initial(jax.random.key(0), PLANT)) == pytest.approx(0.4)


def test_alternating_supplies_start_anywhere():
    keys = jax.random.split(jax.random.key(0), 2000)
    phases = np.asarray(jax.vmap(lambda key: supplies.AC(1).initial(key, PLANT))(keys))
    assert scipy.stats.kstest(phases / (2 * math.pi), "uniform").pvalue > SIGNIFICANT


# References.

SIGNALS = 500


def reference_params(low=-0.6, high=0.6, count=SIGNALS, **kwargs):
    return references.Params(low=jnp.full(count, low), high=jnp.full(count, high), **kwargs)


@functools.cache
def walker(generator, count, preview, steps, tau):
    """(key, params) -> (first state, states over time)."""
    signals = references.References((generator,), count, preview)

    @jax.jit
    def run(key, params):
        first = signals.initial(jax.random.fold_in(key, 0), params, tau)

        def body(state, key):
            after = signals.next(state, key, params, tau)
            return after, after

        return first, jax.lax.scan(body, first, jax.random.split(key, steps))[1]

    return run


def references_over_time(generator, params, steps, count=SIGNALS, preview=0, tau=1e-3, seed=0):
    return walker(generator, count, preview, steps, tau)(jax.random.key(seed), params)


def values_over_time(*args, **kwargs):
    """(T, R) references as seen."""
    first, states = references_over_time(*args, **kwargs)
    return np.concatenate([first.shown[None, 0], states.shown[:, 0]])


@pytest.mark.parametrize("sigma", [1e-3, 1e-2])
@pytest.mark.parametrize("heavy", [False, True])
def test_steps_of_random_walks_have_their_distribution(sigma, heavy):
    """100000 steps away from the margins."""
    params = reference_params(sigma_low=sigma, sigma_high=sigma)
    values = values_over_time(references.Walk(heavy), params, 220)
    steps, inside = np.diff(values, axis=0), np.abs(values) < 0.6
    steps = steps[inside[1:] & inside[:-1] & (np.abs(values[:-1]) < 0.6 - 6 * sigma)][:100_000]
    assert len(steps) > 90_000
    expected = scipy.stats.laplace if heavy else scipy.stats.norm
    assert scipy.stats.kstest(steps, expected(0, sigma).cdf).pvalue > SIGNIFICANT


def test_random_walks_start_anywhere_and_their_steps_are_log_uniform_in_size():
    params = reference_params(count=20_000, sigma_low=1e-4, sigma_high=1e-1)
    first, _ = references_over_time(references.Walk(), params, 1, count=20_000)
    sizes = np.log10(np.asarray(first.generators[0].sigma))
    assert scipy.stats.kstest(sizes, scipy.stats.uniform(-4, 3).cdf).pvalue > SIGNIFICANT
    params = reference_params(count=20_000, sigma_low=1e-6, sigma_high=1e-6)
    values = values_over_time(references.Walk(), params, 1, count=20_000, seed=1)
    assert scipy.stats.kstest(values[0], scipy.stats.uniform(-0.6, 1.2).cdf).pvalue > SIGNIFICANT


@pytest.mark.parametrize("name", ["wiener", "sinus", "step_and_hold", "band_limited"])
def test_sub_episodes_last_500_to_1999_steps(name):
    params = reference_params(count=40)
    _, states = references_over_time(references.GENERATORS[name], params, 20_000, count=40)
    left = np.asarray(states.generators[0].left)
    begins = np.argwhere(left[1:] != left[:-1] - 1)
    lengths = np.array([left[t + 1, r] + 1 for t, r in begins])
    assert lengths.min() >= 500 and lengths.max() < 2000
    starts = {}
    for (t, r), length in zip(begins, lengths, strict=True):
        assert starts.get(r, t) == t, "a sub-episode lasts as long as was drawn"
        starts[r] = t + length
    # Long sub-episodes are cut off by the end of the recording; those that begin early are not.
    early = lengths[begins[:, 0] < 15_000]
    assert scipy.stats.kstest(early, scipy.stats.uniform(500, 1500).cdf).pvalue > SIGNIFICANT


@pytest.mark.parametrize("name", references.GENERATORS)
@pytest.mark.parametrize("low, high", [(-0.6, 0.6), (0.0, 0.8), (-0.2, 0.9)])
def test_references_never_leave_their_margins(name, low, high):
    params = reference_params(low, high, count=64, sigma_low=0.05, sigma_high=0.2, length_low=20.0, length_high=80.0)
    values = values_over_time(references.GENERATORS[name], params, 2000, count=64)
    slack = 1e-6  # of float32
    assert values.min() >= low - slack and values.max() <= high + slack
    if name not in ("zero", "constant"):
        assert values.max() > high - 0.1 * (high - low), "the range is used"
        assert values.min() < low + 0.1 * (high - low)


def fit(wave, times, frequency):
    """Least-squares amplitude of a sinusoid in a signal."""
    basis = np.stack(
        [np.sin(2 * np.pi * frequency * times), np.cos(2 * np.pi * frequency * times), np.ones_like(times)], 1
    )
    a, b, _ = np.linalg.lstsq(basis, wave, rcond=None)[0]
    return math.hypot(a, b)


def test_waves_have_their_form():
    """Values of one period at a known phase, amplitude 1, offset 0."""
    cycle = jnp.arange(8) / 8
    quarter = jnp.float32(0.25)
    expected = {
        "sinus": np.sin(2 * np.pi * np.arange(8) / 8),
        "triangle": [-1, 0, 1, 2 / 3, 1 / 3, 0, -1 / 3, -2 / 3],
        "sawtooth": np.arange(8) / 4 - 1,
        "step": [-1, -1, 1, 1, 1, 1, 1, 1],
    }
    for form, values in expected.items():
        np.testing.assert_allclose(references.WAVES[form](cycle, quarter), values, atol=1e-6)


def test_waves_run_at_the_frequency_amplitude_and_offset_drawn():
    params = reference_params(-0.8, 0.4, count=50, length_low=1e4, length_high=2e4)
    first, states = references_over_time(references.Wave("sinus"), params, 1000, count=50)
    state, values = first.generators[0], np.asarray(states.shown[:, 0])
    times = 1e-3 * np.arange(1, 1001)
    for r in range(50):
        frequency, amplitude = float(state.frequency[r]), float(state.amplitude[r])
        assert 1 <= frequency < 10 and 0 <= amplitude <= 0.6
        assert fit(values[:, r], times, frequency) == pytest.approx(amplitude, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("form", ["sinus", "triangle", "sawtooth", "step"])
def test_offsets_keep_one_sided_waves_inside_but_in_the_gem_form(form):
    params = reference_params(0.0, 0.8, count=4000)
    for gem in (False, True):
        first, _ = references_over_time(references.Wave(form, gem=gem), params, 1, count=4000)
        assert float(first.generators[0].offset.min()) >= 0.0
        lowest = np.asarray(first.generators[0].offset - first.generators[0].amplitude)
        cut_off = np.mean(lowest < -1e-6)
        assert cut_off == 0 if not gem or form == "step" else cut_off > 0.1


def test_band_limited_noise_has_its_spectrum_and_deviation():
    """`|H|^2` of two equal low passes, normalised to deviation 1, in bins over two decades."""
    corner, tau, count = 20.0, 1e-3, 100
    wide = reference_params(count=count, frequency_low=corner, frequency_high=corner)
    _, states = references_over_time(references.BandLimited(), wide, 20_000, count=count, tau=tau)
    noise = np.asarray(states.generators[0].second)[1000:]
    assert noise.std() == pytest.approx(1.0, rel=0.02)
    frequencies, density = scipy.signal.welch(noise, 1 / tau, nperseg=2048, axis=0)
    density = density.mean(1)
    keep = math.exp(-2 * math.pi * tau * corner)
    gain = ((1 - keep) / np.abs(1 - keep * np.exp(-2j * np.pi * frequencies * tau))) ** 4
    expected = gain / (gain[1:].sum() * frequencies[1])
    chosen = (frequencies > 2) & (frequencies < 200)
    np.testing.assert_allclose(density[chosen], expected[chosen], rtol=0.25)
    values = np.asarray(states.shown[1000:, 0])
    inside = np.abs(noise) < 1.99
    np.testing.assert_allclose(values[inside], 0.25 * 1.2 * noise[inside], atol=1e-5)


@pytest.mark.parametrize("name", ["wiener", "sinus", "switched"])
def test_preview_shows_what_comes(name):
    params = reference_params(count=3)
    first, states = references_over_time(references.GENERATORS[name], params, 100, count=3, preview=4)
    shown = np.concatenate([first.shown[None], states.shown])
    for ahead in range(1, 5):
        np.testing.assert_array_equal(shown[:-ahead, ahead], shown[ahead:, 0])


def test_switched_references_take_turns_hold_and_continue():
    parts = (references.Wave("sinus"), references.Walk(), references.StepAndHold())
    generator = references.Switched(parts, (0.2, 0.5, 0.3), (20, 60))
    params = reference_params(count=100, sigma_low=1e-3, sigma_high=1e-3)
    _, states = references_over_time(generator, params, 4000, count=100)
    state = states.generators[0]
    which, left, values = (np.asarray(x) for x in (state.which, state.left, states.shown[:, 0]))
    begins = [(t + 1, r) for t, r in np.argwhere(left[1:] != left[:-1] - 1)]
    lengths = np.array([left[t, r] + 1 for t, r in begins])
    assert (lengths.min(), lengths.max()) == (20, 60)
    shares = np.bincount([which[t, r] for t, r in begins], minlength=3) / len(begins)
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.3], atol=0.03)
    to_walk = [(t, r) for t, r in begins if which[t, r] == 1]
    jumps = [abs(values[t, r] - values[t - 1, r]) for t, r in to_walk]
    assert max(jumps) < 6e-3, "a random walk goes on from where the reference was"


def test_constant_references_and_several_generators_at_once():
    signals = references.References((references.Constant(0.3), references.Walk()), 2)
    params = reference_params(count=2)
    state = signals.initial(jax.random.key(0), params, 1e-4)
    for i in range(5):
        state = signals.next(state, jax.random.key(i), params, 1e-4)
        assert float(state.shown[0, 0]) == pytest.approx(0.3)
    assert abs(float(state.shown[0, 1])) <= 0.6


def test_references_check_their_numbers():
    with pytest.raises(ValueError, match="2 reference generators; expected 1 or 3"):
        references.References((references.Walk(), references.Walk()), 3)
    with pytest.raises(ValueError, match="preview=-1"):
        references.References((references.Walk(),), 1, -1)
    with pytest.raises(ValueError, match="'zigzag'"):
        references.Wave("zigzag")
    with pytest.raises(ValueError, match="sum to 1"):
        references.Switched((references.Walk(), references.Walk()), (0.5, 0.6))


# Limits and reward.

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


# Noise.


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


# Observations.

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


# Heating.


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
