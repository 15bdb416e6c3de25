"""Figures of the studies of subgoals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .plot_style import colors, new_figure, steps_axis, style, title
from .statistics import estimate_curve


def curves_figure(rows: Sequence[dict[str, Any]], share: float) -> Any:
    """Return of the task alone over steps, as a share of the planner's: one panel per task, one line per variant.

    Args:
      rows: with task, variant, optimum, curve_steps (T,) and curves (S, T).
      share: of the planner's return that counts as learned.
    """
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    names = list(dict.fromkeys(row["variant"] for row in rows))
    palette = colors(names)
    with style():
        figure = new_figure(3.4 * len(tasks), 3.2)
        for axis, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
            for row in (row for row in rows if row["task"] == task):
                steps = np.asarray(row["curve_steps"])
                middle, low, high = estimate_curve(np.asarray(row["curves"]) / row["optimum"])
                axis.plot(steps, middle, color=palette[row["variant"]], label=row["variant"], linewidth=1.5)
                axis.fill_between(steps, low, high, color=palette[row["variant"]], alpha=0.15, linewidth=0)
            axis.axhline(share, color="#a3a9b5", linewidth=0.8, linestyle="--")
            axis.set_ylim(-0.02, 1.05)
            axis.set_title(task, fontsize=9)
            steps_axis(axis)
        first = figure.get_axes()[0]
        first.set_ylabel("return of the task, share of the planner's")
        first.legend(fontsize=8, frameon=False)
        title(figure, "Subgoals on MiniGrid", "Interquartile means over seeds with 95 % bootstrap intervals.")
    return figure
