"""Gradient phases of off-policy learners as compiled programs, ours and the ones written out plainly.

Letters: S seeds, n phases of a call, N transitions of one phase.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...agents.off_policy.contract import Learner
from ...agents.off_policy.replay import draw_rows
from ...agents.off_policy.sac import SAC
from ...agents.off_policy.transitions import ACTION_LIMIT, Transitions
from . import _written_out as plain

COMPILER_OPTIONS: dict[str, Any] = {}
Update = Callable[[jax.Array, Any, Transitions], tuple[Any, dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
      obs, action: widths of observations and actions.
      rows: transitions to draw from.
      width: of the hidden layers.
      critics: most critics of an ensemble.
      batch: transitions of one step.
      seeds: learners side by side.
    """

    obs: int = 17
    action: int = 6
    rows: int = 100_000
    width: int = 256
    critics: int = 10
    batch: int = 256
    seeds: tuple[int, ...] = (1, 4, 8)

    def fit(self, learner: Any) -> Any:
        """A learner of this size."""
        own: dict[str, Any] = {
            "nets": dataclasses.replace(learner.nets, critic=(self.width,) * 2, actor=(self.width,) * 2),
            "batch_size": self.batch,
        }
        if isinstance(learner, SAC):
            own["num_critics"] = min(learner.num_critics, self.critics)
            own["target_members"] = min(learner.target_members, self.critics)
        return dataclasses.replace(learner, **own)

    def transitions(self) -> Transitions:
        """Random ones; one of fifty is terminal."""
        rng = np.random.default_rng(0)
        normal = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
        over = rng.random(self.rows) < 0.02
        return Transitions(
            obs=normal(self.rows, self.obs),
            action=jnp.asarray(rng.uniform(-ACTION_LIMIT, ACTION_LIMIT, (self.rows, self.action)), jnp.float32),
            reward=normal(self.rows),
            next_obs=normal(self.rows, self.obs),
            mask=jnp.asarray(1.0 - over, jnp.float32),
            ended=jnp.asarray(over),
            return_to_go=normal(self.rows),
        )


class Phases:
    """n gradient phases in one compiled program, each on transitions of its own; calling it does them.

    The state is donated, and data is on the device.

    Attributes:
      compile_seconds: how long the program took to compile.
    """

    def __init__(self, update: Update, state: Any, data: Transitions, rows: int, count: int, seeds: int | None = None):
        def one(state: Any, key: jax.Array, data: Transitions) -> tuple[Any, dict[str, Any]]:
            key_draw, key_update = jax.random.split(key)
            return update(key_update, state, draw_rows(key_draw, data, rows))

        def forward(state: Any, number: jax.Array, data: Transitions) -> tuple[Any, Any]:
            shape = (count,) if seeds is None else (count, seeds)
            keys = jax.random.split(jax.random.fold_in(jax.random.key(0), number), shape)
            step = one if seeds is None else jax.vmap(one, (0, 0, None))
            state, metrics = jax.lax.scan(lambda state, key: step(state, key, data), state, keys)
            return state, jax.tree.map(lambda x: jnp.mean(x, 0), metrics)

        self._state, self._data = state, data
        self._number, self._done = 0, count * (seeds or 1)
        program = jax.jit(forward, donate_argnums=0, compiler_options=COMPILER_OPTIONS)
        lowered = program.lower(state, np.int32(0), data)
        begin = time.perf_counter()
        self._forward = lowered.compile()
        self.compile_seconds = time.perf_counter() - begin

    def __call__(self) -> int:
        self._number += 1
        self._state, metrics = self._forward(self._state, np.int32(self._number), self._data)
        jax.block_until_ready((self._state, metrics))
        return self._done


def ours(learner: Learner, data: Transitions, count: int, seeds: int | None = None) -> Phases:
    """Phases of one of our learners, or of several side by side."""
    return Phases(learner.update, fresh(learner, data, seeds), data, learner.rows, count, seeds)


def written_out(learner: SAC, data: Transitions, count: int) -> Phases:
    """Phases of the same learner written out plainly, which evaluates every critic."""
    settings = plain.settings_of(learner)

    def update(key: jax.Array, state: Any, batch: Transitions) -> tuple[Any, dict[str, Any]]:
        state, report = plain.update(settings, state, batch, key)
        return state, {name: jnp.mean(value) for name, value in report.items() if name != "gradients"}

    return Phases(update, plain.start_of(fresh(learner, data)), data, learner.rows, count)


def fresh(learner: Learner, data: Transitions, seeds: int | None = None) -> Any:
    """A learner's state, or those of several with a leading axis."""

    def init(key: jax.Array) -> Any:
        return learner.init(key, data.obs.shape[-1], data.action.shape[-1])

    # What runs once need not be compiled well.
    start = jax.jit(init if seeds is None else jax.vmap(init), compiler_options={"xla_backend_optimization_level": 0})
    state = start(jax.random.split(jax.random.key(0), () if seeds is None else (seeds,)))
    return jax.tree.map(lambda x: jnp.asarray(x, x.dtype, copy=True), state)
