"""Gaussian mixtures on the device: masked EM for every number of components at once.

All candidate counts have one static shape, so that one program fits them together: component n of candidate j
exists where `mask[j, n]`. Both steps of EM are one matrix product with the same features `[1, z, z_a z_b]`: the
log-density of a Gaussian is linear in them, and so are the moments that the M-step needs.

Letters: J candidate component counts, N components (the largest count), K data rows, C data columns,
F = 1 + C + C^2 features.

Source: the procedure of scikit-learn 1.9 `GaussianMixture(covariance_type="full", init_params="kmeans", n_init=1)`.
Differs: columns are standardised, also for k-means; k-means++ tries 3 candidates and Lloyd runs 10 rounds; no
component is narrower than `NARROWEST` of a column's spread, which float32 could not resolve.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ..envs.linear_algebra import cholesky, lower_inverse

UNROLL = 5  # columns up to which factorisations are written out; above, the program would grow too large
CANDIDATES = 3  # of k-means++ per centre
LLOYD_ROUNDS = 10
SPREAD_FLOOR = 1e-6  # of a constant column, in its own units
NARROWEST = 1e-6  # variance of a component, in units of the column's variance
EMPTY = 1e-6  # added to each component's responsibility, so that an empty one stays finite

# Matrix products in full float32: tensor cores would round the moments to ten bits.
_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


class Mixture(struct.PyTreeNode):
    """Weighted Gaussians; leading batch axes are allowed."""

    weight: jax.Array  # (N,), sums to 1, 0 where masked
    mean: jax.Array  # (N, C)
    covariance: jax.Array  # (N, C, C), identity where masked
    mask: jax.Array  # (N,) bool, whether the component exists


class Fit(struct.PyTreeNode):
    """A fit for each of J component counts."""

    mixture: Mixture  # leading axis J
    num_components: jax.Array  # (J,) int32
    log_likelihood: jax.Array  # (J,) mean over the rows, in data units
    iterations: jax.Array  # () int32 of the slowest candidate


def fit_mixtures(
    key: jax.Array,
    data: jax.Array,
    components: tuple[int, int],
    max_iter: int = 100,
    tol: float = 1e-3,
    reg_covar: float = 1e-6,
) -> Fit:
    """Fits a full-covariance mixture for every component count in `components`, both ends included.

    Args:
      key: consumed; draws the initial centres.
      data: (K, C) float32.
      components: smallest and largest count, static.
      max_iter: EM iterations at most.
      tol: a candidate stops when its mean log-likelihood moves less.
      reg_covar: added to every variance, in squared data units.
    """
    num_rows, num_columns = data.shape
    smallest, largest = components
    if not 1 <= smallest <= largest <= num_rows:
        raise ValueError(f"components={components}; expected 1 <= smallest <= largest <= {num_rows} rows")
    counts = np.arange(smallest, largest + 1, dtype=np.int32)
    mask = jnp.asarray(np.arange(largest)[None, :] < counts[:, None])  # (J, N)
    centre = jnp.mean(data, 0)
    scale = jnp.maximum(jnp.std(data, 0), SPREAD_FLOOR)
    z = (data - centre[None, :]) / scale[None, :]
    reg = jnp.maximum(reg_covar / scale**2, NARROWEST)
    phi = features(z)

    def body(loop: tuple) -> tuple:
        old, old_log_likelihood, resp, stage, iteration = loop
        new = m_step(phi, resp, mask, reg)
        resp, log_likelihood = e_step(phi, new)
        # As scikit-learn, a candidate takes one more M-step after the change that stops it, and freezes then.
        frozen = stage == 2
        small = jnp.abs(log_likelihood - old_log_likelihood) < tol
        stage = jnp.where(stage == 0, small.astype(jnp.int32), jnp.full_like(stage, 2))
        keep = functools.partial(_select_rows, frozen)
        return (
            jax.tree.map(keep, old, new),
            keep(old_log_likelihood, log_likelihood),
            resp,
            stage,
            iteration + 1,
        )

    num_candidates = len(counts)
    start = Mixture(
        weight=jnp.zeros((num_candidates, largest), data.dtype),
        mean=jnp.zeros((num_candidates, largest, num_columns), data.dtype),
        covariance=jnp.zeros((num_candidates, largest, num_columns, num_columns), data.dtype),
        mask=mask,
    )
    loop = (
        start,
        jnp.full((num_candidates,), -jnp.inf, data.dtype),
        initial_responsibilities(key, z, mask),
        jnp.zeros((num_candidates,), jnp.int32),
        jnp.zeros((), jnp.int32),
    )
    loop = jax.lax.while_loop(lambda c: jnp.any(c[3] < 2) & (c[4] <= max_iter), body, loop)
    mixture, log_likelihood, _, _, iterations = loop
    return Fit(
        mixture=mixture.replace(
            mean=mixture.mean * scale[None, None, :] + centre[None, None, :],
            covariance=mixture.covariance * jnp.outer(scale, scale)[None, None, :, :],
        ),
        num_components=jnp.asarray(counts),
        log_likelihood=log_likelihood - jnp.sum(jnp.log(scale)),
        iterations=iterations,
    )


def _select_rows(mask: jax.Array, yes: jax.Array, no: jax.Array) -> jax.Array:
    return jnp.where(mask.reshape(mask.shape + (1,) * (yes.ndim - 1)), yes, no)


def features(z: jax.Array) -> jax.Array:
    """(K, C) to (K, F): 1, the columns, and all their products."""
    products = (z[:, :, None] * z[:, None, :]).reshape(z.shape[0], -1)
    return jnp.concatenate([jnp.ones_like(z[:, :1]), z, products], 1)


def e_step(phi: jax.Array, mixture: Mixture) -> tuple[jax.Array, jax.Array]:
    """Responsibilities (K, J, N) and mean log-likelihood (J,) of rows with features phi (K, F)."""
    joint = _einsum("kf,jnf->kjn", phi, log_joint_coefficients(mixture))
    top = jnp.max(joint, -1, keepdims=True)
    weight = jnp.exp(joint - top)
    total = jnp.sum(weight, -1, keepdims=True)
    return weight / total, jnp.mean(top[..., 0] + jnp.log(total[..., 0]), 0)


def log_joint_coefficients(mixture: Mixture) -> jax.Array:
    """(..., N, F): log(weight_n N(z; mean_n, covariance_n)) as coefficients of `features`."""
    num_columns = mixture.mean.shape[-1]
    inverse = inverse_factor(mixture.covariance)
    precision = jnp.sum(inverse[..., :, :, None] * inverse[..., :, None, :], -3)
    linear = jnp.sum(precision * mixture.mean[..., None, :], -1)
    log_root = jnp.sum(jnp.log(jnp.diagonal(inverse, axis1=-2, axis2=-1)), -1)  # -log sqrt det covariance
    constant = (
        log_root
        - 0.5 * (num_columns * math.log(2 * math.pi) + jnp.sum(mixture.mean * linear, -1))
        + jnp.log(jnp.maximum(mixture.weight, 1e-30))
    )
    constant = jnp.where(mixture.mask, constant, -1e30)
    quadratic = (-0.5 * precision).reshape(*precision.shape[:-2], -1)
    mask = mixture.mask[..., None]
    return jnp.concatenate([constant[..., None], jnp.where(mask, linear, 0.0), jnp.where(mask, quadratic, 0.0)], -1)


def m_step(phi: jax.Array, resp: jax.Array, mask: jax.Array, reg: jax.Array) -> Mixture:
    """The mixture with the moments of the rows under their responsibilities.

    Args:
      phi: (K, F).
      resp: (K, J, N), 0 where masked.
      mask: (J, N) bool.
      reg: (C,) added to the variances.
    """
    num_columns = reg.shape[0]
    moments = _einsum("kjn,kf->jnf", resp, phi)
    count = moments[..., :1] + EMPTY
    mean = moments[..., 1 : 1 + num_columns] / count
    second = (moments[..., 1 + num_columns :] / count).reshape(*mean.shape, num_columns)
    spread = second - mean[..., :, None] * mean[..., None, :]
    eye = jnp.eye(num_columns, dtype=bool)[None, None]
    spread = jnp.where(eye, jnp.maximum(spread, 0.0) + reg[None, None, :, None], spread)
    exists = mask[..., None, None]
    return Mixture(
        weight=jnp.where(mask, count[..., 0] / phi.shape[0], 0.0),
        mean=mean,
        covariance=jnp.where(exists, spread, eye.astype(spread.dtype)),
        mask=mask,
    )


def _each(function: Callable[[jax.Array], jax.Array], matrices: jax.Array) -> jax.Array:
    """`function` of every matrix in (..., C, C)."""
    for _ in range(matrices.ndim - 2):
        function = jax.vmap(function)
    return function(matrices)


def factor(covariance: jax.Array) -> jax.Array:
    """Lower Cholesky factor (..., C, C); a pivot that rounding made non-positive counts as barely positive."""
    size = covariance.shape[-1]
    if size == 0:
        return covariance
    if size > UNROLL:
        eye = jnp.eye(size, dtype=covariance.dtype).reshape((1,) * (covariance.ndim - 2) + (size, size))
        return _each(cholesky, covariance * (1.0 + 1e-5 * eye))
    return _stack_lower(_unrolled_factor(covariance))


def inverse_factor(covariance: jax.Array) -> jax.Array:
    """Inverse of `factor` (..., C, C), lower triangular."""
    size = covariance.shape[-1]
    if size > UNROLL:
        return _each(lower_inverse, factor(covariance))
    root = _unrolled_factor(covariance)
    inverse: list[list[jax.Array]] = []
    for i in range(size):
        row = []
        for j in range(i):
            row.append(-sum(root[i][k] * inverse[k][j] for k in range(j, i)) / root[i][i])
        inverse.append([*row, 1.0 / root[i][i]])
    return _stack_lower(inverse)


def _unrolled_factor(covariance: jax.Array) -> list[list[jax.Array]]:
    rows: list[list[jax.Array]] = []
    for i in range(covariance.shape[-1]):
        row: list[jax.Array] = []
        for j in range(i):
            rest = covariance[..., i, j] - sum((row[k] * rows[j][k] for k in range(j)), start=0.0)
            row.append(rest / rows[j][j])
        variance = covariance[..., i, i]
        pivot = variance - sum((entry * entry for entry in row), start=0.0)
        rows.append([*row, jnp.sqrt(jnp.maximum(pivot, 1e-7 * variance))])
    return rows


def _stack_lower(rows: list[list[jax.Array]]) -> jax.Array:
    zero = jnp.zeros_like(rows[0][0])
    return jnp.stack([jnp.stack(row + [zero] * (len(rows) - len(row)), -1) for row in rows], -2)


def initial_responsibilities(key: jax.Array, z: jax.Array, mask: jax.Array) -> jax.Array:
    """Hard assignments (K, J, N) by k-means, one independent run per candidate. `key` is consumed."""
    num_runs, num_components = mask.shape

    def assign(centre: jax.Array) -> jax.Array:
        distance = jnp.sum(centre**2, -1)[None] - 2.0 * _einsum("kc,jnc->kjn", z, centre)
        nearest = jnp.argmin(jnp.where(mask[None], distance, jnp.inf), -1)
        return jax.nn.one_hot(nearest, num_components, dtype=z.dtype)

    def lloyd(_: int, centre: jax.Array) -> jax.Array:
        member = assign(centre)
        count = jnp.sum(member, 0)[..., None]
        return jnp.where(count > 0, _einsum("kjn,kc->jnc", member, z) / jnp.maximum(count, 1.0), centre)

    return assign(jax.lax.fori_loop(0, LLOYD_ROUNDS, lloyd, spread_centres(key, z, num_runs, num_components)))


def spread_centres(key: jax.Array, z: jax.Array, num_runs: int, num_components: int) -> jax.Array:
    """Greedy k-means++: J independent runs of N centres (J, N, C) among the rows (K, C). `key` is consumed.

    The first n centres of a run of N are a run of n, so that every candidate count can use its prefix.
    """
    num_rows = z.shape[0]

    def pick(nearest: jax.Array, uniform: jax.Array) -> tuple[jax.Array, jax.Array]:
        mass = jnp.cumsum(nearest, -1)  # (J, K)
        below = mass[:, None, :] < (uniform * mass[:, -1:])[..., None]  # (J, CANDIDATES, K)
        candidate = z[jnp.minimum(jnp.sum(below, -1, dtype=jnp.int32), num_rows - 1)]
        distance = jnp.sum((candidate[:, :, None, :] - z[None, None, :, :]) ** 2, -1)
        after = jnp.minimum(nearest[:, None, :], distance)
        best = jnp.argmin(jnp.sum(after, -1), -1)[:, None, None]
        return jnp.take_along_axis(after, best, 1)[:, 0], jnp.take_along_axis(candidate, best, 1)[:, 0]

    uniform = jax.random.uniform(key, (num_components, num_runs, CANDIDATES), z.dtype)
    # The first centre is a plain uniform draw: equal masses, so large that any real distance replaces them.
    start = jnp.full((num_runs, num_rows), 1e10, z.dtype)
    return jnp.swapaxes(jax.lax.scan(pick, start, uniform)[1], 0, 1)


def parameter_count(num_components: jax.Array, num_columns: int) -> jax.Array:
    """Free parameters of a full-covariance mixture: covariances, means, weights."""
    per_component = num_columns * (num_columns + 1) // 2 + num_columns
    return num_components * per_component + num_components - 1


def aic(log_likelihood: jax.Array, parameters: jax.Array, num_rows: int) -> jax.Array:
    """Akaike's criterion 2p - 2 log L; `log_likelihood` is the mean over the rows, p `parameters`."""
    return 2.0 * parameters.astype(log_likelihood.dtype) - 2.0 * num_rows * log_likelihood


def bic(log_likelihood: jax.Array, parameters: jax.Array, num_rows: int) -> jax.Array:
    """Bayesian criterion p ln K - 2 log L."""
    return math.log(num_rows) * parameters.astype(log_likelihood.dtype) - 2.0 * num_rows * log_likelihood


def aicc(log_likelihood: jax.Array, parameters: jax.Array, num_rows: int) -> jax.Array:
    """AIC corrected for few rows."""
    return aic(log_likelihood, parameters, num_rows) + few_rows_penalty(parameters, num_rows)


def few_rows_penalty(parameters: jax.Array, num_rows: int) -> jax.Array:
    """2p(p + 1) / (K - p - 1), what AICc adds to AIC; infinite where K <= p + 1."""
    p = parameters.astype(jnp.float32)
    room = num_rows - p - 1.0
    return jnp.where(room > 0, 2.0 * p * (p + 1.0) / jnp.maximum(room, 1.0), jnp.inf)


Criterion = Callable[[jax.Array, jax.Array, int], jax.Array]
CRITERIA: dict[str, Criterion] = {"aic": aic, "bic": bic, "aicc": aicc}
