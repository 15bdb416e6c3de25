"""The teacher contract: a frozen configuration with pure functions over one state.

A teacher knows a task space and outcomes. It never sees an environment, an agent or a logger. `update` is cheap and
runs every training iteration; `refit` is expensive and runs when `should_refit` says so. They are apart because a
`cond` under `vmap` executes both branches: `refit_when_due` keeps an expensive fit from running for every seed.

Letters: K tasks or episodes, D task parameters.
"""

from typing import Any, Protocol, TypeVar, runtime_checkable

import jax

from ..envs.tasks import Outcome, TaskSpace

TeacherState = TypeVar("TeacherState")


@runtime_checkable
class Teacher(Protocol[TeacherState]):
    """What every teacher implements; frozen and hashable, so it may be static under `jit`.

    States are frozen `flax.struct` dataclasses of arrays with static shapes; the task space they were made for is a
    static field. Rows of an `Outcome` whose `valid` is False leave the state bitwise unchanged.
    """

    def init(self, key: jax.Array, space: TaskSpace) -> TeacherState:
        """The state before the first episode. `key` is consumed."""

    def sample(self, state: TeacherState, key: jax.Array, count: int) -> tuple[TeacherState, jax.Array, Any]:
        """Proposes `count` tasks (K, D) inside the space, and meta (leading axis K) to be handed back with each
        outcome. `key` is consumed; `count` is static."""

    def update(self, state: TeacherState, outcome: Outcome) -> TeacherState:
        """Takes in K outcomes, in row order where order matters; at most O(K x history) work."""

    def should_refit(self, state: TeacherState) -> jax.Array:
        """() bool: whether `refit` is due."""

    def refit(self, state: TeacherState, key: jax.Array) -> TeacherState:
        """The expensive part: fits a model of progress. `key` is consumed."""

    def distribution(self, state: TeacherState, tasks: jax.Array) -> jax.Array:
        """Sampling density (K,) at tasks (K, D), with respect to volume in unit space; for plots."""

    def metrics(self, state: TeacherState) -> dict[str, jax.Array]:
        """Scalars for the log, without prefix."""

    def snapshot(self, state: TeacherState) -> dict[str, jax.Array]:
        """Arrays that let a plot draw the curriculum as it stands (means, covariances, boxes, scores)."""
