"""Pictures of runs: learning curves, mastered test tasks, teacher metrics; those of tasks are in `curriculum_plots.py`.

Letters: S seeds, P points in time, T points of a common grid.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import competence_plots, curriculum_plots
from .plot_style import colors, label_lines, new_figure, save_png, steps_axis, style, title
from .run_data import Learner, Study, load_study
from .statistics import estimate_curve

Groups = Mapping[str, Sequence[Learner]]
Curve = tuple[np.ndarray, np.ndarray]

MAX_GRID = 200
SMOOTHING = 1 / 15  # of the training log, over which the training return is averaged
HOW_TO_READ = "thin: seeds · bold: interquartile mean · band: 95 % bootstrap interval over seeds, point by point"


def plot_runs(run_dirs: Iterable[Path | str], out_dir: Path | str) -> list[Path]:
    """Draws everything that runs recorded.

    Args:
      run_dirs: run folders; seeds with equal settings are one group, whichever run they come from.
      out_dir: made when it is missing.

    Returns:
      The PNG files; pictures for which nothing was recorded are left out.

    Raises:
      InputFileError: a folder that is no run.
    """
    out_dir = Path(out_dir)
    return [save_png(figure, out_dir / f"{name}.png") for name, _, figure in draw_study(load_study(run_dirs))]


def draw_study(study: Study) -> Iterator[tuple[str, str, Any]]:
    """(file stem, caption, figure) of every picture, environment by environment."""
    for env, groups in study.groups.items():
        prefix = f"{slug(env)}_" if len(study.groups) > 1 else ""
        for name, caption, figure in draw_groups(groups):
            yield prefix + name, caption, figure


def draw_groups(groups: Groups) -> Iterator[tuple[str, str, Any]]:
    """(file stem, caption, figure) of every picture of runs on one environment."""
    painters = (
        ("learning", "Return over environment steps.", learning_figure),
        ("mastered", "Share of the fixed test tasks that the deterministic policy masters.", mastered_figure),
        ("competence", "Return on each test task at the end of training.", competence_plots.competence_figure),
        ("competence_time", "How that map came about.", competence_plots.competence_over_time_figure),
        ("teacher", "What the teacher reports about itself.", teacher_figure),
    )
    for name, caption, paint in painters:
        with style():
            figure = paint(groups)
        if figure is not None:
            yield name, caption, figure
    for label, learners in groups.items():
        with style():
            figure = curriculum_plots.tasks_figure(label, learners)
        if figure is not None:
            yield f"tasks_{slug(label)}", f"Tasks that {label} gave its learner.", figure


def learning_figure(groups: Groups) -> Any:
    """Return on the test tasks beside return in training; None where neither was recorded."""
    tested = _curves(groups, lambda learner: learner.eval_curve("eval/mean_reward"))
    trained = _curves(groups, lambda learner: _smooth(learner.curve("rollout/ep_rew_mean")))
    panels = [
        ("On the fixed test tasks", "mean return per episode", tested),
        ("In training, on the tasks each teacher chose (not comparable)", "mean return per episode", trained),
    ]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        return None
    figure = new_figure(5.6 * len(panels), 3.7)
    palette = colors(groups)
    for axis, (name, label, curves) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        axis.set_title(name)
        axis.set_ylabel(label)
        _draw_curves(axis, curves, palette, _counted(groups))
    smoothed = f" · training return is a running mean over {SMOOTHING:.0%} of the log" if trained else ""
    title(figure, "Learning curves", f"{HOW_TO_READ}{smoothed}")
    return figure


def mastered_figure(groups: Groups) -> Any:
    """Mastered test tasks over time; None where success has no meaning or nothing was evaluated."""
    if not any(learner.run.has_success for learners in groups.values() for learner in learners):
        return None
    curves = _curves(groups, lambda learner: _percent(learner.eval_curve("eval/success_rate")))
    if not curves:
        return None
    figure = new_figure(6.4, 3.9)
    axis = figure.subplots()
    axis.set_ylabel("mastered test tasks [%]")
    _draw_curves(axis, curves, colors(groups), _counted(groups), limits=(0, 100))
    title(figure, "Mastered test tasks", HOW_TO_READ)
    return figure


def teacher_figure(groups: Groups) -> Any:
    """One small panel for each number a teacher logs; those that never move are left out."""
    keys = sorted({k for ls in groups.values() for l in ls for row in l.metrics for k in row if _is_teacher_key(k)})
    panels = []
    for key in keys:
        curves = _curves(groups, lambda learner, key=key: learner.curve(key))
        if any(np.ptp(values) > 0 for group in curves.values() for _, values in group):
            panels.append((key.removeprefix("teacher/").replace("_", " "), curves))
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(3.9 * columns, 0.5 + 2.4 * rows)
    axes = np.ravel(figure.subplots(rows, columns))
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    palette = colors(groups)
    for axis, (name, curves) in zip(axes, panels, strict=False):
        axis.set_title(name)
        _draw_curves(axis, curves, palette, "")
    title(figure, "Teacher metrics", f"over {_counted(groups)} per seed · {HOW_TO_READ}")
    return figure


def common_grid(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Curves on one grid (T,) over the steps that all of them cover: (grid, values (S, T)), T = 0 if there is none."""
    low, high = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    grid = np.unique(np.concatenate([steps for steps, _ in curves]))
    grid = grid[(grid >= low) & (grid <= high)]
    if len(grid) > MAX_GRID:
        grid = np.linspace(low, high, MAX_GRID)
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in curves])


