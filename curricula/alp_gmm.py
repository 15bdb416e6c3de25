"""ALP-GMM: prefer tasks where the return has been moving, up or down.

Each episode's *absolute learning progress* (ALP) is the change of return since the nearest earlier task. Every
`fit_rate` episodes a Gaussian mixture is fitted to the latest (task, ALP) pairs; tasks are then drawn from its
components in proportion to their mean ALP, with a share of uniform draws to notice progress elsewhere.

Letters: K tasks or episodes, D task parameters, F free ones, H history rows, M rows of a chunk, N components.

Source: Portelas, Colas, Hofmann, Oudeyer 2019, "Teacher algorithms for curriculum learning of Deep RL in continuously
parameterized environments" (arXiv 1910.07224), and the authors' code teachDeepRL; options and benchmark settings of
TeachMyAgent (arXiv 2103.09815).
Differs: the mixture is fitted in unit space, so that scales and whole-number parameters mean something (along a linear
parameter only `reg_covar` is affected); the history keeps the latest `history` episodes instead of all; a negative
mean ALP, which cannot occur up to rounding, counts as 0; episodes that are not finite are dropped and counted.
"""

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ..envs.tasks import Outcome, TaskSpace
from .intake import Tally, count_rows, empty_tally, fold_rows, usable_rows
from .mixture import CRITERIA, Fit, Mixture, aic, factor, few_rows_penalty, fit_mixtures, parameter_count
from .mixture import features as mixture_features
from .mixture import log_joint_coefficients as mixture_coefficients

CHUNK = 64  # episodes whose neighbours are looked up together
BLOCK = 128  # history rows whose smallest distance is found first
FAR = 1e9  # coordinates of an unfilled history row
FIRST = 5  # the first episodes have too few neighbours for a progress


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Where a curriculum starts, in task units.

    Attributes:
      mean: (D,).
      covariance: (D, D) rows.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


class History(struct.PyTreeNode):
    """The latest H episodes, oldest first; unfilled rows stand at the front, infinitely far away."""

    place: jax.Array  # (H, D or F) coordinates in which neighbours are near
    task: jax.Array  # (H, D)
    return_: jax.Array  # (H,) after reward scaling
    progress: jax.Array  # (H,) absolute learning progress, in units of `return_`


