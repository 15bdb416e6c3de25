"""What runs recorded, as arrays: the one place that knows how a plot's data lies in a run folder.

Read are `run.json`, `config.yaml`, `metrics.jsonl` and `evals.jsonl` (one row per seed and time), `episodes/` and
`curriculum/` (`records.py`), and, laid out like these, the scores of every evaluation:
`evals/step_<step>.npz`: step (P,), task (P, K, D), return (P, S, K), success (P, S, K).
Anything may be missing: a run that is still going, or that recorded less, is shown with what it has.

Letters: S seeds, P points in time, E finished episodes, K test tasks, D task parameters.
"""

import contextlib
import dataclasses
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .config_files import read_config_file
from .metrics import read_rows
from .run_folder import read_run

# Settings of a run that leave its learners what they are: runs that differ in these only belong to one group.
_INCIDENTAL = {"schema", "env"} | {
    f"run.{name}"
    for name in (
        *("seed", "num_seeds", "keep", "save_every", "save_seconds", "max_seconds", "nan_policy"),
        *("log_every", "eval_every", "eval_episodes", "eval_tasks", "eval_actions"),
    )
}


@dataclasses.dataclass(frozen=True)
class Axis:
    """One free task parameter, as a plot needs it.

    Attributes:
      index: its column in a task.
    """

    index: int
    name: str
    low: float
    high: float
    unit: str = "1"
    is_log: bool = False

    @property
    def label(self) -> str:
        """Name and unit."""
        words = self.name.replace("_", " ")
        return words if self.unit in ("", "1") else f"{words} [{self.unit}]"

    def to_unit(self, values: np.ndarray) -> np.ndarray:
        """Values as distances along the axis, 0 at `low` and 1 at `high`."""
        if self.is_log:
            return np.log(np.maximum(values, 1e-30) / self.low) / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)

    def from_unit(self, unit: np.ndarray) -> np.ndarray:
        """The inverse of `to_unit`."""
        if self.is_log:
            return self.low * np.exp(unit * math.log(self.high / self.low))
        return self.low + unit * (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """Scores of one learner on every test task.

    Attributes:
      steps: (P,).
      task: (K, D).
      return_, success: (P, K).
    """

    steps: np.ndarray
    task: np.ndarray
    return_: np.ndarray
    success: np.ndarray


@dataclasses.dataclass(frozen=True)
class Snapshots:
    """The teacher of one learner over time: `steps` (P,), arrays (P, ...)."""

    steps: np.ndarray
    arrays: Mapping[str, np.ndarray]

    def refits(self) -> np.ndarray:
        """Indices of the snapshots that differ from the one before, the first of all left out."""
        if len(self.steps) < 2:
            return np.zeros(0, np.int64)
        moved = np.zeros(len(self.steps) - 1, bool)
        for array in self.arrays.values():
            flat = np.nan_to_num(np.asarray(array, np.float64).reshape(len(array), -1))
            moved |= np.any(flat[1:] != flat[:-1], axis=1)
        return np.flatnonzero(moved) + 1


@dataclasses.dataclass(frozen=True)
class Learner:
    """One seed of one run.

    Attributes:
      metrics, evals: rows of this seed in order of steps.
      episodes: columns (E, ...) named as in `records.py`; empty where none were recorded.
      evaluations: None where the run kept no scores per task.
      snapshots: None where the teacher has none.
    """

    run: "Run"
    seed: int
    metrics: Sequence[Mapping[str, Any]]
    evals: Sequence[Mapping[str, Any]]
    episodes: Mapping[str, np.ndarray]
    evaluations: Evaluations | None
    snapshots: Snapshots | None

    @property
    def acts(self) -> bool:
        """Whether it learns from acting; one that learns from data alone counts updates instead of steps."""
        return not self.metrics or self.metrics[-1].get("env_steps") != 0

    def curve(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """A number of the training log over steps, both (P,); rows without it, or with null, are left out."""
        return _curve(self.metrics, key)

    def eval_curve(self, key: str) -> tuple[np.ndarray, np.ndarray]:
        """A number of the evaluations over steps, both (P,)."""
        return _curve(self.evals, key)

    def final(self, key: str) -> float:
        """The latest value of an evaluation's number; NaN where there is none."""
        values = self.eval_curve(key)[1]
        return float(values[-1]) if values.size else math.nan

    @property
    def last_row(self) -> Mapping[str, Any]:
        """The newest row of the training log or of the evaluations."""
        rows = [*self.metrics[-1:], *self.evals[-1:]]
        return max(rows, key=lambda row: row.get("step", 0), default={})


@dataclasses.dataclass
class Run:
    """One run folder.

    Attributes:
      info: `run.json`.
      config: `config.yaml`.
      axes: the free parameters of the task space; empty where tasks are no vectors or the environment is not known.
      has_success: whether success means something in this environment.
      learners: one per seed.
    """

    path: Path
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    axes: tuple[Axis, ...] = ()
    has_success: bool = True
    learners: tuple[Learner, ...] = ()

    @property
    def env(self) -> str:
        return str(self.config.get("env", "unknown environment"))

    @property
    def agent(self) -> str:
        return str(self.config.get("agent", "unknown agent"))

    @property
    def teacher(self) -> str:
        return str(self.config.get("teacher") or "no teacher")

    @property
    def settings(self) -> Mapping[str, Any]:
        """Section `run` of the configuration."""
        found = self.config.get("run")
        return found if isinstance(found, Mapping) else {}

    @property
    def first_seed(self) -> int:
        return int(self.settings.get("seed", 0))

    @property
    def test_set(self) -> str:
        """Which tasks it is evaluated on; scores on different ones are not comparable."""
        count, kind = self.settings.get("eval_episodes"), self.settings.get("eval_tasks")
        if isinstance(kind, Mapping):
            tasks = f"the task with {', '.join(f'{name} {value:g}' for name, value in kind.items())}"
        else:
            tasks = "the default task" if kind == "default" else f"{count or 'an unknown number of'} tasks of the space"
        return f"{tasks}, actions drawn" if self.settings.get("eval_actions") == "drawn" else tasks


@dataclasses.dataclass(frozen=True)
class Study:
    """Runs sorted for comparison.

    Attributes:
      groups: {environment: {label: learners with equal settings}}.
      warnings: what a reader of the results should know.
    """

    runs: tuple[Run, ...]
    groups: Mapping[str, Mapping[str, list[Learner]]]
    warnings: tuple[str, ...]


def load_study(run_dirs: Iterable[Path | str]) -> Study:
    """Reads runs and groups their learners by environment and by what else distinguishes them.

    Raises:
      InputFileError: a folder that is no run.
    """
    paths = list(dict.fromkeys(Path(p).resolve() for p in run_dirs))
    runs = tuple(load_run(path) for path in paths)
    warnings = [f"{run.path.name}: the run is {run.info['status']}" for run in runs if _is_unfinished(run)]
    groups: dict[str, dict[str, list[Learner]]] = {}
    for run, label in zip(runs, _labels(runs), strict=True):
        group = groups.setdefault(run.env, {}).setdefault(label, [])
        for learner in run.learners:
            if learner.seed in {other.seed for other in group}:
                warnings.append(f"{run.path.name}: seed {learner.seed} of {label} is there already; counted once")
            else:
                group.append(learner)
    return Study(runs, groups, tuple(warnings))


def load_run(path: Path) -> Run:
    """One run folder with everything it recorded.

    Raises:
      InputFileError: no run there, or one of a newer version.
    """
    from .records import read_curriculum, read_episodes  # imports jax

    info = read_run(path)
    config_path = path / "config.yaml"
    config = read_config_file(config_path) if config_path.exists() else {}
    run = Run(path=path, info=info, config=config)
    metrics, evals = read_rows(path / "metrics.jsonl"), read_rows(path / "evals.jsonl")
    episodes, snapshots, scores = read_episodes(path), read_curriculum(path), read_scores(path)
    run.axes, run.has_success = _environment(run, episodes)
    seeds = sorted({int(row.get("seed", run.first_seed)) for row in [*metrics, *evals]})
    run.learners = tuple(
        Learner(
            run=run,
            seed=seed,
            metrics=_of_seed(metrics, seed, run.first_seed),
            evals=_of_seed(evals, seed, run.first_seed),
            episodes={name: column[episodes["seed"] == seed] for name, column in episodes.items()},
            evaluations=_evaluations(scores, seed - run.first_seed),
            snapshots=_snapshots(snapshots, seed - run.first_seed),
        )
        for seed in seeds
    )
    return run


def read_scores(path: Path) -> dict[str, np.ndarray]:
    """Scores of every evaluation on every test task, as columns with leading axis P; empty where none were kept."""
    parts = []
    for file in sorted((path / "evals").glob("step_*.npz")):
        with contextlib.suppress(OSError, ValueError, zipfile.BadZipFile), np.load(file, allow_pickle=False) as data:
            parts.append({name: data[name] for name in data.files})  # a live run's files may vanish meanwhile
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]} if parts else {}


