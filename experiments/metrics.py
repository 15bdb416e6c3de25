"""Numbers over time: JSON lines and TensorBoard, one row per seed.

A row is flat: `step` (environment steps of one learner, the x axis, what checkpoints are named by), `env_steps`
(environment steps of all seeds together), `iteration`, `seed`, `wall_s`, then `key: number` under the names
Stable-Baselines3 uses (`rollout/ep_rew_mean`, `time/fps`, `train/<loss>`, `eval/mean_reward`). A number that is not
finite is written as null beside `<key>_nonfinite: 1`.

Letters: n iterations of a chunk, S seeds.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_atomic

UPDATES = "train/updates_sum"
INDEX_KEYS = ("step", "env_steps", "iteration", "seed", "wall_s")


def summarize(per_iteration: Mapping[str, Any]) -> list[dict[str, float]]:
    """Metrics (n, S) of one chunk as one dict per seed.

    Counts and sums (`rollout/episodes`, `…_sum`) are added, `teacher/…` keeps its last value, everything else is
    averaged. Means per episode are derived from the sums; a chunk in which no episode ended has none. Where an agent
    counts its updates (`train/updates_sum`), only iterations with some count for the means of `train/…`, of which a
    chunk without any has none.
    """
    num_seeds = next(iter(per_iteration.values())).shape[1] if per_iteration else 1
    rows: list[dict[str, float]] = [{} for _ in range(num_seeds)]
    updates = per_iteration.get(UPDATES)
    learned = None if updates is None else np.asarray(updates) > 0
    for name, values in per_iteration.items():
        of_learning = learned if name.startswith("train/") and not is_sum(name) else None
        merged = _merge(name, np.asarray(values, np.float64), of_learning)
        for seed, (row, value) in enumerate(zip(rows, merged, strict=True)):
            if of_learning is None or of_learning[:, seed].any():
                row[name] = float(value)
    return [_derive(row) for row in rows]


def _merge(name: str, values: np.ndarray, counted: np.ndarray | None) -> np.ndarray:
    """Values (n, S) of one metric as (S,); `counted` (n, S) bool are those that a mean is of, None for all."""
    if is_sum(name):
        return values.sum(0)
    if name.startswith("teacher/"):
        return values[-1]
    if counted is None:
        return values.mean(0)
    return np.where(counted, values, 0.0).sum(0) / np.maximum(counted.sum(0), 1)


def is_sum(name: str) -> bool:
    """Whether a metric is a count or sum over one iteration."""
    return name.endswith("_sum") or name == "rollout/episodes"


def _derive(row: dict[str, float]) -> dict[str, float]:
    episodes = row.get("rollout/episodes", 0.0)
    means = {"return_sum": "ep_rew_mean", "length_sum": "ep_len_mean", "success_sum": "success_rate"}
    derived = {}
    for part, mean in means.items():
        if f"rollout/{part}" in row and episodes > 0:
            derived[f"rollout/{mean}"] = row[f"rollout/{part}"] / episodes
    kept = {name: value for name, value in row.items() if name not in {f"rollout/{part}" for part in means}}
    return derived | kept


class JsonLines:
    """An append-only file of flat objects."""

    def __init__(self, path: Path):
        self.path = path
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open for the length of the run

    def append(self, row: Mapping[str, Any]) -> None:
        """Writes one line; a kill can lose or halve this line, not earlier ones."""
        self._file.write(json.dumps(finite_row(row), allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Forces all lines to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def finite_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row` with numbers that JSON lacks as null and a mark beside them."""
    written: dict[str, Any] = {}
    for key, value in row.items():
        bad = isinstance(value, float) and not math.isfinite(value)
        written[key] = None if bad else value
        if bad:
            written[f"{key}_nonfinite"] = 1
    return written


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line that is not finished is left out, as is a missing file."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = []
    for line in lines[:-1]:  # what follows the last line end is unfinished or empty
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a torn line in the middle can only come from a power cut between two syncs
        if isinstance(row, dict):
            rows.append(row)
    return rows


def cut_rows(path: Path, step: int) -> None:
    """Drops rows after `step` and an unfinished last line."""
    if path.exists():
        kept = [row for row in read_rows(path) if row.get("step", 0) <= step]
        write_atomic(path, "".join(json.dumps(row) + "\n" for row in kept))


class TensorBoard:
    """Scalars for TensorBoard, one sub-folder per seed. Its failure is reported once and never stops training."""

    def __init__(self, folder: Path, seeds: Iterable[int], purge_step: int | None, warn: Callable[[str], None]):
        self._warn, self._writers = warn, {}
        seeds = list(seeds)
        try:
            from tensorboardX import SummaryWriter

            for seed in seeds:
                place = folder if len(seeds) == 1 else folder / f"seed_{seed}"
                self._writers[seed] = SummaryWriter(str(place), purge_step=purge_step, flush_secs=30)
        except Exception as error:  # a tracker may fail in any way; training goes on
            self._fail(error)

    def write(self, row: Mapping[str, Any]) -> None:
        writer = self._writers.get(row["seed"])
        if writer is None:
            return
        try:
            for key, value in row.items():
                if key not in INDEX_KEYS and isinstance(value, (int, float)) and math.isfinite(value):
                    writer.add_scalar(key, value, row["step"])
        except Exception as error:  # as above
            self._fail(error)

    def close(self) -> None:
        for writer in self._writers.values():
            try:
                writer.close()
            except Exception as error:  # as above
                self._warn(f"TensorBoard: {type(error).__name__}: {error}")
        self._writers = {}

    def _fail(self, error: Exception) -> None:
        self._writers = {}
        self._warn(f"TensorBoard stopped: {type(error).__name__}: {error}; training continues without it")
