"""No curriculum: the same task in every episode."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from ..envs.tasks import Outcome, TaskSpace
from .intake import Tally, count_rows, empty_tally, usable_rows


class FixedState(struct.PyTreeNode):
    """The task, and counts."""

    task: jax.Array  # (D,)
    tally: Tally
    space: TaskSpace = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class Fixed:
    """Always proposes one task.

    Attributes:
      task: D numbers in task units; None means the space's default, the environment's standard form.
    """

    task: tuple[float, ...] | None = None

    def init(self, key: jax.Array, space: TaskSpace) -> FixedState:
        """Raises `TaskError` where the task does not belong to the space."""
        del key  # nothing to draw
        task = space.default if self.task is None else space.validate(list(self.task))
        return FixedState(task=jnp.asarray(task), tally=empty_tally(), space=space)

    def sample(self, state: FixedState, key: jax.Array, count: int) -> tuple[FixedState, jax.Array, tuple[()]]:
        del key  # nothing to draw
        return state, jnp.tile(state.task, (count, 1)), ()

    def update(self, state: FixedState, outcome: Outcome) -> FixedState:
        return state.replace(tally=count_rows(state.tally, outcome, usable_rows(outcome)))

    def should_refit(self, state: FixedState) -> jax.Array:
        return jnp.zeros_like(state.tally.episodes, bool)

    def refit(self, state: FixedState, key: jax.Array) -> FixedState:
        del key  # nothing to fit
        return state

    def distribution(self, state: FixedState, tasks: jax.Array) -> jax.Array:
        """Probability mass instead of a density, which would be infinite: 1 at the task, 0 elsewhere."""
        return jnp.all(tasks == state.task[None, :], -1).astype(jnp.float32)

    def metrics(self, state: FixedState) -> dict[str, jax.Array]:
        return {"episodes": state.tally.episodes, "dropped": state.tally.dropped}

    def snapshot(self, state: FixedState) -> dict[str, jax.Array]:
        return {"task": state.task}
