"""Column files of a run: finished episodes and snapshots of the curriculum, one small file per checkpoint.

`episodes/step_<step>.npz`: every column has one row per finished episode, in order of time:
  task (E, D) float32 [or task/<path> per leaf of a level], return (E,) float32, length (E,) int32,
  success (E,) float32, seed (E,) int32, step (E,) int64: training step at the end of the chunk that saw it end.
`curriculum/step_<step>.npz`: the teacher's snapshots, every array (P, seeds, ...), and step (P,) int64.
`evals/step_<step>.npz`: the scores of every evaluation on K test tasks: step (P,), task (P, K, D), return (P, S, K),
  success (P, S, K).

A file is written whole and covers the stretch up to the checkpoint of the same step, so a kill loses only what will be
repeated, and going back to an earlier checkpoint is deleting files.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .files import write_atomic

_FILE = re.compile(r"step_(\d{12})\.npz")


def write_columns(folder: Path, step: int, columns: Mapping[str, np.ndarray]) -> None:
    """Writes the columns of the stretch that ends with `step`."""
    buffer = io.BytesIO()
    np.savez(buffer, **columns)  # type: ignore[arg-type]
    folder.mkdir(exist_ok=True)
    write_atomic(folder / f"step_{step:012d}.npz", buffer.getvalue())


def read_episodes(run: Path) -> dict[str, np.ndarray]:
    """All finished episodes of a run as columns; empty where the run recorded none."""
    return _read_columns(run / "episodes")


def read_curriculum(run: Path) -> dict[str, np.ndarray]:
    """All snapshots of a run's teacher: `step` (P,) and arrays (P, seeds, ...); empty where it recorded none."""
    return _read_columns(run / "curriculum")


def cut_columns(folder: Path, step: int) -> None:
    """Deletes files after `step`."""
    for found, path in _files(folder):
        if found > step:
            path.unlink()


def episode_columns(ended: Any, step: int, first_seed: int) -> dict[str, np.ndarray]:
    """The valid rows of `Ended` arrays with leading axes (iterations, seeds, K), in order of iteration."""
    rows = np.nonzero(np.asarray(ended.valid))
    columns: dict[str, np.ndarray] = {
        "return": np.asarray(ended.return_)[rows].astype(np.float32),
        "length": np.asarray(ended.length)[rows].astype(np.int32),
        "success": np.asarray(ended.success)[rows].astype(np.float32),
        "seed": (first_seed + rows[1]).astype(np.int32),
        "step": np.full(len(rows[0]), step, np.int64),
    }
    for path, leaf in jax.tree_util.tree_leaves_with_path(ended.task):
        name = "/".join(["task", *(str(getattr(k, "name", getattr(k, "key", k))) for k in path)])
        columns[name] = np.asarray(leaf)[rows]
    return columns


def _files(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    matches = ((_FILE.fullmatch(p.name), p) for p in folder.iterdir())
    return sorted((int(m[1]), p) for m, p in matches if m)


def _read_columns(folder: Path) -> dict[str, np.ndarray]:
    stretches = []
    for _, path in _files(folder):
        try:
            with np.load(path, allow_pickle=False) as data:
                stretches.append({name: data[name] for name in data.files})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            continue  # a live run replaces and deletes files under its readers
    return {name: np.concatenate([s[name] for s in stretches]) for name in stretches[0]} if stretches else {}
