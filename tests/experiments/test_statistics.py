import math

import numpy as np
import pytest
from palaestra.experiments import statistics
from palaestra.experiments.statistics import Estimate


def column(*values):
    return np.array(values, float)[:, None]


def test_iqm_leaves_out_the_lowest_and_the_highest_quarter():
    assert statistics.iqm(column(100, 1, 2, 3, 4, 5, 6, -50)) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_iqm_of_fewer_than_four_scores_is_their_mean():
    assert statistics.iqm(column(1, 2, 9)) == pytest.approx(4)


def test_iqm_agrees_with_the_trimmed_mean_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for size in (1, 3, 4, 7, 10, 31):
        scores = np.random.default_rng(size).normal(size=(size, 2))
        assert statistics.iqm(scores) == pytest.approx(stats.trim_mean(scores.ravel(), 0.25))


def test_iqm_goes_over_the_last_two_axes_only():
    scores = np.random.default_rng(0).normal(size=(5, 4, 3))
    assert np.allclose(statistics.iqm(scores), [statistics.iqm(s) for s in scores])


def test_bootstrap_draws_within_strata():
    scores = np.array([[0.0, 100.0], [0.0, 100.0]])  # nothing varies inside a stratum
    drawn = statistics.bootstrap(scores, statistics.mean, 50, np.random.default_rng(0))
    assert np.all(drawn == 50.0)


def test_bootstrap_of_two_seeds_draws_each_outcome_as_often_as_it_must():
    drawn = statistics.bootstrap(column(0, 1), statistics.mean, 20_000, np.random.default_rng(0))
    shares = [np.mean(drawn == value) for value in (0.0, 0.5, 1.0)]
    assert np.allclose(shares, [0.25, 0.5, 0.25], atol=0.02)


def test_bootstrap_in_pieces_draws_as_many(monkeypatch):
    monkeypatch.setattr(statistics, "MAX_DRAWN", 7)
    assert len(statistics.bootstrap(column(1, 2, 3), statistics.mean, 10, np.random.default_rng(0))) == 10


def test_interval_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [statistics.estimate(rng.normal(size=30), statistics.mean, resamples=400, seed=i) for i in range(300)]
    share = np.mean([e.low <= 0 <= e.high for e in found])
    assert 0.89 <= share <= 0.98


def test_estimate_is_the_same_each_time():
    scores = np.random.default_rng(0).normal(size=9)
    assert statistics.estimate(scores) == statistics.estimate(scores)


def test_one_seed_has_a_value_and_no_interval():
    found = statistics.estimate(np.array([3.0]))
    assert found.value == 3.0
    assert not found.has_interval
    assert not statistics.estimate_difference(np.array([3.0]), np.array([1.0, 2.0])).has_interval


def test_no_seed_has_no_value():
    assert math.isnan(statistics.estimate(np.zeros(0)).value)


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        statistics.estimate(np.array([1.0, np.nan]))


def test_difference_of_constants_is_certain():
    found = statistics.estimate_difference(np.full(4, 5.0), np.full(3, 2.0))
    assert found == Estimate(3.0, 3.0, 3.0)


def test_curve_estimate_equals_the_estimate_at_each_point_without_scatter():
    centre, low, high = statistics.estimate_curve(np.array([[1.0, 2.0], [1.0, 2.0]]))
    for values in (centre, low, high):
        assert np.array_equal(values, [1.0, 2.0])


def test_curve_of_one_seed_has_no_band():
    centre, low, _ = statistics.estimate_curve(np.array([[1.0, 2.0]]))
    assert np.array_equal(centre, [1.0, 2.0])
    assert np.isnan(low).all()


def test_probability_of_improvement_counts_pairs_and_halves_ties():
    # pairs (3,1) (3,3) (0,1) (0,3): one win, one tie, two losses
    assert statistics.probability_of_improvement([3.0, 0.0], [1.0, 3.0]) == pytest.approx(1.5 / 4)


def test_probability_of_improvement_is_the_mean_over_strata():
    assert statistics.probability_of_improvement([[1.0, 0.0]], [[0.0, 1.0]]) == 0.5
    with pytest.raises(ValueError, match="strata"):
        statistics.probability_of_improvement([[1.0, 0.0]], [[0.0]])


def test_optimality_gap_ignores_what_is_beyond_the_target():
    assert statistics.optimality_gap([0.5, 1.5], target=1.0) == pytest.approx(0.25)


def test_permutation_test_of_separated_triples_is_two_of_twenty():
    assert statistics.permutation_test([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == pytest.approx(2 / 20)


def test_permutation_test_of_equal_groups_is_one():
    assert statistics.permutation_test([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert statistics.permutation_test([1.0, 1.0], [1.0, 1.0]) == 1.0


def test_permutation_test_by_hand():
    # |t| over the 6 ways to choose two of (0, 1, 2, 10): {0,1} 1.23, {0,2} 0.77.., mirrored by their complements.
    assert statistics.permutation_test([0.0, 1.0], [2.0, 10.0]) == pytest.approx(2 / 6)


def test_drawn_permutation_test_agrees_with_the_exact_one(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=7), rng.normal(0.8, 2, size=7)
    exact = statistics.permutation_test(a, b)
    monkeypatch.setattr(statistics, "MAX_EXACT", 0)
    assert statistics.permutation_test(a, b) == pytest.approx(exact, abs=0.02)


def test_permutation_test_agrees_with_welch_on_many_seeds():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 1, 30), rng.normal(0.6, 2, 25)
    assert statistics.permutation_test(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, abs=0.02)


def test_permutation_test_needs_two_seeds_a_side():
    assert math.isnan(statistics.permutation_test([1.0], [2.0, 3.0]))


def test_cvar_is_the_mean_of_the_worst():
    values = np.arange(10.0)
    assert statistics.conditional_value_at_risk(values, 0.2) == 0.5
    assert statistics.conditional_value_at_risk(values, 0.01) == 0.0
    assert statistics.conditional_value_at_risk(values, 1.0) == 4.5
    assert statistics.conditional_value_at_risk(np.arange(100.0), 0.07) == 3.0  # 0.07 * 100 is more than 7 in floats
    with pytest.raises(ValueError, match="worst_share=0"):
        statistics.conditional_value_at_risk(values, 0)


def test_performance_profile_is_the_share_above():
    assert np.allclose(statistics.performance_profile([0.1, 0.5, 0.9], [0.0, 0.5, 1.0]), [1.0, 1 / 3, 0.0])


def test_time_to_threshold_is_the_first_evaluation_that_reaches_it():
    assert statistics.time_to_threshold([10, 20, 30, 40], [0.1, 0.5, 0.2, 0.6], 0.5) == 20
    assert statistics.time_to_threshold([10, 20], [0.1, 0.2], 0.5) == math.inf


def test_area_under_curve_is_the_mean_height_by_trapezoids():
    assert statistics.area_under_curve([0, 1, 3], [0.0, 1.0, 1.0]) == pytest.approx((0.5 + 2.0) / 3)
    assert statistics.area_under_curve([0, 1, 2], [0.0, np.nan, 2.0]) == pytest.approx(1.0)
    assert statistics.area_under_curve([5], [0.3]) == 0.3
    assert math.isnan(statistics.area_under_curve([], []))