def slug(text: str) -> str:
    """`text` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", text).strip("_.")[:60] or "group"


def _curves(groups: Groups, curve: Any) -> dict[str, list[Curve]]:
    """{label: curves that have at least one point}, without labels that have none."""
    found = {label: [c for c in map(curve, learners) if c[0].size] for label, learners in groups.items()}
    return {label: curves for label, curves in found.items() if curves}


def _counted(groups: Groups) -> str:
    """What the steps of these learners are."""
    acts = {learner.acts for learners in groups.values() for learner in learners}
    return {True: "environment steps", False: "updates"}[acts.pop()] if len(acts) == 1 else "steps or updates"


def _draw_curves(
    axis: Any,
    groups: Mapping[str, Sequence[Curve]],
    palette: Mapping[str, str],
    counted: str,
    limits: tuple[float, float] | None = None,
) -> None:
    ends = []
    for label, curves in groups.items():
        color = palette[label]
        grid, values = common_grid(curves)
        if len(curves) > 1:
            for steps, seed_values in curves:
                axis.plot(steps, seed_values, color=color, lw=0.7, alpha=0.35)
        if not len(grid):  # seeds without a common step
            ends.append((label, curves[-1][1][-1], color))
            continue
        centre, low, high = estimate_curve(values)
        axis.fill_between(grid, low, high, color=color, alpha=0.16, lw=0)
        axis.plot(grid, centre, color=color, lw=2.0, solid_capstyle="round", marker="o" if len(grid) == 1 else None)
        ends.append((label, centre[-1], color))
    if limits is not None:
        axis.set_ylim(limits[0] - 2, limits[1] + 2)
    axis.margins(x=0.02)
    steps_axis(axis, counted and f"{counted} per seed")
    label_lines(axis, ends)


def _smooth(curve: Curve) -> Curve:
    """A running mean over a small part of the log; at the ends over what there is."""
    steps, values = curve
    half = int(len(values) * SMOOTHING / 2)
    if not half:
        return curve
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return steps, (total[last] - total[first]) / (last - first)


def _percent(curve: Curve) -> Curve:
    return curve[0], 100 * curve[1]


def _is_teacher_key(key: str) -> bool:
    return key.startswith("teacher/") and not key.endswith(("_nonfinite", "/episodes"))