class ALPGMMState(struct.PyTreeNode):
    """What ALP-GMM remembers."""

    history: History
    mixture: Mixture  # over (unit task, ALP): F + 1 columns
    tally: Tally
    since_fit: jax.Array  # () int32, episodes since the last refit
    fits: jax.Array  # () int32, refits that gave a mixture
    failed_fits: jax.Array  # () int32, refits without a finite result; the mixture before them stands
    space: TaskSpace = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class ALPGMM:
    """Samples tasks in proportion to absolute learning progress, as a Gaussian mixture sees it.

    `sample` hands out as meta the component a task was drawn from, (K,) int32, -1 for a uniform draw.

    Attributes:
      fit_rate: episodes between refits, and in the window each refit sees.
      random_ratio: share of uniform draws after the first refit.
      components: smallest and largest number of Gaussians tried.
      criterion: which fit is kept: the smallest of Akaike's criterion, Schwarz's, or Akaike's for few rows.
      reference_aicc: count parameters in "aicc" as the published code does, leaving out the ALP column.
      max_iter: EM iterations at most.
      tol: EM stops when the mean log-likelihood moves less.
      reg_covar: added to the variances, in squared units of unit task and scaled return.
      history: episodes among which a neighbour is looked for (all of them in the publication). For D = 2 on one CPU
        core, taking in 100 episodes costs 0.7 ms at 2**13 and 2.5 ms at 2**15; on the learnability grid they end at
        37.1 % and 35.7 % mastered (32 seeds; published 35.5 %).
      reward_scale: returns from (low, high) are mapped to (0, 1) and clipped; None leaves them as they are.
      neighbours_in_unit_space: measure distance in unit tasks instead of task units as published; sensible where
        the units of the parameters differ by orders of magnitude.
      bootstrap: draws before the first refit; None means uniform.
    """

    fit_rate: int = 250
    random_ratio: float = 0.2
    components: tuple[int, int] = (2, 10)
    criterion: Literal["aic", "bic", "aicc"] = "aic"
    reference_aicc: bool = False
    max_iter: int = 100
    tol: float = 1e-3
    reg_covar: float = 1e-6
    history: int = 2**13
    reward_scale: tuple[float, float] | None = None
    neighbours_in_unit_space: bool = False
    bootstrap: Gaussian | None = None

    def __post_init__(self) -> None:
        smallest, largest = self.components
        if not 1 <= smallest <= largest <= self.fit_rate:
            raise ValueError(
                f"components={self.components}; expected 1 <= smallest <= largest <= fit_rate={self.fit_rate}"
            )
        if not 0.0 <= self.random_ratio <= 1.0:
            raise ValueError(f"random_ratio={self.random_ratio}; expected a share in [0, 1]")
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion={self.criterion!r}; expected one of {sorted(CRITERIA)}")
        if self.reference_aicc and self.criterion != "aicc":
            raise ValueError(f"reference_aicc=True with criterion={self.criterion!r}; expected criterion='aicc'")
        if self.max_iter < 1:
            raise ValueError(f"max_iter={self.max_iter}; expected at least 1")
        if self.tol <= 0 or self.reg_covar <= 0:
            raise ValueError(f"tol={self.tol}, reg_covar={self.reg_covar}; expected positive numbers")
        if self.history < max(self.fit_rate, CHUNK):
            raise ValueError(f"history={self.history}; expected at least fit_rate={self.fit_rate} and {CHUNK} episodes")
        if self.reward_scale is not None and not self.reward_scale[0] < self.reward_scale[1]:
            raise ValueError(f"reward_scale={self.reward_scale}; expected low < high")

    def init(self, key: jax.Array, space: TaskSpace) -> ALPGMMState:
        del key  # nothing to draw
        if space.dim == 0:
            raise ValueError("space: has no parameters; expected at least one to learn about")
        rows = self.history
        place = space.unit_dim if self._measures_units(space) else space.dim
        return ALPGMMState(
            history=History(
                place=jnp.full((rows, place), FAR, jnp.float32),
                task=jnp.zeros((rows, space.dim), jnp.float32),
                return_=jnp.zeros((rows,), jnp.float32),
                progress=jnp.zeros((rows,), jnp.float32),
            ),
            mixture=_first_mixture(self.bootstrap, space, self.components[1]),
            tally=empty_tally(),
            since_fit=jnp.zeros((), jnp.int32),
            fits=jnp.zeros((), jnp.int32),
            failed_fits=jnp.zeros((), jnp.int32),
            space=space,
        )

    def sample(self, state: ALPGMMState, key: jax.Array, count: int) -> tuple[ALPGMMState, jax.Array, jax.Array]:
        key_origin, key_component, key_normal, key_uniform = jax.random.split(key, 4)
        free = state.space.unit_dim
        probability = component_probability(state.mixture)
        component = jax.random.categorical(key_component, jnp.log(probability), shape=(count,))
        root = factor(state.mixture.covariance[:, :free, :free])
        normal = jax.random.normal(key_normal, (count, free), jnp.float32)
        drawn = state.mixture.mean[component, :free] + jnp.sum(root[component] * normal[:, None, :], -1)
        uniform = jax.random.uniform(key_uniform, (count, free), jnp.float32)
        is_uniform = jax.random.uniform(key_origin, (count,)) < self._random_share(state)
        task = state.space.from_unit(jnp.where(is_uniform[:, None], uniform, drawn))
        return state, task, jnp.where(is_uniform, -1, component.astype(jnp.int32))

    def update(self, state: ALPGMMState, outcome: Outcome) -> ALPGMMState:
        usable = usable_rows(outcome)
        tasks = jnp.asarray(outcome.task)
        return_ = self._scaled(jnp.asarray(outcome.return_))

        def absorb(carry: tuple[History, jax.Array], rows: jax.Array, fresh: jax.Array):
            history, episodes = carry
            task = tasks[rows]
            place = state.space.to_unit(task) if self._measures_units(state.space) else task
            return remember(history, episodes, place, task, return_[rows], fresh), episodes + fresh

        history, episodes = fold_rows(absorb, (state.history, state.tally.episodes), usable, CHUNK)
        return state.replace(
            history=history,
            tally=count_rows(state.tally, outcome, usable),
            since_fit=state.since_fit + episodes - state.tally.episodes,
        )

    def should_refit(self, state: ALPGMMState) -> jax.Array:
        return state.since_fit >= self.fit_rate

    def refit(self, state: ALPGMMState, key: jax.Array) -> ALPGMMState:
        """Fits the mixture to the latest `fit_rate` episodes; before there are as many, changes nothing."""
        unit = state.space.to_unit(state.history.task[-self.fit_rate :])
        data = jnp.concatenate([unit, state.history.progress[-self.fit_rate :, None]], 1)
        fit = fit_mixtures(key, data, self.components, self.max_iter, self.tol, self.reg_covar)
        score = self._score(fit, state.space.unit_dim)
        best = jnp.argmin(score)
        enough = state.tally.episodes >= self.fit_rate
        good = enough & jnp.isfinite(score[best])
        mixture = jax.tree.map(lambda new, old: jnp.where(good, new[best], old), fit.mixture, state.mixture)
        return state.replace(
            mixture=mixture,
            since_fit=jnp.where(enough, 0, state.since_fit),
            fits=state.fits + good.astype(jnp.int32),
            failed_fits=state.failed_fits + (enough & ~good).astype(jnp.int32),
        )

    def distribution(self, state: ALPGMMState, tasks: jax.Array) -> jax.Array:
        """Density before clipping: what falls outside the space lands on its border and is not shown."""
        free = state.space.unit_dim
        mixture = state.mixture
        over_tasks = mixture.replace(
            weight=component_probability(mixture),
            mean=mixture.mean[:, :free],
            covariance=mixture.covariance[:, :free, :free],
        )
        share = self._random_share(state)
        return share + (1.0 - share) * mixture_density(over_tasks, state.space.to_unit(tasks))

    def metrics(self, state: ALPGMMState) -> dict[str, jax.Array]:
        seen = jnp.minimum(state.tally.episodes, self.fit_rate)
        total = jnp.sum(state.history.progress[-self.fit_rate :])
        return {
            "episodes": state.tally.episodes,
            "dropped": state.tally.dropped,
            "fits": state.fits,
            "failed_fits": state.failed_fits,
            "components": jnp.sum(state.mixture.mask, dtype=jnp.int32),
            "mean_progress": total / jnp.maximum(seen, 1).astype(jnp.float32),
            "random_share": self._random_share(state),
        }

    def snapshot(self, state: ALPGMMState) -> dict[str, jax.Array]:
        """Components in task units.

        Returns:
          mean (N, D), covariance (N, D, D) (exact along linear parameters, linearised along log ones), progress (N,),
          weight (N,), probability (N,) of being sampled from, mask (N,) bool, random_share ().
        """
        mixture, space = state.mixture, state.space
        mean, slope = _to_task_units(space, mixture.mean[:, : space.unit_dim])
        covariance = jnp.zeros((*mean.shape, space.dim), jnp.float32)
        free = np.ix_(space.free, space.free)
        covariance = covariance.at[:, *free].set(
            mixture.covariance[:, : space.unit_dim, : space.unit_dim] * slope[:, :, None] * slope[:, None, :]
        )
        return {
            "mean": mean,
            "covariance": covariance,
            "progress": component_progress(mixture),
            "weight": mixture.weight,
            "probability": component_probability(mixture),
            "mask": mixture.mask,
            "random_share": self._random_share(state),
        }

    def _measures_units(self, space: TaskSpace) -> bool:
        return self.neighbours_in_unit_space and space.unit_dim > 0

    def _random_share(self, state: ALPGMMState) -> jax.Array:
        before = 1.0 if self.bootstrap is None else 0.0
        return jnp.where(state.fits > 0, jnp.float32(self.random_ratio), jnp.float32(before))

    def _scaled(self, return_: jax.Array) -> jax.Array:
        if self.reward_scale is None:
            return return_
        low, high = self.reward_scale
        return jnp.clip((return_ - low) / (high - low), 0.0, 1.0)

    def _score(self, fit: Fit, free: int) -> jax.Array:
        parameters = parameter_count(fit.num_components, free + 1)
        if self.reference_aicc:
            counted = fit.num_components * ((free**2 - free) // 2 + 2 * free + 1) - 1
            score = aic(fit.log_likelihood, parameters, self.fit_rate) + few_rows_penalty(counted, self.fit_rate)
        else:
            score = CRITERIA[self.criterion](fit.log_likelihood, parameters, self.fit_rate)
        return jnp.where(jnp.isnan(score), jnp.inf, score)


# Settings of the two published code bases. Returns of the bipedal walker were scaled from (-150, 350) there; here an
# experiment says so with `dataclasses.replace(TDRL, reward_scale=...)`, because a teacher knows no environment.
TDRL = ALPGMM(fit_rate=250, random_ratio=0.2, components=(2, 10))
TMA = ALPGMM(fit_rate=150, random_ratio=0.05, components=(2, 9))


def remember(
    history: History, episodes: jax.Array, place: jax.Array, task: jax.Array, return_: jax.Array, fresh: jax.Array
) -> History:
    """Appends the first `fresh` of M episodes, each with its progress since its nearest predecessor.

    Row i sees the H episodes before it, so the result does not depend on how episodes are cut into chunks. The oldest
    of equally near predecessors wins, as in the published code.

    Args:
      history: H rows, H >= M.
      episodes: () int32, how many came before.
      place: (M, D or F) coordinates for the distance.
      task: (M, D).
      return_: (M,).
      fresh: () int32.
    """
    size, width = history.return_.shape[0], return_.shape[0]
    row = jnp.arange(width, dtype=jnp.int32)
    before = row[:, None] < row[None, :]  # (M, M), the first index comes before the second
    padding = jnp.full((-(size + width) % BLOCK, place.shape[1]), FAR, place.dtype)
    distance = squared_distances(jnp.concatenate([history.place, place, padding]), place)
    # Row i has forgotten the i oldest and knows the i before it; only these corners need a mask.
    old, new = slice(0, width), slice(size, size + width)
    distance = distance.at[old].set(jnp.where(before, jnp.inf, distance[old]))
    distance = distance.at[new].set(jnp.where(before, distance[new], jnp.inf))
    returns = jnp.concatenate([history.return_, return_])
    change = jnp.abs(return_ - returns[first_smallest(distance)])
    progress = jnp.where(episodes + row > FIRST, change, 0.0)

    def latest(old: jax.Array, new: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(jnp.concatenate([old, new]), fresh, size)

    episodes_now = History(place=place, task=task, return_=return_, progress=progress)
    return jax.tree.map(latest, history, episodes_now)


def squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """(H, M) between rows of a (H, D) and b (M, D).

    Summed over differences, not expanded into a matrix product: near neighbours would drown in cancellation.
    """
    total = jnp.zeros((a.shape[0], b.shape[0]), a.dtype)
    for d in range(a.shape[1]):
        total = total + (a[:, d, None] - b[None, :, d]) ** 2
    return total


def first_smallest(values: jax.Array) -> jax.Array:
    """(M,) index of the first smallest of each column of (H, M); H is a multiple of BLOCK.

    A plain `argmin` takes five times as long on a CPU, where XLA does not vectorise a reduction over pairs; so it is
    left to search among the minima of blocks, and then within one.
    """
    blocks = values.reshape(-1, BLOCK, values.shape[1])
    block = jnp.argmin(jnp.min(blocks, 1), 0)
    inside = jnp.take_along_axis(blocks, block[None, None, :], 0)[0]
    return block * BLOCK + jnp.argmin(inside, 0)


def component_progress(mixture: Mixture) -> jax.Array:
    """(N,) mean absolute learning progress of each component, 0 where masked."""
    return jnp.where(mixture.mask, jnp.maximum(mixture.mean[:, -1], 0.0), 0.0)


def component_probability(mixture: Mixture) -> jax.Array:
    """(N,) how often each component is sampled from: in proportion to its progress, uniform if there is none."""
    progress = component_progress(mixture)
    total = jnp.sum(progress)
    exists = mixture.mask.astype(jnp.float32)
    return jnp.where(total > 0, progress / jnp.where(total > 0, total, 1.0), exists / jnp.sum(exists))


def mixture_density(mixture: Mixture, points: jax.Array) -> jax.Array:
    """(K,) density of an unbatched mixture at points (K, C)."""
    if points.shape[1] == 0:
        return jnp.ones(points.shape[:1], jnp.float32)
    log_joint = mixture_features(points) @ mixture_coefficients(mixture).T
    exists = mixture.mask & (mixture.weight > 0)
    return jnp.sum(jnp.where(exists[None, :], jnp.exp(log_joint), 0.0), -1)


def _first_mixture(bootstrap: Gaussian | None, space: TaskSpace, num_components: int) -> Mixture:
    """One component: the bootstrap Gaussian in unit space, or a placeholder that is never sampled from."""
    free = space.unit_dim
    mean = jnp.zeros((num_components, free + 1), jnp.float32)
    covariance = jnp.tile(jnp.eye(free + 1, dtype=jnp.float32), (num_components, 1, 1))
    if bootstrap is not None:
        centre = space.validate(list(bootstrap.mean))
        spread = np.array(bootstrap.covariance, np.float32)
        if spread.shape != (space.dim, space.dim):
            raise ValueError(f"bootstrap.covariance: got shape {spread.shape}; expected {(space.dim,) * 2}")
        within = spread[np.ix_(space.free, space.free)]
        if not np.allclose(spread, spread.T) or (free and np.min(np.linalg.eigvalsh(within)) <= 0):
            raise ValueError("bootstrap.covariance: expected a symmetric positive definite matrix")
        unit = space.to_unit(jnp.asarray(centre))
        _, slope = _to_task_units(space, unit[None])
        mean = mean.at[0, :free].set(unit)
        covariance = covariance.at[0, :free, :free].set(within / jnp.outer(slope[0], slope[0]))
    exists = np.arange(num_components) == 0
    return Mixture(weight=jnp.asarray(exists, jnp.float32), mean=mean, covariance=covariance, mask=jnp.asarray(exists))


def _to_task_units(space: TaskSpace, unit: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Tasks (N, D) at unit tasks (N, F), and d task / d unit (N, F) there; whole numbers are not rounded."""
    columns = [jnp.full(unit.shape[:1], p.low, jnp.float32) for p in space.parameters]
    slopes = []
    for k, i in enumerate(space.free):
        p = space.parameters[i]
        if p.kind != "continuous":
            width = p.high - p.low + 1
            columns[i] = p.low - 0.5 + width * unit[:, k]
            slopes.append(jnp.full(unit.shape[:1], width, jnp.float32))
        elif p.scale == "log":
            rate = math.log(p.high / p.low)
            columns[i] = p.low * jnp.exp(rate * unit[:, k])
            slopes.append(rate * columns[i])
        else:
            columns[i] = p.low + (p.high - p.low) * unit[:, k]
            slopes.append(jnp.full(unit.shape[:1], p.high - p.low, jnp.float32))
    return jnp.stack(columns, -1), jnp.stack(slopes, -1) if slopes else unit
