import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.curricula import mixture as mx
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky, _estimate_gaussian_parameters
from threadpoolctl import threadpool_limits

_fit = jax.jit(partial(mx.fit_mixtures, max_iter=100, tol=1e-3), static_argnames="components")
m_step, e_step = jax.jit(mx.m_step), jax.jit(mx.e_step)
factor, inverse_factor = jax.jit(mx.factor), jax.jit(mx.inverse_factor)


def fit(key, data, components, reg_covar=1e-6):
    return _fit(key, jnp.asarray(data, jnp.float32), components=components, reg_covar=reg_covar)


def blobs(seed: int, rows: int = 250, columns: int = 3, clusters: int = 4) -> np.ndarray:
    """Skewed clusters in the unit box, the last column scaled like a small progress."""
    rng = np.random.default_rng(seed)
    centre = rng.random((clusters, columns))
    shape = rng.normal(0, 0.08, (clusters, columns, columns))
    member = rng.integers(0, clusters, rows)
    data = centre[member] + np.einsum("kij,kj->ki", shape[member], rng.normal(size=(rows, columns)))
    data[:, -1] *= 0.1
    return data.astype(np.float32)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 6, 13])
def test_one_em_step_matches_scikit_learn_for_fixed_responsibilities(columns):
    data = blobs(0, 300, columns)
    resp = np.random.default_rng(1).dirichlet(np.ones(4), 300).astype(np.float32)
    reg = 1e-4
    count, mean, covariance = _estimate_gaussian_parameters(
        data.astype(np.float64), resp.astype(np.float64), reg, "full"
    )
    theirs = GaussianMixture(4)
    theirs.weights_, theirs.means_, theirs.covariances_ = count / 300, mean, covariance
    theirs.precisions_cholesky_ = _compute_precision_cholesky(covariance, "full")

    phi = mx.features(jnp.asarray(data))
    ours = m_step(phi, jnp.asarray(resp)[:, None], jnp.ones((1, 4), bool), jnp.full((columns,), reg))
    resp_after, log_likelihood = e_step(phi, ours)

    np.testing.assert_allclose(ours.weight[0], theirs.weights_, atol=1e-4)
    np.testing.assert_allclose(ours.mean[0], theirs.means_, atol=1e-4)
    np.testing.assert_allclose(ours.covariance[0], theirs.covariances_, atol=1e-4)
    tolerance = 1e-4 if columns <= mx.UNROLL else 2e-3  # the library factorisation gets a relative jitter of 1e-5
    np.testing.assert_allclose(resp_after[:, 0], theirs.predict_proba(data.astype(np.float64)), atol=tolerance)
    np.testing.assert_allclose(log_likelihood[0], theirs.score(data.astype(np.float64)), atol=tolerance)


def test_masked_components_take_no_part():
    data = blobs(2)
    resp = jax.nn.one_hot(jnp.arange(250) % 3, 5)
    mask = jnp.arange(5)[None, :] < 3
    phi = mx.features(jnp.asarray(data))
    wide = m_step(phi, resp[:, None], mask, jnp.full((3,), 1e-6))
    tight = m_step(phi, resp[:, None, :3], mask[:, :3], jnp.full((3,), 1e-6))
    resp_wide, likelihood_wide = e_step(phi, wide)
    resp_tight, likelihood_tight = e_step(phi, tight)
    np.testing.assert_array_equal(resp_wide[..., 3:], 0.0)
    np.testing.assert_allclose(resp_wide[..., :3], resp_tight, atol=1e-5)
    np.testing.assert_allclose(likelihood_wide, likelihood_tight, rtol=1e-5)


def test_best_aic_is_as_good_as_scikit_learn_over_ten_data_sets():
    ours, theirs = [], []
    for seed in range(10):
        data = blobs(seed, clusters=3 + seed % 4)
        result = fit(jax.random.key(seed), data, (2, 10))
        parameters = mx.parameter_count(result.num_components, 3)
        ours.append(float(mx.aic(result.log_likelihood, parameters, 250).min()))
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs.append(min(GaussianMixture(k, random_state=seed).fit(data).aic(data) for k in range(2, 11)))
    assert np.mean(ours) <= np.mean(theirs) + 0.01 * abs(np.mean(theirs))


