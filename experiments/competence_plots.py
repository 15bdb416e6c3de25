"""Pictures of competence: what a learner's return is on every test task, now and over time.

Letters: P points in time, K test tasks.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .plot_style import INK, MUTED, RETURN, color_bar, new_figure, short_number, title
from .run_data import Axis, Evaluations, Learner
from .task_axes import frame_axes, plane, value_range

Groups = Mapping[str, Sequence[Learner]]

MAX_MAPS = 5  # over time
FIELD = 160  # cells a side of a map coloured by the nearest test task


def competence_figure(groups: Groups) -> Any:
    """Mean return over seeds on every test task at the last evaluation; needs two free parameters."""
    maps = _competence(groups)
    if not maps:
        return None
    columns = min(4, len(maps))
    rows = -(-len(maps) // columns)
    figure = new_figure(1.0 + 3.3 * columns, 0.7 + 3.1 * rows)
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for panel in panels[len(maps) :]:
        panel.set_visible(False)
    low, high = value_range([returns[-1] for _, _, _, returns, _ in maps])
    for panel, (label, axes, evaluations, returns, success) in zip(panels, maps, strict=False):
        drawn = _draw_map(panel, axes, evaluations.task, returns[-1], success[-1], low, high)
        panel.set_title(label)
    color_bar(figure, drawn, list(panels[: len(maps)]), "return, mean over seeds")
    title(figure, "Competence at the last evaluation", _map_legend(groups))
    return figure


def competence_over_time_figure(groups: Groups) -> Any:
    """The competence map of every group at up to five evaluations; None with fewer than two."""
    maps = [m for m in _competence(groups) if len(m[2].steps) > 1]
    if not maps:
        return None
    columns = min(MAX_MAPS, max(len(m[2].steps) for m in maps))
    figure = new_figure(1.1 + 2.2 * columns, 0.8 + 2.15 * len(maps))
    panels = figure.subplots(len(maps), columns, squeeze=False)
    low, high = value_range([returns for _, _, _, returns, _ in maps])
    for row, (label, axes, evaluations, returns, success) in zip(panels, maps, strict=True):
        chosen = np.unique(np.linspace(0, len(evaluations.steps) - 1, columns).round().astype(int))
        for panel, p in zip(row, chosen, strict=False):
            drawn = _draw_map(panel, axes, evaluations.task, returns[p], success[p], low, high)
            panel.set_title(f"{short_number(evaluations.steps[p])} steps", fontsize=8.5, color=MUTED)
            panel.set_xlabel(axes[0].label if row is panels[-1] else "")
            panel.set_ylabel("")
        for panel in row[len(chosen) :]:
            panel.set_visible(False)
        row[0].set_ylabel(f"{label}\n{axes[1].label}", color=INK)
    color_bar(figure, drawn, list(np.ravel(panels)), "return, mean over seeds")
    title(figure, "Competence over time", _map_legend(groups))
    return figure


def _competence(groups: Groups) -> list[tuple[str, tuple[Axis, ...], Evaluations, np.ndarray, np.ndarray]]:
    """(label, axes, evaluations of one seed, mean return (P, K), mean success (P, K)) of groups with such a map."""
    maps = []
    for label, learners in groups.items():
        all_known = [(l, l.evaluations) for l in learners if len(l.run.axes) == 2 and l.evaluations is not None]
        if not all_known:
            continue
        learner, first = all_known[0]
        alike = [e for _, e in all_known if np.array_equal(e.task, first.task)]
        count = min(len(e.steps) for e in alike)
        alike = [e for e in alike if np.array_equal(e.steps[:count], first.steps[:count])]
        shared = dataclasses.replace(first, steps=first.steps[:count])
        returns = np.mean([e.return_[:count] for e in alike], axis=0)
        success = np.mean([e.success[:count] for e in alike], axis=0)
        maps.append((label, learner.run.axes, shared, returns, success))
    return maps


def _draw_map(
    panel: Any, axes: Sequence[Axis], task: np.ndarray, value: np.ndarray, success: np.ndarray, low: float, high: float
) -> Any:
    """Colours the plane by the value of the nearest test task; a dot marks the task, filled where it is mastered."""
    places = np.stack([axis.to_unit(task[:, axis.index].astype(np.float64)) for axis in axes], -1)  # (K, 2)
    middle = (np.arange(FIELD) + 0.5) / FIELD
    x, y = np.meshgrid(middle, middle)
    nearest = np.argmin((x[..., None] - places[:, 0]) ** 2 + (y[..., None] - places[:, 1]) ** 2, axis=-1)
    edges = np.linspace(0, 1, FIELD + 1)
    drawn = panel.pcolormesh(
        axes[0].from_unit(edges),
        axes[1].from_unit(edges),
        value[nearest],
        cmap=RETURN,
        vmin=low,
        vmax=high,
    )
    size = 18 if len(task) <= 150 else 7
    for rows, style_ in ((success < 0.5, {"s": size / 4, "lw": 0}), (success >= 0.5, {"s": size, "lw": 0.7})):
        panel.scatter(*plane(task[rows], axes), color="white", edgecolors=INK, **style_)
    frame_axes(panel, axes, bottom=True, left=True)
    for axis, name in zip(axes, "xy", strict=True):
        getattr(panel, f"set_{name}lim")(axis.low, axis.high)
    return drawn


def _map_legend(groups: Groups) -> str:
    text = "dots: test tasks, the plane takes the colour of the nearest one"
    if any(l.run.has_success for learners in groups.values() for l in learners):
        text += " · large dots: mastered by at least half of the seeds"
    return text
