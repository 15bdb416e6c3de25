"""Reference generators: distributions, forms, margins, preview.

Letters: R referenced quantities, T steps.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.stats
from palaestra.envs.motors import references

SIGNIFICANT = 0.01  # p value below which a distribution is not the expected one; one seed in a hundred is below
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


def test_kinds_look_through_switched_generators():
    walk, wave, hold = references.Walk(), references.Wave("sinus"), references.StepAndHold()
    signals = references.References((hold, references.Switched((references.Switched((wave, walk)), hold))), 2)
    assert signals.kinds == (hold, wave, walk, hold)
