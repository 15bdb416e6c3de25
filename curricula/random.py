"""Domain randomisation: every task is drawn uniformly, whatever came of the others.

A strong baseline: on several published benchmarks no teacher beats it by much, so every study shows it.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from ..envs.tasks import Outcome, TaskSpace
from .intake import Tally, count_rows, empty_tally, usable_rows


class RandomState(struct.PyTreeNode):
    """What `Random` remembers: only counts."""

    tally: Tally
    space: TaskSpace = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class Random:
    """Draws tasks uniformly in unit space (log-uniformly along a log scale)."""

    def init(self, key: jax.Array, space: TaskSpace) -> RandomState:
        del key  # nothing to draw
        return RandomState(tally=empty_tally(), space=space)

    def sample(self, state: RandomState, key: jax.Array, count: int) -> tuple[RandomState, jax.Array, tuple[()]]:
        unit = jax.random.uniform(key, (count, state.space.unit_dim), jnp.float32)
        return state, state.space.from_unit(unit), ()

    def update(self, state: RandomState, outcome: Outcome) -> RandomState:
        return state.replace(tally=count_rows(state.tally, outcome, usable_rows(outcome)))

    def should_refit(self, state: RandomState) -> jax.Array:
        return jnp.zeros_like(state.tally.episodes, bool)

    def refit(self, state: RandomState, key: jax.Array) -> RandomState:
        del key  # nothing to fit
        return state

    def distribution(self, state: RandomState, tasks: jax.Array) -> jax.Array:
        return jnp.ones(tasks.shape[:1], jnp.float32)

    def metrics(self, state: RandomState) -> dict[str, jax.Array]:
        return {"episodes": state.tally.episodes, "dropped": state.tally.dropped}

    def snapshot(self, state: RandomState) -> dict[str, jax.Array]:
        return {"random_share": jnp.ones((), jnp.float32)}
