"""Everything a run appends to as it goes: rows of metrics, TensorBoard, finished episodes, the curriculum."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .metrics import JsonLines, TensorBoard, cut_rows
from .records import cut_columns, episode_columns, write_columns

COLUMN_FOLDERS = ("episodes", "curriculum", "evals")


class Journal:
    """The records of one run folder, cut back to a step and then only appended to.

    Rows are written at once. Episodes and snapshots wait for `flush`, which goes with every checkpoint: what comes
    after the last checkpoint is cut at a resume anyway.
    """

    def __init__(self, folder: Path, first_seed: int, num_seeds: int, warn: Callable[[str], None]):
        self._folder, self._first_seed, self._num_seeds, self._warn = folder, first_seed, num_seeds, warn
        self._files: dict[str, JsonLines] = {}
        self._tensorboard: TensorBoard | None = None
        self._waiting: dict[str, list[Mapping[str, np.ndarray]]] = {}

    def reopen(self, step: int) -> None:
        """Drops what lies after `step` and opens the files for appending."""
        self.close()
        for name in ("metrics", "evals"):
            path = self._folder / f"{name}.jsonl"
            cut_rows(path, step)
            self._files[name] = JsonLines(path)
        for name in COLUMN_FOLDERS:
            cut_columns(self._folder / name, step)
        self._waiting = {name: [] for name in COLUMN_FOLDERS}
        seeds = range(self._first_seed, self._first_seed + self._num_seeds)
        self._tensorboard = TensorBoard(self._folder / "tb", seeds, step + 1 if step else None, self._warn)

    def write(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Appends rows to `metrics` or `evals`."""
        for row in rows:
            self._files[name].append(row)
            if self._tensorboard is not None:
                self._tensorboard.write(row)

    def add_episodes(self, ended: Any, step: int) -> None:
        """Takes the finished episodes of a chunk: arrays like `Ended` with leading axes (iterations, seeds, K)."""
        columns = episode_columns(ended, step, self._first_seed)
        if len(columns["return"]):
            self._waiting["episodes"].append(columns)

    def add_snapshot(self, snapshot: Mapping[str, np.ndarray], step: int) -> None:
        """Takes the teacher's snapshot (leading axis: seeds) as it stands after a chunk."""
        rows = {name: np.asarray(array)[None] for name, array in snapshot.items()}
        self._waiting["curriculum"].append(rows | {"step": np.array([step], np.int64)})

    def add_scores(self, tasks: Any, scores: Any, step: int) -> None:
        """Takes the scores (S, K) of an evaluation on K test tasks; scores on levels are kept without the levels."""
        columns = {"return": np.asarray(scores.return_)[None], "success": np.asarray(scores.success)[None]}
        if hasattr(tasks, "shape"):
            columns["task"] = np.asarray(tasks)[None]
        self._waiting["evals"].append(columns | {"step": np.array([step], np.int64)})

    def flush(self, step: int) -> None:
        """Forces everything so far to the disk, before the checkpoint of `step` that presumes it."""
        for file in self._files.values():
            file.sync()
        for name, chunks in self._waiting.items():
            if chunks:
                columns = {key: np.concatenate([chunk[key] for chunk in chunks]) for key in chunks[0]}
                write_columns(self._folder / name, step, columns)
                chunks.clear()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}
        if self._tensorboard is not None:
            self._tensorboard.close()
        self._tensorboard = None
