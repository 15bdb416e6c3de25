"""A teacher beside a training loop that is not compiled: one object, one episode at a time."""

from functools import partial
from typing import Any

import jax
import numpy as np

from ..envs.tasks import Outcome, TaskSpace
from .contract import Teacher


@partial(jax.jit, static_argnames=("config", "count"))
def _sample(config: Teacher, state: Any, key: jax.Array, count: int) -> tuple[Any, jax.Array, Any]:
    return config.sample(state, key, count)


@partial(jax.jit, static_argnames="config")
def _update(config: Teacher, state: Any, outcome: Outcome) -> tuple[Any, jax.Array]:
    state = config.update(state, outcome)
    return state, config.should_refit(state)


@partial(jax.jit, static_argnames="config")
def _refit(config: Teacher, state: Any, key: jax.Array) -> Any:
    return config.refit(state, key)


class HostTeacher:
    """A thin shell over a teacher's pure functions, which run on the CPU device.

    Refits happen in `report`, right after the episode that makes them due, so the published cadence is kept exactly.
    Equal configurations share their compiled functions. Not thread-safe.

    Example:
      >>> from palaestra.curricula import HostTeacher, Random
      >>> from palaestra.envs.tasks import Parameter, TaskSpace
      >>> teacher = HostTeacher(Random(), TaskSpace((Parameter("slope", 0.0, 1.0, 0.0),)), seed=0)
      >>> task, meta = teacher.sample_task()
      >>> teacher.report(task, meta, return_=1.0, length=200, success=True)
      >>> int(teacher.metrics()["episodes"])
      1
    """

    def __init__(self, config: Teacher, space: TaskSpace, seed: int, draw_ahead: int = 64) -> None:
        """Makes the state before the first episode.

        Args:
          config: the teacher, frozen and hashable.
          space: what it chooses from.
          seed: any int; equal seeds and reports give equal tasks.
          draw_ahead: tasks per device call. Draws made ahead are dropped at a refit, never served after it; a teacher
            whose `update` alone changes what it samples needs 1.
        """
        if draw_ahead < 1:
            raise ValueError(f"draw_ahead={draw_ahead}; expected at least 1")
        self.config = config
        self.space = space
        self.refits = 0
        self._draw_ahead = draw_ahead
        self._device = jax.local_devices(backend="cpu")[0]
        self._drawn: list[tuple[np.ndarray, Any]] = []
        self._closed = False
        with jax.default_device(self._device):
            self._key, key_init = jax.random.split(jax.random.key(seed))
            self._state = config.init(key_init, space)

    @property
    def state(self) -> Any:
        """The teacher's functional state."""
        return self._state

    def sample_task(self) -> tuple[np.ndarray, Any]:
        """The next task (D,) float32, and meta to be handed back with its outcome."""
        self._check_open()
        if not self._drawn:
            with jax.default_device(self._device):
                self._state, tasks, meta = _sample(self.config, self._state, self._next_key(), self._draw_ahead)
            tasks, meta = jax.tree.map(np.asarray, (tasks, meta))
            rows = reversed(range(self._draw_ahead))
            self._drawn = [(tasks[i], jax.tree.map(lambda leaf, i=i: leaf[i], meta)) for i in rows]
        return self._drawn.pop()

    def report(self, task: Any, meta: Any, *, return_: float, length: int, success: bool) -> None:
        """Says how the episode on `task` went. A return that is not finite is dropped and counted.

        Args:
          task: as `sample_task` gave it; also a dict or any vector inside the space.
          meta: as `sample_task` gave it.
          return_: undiscounted sum of raw rewards.
          length: [steps].
          success: whether the environment calls it one.
        """
        self._check_open()
        row: dict[str, Any] = {  # NumPy, because `jit` takes it in faster than arrays made one by one on the device
            "task": self.space.validate(task)[None],
            "return_": np.array([return_], np.float32),
            "length": np.array([length], np.int32),
            "success": np.array([success], np.float32),
            "valid": np.ones((1,), bool),
            "meta": jax.tree.map(lambda leaf: np.asarray(leaf)[None], meta),
        }
        with jax.default_device(self._device):
            self._state, due = _update(self.config, self._state, Outcome(**row))
            if due:
                self._state = _refit(self.config, self._state, self._next_key())
                self._drawn = []
                self.refits += 1

    def metrics(self) -> dict[str, float]:
        """The teacher's metrics as Python numbers."""
        with jax.default_device(self._device):
            return {name: value.item() for name, value in self.config.metrics(self._state).items()}

    def snapshot(self) -> dict[str, np.ndarray]:
        """The teacher's snapshot as NumPy arrays."""
        with jax.default_device(self._device):
            return {name: np.asarray(value) for name, value in self.config.snapshot(self._state).items()}

    def close(self) -> None:
        """Ends the lesson: later proposals and reports are errors; metrics and snapshot stay readable."""
        self._closed = True
        self._drawn = []

    def _next_key(self) -> jax.Array:
        self._key, key = jax.random.split(self._key)
        return key

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this HostTeacher is closed; make a new one")