def _evaluations(scores: Mapping[str, np.ndarray], row: int) -> Evaluations | None:
    """Evaluations on the last one's test tasks, for the learner in `row`."""
    if "task" not in scores or row >= scores["return"].shape[1]:
        return None
    same = np.all(scores["task"] == scores["task"][-1], axis=(1, 2))
    return Evaluations(
        steps=scores["step"][same],
        task=scores["task"][-1],
        return_=scores["return"][same, row],
        success=scores["success"][same, row],
    )


def _snapshots(columns: Mapping[str, np.ndarray], row: int) -> Snapshots | None:
    arrays = {name: column for name, column in columns.items() if name != "step"}
    if not arrays or any(row >= array.shape[1] for array in arrays.values()):
        return None
    return Snapshots(columns["step"], {name: array[:, row] for name, array in arrays.items()})


def _of_seed(rows: Sequence[Mapping[str, Any]], seed: int, default: int) -> list[Mapping[str, Any]]:
    return sorted((r for r in rows if r.get("seed", default) == seed), key=lambda r: r.get("step", 0))


def _curve(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    points = [(row["step"], row[key]) for row in rows if isinstance(row.get(key), (int, float)) and "step" in row]
    steps, values = zip(*points, strict=True) if points else ((), ())
    return np.array(steps, np.float64), np.array(values, np.float64)


def _environment(run: Run, episodes: Mapping[str, np.ndarray]) -> tuple[tuple[Axis, ...], bool]:
    """Axes and whether success is defined, asked of the environment; from the data where it is not at hand."""
    from ..envs.contract import TaskEnv
    from ..envs.registration import make_functional
    from ..envs.tasks import TaskSpace

    try:
        env = make_functional(run.env, **run.config.get("env_kwargs", {}))
    except (KeyError, ImportError, TypeError, ValueError):  # of another version, or its extra is not installed
        return _axes_of_data(episodes.get("task")), bool(np.any(episodes.get("success", 0)))
    has_success = env.success_return is not None or type(env).success is not TaskEnv.success
    if not isinstance(env.task_space, TaskSpace):
        return (), has_success
    task = episodes.get("task")
    if task is not None and task.shape[1:] != (env.task_space.dim,):  # recorded with another version
        return _axes_of_data(task), has_success
    axes = [
        Axis(i, p.name, p.low, p.high, p.unit, p.scale == "log")
        for i, p in enumerate(env.task_space.parameters)
        if p.is_free
    ]
    return tuple(axes), has_success


def _axes_of_data(task: np.ndarray | None) -> tuple[Axis, ...]:
    if task is None or task.ndim != 2 or not len(task):
        return ()
    low, high = task.min(0), task.max(0)
    return tuple(
        Axis(i, f"parameter {i}", float(low[i]), float(high[i])) for i in range(task.shape[1]) if high[i] > low[i]
    )


def _is_unfinished(run: Run) -> bool:
    return run.info.get("status", "finished") != "finished"


def _is_incidental(key: str) -> bool:
    """Whether a setting, or the mapping that it is part of, is one of those."""
    return key in _INCIDENTAL or any(key.startswith(f"{name}.") for name in _INCIDENTAL)


def _labels(runs: Sequence[Run]) -> list[str]:
    """The shortest names that tell groups apart: teacher or agent, or both, the settings and test tasks that differ."""
    settings = [{k: v for k, v in flatten(run.config).items() if not _is_incidental(k)} for run in runs]
    agents, teachers = {run.agent for run in runs}, {run.teacher for run in runs}
    name_agent = len(agents) > 1 or teachers == {"fixed"}  # where nobody teaches, the agent says more
    base = [run.agent if name_agent else run.teacher for run in runs]
    if len(agents) > 1 and len(teachers) > 1:
        base = [f"{run.agent} + {run.teacher}" for run in runs]
    labels = []
    for run, mine, name in zip(runs, settings, base, strict=True):
        namesakes = [s for r, s, n in zip(runs, settings, base, strict=True) if n == name and r.env == run.env]
        differing = [k for k in mine if any(other.get(k) != mine[k] for other in namesakes)]
        label = ", ".join([name, *(f"{k.rsplit('.', 1)[-1]}={mine[k]}" for k in differing[:3])])
        is_apart = len({other.test_set for other in runs if other.env == run.env}) > 1
        labels.append(f"{label} (tested on {run.test_set})" if is_apart else label)
    return labels


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
