"""Statistics of runs: robust means, bootstrap intervals, comparisons, and what a learning curve amounts to.

A row of scores is one independently trained learner (a seed). Results of *one* policy on many test tasks are not
independent of each other: reduce them to one number per seed before asking for an interval, or it comes out too narrow.

Letters: S seeds, N strata (environments with learners of their own), R resamples, T points in time.

Source: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (arXiv 2108.13264).
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0  # of every resampling, so that a report made twice says the same
MAX_DRAWN = 1 << 22  # numbers drawn at a time
MAX_EXACT = 20_000  # relabellings that a permutation test enumerates instead of drawing

Statistic = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its interval; the ends are NaN where there are too few seeds to say."""

    value: float
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over the last two axes (..., S, N) -> (...)."""
    return np.mean(scores, axis=(-2, -1))


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean over the last two axes (..., S, N) -> (...).

    The mean of what is left without the lowest and the highest quarter, both rounded down to whole scores; with fewer
    than four scores that is the plain mean.
    """
    flat = np.sort(np.reshape(scores, (*scores.shape[:-2], -1)), axis=-1)
    count = flat.shape[-1]
    if not count:
        return np.full(flat.shape[:-1], np.nan)
    cut = count // 4
    return np.mean(flat[..., cut : count - cut], axis=-1)


