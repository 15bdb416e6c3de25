"""The learnability grid: a student made of counters, on which a teacher can be judged in a second.

A task falls into one cell of a grid. Only the corner cell can be learnt at first; practice raises a cell's
competence, and a competent cell unlocks its upper neighbours. Cells that are still locked teach nothing, so a teacher
earns its keep by finding the frontier. The return is the competence of the practised cell.

Letters: E episodes, P periods between refits, G relevant grid dimensions.

Source: the toy environment of teachDeepRL (arXiv 1910.07224); its results are in `PUBLISHED`.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from ..envs.tasks import Outcome, Parameter, TaskSpace
from .contract import Teacher

FULL = 100.0  # highest competence
UNLOCKS = 75.0  # competence from which a cell unlocks its neighbours, and above which it is mastered

# Mastered [%] after 5k, 10k, 15k and 20k episodes: the original code with its default teachers, 4 seeds.
PUBLISHED = {
    "random": (0.0, 1.0, 2.5, 4.0),
    "alp_gmm": (6.0, 14.5, 26.5, 35.5),
    "riac": (9.0, 22.0, 36.0, 46.8),
    "covar_gmm": (12.8, 31.0, 49.0, 68.3),
}


@dataclasses.dataclass(frozen=True)
class Grid:
    """The student's rules.

    Attributes:
      cells: cells per dimension.
      dims: relevant dimensions G.
      irrelevant: further task parameters that change nothing.
      noise: standard deviation added to the return.
      forgetting: competence that every other cell loses per episode.
    """

    cells: int = 10
    dims: int = 2
    irrelevant: int = 0
    noise: float = 0.0
    forgetting: float = 0.0

    def __post_init__(self) -> None:
        if self.cells < 1 or self.dims < 1 or self.irrelevant < 0:
            raise ValueError(
                f"cells={self.cells}, dims={self.dims}, irrelevant={self.irrelevant}; expected >= 1, >= 1, >= 0"
            )
        if self.noise < 0 or self.forgetting < 0:
            raise ValueError(f"noise={self.noise}, forgetting={self.forgetting}; expected at least 0")

    @property
    def space(self) -> TaskSpace:
        """Unit cube, relevant dimensions first."""
        relevant = [Parameter(f"x{i}", 0.0, 1.0, 0.0) for i in range(self.dims)]
        return TaskSpace((*relevant, *(Parameter(f"idle{i}", 0.0, 1.0, 0.0) for i in range(self.irrelevant))))

    @property
    def below(self) -> np.ndarray:
        """(2**G - 1, G) steps to the neighbours that may unlock a cell."""
        return np.array([s for s in itertools.product((0, 1), repeat=self.dims) if any(s)], np.int32)

    def initial(self) -> jax.Array:
        """Competence (cells,) * G of a student who knows nothing."""
        return jnp.zeros((self.cells,) * self.dims, jnp.float32)

    def mastered(self, competence: jax.Array) -> jax.Array:
        """() share of mastered cells [%]."""
        return 100.0 * jnp.mean((competence > UNLOCKS).astype(jnp.float32))


def episode(grid: Grid, competence: jax.Array, task: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Practises one task (D,). `key` is consumed. Returns (competence, return)."""
    cell = jnp.clip(jnp.floor(grid.cells * task[: grid.dims]).astype(jnp.int32), 0, grid.cells - 1)
    neighbours = jnp.maximum(cell[None, :] - grid.below, 0)
    itself = jnp.all(neighbours == cell[None, :], -1)
    known = competence[tuple(neighbours.T)] >= UNLOCKS
    unlocked = jnp.any(known & ~itself) | jnp.all(cell == 0)
    here = tuple(cell)
    level = jnp.minimum(competence[here] + unlocked.astype(jnp.float32), FULL)
    if grid.forgetting > 0:
        competence = jnp.maximum(competence - grid.forgetting, 0.0)
    return_ = level / FULL
    if grid.noise > 0:
        return_ = return_ + grid.noise * jax.random.normal(key)
    return competence.at[here].set(level), return_


def train_on_grid(
    key: jax.Array, teacher: Teacher, episodes: int, grid: Grid = Grid(), period: int = 250
) -> tuple[jax.Array, object]:
    """Trains one student from scratch, with one `refit` after every `period` episodes.

    With `period` equal to a teacher's own rate this is the published cadence: within a period the sampling
    distribution does not change. Pure; `jit` it with `teacher`, `episodes`, `grid` and `period` static, `vmap` it over
    keys for seeds.

    Args:
      key: consumed.
      teacher: static.
      episodes: E, a multiple of `period`.
      grid: the student's rules.
      period: episodes between refits.

    Returns:
      Mastered cells [%] after each period (P,), and the teacher's final state.
    """
    if episodes % period:
        raise ValueError(f"episodes={episodes}; expected a multiple of period={period}")

    def practise(competence: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return episode(grid, competence, *now)

    def one_period(carry: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        competence, state = carry
        key_sample, key_noise, key_refit = jax.random.split(key, 3)
        state, task, meta = teacher.sample(state, key_sample, period)
        competence, return_ = jax.lax.scan(practise, competence, (task, jax.random.split(key_noise, period)))
        outcome = Outcome(
            task=task,
            return_=return_,
            length=jnp.ones((period,), jnp.int32),
            success=(return_ * FULL > UNLOCKS).astype(jnp.float32),
            valid=jnp.ones((period,), bool),
            meta=meta,
        )
        state = teacher.refit(teacher.update(state, outcome), key_refit)
        return (competence, state), grid.mastered(competence)

    key_init, key_periods = jax.random.split(key)
    start = (grid.initial(), teacher.init(key_init, grid.space))
    (_, state), mastered = jax.lax.scan(one_period, start, jax.random.split(key_periods, episodes // period))
    return mastered, state
