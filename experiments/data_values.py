"""How an online learner's values of offline data change: a record of its own beside a run's metrics.

Letters: S seeds, N transitions looked at.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .metrics import JsonLines, cut_rows, read_rows
from .runner import Callback

FILE = "data_values.jsonl"


class DataValues(Callback):
    """Writes the critics' mean value of fixed transitions before the first step and after every chunk.

    Args:
      agent: an off-policy one, with critics.
      obs, action: (N, ...) of the data, as learners take them.
      num_seeds: S.
    """

    def __init__(self, agent: Any, obs: np.ndarray, action: np.ndarray, num_seeds: int):
        rows = jnp.asarray(obs), jnp.asarray(action)

        def one(learned: Any) -> jax.Array:
            return jnp.mean(agent.learner.values(learned, *rows))

        self._values = jax.jit(one if num_seeds == 1 else jax.vmap(one))
        self._file: JsonLines | None = None

    def on_train_start(self, run_dir: Path, steps: int, state: Any) -> None:
        cut_rows(run_dir / FILE, steps)
        self._file = JsonLines(run_dir / FILE)
        if steps == 0:
            self._write(0, state)

    def on_chunk_end(self, rows: list[dict[str, Any]], state: Any) -> None:
        self._write(rows[0]["step"], state)

    def _write(self, step: int, state: Any) -> None:
        assert self._file is not None
        values = np.atleast_1d(np.asarray(self._values(state.learned), np.float64))
        self._file.append({"step": step, "values": values.tolist()})

    def on_train_end(self, result: Any) -> None:
        if self._file is not None:
            self._file.close()


def value_drop(run_dir: Path) -> np.ndarray:
    """(S,) how far the mean value of the data fell below what it was at the switch."""
    values = np.array([row["values"] for row in read_rows(run_dir / FILE)])
    return np.asarray(values[0] - values.min(0))