def estimate(
    scores: np.ndarray,
    statistic: Statistic = iqm,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> Estimate:
    """A statistic of scores with its stratified percentile-bootstrap interval.

    Seeds are drawn with replacement within every stratum, independently of the other strata. With a handful of seeds
    the interval is rather too narrow than too wide; with one seed there is none.

    Args:
      scores: (S,) or (S, N), finite.
      statistic: (..., S, N) -> (...).
    """
    scores = as_matrix(scores)
    if not scores.size:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(statistic(scores))
    if scores.shape[0] < 2:
        return Estimate(value, math.nan, math.nan)
    drawn = bootstrap(scores, statistic, resamples, np.random.default_rng(seed))
    return Estimate(value, *_interval(drawn, confidence))


def estimate_difference(
    scores: np.ndarray,
    baseline: np.ndarray,
    statistic: Statistic = iqm,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
) -> Estimate:
    """`statistic(scores) - statistic(baseline)`; either side is resampled on its own."""
    scores, baseline = as_matrix(scores), as_matrix(baseline)
    if not scores.size or not baseline.size:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(statistic(scores) - statistic(baseline))
    if min(scores.shape[0], baseline.shape[0]) < 2:
        return Estimate(value, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    drawn = bootstrap(scores, statistic, resamples, rng) - bootstrap(baseline, statistic, resamples, rng)
    return Estimate(value, *_interval(drawn, confidence))


def bootstrap(scores: np.ndarray, statistic: Statistic, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(R,) the statistic of resampled scores (S, N)."""
    per_draw = max(1, MAX_DRAWN // scores.size)
    parts = []
    for first in range(0, resamples, per_draw):
        count = min(per_draw, resamples - first)
        rows = rng.integers(scores.shape[0], size=(count, *scores.shape))
        parts.append(statistic(np.take_along_axis(scores[None], rows, axis=1)))
    return np.concatenate(parts)


def estimate_curve(
    curves: np.ndarray, resamples: int = RESAMPLES, confidence: float = CONFIDENCE, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interquartile mean of curves (S, T) at every time, with pointwise interval: three arrays (T,).

    Whole curves are resampled, so neighbouring points share their luck as the runs do.
    """
    centre = iqm(curves.T[..., None])
    if curves.shape[0] < 2:
        return centre, np.full_like(centre, np.nan), np.full_like(centre, np.nan)
    rows = np.random.default_rng(seed).integers(curves.shape[0], size=(resamples, curves.shape[0]))
    tail = 100 * (1 - confidence) / 2
    ends = [np.percentile(iqm(curves[rows, t, None]), [tail, 100 - tail]) for t in range(curves.shape[1])]
    low, high = np.reshape(ends, (-1, 2)).T
    return centre, low, high


def probability_of_improvement(scores: np.ndarray, baseline: np.ndarray) -> float:
    """How often a seed of `scores` (S, N) beats a seed of `baseline` (S', N), ties by half; mean over strata."""
    scores, baseline = as_matrix(scores), as_matrix(baseline)
    if scores.shape[1] != baseline.shape[1]:
        raise ValueError(f"baseline has {baseline.shape[1]} strata; expected {scores.shape[1]}")
    difference = scores[:, None] - baseline[None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def optimality_gap(scores: np.ndarray, target: float = 1.0) -> float:
    """How far scores fall short of `target` on average; scores beyond it do not make up for others."""
    return float(target - np.mean(np.minimum(scores, target)))


def permutation_test(scores: np.ndarray, baseline: np.ndarray, resamples: int = 10_000, seed: int = SEED) -> float:
    """Two-sided p-value of a difference of means: Welch's t against its distribution under exchanged labels.

    Exact where there are few enough relabellings. With 3 seeds a side the smallest possible value is 0.1, with 4 it is
    0.029: not significant says nothing there.

    Args:
      scores, baseline: (S,), (S',) one number per seed, at least two each (NaN otherwise).
    """
    scores, baseline = np.ravel(scores), np.ravel(baseline)
    if min(scores.size, baseline.size) < 2:
        return math.nan
    pooled, size = np.concatenate([scores, baseline]), scores.size
    if math.comb(pooled.size, size) <= MAX_EXACT:
        chosen = np.array(list(itertools.combinations(range(pooled.size), size)))
        extra = 0  # the labels as they are is among the combinations
    else:
        rng = np.random.default_rng(seed)
        chosen = rng.permuted(np.tile(np.arange(pooled.size), (resamples, 1)), axis=1)[:, :size]
        extra = 1
    member = np.zeros((len(chosen), pooled.size), bool)
    np.put_along_axis(member, chosen, True, axis=1)
    tiled = np.broadcast_to(pooled, member.shape)
    drawn = _welch(tiled[member].reshape(-1, size), tiled[~member].reshape(-1, baseline.size))
    observed = abs(_welch(scores[None], baseline[None])[0])
    reached = np.sum(np.abs(drawn) >= observed * (1 - 1e-9))
    return float((reached + extra) / (len(drawn) + extra))


def conditional_value_at_risk(values: np.ndarray, worst_share: float) -> float:
    """Mean over the worst `worst_share` of values (test tasks), at least one of them."""
    if not 0 < worst_share <= 1:
        raise ValueError(f"worst_share={worst_share}; expected a share in (0, 1]")
    ordered = np.sort(np.ravel(values))
    if not ordered.size:
        return math.nan
    return float(np.mean(ordered[: math.ceil(worst_share * ordered.size - 1e-9)]))


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of scores above each of `thresholds` (T,) -> (T,)."""
    return np.mean(np.ravel(scores)[:, None] > np.asarray(thresholds)[None], axis=0)


def time_to_threshold(steps: np.ndarray, values: np.ndarray, threshold: float) -> float:
    """The first of `steps` (T,) at which a curve reaches `threshold`; infinite where it never does."""
    reached = np.flatnonzero(np.asarray(values) >= threshold)
    return float(np.asarray(steps)[reached[0]]) if reached.size else math.inf


def area_under_curve(steps: np.ndarray, values: np.ndarray) -> float:
    """Mean height of a curve (T,) over its span by trapezoids, in units of `values`; points without value are skipped.

    NaN for an empty curve, the value itself for a single point.
    """
    steps, values = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    if not values.size:
        return math.nan
    span = steps[-1] - steps[0]
    if span <= 0:
        return float(values[-1])
    return float(np.sum((values[1:] + values[:-1]) / 2 * np.diff(steps)) / span)


def as_matrix(scores: np.ndarray) -> np.ndarray:
    """Scores (S,) or (S, N) as float64 (S, N)."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim == 1:
        scores = scores[:, None]
    if scores.ndim != 2:
        raise ValueError(f"scores have shape {scores.shape}; expected (seeds,) or (seeds, strata)")
    if not np.isfinite(scores).all():
        raise ValueError("scores contain NaN or infinity; leave those runs out and say so")
    return scores


def _interval(drawn: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def _welch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Welch's t of rows (R, S) and (R, S'); infinite where the means differ and nothing scatters."""
    difference = a.mean(1) - b.mean(1)
    error = np.sqrt(a.var(1, ddof=1) / a.shape[1] + b.var(1, ddof=1) / b.shape[1])
    scale = np.maximum(np.abs(a).max(1), np.abs(b).max(1))
    difference = np.where(np.abs(difference) <= 1e-12 * scale, 0.0, difference)
    error = np.where(error <= 1e-12 * scale, 0.0, error)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / error)