def test_log_likelihood_and_criteria_are_those_scikit_learn_computes_for_the_same_mixture():
    data = blobs(4)
    result = fit(jax.random.key(0), data, (2, 4))
    for j in range(3):
        k = int(result.num_components[j])
        theirs = GaussianMixture(k)
        theirs.weights_ = np.asarray(result.mixture.weight[j, :k], np.float64)
        theirs.means_ = np.asarray(result.mixture.mean[j, :k], np.float64)
        theirs.covariances_ = np.asarray(result.mixture.covariance[j, :k], np.float64)
        theirs.precisions_cholesky_ = _compute_precision_cholesky(theirs.covariances_, "full")
        likelihood, parameters = result.log_likelihood[j], mx.parameter_count(result.num_components[j], 3)
        np.testing.assert_allclose(likelihood, theirs.score(data), atol=2e-3)
        np.testing.assert_allclose(mx.aic(likelihood, parameters, 250), theirs.aic(data), atol=1.0)
        np.testing.assert_allclose(mx.bic(likelihood, parameters, 250), theirs.bic(data), atol=1.0)


def test_aicc_penalises_few_rows():
    parameters = jnp.array([5, 48, 49])
    likelihood = jnp.zeros(3)
    expected = [10 + 60 / 44, 96 + 2 * 48 * 49 / 1, np.inf]
    np.testing.assert_allclose(mx.aicc(likelihood, parameters, 50), expected, rtol=1e-6)


def test_fit_recovers_separate_clusters():
    rng = np.random.default_rng(0)
    truth = np.array([[0.2, 0.2, 0.0], [0.8, 0.3, 0.5], [0.5, 0.9, 1.0]])
    data = truth[np.arange(250) % 3] + rng.normal(0, 0.02, (250, 3))
    result = fit(jax.random.key(0), data, (2, 4))
    three = np.asarray(result.mixture.mean[1, :3])
    order = np.argsort(three[:, 2])
    np.testing.assert_allclose(three[order], truth, atol=0.01)
    np.testing.assert_allclose(result.mixture.weight[1, :3], 1 / 3, atol=0.01)


@pytest.mark.parametrize("case", ["all rows equal", "constant column", "two points", "a line", "huge units"])
def test_degenerate_data_gives_finite_mixtures(case):
    rng = np.random.default_rng(0)
    data = {
        "all rows equal": np.full((250, 3), 0.3),
        "constant column": np.column_stack([rng.random((250, 2)), np.zeros(250)]),
        "two points": np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])[np.arange(250) % 2],
        "a line": np.linspace(0, 1, 250)[:, None] * np.ones(3),
        "huge units": np.column_stack([rng.random((250, 2)), 1e4 * rng.random(250) * (np.arange(250) % 2)]),
    }[case]
    result = fit(jax.random.key(0), data, (2, 4))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
    roots = factor(result.mixture.covariance)
    assert np.isfinite(roots).all()
    np.testing.assert_allclose(result.mixture.weight.sum(-1), 1.0, atol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_factor_and_its_inverse_match_numpy(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(4, size, size))
    covariance = (root @ root.swapaxes(-1, -2) + 0.5 * np.eye(size)).astype(np.float32)
    expected = np.linalg.cholesky(covariance)
    np.testing.assert_allclose(factor(jnp.asarray(covariance)), expected, rtol=1e-3, atol=1e-4)
    inverse = inverse_factor(jnp.asarray(covariance))
    np.testing.assert_allclose(inverse, np.linalg.inv(expected), rtol=1e-3, atol=1e-3)


def test_fit_is_the_same_in_any_units():
    data = blobs(5)
    small = fit(jax.random.key(0), data, (2, 4), 1e-12)
    large = fit(jax.random.key(0), data * 64.0, (2, 4), 1e-12)
    np.testing.assert_allclose(small.mixture.mean * 64.0, large.mixture.mean, rtol=1e-3, atol=1e-2)


def test_vmapped_fits_are_as_likely_as_single_ones():
    data = jnp.stack([jnp.asarray(blobs(s)) for s in range(3)])
    keys = jax.random.split(jax.random.key(0), 3)
    both = jax.jit(jax.vmap(partial(mx.fit_mixtures, components=(2, 4))))(keys, data)
    for i in range(3):
        alone = fit(keys[i], data[i], (2, 4))
        np.testing.assert_allclose(both.log_likelihood[i], alone.log_likelihood, atol=0.02)


def test_impossible_component_counts_are_refused():
    with pytest.raises(ValueError, match=r"components=\(2, 11\)"):
        mx.fit_mixtures(jax.random.key(0), jnp.zeros((10, 2)), (2, 11))
