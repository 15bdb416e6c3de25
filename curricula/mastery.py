"""A path through the task space, walked as fast as the learner masters it.

Named parameters move together from where they begin to where they end; the others keep their default. Whenever enough
episodes on the present stage have been seen, the stage moves on if enough of them succeeded. That is a curriculum from
easy to hard, and also how help is withdrawn: a reward for subgoals that fades while fewer of them are shown, until the
learner does without.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ..envs.tasks import Outcome, TaskSpace
from .intake import Tally, count_rows, empty_tally, usable_rows


class MasteryState(struct.PyTreeNode):
    """Where on the path the learner is, and what it has shown there."""

    moves: jax.Array  # () int32, steps made so far, at most as many as lead to the end
    stage: jax.Array  # () float32 in [0, 1]
    seen: jax.Array  # () float32, episodes on this stage
    won: jax.Array  # () float32, successes among them
    rate: jax.Array  # () float32, share of successes when last decided
    tally: Tally
    space: TaskSpace = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class Mastery:
    """Moves tasks along a line from `begin` to `end`, one step per proof of mastery.

    Attributes:
      parameters: names of the parameters that move.
      begin: their values at first; the space's defaults if empty.
      end: their values at last.
      threshold: share of successes that counts as mastery; 0 moves on whatever happens, which is a plain schedule.
      episodes: how many episodes of a stage are seen before it is decided on.
      step: how far along the line one decision moves.
    """

    parameters: tuple[str, ...] = ()
    begin: tuple[float, ...] = ()
    end: tuple[float, ...] = ()
    threshold: float = 0.8
    episodes: int = 200
    step: float = 0.1

    def __post_init__(self) -> None:
        if len(self.end) != len(self.parameters) or len(self.begin) not in (0, len(self.parameters)):
            raise ValueError(
                f"begin={self.begin}, end={self.end}; expected a number for each of parameters={self.parameters}"
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold}; expected a share in [0, 1]")
        if self.episodes < 1:
            raise ValueError(f"episodes={self.episodes}; expected at least 1")
        if not 0 < self.step <= 1:
            raise ValueError(f"step={self.step}; expected a share in (0, 1]")

    def init(self, key: jax.Array, space: TaskSpace) -> MasteryState:
        """Raises `TaskError` where the path leaves the space."""
        del key  # nothing to draw
        self._ends(space)
        zero = jnp.zeros(())
        return MasteryState(
            moves=jnp.zeros((), jnp.int32), stage=zero, seen=zero, won=zero, rate=zero, tally=empty_tally(), space=space
        )

    def sample(self, state: MasteryState, key: jax.Array, count: int) -> tuple[MasteryState, jax.Array, jax.Array]:
        """The task of the present stage, `count` times; meta is the stage."""
        del key  # nothing to draw
        task = self._task(state)
        return state, jnp.tile(task, (count, 1)), jnp.full((count,), state.stage)

    def update(self, state: MasteryState, outcome: Outcome) -> MasteryState:
        """Counts episodes that were begun on the present stage; those of earlier ones say nothing about it."""
        usable = usable_rows(outcome)
        counts = usable & (outcome.meta == state.stage)
        seen = state.seen + jnp.sum(counts.astype(jnp.float32))
        won = state.won + jnp.sum(jnp.where(counts, outcome.success, 0.0))
        decides = seen >= self.episodes
        rate = won / jnp.maximum(seen, 1.0)
        mastered = decides & (rate >= self.threshold)
        moves = jnp.minimum(state.moves + mastered.astype(jnp.int32), self._last)
        return state.replace(
            moves=moves,
            stage=self._stage(moves),
            seen=jnp.where(decides, 0.0, seen),
            won=jnp.where(decides, 0.0, won),
            rate=jnp.where(decides, rate, state.rate),
            tally=count_rows(state.tally, outcome, usable),
        )

    def should_refit(self, state: MasteryState) -> jax.Array:
        return jnp.zeros_like(state.tally.episodes, bool)

    def refit(self, state: MasteryState, key: jax.Array) -> MasteryState:
        del key  # nothing to fit
        return state

    def distribution(self, state: MasteryState, tasks: jax.Array) -> jax.Array:
        """Probability mass instead of a density, which would be infinite: 1 at the stage's task, 0 elsewhere."""
        return jnp.all(tasks == self._task(state)[None, :], -1).astype(jnp.float32)

    def metrics(self, state: MasteryState) -> dict[str, jax.Array]:
        return {
            "episodes": state.tally.episodes,
            "dropped": state.tally.dropped,
            "stage": state.stage,
            "success_rate": state.rate,
        }

    def snapshot(self, state: MasteryState) -> dict[str, jax.Array]:
        return {"task": self._task(state), "stage": state.stage}

    @property
    def _last(self) -> int:
        """How many moves lead to the end: 1 / step, rounded up unless it is whole but for rounding, as for 0.02."""
        return min(math.ceil(1.0 / self.step - 1e-6), np.iinfo(np.int32).max)

    def _stage(self, moves: jax.Array) -> jax.Array:
        """() float32: a product, since a sum of steps would drift."""
        return jnp.where(moves >= self._last, 1.0, jnp.minimum(1.0, moves.astype(jnp.float32) * self.step))

    def _ends(self, space: TaskSpace) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last task (D,)."""
        begin, end = (
            space.from_dict(dict(zip(self.parameters, values, strict=False))) for values in (self.begin, self.end)
        )
        return begin, end

    def _task(self, state: MasteryState) -> jax.Array:
        begin, end = (jnp.asarray(task) for task in self._ends(state.space))
        return state.space.clip(begin + state.stage * (end - begin))
